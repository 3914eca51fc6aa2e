"""Source files to tables: CSV, TSV, JSON, Parquet; errors name the file and the line.

Several files can be one table: the parts that Spark writes, the months of a year.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Literal

import polars as pl
from polars.exceptions import PolarsError

from palate.data.preparation_report import Notes
from palate.data.sources.delimited import Delimited, parse_delimited
from palate.data.sources.json_tables import parse_json
from palate.data.sources.plain_types import plain_types
from palate.data.sources.scan import MAX_LINE_BYTES, TextFile, check_file
from palate.errors import DataError

Table = Literal["events", "items", "users"]
"""What a table can hold."""

JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
DELIMITED_SUFFIXES = (
    *(".csv", ".tsv", ".tab", ".txt", ".dat", ".data"),
    *(".inter", ".item", ".user"),
)
PARQUET_SUFFIXES = (".parquet", ".pq")
SUFFIXES = PARQUET_SUFFIXES + JSON_SUFFIXES + DELIMITED_SUFFIXES
"""What can be read; all but Parquet, which is compressed already, also with ``.gz`` behind it."""


@dataclass(frozen=True)
class FileForm:
    """What the user says of how a file is written, where that cannot be seen in it."""

    encoding: str | None = None
    """Such as ``cp1252``; seen in the file if None, UTF-8 where nothing speaks against it."""
    header: tuple[str, ...] = ()
    """Names of the columns, in their order, of a file without a header line."""


AS_FOUND = FileForm()
"""Nothing is said: everything is seen in the file."""


@dataclass(frozen=True)
class Piece:
    """One of several files that are one table."""

    path: Path
    height: int
    """Number of rows."""
    starts: Callable[[], Iterator[int]] | None = None


@dataclass(frozen=True)
class SourceFile:
    """A table with the way back to the lines it was read from."""

    path: Path
    """The file; the folder that holds them where there are several."""
    table: pl.DataFrame
    starts: Callable[[], Iterator[int]] | None = None
    """Gives the line on which each row of the table begins; None where the format has no lines."""
    pieces: tuple[Piece, ...] = ()
    """The files whose rows the table holds, one after another; empty where it is one file."""
    in_memory: bool = False
    """Whether it is a data frame, of which ``path`` only says what it holds."""
    sequences: frozenset[str] = frozenset()
    """Columns whose cells hold several words, with blanks between them."""

    @property
    def name(self) -> str:
        """What to call it in a sentence: ``events.csv``, ``2019-Nov.csv and 4 more files``."""
        if not self.pieces:
            return self.path.name
        others = len(self.pieces) - 1
        return f"{self.piece_names[0]} and {others} more file{'s' * (others > 1)}"

    @property
    def piece_names(self) -> list[str]:
        """What to call its files: their paths below the folder that they lie in."""
        return [
            str(path.relative_to(self.path)) if path.is_relative_to(self.path) else path.name
            for path in self.paths
        ]

    @property
    def paths(self) -> list[Path]:
        """The files it was read from."""
        return [piece.path for piece in self.pieces] or [self.path]

    @property
    def has_lines(self) -> bool:
        """Whether its rows stand on lines, with a header above them."""
        return (self.pieces[0].starts if self.pieces else self.starts) is not None

    @property
    def first_line(self) -> str:
        """Say where its header stands."""
        return f"{str(self.paths[0])!r}, line 1" if self.has_lines else f"{str(self.paths[0])!r}"

    def where(self, row: int) -> str:
        """Say in which file and on which line row ``row`` of the table stands."""
        pieces = self.pieces or (Piece(self.path, self.table.height, self.starts),)
        for piece in pieces[:-1]:
            if row < piece.height:
                return _place(piece, row)
            row -= piece.height
        return _place(pieces[-1], row)

    def with_table(self, table: pl.DataFrame) -> "SourceFile":
        """Return the same file with other columns; the rows must stay in place."""
        return replace(self, table=table)


def _place(piece: Piece, row: int) -> str:
    if piece.starts is None:
        return f"{str(piece.path)!r}, row {row + 1}"
    return f"{str(piece.path)!r}, line {next(islice(piece.starts(), row, None))}"


@dataclass(frozen=True)
class Source:
    """What a preparation starts from: the events, and what is known about items and users."""

    name: str
    events: SourceFile
    items: SourceFile | None = None
    users: SourceFile | None = None
    kind: str = "tables"
    """For the report: ``MovieLens 1M``, ``Amazon reviews``, ``tables``."""
    notes: Notes = field(default_factory=Notes)
    """What there is to say of how the files were found."""

    @property
    def files(self) -> list[SourceFile]:
        """The files that are there."""
        return list(self.tables.values())

    @property
    def tables(self) -> dict[Table, SourceFile]:
        """The tables that are there, by what they hold."""
        found: dict[Table, SourceFile | None] = {
            "events": self.events,
            "items": self.items,
            "users": self.users,
        }
        return {table: file for table, file in found.items() if file is not None}


def read_file(
    path: Path, form: FileForm = AS_FOUND, *, max_line_bytes: int = MAX_LINE_BYTES
) -> SourceFile:
    """Read a table in whatever supported format its name says.

    Raises:
        DataError: naming file and line, when it cannot be read or has no rows.
    """
    return _filled(read_rows(path, form, max_line_bytes=max_line_bytes))


def read_rows(
    path: Path,
    form: FileForm = AS_FOUND,
    *,
    suffix: str = "",
    max_line_bytes: int = MAX_LINE_BYTES,
) -> SourceFile:
    """Read a table that may be without rows, as a part of a larger one often is.

    Args:
        path: the file.
        form: what the user says of it.
        suffix: the ending that names the format, where the file has none of its own.
        max_line_bytes: a longer line is taken for a broken file.

    Raises:
        DataError: naming file and line, when it cannot be read.
    """
    check_file(path)
    suffix = suffix or format_suffix(path)
    if suffix in PARQUET_SUFFIXES:
        _refuse_header(path, form)
        return _read_parquet(path)
    if suffix in JSON_SUFFIXES:
        return _read_json(path, form, max_line_bytes)
    if suffix in DELIMITED_SUFFIXES:
        return _read_delimited(path, form, max_line_bytes)
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
        DataError: for broken UTF-8, an endless line, a bad header, uneven rows, an open quote or no
            rows.
    """
    check_file(path)
    return _filled(_read_delimited(path, AS_FOUND, max_line_bytes, layout))


def read_json(
    path: Path, like: pl.DataFrame | None = None, *, max_line_bytes: int = MAX_LINE_BYTES
) -> SourceFile:
    """Read JSON objects, one per line or in a document; ``like`` picks and types the columns.

    Raises:
        DataError: naming the first line that is not a JSON object, or when there is none.
    """
    check_file(path)
    return _filled(_read_json(path, AS_FOUND, max_line_bytes, like))


def stacked(files: Sequence[SourceFile], folder: Path) -> SourceFile:
    """Return files as one table, one after another; a column that some lack is null there.

    Raises:
        DataError: when none has a row.
    """
    filled = [file for file in files if file.table.height]
    if len(filled) < 2:
        return _filled((filled or list(files))[0])
    tables = [_named_like(file.table, filled[0].table) for file in filled]
    for file, table in zip(filled, tables, strict=True):
        if not set(table.columns) & set(tables[0].columns):
            raise DataError(
                f"{file.first_line}: its columns ({', '.join(table.columns[:8])[:100]}) are none of"
                f" those of {filled[0].path.name!r}.",
                hint="Give each file of one table the same header line, or name the columns with"
                " --header where no file has one.",
            )
    pieces = tuple(Piece(file.path, file.table.height, file.starts) for file in filled)
    return SourceFile(folder, pl.concat(tables, how="diagonal_relaxed"), pieces=pieces)


def _named_like(table: pl.DataFrame, first: pl.DataFrame) -> pl.DataFrame:
    """Return a table whose columns are called as in the first where they differ only in case."""
    wanted = {name.strip().lower(): name for name in first.columns}
    names = {name: wanted.get(name.strip().lower(), name) for name in table.columns}
    return table.rename(names) if len(set(names.values())) == len(names) else table


def _filled(file: SourceFile) -> SourceFile:
    if file.table.height == 0 or file.table.width == 0:
        raise DataError(
            f"{str(file.path)!r} has {'a header but ' if file.table.width else ''}no rows.",
            hint="Give a file with at least one row.",
        )
    return file


def _read_delimited(
    path: Path, form: FileForm, max_line_bytes: int, layout: Delimited | None = None
) -> SourceFile:
    text = TextFile.at(path, form.encoding)
    rows = parse_delimited(text, layout, header=form.header, max_line_bytes=max_line_bytes)
    return SourceFile(path, rows.table, rows.starts)


def _read_json(
    path: Path, form: FileForm, max_line_bytes: int, like: pl.DataFrame | None = None
) -> SourceFile:
    text = TextFile.at(path, form.encoding)
    rows = parse_json(text, like, header=form.header, max_line_bytes=max_line_bytes)
    if tuple(rows.table.columns) != form.header:
        _refuse_header(path, form)
    return SourceFile(path, rows.table, rows.starts)


def _refuse_header(path: Path, form: FileForm) -> None:
    if form.header:
        raise DataError(
            f"{str(path)!r} has names of its own; --header gives others ({form.header[0]}, ...).",
            hint="Say which column is what with --column user_id=COLUMN.",
        )


def _read_parquet(path: Path) -> SourceFile:
    try:
        table = pl.read_parquet(path, glob=False)
    except PolarsError as error:
        said = str(error).split("\n", 1)[0].rstrip(".")
        raise DataError(
            f"{str(path)!r} is not a whole Parquet file: {said[:200]}.",
            hint="Write it again or check its ending.",
        ) from error
    return SourceFile(path, plain_types(table))
