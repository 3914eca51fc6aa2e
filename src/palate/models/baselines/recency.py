"""Histories as rows of a sparse matrix, each event weighted by the number of later events."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_array

from palate.types import History


def history_matrix(
    histories: Sequence[History], num_items: int, *, decay: float = 1.0
) -> csr_array:
    """Return the users x items float32 matrix ``x_u[i] = decay ** age``.

    The age of an item is the number of events after its newest occurrence in the history: 0 for
    the last event. A decay of 1 is the plain bag of items: every item of the history counts 1.
    """
    lengths = np.fromiter((len(h) for h in histories), dtype=np.int64, count=len(histories))
    users = np.repeat(np.arange(len(histories)), lengths)
    items = np.concatenate([np.empty(0, np.int64), *(h.item_rows for h in histories)])
    ages = np.repeat(np.cumsum(lengths), lengths) - 1 - np.arange(len(items))
    # In reverse order, the first occurrence of a pair is its newest one.
    pairs, newest = np.unique((users * num_items + items)[::-1], return_index=True)
    weights = _powers(decay, int(lengths.max(initial=0)))[ages[::-1][newest]]
    return csr_array((weights, np.divmod(pairs, num_items)), shape=(len(histories), num_items))


def _powers(decay: float, count: int) -> Float[np.ndarray, " ages"]:
    """Return ``decay ** age`` for each age; very old events underflow to 0."""
    with np.errstate(under="ignore"):
        return np.power(decay, np.arange(count), dtype=np.float64).astype(np.float32)
