"""Items found by the letters of their titles: for whoever types, and for models without search."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Int

from palate.inference.item_view import ItemView


@dataclass(frozen=True, eq=False)
class TitleIndex:
    """What can be searched of the items of one state of a catalogue."""

    rows: Int[np.ndarray, " items"]
    titles: pl.Series
    texts: pl.Series
    """Title, brand and categories."""

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
        """Return the rows of items that hold every word, at most so many.

        Titles that begin with what was typed come first, then those with it inside, then items
        found by brand or category.
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
