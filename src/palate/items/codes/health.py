"""How healthy codes are: used, even, telling; plain figures for whoever shows them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from palate.items.codes.codes import Codes, Level, group_numbers, level_names
from palate.items.codes.index import IndexMaterial, ItemIndex
from palate.items.codes.indexings import category_paths
from palate.items.codes.kmeans import sample_rows
from palate.items.vectors import ItemVectors

ASKED = 1_000
"""Items whose neighbours are looked up."""
NEIGHBOURS = 10
_BLOCK = 128


@dataclass(frozen=True)
class LevelHealth:
    """How one level's codes are used."""

    name: str
    size: int
    used: int
    """Codes that at least one item has."""
    entropy: float
    """Of the codes over the items, in bits; ``log2(size)`` where all are used alike."""

    @property
    def evenness(self) -> float:
        """Entropy as a share of the largest possible: 1 where all codes are used alike."""
        return 1.0 if self.size == 1 else self.entropy / float(np.log2(self.size))


@dataclass(frozen=True)
class PrefixHealth:
    """What the items that share their first ``length`` codes have in common."""

    length: int
    prefixes: int
    """Different ones in use."""
    largest: int
    """Items of the commonest."""
    purity: float | None
    """Share of items whose category is the commonest of their prefix."""
    purity_by_chance: float | None
    """The same with the categories dealt out at random: many prefixes are pure by themselves."""
    neighbours: float | None
    """Share of pairs of near neighbours that have the same prefix."""
    neighbours_by_chance: float
    """The same for any two items."""


@dataclass(frozen=True)
class CodeHealth:
    """All figures of one index."""

    items: int
    levels: tuple[LevelHealth, ...]
    prefixes: tuple[PrefixHealth, ...]
    colliding: int
    """Items that another item equalled before collisions were resolved."""
    largest_collision: int
    """Items of the largest group of equals, before; 1 where there was none."""
    reconstruction_error: float | None
    """Share of the vectors' variance that the learned codes lose: 0 nothing, 1 all of it."""


@dataclass(frozen=True)
class HealthEvidence:
    """What codes are judged by; what is None is left out."""

    vectors: ItemVectors | None = None
    categories: Sequence[str | None] | None = None
    decoded: Float[np.ndarray, "items dim"] | None = None
    """The vectors that the learned codes stand for."""


def index_health(
    index: ItemIndex, material: IndexMaterial, *, rng: np.random.Generator
) -> CodeHealth:
    """Judge an index of the material's catalogue."""
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
    """Judge codes, unique or not.

    Args:
        values: the codes.
        levels: one per column.
        evidence: see :class:`HealthEvidence`.
        drawn: the codes before collisions were resolved; ``values`` where nothing was.
        rng: samples the items whose neighbours are looked up, and deals categories for chance.
    """
    names = level_names(levels)
    equals = np.bincount(group_numbers(drawn)) if len(drawn) else np.zeros(1, int)
    vectors = evidence.vectors
    pairs = None if vectors is None else near_pairs(vectors, rng=rng)
    groups = [group_numbers(values[:, :length]) for length in range(1, len(levels) + 1)]
    kinds = _numbered(evidence.categories)
    dealt = None if kinds is None else _dealt(kinds, rng)
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
                purity_by_chance=_purity(group, dealt),
                neighbours=_together(group, pairs),
                neighbours_by_chance=_together_by_chance(group),
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
    """Return pairs of items: some sampled ones, each with the items nearest by cosine."""
    there = np.flatnonzero(vectors.present)
    count = min(NEIGHBOURS, len(there) - 1)
    if count < 1:
        return np.zeros((0, 2), dtype=np.int64)
    known = vectors.values if len(there) == len(vectors) else vectors.values[there]
    lengths = np.maximum(np.linalg.norm(known, axis=1), 1e-9)
    asked = sample_rows(len(there), ASKED, rng)
    found = []
    for start in range(0, len(asked), _BLOCK):
        rows = asked[start : start + _BLOCK]
        scores = known[rows] @ known.T / lengths
        scores[np.arange(len(rows)), rows] = -np.inf
        nearest = np.argpartition(-scores, count - 1, axis=1)[:, :count]
        found.append(np.stack([np.repeat(rows, count), nearest.ravel()], axis=1))
    return np.asarray(there[np.concatenate(found)])


def lost_variance(vectors: ItemVectors, decoded: Float[np.ndarray, "items dim"]) -> float:
    """Return ``sum |x - decoded|^2 / sum |x - mean|^2`` over the items that have a vector."""
    known, there = vectors.values[vectors.present], vectors.present
    spread = np.square(known - known.mean(axis=0)).sum(dtype=np.float64)
    error = np.square(known - decoded[there]).sum(dtype=np.float64)
    return float(error / max(spread, 1e-12))


def summary(codes: Codes) -> str:
    """Return ``3 levels of 256, 256, 16 codes, version 0123...``: codes in one line."""
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


def _dealt(kinds: Int[np.ndarray, " items"], rng: np.random.Generator) -> Int[np.ndarray, " items"]:
    dealt = kinds.copy()
    dealt[kinds >= 0] = rng.permutation(kinds[kinds >= 0])
    return dealt


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


def _together(
    group: Int[np.ndarray, " items"], pairs: Int[np.ndarray, "pairs 2"] | None
) -> float | None:
    if pairs is None or not len(pairs):
        return None
    return float((group[pairs[:, 0]] == group[pairs[:, 1]]).mean())


def _together_by_chance(group: Int[np.ndarray, " items"]) -> float:
    counts = np.bincount(group).astype(np.float64)
    total = len(group)
    return float((counts * (counts - 1)).sum() / max(1, total * (total - 1)))
