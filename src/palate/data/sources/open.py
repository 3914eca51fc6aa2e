"""What a source may be: a file, a folder, files of each table, or the name of a public set."""

import glob
from collections.abc import Mapping, Sequence
from pathlib import Path

from palate.data.columns import NAMES
from palate.data.sources.amazon import find_reviews, is_amazon, read_amazon
from palate.data.sources.bundle import FileForms, read_bundle, read_tables
from palate.data.sources.folders import in_order, is_table_folder, read_table
from palate.data.sources.movielens import is_movielens, read_movielens
from palate.data.sources.public import PUBLIC_SETS, read_public
from palate.data.sources.read import AS_FOUND, Source, read_file
from palate.data.sources.scan import check_file
from palate.errors import ConfigError, DataError

FilesOfTables = Mapping[str, Path | str | Sequence[Path] | Sequence[str]]
AnySource = Path | str | FilesOfTables
"""A table, a folder, the name of a public set; or the file or files of each table."""


def open_source(source: AnySource, forms: FileForms | None = None) -> Source:
    """Find out what ``source`` is and read its tables.

    Raises:
        DataError: when it is nothing known, or cannot be read.
        ConfigError: when an encoding, or a table, of that name is not known.
    """
    forms = forms or {}
    if isinstance(source, Mapping):
        return _open_tables(source, forms)
    path = Path(source)
    if not path.exists() and str(source) in PUBLIC_SETS:
        return read_public(str(source))
    if path.is_dir():
        return _open_folder(path, forms)
    if not path.exists():
        raise DataError(
            f"There is no file or folder {str(source)!r}, and no public set of that name.",
            hint=f"Public sets: {', '.join(PUBLIC_SETS)}.",
        )
    check_file(path)
    has_header = _names_columns(forms)
    if path.name in {"u.data", "ratings.dat"} and not has_header:
        return read_movielens(path.parent)
    if is_amazon(path) and not has_header:
        return read_amazon(path)
    return Source(path.name.split(".")[0], read_file(path, forms.get("events", AS_FOUND)))


def source_in_words(source: AnySource) -> str:
    """Return a source as the command line has it."""
    if not isinstance(source, Mapping):
        return str(source)
    places = {table: [str(path) for path in _places(given)] for table, given in source.items()}
    return " ".join(f"--{table} {path}" for table, paths in places.items() for path in paths)


def _open_folder(folder: Path, forms: FileForms) -> Source:
    if is_table_folder(folder):
        events = read_table([folder], forms.get("events", AS_FOUND))
        return Source(folder.resolve().name.split(".")[0], events)
    has_header = _names_columns(forms)
    if is_movielens(folder) and not has_header:
        return read_movielens(folder)
    reviews = find_reviews(folder)
    if reviews is not None and not has_header:
        return read_amazon(reviews)
    return read_bundle(folder, forms)


def _open_tables(source: FilesOfTables, forms: FileForms) -> Source:
    """Read the files of each table.

    Raises:
        ConfigError: when a table is none of events, items and users.
        DataError: when a file is not there or cannot be read.
    """
    unknown = [name for name in source if name not in NAMES]
    if unknown:
        raise ConfigError(
            f"There is no table called {unknown[0]!r}.", hint=f"Tables: {', '.join(NAMES)}."
        )
    tables = {table: _places(source[table]) for table in NAMES if table in source}
    first = tables.get("events", (Path("events"),))[0]
    return read_tables(tables, forms, name=first.name.split(".")[0])


def _places(given: Path | str | Sequence[Path] | Sequence[str]) -> tuple[Path, ...]:
    """Return the files and folders of one table; a pattern such as ``2024-*.csv`` finds several."""
    paths = [Path(given)] if isinstance(given, (str, Path)) else [Path(path) for path in given]
    found: list[Path] = []
    for path in paths:
        if not path.exists() and glob.has_magic(str(path)):
            found += sorted(map(Path, glob.glob(str(path))), key=in_order)
        else:
            found.append(path)
    if not found:
        raise DataError(
            f"There is no file like {', '.join(map(str, paths))[:200]!r}.",
            hint="Check the spelling of the path.",
        )
    return tuple(found)


def _names_columns(forms: FileForms) -> bool:
    """Tell whether the user names columns: then a file is read as such, whatever it looks like."""
    return any(form.header for form in forms.values())
