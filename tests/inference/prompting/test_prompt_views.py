"""Which candidates stand in one question, and how the answers become one order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palate.inference.prompting.views import View, borda, views_of
from palate.training.prompting import PromptingConfig


@given(st.integers(2, 30), st.integers(0, 9), st.integers(1, 5), st.integers(0, 99))
def test_every_order_shows_every_candidate_once(n: int, group: int, orders: int, seed: int) -> None:
    if group == 1:
        return
    settings = PromptingConfig(read="indices", candidates=30, group=group, orders=orders)
    views = views_of(0, n, settings, seed)
    assert sorted(place for view in views for place in view.shown) == sorted([*range(n)] * orders)
    assert all(len(view.shown) > 1 for view in views)


def test_every_second_order_is_the_mirror_of_the_one_before() -> None:
    settings = PromptingConfig(candidates=20, orders=4)
    first, mirror, second, _ = (view.shown for view in views_of(0, 20, settings, 7))
    assert mirror == first[::-1]
    assert second not in (first, mirror)


def test_the_same_question_is_shuffled_alike_and_another_is_not() -> None:
    settings = PromptingConfig(candidates=20)
    assert views_of(0, 20, settings, 7) == views_of(0, 20, settings, 7)
    assert views_of(0, 20, settings, 7) != views_of(0, 20, settings, 8)


def test_the_order_of_the_base_can_be_kept() -> None:
    settings = PromptingConfig(candidates=6, order="base", group=2)
    assert [view.shown for view in views_of(3, 6, settings, 0)] == [(0, 1), (2, 3), (4, 5)]


def test_a_rest_of_one_joins_the_group_before_it() -> None:
    settings = PromptingConfig(candidates=5, order="base", form="pair")
    assert [view.shown for view in views_of(0, 5, settings, 0)] == [(0, 1), (2, 3, 4)]


def test_bordas_count_worked_by_hand() -> None:
    views = [View(0, (0, 1, 2)), View(0, (2, 1, 0))]
    values = [np.array([3.0, 2.0, 1.0]), np.array([5.0, np.nan, np.nan])]
    # First: 1, 1/2, 0. Second, of places 2, 1, 0: 1, and the two unnamed share one win: 1/4 each.
    assert borda(3, views, values).tolist() == [0.625, 0.375, 0.5]


def test_who_never_voted_counts_for_nothing() -> None:
    views = [View(0, (0, 1)), View(0, (1, 0))]
    assert borda(3, views, [np.array([0.0, 1.0]), None]).tolist() == [0.0, 1.0, 0.5]
    assert borda(3, views, [None, None]) is None


@given(st.lists(st.floats(-9, 9), min_size=2, max_size=12))
def test_a_liking_for_a_place_evens_out_over_two_mirrored_orders(liking: list[float]) -> None:
    settings = PromptingConfig(candidates=20, orders=2)
    values = np.asarray(liking)
    shares = borda(len(values), views_of(0, len(values), settings, 1), [values, values])
    ties = PromptingConfig(candidates=20, orders=1)
    assert shares is not None
    assert shares.mean() == pytest.approx(0.5)
    if (np.diff(values) < 0).all() or (np.diff(values) > 0).all():
        assert shares == pytest.approx(np.full(len(values), 0.5))
    assert views_of(0, len(values), ties, 1)


@pytest.mark.parametrize(
    ("given_", "why"),
    [
        ({"candidates": 30}, "26 letters"),
        ({"group": 1}, "form = 'point'"),
        ({"candidates": 1}, "greater than or equal to 2"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(given_: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        PromptingConfig.model_validate(given_)
