"""Events as Python callers write them: an item id, or a tuple that begins with one."""

import datetime as dt
from collections.abc import Sequence
from typing import TypeAlias

from palate.errors import ConfigError
from palate.inference.engine import Engine
from palate.inference.item_events import ItemEvent

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


def item_events(engine: Engine, events: Sequence[Event]) -> list[ItemEvent]:
    """Return the events of a caller with named fields.

    Raises:
        ConfigError: when an event has a wrong format, or its type is not in the data.
    """
    if isinstance(events, str):
        raise ConfigError(
            f"A history is a list of items; the text {events!r} was given.",
            hint=f'Write history=["{events}"].',
        )
    types = engine.dataset.interactions.event_types
    padded = [(*event, *(None,) * (_FIELDS - len(event))) for event in map(_checked, events)]
    return [
        ItemEvent(
            item_id,
            _known_type(event_type, types),
            None if rating is None else float(rating),
            _seconds(time),
        )
        for item_id, event_type, rating, time in padded
    ]


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


def _known_type(event_type: str | None, types: Sequence[str]) -> str | None:
    if event_type is not None and event_type not in types:
        raise ConfigError(
            f"There is no event type {event_type!r} in the data.",
            hint=f"There are: {', '.join(types)}. Give None where it is not known.",
        )
    return event_type


def _seconds(time: Time) -> float | None:
    """Return seconds since 1970; None if unknown."""
    if not isinstance(time, dt.datetime):
        return None if time is None else float(time)
    if time.tzinfo is None:
        raise ConfigError(
            f"The time {time.isoformat()} has no zone.",
            hint="Write datetime(..., tzinfo=timezone.utc), or seconds since 1970.",
        )
    return time.timestamp()
