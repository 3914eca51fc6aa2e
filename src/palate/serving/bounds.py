"""Bounds on the size of a valid body, computed from the schema of the request.

A body is compared with these bounds before it is parsed. A larger body is certainly invalid, and
refusing it costs neither the time nor the memory of finding every fault.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel

_ESCAPED = 12
"""Maximum bytes of one character in JSON: a pair of surrogates, each as ``\\uXXXX``."""
_SCALAR = 64
"""Maximum bytes of a number, a time or a word such as ``false``."""
_LAYOUT = 64
"""Bytes of white space per mark in an indented body."""
_SPARE_BYTES = 4_096
_SPARE_MARKS = 1_000
"""Tolerance above the bounds, so that a message names a misspelt field rather than a size."""

Schema = Mapping[str, Any]


@dataclass(frozen=True)
class Bounds:
    """The maximum sizes of the JSON of a valid body."""

    marks: int
    """Number of commas and opening brackets outside strings, about the number of values."""
    num_bytes: int


@cache
def bounds_of(kind: type[BaseModel]) -> Bounds:
    """Return the bounds of a body; every list, map and text in its schema must have a bound.

    Raises:
        TypeError: naming a field of the schema that has no bound.
    """
    schema = kind.model_json_schema()
    exact = _bounds(schema, schema.get("$defs", {}), kind.__name__)
    num_bytes = exact.num_bytes + _LAYOUT * exact.marks + _SPARE_BYTES
    return Bounds(exact.marks + _SPARE_MARKS, num_bytes)


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
    values = [_bounds(one, named, f"{place}.{name}") for name, one in fields.items()]
    names = sum(4 + _ESCAPED * len(name) for name in fields)
    return Bounds(
        len(values) + sum(value.marks for value in values),
        names + sum(value.num_bytes for value in values),
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


def _largest(some: Sequence[Bounds]) -> Bounds:
    return Bounds(max(one.marks for one in some), max(one.num_bytes for one in some))


def _bound(schema: Schema, name: str, place: str) -> int:
    bound = schema.get(name)
    if not isinstance(bound, int):
        raise TypeError(f"{place} has no {name}: nothing bounds it")
    return bound
