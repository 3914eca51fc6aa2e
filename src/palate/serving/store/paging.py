"""Long lists in pages: each page says where the next begins, so no page is slower than the first.

A cursor is the last id of a page, written so that it fits into an address and nobody builds one by
hand. Rows that come or go meanwhile neither repeat nor hide others.
"""

import base64
import binascii
from collections.abc import Callable

from sqlalchemy import Column, Connection, Select

from palate.data.field_checks import check_id
from palate.errors import DataError
from palate.serving.store.records import Page, Row
from palate.serving.store.schema import Fields

MAX_PAGE = 10_000
"""Most rows of one page."""


def page(
    connection: Connection,
    query: Select[tuple[object, ...]],
    key: Column[str],
    *,
    cursor: str | None,
    limit: int,
    record: Callable[[Fields], Row],
) -> Page[Row]:
    """Return the rows of ``query`` that follow ``cursor``, by the bytes of their ``key``.

    Raises:
        DataError: when the cursor is none of ours or the limit is out of range.
    """
    check_limit(limit)
    if cursor is not None:
        query = query.where(key > last_of(cursor))
    # One row more than wanted tells whether there is another page.
    rows = connection.execute(query.order_by(key).limit(limit + 1)).all()
    shown = rows[:limit]
    more = len(rows) > limit
    records = [record(row._asdict()) for row in shown]
    return Page(records, cursor_after(shown[-1]._asdict()[key.name]) if more else None)


def check_limit(limit: int) -> None:
    """Refuse a page that is empty or too long.

    Raises:
        DataError: when ``limit`` is not within 1 and :data:`MAX_PAGE`.
    """
    if not 1 <= limit <= MAX_PAGE:
        raise DataError(
            f"The limit is {limit:,}.", hint=f"Ask for at least 1 and at most {MAX_PAGE:,} rows."
        )


def cursor_after(last_id: str) -> str:
    """Return the cursor of the page that follows the row ``last_id``."""
    return base64.urlsafe_b64encode(last_id.encode()).decode().rstrip("=")


def last_of(cursor: str) -> str:
    """Return the id that :func:`cursor_after` was given.

    Raises:
        DataError: when ``cursor`` is not one that it returned.
    """
    try:
        last = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True).decode()
        check_id("cursor", last)
    except (binascii.Error, ValueError, DataError) as error:
        raise DataError(
            "The cursor is none that a page gave.",
            hint="Use next_cursor of the page before, or none for the first page.",
        ) from error
    return last
