"""Item vectors from ratings: how much an item is liked, and by whom.

Co-occurrence shows which items are chosen together; ratings show which are liked. These are the
collaborative vectors of CoLLM (Zhang et al. 2025, arXiv 2310.19488), from matrix factorisation.

Shape suffixes: N ratings, F factors.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from palate.items.vectors import ItemVectors
from palate.types import History

_PENALTY = 5.0
"""Ridge penalty, equal to this many ratings at the mean for every item and user."""

_SWEEPS = 8


def rating_vectors(
    sequences: Sequence[History], num_items: int, num_factors: int, *, seed: int
) -> ItemVectors:
    """Return ``[b_i, log(1 + n_i), q_i]``, each column scaled to a deviation of one.

    ``r = mean + b_u + b_i + p_u . q_i`` by alternating least squares with a penalty (Zhou et al.
    2008): biases first, then factors on what they leave.

    Args:
        sequences: training events only; events without a rating are skipped.
        num_items: size of the catalogue.
        num_factors: factors per item.
        seed: seed of the initial factors.

    Returns:
        Vectors of ``num_factors + 2`` dimensions; absent for items without a rating.
    """
    users, items, values = _ratings(sequences)
    counts = np.bincount(items, minlength=num_items)
    if not len(values):
        return ItemVectors(np.zeros((num_items, num_factors + 2), np.float32), counts > 0)
    of_users, of_items = np.zeros(len(sequences)), np.zeros(num_items)
    rest = values - values.mean()
    for _ in range(_SWEEPS):
        of_items = _shrunk(items, rest - of_users[users], num_items)
        of_users = _shrunk(users, rest - of_items[items], len(sequences))
    left = rest - of_users[users] - of_items[items]
    factors = _factors((users, items, left), (len(sequences), num_items), num_factors, seed)
    columns = np.column_stack([of_items, np.log1p(counts), factors])
    there = counts > 0
    spread = np.maximum(columns[there].std(axis=0), 1e-6)
    scaled = (columns - columns[there].mean(axis=0)) / spread
    return ItemVectors((scaled * there[:, None]).astype(np.float32), there)


def _ratings(
    sequences: Sequence[History],
) -> tuple[Int[np.ndarray, " N"], Int[np.ndarray, " N"], Float[np.ndarray, " N"]]:
    lengths = [0 if history.ratings is None else len(history) for history in sequences]
    rated = [history for history in sequences if history.ratings is not None]
    users = np.repeat(np.arange(len(sequences)), lengths)
    nothing = np.zeros(0, dtype=np.int64)
    items = np.concatenate([nothing, *(history.item_rows for history in rated)])
    given = [history.ratings for history in rated if history.ratings is not None]
    values = np.concatenate([nothing.astype(np.float64), *given])
    there = ~np.isnan(values)
    return users[there], items[there], values[there]


def _shrunk(
    rows: Int[np.ndarray, " N"], values: Float[np.ndarray, " N"], num_rows: int
) -> Float[np.ndarray, " rows"]:
    """Return the mean of the values of each row, shrunk towards zero if there are few."""
    sums = np.bincount(rows, values, minlength=num_rows)
    return np.asarray(sums / (np.bincount(rows, minlength=num_rows) + _PENALTY))


def _factors(
    left: tuple[Int[np.ndarray, " N"], Int[np.ndarray, " N"], Float[np.ndarray, " N"]],
    shape: tuple[int, int],
    num_factors: int,
    seed: int,
) -> Float[np.ndarray, "items F"]:
    users, items, values = left
    rng = np.random.default_rng(seed)
    of_items = rng.normal(scale=0.1, size=(shape[1], num_factors))
    for _ in range(_SWEEPS):
        of_users = _solved(users, values, of_items[items], shape[0])
        of_items = _solved(items, values, of_users[users], shape[1])
    return of_items


def _solved(
    rows: Int[np.ndarray, " N"],
    values: Float[np.ndarray, " N"],
    others: Float[np.ndarray, "N F"],
    num_rows: int,
) -> Float[np.ndarray, "rows F"]:
    """Return the least-squares factors of each row, given the factors of the other side."""
    order = np.argsort(rows, kind="stable")
    bounds = np.searchsorted(rows[order], np.arange(num_rows + 1))
    penalty = _PENALTY * np.eye(others.shape[1])
    found = np.zeros((num_rows, others.shape[1]))
    for row in np.unique(rows).tolist():
        own = order[bounds[row] : bounds[row + 1]]
        seen = others[own]
        found[row] = np.linalg.solve(seen.T @ seen + penalty, seen.T @ values[own])
    return found
