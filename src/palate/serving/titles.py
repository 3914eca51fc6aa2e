"""Items by the letters of their titles: for whoever types, and for models that read no words."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Int

from palate.serving.pool import Served


@dataclass(frozen=True, eq=False)
class _Index:
    """What can be searched of one model's items as of one change."""

    changes: int
    rows: Int[np.ndarray, " items"]
    titles: pl.Series
    texts: pl.Series
    """Title, brand and categories."""


class Titles:
    """Finds items by title, brand and category; an index is made when the items have changed."""

    def __init__(self) -> None:
        """Start without an index."""
        self._of: dict[str, _Index] = {}

    def find(self, served: Served, words: str, most: int) -> Int[np.ndarray, " found"]:
        """Return the rows of items that hold every word, at most so many.

        Titles that begin with what was typed come first, then those with it inside, then items
        found by brand or category.
        """
        index = self._index(served)
        typed = words.casefold().strip()
        parts = typed.split()
        if not parts:
            return index.rows[:most]
        holds = np.ones(len(index.rows), dtype=bool)
        for part in parts:
            holds &= index.texts.str.contains(part, literal=True).to_numpy()
        places = np.flatnonzero(holds)
        titles = index.titles.gather(places)
        whole = titles.str.contains(typed, literal=True).to_numpy()
        first = titles.str.starts_with(typed).to_numpy()
        order = np.argsort(-(2 * first.astype(np.int8) + whole), kind="stable")
        return index.rows[places[order[:most]]]

    def forget(self, version: str) -> None:
        """Drop the index of a model that is no longer loaded."""
        self._of.pop(version, None)

    def _index(self, served: Served) -> _Index:
        known = self._of.get(served.live.version)
        if known is not None and known.changes == served.changes:
            return known
        rows = np.fromiter(served.live.listed(), dtype=np.int64)
        views = served.live.views(rows)
        titles = [(view.title or view.item_id).casefold() for view in views]
        texts = [
            " ".join([title, view.brand or "", *view.categories]).casefold()
            for title, view in zip(titles, views, strict=True)
        ]
        index = _Index(
            served.changes,
            rows,
            pl.Series(titles, dtype=pl.String),
            pl.Series(texts, dtype=pl.String),
        )
        self._of[served.live.version] = index
        return index
