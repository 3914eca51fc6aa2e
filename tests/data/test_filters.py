"""Filters keep what they say and report the rest."""

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from palate.data.filters import drop_duplicates, drop_low_ratings, drop_outside_core, k_core

pairs = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=60)


def test_core_falls_in_like_dominoes() -> None:
    # Item 2 has one event; without it user 1 has one; without that item 1 has one, and so on.
    users = np.array([0, 0, 1, 1])
    items = np.array([0, 1, 1, 2])
    assert not k_core(users, items, 2).any()


def test_core_keeps_a_full_square() -> None:
    users = np.array([0, 0, 1, 1, 2])
    items = np.array([0, 1, 0, 1, 1])
    assert k_core(users, items, 2).tolist() == [True, True, True, True, False]


@given(pairs, st.integers(1, 4))
def test_core_is_a_core_and_the_largest(events: list[tuple[int, int]], k: int) -> None:
    users, items = (np.array(column) for column in zip(*events, strict=True))
    inside = k_core(users, items, k)
    for codes in (users, items):
        _, counts = np.unique(codes[inside], return_counts=True)
        assert (counts >= k).all()
    # Largest: dropping one event after another by the definition ends at the same set.
    left = set(range(len(events)))
    while rare := {
        e
        for e in left
        if sum(users[f] == users[e] for f in left) < k
        or sum(items[f] == items[e] for f in left) < k
    }:
        left -= rare
    assert set(np.flatnonzero(inside).tolist()) == left


def test_low_ratings_go_and_missing_ones_stay() -> None:
    events = pl.DataFrame({"rating": [1.0, None, 4.0]})
    kept, notes = drop_low_ratings(events, 3.0)
    assert kept["rating"].to_list() == [None, 4.0]
    assert [(drop.reason, drop.events) for drop in notes.dropped] == [("rated below 3", 1)]


def test_duplicates_are_events_of_one_type() -> None:
    events = pl.DataFrame(
        {
            "user": [0, 0, 0, 0],
            "item": [5, 5, 5, 6],
            "event_type": ["view", "view", "buy", "view"],
            "n": [0, 1, 2, 3],
        }
    )
    assert drop_duplicates(events, "keep")[0].height == 4
    assert drop_duplicates(events, "first")[0]["n"].to_list() == [0, 2, 3]
    assert drop_duplicates(events, "last")[0]["n"].to_list() == [1, 2, 3]


def test_no_core_asked_for_changes_nothing() -> None:
    events = pl.DataFrame({"user": [0], "item": [0]})
    assert drop_outside_core(events, 0)[0] is events
