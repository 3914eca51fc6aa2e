"""Source files to tables: CSV, TSV, JSON lines, Parquet; errors name the file and the line.

A file is scanned before it is parsed; the place of a fault is worked out only when there is one,
which keeps the good case fast.
"""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import NoReturn

import polars as pl
from polars.exceptions import PolarsError

from palate.data.sources.plain_types import plain_types
from palate.data.sources.scan import (
    MAX_LINE_BYTES,
    check_file,
    header_line,
    open_bytes,
    scan_bytes,
    text_lines,
)
from palate.errors import DataError

_SEPARATORS = (",", "\t", ";", "|")
_JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
_DELIMITED_SUFFIXES = (".csv", ".tsv", ".tab", ".txt", ".dat", ".data", ".inter", ".item", ".user")
_PARQUET_SUFFIXES = (".parquet", ".pq")
SUFFIXES = _PARQUET_SUFFIXES + _JSON_SUFFIXES + _DELIMITED_SUFFIXES
"""What can be read; all but Parquet, which is compressed already, also with ``.gz`` behind it."""


@dataclass(frozen=True)
class SourceFile:
    """A table with the way back to the lines it was read from."""

    path: Path
    table: pl.DataFrame
    starts: Callable[[], Iterator[int]] | None = None
    """Gives the line on which each row of the table begins; None where the format has no lines."""
    in_memory: bool = False
    """Whether it is a data frame, of which ``path`` only says what it holds."""

    def where(self, row: int) -> str:
        """Say in which file and on which line row ``row`` of the table stands."""
        if self.starts is None:
            return f"{str(self.path)!r}, row {row + 1}"
        return f"{str(self.path)!r}, line {next(islice(self.starts(), row, None))}"

    def with_table(self, table: pl.DataFrame) -> "SourceFile":
        """Return the same file with other columns; the rows must stay in place."""
        return replace(self, table=table)


@dataclass(frozen=True)
class Source:
    """What a preparation starts from: the events, and what is known about items and users."""

    name: str
    events: SourceFile
    items: SourceFile | None = None
    users: SourceFile | None = None
    kind: str = "tables"
    """For the report: ``MovieLens 1M``, ``Amazon reviews``, ``tables``."""

    @property
    def files(self) -> list[SourceFile]:
        """The files that are there."""
        return [file for file in (self.events, self.items, self.users) if file is not None]


@dataclass(frozen=True)
class Delimited:
    """How a text file separates its fields."""

    separator: str
    columns: tuple[str, ...] = ()
    """Names of the columns where the file has no header line."""
    quoted: bool = True


def read_file(path: Path, *, max_line_bytes: int = MAX_LINE_BYTES) -> SourceFile:
    """Read a table in whatever supported format its name says.

    Raises:
        DataError: naming file and line, when it cannot be read.
    """
    check_file(path)
    suffix = format_suffix(path)
    if suffix in _PARQUET_SUFFIXES:
        return _read_parquet(path)
    if suffix in _JSON_SUFFIXES:
        return read_json_lines(path, max_line_bytes=max_line_bytes)
    if suffix in _DELIMITED_SUFFIXES:
        return read_delimited(path, max_line_bytes=max_line_bytes)
    raise DataError(
        f"{str(path)!r}: a file ending in {path.suffix!r} is not known.",
        hint="Give .csv, .tsv, .jsonl or .parquet (text also as .gz).",
    )


def format_suffix(path: Path) -> str:
    """Return the ending that names the format, lower case: ``.csv`` for ``EVENTS.CSV.gz``."""
    plain = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    return plain.suffix.lower()


def read_delimited(
    path: Path, layout: Delimited | None = None, *, max_line_bytes: int = MAX_LINE_BYTES
) -> SourceFile:
    """Read a delimited text file, every field as text; without a ``layout`` the header decides.

    Raises:
        DataError: for broken UTF-8, an endless line, a bad header, uneven rows or an open quote.
    """
    check_file(path)
    layout = layout or _guess_layout(path, max_line_bytes)
    scanned = scan_bytes(path, max_line_bytes, layout.separator)
    names = list(layout.columns) or _header_names(path, layout, max_line_bytes)
    if layout.quoted and scanned.quotes == 0:
        layout = Delimited(layout.separator, layout.columns, quoted=False)
    if not layout.quoted and scanned.separators != scanned.lines * (len(names) - 1):
        _find_uneven(path, layout, len(names))
    try:
        table = pl.read_csv(
            path,
            separator=layout.separator,
            has_header=not layout.columns,
            new_columns=names,
            infer_schema=False,
            quote_char='"' if layout.quoted else None,
        )
    except PolarsError as error:
        if layout.separator == "\t" and layout.quoted:
            return read_delimited(
                path, Delimited("\t", layout.columns, quoted=False), max_line_bytes=max_line_bytes
            )
        _find_uneven(path, layout, len(names))
        _fail_on_quotes(path, layout, error)
    blank = table.select(pl.all_horizontal(pl.all().is_null())).to_series()
    table = table.filter(~blank) if blank.any() else table
    if table.height == 0:
        raise DataError(
            f"{str(path)!r} has a header but no rows.", hint="Give a file with at least one row."
        )
    table = table.select(name for name in names if not name.startswith(_NAMELESS))
    return SourceFile(path, table, lambda: _row_lines(path, layout))


def read_json_lines(
    path: Path,
    like: pl.DataFrame | None = None,
    *,
    max_line_bytes: int = MAX_LINE_BYTES,
) -> SourceFile:
    """Read JSON objects, one per line or in one array; ``like`` picks and types the columns.

    Raises:
        DataError: naming the first line that is not a JSON object.
    """
    check_file(path)
    scan_bytes(path, max_line_bytes, ",")
    schema = None if like is None else like.schema
    is_array = like is None and _first_byte(path) == b"["
    try:
        table = (
            pl.read_json(path)
            if is_array
            else pl.read_ndjson(path, schema=schema, infer_schema_length=None)
        )
    except PolarsError as error:
        _fail_on_json(path, error)
    if table.height == 0 or table.width == 0:
        raise DataError(f"{str(path)!r} holds no objects.", hint="Give one JSON object per line.")
    if is_array:
        return SourceFile(path, table)
    return SourceFile(path, table, lambda: (number for number, _ in text_lines(path)))


def _read_parquet(path: Path) -> SourceFile:
    try:
        table = pl.read_parquet(path)
    except PolarsError as error:
        raise DataError(
            f"{str(path)!r} is not a whole Parquet file: {_first_line(error)}.",
            hint="Write it again or check its ending.",
        ) from error
    if table.height == 0:
        raise DataError(f"{str(path)!r} has no rows.", hint="Give a file with at least one row.")
    return SourceFile(path, plain_types(table))


def _first_byte(path: Path) -> bytes:
    return next((line.strip()[:1] for _, line in text_lines(path)), b"")


def _guess_layout(path: Path, max_line_bytes: int) -> Delimited:
    header = header_line(path, max_line_bytes)
    separator = max(_SEPARATORS, key=lambda mark: _count_outside(header, mark))
    if _count_outside(header, separator) == 0:
        raise DataError(
            f"{str(path)!r}, line 1: only one column, {header[:80]!r}.",
            hint="Separate the columns by commas, tabs, semicolons or bars, below a header line.",
        )
    return Delimited(separator)


_NAMELESS = "\x00nameless"


def _header_names(path: Path, layout: Delimited, max_line_bytes: int) -> list[str]:
    """Return the column names; a column without one, such as a row number, gets a mark."""
    header = header_line(path, max_line_bytes)
    names = [name.strip() for name in next(csv.reader([header], delimiter=layout.separator))]
    repeated = sorted({name for name in names if name and names.count(name) > 1})
    if repeated:
        raise DataError(
            f"{str(path)!r}, line 1: the column {repeated[0]!r} stands there twice.",
            hint="Give each column a name of its own.",
        )
    return [name or f"{_NAMELESS}{place}" for place, name in enumerate(names)]


def _count_outside(text: str, separator: str) -> int:
    """Count the separators that stand outside quotes."""
    return sum(part.count(separator) for part in text.split('"')[::2])


def _records(path: Path, layout: Delimited) -> Iterator[tuple[int, str]]:
    """Give each record with the line it begins on; a quoted field may run over several lines."""
    record, start, open_quote = "", 0, False
    with open_bytes(path) as file:
        for number, raw in enumerate(file, start=1):
            line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
            record = record + line if open_quote else line
            start = start if open_quote else number
            if layout.quoted and line.count('"') % 2:
                open_quote = not open_quote
            if not open_quote:
                yield start, record.rstrip("\r\n")
    if open_quote:
        raise DataError(
            f"{str(path)!r}, line {start}: a quote is opened and never closed.",
            hint="Close it, or double the quotes that belong to the text.",
        )


def _row_lines(path: Path, layout: Delimited) -> Iterator[int]:
    """Give the line of each row; a record of nothing but separators is no row."""
    starts = (start for start, record in _records(path, layout) if record.strip(layout.separator))
    return starts if layout.columns else islice(starts, 1, None)


def _find_uneven(path: Path, layout: Delimited, num_columns: int) -> None:
    """Raise for the first row with too many or too few fields; do nothing when there is none."""
    for start, record in _records(path, layout):
        fields = 1 + (
            _count_outside(record, layout.separator)
            if layout.quoted
            else record.count(layout.separator)
        )
        if record and fields != num_columns:
            raise DataError(
                f"{str(path)!r}, line {start}: {fields} fields where the header has {num_columns}.",
                hint="Mend the line; put quotes around a text that contains the separator.",
            )


def _fail_on_quotes(path: Path, layout: Delimited, error: PolarsError) -> NoReturn:
    """Raise for the first quote in the middle of a field, or say what the parser said."""
    for start, record in _records(path, layout):
        outside = '""'.join(record.split('""')).split(layout.separator)
        if any('"' in part and not part.startswith('"') for part in outside):
            raise DataError(
                f"{str(path)!r}, line {start}: a quote in the middle of a field.",
                hint="Put the whole field in quotes and double the quotes inside it.",
            ) from error
    raise DataError(
        f"{str(path)!r} cannot be read as separated text: {_first_line(error)}.",
        hint="Check quotes and separators.",
    ) from error


def _fail_on_json(path: Path, error: PolarsError) -> NoReturn:
    """Raise for the first line that is not a JSON object."""
    for number, line in text_lines(path):
        try:
            pl.read_ndjson(line)
        except PolarsError:
            shown = line[:60].decode(errors="replace").strip()
            raise DataError(
                f"{str(path)!r}, line {number}: not a JSON object: {shown!r}.",
                hint="Give one JSON object per line, names in double quotes, no NaN.",
            ) from error
    raise DataError(
        f"{str(path)!r} cannot be read as JSON lines: {_first_line(error)}.",
        hint="Give one JSON object per line with the same kind of value in each field.",
    ) from error


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0].rstrip(".")
