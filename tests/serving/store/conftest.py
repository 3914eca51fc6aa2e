"""Every test of the store runs on both databases."""

from collections.abc import Iterator

import pytest

from palate.serving.store import Store


@pytest.fixture
def store(address: str) -> Iterator[Store]:
    """An empty store of each kind."""
    opened = Store.open(address)
    yield opened
    opened.close()
