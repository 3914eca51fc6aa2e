"""Numbers kept beside the tables, because counting ten million rows takes a second."""

from typing import Literal

from sqlalchemy import Connection, select, update

from palate.serving.store.schema import COUNTERS

Counter = Literal["users", "events", "changes", "erasures"]


def add(connection: Connection, name: Counter, number: int) -> int:
    """Add ``number`` and return the sum; within the writing transaction."""
    statement = (
        update(COUNTERS)
        .where(COUNTERS.c.name == name)
        .values(value=COUNTERS.c.value + number)
        .returning(COUNTERS.c.value)
    )
    return int(connection.execute(statement).scalar_one())


def value(connection: Connection, name: Counter) -> int:
    """Return the number."""
    return int(connection.execute(select(COUNTERS.c.value).filter_by(name=name)).scalar_one())
