"""Opening: what an address may say, tables made once, services that start together."""

import logging
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Connection, MetaData, create_engine, event, inspect, make_url, text

from palate.errors import ConfigError
from palate.serving.overload import StoreUnavailable
from palate.serving.store import Event, ItemRecord, RecommendationRecord, Store, migrations
from palate.serving.store.database import open_database
from palate.serving.store.schema import METADATA

NOON = 1_700_000_000.0


def test_what_was_stored_is_there_after_opening_again(address: str) -> None:
    store = Store.open(address)
    store.add_events([Event("ann", "book", "click", None, NOON, "1")], mode="accumulate")
    store.close()
    again = Store.open(address)
    assert len(again.history("ann")) == 1
    again.ping()
    again.close()


def test_the_tables_are_as_the_queries_expect(address: str) -> None:
    Store.open(address).close()
    engine = create_engine(make_url(address).set(drivername=_driver(address)))
    found = MetaData()
    found.reflect(engine)
    assert set(found.tables) == {*METADATA.tables, "migrations"}
    for name, table in METADATA.tables.items():
        made = found.tables[name]
        assert {c.name: c.nullable for c in made.c} == {c.name: c.nullable for c in table.c}
        assert [c.name for c in made.primary_key] == [c.name for c in table.primary_key]
        indexes = {(i.name, tuple(c.name for c in i.columns), i.unique) for i in made.indexes}
        wanted = {(i.name, tuple(c.name for c in i.columns), i.unique) for i in table.indexes}
        assert indexes == wanted
    engine.dispose()


def test_a_database_is_brought_up_to_date_step_by_step(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = migrations.MIGRATIONS
    with monkeypatch.context() as old:
        old.setattr(migrations, "MIGRATIONS", {1: steps[1]})
        database = open_database(address)
        with database.reading() as connection:
            assert set(inspect(connection).get_table_names()) >= {"events", "users"}
            assert "items" not in inspect(connection).get_table_names()
        database.close()
    store = Store.open(address)
    store.upsert_items([ItemRecord("book")])
    store.close()
    assert _numbers(address) == sorted(steps)


def test_a_step_that_fails_leaves_nothing_behind(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(connection: Connection) -> None:
        connection.execute(text("CREATE TABLE half (a BIGINT)"))
        connection.execute(text("SELECT nonsense FROM nowhere"))

    Store.open(address).close()
    with monkeypatch.context() as broken:
        broken.setattr(migrations, "MIGRATIONS", {**migrations.MIGRATIONS, 99: half})
        with pytest.raises(ConfigError, match="nowhere"):
            Store.open(address)
    store = Store.open(address)
    with store._database.reading() as connection:
        assert "half" not in inspect(connection).get_table_names()
    store.close()


def test_a_database_of_a_newer_palate_is_refused(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Store.open(address).close()
    known = {n: step for n, step in migrations.MIGRATIONS.items() if n < max(migrations.MIGRATIONS)}
    monkeypatch.setattr(migrations, "MIGRATIONS", known)
    with pytest.raises(ConfigError, match="knows changes up to") as refused:
        Store.open(address)
    assert "pip install -U" in refused.value.hint


def test_services_that_start_together_make_the_tables_once(address: str) -> None:
    def start(number: int) -> None:
        store = Store.open(address)
        store.add_events([Event("ann", str(number), "view", None, NOON)], mode="accumulate")
        store.close()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(start, range(8)))
    assert _numbers(address) == sorted(migrations.MIGRATIONS)
    store = Store.open(address)
    assert store.counts().events == 8
    store.close()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "cannot be read"),
        ("palate.db", "cannot be read"),
        ("mysql://user@host/db", "mysql"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite:///file?mode=memory", "names no file"),
        ("sqlite:////no/such/folder/palate.db", "no folder"),
        ("postgresql://user:geheim@127.0.0.1:port/db", "cannot be read"),
        ("postgresql://user:geheim@127.0.0.1:1/db", "cannot be used"),
        ("postgresql://user:geheim@/db?host=/no/such/folder", "cannot be used"),
        ("postgresql://user@127.0.0.1:1/db?password=geheim", "cannot be used"),
    ],
)
def test_an_address_that_cannot_be_used_is_an_error_without_its_password(
    url: str, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(ConfigError, match=says) as refused:
        Store.open(url)
    assert refused.value.hint
    assert "geheim" not in str(refused.value) + caplog.text


def test_what_is_no_database_is_not_touched(tmp_path: Path) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("These are notes, and no database at all. " * 100)
    with pytest.raises(ConfigError, match="not a database"):
        Store.open(f"sqlite:///{other}")
    assert other.read_text().startswith("These are notes")
    with pytest.raises(ConfigError, match="folder"):
        Store.open(f"sqlite:///{tmp_path}")


def test_an_unknown_database_on_a_server_is_an_error(postgresql_address: str) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        Store.open(postgresql_address.replace("/postgres?", "/nowhere?"))


def test_a_database_that_is_not_utf8_is_refused(postgresql_address: str) -> None:
    import psycopg

    with psycopg.connect(postgresql_address, autocommit=True) as connection:
        connection.execute("CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0")
    with pytest.raises(ConfigError, match="SQL_ASCII"):
        Store.open(postgresql_address.replace("/postgres?", "/ascii?"))


def test_every_commit_is_flushed(address: str) -> None:
    store = Store.open(address)
    with store._database.reading() as connection:
        if store._database.dialect == "sqlite":
            assert connection.scalar(text("PRAGMA journal_mode")) == "wal"
            assert connection.scalar(text("PRAGMA synchronous")) == 2  # FULL
        else:
            assert connection.scalar(text("SHOW synchronous_commit")) == "on"
    store.close()


def test_a_server_that_does_not_flush_is_told_to_for_us(postgresql_address: str) -> None:
    import psycopg
    from postgresql_server import empty_database

    with empty_database(postgresql_address, "careless") as address:
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute("ALTER DATABASE careless SET synchronous_commit = off")
        store = Store.open(address)
        with store._database.reading() as connection:
            assert connection.scalar(text("SHOW synchronous_commit")) == "on"
        store.close()


def test_a_connection_that_was_cut_is_replaced(postgresql_address: str) -> None:
    import psycopg
    from postgresql_server import empty_database

    with empty_database(postgresql_address, "cut") as address:
        store = Store.open(address)
        with psycopg.connect(postgresql_address, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'cut'"
            )
        store.ping()
        store.close()


def test_a_database_that_went_away_is_said_to_be_unavailable(postgresql_address: str) -> None:
    from postgresql_server import empty_database

    with empty_database(postgresql_address, "away") as address:
        store = Store.open(address)
    with pytest.raises(StoreUnavailable, match="does not exist"):
        store.add_events([Event("ann", "book", "click", None, NOON)], mode="accumulate")
    store.close()


def test_no_query_reads_more_than_it_needs(address: str) -> None:
    store = Store.open(address)
    store.add_events(
        [Event(f"u{n % 50}", f"i{n % 7}", "v", None, NOON + n, f"{n}") for n in range(1500)],
        mode="accumulate",
    )
    store.upsert_items([ItemRecord(f"i{n}") for n in range(500)])
    asked = _asked(store)
    store.add_events([Event("u1", "i1", "v", None, NOON, "k")], mode="overwrite")
    store.history("u1", limit=5)
    store.recent_events(1490)
    store.items("aTEw", limit=3)
    store.users("dTEw", limit=3)
    store.changed_items(490)
    store.get_item("i1")
    store.export_user("u1")
    store.record_recommendations([RecommendationRecord("1", "u1", "v1", ["i1"], NOON, "r")])
    store.erase_user("u1")
    plans = _plans(store, asked)
    assert len(plans) > 15
    assert [plan for plan in plans if _reads_all(plan)] == []
    store.close()


def _asked(store: Store) -> list[tuple[str, object]]:
    """Note each statement from now on."""
    asked: list[tuple[str, object]] = []

    @event.listens_for(store._database._readers, "before_cursor_execute")
    @event.listens_for(store._database._writer, "before_cursor_execute")
    def note(
        _connection: object, _cursor: object, statement: str, parameters: object, *_: object
    ) -> None:
        if statement.startswith(("SELECT ", "UPDATE ", "DELETE ")) and "FROM " in statement:
            asked.append((statement, parameters))

    return asked


def _plans(store: Store, asked: list[tuple[str, object]]) -> list[str]:
    prefix = "EXPLAIN QUERY PLAN " if store._database.dialect == "sqlite" else "EXPLAIN "
    plans = []
    with store._database.reading() as connection:
        if store._database.dialect == "postgresql":
            connection.execute(text("ANALYZE"))
            connection.execute(text("SET LOCAL enable_seqscan = off"))
            connection.execute(text("SET LOCAL enable_bitmapscan = off"))
        for statement, parameters in list(asked):
            rows = connection.exec_driver_sql(prefix + statement, parameters).all()  # type: ignore[arg-type]
            plans.append(statement + "\n" + "\n".join(str(row[-1]) for row in rows))
    return plans


def _reads_all(plan: str) -> bool:
    sorts = "LIMIT" in plan and ("TEMP B-TREE" in plan or "Sort" in plan)
    return sorts or "SCAN events" in plan or "SCAN items" in plan or "Seq Scan on events" in plan


def _driver(address: str) -> str:
    return "sqlite" if address.startswith("sqlite") else "postgresql+psycopg"


def _numbers(address: str) -> list[int]:
    if address.startswith("sqlite"):
        connection = sqlite3.connect(make_url(address).database or "")
        numbers = [row[0] for row in connection.execute("SELECT number FROM migrations")]
        connection.close()
        return sorted(numbers)
    import psycopg

    with psycopg.connect(address) as server:
        return sorted(row[0] for row in server.execute("SELECT number FROM migrations"))
