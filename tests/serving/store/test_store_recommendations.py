"""Answers and the clicks they led to."""

import time

from palate.serving.store import ClickThrough, Event, RecommendationRecord, Store

START = time.time()


def answer(
    name: str, *item_ids: str, version: str = "v1", user_id: str | None = "ann", at: float = START
) -> RecommendationRecord:
    return RecommendationRecord(name, user_id, version, item_ids, at, "recommend")


def click(item_id: str, of: str | None, *, user_id: str = "ann") -> Event:
    return Event(user_id, item_id, "click", None, START, recommendation_id=of)


def test_a_click_names_an_answer_that_holds_its_item(store: Store) -> None:
    store.record_recommendations(
        [
            answer("1", "a", "b"),
            answer("2", "a", "b"),
            answer("3", "ab", "c", version="v2"),
            answer("4", version="v2", user_id=None),
            answer("5", "a", version="v3"),
        ]
    )
    store.add_events(
        [
            click("a", "1"),
            click("a", "1"),  # twice is once
            click("b", "1"),
            click("c", "2"),  # was not shown
            click("a", "3"),  # part of an id is another id
            click("b", "3"),
            click("a", "4"),
            click("a", "unknown"),
            click("a", None),
        ],
        mode="accumulate",
    )
    assert store.click_through(START - 1) == {
        "v1": ClickThrough("v1", shown=2, clicked=1, clicks=2),
        "v2": ClickThrough("v2", shown=2, clicked=0, clicks=0),
        "v3": ClickThrough("v3", shown=1, clicked=0, clicks=0),
    }


def test_a_rate_is_the_share_of_answers_followed() -> None:
    assert ClickThrough("v1", shown=4, clicked=1, clicks=3).rate == 0.25
    assert ClickThrough("v1", shown=0, clicked=0, clicks=0).rate == 0.0


def test_only_answers_since_then_count(store: Store) -> None:
    store.record_recommendations([answer("old", "a", at=START - 100), answer("new", "a")])
    store.add_events([click("a", "old"), click("a", "new")], mode="accumulate")
    assert store.click_through(START - 1)["v1"] == ClickThrough("v1", shown=1, clicked=1, clicks=1)
    assert store.click_through(START - 200)["v1"].shown == 2
    assert store.click_through(START + 1) == {}


def test_a_click_that_was_overwritten_was_still_a_click(store: Store) -> None:
    store.record_recommendations([answer("1", "a")])
    store.add_events([click("a", "1")], mode="overwrite")
    store.add_events([click("a", None)], mode="overwrite")
    assert store.click_through(0.0)["v1"].clicked == 1


def test_a_click_may_come_before_its_answer_is_recorded(store: Store) -> None:
    store.add_events([click("a", "1")], mode="accumulate")
    store.record_recommendations([answer("1", "a")])
    assert store.click_through(0.0)["v1"].clicked == 1


def test_hostile_ids_are_found_exactly(store: Store) -> None:
    items = ["%", "_", "'; --", '"', "a,b", "🎬"]
    store.record_recommendations([answer("1", *items), answer("2", "x")])
    clicks = [click(item, "1") for item in items] + [click("%", "2"), click("_", "2")]
    store.add_events(clicks, mode="accumulate")
    assert store.click_through(0.0)["v1"] == ClickThrough("v1", shown=2, clicked=1, clicks=6)


def test_an_answer_is_recorded_once(store: Store) -> None:
    store.record_recommendations([])
    store.record_recommendations([answer("1", "a"), answer("1", "b")])
    store.record_recommendations([answer("1", "c", version="v2")])
    (kept,) = store.export_user("ann")["recommendations"]  # type: ignore[misc]
    assert kept["item_ids"] == ["a"]


def test_old_answers_can_be_forgotten(store: Store) -> None:
    store.record_recommendations([answer("old", "a", at=START - 100), answer("new", "a")])
    assert store.forget_recommendations(START - 50) == 1
    assert store.click_through(0.0)["v1"].shown == 1
