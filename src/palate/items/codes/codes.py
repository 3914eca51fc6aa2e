"""Item codes: a table of small integers with one row per item, all rows different."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int

from palate.errors import DataError

Meaning = Literal["code", "number", "cluster", "category", "word", "digit", "item"]
"""Meaning of a level: ``code`` of a learned codebook, ``number`` (a place in a numbering),
``cluster``, ``category``, ``word``; ``digit`` distinguishes items whose earlier codes are equal,
``item`` is the item's own token."""

_TELLS_APART = ("digit", "item")


@dataclass(frozen=True)
class Level:
    """One level (column) of the codes."""

    meaning: Meaning
    size: int
    """Codes of this level are ``0 .. size - 1``; some may be unused."""
    blank: bool = False
    """Whether code 0 is padding, for paths or titles that end before this level."""
    words: tuple[str, ...] = ()
    """Word of each code, if codes have words; else empty. Two levels with the same words share
    embeddings."""


@dataclass(frozen=True, eq=False)
class Codes:
    """The codes of a catalogue: row ``i`` belongs to item row ``i``, and to no other item.

    Example:
        >>> table = np.array([[1, 0], [0, 1], [0, 0]], dtype=np.int32)
        >>> codes = Codes(table, (Level("code", 2), Level("digit", 2)))
        >>> codes.order.tolist()
        [2, 1, 0]
    """

    values: Int[np.ndarray, "items levels"]
    """int32."""
    levels: tuple[Level, ...]
    extends: str = ""
    """Version of the fitted codes if new items were added since; else empty."""

    def __post_init__(self) -> None:
        """Check that each code is within its level and that no two items have equal codes.

        Raises:
            DataError: when a code is out of range, or two items have equal codes.
        """
        if self.values.shape[1] != len(self.levels):
            raise DataError(
                f"Codes have {self.values.shape[1]} columns for {len(self.levels)} levels."
            )
        for place, level in enumerate(self.levels):
            column = self.values[:, place]
            if len(column) and not 0 <= column.min() <= column.max() < level.size:
                raise DataError(
                    f"Level {place} has codes from {column.min()} to {column.max()}; "
                    f"it holds 0 to {level.size - 1}."
                )
        twins = np.flatnonzero(same_as_before(self.values[self.order]))
        if len(twins):
            first, second = self.order[twins[0] - 1], self.order[twins[0]]
            raise DataError(
                f"Items {first} and {second} have the same codes.",
                hint="Resolve collisions before: with an extra digit, say.",
            )

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.values)

    @property
    def num_levels(self) -> int:
        """Codes per item."""
        return len(self.levels)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of codes of each level."""
        return tuple(level.size for level in self.levels)

    @property
    def num_telling(self) -> int:
        """Number of leading levels that describe items; the rest only makes codes unique."""
        return sum(level.meaning not in _TELLS_APART for level in self.levels)

    @cached_property
    def order(self) -> Int[np.ndarray, " items"]:
        """Item rows sorted by their codes, so that items with a common prefix are adjacent."""
        return prefix_order(self.values)

    @cached_property
    def version(self) -> str:
        """Sixteen hexadecimal digits that name exactly these codes."""
        digest = hashlib.sha256(repr([asdict(level) for level in self.levels]).encode())
        digest.update(np.ascontiguousarray(self.values, dtype="<i4").tobytes())
        return digest.hexdigest()[:16]

    @property
    def origin(self) -> str:
        """Version of the codes as fitted, on which a model was trained."""
        return self.extends or self.version

    def extended(self, new: Int[np.ndarray, "new levels"]) -> "Codes":
        """Return these codes with the rows of new items appended.

        Raises:
            DataError: when a new row equals that of another item, or is out of range.
        """
        values = np.concatenate([self.values, new.astype(self.values.dtype)])
        return replace(self, values=values, extends=self.origin)


def prefix_order(values: Int[np.ndarray, "items levels"]) -> Int[np.ndarray, " items"]:
    """Return the order of the rows by their first code, then the second, and so on."""
    if values.shape[1] == 0:
        return np.arange(len(values))
    return np.lexsort(values.T[::-1])


def same_as_before(ordered: Int[np.ndarray, "items levels"]) -> Bool[np.ndarray, " items"]:
    """Return for each row whether it equals the row before it; False for the first."""
    same = np.zeros(len(ordered), dtype=bool)
    same[1:] = (ordered[1:] == ordered[:-1]).all(axis=1)
    return same


def group_numbers(values: Int[np.ndarray, "items levels"]) -> Int[np.ndarray, " items"]:
    """Return a group number per item, equal for equal rows, increasing in the rows' order."""
    order = prefix_order(values)
    numbers = np.empty(len(values), dtype=np.int64)
    numbers[order] = np.cumsum(~same_as_before(values[order])) - 1
    return numbers


def level_names(levels: Sequence[Level]) -> list[str]:
    """Return readable names of the levels, such as ``code 1, code 2, digit``."""
    meanings = [level.meaning for level in levels]
    return [
        meaning if meanings.count(meaning) == 1 else f"{meaning} {meanings[:i].count(meaning) + 1}"
        for i, meaning in enumerate(meanings)
    ]
