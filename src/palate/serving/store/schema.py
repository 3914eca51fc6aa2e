"""The tables, as the newest migration leaves them: what the queries are written against.

Whatever a query filters or sorts by has an index, so that the history of one user and the next page
of a list take as long with ten million events as with ten. Ids are sorted by their bytes, alike in
both databases.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    text,
)

Fields = Mapping[str, Any]
"""A row by the names of its columns, which say what each value is."""

METADATA = MetaData()

_ID = Text().with_variant(Text(collation="C"), "postgresql")
_SEQUENCE = BigInteger().with_variant(Integer, "sqlite")

EVENTS = Table(
    "events",
    METADATA,
    # Never used twice, not even after the newest event was erased: readers remember how far
    # they came.
    Column("sequence", _SEQUENCE, primary_key=True),
    Column("user_id", _ID, nullable=False),
    Column("item_id", _ID, nullable=False),
    Column("event_type", _ID, nullable=False),
    Column("value", Double),
    Column("timestamp", Double, nullable=False),
    Column("idempotency_key", _ID),
    Column("recommendation_id", _ID),
    Column("received_at", Double, nullable=False),
    # The event that overwrote this one, 0 while none did. The row stays, because its key must
    # still be known and because it may be the click that followed a recommendation.
    Column("replaced_by", BigInteger, nullable=False),
)
Index(
    "events_history",
    *(EVENTS.c.user_id, EVENTS.c.replaced_by, EVENTS.c.timestamp, EVENTS.c.sequence),
)
_CURRENT = text("replaced_by = 0")
Index(
    "events_current",
    *(EVENTS.c.user_id, EVENTS.c.item_id, EVENTS.c.event_type),
    postgresql_where=_CURRENT,
    sqlite_where=_CURRENT,
)
_KEYED = text("idempotency_key IS NOT NULL")
Index(
    "events_key",
    *(EVENTS.c.user_id, EVENTS.c.idempotency_key),
    unique=True,
    postgresql_where=_KEYED,
    sqlite_where=_KEYED,
)
_ANSWERING = text("recommendation_id IS NOT NULL")
Index(
    "events_clicks",
    *(EVENTS.c.received_at, EVENTS.c.recommendation_id, EVENTS.c.item_id),
    postgresql_where=_ANSWERING,
    sqlite_where=_ANSWERING,
)

USERS = Table(
    "users",
    METADATA,
    Column("user_id", _ID, primary_key=True),
    # JSON.
    Column("attributes", Text, nullable=False),
)

ERASED_USERS = Table(
    "erased_users",
    METADATA,
    # A keyed hash: the table tells nobody who was erased, but knows them when they are asked for.
    Column("user_hash", _ID, primary_key=True),
    Column("erased_at", Double, nullable=False),
    # Of the newest erasure of this user, so that other processes learn of it.
    Column("number", BigInteger, nullable=False, server_default="0"),
)
Index("erased_users_number", ERASED_USERS.c.number)

ITEMS = Table(
    "items",
    METADATA,
    Column("item_id", _ID, primary_key=True),
    Column("title", Text),
    Column("description", Text),
    Column("brand", Text),
    # JSON.
    Column("categories", Text, nullable=False),
    Column("price", Double),
    Column("in_stock", Boolean, nullable=False),
    # JSON.
    Column("attributes", Text, nullable=False),
    Column("updated", BigInteger, nullable=False),
    # The row of a deleted item stays, empty, so that readers of the changes learn of it.
    Column("deleted_at", Double),
)
Index("items_changes", ITEMS.c.updated, unique=True)
_PRESENT = text("deleted_at IS NULL")
Index("items_present", ITEMS.c.item_id, postgresql_where=_PRESENT, sqlite_where=_PRESENT)

RECOMMENDATIONS = Table(
    "recommendations",
    METADATA,
    Column("recommendation_id", _ID, primary_key=True),
    Column("user_id", _ID),
    Column("model_version", _ID, nullable=False),
    # Ids, each between two separators, so that the database itself can tell whether one is there.
    Column("item_ids", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("route", _ID, nullable=False),
    Column("fallback", _ID),
)
Index("recommendations_user", RECOMMENDATIONS.c.user_id, RECOMMENDATIONS.c.created_at)
Index("recommendations_time", RECOMMENDATIONS.c.created_at, RECOMMENDATIONS.c.model_version)

API_KEYS = Table(
    "api_keys",
    METADATA,
    Column("key_id", _ID, primary_key=True),
    Column("name", Text, nullable=False),
    # JSON.
    Column("scopes", Text, nullable=False),
    Column("secret_hash", _ID, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("revoked_at", Double),
)

COUNTERS = Table(
    "counters",
    METADATA,
    # ``users``, ``items`` and ``events`` that there are; ``changes`` that items, and ``erasures``
    # that users ever had.
    Column("name", _ID, primary_key=True),
    Column("value", BigInteger, nullable=False),
)

SETTINGS = Table(
    "settings",
    METADATA,
    Column("name", _ID, primary_key=True),
    Column("value", Text, nullable=False),
)
