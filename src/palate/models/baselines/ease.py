"""EASE: a linear item-to-item model fitted in closed form (Steck 2019)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field, PositiveFloat, PositiveInt
from scipy.linalg import lapack
from scipy.sparse import csr_array, vstack

from palate.errors import ConfigError
from palate.models.baselines.baseline import Baseline, BaselineSettings, read_config, write_baseline
from palate.models.baselines.itemweights import ItemWeights
from palate.models.baselines.popularity import item_shares
from palate.models.baselines.recency import history_matrix
from palate.models.baselines.trainer import FIRST_SEED, Fitting
from palate.types import History

_ITEMS_AT_ONCE = 512


class EaseConfig(BaselineSettings):
    """Settings of :class:`Ease`."""

    kind: Literal["ease"] = "ease"
    regularisation: PositiveFloat = 100.0
    """Lambda, the ridge penalty."""
    decay: Annotated[float, Field(gt=0, le=1)] = 0.7
    """Weight of an event against the one after it, in prediction; 1 is the plain method."""
    keep: PositiveInt | None = 500
    """Number of weights kept per scored item, the largest in absolute value; None keeps all.

    With ``decay`` the dropped weights do not matter (Beauty and ML-1M: NDCG@10 within 0.003); the
    plain method loses a little on dense data (ML-1M: recall@10 0.092 instead of 0.098).
    """
    max_items: PositiveInt = 40_000
    """Larger catalogues are refused: memory grows with the square of the size, time with its cube.
    """


@dataclass(frozen=True, eq=False)
class Ease(Baseline):
    """Ridge regression of every item on all others.

    ``B = argmin |X - X B|^2 + lambda |B|^2`` with a zero diagonal, which is ``B[i, j] =
    -P[i, j] / P[j, j]`` for i != j and ``P = (X'X + lambda I)^-1``; X is users x items, 0 or 1.
    Recency (``decay``) enters only the prediction; the fit is Steck's.
    """

    settings = EaseConfig

    config: EaseConfig
    weights: ItemWeights

    @classmethod
    def fit(
        cls,
        config: EaseConfig,
        sequences: Sequence[History],
        num_items: int,
        fitting: Fitting = FIRST_SEED,
    ) -> "Ease":
        """Invert the regularised item-item counts, in place and in single precision.

        Raises:
            ConfigError: when the catalogue is larger than ``max_items``.
        """
        if num_items > config.max_items:
            raise ConfigError(
                f"EASE on {num_items:,} items needs {8 * num_items**2 / 1e9:.0f} GB of memory; "
                f"max_items allows {config.max_items:,} items.",
                hint="Use the recipe itemknn, or a higher limit: --set baseline.max_items=N",
            )
        bags = history_matrix(sequences, num_items)
        counts = (bags.T @ bags).toarray()
        np.fill_diagonal(counts, counts.diagonal() + config.regularisation)
        matrix = _regression_weights(_inverse(counts), config.keep)
        return cls(config, ItemWeights(matrix, item_shares(sequences, num_items)))

    def score(self, histories: Sequence[History]) -> Float[np.ndarray, "users items"]:
        """Return the regression's prediction for each item."""
        return self.weights.score(histories, self.config.decay)

    def save(self, folder: Path) -> None:
        """Write the settings and the kept weights."""
        write_baseline(folder, self.config, self.weights.arrays())

    @classmethod
    def load(cls, folder: Path) -> "Ease":
        """Read what :meth:`save` wrote."""
        return cls(read_config(folder, EaseConfig), ItemWeights.read(folder))


def _inverse(matrix: Float[np.ndarray, "items items"]) -> Float[np.ndarray, "items items"]:
    """Return the lower triangle of the inverse of a symmetric positive definite matrix.

    It uses the Cholesky factor and overwrites ``matrix``: half the work and a quarter of the
    memory of a general inverse.
    """
    # LAPACK reads by columns, so it sees the transpose, which is equal here: nothing is copied.
    factor, failed = lapack.spotrf(matrix.T, lower=1, clean=0, overwrite_a=1)
    assert not failed, "X'X + lambda I is positive definite"
    inverse: Float[np.ndarray, "items items"]
    inverse, failed = lapack.spotri(factor, lower=1, overwrite_c=1)
    assert not failed, "a Cholesky factor has no zero on its diagonal"
    return inverse


def _regression_weights(lower: Float[np.ndarray, "items items"], keep: int | None) -> csr_array:
    """Return B from the lower triangle of P, block of columns by block, cut to ``keep``."""
    num_items = len(lower)
    diagonal = lower.diagonal()
    columns = []
    for start in range(0, num_items, _ITEMS_AT_ONCE):
        end = min(start + _ITEMS_AT_ONCE, num_items)
        # P[:, start:end]; entries above the diagonal are filled from below it by symmetry.
        block = lower[:, start:end].copy()
        block[:start] = lower[start:end, :start].T
        square = np.tril(block[start:end])
        block[start:end] = square + np.tril(square, -1).T
        block /= -diagonal[start:end]
        block[np.arange(start, end), np.arange(end - start)] = 0
        columns.append(_largest(block, keep))
    return vstack(columns, format="csr").T.tocsr()


def _largest(block: Float[np.ndarray, "items columns"], keep: int | None) -> csr_array:
    """Return the transposed block with only the ``keep`` largest absolute values per column."""
    rows = np.ascontiguousarray(block.T)
    if keep is not None and keep < rows.shape[1]:
        size = np.abs(rows)
        boundary = np.partition(size, -keep, axis=1)[:, -keep, None]
        rows[size < boundary] = 0
    return csr_array(rows)
