"""From the text of an answer to its value: a choice, or JSON that fits the schema."""

import re
from contextlib import suppress

from palate.llm.answer_schema import mismatch, parsed_json
from palate.llm.request import SpeakerRequest


def checked_value(text: str, request: SpeakerRequest) -> tuple[object, str]:
    """Return the value of an answer, and in words why it has none.

    A request without a form has no value, and nothing is wrong with its answer.
    """
    if request.choices:
        choice = chosen(text, request.choices) or _chosen_in_json(text, request.choices)
        return choice, "" if choice else f"{_short(text)} is none of the choices"
    if request.schema is None:
        return None, ""
    try:
        value = parsed_json(text)
    except ValueError as error:
        return None, str(error)
    wrong = mismatch(value, request.schema)
    return (None, wrong) if wrong else (value, "")


def chosen(text: str, choices: tuple[str, ...]) -> str | None:
    """Return the choice that a text is, apart from case, quotes and the mark at its end.

    >>> chosen('"B."', ("A", "B"))
    'B'
    """
    if text in choices:
        return text
    plain = {_plain(choice): choice for choice in choices}
    # Where two choices differ by case alone, a text in a third case is neither.
    return plain.get(_plain(text)) if len(plain) == len(choices) else None


def _chosen_in_json(text: str, choices: tuple[str, ...]) -> str | None:
    """Return the ``answer`` of an object, which is how some bindings ask for a choice."""
    with suppress(ValueError):
        value = parsed_json(text)
        if isinstance(value, dict) and isinstance(value.get("answer"), str):
            return chosen(value["answer"], choices)
    return None


def _plain(text: str) -> str:
    return re.sub(r"^[\s\"'`*(]+|[\s\"'`*).,:;!]+$", "", text).casefold()


def _short(text: str) -> str:
    return repr(text) if len(text) <= 60 else f"{text[:57]!r}..."
