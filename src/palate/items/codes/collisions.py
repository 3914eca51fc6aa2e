"""Collisions: ways to make the codes of all items unique."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from palate.items.codes.codes import Codes, Level, group_numbers, prefix_order, same_as_before
from palate.items.codes.quantiser import Quantiser

_BLOCK = 4_096
_SHARED_OUT = 1_024


@dataclass(frozen=True, eq=False)
class Drawn:
    """Codes of an indexing before collisions are resolved."""

    values: Int[np.ndarray, "items levels"]
    levels: tuple[Level, ...]
    quantiser: Quantiser | None = None
    vectors: Float[np.ndarray, "items dim"] | None = None
    """The vectors that the quantiser encoded, if there is one."""


@runtime_checkable
class Resolution(Protocol):
    """A way to make codes unique."""

    def resolve(self, drawn: Drawn) -> Codes:
        """Return codes that are different for all items."""
        ...


@dataclass(frozen=True)
class AsDrawn:
    """For codes that are unique by construction."""

    def resolve(self, drawn: Drawn) -> Codes:
        """Return the codes as they are.

        Raises:
            DataError: when two items have equal codes.
        """
        return Codes(drawn.values, drawn.levels)


@dataclass(frozen=True)
class ExtraDigit:
    """One more level that numbers the items of equal codes (TIGER).

    All items get it, most of them with digit 0. As room for new items, the level has twice as many
    codes as the largest group needs now, and at least ``least``.
    """

    least: int = 16

    def resolve(self, drawn: Drawn) -> Codes:
        """Append the digit; within a group it follows the order of the rows, which is random."""
        digits = places_within(group_numbers(drawn.values))
        largest = int(digits.max(initial=0)) + 1
        level = Level("digit", max(self.least, 2 * largest))
        return Codes(_appended(drawn.values, digits), (*drawn.levels, level))


@dataclass(frozen=True)
class OwnToken:
    """One more level in which every item has its own token (the hybrids of Hua et al. 2023).

    The level is as large as the catalogue; new items cannot get a token without new weights.
    """

    def resolve(self, drawn: Drawn) -> Codes:
        """Append the item's row, which is random and uninformative."""
        count = len(drawn.values)
        return Codes(
            _appended(drawn.values, np.arange(count)), (*drawn.levels, Level("item", count))
        )


@dataclass(frozen=True)
class BalancedLastLevel:
    """Distributes colliding items evenly over the codes of the last level (LC-Rec).

    For a prefix (all levels but the last) with a collision, all its items get a new last code by
    the transport plan of :func:`sinkhorn`, each code at most once. If a prefix has more items than
    the last level has codes, each code goes to as few items as possible, and an extra digit makes
    them unique.
    """

    temperature: float = 0.05
    iterations: int = 50

    def resolve(self, drawn: Drawn) -> Codes:
        """Reassign the last level where items collide; other items keep their nearest codes."""
        if drawn.quantiser is None or drawn.vectors is None:
            raise ValueError("a balanced last level needs the quantiser and its vectors")
        values = drawn.values.copy()
        for rows, groups in _crowded(values):
            costs = drawn.quantiser.last_costs(drawn.vectors[rows], values[rows])
            for start, end in groups:
                block = costs[start:end]
                values[rows[start:end], -1] = even_assignment(
                    block, temperature=self.temperature, iterations=self.iterations
                )
        if same_as_before(values[prefix_order(values)]).any():
            return ExtraDigit().resolve(Drawn(values, drawn.levels))
        return Codes(values, drawn.levels)


def sinkhorn(
    costs: Float[np.ndarray, "items codes"], *, temperature: float = 0.05, iterations: int = 50
) -> Float[np.ndarray, "items codes"]:
    """Return a transport plan with mass 1 per item and the same mass for every code.

    ``P = diag(u) exp(-C / (temperature * spread)) diag(v)`` with rows that sum to 1 and columns
    that sum to items / codes (Sinkhorn and Knopp 1967; Cuturi 2013), in logarithms; the spread is
    the mean cost above each item's smallest, so that the temperature has no unit.
    """
    above = costs.astype(np.float64) - costs.min(axis=1, keepdims=True)
    plan = -above / (temperature * max(float(above.mean()), 1e-12))
    share = np.log(len(costs) / costs.shape[1])
    # Columns and rows are scaled in turn. Rows come last, so that every item has mass 1.
    for _ in range(iterations):
        plan += share - _log_sum(plan, axis=0)
        plan -= _log_sum(plan, axis=1)
    return np.asarray(np.exp(plan))


def even_assignment(
    costs: Float[np.ndarray, "items codes"], *, temperature: float = 0.05, iterations: int = 50
) -> Int[np.ndarray, " items"]:
    """Give each item one code, and each code to at most ``ceil(items / codes)`` items.

    The assignment maximises the sum of the plan's logarithms (Hungarian method). Its time grows
    with the cube of the size, so that a large group is assigned in parts of equal size.
    """
    # Imported late: it takes half a second, and most models never need it.
    from scipy.optimize import linear_sum_assignment

    num_codes = costs.shape[1]
    part = num_codes * max(1, _SHARED_OUT // num_codes)
    chosen = np.empty(len(costs), dtype=np.int32)
    for start in range(0, len(costs), part):
        block = costs[start : start + part]
        plan = sinkhorn(block, temperature=temperature, iterations=iterations)
        # The Hungarian method gives one seat to each item: a code is repeated as often as it may be
        # given, and a seat's number modulo the number of codes is its code.
        seats = np.tile(np.log(np.maximum(plan, 1e-300)), (1, -(-len(block) // num_codes)))
        items, seat = linear_sum_assignment(seats, maximize=True)
        chosen[start + items] = seat % num_codes
    return chosen


def places_within(groups: Int[np.ndarray, " items"]) -> Int[np.ndarray, " items"]:
    """Return each item's place among the items of its group, in row order."""
    order = np.argsort(groups, kind="stable")
    ordered = groups[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    sizes = np.diff(starts, append=len(ordered))
    places = np.empty(len(groups), dtype=np.int64)
    places[order] = np.arange(len(ordered)) - np.repeat(starts, sizes)
    return places


Bounds = list[tuple[int, int]]


def _crowded(
    values: Int[np.ndarray, "items levels"],
) -> list[tuple[Int[np.ndarray, " rows"], Bounds]]:
    """Return the items of every prefix with a collision, in batches of a few thousand rows.

    Each batch comes with the bounds of its prefixes.
    """
    prefixes, whole = group_numbers(values[:, :-1]), group_numbers(values)
    colliding = np.bincount(whole)[whole] > 1
    # All items of such a prefix are moved, also those that do not collide themselves: their codes
    # are what the colliding ones may need.
    crowded = np.flatnonzero(np.isin(prefixes, prefixes[colliding]))
    if not len(crowded):
        return []
    crowded = crowded[np.argsort(prefixes[crowded], kind="stable")]
    starts = np.flatnonzero(np.diff(prefixes[crowded], prepend=-1))
    batches: list[tuple[np.ndarray, Bounds]] = []
    first, bounds = 0, list[tuple[int, int]]()
    for start, end in zip(starts, [*starts[1:], len(crowded)], strict=True):
        bounds.append((int(start) - first, int(end) - first))
        if end - first >= _BLOCK or end == len(crowded):
            batches.append((crowded[first:end], bounds))
            first, bounds = int(end), []
    return batches


def _appended(
    values: Int[np.ndarray, "items levels"], last: Int[np.ndarray, " items"]
) -> Int[np.ndarray, "items more"]:
    return np.concatenate([values, last[:, None]], axis=1).astype(np.int32)


def _log_sum(values: Float[np.ndarray, "items codes"], axis: int) -> Float[np.ndarray, "a b"]:
    highest = values.max(axis=axis, keepdims=True)
    summed = np.exp(values - highest).sum(axis=axis, keepdims=True)
    return np.asarray(np.log(summed) + highest)
