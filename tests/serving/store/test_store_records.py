"""What exists can be stored: records refuse everything else when they are made."""

import json
import math

import pytest

from palate.data.field_checks import LAST_SECOND, check_id
from palate.data.ids import LONGEST_ID, LONGEST_ID_BYTES
from palate.errors import DataError
from palate.serving.store import Event, ItemRecord, RecommendationRecord, UserRecord

BAD_IDS = [
    "",
    "a\0b",
    "\0",
    "a\nb",
    "\x1f",
    "\x7f",
    "\ud800",
    "a\udfff",
    "x" * (LONGEST_ID + 1),
    "€" * (LONGEST_ID_BYTES // 3 + 1),
]
GOOD_IDS = [
    "a",
    " ",
    "€" * (LONGEST_ID_BYTES // 3),
    "é" * LONGEST_ID,
    "x" * LONGEST_ID,
    "'; DROP TABLE events",
    "\xa0\u2028\ufffe\U0010ffff",
    "👩‍👧",
]
NOON = 1_700_000_000.0


@pytest.mark.parametrize("bad", BAD_IDS)
def test_a_bad_id_is_refused_wherever_it_stands(bad: str) -> None:
    for place in ("user_id", "item_id", "event_type", "idempotency_key", "recommendation_id"):
        fields = {"user_id": "u", "item_id": "i", "event_type": "t"} | {place: bad}
        with pytest.raises(DataError, match=place):
            Event(value=None, timestamp=NOON, **fields)  # type: ignore[arg-type]
    for make in (ItemRecord, UserRecord):
        with pytest.raises(DataError, match="_id"):
            make(bad)
    with pytest.raises(DataError, match="item_ids"):
        RecommendationRecord("1", None, "v1", ["a", bad], NOON, "recommend")
    with pytest.raises(DataError, match="user_id"):
        RecommendationRecord("1", bad, "v1", ["a"], NOON, "recommend")


@pytest.mark.parametrize("good", GOOD_IDS)
def test_whatever_can_be_read_is_an_id(good: str) -> None:
    check_id("user_id", good)


@pytest.mark.parametrize("bad", BAD_IDS)
def test_the_message_can_be_printed_anywhere_and_is_short(bad: str) -> None:
    with pytest.raises(DataError) as refused:
        check_id("user_id", bad)
    assert str(refused.value).isascii()
    assert len(str(refused.value)) < 250
    assert refused.value.hint


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_is_finite(value: float) -> None:
    with pytest.raises(DataError, match="value"):
        Event("u", "i", "t", value, NOON)
    with pytest.raises(DataError, match="price"):
        ItemRecord("i", price=value)
    with pytest.raises(DataError, match="weight"):
        UserRecord("u", {"weight": value})


def test_a_number_has_at_most_64_bits() -> None:
    UserRecord("u", {"large": 2**63 - 1})
    with pytest.raises(DataError, match="large"):
        UserRecord("u", {"large": 10**400})


@pytest.mark.parametrize("timestamp", [-1.0, NOON * 1000, math.nan, math.inf])
def test_a_time_is_in_seconds_since_1970(timestamp: float) -> None:
    with pytest.raises(DataError, match="timestamp"):
        Event("u", "i", "t", None, timestamp)


@pytest.mark.parametrize("timestamp", [0.0, 0.5, float(LAST_SECOND)])
def test_the_ends_of_time_are_times(timestamp: float) -> None:
    assert Event("u", "i", "t", None, timestamp).timestamp == timestamp


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "x" * 100_001])
def test_texts_can_be_stored(text: str) -> None:
    for place in ("title", "description", "brand"):
        with pytest.raises(DataError, match=place):
            ItemRecord("i", **{place: text})  # type: ignore[arg-type]
    with pytest.raises(DataError, match="categories"):
        ItemRecord("i", categories=("fine", text))
    with pytest.raises(DataError, match="note"):
        UserRecord("u", {"note": text})
    with pytest.raises(DataError, match="attributes"):
        UserRecord("u", {text: 1})


def test_attributes_are_bounded_together() -> None:
    fits = {str(number): "x" * 10_000 for number in range(19)}
    assert len(json.dumps(dict(UserRecord("u", fits).attributes))) < 200_000
    with pytest.raises(DataError, match="attributes"):
        UserRecord("u", {str(number): "x" * 10_000 for number in range(20)})
    with pytest.raises(DataError, match="categories"):
        ItemRecord("i", categories=("x" * 50_000,) * 4)
