"""The part of JSON Schema in which answers can be asked for, whatever binds them.

An endpoint may hold an answer to its schema, a grammar may, a model in this process is held to it
by scoring, and text is checked against it afterwards. The subset is what all of these can do:

=========  ==========================================================================
kind       keywords
=========  ==========================================================================
choice     ``enum`` or ``const``, of texts, numbers, truth values and null
object     ``properties``, all of them required, and no others
array      ``items``, ``maxItems`` (needed), ``minItems``
string     ``maxLength`` (needed: an answer without an end is cut)
integer    ``minimum`` and ``maximum``
number     ``minimum`` and ``maximum``
boolean
=========  ==========================================================================

``title`` and ``description`` may stand anywhere.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from palate.errors import ConfigError

Schema = Mapping[str, object]

_SAID = {"title", "description"}
_CHOICE = {"enum", "const", "type"}
_KEYWORDS = {
    "object": {"type", "properties", "required", "additionalProperties"},
    "array": {"type", "items", "minItems", "maxItems"},
    "string": {"type", "maxLength"},
    "integer": {"type", "minimum", "maximum"},
    "number": {"type", "minimum", "maximum"},
    "boolean": {"type"},
}


def check_schema(schema: Schema, path: str = "") -> None:
    """Check that a schema is of the subset.

    Raises:
        ConfigError: naming the place and the keyword that is unknown or missing.
    """
    kind = kind_of(schema)
    if kind == "choice":
        _refuse_keywords(schema, _CHOICE, path)
        if not options_of(schema):
            raise _wrong(path, "enum is empty")
        return
    if kind not in _KEYWORDS:
        raise _wrong(path, f"type {kind!r} is none of choice, {', '.join(_KEYWORDS)}")
    _refuse_keywords(schema, _KEYWORDS[kind], path)
    if kind == "string" and "maxLength" not in schema:
        raise _wrong(path, "a string needs maxLength")
    if kind == "array":
        if "maxItems" not in schema or not isinstance(schema.get("items"), Mapping):
            raise _wrong(path, "an array needs items and maxItems")
        check_schema(cast(Schema, schema["items"]), f"{path}[]")
    if kind == "object":
        for name, inner in properties_of(schema).items():
            check_schema(inner, f"{path}.{name}")


def kind_of(schema: Schema) -> str:
    """Return ``choice`` for an enum or a constant, else the ``type``."""
    return "choice" if "enum" in schema or "const" in schema else str(schema.get("type", ""))


def options_of(schema: Schema) -> list[object]:
    """Return the values of a choice."""
    return [schema["const"]] if "const" in schema else list(cast(Sequence[object], schema["enum"]))


def properties_of(schema: Schema) -> Mapping[str, Schema]:
    """Return the schema of each property of an object, in the order they are written."""
    return cast(Mapping[str, Schema], schema.get("properties", {}))


def strict(schema: Schema) -> dict[str, object]:
    """Return a schema with every property required and no other allowed, as endpoints want it."""
    kind = kind_of(schema)
    if kind == "object":
        inner = {name: strict(each) for name, each in properties_of(schema).items()}
        closed = {"required": list(inner), "additionalProperties": False}
        return {**schema, "properties": inner, **closed}
    if kind == "array":
        return {**schema, "items": strict(cast(Schema, schema["items"]))}
    return dict(schema)


def schema_of_choices(choices: Sequence[str]) -> Schema:
    """Return the schema of an object whose ``answer`` is one of ``choices``."""
    return {"type": "object", "properties": {"answer": {"type": "string", "enum": list(choices)}}}


def parsed_json(text: str) -> object:
    """Return the first JSON value of a text, which may stand in a fence or among words.

    Raises:
        ValueError: when there is none.
    """
    decoder = json.JSONDecoder()
    starts = [place for place, letter in enumerate(text) if letter in "{["][:_MOST_STARTS]
    for start in starts:
        try:
            return decoder.raw_decode(text, start)[0]
        except (ValueError, RecursionError):
            continue
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError("the answer is not JSON") from error


_MOST_STARTS = 20
"""A text of nothing but brackets must not cost the square of its length."""


def mismatch(value: object, schema: Schema, path: str = "answer") -> str:
    """Return in words the first place where ``value`` does not fit; empty where it fits.

    >>> mismatch({"stars": 7}, {"type": "object", "properties": {"stars": {"enum": [1, 2]}}})
    'answer.stars is 7, not one of [1, 2]'
    """
    kind = kind_of(schema)
    if kind == "choice":
        options = options_of(schema)
        fits = any(type(value) is type(each) and value == each for each in options)
        return "" if fits else f"{path} is {_short(value)}, not one of {_short(options)}"
    if not _IS[kind](value):
        return f"{path} is {_short(value)}, not of type {kind}"
    return _INSIDE[kind](value, schema, path) if kind in _INSIDE else ""


def _object(value: object, schema: Schema, path: str) -> str:
    held, wanted = cast(Mapping[str, object], value), properties_of(schema)
    odd = [name for name in wanted if name not in held] + [n for n in held if n not in wanted]
    if odd:
        return f"{path} {'lacks' if odd[0] in wanted else 'has an unknown'} {_short(odd[0])}"
    found = (mismatch(held[name], wanted[name], f"{path}.{name}") for name in wanted)
    return next(filter(None, found), "")


def _array(value: object, schema: Schema, path: str) -> str:
    held, inner = cast(Sequence[object], value), cast(Schema, schema["items"])
    low, high = cast(int, schema.get("minItems", 0)), cast(int, schema["maxItems"])
    if not low <= len(held) <= high:
        return f"{path} has {len(held)} items, not {low} to {high}"
    found = (mismatch(each, inner, f"{path}[{place}]") for place, each in enumerate(held))
    return next(filter(None, found), "")


def _string(value: object, schema: Schema, path: str) -> str:
    length, most = len(cast(str, value)), cast(int, schema["maxLength"])
    return f"{path} has {length} characters, more than {most}" if length > most else ""


def _number(value: object, schema: Schema, path: str) -> str:
    number = cast(float, value)
    low = cast(float, schema.get("minimum", float("-inf")))
    high = cast(float, schema.get("maximum", float("inf")))
    return "" if low <= number <= high else f"{path} is {number}, not from {low} to {high}"


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_IS: Mapping[str, Callable[[object], bool]] = {
    "object": lambda value: isinstance(value, Mapping),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "integer": _is_integer,
    "number": lambda value: _is_integer(value) or isinstance(value, float),
    "boolean": lambda value: isinstance(value, bool),
}

_INSIDE: Mapping[str, Callable[[object, Schema, str], str]] = {
    "object": _object,
    "array": _array,
    "string": _string,
    "integer": _number,
    "number": _number,
}


def _refuse_keywords(schema: Schema, known: set[str], path: str) -> None:
    unknown = sorted(schema.keys() - known - _SAID)
    if unknown:
        raise _wrong(path, f"{unknown[0]!r} cannot be bound everywhere")


def _wrong(path: str, why: str) -> ConfigError:
    return ConfigError(
        f"The schema of an answer cannot be used: {path.lstrip('.') or 'at its root'}: {why}.",
        hint="The keywords that can be used are listed in palate.llm.answer_schema.",
    )


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
