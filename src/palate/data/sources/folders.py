"""Folders that are one table: what Spark writes, partitions, the parts of an export.

``events.parquet/part-00000.parquet`` and ``events/year=2024/month=01/part-0.csv`` are read
together; ``year`` and ``month`` become columns. Marks such as ``_SUCCESS`` and hidden files are
passed over.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote

import polars as pl

from palate.data.sources.read import (
    AS_FOUND,
    SUFFIXES,
    FileForm,
    SourceFile,
    format_suffix,
    read_rows,
    stacked,
)
from palate.errors import DataError

_PARTITION = re.compile(r"([^=/]+)=(.*)")
_PART = re.compile(r"part[-_.]?\w*\d+.*", re.IGNORECASE)
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
_LOGS = ("_delta_log", ".hoodie")
"""Folders of table formats whose files are not all a part of the table any more."""


def is_table_folder(folder: Path) -> bool:
    """Tell whether a folder holds the parts of one table."""
    if not folder.is_dir():
        return False
    if format_suffix(folder) in SUFFIXES:
        return True
    names = [path.name for path in folder.iterdir()]
    is_marked = "_SUCCESS" in names or any(name in _LOGS for name in names)
    parts = [path for path in folder.iterdir() if _is_partition(path) or _is_part(path)]
    return bool(parts) or (is_marked and bool(_parts_of(folder)))


def read_table(places: Sequence[Path], form: FileForm = AS_FOUND) -> SourceFile:
    """Read files and folders as one table, in the order given.

    Raises:
        DataError: when there is nothing to read, or a file cannot be read.
    """
    files = [file for place in places for file in _read_place(place, form)]
    if len(places) == 1:
        return stacked(files, places[0])
    return stacked(files, places[0].parent)


def first_file(place: Path) -> Path:
    """Return the file by which the columns of a table are seen.

    Raises:
        DataError: when a folder holds no part of a table.
    """
    return _filled_parts(place)[0] if place.is_dir() else place


def table_suffix(place: Path) -> str:
    """Return the ending that names the format of a file; of one without, that of its folder."""
    own = format_suffix(place)
    return own if own in SUFFIXES else format_suffix(place.parent)


def _read_place(place: Path, form: FileForm) -> Iterator[SourceFile]:
    if not place.is_dir():
        yield read_rows(place, form)
        return
    for part in _filled_parts(place):
        suffix = format_suffix(part) if format_suffix(part) in SUFFIXES else format_suffix(place)
        yield _with_partitions(read_rows(part, form, suffix=suffix), place)


def _filled_parts(folder: Path) -> list[Path]:
    """Return the parts with anything in them.

    Raises:
        DataError: when there are none, or the folder is a table whose log must be read.
    """
    log = next((name for name in _LOGS if (folder / name).is_dir()), None)
    if log is not None:
        raise DataError(
            f"{str(folder)!r} is a table with a log ({log}): some of its files may be outdated.",
            hint="Export the table as Parquet with the program that wrote it.",
        )
    parts = [part for part in _parts_of(folder) if part.stat().st_size]
    if not parts:
        raise DataError(
            f"The folder {str(folder)!r} holds no part of a table.",
            hint="Give a folder of .parquet, .csv or .jsonl files, or name a file.",
        )
    return parts


def _parts_of(folder: Path) -> list[Path]:
    """Return the files of a table, by name; hidden ones and marks left out."""
    bare = format_suffix(folder) in SUFFIXES
    found = (
        path
        for path in folder.rglob("*")
        if path.is_file()
        and not any(name.startswith(("_", ".")) for name in path.relative_to(folder).parts)
        and (format_suffix(path) in SUFFIXES or (bare and _PART.fullmatch(path.name)))
    )
    return sorted(found, key=in_order)


def in_order(path: Path) -> list[tuple[str, int]]:
    """Return a key by which ``month=2`` comes before ``month=10``."""
    return [(word, int(number or 0)) for word, number in re.findall(r"(\D*)(\d*)", str(path))]


def _is_partition(path: Path) -> bool:
    return path.is_dir() and _PARTITION.fullmatch(path.name) is not None


def _is_part(path: Path) -> bool:
    return path.is_file() and _PART.fullmatch(path.name) is not None


def _with_partitions(file: SourceFile, folder: Path) -> SourceFile:
    """Return the part with a column for each ``name=value`` folder that it lies in."""
    found = [_PARTITION.fullmatch(name) for name in file.path.relative_to(folder).parent.parts]
    values = {unquote(pair[1]): unquote(pair[2]) for pair in found if pair is not None}
    new = [
        pl.lit(None if value == _NO_VALUE else value, dtype=pl.String).alias(name)
        for name, value in values.items()
        if name not in file.table.columns
    ]
    return file.with_table(file.table.with_columns(new)) if new else file
