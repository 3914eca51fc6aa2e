"""Parses one JSON object: its size is checked first, then it is parsed and validated."""

from typing import TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from palate.serving.bounds import bounds_of
from palate.serving.json_rows import RawBytes, num_marks
from palate.serving.problems import Invalid, invalid

Body = TypeVar("Body", bound=BaseModel)

_SMALL = 2_048
"""Bytes of a text that is cheap to parse whatever it holds."""


def parse_object(text: RawBytes, kind: type[Body], place: str = "") -> Body:
    """Return a JSON object as a ``kind``; ``place`` names the row, if there are several.

    A wrong text costs no more than a right one: a text with more values than a ``kind`` can have is
    refused before it is parsed, and the parser refuses more than 1,024 nested brackets.

    Raises:
        Invalid: naming what is wrong.
    """
    measure(text, kind, place)
    return check_object(load(text, place), kind, place)


def measure(text: RawBytes, kind: type[BaseModel], place: str = "") -> None:
    """Refuse, without parsing, a text with more values than a ``kind`` can have.

    Raises:
        Invalid: when it has more values.
    """
    most = bounds_of(kind).marks
    if len(text) > _SMALL and num_marks(text, most) > most:
        raise Invalid(
            f"The request cannot be used: {place or 'it'} holds more than {most:,} values.",
            hint="The fields of each request are described at /docs.",
        )


def load(text: RawBytes, place: str = "") -> object:
    """Return the value of a JSON text.

    Raises:
        Invalid: when the text is not JSON.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Invalid(
            f"The request cannot be used: {place or 'it'} is not JSON: {error}.",
            hint="Send one object of JSON, in UTF-8.",
        ) from None


def check_object(value: object, kind: type[Body], place: str = "") -> Body:
    """Return a parsed JSON value as a ``kind``.

    Raises:
        Invalid: naming what is wrong.
    """
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise invalid(error, *([place] if place else [])) from None
