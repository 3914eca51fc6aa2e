"""Quality of codes: use, evenness, purity, neighbourhoods, collisions, reconstruction error."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from palate.items.codes.codes import Codes, Level, group_numbers, level_names
from palate.items.codes.index import IndexMaterial, ItemIndex
from palate.items.codes.indexings import category_paths
from palate.items.codes.kmeans import sample_rows
from palate.items.vectors import ItemVectors

SAMPLED_ITEMS = 1_000
"""Number of sampled items whose neighbours are compared."""
NEIGHBOURS = 10
_BLOCK = 128


@dataclass(frozen=True)
class LevelHealth:
    """Use of the codes of one level."""

    name: str
    size: int
    used: int
    """Number of codes that at least one item has."""
    entropy: float
    """Entropy of the codes over the items in bits; ``log2(size)`` if all are equally frequent."""

    @property
    def evenness(self) -> float:
        """Entropy divided by its maximum; 1 if all codes are equally frequent."""
        return 1.0 if self.size == 1 else self.entropy / float(np.log2(self.size))


@dataclass(frozen=True)
class PrefixHealth:
    """How similar items with the same first ``length`` codes are."""

    length: int
    prefixes: int
    """Number of different prefixes in use."""
    largest: int
    """Number of items of the most frequent prefix."""
    purity: float | None
    """Share of items whose category is the most frequent one of their prefix."""
    purity_by_chance: float | None
    """Purity with shuffled categories; small prefixes are pure by chance."""
    neighbours: float | None
    """Share of pairs of near neighbours that have the same prefix."""
    neighbours_by_chance: float
    """The same share for random pairs of items."""


@dataclass(frozen=True)
class CodeHealth:
    """All figures of one index."""

    items: int
    levels: tuple[LevelHealth, ...]
    prefixes: tuple[PrefixHealth, ...]
    colliding: int
    """Number of items with the codes of another item before collisions were resolved."""
    largest_collision: int
    """Size of the largest group of equal codes before; 1 without collisions."""
    reconstruction_error: float | None
    """Share of the vectors' variance that the learned codes lose, from 0 to 1."""


@dataclass(frozen=True)
class HealthEvidence:
    """Data to evaluate codes with; figures that need missing data are left out."""

    vectors: ItemVectors | None = None
    categories: Sequence[str | None] | None = None
    decoded: Float[np.ndarray, "items dim"] | None = None
    """The vectors that the learned codes decode to."""


def index_health(
    index: ItemIndex, material: IndexMaterial, *, rng: np.random.Generator
) -> CodeHealth:
    """Evaluate an index of the material's catalogue."""
    codes, vectors, quantiser = index.codes, material.vectors, index.quantiser
    drawn = codes.values[:, : codes.num_telling]
    decoded = None
    if quantiser is not None and vectors is not None:
        drawn = quantiser.encode(vectors.values)
        decoded = quantiser.decode(codes.values[:, : codes.num_telling])
    categories = [path[0] if path else None for path in category_paths(material.catalog.table)]
    evidence = HealthEvidence(vectors, categories, decoded)
    return code_health(codes.values, codes.levels, evidence, drawn=drawn, rng=rng)


def code_health(
    values: Int[np.ndarray, "items levels"],
    levels: tuple[Level, ...],
    evidence: HealthEvidence,
    *,
    drawn: Int[np.ndarray, "items telling"],
    rng: np.random.Generator,
) -> CodeHealth:
    """Evaluate codes, unique or not.

    Args:
        values: the codes.
        levels: one per column.
        evidence: see :class:`HealthEvidence`.
        drawn: the codes before collisions were resolved; else ``values``.
        rng: samples the items whose neighbours are compared, and shuffles the categories.
    """
    names = level_names(levels)
    equals = np.bincount(group_numbers(drawn)) if len(drawn) else np.zeros(1, int)
    vectors = evidence.vectors
    pairs = None if vectors is None else near_pairs(vectors, rng=rng)
    groups = [group_numbers(values[:, :length]) for length in range(1, len(levels) + 1)]
    kinds = _numbered(evidence.categories)
    shuffled = None if kinds is None else _shuffled(kinds, rng)
    return CodeHealth(
        items=len(values),
        levels=tuple(
            _level_health(name, level.size, values[:, place])
            for place, (name, level) in enumerate(zip(names, levels, strict=True))
        ),
        prefixes=tuple(
            PrefixHealth(
                length=length,
                prefixes=int(group.max(initial=-1)) + 1,
                largest=int(np.bincount(group).max(initial=0)),
                purity=_purity(group, kinds),
                purity_by_chance=_purity(group, shuffled),
                neighbours=_share_together(group, pairs),
                neighbours_by_chance=_share_together_by_chance(group),
            )
            for length, group in enumerate(groups, start=1)
        ),
        colliding=int(equals[equals > 1].sum()),
        largest_collision=int(equals.max(initial=1)),
        reconstruction_error=None
        if vectors is None or evidence.decoded is None
        else lost_variance(vectors, evidence.decoded),
    )


def near_pairs(vectors: ItemVectors, *, rng: np.random.Generator) -> Int[np.ndarray, "pairs 2"]:
    """Return pairs of sampled items and their nearest items by cosine."""
    there = np.flatnonzero(vectors.present)
    count = min(NEIGHBOURS, len(there) - 1)
    if count < 1:
        return np.zeros((0, 2), dtype=np.int64)
    known = vectors.values if len(there) == len(vectors) else vectors.values[there]
    lengths = np.maximum(np.linalg.norm(known, axis=1), 1e-9)
    sampled = sample_rows(len(there), SAMPLED_ITEMS, rng)
    found = []
    for start in range(0, len(sampled), _BLOCK):
        rows = sampled[start : start + _BLOCK]
        scores = known[rows] @ known.T / lengths
        scores[np.arange(len(rows)), rows] = -np.inf
        nearest = np.argpartition(-scores, count - 1, axis=1)[:, :count]
        found.append(np.stack([np.repeat(rows, count), nearest.ravel()], axis=1))
    return np.asarray(there[np.concatenate(found)])


def lost_variance(vectors: ItemVectors, decoded: Float[np.ndarray, "items dim"]) -> float:
    """Return ``sum |x - decoded|^2 / sum |x - mean|^2`` over the items with a vector."""
    known, there = vectors.values[vectors.present], vectors.present
    spread = np.square(known - known.mean(axis=0)).sum(dtype=np.float64)
    error = np.square(known - decoded[there]).sum(dtype=np.float64)
    return float(error / max(spread, 1e-12))


def summary(codes: Codes) -> str:
    """Return a line such as ``3 levels of 256, 256, 16 codes, version 0123...``."""
    sizes = ", ".join(f"{size:,}" for size in codes.sizes)
    return f"{codes.num_levels} levels of {sizes} codes, version {codes.version}"


def _level_health(name: str, size: int, column: Int[np.ndarray, " items"]) -> LevelHealth:
    counts = np.bincount(column, minlength=size)
    shares = counts[counts > 0] / max(1, len(column))
    entropy = float(-(shares * np.log2(shares)).sum())
    return LevelHealth(name, size, used=int((counts > 0).sum()), entropy=max(0.0, entropy))


def _numbered(categories: Sequence[str | None] | None) -> Int[np.ndarray, " items"] | None:
    """Return a number per category, -1 for none; None where no item has one."""
    if categories is None or not any(categories):
        return None
    number_of = {name: i for i, name in enumerate(sorted({c for c in categories if c}))}
    return np.asarray([number_of[name] if name else -1 for name in categories])


def _shuffled(
    kinds: Int[np.ndarray, " items"], rng: np.random.Generator
) -> Int[np.ndarray, " items"]:
    shuffled = kinds.copy()
    shuffled[kinds >= 0] = rng.permutation(kinds[kinds >= 0])
    return shuffled


def _purity(
    group: Int[np.ndarray, " items"], kinds: Int[np.ndarray, " items"] | None
) -> float | None:
    if kinds is None:
        return None
    known = kinds >= 0
    pairs, counts = np.unique(
        np.stack([group[known], kinds[known]], axis=1), axis=0, return_counts=True
    )
    best = np.zeros(int(group.max()) + 1, dtype=np.int64)
    np.maximum.at(best, pairs[:, 0], counts)
    return float(best.sum() / known.sum())


def _share_together(
    group: Int[np.ndarray, " items"], pairs: Int[np.ndarray, "pairs 2"] | None
) -> float | None:
    if pairs is None or not len(pairs):
        return None
    return float((group[pairs[:, 0]] == group[pairs[:, 1]]).mean())


def _share_together_by_chance(group: Int[np.ndarray, " items"]) -> float:
    counts = np.bincount(group).astype(np.float64)
    total = len(group)
    return float((counts * (counts - 1)).sum() / max(1, total * (total - 1)))
