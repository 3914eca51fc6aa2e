"""The database behind the store: SQLite in a file or PostgreSQL, opened so that commits last.

Both are used in the same way: any number of readers, each with a snapshot of its own, and one
writer at a time. With one writer no two transactions can wait for each other in a circle, rows
become visible in the order of their numbers, and nothing can come between a look and a change.
How many calls one transaction serves is the business of :mod:`palate.serving.store.writer`.
"""

import logging
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    IntegrityError,
    NoSuchModuleError,
    ProgrammingError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from palate.errors import ConfigError, MissingExtraError
from palate.serving.overload import StoreUnavailable
from palate.serving.store.migrations import migrate

logger = logging.getLogger(__name__)

_WRITER_LOCK = 5_738_105_281
"""The number of the lock in PostgreSQL that a writer holds; any number, always the same."""
_PATIENCE = 30.0
"""Seconds to wait for another process to finish its transaction, or for a free connection."""
_CONNECT_PATIENCE = 5
_URL_HINT = "Use sqlite:///FILE or postgresql://USER:PASSWORD@HOST:PORT/DATABASE."
_ANSWER_HINT = {
    "sqlite": "Name a file that Palate made, or a new one in a folder it may write to.",
    "postgresql": "See that the server runs, and that its address, user and password are right.",
}


class Database:
    """Connections to one database, for any number of threads."""

    def __init__(self, readers: Engine, writer: Engine) -> None:
        """Use two engines of one database as :func:`open_database` sets them up."""
        self._readers = readers
        self._writer = writer
        self._writing = threading.Lock()

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self._readers.dialect.name

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection for looking only.

        Raises:
            StoreUnavailable: when the database does not answer.
        """
        with _translated(), self._readers.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give a connection in the one writing transaction; it is on disk when the block ends.

        Raises:
            StoreUnavailable: when the database does not answer or cannot write.
        """
        # The lock of the database keeps other processes out, this one our own threads: they wait
        # here for the one connection that writes.
        with _translated(), self._writing, self._writer.begin() as connection:
            yield connection

    def prepare(self) -> None:
        """Set what must be set once for all connections, and see what must be as it is.

        Raises:
            ConfigError: when the database cannot hold every text.
            StoreUnavailable: when it does not answer.
        """
        if self.dialect == "sqlite":
            with _translated():
                _use_write_ahead_log(Path(self._writer.url.database or ""))
            return
        with self.reading() as connection:
            encoding = connection.scalar(text("SHOW server_encoding"))
        if encoding != "UTF8":
            raise ConfigError(
                f"The database is encoded as {encoding}, not as UTF8.",
                hint="Make it with: createdb --encoding=UTF8 --template=template0 NAME",
            )

    def empty_log(self) -> None:
        """Move what SQLite's log holds into the file, so that no erased row lingers in the log.

        PostgreSQL reuses the space of removed rows by itself.
        """
        if self.dialect != "sqlite":
            return
        with _translated(), self._writing:
            # Somebody may still read from the log: they are not waited for long.
            driver = sqlite3.connect(str(self._writer.url.database), timeout=1.0)
            try:
                driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
            finally:
                driver.close()

    def close(self) -> None:
        """Close every connection that nobody uses now."""
        self._readers.dispose()
        self._writer.dispose()


def open_database(address: str) -> Database:
    """Connect, make the tables or bring them up to date.

    Raises:
        ConfigError: when the address cannot be used or no database answers there.
        MissingExtraError: when the driver is not installed.
    """
    url = check_address(address)
    shown = url.set(drivername=url.get_backend_name(), query={}).render_as_string()
    engine = _sqlite if url.get_backend_name() == "sqlite" else _postgresql
    try:
        database = Database(engine(url, writes=False), engine(url, writes=True))
        done = _set_up(database)
    except StoreUnavailable as error:
        message = f"{shown} cannot be used: {error.message}"
        raise ConfigError(message, hint=_ANSWER_HINT[url.get_backend_name()]) from error
    except DBAPIError as error:
        message = f"{shown} cannot be used: {_said(error.orig)}"
        raise ConfigError(message, hint="The tables must be ours to make and change.") from error
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise MissingExtraError("psycopg", "serve") from error
    if done:
        logger.info("the database %s was brought to version %d", shown, max(done))
    return database


def _set_up(database: Database) -> list[int]:
    """Make the tables or bring them up to date; where that fails, no connection stays."""
    try:
        database.prepare()
        with database.writing() as connection:
            return migrate(connection)
    except BaseException:
        database.close()
        raise


def check_address(address: str) -> URL:
    """Return the address of a database as the driver wants it; nothing is opened yet.

    Raises:
        ConfigError: when no store can be kept there.
    """
    try:
        url = make_url(address)
    except (ArgumentError, ValueError) as error:
        # The address itself may hold a password: it is not repeated.
        raise ConfigError("The address of the database cannot be read.", hint=_URL_HINT) from error
    if url.drivername in {"postgresql", "postgres", "postgresql+psycopg"}:
        return url.set(drivername="postgresql+psycopg")
    if url.drivername not in {"sqlite", "sqlite+pysqlite"}:
        raise ConfigError(f"No store can be kept in {url.drivername!r}.", hint=_URL_HINT)
    if not url.database or url.database == ":memory:" or url.query:
        raise ConfigError("The address of the database names no file.", hint=_URL_HINT)
    path = Path(url.database)
    if path.is_dir():
        raise ConfigError(f"{str(path)!r} is a folder; the database is a file.", hint=_URL_HINT)
    if not path.parent.is_dir():
        raise ConfigError(
            f"There is no folder {str(path.parent)!r} for the database.",
            hint="Make the folder first.",
        )
    return url


def _sqlite(url: URL, *, writes: bool) -> Engine:
    # A large transaction that fits into the cache is written once; readers leave that to the
    # system.
    megabytes = 64 if writes else 4
    engine = create_engine(
        url,
        pool_size=1 if writes else 8,
        max_overflow=0 if writes else 8,
        connect_args={"timeout": _PATIENCE},
    )

    @event.listens_for(engine, "connect")
    def set_up(driver: sqlite3.Connection, _record: object) -> None:
        driver.isolation_level = None  # transactions begin where we say, not where the driver does
        for setting in (
            # The log is flushed to the disk by every commit: that is the promise of the store.
            "synchronous = FULL",
            # What is erased is overwritten with zeros.
            "secure_delete = ON",
            f"cache_size = -{1024 * megabytes}",
            # Pages that change again and again go from the log into the file once per 32 MB.
            "wal_autocheckpoint = 8192",
            "temp_store = MEMORY",
        ):
            driver.execute(f"PRAGMA {setting}").close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _use_write_ahead_log(path: Path) -> None:
    """Let readers go on while somebody writes; kept in the file, so it is set once."""
    waited_until = time.monotonic() + _PATIENCE
    while True:
        driver = sqlite3.connect(path, timeout=_PATIENCE)
        try:
            driver.execute("PRAGMA journal_mode = WAL").close()
            return
        except sqlite3.OperationalError as error:
            # SQLite does not wait for others here, whatever the timeout.
            busy = error.sqlite_errorcode == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > waited_until:
                raise
            time.sleep(0.01)
        finally:
            driver.close()


def _postgresql(url: URL, *, writes: bool) -> Engine:
    import psycopg

    engine = create_engine(
        url,
        pool_size=1 if writes else 8,
        max_overflow=0 if writes else 8,
        pool_timeout=_PATIENCE,
        pool_pre_ping=True,  # a server that was restarted is found again by the next call
        connect_args={
            "connect_timeout": _CONNECT_PATIENCE,
            "client_encoding": "utf8",
            "application_name": "palate",
        },
    )

    @event.listens_for(engine, "connect")
    def set_up(driver: psycopg.Connection, _record: object) -> None:
        # Where somebody has switched it off for the whole server, our commits still last.
        driver.execute(
            "SELECT set_config('synchronous_commit', 'on', false)"
            " WHERE current_setting('synchronous_commit') = 'off'"
        )
        driver.commit()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if writes:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITER_LOCK})")

    return engine


@contextmanager
def _translated() -> Iterator[None]:
    """Turn what keeps a database from its work into one error, without statements or values."""
    try:
        yield
    except (IntegrityError, ProgrammingError):
        raise  # a mistake of ours, which must not look like trouble with the database
    except DBAPIError as error:
        raise StoreUnavailable(_said(error.orig)) from error
    except sqlite3.Error as error:
        raise StoreUnavailable(_said(error)) from error
    except PoolTimeoutError as error:
        raise StoreUnavailable("All connections to the database are in use.") from error


def _said(error: BaseException | None) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return f"The database says: {lines[0].rstrip('.')}."
