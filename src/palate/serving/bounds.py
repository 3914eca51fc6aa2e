"""How large a body can be and still be right, read off the schema of what is wanted.

A body is measured against these bounds before anything is made of it. Whatever is larger is wrong
for certain, and to say so costs neither the time nor the memory of finding out how wrong.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel

_ESCAPED = 12
"""Most bytes of one character in JSON: a pair of surrogates, each as ``\\uXXXX``."""
_SCALAR = 64
"""Most bytes of a number, a time or a word such as ``false``."""
_LAYOUT = 64
"""Bytes of white space that go with one mark, where a body is indented for people to read."""
_SPARE_BYTES = 4_096
_SPARE_MARKS = 1_000
"""What a body may have beyond the bounds, so that a slip is named: a misspelt field, not a size."""

Schema = Mapping[str, Any]


@dataclass(frozen=True)
class Bounds:
    """The most of each that the JSON of a body can have."""

    marks: int
    """Commas and opening brackets outside strings: about the number of its values."""
    num_bytes: int


@cache
def bounds_of(kind: type[BaseModel]) -> Bounds:
    """Return the bounds of a body; every list, map and text in it must have one of its own.

    Raises:
        TypeError: naming the field without a bound, which is a mistake of ours.
    """
    schema = kind.model_json_schema()
    found = _bounds(schema, schema.get("$defs", {}), kind.__name__)
    marks = found.marks + _SPARE_MARKS
    return Bounds(marks, found.num_bytes + _LAYOUT * found.marks + _SPARE_BYTES)


def _bounds(schema: Schema, named: Schema, place: str) -> Bounds:
    if "$ref" in schema:
        return _bounds(named[schema["$ref"].rpartition("/")[2]], named, place)
    if "anyOf" in schema:
        return _largest([_bounds(part, named, place) for part in schema["anyOf"]])
    match schema.get("type"):
        case "array":
            return _array(schema, named, place)
        case "object" if "properties" in schema:
            return _object(schema["properties"], named, place)
        case "object":
            return _map(schema, named, place)
        case "string" if not {"enum", "const", "format"} & schema.keys():
            return Bounds(0, 2 + _ESCAPED * _bound(schema, "maxLength", place))
        case "string" | "number" | "integer" | "boolean" | "null":
            return Bounds(0, _SCALAR)
        case other:
            raise TypeError(f"{place} is of the type {other!r}: nothing bounds it")


def _object(fields: Mapping[str, Schema], named: Schema, place: str) -> Bounds:
    parts = [_bounds(one, named, f"{place}.{name}") for name, one in fields.items()]
    names = sum(4 + _ESCAPED * len(name) for name in fields)
    return Bounds(
        len(parts) + sum(part.marks for part in parts),
        names + sum(part.num_bytes for part in parts),
    )


def _array(schema: Schema, named: Schema, place: str) -> Bounds:
    return _times(
        _bound(schema, "maxItems", place), _bounds(schema["items"], named, f"{place}.items")
    )


def _map(schema: Schema, named: Schema, place: str) -> Bounds:
    patterns = schema.get("patternProperties") or {"": schema.get("additionalProperties") or {}}
    values = _largest([_bounds(one, named, f"{place}.values") for one in patterns.values()])
    key = 4 + _ESCAPED * _bound(schema.get("propertyNames", {}), "maxLength", f"{place}.names")
    value = Bounds(values.marks, values.num_bytes + key)
    return _times(_bound(schema, "maxProperties", place), value)


def _times(count: int, each: Bounds) -> Bounds:
    return Bounds(max(count, 1) + count * each.marks, 2 + count * (1 + each.num_bytes))


def _largest(parts: Sequence[Bounds]) -> Bounds:
    return Bounds(max(part.marks for part in parts), max(part.num_bytes for part in parts))


def _bound(schema: Schema, name: str, place: str) -> int:
    found = schema.get(name)
    if not isinstance(found, int):
        raise TypeError(f"{place} has no {name}: nothing bounds it")
    return found
