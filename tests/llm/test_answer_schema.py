"""What an answer may look like, and the value of one that came."""

import json

import pytest

from palate.errors import ConfigError
from palate.llm.answer import checked_value
from palate.llm.answer_schema import check_schema, mismatch, parsed_json, strict
from palate.llm.request import SpeakerRequest, ask

BOOK = {
    "type": "object",
    "properties": {
        "title": {"type": "string", "maxLength": 10},
        "stars": {"type": "integer", "minimum": 1, "maximum": 5},
        "mood": {"enum": ["calm", "tense", None]},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 1, "maxItems": 2},
        "sold": {"type": "boolean"},
        "price": {"type": "number", "minimum": 0},
    },
}
GOOD = {"title": "Emma", "stars": 4, "mood": None, "tags": ["a"], "sold": True, "price": 9.5}


def test_a_fitting_value_fits() -> None:
    check_schema(BOOK)
    assert mismatch(GOOD, BOOK) == ""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"title": "x" * 11}, "answer.title has 11 characters, more than 10"),
        ({"title": None}, "answer.title is None, not of type string"),
        ({"stars": 6}, "answer.stars is 6, not from 1 to 5"),
        ({"stars": True}, "answer.stars is True, not of type integer"),
        ({"stars": 4.0}, "answer.stars is 4.0, not of type integer"),
        ({"mood": "sad"}, "answer.mood is 'sad', not one of ['calm', 'tense', None]"),
        ({"tags": []}, "answer.tags has 0 items, not 1 to 2"),
        ({"tags": ["a", "c"]}, "answer.tags[1] is 'c', not one of ['a', 'b']"),
        ({"sold": 1}, "answer.sold is 1, not of type boolean"),
        ({"price": -0.1}, "answer.price is -0.1, not from 0 to inf"),
        ({"price": float("nan")}, "answer.price is nan, not from 0 to inf"),
        ({"extra": 1}, "answer has an unknown 'extra'"),
    ],
)
def test_a_value_that_does_not_fit_is_told_where(change: dict[str, object], words: str) -> None:
    assert mismatch(GOOD | change, BOOK) == words


def test_a_missing_property_and_another_type_are_told() -> None:
    assert mismatch({}, BOOK) == "answer lacks 'title'"
    assert mismatch([1], BOOK) == "answer is [1], not of type object"
    assert mismatch(True, {"enum": [1, 0]}) == "answer is True, not one of [1, 0]"


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "string"}, "at its root: a string needs maxLength"),
        ({"type": "array", "items": {"enum": [1]}}, "an array needs items and maxItems"),
        ({"enum": []}, "enum is empty"),
        ({"type": "string", "maxLength": 3, "pattern": "a+"}, "'pattern' cannot be bound"),
        ({"anyOf": []}, "type ''"),
        ({"type": "object", "properties": {"a": {"type": "date"}}}, "a: type 'date' is none of"),
    ],
)
def test_a_schema_beyond_the_subset_is_refused(schema: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match="cannot be used") as caught:
        SpeakerRequest(ask("?").messages, schema=schema)
    assert words in caught.value.message


def test_a_strict_schema_allows_nothing_else_at_any_depth() -> None:
    inner = {"type": "object", "properties": {"b": {"type": "boolean"}}}
    outer = strict(
        {"type": "object", "properties": {"a": {"type": "array", "items": inner, "maxItems": 2}}}
    )
    assert outer["required"] == ["a"]
    text = json.dumps(outer)
    assert text.count('"additionalProperties": false') == 2


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1}',
        'Sure! ```json\n{"a": 1}\n``` Hope it helps.',
        ' {"a": 1} {"a": 2}',
        '{oops {"a": 1}',
    ],
)
def test_json_is_found_among_words(text: str) -> None:
    assert parsed_json(text) == {"a": 1}


@pytest.mark.parametrize("text", ["", "no", '{"a": ', "[" * 100_000])
def test_a_text_without_json_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="not JSON"):
        parsed_json(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("B", "B"),
        (" b. ", "B"),
        ('"B"', "B"),
        ("**B**", "B"),
        ('{"answer": "b"}', "B"),
        ("B or C", None),
        ("", None),
        ('{"answer": 2}', None),
    ],
)
def test_a_choice_is_known_by_what_it_is(text: str, value: str | None) -> None:
    found, wrong = checked_value(text, ask("?", choices=["A", "B", "C"]))
    assert found == value
    assert bool(wrong) == (value is None)


def test_choices_that_differ_by_case_are_told_apart() -> None:
    request = ask("?", choices=["it", "It"])
    assert checked_value("It", request)[0] == "It"
    assert checked_value("IT", request)[0] is None


def test_a_request_without_form_has_no_value() -> None:
    assert checked_value("anything", ask("?")) == (None, "")
