"""Printing to the terminal: everything that is printed goes through this file.

Titles, ids and column names are untrusted text: characters that control a terminal are shown as
signs and never sent. A letter that the terminal lacks becomes the nearest one that it has.
"""

import codecs
import errno
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING, Any

from palate.errors import PalateError

if TYPE_CHECKING:
    from rich.console import Console

_STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters except tab and newline, and marks that change the writing direction."""

_LONGEST_MESSAGE = 2000

_PLAINER = {"\u201c": '"', "\u201d": '"', "\u2018": "'", "\u2019": "'", "\u00d7": "x"}
_PLAINER |= {"\u2013": "-", "\u2014": "-", "\u2212": "-", "\u00b7": "-", "\u2022": "*"}
_PLAINER |= {"\u2265": ">=", "\u2264": "<=", "\u00b1": "+-", "\u2192": "->", "\u2588": "#"}
"""Quotation marks, dashes, signs and arrows; Unicode itself tells what letters are made of."""


def harmless(text: str) -> str:
    """Return ``text`` with a sign in place of each character that controls a terminal."""
    return _STEERING.sub(lambda found: _sign(found.group()), text)


def say(text: str, *, err: bool = False) -> None:
    """Print a text, to the error stream if ``err``."""
    stream = sys.stderr if err else sys.stdout
    with _printing(stream.fileno):
        stream.write(f"{harmless(text)}\n")
        stream.flush()


def say_error(message: str, hint: str = "") -> None:
    """Print an error in one line, and its hint in another."""
    say(f"error: {_one_line(message)}", err=True)
    if hint:
        say(f"hint: {_one_line(hint)}", err=True)


def say_json(value: object) -> None:
    """Print a value as JSON; letters are escaped only if the stream cannot write them."""
    import json

    unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    text = json.dumps(value, indent=2, ensure_ascii=not unicode)
    # Beyond what JSON must escape: the other half of a surrogate pair has no bytes in UTF-8.
    text = re.sub(r"[\ud800-\udfff]", lambda found: _escaped(found.group()), text)
    say(_STEERING.sub(lambda found: _escaped(found.group()), text))


def console(*, err: bool = False) -> "Console":
    """Return the console of ``rich``; it makes all texts harmless."""
    return _harmless_console()(stderr=err)


def open_streams() -> None:
    """Let streams that lack a letter write the nearest one, instead of failing."""
    codecs.register_error("palate.nearest", _nearest)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="palate.nearest")


@cache
def _harmless_console() -> "type[Console]":
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment
    from rich.text import Text

    class HarmlessConsole(Console):
        def render_str(self, text: str, **options: object) -> Text:
            """Draw signs before anything is measured, so that tables stay even."""
            return super().render_str(harmless(text), **options)  # type: ignore[arg-type]

        def print(self, *objects: Any, **options: Any) -> None:  # noqa: ANN401 - as rich has it
            """Draw; where that fails, say that it was the output."""
            with _printing(self.file.fileno):
                super().print(*objects, **options)

        def render(
            self, renderable: RenderableType, options: ConsoleOptions | None = None
        ) -> Iterable[Segment]:
            """Catch texts that did not come as strings."""
            for drawn in super().render(renderable, options):
                yield drawn if drawn.control else drawn._replace(text=harmless(drawn.text))

    return HarmlessConsole


@contextmanager
def _printing(number: Callable[[], int]) -> Iterator[None]:
    """Say that it is the output which is full or gone; a reader that went away is no error."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise
        # What waits to be written is thrown away, or Python would fail once more when it ends.
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), number())
        raise PalateError(f"The output cannot be written: {error.strerror}.") from error


def _sign(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)  # Unicode has a sign for each: that of Escape is U+241B
    return "␡" if code == 0x7F else f"<U+{code:04X}>"


def _escaped(character: str) -> str:
    return f"\\u{ord(character):04x}"


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    half = _LONGEST_MESSAGE // 2
    return line if len(line) <= 2 * half else f"{line[:half]} … {line[-half:]}"


def _nearest(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    return "".join(map(_plainer, error.object[error.start : error.end])), error.end


def _plainer(character: str) -> str:
    """Return the ASCII text that stands for a character: ``e`` for ``é``, ``?`` for most others."""
    import unicodedata

    plain = _PLAINER.get(character) or unicodedata.normalize("NFKD", character)
    return plain.encode("ascii", "ignore").decode() or "?"
