"""Item-kNN: items chosen by the same users as those of the history (Sarwar et al. 2001)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field, PositiveInt
from scipy.sparse import csc_array, csr_array, diags_array, vstack

from palate.models.baselines.baseline import Baseline, BaselineSettings, read_config, write_baseline
from palate.models.baselines.itemweights import ItemWeights, strongest
from palate.models.baselines.popularity import item_shares
from palate.models.baselines.recency import history_matrix
from palate.models.baselines.trainer import FIRST_SEED, Fitting
from palate.types import History

_ITEMS_AT_ONCE = 4096


class ItemKnnConfig(BaselineSettings):
    """Settings of :class:`ItemKnn`."""

    kind: Literal["itemknn"] = "itemknn"
    decay: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Weight of an event against the one after it; 1 is the plain method."""
    neighbours: PositiveInt | None = None
    """Neighbours kept per item; None keeps all."""


@dataclass(frozen=True, eq=False)
class ItemKnn(Baseline):
    """Cosine similarity between the sets of users of two items.

    ``W[i, j] = |U_i and U_j| / sqrt(|U_i| |U_j|)`` for i != j, where U_i are the users of item i
    in training; with ``neighbours`` only the largest entries of each row i are kept.
    """

    settings = ItemKnnConfig

    config: ItemKnnConfig
    weights: ItemWeights

    @classmethod
    def fit(
        cls,
        config: ItemKnnConfig,
        sequences: Sequence[History],
        num_items: int,
        fitting: Fitting = FIRST_SEED,
    ) -> "ItemKnn":
        """Count how many users two items share."""
        bags = history_matrix(sequences, num_items)
        sizes = np.asarray(bags.sum(axis=0))
        unit = (bags @ diags_array(1 / np.sqrt(np.maximum(sizes, 1)))).tocsc()
        blocks = [
            _similar(unit, start, config.neighbours)
            for start in range(0, num_items, _ITEMS_AT_ONCE)
        ]
        matrix = vstack(blocks, format="csr", dtype=np.float32)
        return cls(config, ItemWeights(matrix, item_shares(sequences, num_items)))

    def score(self, histories: Sequence[History]) -> Float[np.ndarray, "users items"]:
        """Return the similarity of each item to the history's items, weighted by recency."""
        return self.weights.score(histories, self.config.decay)

    def save(self, folder: Path) -> None:
        """Write the settings and the similarities."""
        write_baseline(folder, self.config, self.weights.arrays())

    @classmethod
    def load(cls, folder: Path) -> "ItemKnn":
        """Read what :meth:`save` wrote."""
        return cls(read_config(folder, ItemKnnConfig), ItemWeights.read(folder))


def _similar(unit: csc_array, start: int, neighbours: int | None) -> csr_array:
    """Return a block of rows of the similarity matrix, without the diagonal."""
    block = (unit[:, start : start + _ITEMS_AT_ONCE].T @ unit).tocoo()
    others = block.row + start != block.col
    rows = csr_array(
        (block.data[others], (block.row[others], block.col[others])), shape=block.shape
    )
    return rows if neighbours is None else strongest(rows, neighbours)
