"""Counts the values of a JSON text and splits it into rows, without parsing it.

Parsing a list of millions of empty objects takes gigabytes and blocks all other threads meanwhile.
This module scans only the text, a piece at a time, for marks: the brackets and commas outside
strings. Marks give the number of values, and the places where rows end. Whether a row is valid JSON
is found later, when the row is parsed.
"""

import re
from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Int, UInt8

from palate.serving.problems import Invalid, TooLarge

_CHUNK = 2**18
"""Bytes that are scanned in one step: a millisecond of work."""
_OPENS, _CLOSES, _COMMA = 1, 2, 3
_QUOTE, _BACKSLASH = ord('"'), ord("\\")

_KIND = np.zeros(256, dtype=np.uint8)
"""The kind of each byte outside a string; 0 is none."""
_KIND[list(b"[{")] = _OPENS
_KIND[list(b"]}")] = _CLOSES
_KIND[ord(",")] = _COMMA
_STEP = np.array([0, 1, -1, 0], dtype=np.int32)
"""The change of depth at a mark of each kind."""

_ARRAY = re.compile(rb"\s{0,4096}\[")
_LINE_END = re.compile(rb"\r\n|\r|\n")

RawBytes = bytes | bytearray
"""Bytes of a body as received, before they are parsed."""
Bytes = UInt8[np.ndarray, " bytes"]
Places = Int[np.ndarray, " places"]
Kinds = UInt8[np.ndarray, " places"]


def num_marks(text: RawBytes, most: int) -> int:
    """Return the number of commas and opening brackets outside strings, or one above ``most``."""
    # This fast count includes marks inside strings, and rarely exceeds ``most``.
    rough = sum(text.count(mark) for mark in (b",", b"[", b"{"))
    if rough <= most:
        return rough
    scanner, marks = _Scanner(), 0
    data = np.frombuffer(text, dtype=np.uint8)
    for start in range(0, len(data), _CHUNK):
        _, kinds = scanner.marks(data[start : start + _CHUNK])
        marks += int((kinds != _CLOSES).sum())
        if marks > most:
            return most + 1
    return marks


def is_array(text: RawBytes) -> bool:
    """Tell whether a JSON text is an array, by its first character."""
    return _ARRAY.match(text) is not None


def array_rows(text: RawBytes, longest: int) -> Iterator[RawBytes]:
    """Return the elements of a JSON array one by one, not parsed.

    Raises:
        Invalid: when the array does not end, or something follows it.
        TooLarge: when an element is much longer than ``longest`` bytes.
    """
    data = np.frombuffer(text, dtype=np.uint8)
    start = first = text.index(b"[") + 1
    for places, reached in _array_cuts(data, first):
        for place in places.tolist():
            row = text[start:place]
            is_last = text[place : place + 1] == b"]"
            if is_last and start == first and not row.strip():
                return  # an empty array
            yield row
            start = place + 1
        if reached - start > longest:
            raise too_long(longest)


def line_rows(text: RawBytes, longest: int, most: int) -> Iterator[tuple[int, RawBytes]]:
    """Return the lines of a text that are not blank one by one, with their numbers.

    Raises:
        TooLarge: when a line is much longer than ``longest`` bytes, or there are more than
            ``most``, including blank ones.
    """
    start = number = 0
    while start < len(text):
        # A search of bounded length, which blocks other threads only for a moment.
        end = _LINE_END.search(text, start, start + longest + _CHUNK)
        if end is None and len(text) - start > longest:
            raise too_long(longest)
        number += 1
        if number > most:
            raise TooLarge(f"There are more than {most:,} lines.", hint="Send it in parts.")
        if line := text[start : end.start() if end else len(text)].strip():
            yield number, line
        start = end.end() if end else len(text)


def _array_cuts(data: Bytes, start: int) -> Iterator[tuple[Places, int]]:
    """Return the places of the commas between elements and of the end, and the scanned length."""
    scanner = _Scanner(depth=1)
    for begin in range(start, len(data), _CHUNK):
        chunk = data[begin : begin + _CHUNK]
        places, kinds = scanner.marks(chunk)
        depths = scanner.depths(kinds)
        ends = np.flatnonzero(depths == 0)
        if len(ends):
            end = int(ends[0])
            cuts = places[:end][(kinds[:end] == _COMMA) & (depths[:end] == 1)]
            last = begin + int(places[end])
            if data[last] != ord("]") or data[last + 1 :].tobytes().strip():
                raise Invalid("The JSON array does not end where it should.", hint=_HINT)
            yield np.append(cuts + begin, last), len(data)
            return
        yield places[(kinds == _COMMA) & (depths == 1)] + begin, begin + len(chunk)
    raise Invalid("The JSON array has no end.", hint=_HINT)


_HINT = "Send the whole of it, from [ to ]."


class _Scanner:
    """Scans a text chunk by chunk, and keeps its state between chunks."""

    def __init__(self, depth: int = 0) -> None:
        """Begin outside any string, inside ``depth`` brackets."""
        self._depth = depth
        self._in_string = False
        self._escapes = False
        """Whether the last chunk ended with a backslash that escapes the next character."""

    def marks(self, chunk: Bytes) -> tuple[Places, Kinds]:
        """Return the places and kinds of the brackets and commas that are outside strings."""
        quotes = self._quotes(chunk)
        # After an odd number of quotes the text is inside a string.
        inside = np.bitwise_xor.accumulate(quotes.view(np.uint8))
        if self._in_string:
            inside ^= 1
        self._in_string = bool(inside[-1])
        kinds = _KIND[chunk]
        kinds[inside.view(bool)] = 0
        places = np.flatnonzero(kinds)
        return places, kinds[places]

    def depths(self, kinds: Kinds) -> Int[np.ndarray, " places"]:
        """Return how many brackets are open after each mark."""
        depths: np.ndarray = self._depth + np.cumsum(_STEP[kinds])
        if len(depths):
            self._depth = int(depths[-1])
        return depths

    def _quotes(self, chunk: Bytes) -> Bool[np.ndarray, " bytes"]:
        """Return where strings begin and end: the quotes that no backslash escapes."""
        quotes: np.ndarray = chunk == _QUOTE
        slashes = np.flatnonzero(chunk == _BACKSLASH)
        if self._escapes:
            quotes[0] = False
        if not len(slashes):
            self._escapes = False
            return quotes
        # In a run of backslashes the first, third, ... escape the next character; if the previous
        # chunk ended with an escape, the second, fourth, ... do.
        begins = np.diff(slashes, prepend=-2) != 1
        offsets = slashes - np.maximum.accumulate(np.where(begins, slashes, 0))
        if self._escapes and slashes[0] == 0:
            run = np.flatnonzero(begins[1:])
            offsets[: run[0] + 1 if len(run) else None] += 1
        escaped = slashes[offsets % 2 == 0] + 1
        self._escapes = bool(len(escaped)) and int(escaped[-1]) == len(chunk)
        quotes[escaped[escaped < len(chunk)]] = False
        return quotes


def too_long(longest: int) -> TooLarge:
    """Return the refusal of a row that is longer than any right one."""
    return TooLarge(
        f"One row is larger than {longest:,} bytes.", hint="Leave out what no field can hold."
    )
