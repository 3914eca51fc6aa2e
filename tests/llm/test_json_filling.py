"""A filled value fits its schema, whatever the model says."""

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palate.llm.answer_schema import Schema, mismatch
from palate.llm.folder.json_filling import JsonFilling

BOOK: Schema = {
    "type": "object",
    "properties": {
        "mood": {"enum": ["calm", 'ten"se', None]},
        "stars": {"type": "integer", "minimum": 1, "maximum": 5},
        "year": {"type": "integer", "minimum": 0, "maximum": 3000},
        "price": {"type": "number", "minimum": 0},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 1, "maxItems": 3},
        "words": {"type": "string", "maxLength": 8},
        "empty": {"type": "object", "properties": {}},
        "sure": {"type": "boolean"},
        "kind": {"const": 1},
    },
}


def test_only_what_is_open_is_asked_and_with_all_that_was_said() -> None:
    seen: list[tuple[str, list[str]]] = []

    def choose(so_far: str, options: Sequence[str]) -> int:
        seen.append((so_far, list(options)))
        return len(options) - 1

    schema = {
        "type": "object",
        "properties": {"a": {"enum": ["x", "y"]}, "b": {"const": 1}, "c": {"type": "boolean"}},
    }
    filling = JsonFilling(choose, lambda *_: "")
    assert filling.fill(schema) == {"a": "y", "b": 1, "c": False}
    assert filling.text == '{"a": "y", "b": 1, "c": false}'
    assert seen == [
        ('{"a": ', ['"x"', '"y"']),
        ('{"a": "y", "b": 1, "c": ', ["true", "false"]),
    ]


@given(choices=st.lists(st.integers(0, 50), min_size=1), words=st.text())
def test_whatever_is_said_the_value_fits(choices: list[int], words: str) -> None:
    turn = iter(range(10**6))

    def choose(so_far: str, options: Sequence[str]) -> int:
        return choices[next(turn) % len(choices)] % len(options)

    filling = JsonFilling(choose, lambda *_: words)
    value = filling.fill(BOOK)
    assert mismatch(value, BOOK) == ""
    assert json.loads(filling.text) == value


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ('good", "b": 2', "good"),
        ('a \\"b\\" c"', 'a "b" c'),
        ("no end", "no end"),
        ("line\nbreak", "line"),
        ("half \\", "half "),
    ],
)
def test_a_string_ends_at_its_quote(said: str, value: str) -> None:
    filling = JsonFilling(lambda *_: 0, lambda *_: said)
    assert filling.fill({"type": "string", "maxLength": 20}) == value


@pytest.mark.parametrize(
    ("said", "value"),
    [("1984, and", 1984), (" about 7.6", 8), ("none", 0), ("-4", 0), ("9999", 3000)],
)
def test_a_number_is_put_into_its_range(said: str, value: int) -> None:
    schema = {"type": "integer", "minimum": 0, "maximum": 3000}
    assert JsonFilling(lambda *_: 0, lambda *_: said).fill(schema) == value
