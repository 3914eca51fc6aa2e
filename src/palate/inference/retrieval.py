"""Exact retrieval: from user vectors to the best items of a catalogue of any size.

Users are taken in parts small enough that their scores fit in memory; within a part the scores are
masked in place, so that each is written once and read once.

Shape suffixes: U users, M vectors of a user, I items, D width.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from palate.ranking import top_rankings
from palate.types import History, Ranking

_SCORES_AT_ONCE = 32_000_000
"""Scores in memory at a time: 128 MB, or one user's where the catalogue is larger. Fewer would make
a large catalogue be read too often."""

_USERS_AT_ONCE = 512


def retrieve(
    users_UMD: Float[Tensor, "users vectors width"],  # noqa: N803 - shape suffix
    items_ID: Float[Tensor, "items width"],  # noqa: N803
    histories: Sequence[History],
    n: int,
    *,
    candidates: Int[np.ndarray, " candidates"] | None = None,
    exclude_seen: bool = True,
) -> list[Ranking]:
    """Return for each user the ``n`` items with the largest product with any of the user's vectors.

    Args:
        users_UMD: user vectors, already scaled where scores are to be logits.
        items_ID: vectors of the whole catalogue, on the same device.
        histories: one per user, in the same order.
        n: length of each list.
        candidates: catalogue rows to choose from; None means the whole catalogue.
        exclude_seen: leave out the items of the user's own history.
    """
    outside = np.ones(len(items_ID), dtype=bool)
    outside[slice(None) if candidates is None else candidates] = False
    rankings: list[Ranking] = []
    step = max(1, min(_USERS_AT_ONCE, _SCORES_AT_ONCE // max(len(items_ID), 1)))
    for start in range(0, len(histories), step):
        with torch.inference_mode():
            scores = largest_products(users_UMD[start : start + step], items_ID)
            scores_UI = scores.float().cpu().numpy()
        if candidates is not None:
            scores_UI[:, outside] = -np.inf
        if exclude_seen:
            for user, history in enumerate(histories[start : start + step]):
                scores_UI[user, history.item_rows] = -np.inf
        rankings += top_rankings(scores_UI, n)
    return rankings


def largest_products(
    users_UMD: Float[Tensor, "users vectors width"],  # noqa: N803
    items_ID: Float[Tensor, "items width"],  # noqa: N803
) -> Float[Tensor, "users items"]:
    """Return ``max over m of u[m] . v`` for each user and item (set-out scoring of URM)."""
    scores_UI = users_UMD[:, 0] @ items_ID.T
    for vector in range(1, users_UMD.shape[1]):
        torch.maximum(scores_UI, users_UMD[:, vector] @ items_ID.T, out=scores_UI)
    return scores_UI
