"""The bytes of a source file: opened, scanned in bounded memory, and refused when they are broken.

Each fault names the file and the line. A line without end is found without being read into memory.
"""

import gzip
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from palate.errors import DataError

MAX_LINE_BYTES = 16 * 2**20
"""A longer line is taken for a broken file."""

_GZIP_ERRORS = (gzip.BadGzipFile, EOFError, zlib.error)
_CHUNK_BYTES = 4 * 2**20

_MAGIC = {
    b"PK\x03\x04": ("a zip archive or a spreadsheet", "Unpack it, or save the sheet as CSV."),
    b"\xff\xfe": ("UTF-16 text", "Save it as UTF-8."),
    b"\xfe\xff": ("UTF-16 text", "Save it as UTF-8."),
    b"%PDF": ("a PDF", "Give a CSV, TSV, JSON lines or Parquet file."),
    b"SQLite": ("a database", "Export the table as CSV."),
}


@dataclass(frozen=True)
class Scan:
    """What one pass over the bytes of a file found."""

    lines: int
    quotes: int
    separators: int


def check_file(path: Path) -> None:
    """Check that ``path`` is a file with something in it that looks like what its name says.

    Raises:
        DataError: when it is missing, a folder, empty, unreadable, or plainly of another kind.
    """
    if path.is_dir():
        raise DataError(
            f"{str(path)!r} is a folder where a file was wanted.", hint="Name the file in it."
        )
    if not path.exists():
        raise DataError(f"There is no file {str(path)!r}.", hint="Check the spelling of the path.")
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError as error:
        raise DataError(
            f"{str(path)!r} cannot be opened: {error.strerror}.", hint="Check its permissions."
        ) from error
    if not start:
        raise DataError(f"{str(path)!r} is empty.", hint="Give a file with a header and rows.")
    for magic, (what, hint) in _MAGIC.items():
        if start.startswith(magic):
            raise DataError(f"{str(path)!r} is {what}.", hint=hint)


def open_bytes(path: Path) -> io.BufferedReader:
    """Open a file, unpacking it on the way when its name ends in ``.gz``."""
    if path.suffix.lower() == ".gz":
        return io.BufferedReader(gzip.GzipFile(path), _CHUNK_BYTES)
    return path.open("rb")


def scan_bytes(path: Path, max_line_bytes: int, separator: str) -> Scan:
    """Count lines, quotes and separators.

    Raises:
        DataError: at the first byte that is not UTF-8, or the first endless line.
    """
    newlines = quotes = separators = line_bytes = 0
    tail = b""
    last = b"\n"
    for chunk in _chunks(path):
        tail = _check_utf8(path, tail, chunk, newlines)
        line_bytes = _open_line(path, chunk, line_bytes, newlines, limit=max_line_bytes)
        newlines += chunk.count(b"\n")
        quotes += chunk.count(b'"')
        separators += chunk.count(separator.encode())
        last = chunk[-1:]
    if tail:
        raise _broken_text(path, newlines + 1)
    return Scan(newlines + (last != b"\n"), quotes, separators)


def _chunks(path: Path) -> Iterator[bytes]:
    try:
        with open_bytes(path) as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk
    except _GZIP_ERRORS as error:
        raise _broken_gzip(path, error) from error


def _broken_gzip(path: Path, error: Exception) -> DataError:
    return DataError(
        f"{str(path)!r} is not a whole gzip file: {error}.",
        hint="Fetch it again, or rename it if it is not compressed.",
    )


def _endless_line(path: Path, line: int, limit: int) -> DataError:
    return DataError(
        f"{str(path)!r}, line {line}: longer than {limit:,} bytes.",
        hint="Is it text, with one event per line? A quote or a newline may be missing.",
    )


def _check_utf8(path: Path, tail: bytes, chunk: bytes, newlines: int) -> bytes:
    """Check one chunk behind the ``tail`` of the last; return a character cut at its end."""
    if not tail and chunk.isascii():
        return b""
    text = tail + chunk
    try:
        text.decode()
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data" and len(text) - error.start < 4:
            return text[error.start :]
        raise _broken_text(path, newlines + text[: error.start].count(b"\n") + 1) from error
    return b""


def _broken_text(path: Path, line: int) -> DataError:
    return DataError(
        f"{str(path)!r}, line {line}: not UTF-8 text.",
        hint="Convert the file, for instance with: iconv -f latin1 -t utf-8",
    )


def _open_line(path: Path, chunk: bytes, carried: int, newlines: int, *, limit: int) -> int:
    """Return the length of the line left open at the end of ``chunk``; ``carried`` was open before.

    Only places ``limit`` bytes apart need a look: a longer line spans a stretch without a newline.
    """
    start = -carried
    while len(chunk) - start > limit:
        newline = chunk.rfind(b"\n", max(0, start), start + limit + 1)
        if newline < 0:
            raise _endless_line(path, newlines + chunk.count(b"\n", 0, max(0, start)) + 1, limit)
        start = newline + 1
    newline = chunk.rfind(b"\n", max(0, start))
    return len(chunk) - (newline + 1 if newline >= 0 else start)


def text_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Give the lines that are not blank with their numbers, counted from 1.

    Raises:
        DataError: for a line without end or a damaged gzip file.
    """
    try:
        with open_bytes(path) as file:
            for number, line in enumerate(iter(lambda: file.readline(MAX_LINE_BYTES), b""), 1):
                if len(line) == MAX_LINE_BYTES:
                    raise _endless_line(path, number, MAX_LINE_BYTES)
                if line.strip():
                    yield number, line
    except _GZIP_ERRORS as error:
        raise _broken_gzip(path, error) from error


def header_line(path: Path, max_line_bytes: int) -> str:
    """Return the first line.

    Raises:
        DataError: when it has no end or the gzip file is damaged.
    """
    try:
        with open_bytes(path) as file:
            line = file.readline(max_line_bytes)
    except _GZIP_ERRORS as error:
        raise _broken_gzip(path, error) from error
    if len(line) == max_line_bytes:
        raise _endless_line(path, 1, max_line_bytes)
    return line.decode("utf-8-sig", errors="replace").strip("\r\n")
