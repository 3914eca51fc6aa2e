"""The bytes of a source file: opened as UTF-8, scanned in bounded memory, refused when broken.

Each fault names the file and the line. A line without end is found without being read into memory.
"""

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from palate.errors import ConfigError, DataError

MAX_LINE_BYTES = 16 * 2**20
"""A longer line is taken for a broken file."""

_GZIP_ERRORS = (gzip.BadGzipFile, EOFError, zlib.error)
_CHUNK_BYTES = 4 * 2**20
_HEAD_BYTES = 64 * 2**10
"""How much of a file is looked at to see how its text is written."""

_MAGIC = {
    b"PK\x03\x04": ("a zip archive or a spreadsheet", "Unpack it, or save the sheet as CSV."),
    b"%PDF": ("a PDF", "Give a CSV, TSV, JSON lines or Parquet file."),
    b"SQLite": ("a database", "Export the table as CSV."),
}

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    # The mark of UTF-32 begins with that of UTF-16.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""What a file may begin with to say how it is encoded."""

_UTF8 = ("utf-8", "utf-8-sig")


@dataclass(frozen=True)
class TextFile:
    """A text file, and how its bytes become lines of UTF-8."""

    path: Path
    encoding: str = "utf-8"
    cr_ends_lines: bool = False
    """Whether a carriage return alone ends a line, as on an old Macintosh."""

    @classmethod
    def at(cls, path: Path, encoding: str | None = None) -> "TextFile":
        """Look at the head of ``path``; ``encoding`` is what the user says of it.

        Raises:
            ConfigError: when there is no such encoding.
            DataError: when the file is a damaged gzip file.
        """
        with _unpacked(path) as file:
            head = _first_bytes(path, file)
        encoding = _encoding(head) if encoding is None else _known(encoding, head)
        text = head.decode(encoding, errors="replace").rstrip("\r")
        return cls(path, encoding, cr_ends_lines="\r" in text and "\n" not in text)

    @property
    def is_plain(self) -> bool:
        """Whether the file itself is what :meth:`opened` gives, but for compression."""
        return self.encoding == "utf-8" and not self.cr_ends_lines

    def with_cr_ends(self) -> "TextFile":
        """Return the same file, its lines also ended by carriage returns alone."""
        return replace(self, cr_ends_lines=True)

    def opened(self) -> io.BufferedReader:
        """Open the file as UTF-8 without a byte order mark, unpacked where it is compressed."""
        raw = _unpacked(self.path)
        if self.is_plain:
            return raw
        if self.encoding == "utf-8-sig" and not self.cr_ends_lines:
            raw.read(len(codecs.BOM_UTF8))
            return raw
        # Broken UTF-8 is kept as it is: the scan finds it and names its line.
        text = io.TextIOWrapper(
            raw,
            encoding=self.encoding,
            errors="surrogateescape" if self.encoding in _UTF8 else "strict",
            newline=None if self.cr_ends_lines else "",
        )
        return io.BufferedReader(_AsUtf8(text, self), _CHUNK_BYTES)

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Give the lines that are not blank with their numbers, counted from 1.

        Raises:
            DataError: for a line without end or a damaged gzip file.
        """
        try:
            with self.opened() as file:
                for number, line in enumerate(iter(lambda: file.readline(MAX_LINE_BYTES), b""), 1):
                    if len(line) == MAX_LINE_BYTES:
                        raise _endless_line(self.path, number, MAX_LINE_BYTES)
                    if line.strip():
                        yield number, line
        except _GZIP_ERRORS as error:
            raise _broken_gzip(self.path, error) from error

    def head(self, max_line_bytes: int, num_lines: int) -> list[str]:
        """Return the first lines, blank ones included, without their ends.

        Raises:
            DataError: when one has no end or the gzip file is damaged.
        """
        found: list[str] = []
        try:
            with self.opened() as file:
                while len(found) < num_lines and (line := file.readline(max_line_bytes)):
                    if len(line) == max_line_bytes:
                        raise _endless_line(self.path, len(found) + 1, max_line_bytes)
                    found.append(line.decode(errors="replace").strip("\r\n"))
        except _GZIP_ERRORS as error:
            raise _broken_gzip(self.path, error) from error
        return found


class _AsUtf8(io.RawIOBase):
    """Decoded text, given on as bytes of UTF-8."""

    def __init__(self, text: io.TextIOWrapper, source: TextFile) -> None:
        self._text = text
        self._source = source
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]
        if not self._rest:
            try:
                text = self._text.read(_CHUNK_BYTES)
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{str(self._source.path)!r}: not {self._source.encoding} text.",
                    hint="Name the encoding it is in, such as --encoding cp1252.",
                ) from error
            escapes = "surrogateescape" if self._source.encoding in _UTF8 else "strict"
            self._rest = text.encode(errors=escapes)
        given = self._rest[: len(buffer)]
        buffer[: len(given)] = given
        self._rest = self._rest[len(given) :]
        return len(given)

    def close(self) -> None:
        self._text.close()
        super().close()


@dataclass(frozen=True)
class Scan:
    """What one pass over the bytes of a file found."""

    lines: int
    quotes: int
    separators: int
    lone_returns: int = 0
    """Carriage returns that no newline follows."""
    unusual_quotes: int = 0
    """Quotes behind a backslash, or behind a separator and a blank."""


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


def text_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Give the lines of ``path`` that are not blank with their numbers, counted from 1.

    Raises:
        DataError: for a line without end or a damaged gzip file.
    """
    yield from TextFile.at(path).lines()


def scan_bytes(text: TextFile, max_line_bytes: int, separator: str) -> Scan:
    """Count lines, quotes and separators.

    Raises:
        DataError: at the first byte that is not UTF-8, or the first endless line.
    """
    newlines = quotes = separators = returns = unusual = line_bytes = 0
    tail = b""
    last = b"\n"
    mark = separator.encode()
    for chunk in _chunks(text):
        tail = _check_utf8(text.path, tail, chunk, newlines)
        line_bytes = _open_line(text.path, chunk, line_bytes, newlines, limit=max_line_bytes)
        newlines += chunk.count(b"\n")
        quotes += chunk.count(b'"')
        separators += chunk.count(mark)
        returns += chunk.count(b"\r") - chunk.count(b"\r\n") - (last + chunk[:1] == b"\r\n")
        unusual += chunk.count(b'\\"') + chunk.count(mark + b' "') + (last + chunk[:1] == b'\\"')
        last = chunk[-1:]
    if tail:
        raise _broken_text(text.path, newlines + 1)
    return Scan(newlines + (last != b"\n"), quotes, separators, returns, unusual)


def _unpacked(path: Path) -> io.BufferedReader:
    """Open a file, unpacking it on the way when its name ends in ``.gz``."""
    if path.suffix.lower() == ".gz":
        return io.BufferedReader(gzip.GzipFile(path), _CHUNK_BYTES)
    return path.open("rb")


def _first_bytes(path: Path, file: io.BufferedReader) -> bytes:
    try:
        return file.read(_HEAD_BYTES)
    except _GZIP_ERRORS as error:
        # What is whole before the fault is read again, and the fault found, by whoever reads on.
        raise _broken_gzip(path, error) from error


def _encoding(head: bytes) -> str:
    """Return the encoding that the head of a file gives away, UTF-8 where it gives away none."""
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    # Latin letters in UTF-16 are every second byte; the bytes between them are zero.
    if len(head) >= 8 and head[1:64:2].count(0) == len(head[1:64:2]) and 0 not in head[:64:2]:
        return "utf-16-le"
    if len(head) >= 8 and head[:64:2].count(0) == len(head[:64:2]) and 0 not in head[1:64:2]:
        return "utf-16-be"
    return "utf-8"


def _known(encoding: str, head: bytes) -> str:
    """Return the usual name of an encoding that the user named.

    Raises:
        ConfigError: when there is none of that name, or it is none of text.
    """
    try:
        "".encode(encoding)
        name = codecs.lookup(encoding).name
    except (LookupError, UnicodeError) as error:
        raise ConfigError(
            f"There is no text encoding {encoding[:40]!r}.",
            hint="Give for instance --encoding cp1252, latin-1, utf-8 or utf-16.",
        ) from error
    return "utf-8-sig" if name == "utf-8" and head.startswith(codecs.BOM_UTF8) else name


def _chunks(text: TextFile) -> Iterator[bytes]:
    try:
        with text.opened() as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk
    except _GZIP_ERRORS as error:
        raise _broken_gzip(text.path, error) from error


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
        hint="Name the encoding it is in: --encoding cp1252 is what older Windows programs write.",
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
