"""The store of the service: SQLite in a file or PostgreSQL, by the same code."""

from palate.data.item_record import DeletedItem, ItemRecord
from palate.serving.store.records import (
    ApiKey,
    ClickThrough,
    Counts,
    Erased,
    Event,
    Mode,
    Outcome,
    Page,
    RecommendationRecord,
    Scope,
    StoredEvent,
    UserRecord,
)
from palate.serving.store.store import Store
from palate.serving.store.writer import EventWriter

__all__ = [
    "ApiKey",
    "ClickThrough",
    "Counts",
    "DeletedItem",
    "Erased",
    "Event",
    "EventWriter",
    "ItemRecord",
    "Mode",
    "Outcome",
    "Page",
    "RecommendationRecord",
    "Scope",
    "Store",
    "StoredEvent",
    "UserRecord",
]
