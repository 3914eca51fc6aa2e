"""What is done about items whose codes are equal: every item must have codes of its own."""

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
    """Codes as an indexing gave them, items possibly alike."""

    values: Int[np.ndarray, "items levels"]
    levels: tuple[Level, ...]
    quantiser: Quantiser | None = None
    vectors: Float[np.ndarray, "items dim"] | None = None
    """What the quantiser saw, where there is one."""


@runtime_checkable
class Resolution(Protocol):
    """A way to make codes unique."""

    def resolve(self, drawn: Drawn) -> Codes:
        """Return codes in which no two items are alike."""
        ...


@dataclass(frozen=True)
class AsDrawn:
    """For codes that are unique by construction."""

    def resolve(self, drawn: Drawn) -> Codes:
        """Return the codes as they are.

        Raises:
            DataError: when two items have the same after all.
        """
        return Codes(drawn.values, drawn.levels)


@dataclass(frozen=True)
class ExtraDigit:
    """One more level that numbers the items of equal codes (TIGER).

    All items get it, most of them with digit 0. The level holds twice as many codes as the largest
    group needs now, and at least ``least``: room for new items.
    """

    least: int = 16

    def resolve(self, drawn: Drawn) -> Codes:
        """Append the digit; within a group it follows the rows, which are in random order."""
        digits = places_within(group_numbers(drawn.values))
        largest = int(digits.max(initial=0)) + 1
        level = Level("digit", max(self.least, 2 * largest))
        return Codes(_appended(drawn.values, digits), (*drawn.levels, level))


@dataclass(frozen=True)
class OwnToken:
    """One more level in which every item has a token of its own (the hybrids of Hua et al. 2023).

    The level is as large as the catalogue; no new item can get one without new weights.
    """

    def resolve(self, drawn: Drawn) -> Codes:
        """Append the item's row, which is drawn at random and tells nothing."""
        count = len(drawn.values)
        return Codes(
            _appended(drawn.values, np.arange(count)), (*drawn.levels, Level("item", count))
        )


@dataclass(frozen=True)
class BalancedLastLevel:
    """Items of equal codes share out the codes of the last level evenly (LC-Rec).

    Among the items of one prefix (all levels but the last) that holds a collision, the last level
    is assigned by the transport plan of :func:`sinkhorn`, each code to at most one item. Where a
    prefix has more items than the last level has codes, each code goes to as few as possible and
    an extra digit tells these apart.
    """

    temperature: float = 0.05
    iterations: int = 50

    def resolve(self, drawn: Drawn) -> Codes:
        """Reassign the last level where items collide; the others keep their nearest codes."""
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
    """Return a plan that gives every item the mass 1 and every code the same share of it.

    ``P = diag(u) exp(-C / (temperature * spread)) diag(v)`` with rows that sum to 1 and columns
    that sum to items / codes (Sinkhorn and Knopp 1967; Cuturi 2013), in logarithms; the spread is
    the mean cost above each item's smallest, so that the temperature has no unit.
    """
    above = costs.astype(np.float64) - costs.min(axis=1, keepdims=True)
    plan = -above / (temperature * max(float(above.mean()), 1e-12))
    share = np.log(len(costs) / costs.shape[1])
    for _ in range(iterations):
        plan += share - _log_sum(plan, axis=0)
        plan -= _log_sum(plan, axis=1)
    return np.asarray(np.exp(plan))


def even_assignment(
    costs: Float[np.ndarray, "items codes"], *, temperature: float = 0.05, iterations: int = 50
) -> Int[np.ndarray, " items"]:
    """Give each item one code, no code to more than ``ceil(items / codes)`` of them.

    The codes are those of the largest total plan, by the Hungarian method on the plan's logarithms.
    Its time grows with the cube, so that a large group is shared out in parts of equal size.
    """
    # Late, for it takes half a second and most models never need it.
    from scipy.optimize import linear_sum_assignment

    num_codes = costs.shape[1]
    part = num_codes * max(1, _SHARED_OUT // num_codes)
    chosen = np.empty(len(costs), dtype=np.int32)
    for start in range(0, len(costs), part):
        block = costs[start : start + part]
        plan = sinkhorn(block, temperature=temperature, iterations=iterations)
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
    """Return the items of every prefix that holds a collision, some thousand rows at a time.

    Each batch comes with the bounds of its prefixes.
    """
    prefixes, whole = group_numbers(values[:, :-1]), group_numbers(values)
    colliding = np.bincount(whole)[whole] > 1
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
