"""Title index: finds items by words in their titles, for autocompletion and as a fallback."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Int

from palate.inference.item_view import ItemView


@dataclass(frozen=True, eq=False)
class TitleIndex:
    """Searchable texts of the items of one catalogue state."""

    rows: Int[np.ndarray, " items"]
    titles: pl.Series
    texts: pl.Series
    """Title, brand and categories of each item."""

    @classmethod
    def of(cls, rows: Int[np.ndarray, " items"], views: Sequence[ItemView]) -> "TitleIndex":
        """Index the items of some rows."""
        titles = [(view.title or view.item_id).casefold() for view in views]
        texts = [
            " ".join([title, view.brand or "", *view.categories]).casefold()
            for title, view in zip(titles, views, strict=True)
        ]
        return cls(rows, pl.Series(titles, dtype=pl.String), pl.Series(texts, dtype=pl.String))

    def find(self, words: str, most: int) -> Int[np.ndarray, " found"]:
        """Return at most ``most`` rows of items whose text contains every word.

        Titles that start with the typed text come first, then titles that contain it, then other
        matches.
        """
        typed = words.casefold().strip()
        parts = typed.split()
        if not parts:
            return self.rows[:most]
        holds = np.ones(len(self.rows), dtype=bool)
        for part in parts:
            holds &= self.texts.str.contains(part, literal=True).to_numpy()
        places = np.flatnonzero(holds)
        titles = self.titles.gather(places)
        whole = titles.str.contains(typed, literal=True).to_numpy()
        first = titles.str.starts_with(typed).to_numpy()
        order = np.argsort(-(2 * first.astype(np.int8) + whole), kind="stable")
        return self.rows[places[order[:most]]]
