"""Batches by token count: rows of similar length, padded to the longest, within a budget."""

import numpy as np
from jaxtyping import Int


def cut_by_tokens(
    lengths: Int[np.ndarray, " rows"],
    order: Int[np.ndarray, " rows"] | None = None,
    *,
    extra: int,
    budget: int,
    most: int | None = None,
) -> list[Int[np.ndarray, " _"]]:
    """Cut rows into batches of at most ``budget`` tokens; a longer row gets a batch of its own.

    Args:
        lengths: tokens of each row.
        order: the rows by rising length, so that padding wastes little; None sorts them.
        extra: tokens that each row has beside.
        budget: maximum number of tokens of a batch, padding included.
        most: maximum number of rows of a batch; None for no limit.

    Example:
        >>> lengths = np.asarray([5, 1, 2])
        >>> [rows.tolist() for rows in cut_by_tokens(lengths, extra=1, budget=6)]
        [[1, 2], [0]]
    """
    order = np.argsort(lengths, kind="stable") if order is None else order
    batches, start = [], 0
    for end in range(1, len(order) + 1):
        longest = lengths[order[end]] if end < len(order) else np.inf
        rows = end - start + 1
        if rows * (longest + extra) > budget or (most is not None and rows > most):
            batches.append(order[start:end])
            start = end
    return batches
