"""Many rows in one body, in each form by the same rules, and at no more cost than right ones."""

import io
import json
import tracemalloc
from collections.abc import Callable

import polars as pl
import pytest

from palate.errors import PalateError
from palate.serving import parquet
from palate.serving.bulk import JSON, JSON_LINES, PARQUET, parse_rows
from palate.serving.objects import parse_object
from palate.serving.problems import Invalid, TooLarge, WrongMediaType
from palate.serving.schemas import (
    EventBody,
    FeedbackBody,
    ItemWithId,
    KeyBody,
    RankBody,
    RecommendBody,
    UserWithId,
)

MB = 2**20


def _table(**columns: object) -> bytes:
    file = io.BytesIO()
    pl.DataFrame(columns).write_parquet(file)
    return file.getvalue()


def _ids(body: bytes, media: str, most: int = 100) -> list[str]:
    return parse_rows(body, media, UserWithId, lambda row: row.user_id, most=most)


FORMS: dict[str, Callable[[list[dict]], bytes]] = {
    JSON: lambda rows: json.dumps(rows).encode(),
    JSON_LINES: lambda rows: b"\n".join(json.dumps(row).encode() for row in rows),
    PARQUET: lambda rows: _table(**{name: [row.get(name) for row in rows] for name in rows[0]}),
}


@pytest.mark.parametrize("media", FORMS)
def test_each_form_holds_the_same_rows(media: str) -> None:
    rows = [{"user_id": f"u{number}"} for number in range(3)]
    assert _ids(FORMS[media](rows), media) == ["u0", "u1", "u2"]
    assert _ids(FORMS[media](rows), media, most=3) == ["u0", "u1", "u2"]
    with pytest.raises(TooLarge):
        _ids(FORMS[media](rows), media, most=2)


@pytest.mark.parametrize("media", FORMS)
def test_the_first_wrong_row_is_named_and_the_others_are_not_looked_at(media: str) -> None:
    wrong = [{"user_id": "a"}, {"user_id": "b" * 300}, {"user_id": "c" * 400}]
    with pytest.raises(Invalid, match=r"(row|line) 2\.user_id: has 300 characters") as refused:
        _ids(FORMS[media](wrong), media)
    assert "400" not in refused.value.message


def test_one_object_needs_no_list() -> None:
    assert _ids(b' {"user_id": "a"} ', JSON) == ["a"]


@pytest.mark.parametrize(
    ("body", "media"), [(b"[]", JSON), (b"\n \n", JSON_LINES), (b"", JSON_LINES)]
)
def test_no_row_is_refused(body: bytes, media: str) -> None:
    with pytest.raises(Invalid, match="no row"):
        _ids(body, media)


def test_another_type_is_refused_with_those_that_are_read() -> None:
    with pytest.raises(WrongMediaType, match=JSON_LINES):
        _ids(b"[]", "text/csv")


def test_of_a_table_nulls_are_left_out_and_json_is_opened() -> None:
    body = _table(
        item_id=["a", "b"],
        price=[1.5, None],
        attributes=['{"legs": 4}', None],
        categories=[["x"], None],
    )
    found = parse_rows(body, PARQUET, ItemWithId, lambda row: row)
    assert [row.model_fields_set for row in found] == [
        {"item_id", "price", "attributes", "categories"},
        {"item_id"},
    ]
    assert found[0].attributes == {"legs": 4}


def test_a_table_that_unpacks_to_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    body = _table(item_id=[f"{n}" for n in range(400)], description=["x" * 40_000] * 400)
    assert len(body) < MB
    monkeypatch.setattr(parquet, "_MOST_BYTES", MB)
    with pytest.raises(TooLarge, match="unpacks"):
        parse_rows(body, PARQUET, ItemWithId, lambda row: row.item_id)


@pytest.mark.skipif("sys.platform != 'linux'", reason="the system bounds no memory")
def test_a_table_that_needs_too_much_memory_ends_its_own_process_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts = [f"{number}" + "x" * 50_000 for number in range(10_000)]
    body = _table(item_id=[f"{n}" for n in range(10_000)], description=texts)
    monkeypatch.setattr(parquet, "_MEMORY", 300 * MB)
    with pytest.raises(PalateError, match="unpacks"):
        parse_rows(body, PARQUET, ItemWithId, lambda row: row.item_id)


def _of(unit: bytes, head: bytes = b"[", tail: bytes = b"]") -> bytes:
    return head + (unit + b",") * (2 * MB // (len(unit) + 1)) + unit + tail


UNKNOWN = b"{" + b",".join(b'"%07d":0' % number for number in range(150_000)) + b"}"
MANY = {
    "empty objects": (ItemWithId, _of(b"{}")),
    "numbers": (EventBody, _of(b"0")),
    "one nested row": (ItemWithId, b'[{"item_id":"a","attributes":' + _of(b"[]") + b"}]"),
    "unknown fields": (ItemWithId, b"[" + UNKNOWN + b"]"),
    "deep": (ItemWithId, b"[" * MB),
}


@pytest.mark.parametrize("name", MANY)
def test_a_wrong_bulk_costs_next_to_nothing(name: str) -> None:
    kind, body = MANY[name]
    _costs_little(lambda: parse_rows(body, JSON, kind, lambda row: row))


ONE = {
    "unknown fields": (RecommendBody, UNKNOWN),
    "history": (RecommendBody, _of(b"[]", b'{"history":[', b"]}")),
    "slots": (RankBody, b'{"slots":' + UNKNOWN + b"}"),
    "candidates": (RankBody, _of(b"{}", b'{"candidates":[', b"]}")),
    "events": (FeedbackBody, _of(b"[]", b'{"events":[', b"]}")),
    "scopes": (KeyBody, _of(b'"read"', b'{"scopes":[', b"]}")),
    "deep": (RecommendBody, b'{"history":' + b"[" * MB),
    "no end": (RecommendBody, b'{"prompt":"' + b"\\" * MB),
}


@pytest.mark.parametrize("name", ONE)
def test_a_wrong_body_costs_next_to_nothing(name: str) -> None:
    kind, body = ONE[name]
    _costs_little(lambda: parse_object(body, kind))


def _costs_little(work: Callable[[], object]) -> None:
    """See that a refusal is short, and took little memory on the way."""
    tracemalloc.start()
    try:
        with pytest.raises(PalateError) as refused:
            work()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(str(refused.value)) < 1_000
    assert peak < 24 * MB


def test_misspelt_fields_are_named_together_beside_those_there_are() -> None:
    with pytest.raises(Invalid) as refused:
        parse_object(b'{"user_id": "a", "titel": 1, "prise": 2}', UserWithId)
    assert "no field 'prise', 'titel'; the fields are attributes, user_id" in refused.value.message
    many = json.dumps({f"field {number}": 0 for number in range(100)}).encode()
    with pytest.raises(Invalid, match="and 95 more") as refused:
        parse_object(many, UserWithId)
    assert refused.value.message.count("field ") < 10
