"""The columns of a history stay parallel, whatever is selected from it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palate.types import History, Ranking

COLUMNS = ("item_rows", "event_types", "ratings", "timestamps", "scenarios")


@pytest.fixture
def history() -> History:
    return History(
        item_rows=np.array([7, 3, 7, 5]),
        event_types=np.array([0, 1, 0, 2]),
        ratings=np.array([4.0, np.nan, 2.0, 5.0]),
        timestamps=np.array([10, 20, 30, -1]),
        scenarios=np.array([0, 0, -1, 1]),
        user_row=9,
    )


def test_length_is_the_number_of_events(history: History) -> None:
    assert len(history) == 4
    assert len(Ranking(item_rows=np.array([2, 1]), scores=np.array([0.5, 0.1]))) == 2


def test_without_removes_one_event_from_every_column(history: History) -> None:
    less = history.without(1)
    assert less.item_rows.tolist() == [7, 7, 5]
    assert less.event_types.tolist() == [0, 0, 2]
    assert less.ratings.tolist() == [4.0, 2.0, 5.0]
    assert less.timestamps.tolist() == [10, 30, -1]
    assert less.scenarios.tolist() == [0, -1, 1]
    assert less.user_row == 9


def test_without_leaves_the_original_alone(history: History) -> None:
    history.without(0)
    assert len(history) == 4


def test_last_keeps_the_newest(history: History) -> None:
    assert history.last(2).item_rows.tolist() == [7, 5]
    assert history.last(2).timestamps.tolist() == [30, -1]
    assert history.last(99).item_rows.tolist() == [7, 3, 7, 5]
    assert len(history.last(0)) == 0


def test_absent_columns_stay_absent() -> None:
    bare = History(item_rows=np.array([1, 2, 3]))
    assert bare.without(0).event_types is None
    assert bare.last(1).ratings is None


@given(st.integers(1, 30), st.integers(0, 40))
def test_last_is_a_suffix_of_every_column(num_events: int, num_kept: int) -> None:
    places = np.arange(num_events)
    columns = dict.fromkeys(COLUMNS, places) | {"ratings": places.astype(float)}
    kept = History(**columns).last(num_kept)
    for name in COLUMNS:
        assert getattr(kept, name).tolist() == places[max(0, num_events - num_kept) :].tolist()
