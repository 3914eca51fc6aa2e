"""What a user did until now: trained, stored, and just acknowledged, in one history."""

import threading
from collections.abc import Sequence

import numpy as np
from memory_store import MemoryStore
from numpy.testing import assert_array_equal

from palate import Dataset
from palate.data.item_record import ItemRecord
from palate.inference.engine import Engine, Request
from palate.serving.histories import Histories
from palate.serving.store.records import Event, StoredEvent


def event(engine: Engine, row: int, *, user: str = "u1", time: float = 2e9) -> Event:
    return Event(user, engine.catalogue.view(row).item_id, "purchase", 4.0, time)


def test_a_known_user_has_what_was_trained_and_then_what_was_stored(
    engine: Engine, live_shop: Dataset, memory_store: MemoryStore
) -> None:
    memory_store.events = [event(engine, 5, time=2e9 + 1), event(engine, 3)]
    history = Histories(memory_store, engine).of("u1")
    trained = live_shop.history("u1")
    assert_array_equal(history.item_rows, [*trained.item_rows, 3, 5])
    assert history.user_row == trained.user_row
    code = live_shop.interactions.event_types.index("purchase")
    assert history.event_types is not None
    assert_array_equal(history.event_types[-2:], [code, code])
    assert len(history.take(slice(0, 2))) == 2, "all that is parallel is as long"


def test_somebody_unknown_has_nothing(engine: Engine, memory_store: MemoryStore) -> None:
    histories = Histories(memory_store, engine)
    assert histories.known("nobody") is None
    assert len(histories.of("nobody")) == 0
    assert histories.known("nobody") is not None


def test_the_next_recommendation_sees_the_event(engine: Engine, memory_store: MemoryStore) -> None:
    histories = Histories(memory_store, engine)
    (before,) = engine.answer([Request(histories.of("u1"), 5)])
    row = int(before.rows[0])
    histories.append(event(engine, row))
    (after,) = engine.answer([Request(histories.of("u1"), 5)])
    assert row not in after.rows
    assert not np.array_equal(before.scores, after.scores)
    assert memory_store.reads == 1


def test_memory_and_store_say_the_same(engine: Engine, memory_store: MemoryStore) -> None:
    histories = Histories(memory_store, engine)
    histories.of("u1")
    for place, time in enumerate([10.0, 30.0, 20.0, 40.0]):
        told = event(engine, place, time=2e9 + time)
        memory_store.events.append(told)
        histories.append(told)
        fresh = Histories(memory_store, engine).of("u1")
        assert_array_equal(histories.of("u1").item_rows, fresh.item_rows)


def test_a_duplicate_is_not_counted_and_a_replaced_event_is_read_again(
    engine: Engine, memory_store: MemoryStore
) -> None:
    histories = Histories(memory_store, engine)
    length = len(histories.of("u1"))
    histories.append(event(engine, 3), "duplicate")
    assert len(histories.of("u1")) == length
    memory_store.events = [event(engine, 4, time=2e9 + 9)]
    histories.append(event(engine, 4, time=2e9 + 9), "overwritten")
    assert histories.of("u1").item_rows[-1] == 4
    assert memory_store.reads == 2


def test_who_was_erased_starts_anew(engine: Engine, memory_store: MemoryStore) -> None:
    histories = Histories(memory_store, engine)
    memory_store.events = [event(engine, 3)]
    assert len(histories.of("u1")) > 1
    memory_store.events, memory_store.erased = [], {"u1"}
    histories.forget("u1")
    assert len(histories.of("u1")) == 0
    later = event(engine, 7)
    memory_store.events = [later]
    histories.append(later)
    assert histories.of("u1").item_rows.tolist() == [7]
    assert Histories(memory_store, engine).of("u1").item_rows.tolist() == [7]


def test_an_item_that_becomes_known_later_is_in_the_history_from_then_on(
    engine: Engine, memory_store: MemoryStore
) -> None:
    histories = Histories(memory_store, engine)
    memory_store.events = [Event("new", "later", "view", None, 2e9)]
    assert len(histories.of("new")) == 0
    engine.catalogue.update([ItemRecord("later", title="oak lamp")])
    assert histories.of("new").item_rows.tolist() == [engine.catalogue.row_of("later")]


def test_an_event_that_comes_while_the_store_is_read_is_not_lost(engine: Engine) -> None:
    """The reader has already looked when the event is committed; it has to look again."""
    memory_store = MemoryStore()
    looked, may_return = threading.Event(), threading.Event()

    class Slow(MemoryStore):
        def history(self, user_id: str, limit: int = 200) -> Sequence[StoredEvent]:
            found = memory_store.history(user_id, limit)
            looked.set()
            assert may_return.wait(10)
            return found

    histories = Histories(Slow(), engine)
    found: list[int] = []
    reader = threading.Thread(target=lambda: found.extend(histories.of("new").item_rows.tolist()))
    reader.start()
    assert looked.wait(10)
    told = event(engine, 6, user="new")
    memory_store.events.append(told)
    histories.append(told)
    may_return.set()
    reader.join()
    assert found == [6]
    known = histories.known("new")
    assert known is not None
    assert known.item_rows.tolist() == [6]


def test_memory_is_bounded_by_the_users_seen_last(
    engine: Engine, memory_store: MemoryStore
) -> None:
    histories = Histories(memory_store, engine, max_users=3)
    for user in ("a", "b", "c", "a", "d"):
        histories.of(user)
    assert len(histories) == 3
    assert histories.known("b") is None
    assert histories.known("a") is not None
