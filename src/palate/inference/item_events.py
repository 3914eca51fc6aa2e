"""Events with item ids, as callers send them, become a history in catalogue rows.

Python, the command line, HTTP and MCP all convert sessions here, so that all of them treat unknown
items alike: their events are dropped, and their ids are returned so that the answer can name them.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from palate.inference.catalogue import ItemCatalogue
from palate.inference.request import NOBODY
from palate.types import History

_LARGEST = float(np.finfo(np.float32).max)
_NAMED = 5
"""Number of unknown items that a message names."""


class ItemEvent(NamedTuple):
    """An event of one user; everything but the item may be unknown."""

    item_id: str
    event_type: str | None = None
    rating: float | None = None
    """A rating, or an amount."""
    timestamp: float | None = None
    """Unix seconds."""

    @property
    def has_item_alone(self) -> bool:
        """Whether nothing but the item is known."""
        return self[1:] == (None, None, None)


def history_of(
    catalogue: ItemCatalogue,
    event_types: Sequence[str],
    events: Sequence[ItemEvent],
    after: History = NOBODY,
) -> tuple[History, list[str]]:
    """Return the history with these events, and the ids of those whose items are unknown.

    Args:
        catalogue: gives the items their rows.
        event_types: names of the event types of the data; any other type counts as unknown.
        events: the events, oldest first; those of unknown items are dropped.
        after: the earlier history, which the events follow.
    """
    rows, missing = catalogue.rows_of([event.item_id for event in events])
    if not len(rows):
        return after, missing
    if missing:
        unknown = set(missing)
        events = [event for event in events if event.item_id not in unknown]
    if not len(after) and all(event.has_item_alone for event in events):
        return History(item_rows=rows), missing
    codes = {name: code for code, name in enumerate(event_types)}
    ratings = [np.nan if event.rating is None else event.rating for event in events]
    times = [-1 if event.timestamp is None else int(event.timestamp) for event in events]
    later = History(
        item_rows=rows,
        event_types=np.asarray(
            [codes.get(event.event_type or "", -1) for event in events], dtype=np.int64
        ),
        ratings=np.clip(ratings, -_LARGEST, _LARGEST).astype(np.float32),
        timestamps=np.asarray(times, dtype=np.int64),
        scenarios=np.full(len(rows), -1, dtype=np.int64),
    )
    return (after.extended(later) if len(after) else later), missing


def unknown_items(item_ids: Sequence[str]) -> str:
    """Return a sentence that names the items of a history that are not in the catalogue."""
    names = list(dict.fromkeys(item_ids))
    shown = ", ".join(repr(name[:100]) for name in names[:_NAMED])
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return f"The history is used without the items that are not in the catalogue: {shown}{more}."
