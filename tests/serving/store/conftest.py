"""Every test of the store runs on both databases."""

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from palate.serving.store import Store

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "bench"))

import postgresql_server

_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def postgresql_address() -> Iterator[str]:
    """A server started for the tests; where none can be, they are skipped and say why."""
    server = postgresql_server.postgresql(durable=False)
    try:
        address = server.__enter__()
    except postgresql_server.NoPostgresqlError as error:
        pytest.skip(f"no PostgreSQL to test with: {error}")
    yield address
    server.__exit__(None, None, None)


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'palate.db'}"
        return
    server = request.getfixturevalue("postgresql_address")
    # A schema is as empty as a database, and made in no time.
    name = f"palate_{next(_NUMBERS)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}".encode())
        yield f"{server}&options=-csearch_path%3D{name}"
        connection.execute(f"DROP SCHEMA {name} CASCADE".encode())


@pytest.fixture
def store(address: str) -> Iterator[Store]:
    """An empty store of each kind."""
    opened = Store.open(address)
    yield opened
    opened.close()
