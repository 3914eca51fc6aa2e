"""API keys: the store never holds a secret, and a revoked key opens nothing."""

import sqlite3
from pathlib import Path

import pytest

from palate.errors import DataError
from palate.serving.store import Store
from palate.serving.store.records import SCOPES, Scope


def test_a_secret_opens_its_own_key(store: Store) -> None:
    reader, secret = store.keys.create("shop", ["read"])
    admin, other = store.keys.create("boss", SCOPES)
    assert store.keys.verify(secret) == reader
    assert store.keys.verify(other) == admin
    assert reader.scopes == {"read"}
    assert admin.scopes == {"read", "write", "admin"}
    assert reader.is_live
    assert [key.name for key in store.keys.list()] == ["shop", "boss"]


def test_a_revoked_key_opens_nothing(store: Store) -> None:
    key, secret = store.keys.create("shop", ["read", "write"])
    assert store.keys.revoke(key.key_id)
    assert store.keys.verify(secret) is None
    assert not store.keys.revoke(key.key_id)
    assert not store.keys.revoke("unknown'; --")
    (kept,) = store.keys.list()
    assert kept.revoked_at is not None
    assert not kept.is_live


def test_only_the_whole_secret_opens(store: Store) -> None:
    key, secret = store.keys.create("shop", ["read"])
    _, other = store.keys.create("shop", ["admin"])
    wrong = ["", " ", secret[:-1], secret + "x", secret.upper(), f" {secret}", key.key_id]
    wrong += [f"palate_{key.key_id}_{other[-43:]}", f"palate_{'0' * 16}_{secret[-43:]}"]
    wrong += ["' OR '1'='1", "\0", "\ud800", "é" * 5_000, secret.replace("palate", "PALATE")]
    assert [store.keys.verify(attempt) for attempt in wrong] == [None] * len(wrong)


def test_the_files_hold_no_secret(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path / 'palate.db'}")
    key, secret = store.keys.create("shop", ["read"])
    assert secret not in repr(key)
    store.close()
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert secret.encode() not in content
    assert secret[-43:].encode() not in content
    with sqlite3.connect(tmp_path / "palate.db") as connection:
        ((stored,),) = connection.execute("SELECT secret_hash FROM api_keys")
    connection.close()
    assert len(bytes.fromhex(stored)) == 32


@pytest.mark.parametrize("scopes", [[], ["root"], ["read", "root"]])
def test_a_key_needs_scopes_that_exist(store: Store, scopes: list[Scope]) -> None:
    # Given one by one, so that the checks of the tests do not refuse them first.
    with pytest.raises(DataError, match="scopes"):
        store.keys.create("shop", (scope for scope in scopes))
    assert store.keys.list() == []


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 600])
def test_a_name_must_be_storable(store: Store, name: str) -> None:
    with pytest.raises(DataError, match="name"):
        store.keys.create(name, ["read"])
