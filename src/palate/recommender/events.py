"""Events as Python callers write them: an item id, or a tuple that begins with one."""

import datetime as dt
from collections.abc import Sequence
from typing import Protocol, TypeAlias, runtime_checkable

from palate.data.field_checks import check_number, check_time
from palate.errors import ConfigError
from palate.inference.engine import Engine
from palate.inference.item_events import ItemEvent

Time: TypeAlias = int | float | str | dt.datetime | None
"""Seconds since 1970, or a time with its zone, as text in ISO 8601 too; None if unknown."""

Rating: TypeAlias = int | float | None


@runtime_checkable
class Array(Protocol):
    """An array of numpy, or a column of pandas."""

    def tolist(self) -> list:  # type: ignore[type-arg]
        """Return its values."""


@runtime_checkable
class Column(Protocol):
    """A column of polars."""

    def to_list(self) -> list:  # type: ignore[type-arg]
        """Return its values."""


Ids: TypeAlias = Sequence[str] | Array | Column
"""Several ids: a list, an array, or a column of a frame."""

Event: TypeAlias = (
    str
    | tuple[str]
    | tuple[str, str | None]
    | tuple[str, str | None, Rating]
    | tuple[str, str | None, Rating, Time]
)
"""An item id alone, or with its event type, rating and time, as far as known."""

_FIELDS = 4


def as_list(given: object) -> object:
    """Return an array, or a column of a frame, as a list; anything else as it is."""
    if isinstance(given, Array):
        return given.tolist()
    return given.to_list() if isinstance(given, Column) else given


def item_events(engine: Engine, events: Sequence[Event] | Ids) -> list[ItemEvent]:
    """Return the events of a caller with named fields.

    Raises:
        ConfigError: when an event has a wrong format, or its type is not in the data.
    """
    if isinstance(events, str):
        raise ConfigError(
            f"A history is a list of items; the text {events!r} was given.",
            hint=f'Write history=["{events}"].',
        )
    listed = as_list(events)
    if not isinstance(listed, Sequence):
        raise ConfigError(
            f"A history is a list of items; {type(events).__name__} was given.",
            hint='Write history=["i7", "i3"].',
        )
    types = engine.dataset.interactions.event_types
    padded = [(*event, *(None,) * (_FIELDS - len(event))) for event in map(_checked, listed)]
    return [
        ItemEvent(item_id, _known_type(event_type, types), _rating(rating), _seconds(time))
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


def _rating(rating: Rating) -> float | None:
    """Return a rating as a number; None if unknown."""
    if rating is None or rating != rating:  # NaN, as frames have it, differs from itself
        return None
    check_number("rating", rating)
    return float(rating)


def _seconds(time: Time) -> float | None:
    """Return seconds since 1970; None if unknown."""
    if time is None or time != time:  # NaN and NaT differ from themselves
        return None
    if isinstance(time, str):
        try:
            time = dt.datetime.fromisoformat(time)
        except ValueError as error:
            raise ConfigError(
                f"The time {time!r} cannot be read.",
                hint="Give seconds since 1970, or ISO 8601 with a zone: 2024-01-31T12:00:00Z.",
            ) from error
    if not isinstance(time, dt.datetime):
        check_number("time", time)
        check_time("time", float(time))
        return float(time)
    if time.tzinfo is None:
        raise ConfigError(
            f"The time {time.isoformat()} has no zone.",
            hint="Write datetime(..., tzinfo=timezone.utc), or seconds since 1970.",
        )
    return time.timestamp()
