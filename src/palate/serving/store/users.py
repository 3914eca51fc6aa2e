"""Users: who they are, and how everything about them goes when they ask for it."""

import hmac
import json
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from sqlalchemy import Connection, bindparam, delete, func, select, update

from palate.data.field_checks import check_id
from palate.data.ids import LONGEST_ID_BYTES
from palate.serving.store import counters
from palate.serving.store.conflicts import insert_missing, insert_or_update
from palate.serving.store.paging import page
from palate.serving.store.records import Erased, Page, UserRecord
from palate.serving.store.schema import (
    ERASED_USERS,
    EVENTS,
    RECOMMENDATIONS,
    SETTINGS,
    USERS,
    Fields,
)

_LAST_CHARACTER = "\U0010ffff"
"""No character is sorted after it."""
_LONGEST = LONGEST_ID_BYTES // 4
"""Of those characters an id can have no more."""
_AT_ONCE = 500
"""Ids of one query; SQLite once took no more than 999."""


def add_missing(connection: Connection, user_ids: Collection[str]) -> None:
    """Make a record without attributes for each user that has none."""
    rows = [{"user_id": user_id, "attributes": "{}"} for user_id in sorted(user_ids)]
    num_new = insert_missing(connection, USERS, rows)
    if num_new:
        counters.add(connection, "users", num_new)


def upsert(connection: Connection, records: Sequence[UserRecord]) -> None:
    """Add users, or put new attributes in the place of the old; of one id the last counts."""
    if not records:
        return
    attributes = {record.user_id: json.dumps(dict(record.attributes)) for record in records}
    add_missing(connection, attributes)
    connection.execute(
        update(USERS)
        .where(USERS.c.user_id == bindparam("id"))
        .values(attributes=bindparam("new_attributes")),
        [{"id": user_id, "new_attributes": text} for user_id, text in attributes.items()],
    )


def get(connection: Connection, user_id: str) -> UserRecord | None:
    """Return a user, or None."""
    check_id("user_id", user_id)
    row = connection.execute(select(USERS).filter_by(user_id=user_id)).one_or_none()
    return None if row is None else _record(row._asdict())


def some(
    connection: Connection, cursor: str | None, limit: int, prefix: str = ""
) -> Page[UserRecord]:
    """Return users by id, of those whose id begins with ``prefix``."""
    query, key = select(USERS), USERS.c.user_id
    if prefix:
        # A range of the index: no id that begins so comes after the last of all characters.
        query = query.where(key >= prefix, key <= prefix + _LONGEST * _LAST_CHARACTER)
    return page(connection, query, key, cursor=cursor, limit=limit, record=_record)


def among(connection: Connection, user_ids: Collection[str]) -> dict[str, UserRecord]:
    """Return the users that there are among some ids."""
    found: dict[str, UserRecord] = {}
    for part in _parts(user_ids):
        rows = connection.execute(select(USERS).where(USERS.c.user_id.in_(part)))
        found |= {row.user_id: _record(row._asdict()) for row in rows}
    return found


def _record(row: Fields) -> UserRecord:
    return UserRecord(row["user_id"], json.loads(row["attributes"]))


def erase(connection: Connection, user_id: str) -> Erased:
    """Remove all rows of a user and remember, by a hash alone, that they asked for it."""
    check_id("user_id", user_id)
    keys = select(func.count(EVENTS.c.idempotency_key)).where(EVENTS.c.user_id == user_id)
    num_keys = connection.scalar(keys) or 0
    num_events, num_recommendations, num_profiles = (
        connection.execute(delete(table).where(table.c.user_id == user_id)).rowcount
        for table in (EVENTS, RECOMMENDATIONS, USERS)
    )
    counters.add(connection, "events", -num_events)
    counters.add(connection, "users", -num_profiles)
    tombstone = {
        "user_hash": _hash(connection, user_id),
        "erased_at": time.time(),
        "number": counters.add(connection, "erasures", 1),
    }
    insert_or_update(connection, ERASED_USERS, [tombstone])
    return Erased(
        events=num_events,
        recommendations=num_recommendations,
        profile=num_profiles > 0,
        idempotency_keys=num_keys,
    )


def is_erased(connection: Connection, user_id: str) -> bool:
    """Tell whether the user was ever erased."""
    check_id("user_id", user_id)
    found = select(ERASED_USERS.c.erased_at).filter_by(user_hash=_hash(connection, user_id))
    return connection.scalar(found) is not None


@dataclass(frozen=True)
class ErasedSince:
    """Users who were erased, known by hashes alone."""

    number: int
    """Of the newest erasure."""
    hashes: frozenset[str]
    salt: bytes = field(repr=False)

    def __contains__(self, user_id: object) -> bool:
        """Tell whether a user is among them."""
        return isinstance(user_id, str) and _hashed(self.salt, user_id) in self.hashes


def num_erasures(connection: Connection) -> int:
    """Return how many erasures there ever were: the number of the newest."""
    return counters.value(connection, "erasures")


def erased_since(connection: Connection, number: int) -> ErasedSince:
    """Return who was erased after the erasure ``number``."""
    newest = num_erasures(connection)
    if newest == number:
        return ErasedSince(number, frozenset(), b"")
    rows = select(ERASED_USERS.c.user_hash).where(
        ERASED_USERS.c.number > number, ERASED_USERS.c.number <= newest
    )
    return ErasedSince(newest, frozenset(connection.scalars(rows)), _salt(connection))


def erased_at(connection: Connection, user_ids: Collection[str]) -> dict[str, float]:
    """Return when those of some users who were ever erased were so last, in Unix seconds."""
    salt = _salt(connection)
    hashes = {_hashed(salt, user_id): user_id for user_id in user_ids}
    found: dict[str, float] = {}
    for part in _parts(hashes):
        rows = connection.execute(
            select(ERASED_USERS.c.user_hash, ERASED_USERS.c.erased_at).where(
                ERASED_USERS.c.user_hash.in_(part)
            )
        )
        found |= {hashes[row.user_hash]: row.erased_at for row in rows}
    return found


def erased_among(connection: Connection, user_ids: Collection[str]) -> set[str]:
    """Return which of some users were ever erased."""
    return set(erased_at(connection, user_ids))


def _hash(connection: Connection, user_id: str) -> str:
    return _hashed(_salt(connection), user_id)


def _hashed(salt: bytes, user_id: str) -> str:
    return hmac.digest(salt, user_id.encode(), "sha256").hex()


def _salt(connection: Connection) -> bytes:
    salt = connection.scalar(select(SETTINGS.c.value).filter_by(name="erasure_salt"))
    assert salt, "the first migration makes it"
    return bytes.fromhex(salt)


def _parts(ids: Collection[str]) -> Iterator[list[str]]:
    rest = iter(ids)
    while part := list(islice(rest, _AT_ONCE)):
        yield part
