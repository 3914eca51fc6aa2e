"""How the options of ``palate prepare`` are written in Python, for what is said there of them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from palate.errors import DataError

_COLUMN = re.compile(r"--column ([\w.]+)=(\w*)")
_VALUE = re.compile(r"--(null|time-format|decimal) (?:'([^']*)'|([,.]|[^\s;.()]+))")
_SWITCH = re.compile(r"--(allow-missing-items|keep-untouched-items|drop-incomplete)")
_NAME = re.compile(r"(?<!\S)--(header|encoding|null|time-format|decimal|column|name)\b")


@contextmanager
def options_in_python() -> Iterator[None]:
    """Let errors name options as keywords: ``allow_missing_items=True``."""
    try:
        yield
    except DataError as error:
        raise DataError(in_python(error.message), hint=in_python(error.hint)) from error


def in_python(text: str) -> str:
    """Return a text in which options of the command line are written as keywords.

    Example:
        >>> in_python("Keep such events with --allow-missing-items.")
        'Keep such events with allow_missing_items=True.'
        >>> in_python("Leave it out with --column rating= (it is empty).")
        'Leave it out with columns={"rating": ""} (it is empty).'
        >>> in_python("Tell with --decimal , or --decimal .")
        'Tell with decimal="," or decimal="."'
    """
    text = _COLUMN.sub(r'columns={"\1": "\2"}', text)
    text = _VALUE.sub(_with_value, text)
    text = _SWITCH.sub(lambda found: f"{_keyword(found[1])}=True", text)
    return _NAME.sub(lambda found: _keyword(found[1]), text)


def _with_value(found: re.Match[str]) -> str:
    name, quoted, plain = found.groups()
    value = f'"{plain if quoted is None else quoted}"'
    return f"{_keyword(name)}={f'[{value}]' if name == 'null' else value}"


def _keyword(option: str) -> str:
    return option.replace("-", "_")
