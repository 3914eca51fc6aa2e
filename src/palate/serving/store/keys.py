"""API keys: the store knows a hash of each secret, never the secret.

A secret is ``palate_KEYID_RANDOM``: the id finds the row, and the hash of the whole is compared in
constant time. The random part has 256 bits, so a plain SHA-256 is as good as a slow hash.
"""

import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Iterable

from sqlalchemy import insert, select, update

from palate.data.field_checks import check_id
from palate.errors import DataError
from palate.serving.store.database import Database
from palate.serving.store.records import SCOPES, ApiKey, Scope
from palate.serving.store.schema import API_KEYS, Fields

_SECRET = re.compile(r"palate_([0-9a-f]{16})_[0-9A-Za-z_-]{43}", re.ASCII)
_NO_HASH = hashlib.sha256(b"").hexdigest()
"""Compared with when there is no such key, so that the answer takes as long; no secret has it."""


class Keys:
    """The API keys of a store."""

    def __init__(self, database: Database) -> None:
        """Keep them in ``database``."""
        self._database = database

    def create(self, name: str, scopes: Iterable[Scope]) -> tuple[ApiKey, str]:
        """Make a key; return it and its secret, which is never shown again.

        Raises:
            DataError: when there is no scope, an unknown one, or the name cannot be stored.
        """
        check_id("name", name)
        wanted = frozenset(scopes)
        if not wanted or wanted - SCOPES:
            raise DataError(
                f"A key cannot have the scopes {sorted(wanted)}.",
                hint=f"Give one or more of: {', '.join(sorted(SCOPES))}.",
            )
        key = ApiKey(secrets.token_hex(8), name, wanted, created_at=time.time())
        secret = f"palate_{key.key_id}_{secrets.token_urlsafe(32)}"
        row = {
            "key_id": key.key_id,
            "name": name,
            "scopes": json.dumps(sorted(wanted)),
            "secret_hash": _hash(secret),
            "created_at": key.created_at,
        }
        with self._database.writing() as connection:
            connection.execute(insert(API_KEYS), row)
        return key, secret

    def verify(self, secret: str) -> ApiKey | None:
        """Return the key that ``secret`` opens, or None where it opens none or is revoked."""
        form = _SECRET.fullmatch(secret)
        query = select(API_KEYS).filter_by(key_id=form[1] if form else "")
        with self._database.reading() as connection:
            row = connection.execute(query).one_or_none()
        expected = _NO_HASH if row is None else row.secret_hash
        if not hmac.compare_digest(_hash(secret), expected) or row is None:
            return None
        key = _record(row._asdict())
        return key if key.is_live else None

    def revoke(self, key_id: str) -> bool:
        """Make a key open nothing any more; tell whether it opened anything before."""
        check_id("key_id", key_id)
        statement = (
            update(API_KEYS)
            .where(API_KEYS.c.key_id == key_id, API_KEYS.c.revoked_at.is_(None))
            .values(revoked_at=time.time())
        )
        with self._database.writing() as connection:
            return connection.execute(statement).rowcount > 0

    def list(self) -> list[ApiKey]:
        """Return all keys, the revoked ones too, oldest first."""
        query = select(API_KEYS).order_by(API_KEYS.c.created_at, API_KEYS.c.key_id)
        with self._database.reading() as connection:
            return [_record(row._asdict()) for row in connection.execute(query)]


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


def _record(row: Fields) -> ApiKey:
    return ApiKey(
        key_id=row["key_id"],
        name=row["name"],
        scopes=frozenset(json.loads(row["scopes"])),
        created_at=row["created_at"],
        revoked_at=row["revoked_at"],
    )
