"""A store as it is after years: millions of events, made by the database itself in a few minutes.

    .venv/bin/python bench/full_store.py [--events 10000000] [--only sqlite] [--plans]

A user for every ten events, an answer of ten items for every ten events, and a click on one of ten
answers, spread over 300 days. Then everything a service reads or removes is timed, in milliseconds.
``--plans`` prints how the database finds each of them. Ten million events take 2 GB.
The last line is ``full store: <milliseconds of a user's history, SQLite, p99>``.
"""

import argparse
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from measure import console, machine
from rich.table import Table
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text

from palate.serving.store import Store
from palate.serving.store.schema import EVENTS, RECOMMENDATIONS

_DAYS = 300
_DAY = 86_400.0
_EVENTS_PER_USER = 10
_AT_ONCE = 1_000_000
_LISTED = "\x1f" + "".join(f"item-{row * 3100 % 10_000}\x1f" for row in range(10))
"""Every tenth event is of one of a hundred items; the lists hold ten of these."""
_NUMBERS = {
    "sqlite": "(WITH RECURSIVE n(i) AS (SELECT :first UNION ALL SELECT i + 1 FROM n "
    "WHERE i + 1 < :end) SELECT i FROM n)",
    "postgresql": "(SELECT i FROM generate_series(CAST(:first AS BIGINT), :end - 1) AS s(i))",
}
_EVENTS = """
INSERT INTO events (user_id, item_id, event_type, value, timestamp, idempotency_key,
                    recommendation_id, received_at, replaced_by)
SELECT 'user-' || (i * 7919 % :users), 'item-' || (i * 31 % 10000), 'click', NULL,
       :start + i * :step, 'old-' || i,
       CASE WHEN i % 100 = 0 THEN 'answer-' || (i / 10) END, :start + i * :step, 0
FROM {numbers} AS numbers
"""
_ANSWERS = """
INSERT INTO recommendations (recommendation_id, user_id, model_version, item_ids, created_at,
                             route, fallback)
SELECT 'answer-' || i, 'user-' || (i * 79190 % :users), 'v' || (i % 2), :listed,
       :start + i * 10 * :step, '/v1/recommend', NULL
FROM {numbers} AS numbers
"""
_USERS = "INSERT INTO users SELECT 'user-' || i, '{{}}' FROM {numbers} AS numbers"


def fill(address: str, num_events: int) -> int:
    """Fill an empty store with so many events; return how many users that makes."""
    Store.open(address).close()
    num_users = max(1, num_events // _EVENTS_PER_USER)
    engine = _engine(address)
    values = {"users": num_users, "listed": _LISTED}
    values |= {"step": _DAYS * _DAY / num_events, "start": time.time() - _DAYS * _DAY}
    # Sorting all at the end is many times faster than to keep an index in order row by row.
    indexes = [*EVENTS.indexes, *RECOMMENDATIONS.indexes]
    with engine.begin() as connection:
        for index in indexes:
            index.drop(connection)
    tables = ((_EVENTS, num_events), (_ANSWERS, num_events // 10), (_USERS, num_users))
    for statement, count in tables:
        for first in range(0, count, _AT_ONCE):
            part = values | {"first": first, "end": min(count, first + _AT_ONCE)}
            with engine.begin() as connection:
                _run(connection, statement, part)
    with engine.begin() as connection:
        for index in indexes:
            index.create(connection)
        for name, count in (("events", num_events), ("users", num_users)):
            said = {"name": name, "count": count}
            connection.execute(text("UPDATE counters SET value = :count WHERE name = :name"), said)
    if engine.dialect.name == "postgresql":
        # What its housekeeper would have done within minutes.
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
    engine.dispose()
    return num_users


def looks(store: Store, address: str, num_users: int) -> Mapping[str, Callable[[int], object]]:
    """Return what a service reads or removes, as functions of the number of the try."""
    newest = store.newest_sequence()
    middle = store.users(prefix=f"user-{num_users // 2}", limit=1).next_cursor

    def user(number: int) -> str:
        return f"user-{number * 104_729 % num_users}"

    def names(number: int) -> list[str]:
        return [user(number + place) for place in range(1_000)]

    return {
        "opening": lambda _: Store.open(address).close(),
        "a user's history": lambda number: store.history(user(number)),
        "everything of a user": lambda number: store.export_user(user(number)),
        "1,000 users, first page": lambda _: store.users(limit=1_000),
        "1,000 users, in the middle": lambda _: store.users(middle, limit=1_000),
        "users whose id begins so": lambda number: store.users(prefix=user(number)[:-1]),
        "1,000 users by name": lambda number: store.users_among(names(number)),
        "who of 1,000 was erased": lambda number: store.erased_among(names(number)),
        "the newest 100 events": lambda _: store.recent_events(newest - 100),
        "all counts": lambda _: store.counts(),
        "click-through of 30 days": lambda _: store.click_through(time.time() - 30 * _DAY),
        "dropping 500 old answers": lambda _: store.forget_recommendations(
            time.time() - 90 * _DAY, limit=500
        ),
        "erasing a user": lambda number: store.erase_user(user(number)),
    }


_TRIES = {"opening": 20, "click-through of 30 days": 10}


def measured(
    store: Store, address: str, num_users: int, tries: int
) -> Iterator[tuple[str, list[float], list[float]]]:
    """Give what is read or removed, with the milliseconds of each try and those of our processor.

    With SQLite all work is our own, and its time the same however busy the machine is.
    """
    for what, look in looks(store, address, num_users).items():
        times, ours = [], []
        for number in range(min(tries, _TRIES.get(what, tries))):
            began, before = time.perf_counter(), time.process_time()
            look(number)
            ours.append(1e3 * (time.process_time() - before))
            times.append(1e3 * (time.perf_counter() - began))
        yield what, times, ours


@contextmanager
def plans() -> Iterator[dict[str, list[str]]]:
    """Note how SQLite finds the rows of each statement that is run meanwhile."""
    found: dict[str, list[str]] = {}

    @event.listens_for(Engine, "before_cursor_execute")
    def note(connection: Connection, _cursor: object, statement: str, *rest: object) -> None:
        short = re.sub(r"\s+", " ", statement)
        if short in found or not short.startswith(("SELECT", "UPDATE", "DELETE")):
            return
        driver = connection.connection.driver_connection
        assert driver is not None
        # An earlier answer of the same connection may be half read: ask on another cursor.
        rows = driver.cursor().execute(f"EXPLAIN QUERY PLAN {statement}", rest[0]).fetchall()
        found[short] = [row[3] for row in rows]

    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def main() -> None:
    from ingest import databases, quantiles

    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--events", type=int, default=10_000_000)
    made.add_argument("--tries", type=int, default=200)
    made.add_argument("--only", choices=["sqlite", "postgresql"])
    made.add_argument("--folder", type=Path, help="where the databases are made")
    made.add_argument("--plans", action="store_true", help="how SQLite finds the rows")
    options = made.parse_args()
    table = Table(title=f"Reading a full store, ms; {machine()}")
    for heading in ("store", "what", "p50", "p99", "CPU, p50", "CPU, p99"):
        table.add_column(heading, justify="right" if "p" in heading else "left")
    headline = float("nan")
    for name, opened in databases(options.only, options.folder):
        with opened as address:
            began = time.perf_counter()
            num_users = fill(address, options.events)
            took = time.perf_counter() - began
            console.print(
                f"{name}: {options.events:,} events of {num_users:,} users in {took:.0f} s"
            )
            store = Store.open(address)
            for what, times, ours in measured(store, address, num_users, options.tries):
                table.add_row(name, what, *quantiles(times), *quantiles(ours))
                if (name, what) == ("SQLite", "a user's history"):
                    headline = float(np.percentile(times, 99))
            if options.plans and name == "SQLite":
                with plans() as found:
                    list(measured(store, address, num_users, 1))
                for statement, steps in found.items():
                    console.print(f"{statement[:140]}\n    " + "\n    ".join(steps), markup=False)
            store.close()
    console.print(table)
    print(f"full store: {headline:.2f}")


def _engine(address: str) -> Engine:
    url = make_url(address)
    if url.get_backend_name() == "postgresql":
        return create_engine(url.set(drivername="postgresql+psycopg"))
    engine = create_engine(url)

    @event.listens_for(engine, "connect")
    def hurry(driver: object, _record: object) -> None:
        # Nobody else is there and nothing can be lost: no log, no flushes.
        for setting in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -512000"):
            driver.execute(f"PRAGMA {setting}")  # type: ignore[attr-defined]

    return engine


def _run(connection: Connection, statement: str, values: Mapping[str, object]) -> None:
    wanted = {name: x for name, x in values.items() if f":{name}" in statement}
    wanted |= {name: values[name] for name in ("first", "end")}
    numbers = _NUMBERS[connection.dialect.name]
    connection.execute(text(statement.format(numbers=numbers)), wanted)


if __name__ == "__main__":
    main()
