"""How many events a second the store takes, each on disk before it is acknowledged.

    .venv/bin/python bench/ingest.py [--seconds 5] [--history 1000000] [--only sqlite]

*Calls* of 1, 10, 100 and 1000 events follow one another from one thread, straight to the store;
*writers* of the same sizes are coroutines that wait for their answer before they send again, and
share commits through the group-commit writer. Every event has an idempotency key. PostgreSQL is
started for the purpose from Debian's packages, with its usual settings. With ``--history`` the
store is filled first, and the time to read one user's history and one page of users is taken as
well. The last line is ``ingest: <events per second, SQLite, batches of 100>``.
"""

import argparse
import asyncio
import contextlib
import itertools
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from measure import console, machine
from postgresql_server import NoPostgresqlError, postgresql
from rich.table import Table

from palate.serving.store import Event, EventWriter, Store

SIZES = (1, 10, 100, 1000)
WRITERS = (1, 16)
HEADLINE = ("SQLite", "1 thread", 100)
NUM_USERS = 100_000
NUM_ITEMS = 10_000
LOOKS = 2_000

Rate = Callable[[Store, "Source", int, float], tuple[float, list[float]]]


class Source:
    """Events nobody has seen: users at random, a few items more popular than the others."""

    def __init__(self, num_users: int) -> None:
        """Draw the users and items once; they come again and again, the keys do not."""
        rng = np.random.default_rng(0)
        self.users = [f"user-{row}" for row in rng.integers(0, num_users, 65_536)]
        self.items = [f"item-{row}" for row in NUM_ITEMS * rng.random(65_536) ** 3 // 1]
        self._numbers = itertools.count()

    def batch(self, size: int) -> list[Event]:
        """Return the next events."""
        return [self._event(next(self._numbers)) for _ in range(size)]

    def _event(self, number: int) -> Event:
        place = number * 7919 % 65_536
        time_of_it = 1_700_000_000.0 + number
        return Event(
            self.users[place], self.items[place], "click", None, time_of_it, f"key-{number:012}"
        )


def main() -> None:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--seconds", type=float, default=5.0, help="per figure")
    arguments.add_argument("--history", type=int, default=0, help="events stored beforehand")
    arguments.add_argument("--only", choices=["sqlite", "postgresql"])
    arguments.add_argument("--folder", type=Path, help="where the databases are made")
    chosen = arguments.parse_args()
    load = os.getloadavg()[0]
    if load > 0.5:
        console.print(f"[yellow]The load is {load:.1f}: something else runs here, and counts.")
    console.print(
        f"{machine()}; a flush of the disk takes {flush_ms(chosen.folder):.2f} ms (median)"
    )
    rates = Table(title="Events per second, durable when acknowledged")
    looks = Table(title="Reading, ms")
    for table, columns in ((rates, ("p50, ms", "p99, ms")), (looks, ("p50", "p99"))):
        table.add_column("store")
        table.add_column("how" if table is rates else "what")
        for heading in ("per call", "events / s") if table is rates else ("events stored",):
            table.add_column(heading, justify="right")
        for heading in columns:
            table.add_column(heading, justify="right")

    found: dict[tuple[str, str, int], float] = {}
    for name, opened in databases(chosen.only, chosen.folder):
        with opened as address:
            measure_store(name, address, chosen, (rates, looks), found)
    console.print(rates)
    if chosen.history:
        console.print(looks)
    print(f"ingest: {found.get(HEADLINE, float('nan')):.0f}")


def databases(
    only: str | None, folder: Path | None
) -> Iterator[tuple[str, "contextlib.AbstractContextManager[str]"]]:
    """Give the name and the way to open each database there can be."""
    if only != "postgresql":
        yield "SQLite", sqlite(folder)
    if only == "sqlite":
        return
    try:
        with postgresql(parent=folder) as address:
            yield "PostgreSQL", contextlib.nullcontext(address)
    except NoPostgresqlError as error:
        console.print(f"[yellow]PostgreSQL is left out: {error}")


@contextlib.contextmanager
def sqlite(parent: Path | None) -> Iterator[str]:
    """Give the address of a database in a folder of its own."""
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        yield f"sqlite:///{folder}/palate.db"


def measure_store(
    name: str,
    address: str,
    chosen: argparse.Namespace,
    tables: tuple[Table, Table],
    found: dict[tuple[str, str, int], float],
) -> None:
    """Take all figures of one store and add them to the tables."""
    rates, looks = tables
    store = Store.open(address)
    source = Source(max(NUM_USERS, chosen.history // 100))
    while store.counts().events < chosen.history:
        store.add_events(source.batch(20_000), mode="accumulate")
    if chosen.history:
        for what, look in reads(store).items():
            times = [look(source.users[place % 65_536]) for place in range(LOOKS)]
            looks.add_row(name, what, f"{store.counts().events:,}", *quantiles(times))
    ways: dict[str, Rate] = {"1 thread": by_calls}
    ways |= {f"{count} writer{'s' * (count > 1)}": by_writers_of(count) for count in WRITERS}
    for how, rate in ways.items():
        for size in SIZES:
            per_second, times = rate(store, source, size, chosen.seconds)
            found[name, how, size] = per_second
            rates.add_row(name, how, f"{size:,}", f"{per_second:,.0f}", *quantiles(times))
    store.close()


def by_calls(store: Store, source: Source, size: int, seconds: float) -> tuple[float, list[float]]:
    """Return events per second and the milliseconds of each call, one call after the other."""
    times: list[float] = []
    begun = time.perf_counter()
    while not times or time.perf_counter() < begun + seconds:
        events = source.batch(size)
        started = time.perf_counter()
        outcomes = store.add_events(events, mode="accumulate")
        times.append(1000 * (time.perf_counter() - started))
        assert outcomes == ["stored"] * size
    return len(times) * size / (time.perf_counter() - begun), times


def by_writers_of(count: int) -> Rate:
    """Return how to measure ``count`` coroutines that share a writer."""

    def by_writers(
        store: Store, source: Source, size: int, seconds: float
    ) -> tuple[float, list[float]]:
        times: list[float] = []

        async def send(writer: EventWriter, until: float) -> None:
            while not times or time.perf_counter() < until:
                events = source.batch(size)
                started = time.perf_counter()
                await writer.add(events, "accumulate")
                times.append(1000 * (time.perf_counter() - started))

        async def run() -> float:
            writer = EventWriter(store)
            begun = time.perf_counter()
            await asyncio.gather(*(send(writer, begun + seconds) for _ in range(count)))
            taken = time.perf_counter() - begun
            writer.close()
            return len(times) * size / taken

        return asyncio.run(run()), times

    return by_writers


def reads(store: Store) -> dict[str, Callable[[str], float]]:
    """Return what is read, as functions of a user that return milliseconds."""

    def timed(look: Callable[[str], object]) -> Callable[[str], float]:
        def take(user_id: str) -> float:
            started = time.perf_counter()
            look(user_id)
            return 1000 * (time.perf_counter() - started)

        return take

    newest = store.newest_sequence()
    cursor = store.users(limit=500).next_cursor
    return {
        "a user's history": timed(store.history),
        "100 users, a later page": timed(lambda _user: store.users(cursor)),
        "the newest 100 events": timed(lambda _user: store.recent_events(newest - 100)),
        "all counts": timed(lambda _user: store.counts()),
    }


def quantiles(times: list[float]) -> tuple[str, str]:
    """Return the median and the 99th percentile as cells."""
    p50, p99 = np.percentile(times, [50, 99])
    return f"{p50:.2f}", f"{p99:.2f}"


def flush_ms(folder: Path | None) -> float:
    """Return how long the disk takes to flush four kilobytes: the floor of a single commit."""
    times: list[float] = []
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        for _ in range(100):
            started = time.perf_counter()
            file.write(bytes(4096))
            file.flush()
            os.fdatasync(file.fileno())
            times.append(1000 * (time.perf_counter() - started))
    return float(np.median(times))


if __name__ == "__main__":
    main()
