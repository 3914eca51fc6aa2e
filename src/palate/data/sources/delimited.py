"""Text with separated fields: commas, tabs, semicolons, bars or double colons, read as a table.

A file is scanned before it is parsed; the place of a fault is worked out only when there is one,
which keeps the good case fast. What a file may be dressed in is undone on the way: a ``sep=;`` line
of Excel, blank lines before the header, blanks before quotes, quotes behind a backslash.
"""

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import NoReturn

import polars as pl
from polars.exceptions import PolarsError

from palate.data.sources.scan import MAX_LINE_BYTES, Scan, TextFile, scan_bytes
from palate.errors import DataError

_SEPARATORS = (",", "\t", ";", "|", "::")
_ONE_BYTE = "\x1f"
"""Stands for a separator of two characters while a file is parsed: the unit separator of ASCII."""
_NAMELESS = "\x00nameless"
_HEAD_LINES = 20
_SEPARATOR_LINE = re.compile(r'"?sep=(\\t|[^"])"?[,;\t|]*', re.IGNORECASE)
"""A first line by which Excel learns the separator."""
_VALUE = re.compile(r"[-+]?\d+([.,]\d+)?|\d{4}-\d\d-\d\d.*")
"""What stands in a row of data, but hardly ever in a header: a number or a date."""
_TIME = re.compile(r"\d{9,}(\.\d+)?|\d{4}-\d\d-\d\d.*")


@dataclass(frozen=True)
class Delimited:
    """How a text file separates its fields."""

    separator: str
    columns: tuple[str, ...] = ()
    """Names of the columns where the file has no header line."""
    quoted: bool = True
    skipped_lines: int = 0
    """Lines before the header, or before the first row where there is none."""
    backslashes: bool = False
    """Whether a backslash before a quote makes it a part of the text."""


@dataclass(frozen=True)
class Rows:
    """A table, and how to find the line on which each of its rows begins."""

    table: pl.DataFrame
    starts: Callable[[], Iterator[int]]


def parse_delimited(
    text: TextFile,
    layout: Delimited | None = None,
    *,
    header: Sequence[str] = (),
    max_line_bytes: int = MAX_LINE_BYTES,
) -> Rows:
    """Return the rows of a file, if any, every field as text, null where it is empty.

    Args:
        text: the file.
        layout: how it separates its fields; seen in its first lines if None.
        header: names of the columns, where the file has no header line.
        max_line_bytes: a longer line is taken for a broken file.

    Raises:
        DataError: for broken UTF-8, an endless line, a bad header, uneven rows or an open quote.
    """
    text = _by_lines(text, max_line_bytes)
    layout = layout or _guess_layout(text, header, max_line_bytes)
    scanned = scan_bytes(text, max_line_bytes, layout.separator)
    if scanned.lone_returns >= scanned.lines > 0:
        # Every line ends twice: what one program wrote for another's line ends was mended twice.
        text = text.with_cr_ends()
        scanned = scan_bytes(text, max_line_bytes, layout.separator)
    try:
        return _parse(text, layout, scanned, max_line_bytes)
    except DataError:
        if not scanned.lone_returns or text.cr_ends_lines:
            raise
        mixed = text.with_cr_ends()
        try:
            return _parse(
                mixed, layout, scan_bytes(mixed, max_line_bytes, layout.separator), max_line_bytes
            )
        except DataError:
            pass
        raise


def column_names(text: TextFile, header: Sequence[str] = ()) -> list[str]:
    """Return the names in the header line, which is all that is read.

    Raises:
        DataError: when there is none.
    """
    if header:
        return list(header)
    text = _by_lines(text, MAX_LINE_BYTES)
    layout = _guess_layout(text, (), MAX_LINE_BYTES)
    return [name for name in _names(text, layout, MAX_LINE_BYTES) if not name.startswith(_NAMELESS)]


def looks_like_data(cells: Sequence[str]) -> bool:
    """Tell whether a first line holds values: a number or a date is no name of a column."""
    return any(_VALUE.fullmatch(cell.strip()) for cell in cells)


def _by_lines(text: TextFile, max_line_bytes: int) -> TextFile:
    """Return the text with line ends that make a line of the header.

    Where a carriage return ends the header and newlines end most other lines, the first line would
    run on into the rows.
    """
    if text.cr_ends_lines:
        return text
    lines = text.head(max_line_bytes, _HEAD_LINES)
    header = next((line for line in lines if line.strip()), "")
    outside = "".join(header.split('"')[::2])
    return text.with_cr_ends() if "\r" in outside else text


def header_hint(cells: Sequence[str], table: str = "") -> str:
    """Say how to name the columns of a file without a header, whose first row is ``cells``."""
    return f"Name the columns in their order: --header {table}{','.join(_suggested(cells))}"


def _suggested(cells: Sequence[str]) -> list[str]:
    """Return likely names of columns without any, judged by one row."""
    names = ["user_id", "item_id"][: len(cells)]
    for place, cell in enumerate(cells[2:10], start=3):
        likely = (
            "timestamp" if _TIME.fullmatch(cell) else "rating" if _VALUE.fullmatch(cell) else ""
        )
        names.append(likely if likely and likely not in names else f"column_{place}")
    return names + ["..."] * (len(cells) > 10)


def _parse(text: TextFile, layout: Delimited, scanned: Scan, max_line_bytes: int) -> Rows:
    names = list(layout.columns) or _names(text, layout, max_line_bytes)
    if layout.quoted and scanned.quotes == 0:
        layout = replace(layout, quoted=False)
    if not layout.quoted and scanned.separators != scanned.lines * (len(names) - 1):
        _find_uneven(text, layout, len(names))
    table, layout = _table(text, layout, names, scanned)
    blank = table.select(pl.all_horizontal(pl.all().is_null())).to_series()
    table = table.filter(~blank) if blank.any() else table
    table = table.select(name for name in names if not name.startswith(_NAMELESS))
    return Rows(table, lambda: _row_lines(text, layout))


def _table(
    text: TextFile, layout: Delimited, names: Sequence[str], scanned: Scan
) -> tuple[pl.DataFrame, Delimited]:
    """Return the table as it stands in the file, and the layout it turned out to have."""
    # A fast parser takes a quote behind a backslash for the end of the field, and one behind a
    # blank for a part of the text, and says nothing.
    if layout.quoted and scanned.unusual_quotes:
        careful = _parse_carefully(text, layout, len(names))
        if careful is not None:
            return _frame(careful[0], names), careful[1]
    try:
        return _parse_fast(text, layout, names), layout
    except PolarsError as error:
        if layout.separator == "\t" and layout.quoted:
            unquoted = replace(layout, quoted=False)
            _find_uneven(text, unquoted, len(names))
            return _parse_fast(text, unquoted, names), unquoted
        careful = _parse_carefully(text, layout, len(names))
        if careful is not None:
            return _frame(careful[0], names), careful[1]
        _find_uneven(text, layout, len(names))
        _fail_on_quotes(text, layout, error)


def _parse_fast(text: TextFile, layout: Delimited, names: Sequence[str]) -> pl.DataFrame:
    source: Path | bytes = text.path
    if not text.is_plain or layout.skipped_lines or len(layout.separator) > 1:
        with text.opened() as file:
            for _ in range(layout.skipped_lines):
                file.readline()
            source = file.read()
        if len(layout.separator) > 1:
            source = source.replace(layout.separator.encode(), _ONE_BYTE.encode())
    return pl.read_csv(
        source,
        separator=layout.separator if len(layout.separator) == 1 else _ONE_BYTE,
        has_header=not layout.columns,
        new_columns=list(names),
        infer_schema=False,
        quote_char='"' if layout.quoted else None,
        glob=False,
    )


def _parse_carefully(
    text: TextFile, layout: Delimited, num_columns: int
) -> tuple[list[list[str]], Delimited] | None:
    """Return the rows of a file with unusual quotes, or None when it is none of the known ways.

    Tried in turn: blanks before quotes; blanks before and behind them; quotes behind a backslash;
    fields such as ``="0012"``, by which spreadsheets learn that digits are text.
    """
    if not (layout.quoted and _has_unusual_quotes(text, layout)):
        return None
    tidy = re.compile(rf'"[ \t]+(?={re.escape(layout.separator)}|\r?$)')
    attempts: tuple[tuple[Delimited, Callable[[str], str]], ...] = (
        (layout, lambda line: line),
        (layout, lambda line: tidy.sub('"', line)),
        (replace(layout, backslashes=True), _without_null_escapes(layout.separator)),
        (layout, _without_formulas(layout.separator)),
    )
    for tried, mended in attempts:
        rows = _rows(map(mended, _lines(text)), tried, num_columns)
        if rows is not None:
            return rows, tried
    return None


def _has_unusual_quotes(text: TextFile, layout: Delimited) -> bool:
    mark = re.escape(layout.separator)
    unusual = re.compile(rf'\\"|(^|{mark})[ \t]+"|"[ \t]+({mark}|\r?$)|(^|{mark})="')
    return any(unusual.search(line) for line in _lines(text))


def _without_null_escapes(separator: str) -> Callable[[str], str]:
    r"""Return what turns the ``\N`` of databases into a word, for a backslash would escape it."""
    mark = re.escape(separator)
    null = re.compile(rf"(?:(?<={mark})|^)\\N(?={mark}|\r?$)")
    return lambda line: null.sub("NULL", line)


def _without_formulas(separator: str) -> Callable[[str], str]:
    mark = re.escape(separator)
    formula = re.compile(rf'(?:(?<={mark})|^)="([^"]*)"(?={mark}|\r?$)')
    return lambda line: formula.sub(r'"\1"', line)


def _lines(text: TextFile) -> Iterator[str]:
    with text.opened() as file:
        for raw in file:
            yield raw.decode()


def _rows(lines: Iterable[str], layout: Delimited, num_columns: int) -> list[list[str]] | None:
    """Return the rows below the header, or None where a quote is misplaced or a row uneven."""
    csv.field_size_limit(MAX_LINE_BYTES)
    reader = csv.reader(
        islice(lines, layout.skipped_lines, None),
        delimiter=layout.separator,
        skipinitialspace=True,
        strict=True,
        escapechar="\\" if layout.backslashes else None,
    )
    try:
        rows = [row for row in reader if any(row)]
    except csv.Error:
        return None
    rows = rows if layout.columns else rows[1:]
    return rows if all(len(row) == num_columns for row in rows) else None


def _frame(rows: Sequence[Sequence[str]], names: Sequence[str]) -> pl.DataFrame:
    types = dict.fromkeys(names, pl.String())
    table = pl.DataFrame(rows, schema=types, orient="row")
    return table.with_columns(pl.all().replace("", None))


def _guess_layout(text: TextFile, header: Sequence[str], max_line_bytes: int) -> Delimited:
    lines = text.head(max_line_bytes, _HEAD_LINES)
    skipped, given = _before_header(lines)
    first = lines[skipped] if skipped < len(lines) else ""
    separator = given or max(_SEPARATORS, key=lambda mark: _count_outside(first, mark))
    if _count_outside(first, separator) == 0:
        raise DataError(
            f"{str(text.path)!r}, line {skipped + 1}: only one column, {first[:80]!r}.",
            hint="Separate the columns by commas, tabs, semicolons or bars, below a header line.",
        )
    layout = Delimited(separator, skipped_lines=skipped)
    return _named(text, layout, first, header) if header else layout


def _before_header(lines: Sequence[str]) -> tuple[int, str]:
    """Return how many lines stand before the header, and the separator where one tells it."""
    separator = ""
    for number, line in enumerate(lines):
        named = _SEPARATOR_LINE.fullmatch(line.strip())
        if named:
            separator = "\t" if named[1] == r"\t" else named[1]
        elif line.strip():
            return number, separator
    return len(lines), separator


def _named(text: TextFile, layout: Delimited, first: str, header: Sequence[str]) -> Delimited:
    """Return the layout with the names that the user gives.

    Raises:
        DataError: when they are not as many as the columns.
    """
    cells = _cells(first, layout)
    if len(cells) != len(header):
        raise DataError(
            f"{str(text.path)!r}, line {layout.skipped_lines + 1}: {len(cells)} fields,"
            f" but --header names {len(header)} ({', '.join(header[:10])}).",
            hint="Name each column once, in the order of the file.",
        )
    repeats = [name.strip().lower() for name in cells] == [name.lower() for name in header]
    return replace(layout, columns=tuple(header), skipped_lines=layout.skipped_lines + int(repeats))


def _cells(line: str, layout: Delimited) -> list[str]:
    if len(layout.separator) > 1:
        return line.split(layout.separator)
    return next(csv.reader([line], delimiter=layout.separator, skipinitialspace=True))


def _names(text: TextFile, layout: Delimited, max_line_bytes: int) -> list[str]:
    """Return the column names; a column without one, such as a row number, gets a mark."""
    header = text.head(max_line_bytes, layout.skipped_lines + 1)[-1]
    names = [name.strip() for name in _cells(header, layout)]
    repeated = sorted({name for name in names if name and names.count(name) > 1})
    if repeated and looks_like_data(names):
        shown = ", ".join(names[:8])[:100]
        raise DataError(
            f"{str(text.path)!r}, line {layout.skipped_lines + 1}: there is no header line:"
            f" {shown!r} looks like data.",
            hint=header_hint(names),
        )
    if repeated:
        raise DataError(
            f"{str(text.path)!r}, line {layout.skipped_lines + 1}:"
            f" the column {repeated[0][:80]!r} stands there twice.",
            hint="Give each column a name of its own.",
        )
    return [name or f"{_NAMELESS}{place}" for place, name in enumerate(names)]


def _count_outside(text: str, separator: str) -> int:
    """Count the separators that stand outside quotes."""
    return sum(part.count(separator) for part in text.split('"')[::2])


def _records(text: TextFile, layout: Delimited) -> Iterator[tuple[int, str]]:
    """Give each record with the line it begins on; a quoted field may run over several lines."""
    record, start, open_quote = "", 0, False
    lines = enumerate(_lines(text), start=1)
    for number, line in islice(lines, layout.skipped_lines, None):
        record = record + line if open_quote else line
        start = start if open_quote else number
        if layout.quoted and _quotes(line, layout) % 2:
            open_quote = not open_quote
        if not open_quote:
            yield start, record.rstrip("\r\n")
    if open_quote:
        raise DataError(
            f"{str(text.path)!r}, line {start}: a quote is opened and never closed.",
            hint="Close it, or double the quotes that belong to the text.",
        )


def _quotes(line: str, layout: Delimited) -> int:
    return line.count('"') - (line.count('\\"') if layout.backslashes else 0)


def _row_lines(text: TextFile, layout: Delimited) -> Iterator[int]:
    """Give the line of each row; a record of nothing but separators is no row."""
    starts = (start for start, record in _records(text, layout) if record.strip(layout.separator))
    return starts if layout.columns else islice(starts, 1, None)


def _find_uneven(text: TextFile, layout: Delimited, num_columns: int) -> None:
    """Raise for the first row with too many or too few fields; do nothing when there is none."""
    for start, record in _records(text, layout):
        fields = 1 + (
            _count_outside(record, layout.separator)
            if layout.quoted
            else record.count(layout.separator)
        )
        if record and fields != num_columns:
            raise DataError(
                f"{str(text.path)!r}, line {start}: {fields} fields"
                f" where the header has {num_columns}.",
                hint="Mend the line; put quotes around a text that contains the separator.",
            )


def _fail_on_quotes(text: TextFile, layout: Delimited, error: PolarsError) -> NoReturn:
    """Raise for the first quote in the middle of a field, or say what the parser said."""
    for start, record in _records(text, layout):
        outside = '""'.join(record.split('""')).split(layout.separator)
        if any('"' in part and not part.startswith('"') for part in outside):
            raise DataError(
                f"{str(text.path)!r}, line {start}: a quote in the middle of a field.",
                hint="Put the whole field in quotes and double the quotes inside it.",
            ) from error
    said = str(error).split("\n", 1)[0].rstrip(".")
    raise DataError(
        f"{str(text.path)!r} cannot be read as separated text: {said[:200]}.",
        hint="Check quotes and separators.",
    ) from error
