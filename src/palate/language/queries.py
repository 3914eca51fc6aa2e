"""Synthetic search queries for each item, made from the catalogue."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from palate.data.catalog import Catalog

_WORD = re.compile(r"\w[\w'-]*")


@dataclass(frozen=True)
class QueryPool:
    """Queries of every item: item ``i`` has the queries ``offsets[i]:offsets[i + 1]``."""

    texts: Sequence[str]
    offsets: Int[np.ndarray, " bounds"]

    @property
    def num_items(self) -> int:
        """Number of items in the catalogue."""
        return len(self.offsets) - 1

    def choose(self, item_row: int, rng: np.random.Generator) -> int | None:
        """Return the index of a random query of the item; None where it has none."""
        start, end = int(self.offsets[item_row]), int(self.offsets[item_row + 1])
        return int(rng.integers(start, end)) if end > start else None


def make_queries(catalog: Catalog, per_item: int, *, seed: int) -> QueryPool:
    """Make up to ``per_item`` queries for each item from its title, brand, categories and tags.

    In turn: a run of one to four words of the title; some of its words in any order, perhaps with
    the brand; the finest category with a word of the title; the whole title. Items without any text
    get none.
    """
    rng = np.random.default_rng([seed, 0x9E37])
    wanted = [
        name for name in ("title", "brand", "categories", "tags") if name in catalog.table.columns
    ]
    texts: list[str] = []
    offsets = [0]
    for row in catalog.table.select(wanted).iter_rows(named=True):
        words = _WORD.findall(row.get("title") or "")
        names = [row.get("brand") or ""], list(row.get("categories") or []), _tags(row.get("tags"))
        found = {_query(turn, words, *names, rng) for turn in range(per_item)}
        texts += sorted(found - {""})
        offsets.append(len(texts))
    return QueryPool(texts, np.asarray(offsets))


def _tags(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [str(tag) for tag in value] if isinstance(value, list) else []


def _query(
    turn: int,
    words: Sequence[str],
    brand: Sequence[str],
    categories: Sequence[str],
    tags: Sequence[str],
    rng: np.random.Generator,
) -> str:
    count = int(rng.integers(1, 5))
    start = int(rng.integers(max(1, len(words) - count + 1)))
    run = " ".join(words[start : start + count])
    some = " ".join(rng.permutation(np.asarray(words, dtype=object))[:count])
    if turn % 4 == 3:
        return " ".join(words)
    if turn % 4 == 1:
        return f"{brand[0]} {some}".strip()
    if turn % 4 == 2 and (tags or categories):
        label = (
            tags[int(rng.integers(len(tags)))]
            if tags and rng.random() < 0.5
            else (categories or tags)[-1]
        )
        return f"{label} {some.split(' ')[0] if some and rng.random() < 0.5 else ''}".strip()
    return run
