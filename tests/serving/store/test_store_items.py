"""Items: replaced whole, deleted with a trace, paged without a gap, changes numbered."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from palate.errors import DataError
from palate.serving.store import DeletedItem, ItemRecord, Store, UserRecord

BOOK = ItemRecord(
    "book",
    title="A book; DROP TABLE items",
    description="<b>bold</b>\nand\ttabs",
    brand="Brand",
    categories=("One", "Two, three"),
    price=9.5,
    in_stock=False,
    attributes={"pages": 300, "weight": 0.5, "signed": True, "note": "ü", "none": None},
)


def ids(store: Store, *, limit: int = 100) -> list[str]:
    """All ids, page by page."""
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = store.items(cursor, limit)
        assert len(page.rows) <= limit
        found += [item.item_id for item in page.rows]
        cursor = page.next_cursor
        if cursor is None:
            return found


def test_an_item_comes_back_as_it_was(store: Store) -> None:
    assert store.upsert_items([BOOK]) == 1
    found = store.get_item("book")
    assert found is not None
    assert found.updated == 1
    for name in ("title", "description", "brand", "categories", "price", "in_stock", "attributes"):
        assert getattr(found, name) == getattr(BOOK, name)
    assert store.get_item("pen") is None


def test_an_upsert_replaces_the_whole_and_the_last_of_one_id_counts(store: Store) -> None:
    store.upsert_items([BOOK])
    newest = store.upsert_items([ItemRecord("book", title="Old"), ItemRecord("book", title="New")])
    found = store.get_item("book")
    assert found == ItemRecord("book", title="New", updated=newest)
    assert store.counts().items == 1


def test_a_deleted_item_is_gone_until_it_is_added_again(store: Store) -> None:
    store.upsert_items([BOOK, ItemRecord("pen")])
    assert store.delete_item("book")
    assert not store.delete_item("book")
    assert store.get_item("book") is None
    assert ids(store) == ["pen"]
    assert store.counts().items == 1
    store.upsert_items([BOOK])
    assert ids(store) == ["book", "pen"]


def test_changes_are_told_once_each_in_their_order(store: Store) -> None:
    assert store.changed_items(0) == ([], 0)
    store.upsert_items([ItemRecord("a"), ItemRecord("b"), ItemRecord("c")])
    changes, newest = store.changed_items(0)
    assert [change.item_id for change in changes] == ["a", "b", "c"]
    assert store.changed_items(newest) == ([], newest)
    store.upsert_items([ItemRecord("a", title="A")])
    store.delete_item("b")
    store.delete_item("only-in-the-model")
    changes, newest = store.changed_items(newest)
    assert changes == [
        ItemRecord("a", title="A", updated=4),
        DeletedItem("b", updated=5),
        DeletedItem("only-in-the-model", updated=6),
    ]
    assert newest == 6


def test_many_items_in_one_call(store: Store) -> None:
    wanted = [f"item-{number:05}" for number in range(3_000)]
    store.upsert_items([ItemRecord(item_id) for item_id in wanted])
    assert ids(store, limit=999) == wanted
    assert store.counts().items == 3_000


def test_writers_side_by_side_lose_no_change(store: Store) -> None:
    def write(thread: int) -> None:
        for number in range(10):
            store.upsert_items([ItemRecord(f"{thread}-{number}"), ItemRecord("shared")])

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(write, range(4)))
    changes, newest = store.changed_items(0)
    assert newest == 80
    assert len({change.updated for change in changes}) == len(changes) == 41


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(
    wanted=st.sets(st.text("ab_Z%é€🎬'~", min_size=1, max_size=4), max_size=12),
    limit=st.integers(1, 5),
)
def test_pages_hold_each_row_once_by_the_bytes_of_its_id(
    store: Store, wanted: set[str], limit: int
) -> None:
    for item_id in ids(store):
        store.delete_item(item_id)
    store.upsert_items([ItemRecord(item_id) for item_id in wanted])
    assert ids(store, limit=limit) == sorted(wanted, key=str.encode)


def test_rows_that_come_and_go_between_pages_hide_no_other(store: Store) -> None:
    store.upsert_users([UserRecord(name) for name in "bdfh"])
    first = store.users(limit=2)
    assert [user.user_id for user in first.rows] == ["b", "d"]
    store.erase_user("d")
    store.upsert_users([UserRecord("a"), UserRecord("e")])
    assert [user.user_id for user in store.users(first.next_cursor).rows] == ["e", "f", "h"]


@pytest.mark.parametrize("cursor", ["!", "Yg==", "a", "gICA", "", "AA", "'; DROP TABLE items", "é"])
def test_a_cursor_of_nobody_is_refused(store: Store, cursor: str) -> None:
    store.upsert_items([ItemRecord("b")])
    if cursor == "Yg==":  # what a page gives, but for the padding: harmless
        assert store.items(cursor).rows == []
        return
    with pytest.raises(DataError, match="cursor"):
        store.items(cursor)
