"""Which events stay: minimum rating, duplicates, k-core. Each filter says how many it dropped."""

from typing import Literal

import numpy as np
import polars as pl
from jaxtyping import Bool, Int

from palate.data.preparation_report import Dropped, Notes

Duplicates = Literal["keep", "first", "last"]


def drop_low_ratings(events: pl.DataFrame, min_rating: float | None) -> tuple[pl.DataFrame, Notes]:
    """Keep events rated at least ``min_rating``, and those without a rating."""
    if min_rating is None or "rating" not in events.columns:
        return events, Notes()
    low = (pl.col("rating") < min_rating).fill_null(False)
    return _kept(events, events.filter(~low), f"rated below {min_rating:g}")


def drop_duplicates(events: pl.DataFrame, policy: Duplicates) -> tuple[pl.DataFrame, Notes]:
    """Keep the first or last of the time-ordered events that share user, item and type."""
    if policy == "keep":
        return events, Notes()
    kept = events.unique(["user", "item", "event_type"], keep=policy, maintain_order=True)
    return _kept(events, kept, f"same user, item and event type (kept the {policy})")


def drop_outside_core(events: pl.DataFrame, k: int) -> tuple[pl.DataFrame, Notes]:
    """Keep the largest set of events in which each user and each item has at least ``k``."""
    if k <= 1:
        return events, Notes()
    inside = k_core(events["user"].to_numpy(), events["item"].to_numpy(), k)
    return _kept(events, events.filter(pl.Series(inside)), f"outside the {k}-core")


def k_core(
    users: Int[np.ndarray, " events"], items: Int[np.ndarray, " events"], k: int
) -> Bool[np.ndarray, " events"]:
    """Tell which events are in the k-core: drop rare users and items in turn until none is left."""
    inside = np.ones(len(users), dtype=bool)
    while True:
        frequent = inside & _is_frequent(users, inside, k)
        frequent &= _is_frequent(items, frequent, k)
        if frequent.sum() == inside.sum():
            return inside
        inside = frequent


def _is_frequent(
    codes: Int[np.ndarray, " events"], inside: Bool[np.ndarray, " events"], k: int
) -> Bool[np.ndarray, " events"]:
    if len(codes) == 0:
        return inside
    frequent: Bool[np.ndarray, " events"] = (
        np.bincount(codes[inside], minlength=codes.max() + 1) >= k
    )[codes]
    return frequent


def _kept(before: pl.DataFrame, after: pl.DataFrame, reason: str) -> tuple[pl.DataFrame, Notes]:
    dropped = before.height - after.height
    return after, Notes(dropped=(Dropped(reason, dropped),) if dropped else ())
