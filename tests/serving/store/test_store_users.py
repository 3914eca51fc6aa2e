"""Users: what is known of them, how it is handed out and how it goes."""

import json
import sqlite3
import time
from pathlib import Path

from palate.serving.store import (
    Event,
    RecommendationRecord,
    Store,
    UserRecord,
)

NOON = 1_700_000_000.0
ANN = "ann-whose-id-is-nowhere-else"


def fill(store: Store) -> None:
    store.upsert_users([UserRecord(ANN, {"age": 40, "city": "Köln", "member": True})])
    store.add_events(
        [
            Event(ANN, "book", "click", 1.0, NOON, "1", "answer"),
            Event(ANN, "pen", "click", None, NOON + 1),
            Event("bob", "pen", "click", None, NOON + 2, "1"),
        ],
        mode="accumulate",
    )
    store.add_events([Event(ANN, "book", "click", 2.0, NOON + 3, "2")], mode="overwrite")
    store.record_recommendations(
        [
            RecommendationRecord("answer", ANN, "v1", ["book", "pen"], NOON, "recommend"),
            RecommendationRecord("other", "bob", "v1", [], NOON, "recommend", "popular"),
        ]
    )


def test_attributes_are_replaced_whole_and_the_last_of_one_id_counts(store: Store) -> None:
    store.upsert_users([UserRecord("ann", {"a": 1}), UserRecord("bob", {"b": None})])
    store.upsert_users([UserRecord("ann", {"x": 1}), UserRecord("ann", {"c": "é", "d": False})])
    assert store.get_user("ann") == UserRecord("ann", {"c": "é", "d": False})
    assert store.get_user("bob") == UserRecord("bob", {"b": None})
    assert store.get_user("cid") is None
    assert store.counts().users == 2


def test_an_event_leaves_the_attributes_alone(store: Store) -> None:
    fill(store)
    found = store.get_user(ANN)
    assert found is not None
    assert found.attributes == {"age": 40, "city": "Köln", "member": True}


def test_an_export_holds_everything_and_is_json(store: Store) -> None:
    fill(store)
    exported = store.export_user(ANN)
    assert json.loads(json.dumps(exported)) == exported
    assert exported["attributes"] == {"age": 40, "city": "Köln", "member": True}
    events = exported["events"]
    assert isinstance(events, list)
    told = [(e["item_id"], e["value"], e["idempotency_key"], e["overwritten"]) for e in events]
    assert told == [
        ("book", 1.0, "1", True),
        ("pen", None, None, False),
        ("book", 2.0, "2", False),
    ]
    assert exported["recommendations"] == [
        {
            "recommendation_id": "answer",
            "user_id": ANN,
            "model_version": "v1",
            "item_ids": ["book", "pen"],
            "created_at": NOON,
            "route": "recommend",
            "fallback": None,
        }
    ]
    assert exported["erased_before"] is False


def test_of_an_unknown_user_nothing_is_known(store: Store) -> None:
    assert store.export_user("nobody") == {
        "user_id": "nobody",
        "attributes": None,
        "events": [],
        "recommendations": [],
        "erased_before": False,
    }


def test_erasing_removes_all_of_one_user_and_says_what(store: Store) -> None:
    fill(store)
    erased = store.erase_user(ANN)
    assert (erased.events, erased.recommendations, erased.profile) == (3, 1, True)
    assert erased.idempotency_keys == 2
    assert store.history(ANN) == []
    assert store.get_user(ANN) is None
    assert store.is_erased(ANN)
    left = store.export_user(ANN)
    assert (left["attributes"], left["events"], left["recommendations"]) == (None, [], [])
    assert [user.user_id for user in store.users().rows] == ["bob"]
    assert len(store.history("bob")) == 1
    assert not store.is_erased("bob")
    counts = store.counts()
    assert (counts.users, counts.events) == (1, 1)
    again = store.erase_user(ANN)
    assert (again.events, again.recommendations, again.profile) == (0, 0, False)


def test_a_user_known_to_a_model_alone_can_be_erased(store: Store) -> None:
    assert not store.is_erased("trained-on")
    assert store.erase_user("trained-on").profile is False
    assert store.is_erased("trained-on")


def test_who_returns_after_erasure_begins_anew_and_stays_erased(store: Store) -> None:
    fill(store)
    store.erase_user(ANN)
    again = Event(ANN, "ink", "click", None, NOON + 9, "1")
    assert store.add_events([again], mode="accumulate") == ["stored"]
    assert [stored.event for stored in store.history(ANN)] == [again]
    assert store.is_erased(ANN)


def test_a_sequence_number_is_never_used_twice(store: Store) -> None:
    store.add_events([Event("ann", "book", "click", None, NOON)], mode="accumulate")
    newest = store.newest_sequence()
    store.erase_user("ann")
    store.add_events([Event("bob", "pen", "click", None, NOON)], mode="accumulate")
    assert [stored.event.user_id for stored in store.recent_events(newest)] == ["bob"]


def test_of_an_erased_user_no_byte_is_left_in_the_files(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path / 'palate.db'}")
    fill(store)
    assert _files_with(tmp_path, ANN)
    store.erase_user(ANN)
    assert _files_with(tmp_path, ANN) == []
    store.close()
    assert _files_with(tmp_path, ANN) == []


def test_the_trace_of_an_erased_user_differs_between_stores(tmp_path: Path) -> None:
    traces = set()
    for name in ("one", "two"):
        store = Store.open(f"sqlite:///{tmp_path / name}")
        store.erase_user("ann")
        store.close()
        with sqlite3.connect(tmp_path / name) as connection:
            traces |= set(connection.execute("SELECT user_hash FROM erased_users"))
        connection.close()
    assert len(traces) == 2


def _files_with(folder: Path, text: str) -> list[str]:
    return [path.name for path in folder.iterdir() if text.encode() in path.read_bytes()]


def test_users_are_found_by_how_their_id_begins(store: Store) -> None:
    ids = ["a", "ab", "aé", "a\U0010ffff", "a\U0010ffffb", "a%", "a_c", "b", "A", "ann"]
    store.upsert_users([UserRecord(user_id, {}) for user_id in ids])
    for prefix in ("", "a", "ab", "a%", "a_", "aé", "a\U0010ffff", "b", "zz", "'"):
        expected = sorted((x for x in ids if x.startswith(prefix)), key=str.encode)
        found: list[str] = []
        cursor = None
        while True:
            page = store.users(cursor, 3, prefix=prefix)
            found += [user.user_id for user in page.rows]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert found == expected, prefix


def test_many_users_are_looked_up_together(store: Store) -> None:
    ids = [f"user-{number}" for number in range(1_200)]
    store.upsert_users([UserRecord(user_id, {"a": 1}) for user_id in ids])
    store.erase_user("user-7")
    store.erase_user("nobody")
    asked = [*ids, "nobody", "somebody"]
    assert store.erased_among(asked) == {"user-7", "nobody"}
    assert store.users_among(asked).keys() == set(ids) - {"user-7"}
    assert store.erased_among([]) == set()
    assert store.users_among([]) == {}


def test_whoever_asks_again_learns_of_every_erasure(store: Store) -> None:
    assert store.num_erasures() == 0
    fill(store)
    store.erase_user(ANN)
    first = store.erased_since(0)
    assert (first.number, ANN in first, "bob" in first, None in first) == (1, True, False, False)
    assert ANN not in store.erased_since(first.number)
    store.erase_user("bob")
    store.erase_user(ANN)
    later = store.erased_since(first.number)
    assert (later.number, ANN in later, "bob" in later) == (3, True, True)
    assert store.num_erasures() == 3
    assert ANN not in repr(later)


def test_an_answer_that_is_recorded_too_late_does_not_bring_an_erased_user_back(
    store: Store,
) -> None:
    fill(store)
    store.erase_user(ANN)
    now = time.time()
    late = RecommendationRecord("late", ANN, "v1", ["book"], now - 1, "recommend")
    other = RecommendationRecord("fair", "bob", "v1", ["book"], now - 1, "recommend")
    back = RecommendationRecord("back", ANN, "v1", ["book"], now + 60, "recommend")
    store.record_recommendations([late, other, back])
    found = [one["recommendation_id"] for one in store.export_user(ANN)["recommendations"]]
    assert found == ["back"], "who comes back is somebody new"
    assert len(store.export_user("bob")["recommendations"]) == 2
