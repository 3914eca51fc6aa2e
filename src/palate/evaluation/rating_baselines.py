"""Baselines of rating prediction: the mean, biases of users and items, biased factors.

Shape suffixes: N ratings, F factors.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from palate.data.dataset import Dataset
from palate.data.split import Part, PartName
from palate.errors import DataError
from palate.evaluation.answer_metrics import rmse
from palate.types import History

BIAS_PENALTIES = (0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 40.0)
FACTOR_PENALTIES = (0.05, 0.1, 0.2, 0.4)
NUM_FACTORS = 16
SWEEPS = 12

_Group = tuple[int, np.ndarray]
"""A user or item row, and the indices of its ratings."""


@dataclass(frozen=True)
class Ratings:
    """Ratings with their users and items."""

    user_rows: Int[np.ndarray, " N"]
    item_rows: Int[np.ndarray, " N"]
    values: Float[np.ndarray, " N"]

    def __len__(self) -> int:
        """Return the number of ratings."""
        return len(self.values)


@runtime_checkable
class RatingBaseline(Protocol):
    """Anything that predicts ratings."""

    def predict(
        self, user_rows: Int[np.ndarray, " N"], item_rows: Int[np.ndarray, " N"]
    ) -> Float[np.ndarray, " N"]:
        """Return the predicted rating of each pair of user and item."""
        ...


@dataclass(frozen=True)
class Biases:
    """``mean + b_u + b_i``, clipped to the scale; a bias is 0 without ratings."""

    mean: float
    users: Float[np.ndarray, " users"]
    items: Float[np.ndarray, " items"]
    scale: tuple[float, float]

    def predict(
        self, user_rows: Int[np.ndarray, " N"], item_rows: Int[np.ndarray, " N"]
    ) -> Float[np.ndarray, " N"]:
        """Return the predicted rating of each pair of user and item."""
        sums = self.mean + self.users[user_rows] + self.items[item_rows]
        return np.asarray(np.clip(sums, *self.scale))


@dataclass(frozen=True)
class ItemBiases:
    """A bias model whose user bias is computed from the ratings of the given history."""

    mean: float
    items: Float[np.ndarray, " items"]
    penalty: float

    def above_mean(
        self, history: History, item_rows: Int[np.ndarray, " items"]
    ) -> Float[np.ndarray, " items"]:
        """Return ``b_u + b_i`` of each item, with ``b_u`` from the ratings of the history."""
        given = history.ratings
        rated = np.zeros(len(history), dtype=bool) if given is None else ~np.isnan(given)
        bias = 0.0
        if given is not None and rated.any():
            rest = given[rated] - self.mean - self.items[history.item_rows[rated]]
            bias = float(rest.sum() / (len(rest) + self.penalty))
        return np.asarray(bias + self.items[item_rows])


@dataclass(frozen=True)
class Factors:
    """``mean + b_u + b_i + p_u · q_i``, clipped to the scale.

    Both tables end in the bias and a one: ``[p_u, b_u, 1] · [q_i, 1, b_i]``.
    """

    mean: float
    users: Float[np.ndarray, "users F"]
    items: Float[np.ndarray, "items F"]
    scale: tuple[float, float]

    def predict(
        self, user_rows: Int[np.ndarray, " N"], item_rows: Int[np.ndarray, " N"]
    ) -> Float[np.ndarray, " N"]:
        """Return the predicted rating of each pair of user and item."""
        products = np.einsum("nf,nf->n", self.users[user_rows], self.items[item_rows])
        return np.asarray(np.clip(self.mean + products, *self.scale))


def ratings_of(dataset: Dataset, part: PartName) -> Ratings:
    """Return the ratings of a part."""
    events = dataset.interactions
    given = np.full(len(events), np.nan) if events.ratings is None else events.ratings
    chosen = (dataset.split.parts == Part.named(part)) & ~np.isnan(given)
    return Ratings(
        events.user_rows[chosen], events.item_rows[chosen], given[chosen].astype(np.float64)
    )


def fit_mean(train: Ratings, shape: tuple[int, int]) -> Biases:
    """Return the model that always predicts the mean of all ratings.

    Raises:
        DataError: when there is no rating.
    """
    if not len(train):
        raise DataError(
            "The training part has no ratings.", hint="Use data whose events have ratings."
        )
    scale = (float(train.values.min()), float(train.values.max()))
    return Biases(float(train.values.mean()), np.zeros(shape[0]), np.zeros(shape[1]), scale)


def fit_biases(
    train: Ratings, shape: tuple[int, int], *, penalty: float, sweeps: int = SWEEPS
) -> Biases:
    """Return regularised biases (Koren, Bell and Volinsky 2009).

    It minimises ``Σ (r - mean - b_u - b_i)² + penalty · (Σ b_u² + Σ b_i²)``, alternating between
    users and items: ``b_i = Σ_u (r - mean - b_u) / (penalty + n_i)``, and the same for users.

    Args:
        train: the training ratings.
        shape: number of users and items.
        penalty: ridge penalty, equal to this many ratings at the mean for every user and item.
        sweeps: number of alternations.
    """
    start = fit_mean(train, shape)
    rest, users, items = train.values - start.mean, start.users, start.items
    for _ in range(sweeps):
        items = _shrunk(train.item_rows, rest - users[train.user_rows], shape[1], penalty)
        users = _shrunk(train.user_rows, rest - items[train.item_rows], shape[0], penalty)
    return Biases(start.mean, users, items, start.scale)


def fit_factors(
    train: Ratings,
    shape: tuple[int, int],
    *,
    penalty: float,
    rng: np.random.Generator,
    num_factors: int = NUM_FACTORS,
) -> Factors:
    """Return biased factors by alternating least squares (Zhou et al. 2008, with biases).

    It minimises ``Σ (r - mean - b_u - b_i - p_u · q_i)² + penalty · Σ_u n_u |[p_u, b_u]|²`` and the
    same for items, where ``n_u`` is the number of ratings of the user. Each user's factors and bias
    solve a small linear system.

    Args:
        train: the training ratings.
        shape: number of users and items.
        penalty: ridge penalty per rating.
        rng: draws the initial item factors.
        num_factors: length of ``p_u`` and ``q_i``.
    """
    start = fit_mean(train, shape)
    rest = train.values - start.mean
    users = np.zeros((shape[0], num_factors + 2))
    items = np.zeros((shape[1], num_factors + 2))
    items[:, :num_factors] = 0.1 * rng.standard_normal((shape[1], num_factors))
    users[:, -1], items[:, -2] = 1.0, 1.0
    by_user, by_item = _groups(train.user_rows), _groups(train.item_rows)
    fitted = np.arange(num_factors)
    for _ in range(SWEEPS):
        solve = _Solver(np.append(fitted, num_factors), num_factors + 1, penalty)
        solve(users, items, by_user, train.item_rows, rest)
        solve = _Solver(np.append(fitted, num_factors + 1), num_factors, penalty)
        solve(items, users, by_item, train.user_rows, rest)
    return Factors(start.mean, users, items, start.scale)


def rating_baselines(dataset: Dataset, rng: np.random.Generator) -> dict[str, RatingBaseline]:
    """Return all baselines by name, fitted on training; their penalties are tuned on validation.

    Raises:
        DataError: when the training part has no rating.
    """
    train, valid = ratings_of(dataset, "train"), ratings_of(dataset, "valid")
    shape = (len(dataset.interactions.users), len(dataset.catalog))
    seed = int(rng.integers(2**31))

    def factors(penalty: float) -> Factors:
        return fit_factors(train, shape, penalty=penalty, rng=np.random.default_rng(seed))

    def biases(penalty: float) -> Biases:
        return fit_biases(train, shape, penalty=penalty)

    return {
        "mean of all": fit_mean(train, shape),
        "user and item bias": _best(biases, BIAS_PENALTIES, valid),
        "biased factors": _best(factors, FACTOR_PENALTIES, valid),
    }


def fit_item_biases(dataset: Dataset, penalty: float | None = None) -> ItemBiases:
    """Return the biases of items; the penalty is tuned on the validation split unless given.

    Raises:
        DataError: when the training part has no rating.
    """
    train, valid = ratings_of(dataset, "train"), ratings_of(dataset, "valid")
    shape = (len(dataset.interactions.users), len(dataset.catalog))

    def biases(penalty: float) -> Biases:
        return fit_biases(train, shape, penalty=penalty)

    if penalty is None:
        penalty = _best_penalty(biases, BIAS_PENALTIES, valid)
    fitted = biases(penalty)
    return ItemBiases(fitted.mean, fitted.items, penalty)


def _best(
    fit: Callable[[float], RatingBaseline], penalties: Sequence[float], valid: Ratings
) -> RatingBaseline:
    return fit(_best_penalty(fit, penalties, valid))


def _best_penalty(
    fit: Callable[[float], RatingBaseline], penalties: Sequence[float], valid: Ratings
) -> float:
    """Return the penalty with the least error on ``valid``; the middle one if that is empty."""
    if not len(valid):
        return penalties[len(penalties) // 2]
    fits = (fit(penalty) for penalty in penalties)
    errors = [rmse(each.predict(valid.user_rows, valid.item_rows), valid.values) for each in fits]
    return penalties[int(np.argmin(errors))]


def _shrunk(
    rows: Int[np.ndarray, " N"], rest: Float[np.ndarray, " N"], count: int, penalty: float
) -> Float[np.ndarray, " rows"]:
    """Return the mean residual of each row, shrunk towards 0."""
    sums = np.bincount(rows, weights=rest, minlength=count)
    return np.asarray(sums / (np.bincount(rows, minlength=count) + penalty))


def _groups(rows: Int[np.ndarray, " N"]) -> list[_Group]:
    """Return each row with the indices of its ratings."""
    order = np.argsort(rows, kind="stable")
    bounds = np.flatnonzero(np.diff(rows[order])) + 1
    return [(int(rows[part[0]]), part) for part in np.split(order, bounds)]


@dataclass(frozen=True)
class _Solver:
    """Ridge regression of one side's columns on the other side's."""

    columns: Int[np.ndarray, " fitted"]
    """The columns to fit."""
    constant: int
    """The column with the other side's bias, which has a fixed weight of 1."""
    penalty: float

    def __call__(
        self,
        ours: Float[np.ndarray, "rows F"],
        theirs: Float[np.ndarray, "others F"],
        groups: Sequence[_Group],
        others: Int[np.ndarray, " N"],
        rest: Float[np.ndarray, " N"],
    ) -> None:
        """Write the best columns into ``ours``."""
        ridge = self.penalty * np.eye(len(self.columns))
        for row, places in groups:
            read = theirs[others[places]]
            known = read[:, self.columns]
            wanted = rest[places] - read[:, self.constant]
            ours[row, self.columns] = np.linalg.solve(
                known.T @ known + len(places) * ridge, known.T @ wanted
            )
