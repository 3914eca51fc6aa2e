"""From what a model said to items that exist, as BIGRec does after its first step.

Users of BIGRec have the hidden states of their model; through an endpoint there are only words. A
title that is said exactly stands for its items; else a title that the text names; else the words of
the text are compared with those of all titles.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from palate.data.catalog import Catalog
from palate.inference.item_view import ItemView
from palate.items.text import TextEncoder, TfidfSvdEncoder
from palate.trust.names import Names, is_cased, phrase_of, words_of

Ground = Literal["exact title", "title named in it", "words alike", "nothing"]

_DIM = 256
_MOST_WORDS = 60


class Grounding:
    """The titles of one state of the catalogue."""

    def __init__(self, views: Sequence[ItemView], names: Names) -> None:
        """Read the titles; ``names`` are those of the training catalogue."""
        self._titles = [view.title or "" for view in views]
        self._names = names

    def distances(self, said: str) -> tuple[Float[np.ndarray, " items"] | None, Ground]:
        """Return the distance from 0 to 1 of every item to what was said, and how it was found.

        ``(1 - cos(e(said), e(title))) / 2`` with TF-IDF vectors e, and 0 for the items of a title
        that was said or named. None where no word of it is in any title.
        """
        rows, ground = self._named(said)
        # Encoders scale vectors to the square root of their width.
        like = self._encoder.encode([self._titles[rows[0]] if len(rows) else said])
        if not len(rows) and not like.present[0]:
            return None, "nothing"
        distances = (1 - self._vectors @ like.values[0] / like.dim) / 2
        distances[rows] = 0.0
        return np.asarray(distances), ground

    def _named(self, said: str) -> tuple[Int[np.ndarray, " rows"], Ground]:
        exact = self._by_phrase.get(phrase_of(said))
        if exact is not None:
            return np.asarray(exact), "exact title"
        words = words_of(said)[:_MOST_WORDS]
        found = [
            each for each in self._names.find(words, cased=is_cased(said)) if each.kind == "title"
        ]
        if not found:
            return np.zeros(0, dtype=np.int64), "words alike"
        longest = max(found, key=lambda each: each.last - each.first)
        return np.asarray(sorted(longest.rows)), "title named in it"

    @cached_property
    def _by_phrase(self) -> dict[tuple[str, ...], list[int]]:
        rows: dict[tuple[str, ...], list[int]] = {}
        for row, title in enumerate(self._titles):
            if phrase := phrase_of(title):
                rows.setdefault(phrase, []).append(row)
        return rows

    @cached_property
    def _encoder(self) -> TextEncoder:
        return TfidfSvdEncoder.fit(self._titles, dim=_DIM, rng=np.random.default_rng(0))

    @cached_property
    def _vectors(self) -> Float[np.ndarray, "items dim"]:
        return self._encoder.encode(self._titles).values


def names_of(catalog: Catalog) -> Names:
    """Return the names of a catalogue; ordinary writing is that of its descriptions."""
    texts = catalog.table["description"].drop_nulls().to_list()
    return Names.of(catalog, texts, common_share=0.001)


def drawn_to(
    distances: Float[np.ndarray, " items"], scores: Float[np.ndarray, " items"], gamma: float
) -> Float[np.ndarray, " items"]:
    """Return ``D / (1 + W) ** gamma``, BIGRec's distance drawn to a recommender.

    D and W are ``distances`` and ``scores``, each scaled to 0..1 among the items.
    """
    return np.asarray(_scaled(distances) / (1 + _scaled(scores)) ** gamma)


def _scaled(values: Float[np.ndarray, " items"]) -> Float[np.ndarray, " items"]:
    low, spread = values.min(), values.max() - values.min()
    return np.asarray((values - low) / (spread or 1.0), dtype=float)
