"""Items chosen near each other have near vectors; an item without neighbours has none."""

import numpy as np
import pytest

from palate.items.behaviour import BehaviourConfig, behaviour_vectors
from palate.types import History

SMALL = BehaviourConfig(dim=4, window=3)


def _histories(*sequences: list[int]) -> list[History]:
    return [History(item_rows=np.asarray(rows, dtype=np.int64)) for rows in sequences]


def _two_groups(num_users: int) -> list[History]:
    """Items 0-4 are chosen together, and so are items 5-9, never one with the other."""
    rng = np.random.default_rng(1)
    return _histories(
        *(((user % 2) * 5 + rng.permutation(5)).tolist() for user in range(num_users))
    )


def _cosines(values: np.ndarray) -> np.ndarray:
    unit = values / np.linalg.norm(values, axis=1, keepdims=True)
    return unit @ unit.T


def test_items_of_one_group_are_closer_than_those_of_two() -> None:
    vectors = behaviour_vectors(_two_groups(40), 10, BehaviourConfig(dim=2), seed=0)
    cosines = _cosines(vectors.values)
    within = [cosines[a, b] for a in range(5) for b in range(5) if a != b]
    across = cosines[:5, 5:]
    assert min(within) > 0.9
    assert np.abs(across).max() < 0.1


def test_an_item_without_cooccurrences_has_no_vector() -> None:
    vectors = behaviour_vectors(_histories([0, 1, 0, 1], [2], [1, 0]), 4, SMALL, seed=0)
    assert vectors.present.tolist() == [True, True, False, False]
    assert not vectors.values[2:].any()


def test_present_vectors_have_numbers_of_size_one() -> None:
    vectors = behaviour_vectors(_two_groups(40), 11, SMALL, seed=0)
    np.testing.assert_allclose(np.square(vectors.values[:10]).mean(axis=1), 1, rtol=1e-5)
    assert vectors.values.dtype == np.float32


def test_only_events_within_the_window_are_near() -> None:
    sequences = _histories([0, 1, 2], [0, 3, 2], [0, 4, 2])
    near = behaviour_vectors(sequences, 5, BehaviourConfig(dim=4, window=1), seed=0)
    far = behaviour_vectors(sequences, 5, BehaviourConfig(dim=4, window=2), seed=0)
    # 0 and 2 share neighbours at distance one; only with a window of two are they neighbours.
    assert _cosines(near.values)[0, 2] > 0.99
    assert _cosines(far.values)[0, 2] < 0.99


def test_different_users_are_not_near() -> None:
    split = behaviour_vectors(_histories([0, 1], [2, 3], [0, 1], [2, 3]), 4, SMALL, seed=0)
    assert abs(_cosines(split.values)[1, 2]) < 1e-3


def test_same_seed_same_vectors() -> None:
    sequences = _two_groups(30)
    one, two = (behaviour_vectors(sequences, 10, SMALL, seed=5) for _ in range(2))
    np.testing.assert_array_equal(one.values, two.values)


@pytest.mark.parametrize("sequences", [[], _histories([0], [1]), _histories([])])
def test_items_without_cooccurrences_have_no_vectors(sequences: list[History]) -> None:
    vectors = behaviour_vectors(sequences, 3, SMALL, seed=0)
    assert not vectors.present.any()
    assert vectors.values.shape == (3, 2)


def test_a_catalogue_smaller_than_the_width_gets_fewer_dimensions() -> None:
    assert behaviour_vectors(_histories([0, 1, 2]), 3, SMALL, seed=0).dim == 2
    assert not behaviour_vectors(_histories([0, 0]), 1, SMALL, seed=0).present.any()
