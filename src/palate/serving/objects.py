"""One JSON object, checked: measured first, then parsed, then looked at field by field."""

from typing import TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from palate.serving.bounds import bounds_of
from palate.serving.json_rows import Raw, num_marks
from palate.serving.problems import Invalid, invalid

Body = TypeVar("Body", bound=BaseModel)

_SMALL = 2_048
"""Bytes that cost nothing to speak of, whatever is in them."""


def parse_object(text: Raw, kind: type[Body], place: str = "") -> Body:
    """Return a JSON object as a ``kind``; ``place`` says where it stands, if among others.

    What is wrong costs no more than what is right: a text of more values than a ``kind`` can have
    is refused unparsed, and one that nests deeper than 1,024 brackets by the parser.

    Raises:
        Invalid: naming what is wrong.
    """
    measure(text, kind, place)
    return check_object(load(text, place), kind, place)


def measure(text: Raw, kind: type[BaseModel], place: str = "") -> None:
    """Refuse a text of more values than a ``kind`` can have; it is not parsed for that.

    Raises:
        Invalid: when it holds more than any ``kind`` does.
    """
    most = bounds_of(kind).marks
    if len(text) > _SMALL and num_marks(text, most) > most:
        raise Invalid(
            f"The request cannot be used: {place or 'it'} holds more than {most:,} values.",
            hint="The fields of each request are described at /docs.",
        )


def load(text: Raw, place: str = "") -> object:
    """Return what a JSON text says.

    Raises:
        Invalid: when it is no JSON.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Invalid(
            f"The request cannot be used: {place or 'it'} is not JSON: {error}.",
            hint="Send one object of JSON, in UTF-8.",
        ) from None


def check_object(value: object, kind: type[Body], place: str = "") -> Body:
    """Return what a JSON text says as a ``kind``.

    Raises:
        Invalid: naming what is wrong.
    """
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise invalid(error, *([place] if place else [])) from None
