"""The four splits: leave-last-out, a cut in time, held-out users, cold items.

Each event gets one :class:`Part`. Whatever the split, a target has an earlier event of the same
user, and no training event of a user comes after a target of that user.
"""

from dataclasses import replace
from typing import Literal

import numpy as np
from jaxtyping import Int

from palate.data.interactions import Interactions
from palate.data.split import LEARNED_TOO, Fit, Part, Split
from palate.errors import ConfigError, DataError

SplitName = Literal["leave-last-out", "time", "users", "cold-items"]


def split_events(
    interactions: Interactions,
    kind: SplitName,
    rng: np.random.Generator,
    *,
    valid_fraction: float = 0.1,
    test_fraction: float = 0.1,
) -> Split:
    """Say for each event what it is for.

    Args:
        interactions: all events.
        kind: how to split.
        rng: draws the held-out users or cold items; the other splits do not use it.
        valid_fraction: share of the events, users or items (by ``kind``) for choosing.
        test_fraction: the same for reporting.

    Raises:
        ConfigError: when the fractions leave nothing to learn from.
        DataError: when the events do not allow the split.
    """
    if kind != "leave-last-out" and not 0 < valid_fraction + test_fraction < 1:
        raise ConfigError(
            f"valid_fraction {valid_fraction:g} and test_fraction {test_fraction:g}"
            " must sum to between 0 and 1.",
            hint="Take for instance 0.1 and 0.1.",
        )
    wanted = [Part.TRAIN]
    if kind == "leave-last-out" or valid_fraction > 0:
        wanted.append(Part.VALID)
    if kind == "leave-last-out" or test_fraction > 0:
        wanted.append(Part.TEST)
    match kind:
        case "leave-last-out":
            split = leave_last_out(interactions)
        case "time":
            split = cut_time(interactions, valid_fraction, test_fraction)
        case "users":
            split = hold_out_users(interactions, rng, valid_fraction, test_fraction)
        case "cold-items":
            split = hold_out_items(interactions, rng, valid_fraction, test_fraction)
    return _checked(split, wanted)


def leave_last_out(interactions: Interactions) -> Split:
    """Each user's last event is test, the one before valid; shorter histories are learned from."""
    parts = np.full(len(interactions), Part.TRAIN, dtype=np.int8)
    lengths = np.diff(interactions.offsets)
    ends = interactions.offsets[1:][lengths >= 3]
    parts[ends - 1] = Part.TEST
    parts[ends - 2] = Part.VALID
    return Split(parts, "leave last out: each user's last event is test, the one before valid")


def cut_time(interactions: Interactions, valid_fraction: float, test_fraction: float) -> Split:
    """Cut all events at two points in time; equal times fall on one side.

    A user's first event is never a target: behind a cut it is context for what follows.

    Raises:
        DataError: when an event has no time.
    """
    times = interactions.timestamps
    if times is None or (times < 0).any():
        unknown = len(interactions) if times is None else int((times < 0).sum())
        raise DataError(
            f"A cut in time needs the time of every event; {unknown:,} have none.",
            hint="Split by leave-last-out, or give the missing times.",
        )
    shares = [1 - valid_fraction - test_fraction, 1 - test_fraction]
    cuts = np.quantile(times, shares, method="higher")
    by_time = np.searchsorted(cuts, times, side="right")
    # An order given beside the times can disagree; what follows a target is never learned from.
    parts = _running_maximum(by_time, interactions).astype(np.int8)
    first = interactions.offsets[:-1]
    parts[first[parts[first] != Part.TRAIN]] = Part.CONTEXT
    return Split(parts, f"time: valid from {_date(int(cuts[0]))}, test from {_date(int(cuts[1]))}")


def hold_out_users(
    interactions: Interactions,
    rng: np.random.Generator,
    valid_fraction: float,
    test_fraction: float,
) -> Split:
    """Learn from some users, ask for the last event of others, whose earlier events are context."""
    parts = np.full(len(interactions), Part.TRAIN, dtype=np.int8)
    able = np.flatnonzero(np.diff(interactions.offsets) >= 2)
    valid, test = _drawn(able, rng, valid_fraction, test_fraction)
    for users, part in ((valid, Part.VALID), (test, Part.TEST)):
        parts[np.isin(interactions.user_rows, users)] = Part.CONTEXT
        parts[interactions.offsets[users + 1] - 1] = part
    words = (
        f"held-out users: {len(valid):,} for valid, {len(test):,} for test,"
        " each asked for the last event"
    )
    return Split(parts, words)


def hold_out_items(
    interactions: Interactions,
    rng: np.random.Generator,
    valid_fraction: float,
    test_fraction: float,
) -> Split:
    """Never learn from some items; users whose last event is such an item are asked for it.

    Other events with a cold item are context: history for what comes later, never learned from.
    """
    parts = np.full(len(interactions), Part.TRAIN, dtype=np.int8)
    seen = np.unique(interactions.item_rows)
    valid, test = _drawn(seen, rng, valid_fraction, test_fraction)
    lengths = np.diff(interactions.offsets)
    last = interactions.offsets[1:][lengths >= 2] - 1
    for items, part in ((valid, Part.VALID), (test, Part.TEST)):
        cold = np.isin(interactions.item_rows, items)
        parts[cold] = Part.CONTEXT
        parts[last[cold[last]]] = part
    words = f"cold items: {len(valid):,} for valid, {len(test):,} for test are never learned from"
    return Split(parts, words)


def moved_into_training(split: Split, interactions: Interactions, fit: Fit) -> Split:
    """Return the split whose training part also holds the valid events, or every event.

    With ``all`` every event is for training, context too. With ``valid`` context is learned from
    where it is that of the valid part: its user and its item both have an event in train or valid.
    That leaves alone the histories of users held out for test, items held out for test, and first
    events behind the later cut in time.

    Raises:
        ConfigError: when there is no such fit, or the split is not as it was made.
    """
    if fit not in LEARNED_TOO:
        raise ConfigError(
            f"Unknown fit {fit!r}.", hint=f"A model learns through {', '.join(LEARNED_TOO)}."
        )
    if fit == split.fit:
        return split
    if split.fit != "train":
        raise ConfigError(
            f"Fit {fit!r} needs the split as it was made; this one has fit {split.fit!r}.",
            hint="Start from the dataset folder, not from the copy in a model.",
        )
    if fit == "all":
        parts = np.full_like(split.parts, Part.TRAIN)
        return replace(split, parts=parts, fit=fit, description=f"{split.description}; all learned")
    parts = split.parts.copy()
    learned = (parts == Part.TRAIN) | (parts == Part.VALID)
    users, items = interactions.user_rows, interactions.item_rows
    among = np.isin(users, users[learned]) & np.isin(items, items[learned])
    parts[learned | (among & (parts == Part.CONTEXT))] = Part.TRAIN
    return replace(split, parts=parts, fit=fit, description=f"{split.description}; valid learned")


def _drawn(
    rows: Int[np.ndarray, " rows"],
    rng: np.random.Generator,
    valid_fraction: float,
    test_fraction: float,
) -> tuple[Int[np.ndarray, " valid"], Int[np.ndarray, " test"]]:
    shuffled = rng.permutation(rows)
    num_valid = round(len(rows) * valid_fraction)
    num_test = round(len(rows) * test_fraction)
    return shuffled[:num_valid], shuffled[num_valid : num_valid + num_test]


def _running_maximum(
    values: Int[np.ndarray, " events"], interactions: Interactions
) -> Int[np.ndarray, " events"]:
    """Return for each event the largest value among it and the user's earlier events."""
    step = int(values.max(initial=0)) + 1
    lifted: Int[np.ndarray, " events"] = (
        np.maximum.accumulate(values + interactions.user_rows * step)
        - interactions.user_rows * step
    )
    return lifted


def _date(seconds: int) -> str:
    return str(np.datetime64(seconds, "s"))


def _checked(split: Split, wanted: list[Part]) -> Split:
    empty = [part.name.lower() for part in wanted if not split.count(part)]
    if empty:
        raise DataError(
            f"The split ({split.description}) leaves no event for {' and '.join(empty)}.",
            hint="Leave-last-out needs users with three events or more;"
            " other splits need larger fractions or more data.",
        )
    return split
