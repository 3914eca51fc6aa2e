"""Events: added once and for all, read by user or in the order they came."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Select, func, select, update

from palate.data.field_checks import check_id
from palate.serving.store import counters, users
from palate.serving.store.conflicts import insert_missing
from palate.serving.store.paging import check_limit
from palate.serving.store.records import Event, Mode, Outcome, StoredEvent
from palate.serving.store.schema import EVENTS, Fields


@dataclass(frozen=True, slots=True)
class Group:
    """Events of one call."""

    events: Sequence[Event]
    mode: Mode


def add(connection: Connection, groups: Sequence[Group]) -> list[list[Outcome]]:
    """Add the events of several calls, as if one call came after the other.

    All go in by one statement; what the key of an earlier event keeps out is told from the rows
    that are missing then. This needs a transaction that no other writer can come between.
    """
    events = [event for group in groups for event in group.events]
    if not events:
        return [[] for _ in groups]
    before = newest(connection)
    received_at = time.time()
    rows = [_row(event, received_at) for event in events]
    num_stored = insert_missing(connection, EVENTS, rows)
    if num_stored == len(events) and all(group.mode == "accumulate" for group in groups):
        outcomes: list[list[Outcome]] = [["stored"] * len(group.events) for group in groups]
    else:
        outcomes = _told_apart(connection, groups, before)
    counters.add(connection, "events", num_stored)
    users.add_missing(connection, {event.user_id for event in events})
    return outcomes


def _row(event: Event, received_at: float) -> dict[str, object]:
    return {
        "user_id": event.user_id,
        "item_id": event.item_id,
        "event_type": event.event_type,
        "value": event.value,
        "timestamp": event.timestamp,
        "idempotency_key": event.idempotency_key,
        "recommendation_id": event.recommendation_id,
        "received_at": received_at,
        "replaced_by": 0,
    }


def _told_apart(
    connection: Connection, groups: Sequence[Group], before: int
) -> list[list[Outcome]]:
    """Say what became of each event, given that all rows after ``before`` are new."""
    new = connection.execute(
        select(EVENTS.c.sequence, EVENTS.c.user_id, EVENTS.c.idempotency_key)
        .where(EVENTS.c.sequence > before)
        .order_by(EVENTS.c.sequence)
    ).all()
    sequences = iter([row.sequence for row in new])
    keyed = {(row.user_id, row.idempotency_key) for row in new if row.idempotency_key is not None}

    def outcome(event: Event, mode: Mode) -> Outcome:
        if event.idempotency_key is not None:
            key = (event.user_id, event.idempotency_key)
            if key not in keyed:
                return "duplicate"
            keyed.remove(key)  # a second one of the same batch is a duplicate
        sequence = next(sequences)
        if mode == "overwrite" and _replace_older(connection, event, sequence):
            return "overwritten"
        return "stored"

    return [[outcome(event, group.mode) for event in group.events] for group in groups]


def _replace_older(connection: Connection, event: Event, sequence: int) -> bool:
    """Let the event ``sequence`` stand for all older ones of its user, item and type."""
    done = connection.execute(
        update(EVENTS)
        .where(
            EVENTS.c.user_id == event.user_id,
            EVENTS.c.item_id == event.item_id,
            EVENTS.c.event_type == event.event_type,
            EVENTS.c.replaced_by == 0,
            EVENTS.c.sequence < sequence,
        )
        .values(replaced_by=sequence)
    )
    return done.rowcount > 0


def newest(connection: Connection) -> int:
    """Return the sequence number of the newest event, 0 where there is none."""
    return int(connection.scalar(select(func.max(EVENTS.c.sequence))) or 0)


def history(connection: Connection, user_id: str, limit: int) -> list[StoredEvent]:
    """Return the newest events of a user that nothing overwrote, oldest first."""
    check_id("user_id", user_id)
    check_limit(limit)
    query = (
        select(EVENTS)
        .where(EVENTS.c.user_id == user_id, EVENTS.c.replaced_by == 0)
        .order_by(EVENTS.c.timestamp.desc(), EVENTS.c.sequence.desc())
        .limit(limit)
    )
    return list(_read(connection, query))[::-1]


def of_user(connection: Connection, user_id: str) -> Iterator[tuple[StoredEvent, int]]:
    """Give all events of a user in the order they came, each with the event that overwrote it."""
    query = select(EVENTS).where(EVENTS.c.user_id == user_id).order_by(EVENTS.c.sequence)
    for row in connection.execute(query):
        yield _record(row._asdict()), row.replaced_by


def recent(connection: Connection, after_sequence: int, limit: int) -> list[StoredEvent]:
    """Return the events that follow ``after_sequence``, in the order they came."""
    check_limit(limit)
    query = (
        select(EVENTS)
        .where(EVENTS.c.sequence > after_sequence)
        .order_by(EVENTS.c.sequence)
        .limit(limit)
    )
    return list(_read(connection, query))


def _read(connection: Connection, query: Select[tuple[object, ...]]) -> Iterator[StoredEvent]:
    return (_record(row._asdict()) for row in connection.execute(query))


def _record(row: Fields) -> StoredEvent:
    event = Event(
        user_id=row["user_id"],
        item_id=row["item_id"],
        event_type=row["event_type"],
        value=row["value"],
        timestamp=row["timestamp"],
        idempotency_key=row["idempotency_key"],
        recommendation_id=row["recommendation_id"],
    )
    return StoredEvent(row["sequence"], event, row["received_at"])
