"""Converts the events of a caller, with ids, into a history with catalogue rows."""

import datetime as dt
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from palate.errors import ConfigError
from palate.inference.engine import Engine
from palate.types import History

Time: TypeAlias = int | float | dt.datetime | None
"""Seconds since 1970, or a time with its zone; None if unknown."""

Rating: TypeAlias = int | float | None

Event: TypeAlias = (
    str
    | tuple[str]
    | tuple[str, str | None]
    | tuple[str, str | None, Rating]
    | tuple[str, str | None, Rating, Time]
)
"""An item id alone, or with its event type, rating and time, as far as known."""

_FIELDS = 4


def history_of_events(engine: Engine, events: Sequence[Event], after: History | None) -> History:
    """Return the history with these events, oldest first.

    Args:
        engine: supplies catalogue rows and event types.
        events: the events.
        after: earlier history of a known user.

    Raises:
        ConfigError: when an event has a wrong format, or its type is not in the data.
        UnknownItemError: names the first item that is not in the catalogue.
    """
    if isinstance(events, str):
        raise ConfigError(
            f"A history is a list of items; the text {events!r} was given.",
            hint=f'Write history=["{events}"].',
        )
    checked = [_checked(event) for event in events]
    if all(len(event) == 1 for event in checked):
        return engine.catalogue.history_of([event[0] for event in checked], after)
    types = engine.dataset.interactions.event_types
    padded = [(*event, *(None,) * (_FIELDS - len(event))) for event in checked]
    rows = engine.catalogue.known_rows([event[0] for event in padded])
    later = History(
        item_rows=rows,
        event_types=np.asarray([_code(event[1], types) for event in padded], dtype=np.int64),
        ratings=np.asarray(
            [np.nan if event[2] is None else event[2] for event in padded], dtype=np.float32
        ),
        timestamps=np.asarray([_seconds(event[3]) for event in padded], dtype=np.int64),
        scenarios=np.full(len(rows), -1, dtype=np.int64),
    )
    return later if after is None or not len(after) else after.extended(later)


def _checked(event: object) -> tuple:  # type: ignore[type-arg]  # of one to four fields
    """Return an event as a tuple of the given fields."""
    if isinstance(event, str):
        return (event,)
    if isinstance(event, tuple) and 0 < len(event) <= _FIELDS and isinstance(event[0], str):
        return event
    raise ConfigError(
        f"An event is an item id, or a tuple that begins with one; {event!r} was given.",
        hint='Write "i7", or ("i7", "purchase"), ("i7", "rating", 4.5) or '
        '("i7", "view", None, 1700000000).',
    )


def _code(event_type: str | None, types: Sequence[str]) -> int:
    if event_type is None:
        return -1
    if event_type not in types:
        raise ConfigError(
            f"There is no event type {event_type!r} in the data.",
            hint=f"There are: {', '.join(types)}. Give None where it is not known.",
        )
    return list(types).index(event_type)


def _seconds(time: Time) -> int:
    """Return whole seconds since 1970; -1 if unknown."""
    if time is None:
        return -1
    if isinstance(time, dt.datetime):
        if time.tzinfo is None:
            raise ConfigError(
                f"The time {time.isoformat()} has no zone.",
                hint="Write datetime(..., tzinfo=timezone.utc), or seconds since 1970.",
            )
        return int(time.timestamp())
    return int(time)
