"""A sparse matrix of item-to-item weights, which item-kNN and EASE share."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_array

from palate.models.baselines.baseline import read_arrays
from palate.models.baselines.popularity import fill_silent
from palate.models.baselines.recency import history_matrix
from palate.types import History


@dataclass(frozen=True, eq=False)
class ItemWeights:
    """Weight of each history item for the score of each catalogue item.

    ``score(u, j) = sum_i x_u[i] W[i, j]``, with ``x_u`` the history weighted by recency
    (:func:`~palate.models.baselines.recency.history_matrix`).
    """

    matrix: csr_array
    """W, items x items, float32: rows are history items, columns scored items."""
    shares: Float[np.ndarray, " items"]
    """Popularity, for histories whose scores are all 0."""

    def score(self, histories: Sequence[History], decay: float) -> Float[np.ndarray, "users items"]:
        """Return the scores; a history whose scores are all 0 gets the popularity shares."""
        bags = history_matrix(histories, len(self.shares), decay=decay)
        return fill_silent((bags @ self.matrix).toarray(), self.shares)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays to save."""
        return {
            "data": self.matrix.data,
            "indices": self.matrix.indices,
            "indptr": self.matrix.indptr,
            "shares": self.shares,
        }

    @classmethod
    def read(cls, folder: Path) -> "ItemWeights":
        """Load the saved arrays of :meth:`arrays`."""
        arrays = read_arrays(folder, ["data", "indices", "indptr", "shares"])
        shares = arrays["shares"]
        rows = (arrays["data"], arrays["indices"], arrays["indptr"])
        return cls(csr_array(rows, shape=(len(shares), len(shares))), shares)


def strongest(values: csr_array, keep: int) -> csr_array:
    """Keep the ``keep`` largest absolute values of each row; of equal ones the lower column."""
    lengths = np.diff(values.indptr)
    rows = np.repeat(np.arange(values.shape[0]), lengths)
    order = np.lexsort((values.indices, -np.abs(values.data), rows))
    place = np.arange(len(order)) - np.repeat(values.indptr[:-1], lengths)
    kept = order[place < keep]
    return csr_array((values.data[kept], (rows[kept], values.indices[kept])), shape=values.shape)
