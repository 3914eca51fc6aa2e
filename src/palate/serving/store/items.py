"""Items that were added, changed or deleted through the API, and the numbered changes of them."""

import json
import time
from collections.abc import Sequence

from sqlalchemy import Connection, func, select

from palate.data.field_checks import check_id
from palate.data.item_record import DeletedItem, ItemRecord
from palate.serving.store import counters
from palate.serving.store.conflicts import insert_or_update
from palate.serving.store.paging import page
from palate.serving.store.records import Page
from palate.serving.store.schema import ITEMS, Fields


def upsert(connection: Connection, records: Sequence[ItemRecord]) -> int:
    """Add items or put them in the place of old ones; return the number of the newest change."""
    last = {record.item_id: record for record in records}
    newest = counters.add(connection, "changes", len(last))
    first = newest - len(last) + 1
    rows = [_row(record, first + place) for place, record in enumerate(last.values())]
    insert_or_update(connection, ITEMS, rows)
    return newest


def delete(connection: Connection, item_id: str) -> bool:
    """Leave an empty, deleted row for the item; tell whether there was one that was not."""
    was_there = get(connection, item_id) is not None
    number = counters.add(connection, "changes", 1)
    row = _row(ItemRecord(item_id, in_stock=False), number) | {"deleted_at": time.time()}
    insert_or_update(connection, ITEMS, [row])
    return was_there


def get(connection: Connection, item_id: str) -> ItemRecord | None:
    """Return an item, or None."""
    check_id("item_id", item_id)
    query = select(ITEMS).where(ITEMS.c.item_id == item_id, ITEMS.c.deleted_at.is_(None))
    row = connection.execute(query).one_or_none()
    return None if row is None else _record(row._asdict())


def some(connection: Connection, cursor: str | None, limit: int) -> Page[ItemRecord]:
    """Return items by id."""
    query = select(ITEMS).where(ITEMS.c.deleted_at.is_(None))
    return page(connection, query, ITEMS.c.item_id, cursor=cursor, limit=limit, record=_record)


def changed(connection: Connection, since: int) -> tuple[list[ItemRecord | DeletedItem], int]:
    """Return what changed after the change ``since``, oldest first, and the newest change."""
    query = select(ITEMS).where(ITEMS.c.updated > since).order_by(ITEMS.c.updated)
    # A part at a time: many rows together would hold up whoever else wants the interpreter.
    rows = connection.execute(query).yield_per(2_000)
    found = [
        _record(row._asdict()) if row.deleted_at is None else DeletedItem(row.item_id, row.updated)
        for row in rows
    ]
    return found, found[-1].updated if found else since


def count(connection: Connection) -> int:
    """Return the number of items that were not deleted."""
    query = select(func.count()).select_from(ITEMS).where(ITEMS.c.deleted_at.is_(None))
    return connection.scalar(query) or 0


def _row(record: ItemRecord, change: int) -> dict[str, object]:
    return {
        "item_id": record.item_id,
        "title": record.title,
        "description": record.description,
        "brand": record.brand,
        "categories": json.dumps(record.categories, ensure_ascii=False),
        "price": record.price,
        "in_stock": record.in_stock,
        "attributes": json.dumps(dict(record.attributes), ensure_ascii=False),
        "updated": change,
        "deleted_at": None,
    }


def _record(row: Fields) -> ItemRecord:
    return ItemRecord(
        item_id=row["item_id"],
        title=row["title"],
        description=row["description"],
        brand=row["brand"],
        categories=tuple(json.loads(row["categories"])),
        price=row["price"],
        in_stock=row["in_stock"],
        attributes=json.loads(row["attributes"]),
        updated=row["updated"],
    )
