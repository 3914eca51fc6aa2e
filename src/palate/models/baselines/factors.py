"""Matrix factorisation with the ``implicit`` library: ALS and BPR, with users folded in.

Only the item factors are kept. A user's factors are computed from the given history, so that new
users are handled like the users of training.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt
from scipy.sparse import csr_array, csr_matrix
from threadpoolctl import threadpool_limits

from palate.errors import MissingExtraError
from palate.models.baselines.baseline import (
    Baseline,
    BaselineSettings,
    read_arrays,
    read_config,
    write_baseline,
)
from palate.models.baselines.popularity import fill_silent, item_shares
from palate.models.baselines.recency import history_matrix
from palate.models.baselines.trainer import FIRST_SEED, Fitting
from palate.types import History


class AlsConfig(BaselineSettings):
    """Settings of :class:`Als`."""

    kind: Literal["als"] = "als"
    factors: PositiveInt = 128
    regularisation: PositiveFloat = 0.1
    confidence: PositiveFloat = 10.0
    """Weight of an item with an event relative to an item without."""
    iterations: PositiveInt = 15
    num_threads: NonNegativeInt = 0
    """0 means all cores; the result is the same."""


class BprConfig(BaselineSettings):
    """Settings of :class:`Bpr`."""

    kind: Literal["bpr"] = "bpr"
    factors: PositiveInt = 64
    learning_rate: PositiveFloat = 0.05
    regularisation: PositiveFloat = 0.01
    iterations: PositiveInt = 100
    num_threads: NonNegativeInt = 1
    """0 means all cores; with more than one thread two runs differ, because threads race."""


@dataclass(frozen=True, eq=False)
class Als(Baseline):
    """Alternating least squares on implicit feedback (Hu, Koren and Volinsky 2008).

    A user with items S has the factors ``(Y'Y + (c - 1) Y_S'Y_S + lambda I)^-1 c Y_S'1``: the exact
    least-squares solution for fixed item factors Y, with confidence c in the items of the history.
    """

    settings = AlsConfig

    config: AlsConfig
    item_factors: Float[np.ndarray, "items factors"]
    shares: Float[np.ndarray, " items"]

    @classmethod
    def fit(
        cls,
        config: AlsConfig,
        sequences: Sequence[History],
        num_items: int,
        fitting: Fitting = FIRST_SEED,
    ) -> "Als":
        """Factorise the users x items matrix.

        Raises:
            MissingExtraError: when ``implicit`` is not installed.
        """
        try:
            from implicit.cpu.als import AlternatingLeastSquares
        except ImportError as error:
            raise MissingExtraError("implicit", "baselines") from error
        # A BLAS thread pool inside each of the library's threads would slow it down tenfold.
        with threadpool_limits(1, "blas"):
            model = AlternatingLeastSquares(
                factors=config.factors,
                regularization=config.regularisation,
                alpha=config.confidence,
                iterations=config.iterations,
                num_threads=config.num_threads,
                random_state=fitting.seed,
            )
            model.fit(csr_matrix(history_matrix(sequences, num_items)), show_progress=False)
        return cls(config, model.item_factors, item_shares(sequences, num_items))

    @property
    def item_vectors(self) -> Float[np.ndarray, "items factors"]:
        """The item factors."""
        return self.item_factors

    def score(self, histories: Sequence[History]) -> Float[np.ndarray, "users items"]:
        """Return the inner products of the folded-in users with the items."""
        bags = history_matrix(histories, len(self.shares))
        return fill_silent(self.fold_in(bags) @ self.item_factors.T, self.shares)

    def fold_in(self, bags: csr_array) -> Float[np.ndarray, "users factors"]:
        """Return the user factors that fit each row of ``bags`` best (see the class)."""
        width = self.item_factors.shape[1]
        common = self.item_factors.T @ self.item_factors
        common += self.config.regularisation * np.eye(width, dtype=np.float32)
        users = np.zeros((bags.shape[0], width), dtype=np.float32)
        for user in range(bags.shape[0]):
            taken = self.item_factors[bags.indices[bags.indptr[user] : bags.indptr[user + 1]]]
            if len(taken):
                gram = common + (self.config.confidence - 1) * (taken.T @ taken)
                users[user] = np.linalg.solve(gram, self.config.confidence * taken.sum(axis=0))
        return users

    def save(self, folder: Path) -> None:
        """Write the settings and the item factors."""
        write_baseline(
            folder, self.config, {"item_factors": self.item_factors, "shares": self.shares}
        )

    @classmethod
    def load(cls, folder: Path) -> "Als":
        """Read what :meth:`save` wrote."""
        arrays = read_arrays(folder, ["item_factors", "shares"])
        return cls(read_config(folder, AlsConfig), arrays["item_factors"], arrays["shares"])


@dataclass(frozen=True, eq=False)
class Bpr(Baseline):
    """Bayesian personalised ranking (Rendle et al. 2009).

    A user vector is the mean of the item factors of the history. That is an approximation: BPR
    learns user factors, and has no closed form for users outside training.
    """

    settings = BprConfig

    config: BprConfig
    item_factors: Float[np.ndarray, "items factors"]
    item_biases: Float[np.ndarray, " items"]
    shares: Float[np.ndarray, " items"]

    @classmethod
    def fit(
        cls,
        config: BprConfig,
        sequences: Sequence[History],
        num_items: int,
        fitting: Fitting = FIRST_SEED,
    ) -> "Bpr":
        """Learn from pairs of an item with an event and one without.

        Raises:
            MissingExtraError: when ``implicit`` is not installed.
        """
        try:
            from implicit.cpu.bpr import BayesianPersonalizedRanking
        except ImportError as error:
            raise MissingExtraError("implicit", "baselines") from error
        with threadpool_limits(1, "blas"):
            model = BayesianPersonalizedRanking(
                factors=config.factors,
                learning_rate=config.learning_rate,
                regularization=config.regularisation,
                iterations=config.iterations,
                num_threads=config.num_threads,
                random_state=fitting.seed,
            )
            model.fit(csr_matrix(history_matrix(sequences, num_items)), show_progress=False)
        # The library keeps the bias of an item as its last factor.
        return cls(
            config=config,
            item_factors=model.item_factors[:, :-1].copy(),
            item_biases=model.item_factors[:, -1].copy(),
            shares=item_shares(sequences, num_items),
        )

    @property
    def item_vectors(self) -> Float[np.ndarray, "items factors"]:
        """The item factors."""
        return self.item_factors

    def score(self, histories: Sequence[History]) -> Float[np.ndarray, "users items"]:
        """Return the inner products with the mean of the history, plus the item biases."""
        bags = history_matrix(histories, len(self.shares))
        lengths = np.diff(bags.indptr)
        users = (bags @ self.item_factors) / np.maximum(lengths, 1)[:, None].astype(np.float32)
        scores: Float[np.ndarray, "users items"] = users @ self.item_factors.T
        scores += self.item_biases
        scores[lengths == 0] = self.shares
        return scores

    def save(self, folder: Path) -> None:
        """Write the settings, the item factors and the biases."""
        arrays = {
            "item_factors": self.item_factors,
            "item_biases": self.item_biases,
            "shares": self.shares,
        }
        write_baseline(folder, self.config, arrays)

    @classmethod
    def load(cls, folder: Path) -> "Bpr":
        """Read what :meth:`save` wrote."""
        arrays = read_arrays(folder, ["item_factors", "item_biases", "shares"])
        return cls(
            config=read_config(folder, BprConfig),
            item_factors=arrays["item_factors"],
            item_biases=arrays["item_biases"],
            shares=arrays["shares"],
        )
