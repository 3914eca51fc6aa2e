"""Codes that are not learned from vectors: numberings, clusters, categories, titles, own tokens.

They follow Hua et al. 2023, "How to index item IDs for recommendation foundation models". Their
leaf token is our extra digit, and their hybrids are ``unique = "own-token"``.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Literal

import numpy as np
import polars as pl
from jaxtyping import Int
from pydantic import BaseModel, ConfigDict, PositiveInt

from palate.items.codes.codes import Level
from palate.items.codes.collisions import Drawn
from palate.items.codes.spectral import cluster_paths, cooccurrence
from palate.types import History

_WORD = re.compile(r"[^\W_]+")


class RandomConfig(BaseModel):
    """A random number for each item, in ``levels`` digits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["random"] = "random"
    unique: Literal["none", "own-token"] = "none"
    levels: PositiveInt = 3


class SequentialConfig(BaseModel):
    """Numbers in the order in which items first occur, user by user, in the training events."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["sequential"] = "sequential"
    unique: Literal["none", "own-token"] = "none"
    levels: PositiveInt = 3


class CollaborativeConfig(BaseModel):
    """The path through a tree of clusters of items that the same users chose."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["collaborative"] = "collaborative"
    unique: Literal["digit", "own-token"] = "digit"
    clusters: PositiveInt = 20
    """Number of clusters per split; 10 to 20 were best in the paper."""
    leaf: PositiveInt = 200
    """Clusters of at most this size are not split; the paper uses 200 to 1000."""
    newest: PositiveInt = 100
    """Number of newest events of a user that count."""


class SemanticConfig(BaseModel):
    """The path of categories in the catalogue."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["semantic"] = "semantic"
    unique: Literal["digit", "own-token"] = "digit"
    levels: PositiveInt = 3
    """Categories deeper than this are left out."""


class TitleConfig(BaseModel):
    """The first words of the title."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["title"] = "title"
    unique: Literal["digit", "own-token"] = "digit"
    levels: PositiveInt = 6


class ItemTokenConfig(BaseModel):
    """One token per item and nothing else."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["item-token"] = "item-token"
    unique: Literal["none"] = "none"


def random_codes(config: RandomConfig, num_items: int, *, rng: np.random.Generator) -> Drawn:
    """Number the items in a random order."""
    return _numbering(rng.permutation(num_items), config.levels)


def sequential_codes(
    config: SequentialConfig,
    sequences: Sequence[History],
    num_items: int,
    *,
    rng: np.random.Generator,
) -> Drawn:
    """Number the items in the order of their first occurrence in the training histories.

    Users come in random order; items without a training event come last, in random order.
    Numbering by all events would leak: the next item would often have the number after that of the
    last one.

    Args:
        config: see :class:`SequentialConfig`.
        sequences: training events only.
        num_items: size of the catalogue.
        rng: draws the order of the users and of the items without events.
    """
    walked = [sequences[user].item_rows for user in rng.permutation(len(sequences))]
    met = np.concatenate([*walked, rng.permutation(num_items)]).astype(np.int64)
    _, first = np.unique(met, return_index=True)
    numbers = np.empty(num_items, dtype=np.int64)
    numbers[np.argsort(first, kind="stable")] = np.arange(num_items)
    return _numbering(numbers, config.levels)


def collaborative_codes(
    config: CollaborativeConfig,
    sequences: Sequence[History],
    num_items: int,
    *,
    rng: np.random.Generator,
) -> Drawn:
    """Cluster the items by the users who chose them in training, recursively."""
    graph = cooccurrence(sequences, num_items, config.newest)
    paths = cluster_paths(graph, num_clusters=config.clusters, leaf=config.leaf, rng=rng)
    levels = tuple(
        Level("cluster", int(column.max(initial=0)) + 1, blank=True) for column in paths.T
    )
    return Drawn(paths, levels)


def semantic_codes(config: SemanticConfig, table: pl.DataFrame) -> Drawn:
    """Code the category path of each item of the catalogue's table."""
    return _path_codes([path[: config.levels] for path in category_paths(table)], "category")


def title_codes(config: TitleConfig, titles: Sequence[str]) -> Drawn:
    """Code the first words of each title, in lower case; all levels share one alphabet."""
    return _path_codes(
        [_WORD.findall(title.lower())[: config.levels] for title in titles],
        "word",
        one_alphabet=True,
    )


def item_tokens(num_items: int) -> Drawn:
    """Return the row of each item, which is random and uninformative."""
    values = np.arange(num_items, dtype=np.int32)[:, None]
    return Drawn(values, (Level("item", num_items),))


def category_paths(table: pl.DataFrame) -> list[list[str]]:
    """Return each item's categories, from general to special, without those that all items share.

    It uses the first list of the column ``category_paths`` if the catalogue has it, else
    ``categories``; the path of an item without categories is empty.
    """
    column = pl.col("categories").cast(pl.List(pl.String))
    if table.schema.get("category_paths") == pl.List(pl.List(pl.String)):
        column = pl.coalesce(pl.col("category_paths").list.first(), column)
    paths = [path or [] for path in table.select(column).to_series().to_list()]
    given = [path for path in paths if path]
    counts = Counter(name for path in given for name in set(path))
    everywhere = {name for name, count in counts.items() if count == len(given) > 1}
    return [
        [name for name in dict.fromkeys(path) if name and name not in everywhere] for path in paths
    ]


def _numbering(numbers: Int[np.ndarray, " items"], levels: int) -> Drawn:
    """Code numbers in the smallest base in which ``levels`` digits are enough for all items."""
    base = max(2, math.ceil(len(numbers) ** (1 / levels) - 1e-9))
    powers = base ** np.arange(levels - 1, -1, -1)
    values = (numbers[:, None] // powers % base).astype(np.int32)
    return Drawn(values, (Level("number", base),) * levels)


def _path_codes(
    paths: Sequence[Sequence[str]],
    meaning: Literal["category", "word"],
    *,
    one_alphabet: bool = False,
) -> Drawn:
    """Turn paths of words into codes; 0 is padding, other codes are in alphabetical order."""
    depth = max((len(path) for path in paths), default=0)
    used = [sorted({path[i] for path in paths if len(path) > i}) for i in range(depth)]
    if one_alphabet:
        used = [sorted({word for words in used for word in words})] * depth
    values = np.zeros((len(paths), depth), dtype=np.int32)
    for level, words in enumerate(used):
        code_of = {word: code for code, word in enumerate(words, start=1)}
        values[:, level] = [code_of[path[level]] if len(path) > level else 0 for path in paths]
    levels = tuple(Level(meaning, len(words) + 1, True, ("", *words)) for words in used)
    return Drawn(values, levels)
