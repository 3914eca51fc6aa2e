"""The four splits, by hand and by the rules that hold for all."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from palate.data.interactions import Interactions
from palate.data.split import Part, Split
from palate.data.splitting import (
    SplitName,
    cut_time,
    leave_last_out,
    moved_into_training,
    split_events,
)
from palate.data.vocabulary import Vocabulary
from palate.errors import ConfigError, DataError

TRAIN, VALID, TEST, CONTEXT = Part


def shop(lengths: list[int], times: list[int] | None = None, num_items: int = 5) -> Interactions:
    total = sum(lengths)
    return Interactions(
        users=Vocabulary([f"u{n}" for n in range(len(lengths))]),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        item_rows=np.arange(total) % num_items,
        event_codes=np.zeros(total, dtype=np.int64),
        event_types=("view",),
        timestamps=None if times is None else np.array(times),
    )


def test_leave_last_out() -> None:
    parts = leave_last_out(shop([4, 2, 3])).parts.tolist()
    assert parts == [TRAIN, TRAIN, VALID, TEST, TRAIN, TRAIN, TRAIN, VALID, TEST]


def test_time_cut_puts_equal_times_on_one_side_and_first_events_in_context() -> None:
    # Ten events; the cuts lie at the ninth (valid) and the tenth (test) time.
    events = shop([6, 4], [1, 2, 3, 4, 9, 9, 5, 6, 7, 10])
    assert cut_time(events, 0.1, 0.1).parts.tolist() == [0, 0, 0, 0, VALID, VALID, 0, 0, 0, TEST]
    late = shop([5, 3], [1, 2, 3, 4, 5, 9, 10, 11])
    assert cut_time(late, 0.2, 0.2).parts.tolist() == [0, 0, 0, 0, 0, CONTEXT, TEST, TEST]


def test_valid_events_move_into_training_and_test_stays() -> None:
    events = shop([4, 2, 3])
    split = leave_last_out(events)
    moved = moved_into_training(split, events, "valid")
    assert moved.parts.tolist() == [0, 0, 0, TEST, 0, 0, 0, 0, TEST]
    assert (moved.fit, split.fit) == ("valid", "train")
    assert moved.description != split.description
    assert moved_into_training(split, events, "train") is split
    assert moved_into_training(split, events, "all").parts.tolist() == [TRAIN] * 9


def test_context_is_learned_from_where_it_is_that_of_the_valid_part() -> None:
    # By user: train; valid; test. Items: 0 to 2 are sold, 3 and 4 are held out for test.
    events = replace(shop([2, 3, 3]), item_rows=np.array([0, 1, 3, 2, 1, 0, 1, 4]))
    parts = [TRAIN, TRAIN, CONTEXT, CONTEXT, VALID, CONTEXT, CONTEXT, TEST]
    split = Split(np.array(parts, dtype=np.int8), "by hand")
    moved = moved_into_training(split, events, "valid")
    assert moved.parts.tolist() == [TRAIN, TRAIN, CONTEXT, CONTEXT, TRAIN, CONTEXT, CONTEXT, TEST]
    known = replace(events, item_rows=np.array([2, 1, 3, 2, 1, 0, 1, 4]))
    moved = moved_into_training(split, known, "valid")
    assert moved.parts.tolist() == [TRAIN, TRAIN, CONTEXT, TRAIN, TRAIN, CONTEXT, CONTEXT, TEST]
    assert moved_into_training(split, events, "all").parts.tolist() == [TRAIN] * 8


@pytest.mark.parametrize("kind", get_args(SplitName))
def test_moving_the_valid_part_leaves_the_test_cases_alone(kind: SplitName) -> None:
    events = shop([6] * 30, list(range(180)), num_items=25)
    split = split_events(events, kind, np.random.default_rng(0), valid_fraction=0.2)
    moved = moved_into_training(split, events, "valid")
    assert_array_equal(moved.parts == TEST, split.parts == TEST)
    assert not (moved.parts == VALID).any()
    assert set(np.flatnonzero(split.parts == TRAIN)) < set(np.flatnonzero(moved.parts == TRAIN))
    for user in range(30):
        own = moved.parts[6 * user : 6 * user + 6]
        after_target = np.cumsum(own == TEST) > 0
        assert not (after_target & (own == TRAIN)).any()
    if kind == "cold-items":
        cold = np.unique(events.item_rows[split.parts == TEST])
        assert not np.isin(events.item_rows[moved.parts == TRAIN], cold).any()


def test_a_moved_split_is_not_moved_again() -> None:
    events = shop([4, 3])
    moved = moved_into_training(leave_last_out(events), events, "valid")
    with pytest.raises(ConfigError, match="as it was made"):
        moved_into_training(moved, events, "all")


def test_time_cut_needs_times() -> None:
    with pytest.raises(DataError, match="2 have none"):
        cut_time(shop([3], [1, -1, -1]), 0.1, 0.1)
    with pytest.raises(DataError, match="3 have none"):
        cut_time(shop([3]), 0.1, 0.1)


def test_held_out_users_are_never_learned_from(rng: np.random.Generator) -> None:
    events = shop([4] * 20)
    parts = split_events(events, "users", rng).parts.reshape(20, 4)
    kinds = {tuple(row) for row in parts.tolist()}
    assert kinds == {(TRAIN,) * 4, (CONTEXT,) * 3 + (VALID,), (CONTEXT,) * 3 + (TEST,)}
    assert (parts == TEST).sum() == (parts == VALID).sum() == 2


def test_cold_items_are_never_learned_from(rng: np.random.Generator) -> None:
    events = shop([7] * 40, num_items=20)
    parts = split_events(events, "cold-items", rng).parts
    cold = np.unique(events.item_rows[parts != TRAIN])
    assert len(cold) == 4
    assert not np.isin(events.item_rows[parts == TRAIN], cold).any()
    assert np.isin(np.flatnonzero(parts == TEST), events.offsets[1:] - 1).all()


@pytest.mark.parametrize("kind", get_args(SplitName))
@given(lengths=st.lists(st.integers(1, 9), min_size=20, max_size=40), seed=st.integers(0, 9))
def test_targets_have_a_history_and_nothing_is_learned_after_them(
    kind: SplitName, lengths: list[int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    times = rng.integers(0, 99, sum(lengths)).tolist()
    events = shop(lengths, times)
    try:
        split = split_events(events, kind, rng, valid_fraction=0.2, test_fraction=0.2)
    except DataError:
        return
    for start, end in zip(events.offsets[:-1], events.offsets[1:], strict=True):
        own = split.parts[start:end]
        targets = np.flatnonzero((own == VALID) | (own == TEST))
        if len(targets):
            assert targets[0] > 0
            assert not (own[targets[0] :] == TRAIN).any()
            assert (np.diff(own[targets]) >= 0).all()
    assert split.count(TRAIN)
    assert split.count(VALID)
    assert split.count(TEST)


def test_the_same_seed_gives_the_same_split() -> None:
    def once() -> Split:
        return split_events(shop([4] * 30), "users", np.random.default_rng(3))

    assert (once().parts == once().parts).all()


def test_impossible_splits() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(DataError, match="leaves no event for valid and test") as caught:
        split_events(shop([2, 2, 1]), "leave-last-out", rng)
    assert "three events" in caught.value.hint
    with pytest.raises(ConfigError, match="must sum to between 0 and 1"):
        split_events(shop([4] * 9), "users", rng, valid_fraction=0.5, test_fraction=0.6)


def test_a_part_not_asked_for_may_be_empty(rng: np.random.Generator) -> None:
    split = split_events(shop([4] * 20), "users", rng, valid_fraction=0.0, test_fraction=0.2)
    assert (split.count(VALID), split.count(TEST)) == (0, 4)
