"""The sentences of a grammar are the JSON texts that fit its schema."""

import json
import re

import pytest

from palate.llm.answer_schema import Schema, mismatch
from palate.llm.endpoint.grammar import grammar_of, grammar_of_choices

TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\[(?:[^\]\\]|\\.)*\]|\{\d+(?:,\d+)?\}|[a-z]+|[()|?]')


def pattern_of(grammar: str) -> re.Pattern[str]:
    """Return the pattern that a grammar without recursion is."""
    rules = dict(line.split(" ::= ", 1) for line in grammar.splitlines())

    def read(token: str) -> str:
        if token[0] == '"':
            literal = re.sub(r"\\(.)", r"\1", token[1:-1])
            return f"(?:{re.escape(literal)})"
        return f"(?:{expand(rules[token])})" if token[0].islower() else token

    def expand(expression: str) -> str:
        return "".join(map(read, TOKEN.findall(expression)))

    return re.compile(expand(rules["root"]))


BOOK: Schema = {
    "type": "object",
    "properties": {
        "title": {"type": "string", "maxLength": 6},
        "mood": {"enum": ['say "hi"', "b\\c", None, 3]},
        "tags": {"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 3},
        "count": {"type": "integer"},
        "price": {"type": "number"},
    },
}
GOOD = {"title": 'a"\u00e9\n', "mood": 'say "hi"', "tags": [True], "count": -12, "price": 0.5}


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"mood": "b\\c"},
        {"mood": None},
        {"mood": 3},
        {"tags": [True, False, True]},
        {"title": ""},
    ],
)
def test_what_fits_is_a_sentence(change: dict[str, object]) -> None:
    value = GOOD | change
    assert mismatch(value, BOOK) == ""
    for in_ascii in (True, False):
        assert pattern_of(grammar_of(BOOK)).fullmatch(json.dumps(value, ensure_ascii=in_ascii))


@pytest.mark.parametrize(
    "change",
    [
        {"title": "1234567"},
        {"mood": "c"},
        {"tags": []},
        {"tags": [True] * 4},
        {"count": 0.5},
        {"x": 1},
    ],
)
def test_what_does_not_fit_is_none(change: dict[str, object]) -> None:
    text = json.dumps(GOOD | change)
    assert not pattern_of(grammar_of(BOOK)).fullmatch(text)


def test_arrays_may_be_empty_where_they_may() -> None:
    schema = {"type": "array", "items": {"enum": [1]}, "maxItems": 2}
    pattern = pattern_of(grammar_of(schema))
    assert [bool(pattern.fullmatch(text)) for text in ("[]", "[1]", "[1, 1]", "[1, 1, 1]")] == [
        *(True, True, True, False)
    ]
    assert pattern_of(grammar_of({**schema, "maxItems": 0})).fullmatch("[]")


def test_choices_stand_without_quotes() -> None:
    pattern = pattern_of(grammar_of_choices(['a "b"', "c\nd"]))
    assert pattern.fullmatch('a "b"')
    assert not pattern.fullmatch('"a"')
    assert "\n" not in grammar_of_choices(["c\nd"]), "a rule is one line"
