"""Checks of the fields that people bring: what passes can be stored in any database.

What may be an id is said by :func:`palate.data.ids.id_fault`. Every check raises
:class:`palate.errors.DataError`.
"""

import json
import math
from collections.abc import Mapping, Sequence

from palate.data.ids import are_ids, id_fault
from palate.errors import DataError

MAX_TEXT_LENGTH = 100_000
"""Longest title or description, in characters."""
MAX_ATTRIBUTES_LENGTH = 200_000
"""Longest set of attributes or categories of one thing, in characters of JSON."""
LAST_SECOND = 253_402_300_799
"""The end of the year 9999: a larger time is one in milliseconds."""

AttributeValue = str | float | int | bool | None
Attributes = Mapping[str, AttributeValue]


def check_id(name: str, value: str) -> None:
    """Refuse an id that cannot be stored or indexed.

    Raises:
        DataError: when it is no text, empty, too long, or holds what cannot be stored.
    """
    if not isinstance(value, str):
        raise DataError(
            f"{name!r} is {type(value).__name__}, not text.", hint="Give it as a string."
        )
    if (fault := id_fault(value)) is not None:
        raise DataError(
            f"{name!r} {fault}: {_shown(value)}.",
            hint="Ids have 1 to 256 characters, none of them a control character.",
        )


def check_ids(name: str, values: Sequence[str]) -> None:
    """Refuse ids of which one cannot be stored (see :func:`check_id`)."""
    # A service checks tens of thousands of ids a second here, and answers nobody meanwhile.
    if set(map(type, values)) == {str} and are_ids(list(values)):
        return
    for value in values:
        check_id(name, value)


def check_text(name: str, value: str) -> None:
    """Refuse a text that cannot be stored."""
    _check_characters(name, value)
    if len(value) > MAX_TEXT_LENGTH:
        raise DataError(
            f"{name!r} has {len(value):,} characters.",
            hint=f"Texts may have up to {MAX_TEXT_LENGTH:,}.",
        )


def _check_characters(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise DataError(
            f"{name!r} is {type(value).__name__}, not text.", hint="Give it as a string."
        )
    if "\0" in value:
        raise DataError(f"{name!r} holds a NUL character: {_shown(value)}.", hint="Leave it out.")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{name!r} holds half a surrogate pair: {_shown(value)}.",
            hint="Send whole characters as UTF-8.",
        ) from error


def check_number(name: str, value: object) -> None:
    """Refuse what is no finite number of at most 64 bits."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
        return
    if isinstance(value, float) and math.isfinite(value):
        return
    raise DataError(
        f"{name!r} is {_shown(value)}, not a finite number.",
        hint="Give a finite number of at most 64 bits, or leave it out.",
    )


def check_time(name: str, value: float) -> None:
    """Refuse what is no time since 1970, in seconds."""
    check_number(name, value)
    if not 0 <= value <= LAST_SECOND:
        raise DataError(
            f"{name!r} is {_shown(value)}, not a time since 1970 in seconds.",
            hint="Give Unix seconds, such as 1700000000.",
        )


def check_attributes(attributes: Attributes) -> None:
    """Refuse attributes that cannot be stored."""
    for name, value in attributes.items():
        check_text("attributes", name)
        if isinstance(value, str):
            check_text(name, value)
        elif value is not None and not isinstance(value, bool):
            check_number(name, value)
    check_size("attributes", dict(attributes))


def check_size(name: str, value: list[str] | dict[str, AttributeValue]) -> None:
    """Refuse what is too long as JSON."""
    length = len(json.dumps(value, ensure_ascii=False)) if value else 0
    if length > MAX_ATTRIBUTES_LENGTH:
        raise DataError(
            f"{name!r} takes {length:,} characters of JSON.",
            hint=f"It may take up to {MAX_ATTRIBUTES_LENGTH:,}.",
        )


def _shown(value: object) -> str:
    """Return ``value`` so that it can be printed anywhere, shortened."""
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
