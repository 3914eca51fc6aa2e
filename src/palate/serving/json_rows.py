"""JSON measured and cut into rows before anything is made of it.

To parse a list of millions of empty objects takes gigabytes, and keeps every other thread waiting
while it lasts. Here the text alone is looked at, a piece at a time: its marks are counted, or found
where one row ends and the next begins. Whether a row is JSON at all is found when it is parsed.
"""

import re
from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Int, UInt8

from palate.serving.problems import Invalid, TooLarge

_CHUNK = 2**18
"""Bytes looked at together: a millisecond's work."""
_OPENS, _CLOSES, _COMMA = 1, 2, 3
_QUOTE, _BACKSLASH = ord('"'), ord("\\")
_LINE_FEED = ord("\n")
_ENDS_LINE = np.frombuffer(b"\n\r", dtype=np.uint8)

_KIND = np.zeros(256, dtype=np.uint8)
"""What a byte outside a string is."""
_KIND[list(b"[{")] = _OPENS
_KIND[list(b"]}")] = _CLOSES
_KIND[ord(",")] = _COMMA
_STEP = np.array([0, 1, -1, 0], dtype=np.int32)
"""By how much each kind makes the text deeper."""

_ARRAY = re.compile(rb"\s{0,4096}\[")

Raw = bytes | bytearray
"""A text as it came."""
Bytes = UInt8[np.ndarray, " bytes"]
Places = Int[np.ndarray, " places"]
Kinds = UInt8[np.ndarray, " places"]


def num_marks(text: Raw, most: int) -> int:
    """Return the number of commas and opening brackets outside strings, or one above ``most``."""
    # Those inside strings too are counted in no time, and are seldom too many.
    rough = sum(text.count(mark) for mark in (b",", b"[", b"{"))
    if rough <= most:
        return rough
    scanner, found = _Scanner(), 0
    data = np.frombuffer(text, dtype=np.uint8)
    for start in range(0, len(data), _CHUNK):
        _, kinds = scanner.marks(data[start : start + _CHUNK])
        found += int((kinds != _CLOSES).sum())
        if found > most:
            return most + 1
    return found


def is_array(text: Raw) -> bool:
    """Tell whether a JSON text is an array, by its first letter."""
    return _ARRAY.match(text) is not None


def array_rows(text: Raw, longest: int) -> Iterator[Raw]:
    """Give the elements of a JSON array one by one, each unparsed; ``text`` is one.

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
                return  # an array of nothing
            yield row
            start = place + 1
        if reached - start > longest:
            raise too_long(longest)


def line_rows(text: Raw, longest: int, most: int) -> Iterator[tuple[int, Raw]]:
    """Give the lines of a text one by one with their numbers; blank ones are left out.

    Raises:
        TooLarge: when a line is much longer than ``longest`` bytes, or there are more than
            ``most``, those that are blank included.
    """
    data = np.frombuffer(text, dtype=np.uint8)
    start = number = 0
    for begin in range(0, len(data), _CHUNK):
        chunk = data[begin : begin + _CHUNK]
        for place in (np.flatnonzero(np.isin(chunk, _ENDS_LINE)) + begin).tolist():
            # Of the two characters that end a line in some files, the first ended it.
            if not (text[place] == _LINE_FEED and text[place - 1 : place] == b"\r"):
                number += 1
            if number > most:
                raise TooLarge(f"There are more than {most:,} lines.", hint="Send it in parts.")
            if line := text[start:place].strip():
                yield number, line
            start = place + 1
        if begin + len(chunk) - start > longest:
            raise too_long(longest)
    if line := text[start:].strip():
        yield number + 1, line


def _array_cuts(data: Bytes, start: int) -> Iterator[tuple[Places, int]]:
    """Give the places of the commas between elements and of the end, and how far was looked."""
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
    """Goes through a text chunk by chunk and remembers what it is in the middle of."""

    def __init__(self, depth: int = 0) -> None:
        """Begin outside any string, inside so many brackets."""
        self._depth = depth
        self._in_string = False
        self._escapes = False
        """Whether the last chunk ended with a backslash that takes away the meaning of the next."""

    def marks(self, chunk: Bytes) -> tuple[Places, Kinds]:
        """Return the places and kinds of the brackets and commas that are outside strings."""
        quotes = self._quotes(chunk)
        # Behind an odd number of quotes the text is within a string.
        inside = np.bitwise_xor.accumulate(quotes.view(np.uint8))
        if self._in_string:
            inside ^= 1
        self._in_string = bool(inside[-1])
        kinds = _KIND[chunk]
        kinds[inside.view(bool)] = 0
        places = np.flatnonzero(kinds)
        return places, kinds[places]

    def depths(self, kinds: Kinds) -> Int[np.ndarray, " places"]:
        """Return how many brackets are open behind each mark."""
        depths: np.ndarray = self._depth + np.cumsum(_STEP[kinds])
        if len(depths):
            self._depth = int(depths[-1])
        return depths

    def _quotes(self, chunk: Bytes) -> Bool[np.ndarray, " bytes"]:
        """Return where strings begin and end: at the quotes that no backslash escapes."""
        quotes: np.ndarray = chunk == _QUOTE
        slashes = np.flatnonzero(chunk == _BACKSLASH)
        if self._escapes:
            quotes[0] = False
        if not len(slashes):
            self._escapes = False
            return quotes
        # Of a run of backslashes every second one escapes what follows, the first of them to begin
        # with; where one before the chunk escaped the first, the second is the first.
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
