"""User profiles from catalogue facts: the categories and brands of the items."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Int

from palate.data.catalog import Catalog
from palate.language.text.plain import one_line

_MAX_NAME = 60
_LEAST_OF_BRAND = 2


@dataclass(frozen=True, slots=True)
class Taste:
    """What stands out among some items."""

    categories: tuple[str, ...]
    """Two at most."""
    brand: str
    """Empty where none occurs twice."""


@dataclass(frozen=True)
class Facts:
    """Category names and brand of each item."""

    categories: Sequence[Sequence[str]]
    brands: Sequence[str]
    """Empty where an item has none."""

    @classmethod
    def of(cls, catalog: Catalog) -> "Facts":
        """Read the facts of a catalogue."""
        table = catalog.table
        categories = table["categories"].to_list()
        return cls(
            [tuple(one_line(name, _MAX_NAME) for name in found or ()) for found in categories],
            [one_line(brand or "", _MAX_NAME) for brand in table["brand"].to_list()],
        )

    def profile(self, item_rows: Int[np.ndarray, " events"]) -> str | None:
        """Return one sentence about the taste behind these items; None without facts.

        It names the category with the highest tf-idf (count among the items times the logarithm of
        its rarity in the catalogue), the highest among the items outside that category, and the
        most frequent brand, if it occurs at least twice. Ties are broken by alphabet.

        Example:
            >>> categories = [["Lamps"], ["Lamps"], ["Chairs"], ["Rugs"], []]
            >>> facts = Facts(categories, ["Oak", "Oak", "", "", ""])
            >>> facts.profile(np.asarray([0, 1, 2]))
            'likes Lamps and Chairs, often from Oak'
        """
        taste = self.taste(item_rows)
        if not taste.categories:
            return f"often chooses {taste.brand}" if taste.brand else None
        return f"likes {' and '.join(taste.categories)}" + (
            f", often from {taste.brand}" if taste.brand else ""
        )

    def taste(self, item_rows: Int[np.ndarray, " events"]) -> "Taste":
        """Return the facts of :meth:`profile` as data."""
        rows = item_rows.tolist()
        liked: list[str] = []
        rest = rows
        while len(liked) < 2 and (category := self._standing_out(rest)) is not None:
            liked.append(category)
            rest = [row for row in rest if category not in self.categories[row]]
        brands = Counter(self.brands[row] for row in rows if self.brands[row])
        brand, times = min(brands.items(), key=lambda b: (-b[1], b[0]), default=("", 0))
        return Taste(tuple(liked), brand if times >= _LEAST_OF_BRAND else "")

    def _standing_out(self, rows: Sequence[int]) -> str | None:
        counts = Counter(name for row in rows for name in set(self.categories[row]) if name)
        worth = {name: count * self._rarity[name] for name, count in counts.items()}
        best = min(worth, key=lambda name: (-worth[name], name), default=None)
        return best if best is not None and worth[best] > 0 else None

    @cached_property
    def _rarity(self) -> dict[str, float]:
        """``log(items / items of the category)`` for each category."""
        counts = Counter(name for names in self.categories for name in set(names))
        return {name: math.log(len(self.categories) / count) for name, count in counts.items()}
