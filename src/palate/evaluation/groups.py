"""Metrics by group of users, of items and of transitions.

Users are grouped by activity and by whether they are in training. Targets are grouped by popularity
and by whether training has the transition to them; there each pair of user and target is one case,
which makes no difference with one target per user.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from palate.data.dataset import Cases, Dataset
from palate.data.split import Part
from palate.evaluation.metrics import ACCURACY, hit_matrix
from palate.evaluation.result import Group
from palate.evaluation.significance import bootstrap_intervals

GROUPED = ("recall", "ndcg")
"""The accuracy metrics reported by group."""


@dataclass(frozen=True)
class Grouping:
    """The group of each case; ``codes`` are indices into ``labels``."""

    labels: Sequence[str]
    codes: Int[np.ndarray, " cases"]


@dataclass(frozen=True)
class Pairs:
    """All pairs of a user and one of the user's targets."""

    users: Int[np.ndarray, " pairs"]
    """Indices into the list of cases."""
    targets: Int[np.ndarray, " pairs"]
    last_rows: Int[np.ndarray, " pairs"]
    """The newest item of the history; -1 without history."""

    @classmethod
    def of(cls, cases: Cases, targets: Int[np.ndarray, "users targets"]) -> "Pairs":
        """Make one pair per entry of ``targets``, which is padded with -1."""
        users = np.nonzero(targets >= 0)[0]
        last = np.array(
            [h.item_rows[-1] if len(h) else -1 for h in cases.histories], dtype=np.int64
        )
        return cls(users=users, targets=targets[targets >= 0], last_rows=last[users])


def group_results(
    dataset: Dataset,
    cases: Cases,
    targets: Int[np.ndarray, "users targets"],
    ranked: Int[np.ndarray, "users n"],
    cutoffs: Sequence[int],
    *,
    rng: np.random.Generator,
) -> dict[str, list[Group]]:
    """Return the results of all groupings by name."""
    pairs = Pairs.of(cases, targets)
    by_user = _values(hit_matrix(ranked, targets), (targets >= 0).sum(axis=1), cutoffs)
    pair_hits = ranked[pairs.users] == pairs.targets[:, None]
    by_pair = _values(pair_hits, np.ones(len(pair_hits), dtype=np.int64), cutoffs)
    return {
        "activity": _judge(by_activity(cases), by_user, rng),
        "popularity": _judge(by_popularity(dataset, pairs), by_pair, rng),
        "transition": _judge(by_transition(dataset, pairs), by_pair, rng),
        "user": _judge(by_familiarity(dataset, cases), by_user, rng),
    }


def by_activity(cases: Cases) -> Grouping:
    """Group users by quartiles of their history's length; equal quartiles are merged."""
    lengths = np.array([len(history) for history in cases.histories], dtype=np.int64)
    edges = np.unique(np.quantile(lengths, [0.25, 0.5, 0.75], method="lower"))
    codes = np.searchsorted(edges, lengths)
    labels = []
    for code in range(len(edges) + 1):
        members = lengths[codes == code]
        labels.append(_span(int(members.min()), int(members.max())) if len(members) else "")
    return Grouping(labels, codes)


def by_popularity(dataset: Dataset, pairs: Pairs) -> Grouping:
    """Group targets by popularity: head, middle and tail have a third of the training events each.

    Items without training events are a group of their own, *cold*.
    """
    counts = dataset.train_counts
    descending = np.sort(counts[counts > 0])[::-1]
    drawn = np.cumsum(descending) / max(descending.sum(), 1)
    ends = np.searchsorted(drawn, [1 / 3, 2 / 3])
    head, middle = (descending[ends] if len(descending) else np.array([1, 1])).tolist()
    target_counts = counts[pairs.targets]
    codes = np.select(
        [target_counts >= head, target_counts >= middle, target_counts > 0], [0, 1, 2], default=3
    )
    labels = (
        f"head: {head:,} or more events",
        f"middle: {_span(middle, head - 1)}",
        f"tail: {_span(1, middle - 1)}",
        "cold: never in training",
    )
    return Grouping(labels, codes)


def by_transition(dataset: Dataset, pairs: Pairs) -> Grouping:
    """Group targets by whether training has the transition from the last item to them.

    A seen transition can be *memorised*; an unseen one can only be *generalised* from others.
    """
    train = dataset.split.parts == Part.TRAIN
    rows, users = dataset.interactions.item_rows[train], dataset.interactions.user_rows[train]
    num_items = len(dataset.catalog)
    steps = (rows[:-1] * num_items + rows[1:])[users[:-1] == users[1:]]
    wanted = pairs.last_rows * num_items + pairs.targets
    seen = np.isin(wanted, steps) & (pairs.last_rows >= 0)
    return Grouping(("memorised: step seen in training", "generalised: never seen"), 1 - seen)


def by_familiarity(dataset: Dataset, cases: Cases) -> Grouping:
    """Group users by whether they have training events."""
    known = np.zeros(dataset.interactions.num_users + 1, dtype=bool)
    known[dataset.interactions.user_rows[dataset.split.parts == Part.TRAIN]] = True
    # A history without a user points at the last entry, which is always False.
    rows = [-1 if history.user_row is None else history.user_row for history in cases.histories]
    return Grouping(("known to training", "new"), 1 - known[np.array(rows, dtype=np.int64)])


def _judge(
    grouping: Grouping, values: Mapping[str, Float[np.ndarray, " cases"]], rng: np.random.Generator
) -> list[Group]:
    table = np.stack(list(values.values()), axis=1)
    groups = []
    for code, label in enumerate(grouping.labels):
        members = table[grouping.codes == code]
        if len(members) == 0:
            continue
        ends = bootstrap_intervals(members, rng)
        groups.append(
            Group(
                label=label,
                cases=len(members),
                metrics=dict(zip(values, members.mean(axis=0).tolist(), strict=True)),
                intervals={
                    name: (float(low), float(high))
                    for name, (low, high) in zip(values, ends, strict=True)
                },
            )
        )
    return groups


def _values(
    hits: Bool[np.ndarray, "cases n"],
    num_targets: Int[np.ndarray, " cases"],
    cutoffs: Sequence[int],
) -> dict[str, Float[np.ndarray, " cases"]]:
    return {
        f"{name}@{k}": ACCURACY[name](hits, num_targets, k) for name in GROUPED for k in cutoffs
    }


def _span(low: int, high: int) -> str:
    """Return a label such as ``3 events`` or ``4-7 events``."""
    return f"{low:,} events" if low >= high else f"{low:,}-{high:,} events"
