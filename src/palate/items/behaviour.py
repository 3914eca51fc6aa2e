"""Item vectors from co-occurrence in the training events.

They are a frozen fourth modality besides text, image and attributes. They give the model the
collaborative signal that ID embeddings would have to learn from few events per item.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Int
from pydantic import BaseModel, ConfigDict
from scipy import sparse

from palate.items.rating_vectors import rating_vectors
from palate.items.vectors import ItemVectors
from palate.types import History


class BehaviourConfig(BaseModel):
    """Settings of behaviour vectors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["cooccurrence", "ratings"] = "cooccurrence"
    """Source of the vectors: items chosen close to each other, or ratings."""
    dim: int = 128
    window: int = 10
    """Maximum distance of two events that count as co-occurring."""
    smoothing: float = 0.75
    """Exponent on the context counts; it reduces the bias towards rare items (Levy et al. 2015)."""


def behaviour_vectors(
    sequences: Sequence[History], num_items: int, config: BehaviourConfig, *, seed: int
) -> ItemVectors:
    """Factorise the positive pointwise mutual information of items that occur near one another.

    ``C[i, j]`` sums ``1 / distance`` over all pairs of events within the window, in both
    directions; ``PPMI[i, j] = max(0, log(C[i, j] * |C| / (C[i] * C'[j])))`` with ``C'`` the
    smoothed context counts; the vectors are ``U * sqrt(S)`` of its truncated singular value
    decomposition, each scaled to length ``sqrt(dim)`` (Levy & Goldberg 2014, whose result makes
    this what item2vec approximates).

    Args:
        sequences: training events only; others would leak the answers.
        num_items: size of the catalogue.
        config: see :class:`BehaviourConfig`.
        seed: seed of the randomised decomposition.

    Returns:
        Vectors of ``min(config.dim, num_items - 1)`` dimensions; absent for items without
        co-occurrences.
    """
    if config.kind == "ratings":
        return rating_vectors(sequences, num_items, config.dim, seed=seed)
    from sklearn.decomposition import TruncatedSVD

    ppmi = _ppmi(_cooccurrence(sequences, num_items, config.window), config.smoothing)
    dim = min(config.dim, num_items - 1)
    if ppmi.nnz == 0 or dim < 1:
        return ItemVectors(
            np.zeros((num_items, max(dim, 1)), np.float32), np.zeros(num_items, bool)
        )
    svd = TruncatedSVD(dim, random_state=seed)
    scaled = svd.fit_transform(ppmi) / np.sqrt(svd.singular_values_ + 1e-9)
    lengths = np.linalg.norm(scaled, axis=1, keepdims=True)
    present = lengths[:, 0] > 1e-6
    values = np.where(present[:, None], scaled / np.maximum(lengths, 1e-6) * np.sqrt(dim), 0)
    return ItemVectors(values.astype(np.float32), present)


def _cooccurrence(sequences: Sequence[History], num_items: int, window: int) -> sparse.csr_matrix:
    rows, users = _flat(sequences)
    counts = sparse.csr_matrix((num_items, num_items), dtype=np.float64)
    for distance in range(1, window + 1):
        same = users[distance:] == users[:-distance]
        first, second = rows[:-distance][same], rows[distance:][same]
        weight = np.full(len(first), 1 / distance)
        counts += sparse.coo_matrix((weight, (first, second)), shape=counts.shape).tocsr()
    return (counts + counts.T).tocsr()


def _flat(
    sequences: Sequence[History],
) -> tuple[Int[np.ndarray, " events"], Int[np.ndarray, " events"]]:
    lengths = [len(history) for history in sequences]
    rows = np.concatenate([history.item_rows for history in sequences] or [np.zeros(0, np.int64)])
    return rows, np.repeat(np.arange(len(lengths)), lengths)


def _ppmi(counts: sparse.csr_matrix, smoothing: float) -> sparse.csr_matrix:
    totals = np.asarray(counts.sum(axis=1)).ravel()
    context = totals**smoothing
    context = context / max(context.sum(), 1e-12)
    entries = counts.tocoo()
    expected = totals[entries.row] * context[entries.col]
    information = np.log(np.maximum(entries.data / np.maximum(expected, 1e-12), 1e-12))
    keep = information > 0
    kept = (information[keep], (entries.row[keep], entries.col[keep]))
    return sparse.csr_matrix(kept, shape=counts.shape)
