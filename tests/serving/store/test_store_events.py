"""Events: stored once, in order, whatever their ids look like."""

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from palate.errors import DataError
from palate.serving.store import Event, Mode, Store, UserRecord

NOON = 1_700_000_000.0
HOSTILE = [
    "'; DROP TABLE events; --",
    '"; DELETE FROM users; --',
    "a' OR '1'='1",
    "%_\\",
    "{0} :user_id %(user_id)s $1 ?",
    "<script>alert(1)</script>",
    "日本語 🎬 é",
    "../../etc/passwd",
    "NULL",
]
same_store = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)


def event(
    item_id: str = "book",
    *,
    user_id: str = "ann",
    key: str | None = None,
    at: float = NOON,
    event_type: str = "click",
    value: float | None = None,
) -> Event:
    return Event(user_id, item_id, event_type, value, at, idempotency_key=key)


def items_of(store: Store, user_id: str = "ann") -> list[str]:
    return [stored.event.item_id for stored in store.history(user_id)]


def test_an_event_comes_back_as_it_was(store: Store) -> None:
    full = Event("ann", "book", "rate", 4.5, NOON + 0.25, "key", "answer")
    bare = Event("ann", "pen", "click", None, NOON + 1)
    assert store.add_events([full, bare], mode="accumulate") == ["stored", "stored"]
    first, second = store.history("ann")
    assert first.event == full
    assert second.event == bare
    assert first.sequence < second.sequence
    assert first.received_at > NOON


def test_nothing_is_no_event(store: Store) -> None:
    assert store.add_events([], mode="accumulate") == []
    assert store.newest_sequence() == 0
    assert store.history("ann") == []


def test_a_repeated_key_is_a_duplicate_and_changes_nothing(store: Store) -> None:
    store.add_events([event("book", key="1")], mode="accumulate")
    again = [event("pen", key="1"), event("ink", key="2"), event("cup", key="2"), event("hat")]
    expected = ["duplicate", "stored", "duplicate", "stored"]
    assert store.add_events(again, mode="accumulate") == expected
    assert items_of(store) == ["book", "ink", "hat"]
    assert store.counts().events == 3


def test_without_a_key_events_accumulate(store: Store) -> None:
    assert store.add_events([event(), event()], mode="accumulate") == ["stored"] * 2
    assert store.add_events([event()], mode="accumulate") == ["stored"]
    assert items_of(store) == ["book"] * 3


def test_a_key_belongs_to_its_user(store: Store) -> None:
    both = [event(user_id="ann", key="1"), event(user_id="bob", key="1")]
    assert store.add_events(both, mode="accumulate") == ["stored", "stored"]


def test_overwrite_keeps_the_last_of_user_item_and_type(store: Store) -> None:
    store.add_events([event(value=1.0), event(value=2.0), event("pen")], mode="accumulate")
    later = [
        event(value=3.0, at=NOON + 1),
        event("ink", at=NOON + 2),
        event(event_type="view", at=NOON + 3),
        event(user_id="bob"),
    ]
    expected = ["overwritten", "stored", "stored", "stored"]
    assert store.add_events(later, mode="overwrite") == expected
    kept = [(s.event.item_id, s.event.event_type, s.event.value) for s in store.history("ann")]
    assert kept == [
        ("pen", "click", None),
        ("book", "click", 3.0),
        ("ink", "click", None),
        ("book", "view", None),
    ]


def test_in_one_batch_the_later_overwrites_the_earlier(store: Store) -> None:
    batch = [event(value=1.0), event(value=2.0), event(value=3.0)]
    assert store.add_events(batch, mode="overwrite") == ["stored", "overwritten", "overwritten"]
    assert [stored.event.value for stored in store.history("ann")] == [3.0]


def test_a_late_repetition_does_not_bring_back_what_was_overwritten(store: Store) -> None:
    store.add_events([event(value=1.0, key="1")], mode="overwrite")
    store.add_events([event(value=2.0, key="2")], mode="overwrite")
    assert store.add_events([event(value=1.0, key="1")], mode="overwrite") == ["duplicate"]
    assert [stored.event.value for stored in store.history("ann")] == [2.0]


def test_a_history_is_oldest_first_and_holds_the_newest(store: Store) -> None:
    times = [NOON + 3, NOON + 1, NOON + 2, NOON + 2]
    store.add_events(
        [event(str(place), at=at) for place, at in enumerate(times)], mode="accumulate"
    )
    assert items_of(store) == ["1", "2", "3", "0"]
    assert [stored.event.item_id for stored in store.history("ann", limit=2)] == ["3", "0"]


def test_recent_events_come_in_the_order_of_their_commits(store: Store) -> None:
    store.add_events([event("a", at=NOON + 9), event("b")], mode="accumulate")
    seen = store.recent_events(0, limit=10)
    assert [stored.event.item_id for stored in seen] == ["a", "b"]
    store.add_events([event("c", user_id="bob")], mode="accumulate")
    assert [s.event.item_id for s in store.recent_events(seen[-1].sequence)] == ["c"]
    assert store.recent_events(store.newest_sequence()) == []


def test_who_has_an_event_is_a_user(store: Store) -> None:
    store.add_events([event(), event(user_id="bob")], mode="accumulate")
    store.upsert_users([UserRecord("bob", {"age": 4}), UserRecord("cid")])
    assert [user.user_id for user in store.users().rows] == ["ann", "bob", "cid"]
    assert store.counts().users == 3


@pytest.mark.parametrize("hostile", HOSTILE)
def test_whatever_an_id_says_it_is_plain_data(store: Store, hostile: str) -> None:
    given = Event(hostile, hostile, hostile, 1.0, NOON, hostile, hostile)
    assert store.add_events([given], mode="overwrite") == ["stored"]
    assert store.add_events([given], mode="overwrite") == ["duplicate"]
    assert [stored.event for stored in store.history(hostile)] == [given]
    assert store.history("ann") == []
    assert store.counts().events == 1
    assert store.erase_user(hostile).events == 1


@pytest.mark.parametrize("unreadable", ["a\0b", "\ud800", "", "x" * 513, "a\nb"])
def test_what_no_row_can_hold_cannot_be_looked_for(store: Store, unreadable: str) -> None:
    for look in (store.history, store.get_user, store.get_item, store.is_erased, store.erase_user):
        with pytest.raises(DataError):
            look(unreadable)
    with pytest.raises(DataError):
        store.export_user(unreadable)
    with pytest.raises(DataError):
        store.delete_item(unreadable)


@pytest.mark.parametrize("limit", [0, -1, 10_001, sys.maxsize])
def test_a_limit_is_bounded(store: Store, limit: int) -> None:
    for look in (store.items, store.users):
        with pytest.raises(DataError, match="limit"):
            look(limit=limit)
    with pytest.raises(DataError, match="limit"):
        store.history("ann", limit)
    with pytest.raises(DataError, match="limit"):
        store.recent_events(0, limit)


def test_an_unknown_mode_is_an_error(address: str) -> None:
    store = Store.open(address)
    with pytest.raises(Exception, match=r"mode|accumulate"):
        store.add_events([event()], mode="replace")  # type: ignore[arg-type]
    assert store.counts().events == 0
    store.close()


def test_threads_that_send_the_same_keys_store_each_once(store: Store) -> None:
    def send(_thread: int) -> list[str]:
        outcomes: list[str] = []
        for start in range(0, 40, 8):
            # Every thread has its own order: none may wait for another in a circle.
            batch = [event(key=str((start + place * (_thread + 1)) % 40)) for place in range(8)]
            outcomes += store.add_events(batch, mode="accumulate")
        return outcomes

    with ThreadPoolExecutor(8) as threads:
        outcomes = [outcome for one in threads.map(send, range(8)) for outcome in one]
    keys = [stored.event.idempotency_key for stored in store.history("ann")]
    assert len(keys) == len(set(keys)) == outcomes.count("stored") == store.counts().events


def test_readers_who_ask_again_with_the_last_number_miss_none(store: Store) -> None:
    def send(thread: int) -> None:
        for number in range(25):
            store.add_events([event(key=f"{thread}-{number}")], mode="accumulate")

    seen: list[int] = []
    with ThreadPoolExecutor(4) as threads:
        sending = [threads.submit(send, thread) for thread in range(4)]
        while not all(one.done() for one in sending) or len(seen) < 100:
            assert all(one.exception() is None for one in sending if one.done())
            after = seen[-1] if seen else 0
            seen += [stored.sequence for stored in store.recent_events(after, limit=7)]
    assert len(seen) == len(set(seen)) == 100
    assert seen == sorted(seen)


class Model:
    """What the store must do, said as plainly as possible."""

    def __init__(self) -> None:
        self.rows: list[Event] = []
        self.keys: set[tuple[str, str]] = set()

    def add(self, events: Sequence[Event], mode: Mode) -> list[str]:
        return [self._add(one, mode) for one in events]

    def _add(self, one: Event, mode: Mode) -> str:
        if one.idempotency_key is not None:
            if (one.user_id, one.idempotency_key) in self.keys:
                return "duplicate"
            self.keys.add((one.user_id, one.idempotency_key))
        what = (one.user_id, one.item_id, one.event_type)
        older = [r for r in self.rows if (r.user_id, r.item_id, r.event_type) == what]
        if mode == "overwrite":
            self.rows = [row for row in self.rows if row not in older]
        self.rows.append(one)
        return "overwritten" if mode == "overwrite" and older else "stored"


calls = st.lists(
    st.tuples(
        st.lists(
            st.builds(
                Event,
                user_id=st.sampled_from(["ann", "bob"]),
                item_id=st.sampled_from(["a", "b", "c"]),
                event_type=st.sampled_from(["view", "buy"]),
                value=st.none() | st.floats(allow_nan=False, allow_infinity=False, width=64),
                timestamp=st.integers(1, 4).map(float),
                idempotency_key=st.none() | st.sampled_from(["1", "2", "3"]),
            ),
            max_size=6,
        ),
        st.sampled_from(["accumulate", "overwrite"]),
    ),
    max_size=6,
)


@same_store
@given(calls=calls)
def test_any_calls_do_what_the_plain_model_does(
    store: Store, calls: list[tuple[list[Event], Mode]]
) -> None:
    model = Model()
    for user_id in ("ann", "bob"):
        store.erase_user(user_id)
    for events, mode in calls:
        assert store.add_events(events, mode=mode) == model.add(events, mode)
    for user_id in ("ann", "bob"):
        rows = [row for row in model.rows if row.user_id == user_id]
        expected = sorted(rows, key=lambda row: row.timestamp)  # a stable sort
        assert [stored.event for stored in store.history(user_id)] == expected
    assert len(store.recent_events(0)) >= len(model.rows)
    assert store.counts().users == len({row.user_id for row in model.rows})


@same_store
@given(user_id=st.text(min_size=1, max_size=200))
def test_an_id_is_refused_or_comes_back_whole(store: Store, user_id: str) -> None:
    key = uuid4().hex
    try:
        one = event(user_id=user_id, key=key)
    except DataError:
        return
    store.add_events([one], mode="accumulate")
    assert one in [stored.event for stored in store.history(user_id)]
    found = store.get_user(user_id)
    assert found is not None
    assert found.user_id == user_id
