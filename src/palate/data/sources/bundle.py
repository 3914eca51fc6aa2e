"""A folder of tables: who did what and, where they are there, what the items and users are.

The files are found by their names (``interactions.parquet``, ``items.jsonl``, ``users.tsv.gz``),
else by their columns: the table that has users and items holds the events. Months of one table are
read together. ``image_features.parquet`` (``item_id`` and one list of numbers) becomes the
catalogue column ``image_vector``.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path

import polars as pl

from palate.data.columns import joining_column, kind_of_table
from palate.data.preparation_report import Notes
from palate.data.sources.delimited import column_names
from palate.data.sources.folders import (
    first_file,
    in_order,
    is_table_folder,
    read_table,
    table_suffix,
)
from palate.data.sources.json_tables import parse_json
from palate.data.sources.read import (
    AS_FOUND,
    DELIMITED_SUFFIXES,
    PARQUET_SUFFIXES,
    SUFFIXES,
    FileForm,
    Source,
    SourceFile,
    Table,
    format_suffix,
)
from palate.data.sources.scan import MAX_LINE_BYTES, TextFile
from palate.errors import DataError

EVENT_FILES = (
    *("interactions", "events", "ratings", "reviews", "clicks", "behaviors", "behaviours"),
    *("actions", "purchases", "transactions", "views", "history", "logs"),
)
ITEM_FILES = (
    "items",
    "catalog",
    "catalogue",
    "products",
    "movies",
    "books",
    "metadata",
    "articles",
)
USER_FILES = ("users", "customers", "visitors", "members")
IMAGE_FILE = "image_features"
IMAGE_VECTOR = "image_vector"

_STEMS: dict[Table, tuple[str, ...]] = {
    "events": EVENT_FILES,
    "items": ITEM_FILES,
    "users": USER_FILES,
}
_RECBOLE: dict[Table, str] = {"events": ".inter", "items": ".item", "users": ".user"}

Places = tuple[Path, ...]
"""The files and folders that one table is read from."""
FileForms = Mapping[Table, FileForm]
"""What the user says of how each table is written."""


@dataclass(frozen=True)
class Found:
    """Which files of a folder hold which table."""

    tables: Mapping[Table, Places]
    unread: tuple[Path, ...] = ()
    """Tables whose content could not be recognised."""
    by_columns: bool = False
    read: tuple[str, ...] = field(default=())


def read_bundle(folder: Path, forms: FileForms | None = None) -> Source:
    """Read the tables of a folder.

    Raises:
        DataError: when there is no table of events, or a table is broken.
    """
    forms = forms or {}
    found = _found(folder, forms)
    images = _one(folder, (IMAGE_FILE,))
    source = read_tables(found.tables, forms, name=folder.resolve().name)
    if images is not None:
        source = _with_images(source, read_table([images]))
    return Source(
        source.name, source.events, source.items, source.users, notes=_notes(found, source)
    )


def read_tables(tables: Mapping[Table, Places], forms: FileForms, *, name: str) -> Source:
    """Read tables of which it is known what they hold.

    Raises:
        DataError: when a table is missing or broken.
    """

    def read(table: Table) -> SourceFile | None:
        places = tables.get(table, ())
        return read_table(places, forms.get(table, AS_FOUND)) if places else None

    events = read("events")
    if events is None:
        raise DataError("No table of events is named.", hint="Give it with --events FILE.")
    return Source(name, events, read("items"), read("users"))


def _notes(found: Found, source: Source) -> Notes:
    """Say what was read together and what was left alone."""
    notes = []
    if found.by_columns:
        names = ", ".join(
            f"{table} in {file.name}"
            for table, file in zip(("events", "items", "users"), _in_turn(source), strict=True)
            if file is not None
        )
        notes.append(f"Files: recognised by their columns: {names}.")
    left = [path.name for path in found.unread]
    if left:
        notes.append(
            f"Not read: {', '.join(left[:5])}{_and_more(left, 5)}"
            " (name tables with --events, --items and --users)."
        )
    return Notes(read=tuple(notes))


def _in_turn(source: Source) -> list[SourceFile | None]:
    return [source.events, source.items, source.users]


def _and_more(names: Sequence[object], shown: int) -> str:
    return f" and {len(names) - shown} more" if len(names) > shown else ""


def _found(folder: Path, forms: FileForms) -> Found:
    """Find the tables by name, then by what the names begin with, then by their columns.

    Raises:
        DataError: when no table, or more than one, may hold the events.
    """
    named = {table: _one(folder, stems) for table, stems in _STEMS.items()}
    tables: dict[Table, Places] = {
        table: (path,) for table, path in named.items() if path is not None
    }
    for ways in (_by_suffix(folder), _numbered(folder)):
        if "events" not in tables:
            tables |= {table: places for table, places in ways.items() if table not in tables}
    taken = [path for places in tables.values() for path in places]
    rest = [path for path in _tables(folder) if path not in taken and not _is_image(path)]
    if "events" in tables:
        return Found(tables, unread=tuple(rest))
    if len(rest) == 1 and not tables:
        return Found({"events": (rest[0],)})
    return _by_columns(folder, rest, tables, forms)


def _by_suffix(folder: Path) -> dict[Table, Places]:
    """Return the files of RecBole, which are recognised by their endings."""
    found: dict[Table, Places] = {}
    for table, suffix in _RECBOLE.items():
        places = tuple(path for path in _tables(folder) if format_suffix(path) == suffix)
        if places:
            found[table] = places
    return found


def _numbered(folder: Path) -> dict[Table, Places]:
    """Return files such as ``events_2024-01.csv`` and ``events_2024-02.csv``."""
    found: dict[Table, Places] = {}
    for table, stems in _STEMS.items():
        number = re.compile(rf"({'|'.join(stems)})[-_. ]?\d[-_\d]*(-[a-z]{{3,9}})?")
        places = [p for p in _tables(folder) if number.fullmatch(p.name.split(".")[0].lower())]
        if places:
            found[table] = tuple(places)
    return found


def _by_columns(
    folder: Path, rest: Sequence[Path], known: Mapping[Table, Places], forms: FileForms
) -> Found:
    """Tell tables apart by their columns; those of one kind and one header are one table.

    Raises:
        DataError: when no table, or unlike tables, may hold the events.
    """
    columns = {path: _columns(path, forms.get("events", AS_FOUND)) for path in rest}
    kinds = {path: kind_of_table(names) for path, names in columns.items()}
    tables = dict(known)
    for table in _STEMS:
        paths = [path for path in rest if kinds[path] == table]
        alike = {frozenset(columns[path]) for path in paths}
        if table == "events" and len(alike) > 1:
            raise _unclear(folder, paths)
        if len(alike) == 1 and table not in tables:
            tables[table] = tuple(paths)
    if "events" not in tables:
        raise _to_be_joined(folder, columns) or _no_events(folder)
    taken = [path for places in tables.values() for path in places]
    return Found(tables, tuple(path for path in rest if path not in taken), by_columns=True)


def _columns(place: Path, form: FileForm) -> list[str]:
    """Return the names of the columns of a table, reading no more than needed."""
    first = first_file(place)
    suffix = table_suffix(first)
    if suffix in PARQUET_SUFFIXES:
        with first.open("rb") as file:
            return list(pl.read_parquet_schema(file))
    text = TextFile.at(first, form.encoding)
    if suffix in DELIMITED_SUFFIXES:
        return column_names(text, form.header)
    lines = text.head(MAX_LINE_BYTES, 1)
    try:
        row = json.loads(lines[0]) if lines else None
    except ValueError:
        row = None
    if isinstance(row, dict) and not all(isinstance(cell, (dict, list)) for cell in row.values()):
        return list(row)
    return parse_json(text).table.columns


def _one(folder: Path, stems: tuple[str, ...]) -> Path | None:
    """Return the table with the first of the names; two tables of one name are an error."""
    for stem in stems:
        found = [path for path in _tables(folder) if path.name.split(".")[0].lower() == stem]
        if len(found) > 1 and {format_suffix(path) for path in found} <= set(_RECBOLE.values()):
            continue
        if len(found) > 1:
            raise DataError(
                f"{str(folder)!r} holds {found[0].name!r} and {found[1].name!r}:"
                " which one is meant?",
                hint="Leave one of them in the folder, or name one, as in --events FILE.",
            )
        if found:
            return found[0]
    return None


def _no_events(folder: Path) -> DataError:
    names = sorted(path.name for path in folder.iterdir())
    have = ", ".join(names[:10]) or "nothing"
    return DataError(
        f"No table of events in the folder {str(folder)!r}: it holds {have}{_and_more(names, 10)}.",
        hint="Name the tables: --events FILE --items FILE. Or call them interactions.csv (or .tsv,"
        f" .jsonl, .parquet; or {', '.join(EVENT_FILES[1:5])}) and items.csv.",
    )


def _to_be_joined(folder: Path, columns: Mapping[Path, Sequence[str]]) -> DataError | None:
    """Return the error of a folder where users and items stand in two tables, if it is one."""
    for users, lines in permutations(columns, 2):
        key = joining_column(columns[users], columns[lines])
        if key is not None:
            return DataError(
                f"No table of events in the folder {str(folder)!r}: the user stands in"
                f" {users.name!r}, the item in {lines.name!r}.",
                hint=f"Join the two by {key!r} first, for instance with polars:"
                f" lines.join(orders, on={key!r}), and write the result to interactions.parquet.",
            )
    return None


def _unclear(folder: Path, paths: Sequence[Path]) -> DataError:
    names = [path.name for path in paths]
    return DataError(
        f"{str(folder)!r} holds several tables with users and items, and their columns differ:"
        f" {', '.join(names[:5])}{_and_more(names, 5)}.",
        hint=f"Name the one that holds the events: --events {names[0]}",
    )


def _tables(folder: Path) -> list[Path]:
    """Return the tables of a folder, those that are folders themselves included."""
    found: Iterable[Path] = (
        path
        for path in folder.iterdir()
        if (path.is_file() and format_suffix(path) in SUFFIXES) or is_table_folder(path)
    )
    return sorted((path for path in found if not path.name.startswith((".", "_"))), key=in_order)


def _is_image(path: Path) -> bool:
    return path.name.split(".")[0].lower() == IMAGE_FILE


def _with_images(source: Source, images: SourceFile) -> Source:
    """Join image vectors to the items by ``item_id``; without a table of items they make one."""
    items = source.items
    lists = [name for name, dtype in images.table.schema.items() if dtype == pl.List]
    if "item_id" not in images.table.columns or len(lists) != 1:
        raise DataError(
            f"{str(images.path)!r}: wanted the columns item_id and one list of numbers,"
            f" found {', '.join(images.table.columns[:20])}.",
            hint="Write it as Parquet with these two columns.",
        )
    vectors = images.table.select(
        pl.col("item_id").cast(pl.String),
        pl.col(lists[0]).cast(pl.List(pl.Float32)).alias(IMAGE_VECTOR),
    ).unique("item_id", keep="first", maintain_order=True)
    if items is None:
        return Source(source.name, source.events, SourceFile(images.path, vectors), source.users)
    if "item_id" not in items.table.columns:
        raise DataError(
            f"{str(images.path)!r}: image vectors are joined by item_id,"
            f" which {items.name!r} lacks.",
            hint="Call the column of the item ids item_id in both files.",
        )
    table = items.table.with_columns(pl.col("item_id").cast(pl.String))
    joined = table.join(vectors, on="item_id", how="left", maintain_order="left")
    return Source(source.name, source.events, items.with_table(joined), source.users)
