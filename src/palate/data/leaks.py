"""Signs that the order of events, or the ids themselves, tell a model what comes next."""

import numpy as np
import polars as pl
from jaxtyping import Int

from palate.data.event_table import SOURCE_ROW, CodedEvents
from palate.data.preparation_report import Notes

_FEWEST = 100
"""Fewer cases than this prove nothing."""


def order_warnings(events: CodedEvents) -> Notes:
    """Warn of ties in time, of ties in the order of ids, and of ids that count up."""
    return Notes(warnings=tuple(_tie_warnings(events) + _numbering_warnings(events)))


def _tie_warnings(events: CodedEvents) -> list[str]:
    table = events.table
    if "timestamp" not in table.columns:
        return []
    users, times = table["user"].to_numpy(), table["timestamp"].fill_null(-1).to_numpy()
    consecutive = users[1:] == users[:-1]
    ties = consecutive & (times[1:] == times[:-1]) & (times[1:] >= 0)
    if not ties.any():
        return []
    share = ties.sum() / max(1, consecutive.sum())
    found = [
        f"{ties.sum():,} pairs of consecutive events ({share:.0%}) have the same time:"
        " what comes next is then a matter of the given order."
    ]
    items = table["item"].to_numpy()
    rank = _id_ranks(events)[items]
    different = ties & (items[1:] != items[:-1])
    if different.sum() >= _FEWEST:
        ascending = (rank[1:] > rank[:-1])[different].mean()
        if ascending > 0.9 or ascending < 0.1:
            found.append(
                f"{max(ascending, 1 - ascending):.0%} of these ties are in the order of the item"
                " ids: a model that sees the ids could read the next item off them."
                " Rows are drawn at random."
            )
    return found


def _id_ranks(events: CodedEvents) -> Int[np.ndarray, " items"]:
    """Return each item's place in the order of the ids, as numbers where all are numbers."""
    numbers = _numbers(events)
    keys = pl.Series(events.items.ids.tolist(), dtype=pl.String) if numbers is None else numbers
    ranks: Int[np.ndarray, " items"] = pl.Series(keys).rank("ordinal").to_numpy().astype(np.int64)
    return ranks


def _numbers(events: CodedEvents) -> Int[np.ndarray, " items"] | None:
    ids = pl.Series(events.items.ids.tolist(), dtype=pl.String)
    numbers = ids.cast(pl.Int64, strict=False)
    return None if numbers.null_count() else numbers.to_numpy()


def _numbering_warnings(events: CodedEvents) -> list[str]:
    """Warn when item ids are numbers given in the order in which items first appear."""
    numbers = _numbers(events)
    if numbers is None or len(numbers) < _FEWEST:
        return []
    first = events.table.group_by("item").agg(pl.col(SOURCE_ROW).min()).sort(SOURCE_ROW)
    appearing = numbers[first["item"].to_numpy()]
    largest = np.maximum.accumulate(appearing)
    share = float((appearing[1:] == largest[:-1] + 1).mean())
    if share < 0.5:
        return []
    return [
        f"{share:.0%} of the item ids are the largest so far plus one: the ids tell the order"
        " in which items first appear. Rows are drawn at random, so models do not see it."
    ]
