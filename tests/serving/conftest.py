"""A little shop, the model folders trained on it, and stores: the simplest, and both databases."""

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from memory_store import MemoryStore

from palate import Dataset, Recommender
from palate.training.recipe import load_recipe

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))

import postgresql_server

_NUMBERS = itertools.count()

ITEM_SHARES = (
    *("next_item", "objective", "scenario", "category", "search", "direct", "cold_start"),
    *("masked", "next_behaviours"),
)


@pytest.fixture
def memory_store() -> MemoryStore:
    return MemoryStore()


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


@pytest.fixture(scope="session")
def speaking(live_shop: Dataset, model_folders: Path) -> Path:
    """The folder ``palate`` beside the others: a model of every family, after one epoch."""
    tiny = (
        *("items.text.dim=16", "tasks.max_history=8"),
        *("model.decoder.width=16", "model.decoder.layers=1", "tasks.candidates=5"),
        *("training.epochs=1", "training.tokens_per_batch=2048"),
    )
    Recommender.train(live_shop, load_recipe("palate", tiny), seed=1).save(model_folders / "palate")
    return model_folders / "palate"


@pytest.fixture(scope="session")
def wordy(live_shop: Dataset, model_folders: Path) -> Path:
    """The folder ``wordy``: a model that answers in words alone."""
    tiny = (
        *("items.text.dim=16", "tasks.max_history=4"),
        *("model.decoder.width=16", "model.decoder.layers=1", "training.epochs=1"),
        *(f"tasks.{share}=0" for share in ITEM_SHARES),
        'answers=["titles", "text"]',
    )
    Recommender.train(live_shop, load_recipe("palate", tiny), seed=1).save(model_folders / "wordy")
    return model_folders / "wordy"
