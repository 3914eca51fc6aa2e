"""Source tables of items and users, turned into the catalogue and the users of a dataset."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl

from palate.data.columns import NAMES, ColumnMapping, map_columns
from palate.data.preparation_report import Dropped, Notes
from palate.data.sources.bundle import IMAGE_VECTOR
from palate.data.sources.read import SourceFile
from palate.data.values.cells import AS_SEEN, Forms, without_blanks
from palate.data.values.ids import ids
from palate.data.values.numbers import prices
from palate.data.values.texts import categories, texts
from palate.data.vocabulary import Vocabulary

CATALOG_TYPES = pl.Schema(
    {
        "item_id": pl.String(),
        "title": pl.String(),
        "description": pl.String(),
        "brand": pl.String(),
        "categories": pl.List(pl.String()),
        "price": pl.Float32(),
        "image": pl.Binary(),
    }
)
"""The columns a catalogue always has."""

_RARELY = 0.01
"""A column describes the item when it differs within fewer of the items than this."""


def clean_items(
    file: SourceFile, overrides: Mapping[str, str], forms: Forms = AS_SEEN
) -> tuple[pl.DataFrame, Notes]:
    """Return the items with the catalogue's columns, each id once.

    Raises:
        DataError: naming file and line of the first item without an id.
    """
    mapping = map_columns(file, "items", overrides)
    known, notes = _known_columns(file, mapping, forms)
    others, other_notes = _other_columns(file, mapping)
    clean = pl.DataFrame(known).with_columns(others).drop_nulls("item_id")
    unique = clean.unique("item_id", keep="first", maintain_order=True)
    notes = Notes(read=(f"Items: {file.name}; {mapping.words(file)}.",)) + notes + other_notes
    repeated = clean.height - unique.height
    if repeated:
        words = f"{repeated:,} rows of {file.name} repeat an item id; the first was kept."
        notes += Notes(warnings=(words,))
    return unique, notes


def clean_users(
    file: SourceFile,
    overrides: Mapping[str, str],
    vocabulary: Vocabulary,
    forms: Forms = AS_SEEN,
) -> tuple[pl.DataFrame, Notes]:
    """Return the users in the order of ``vocabulary``, first column ``user_id``.

    A user whom the file lacks has nulls; one without an event is left out and counted.

    Raises:
        DataError: naming file and line of the first user without an id.
    """
    mapping = map_columns(file, "users", overrides)
    names, notes = ids(file, mapping.columns["user_id"], forms)
    table = file.table.with_columns(names.alias("user_id")).drop_nulls("user_id")
    others = [name for name in mapping.others if name != "user_id"]
    table = table.select("user_id", *(without_blanks(table[name]) for name in others))
    unique = table.unique("user_id", keep="first", maintain_order=True)
    rows = pl.DataFrame({"user_id": vocabulary.ids.tolist()}, schema={"user_id": pl.String})
    joined = rows.join(unique, on="user_id", how="left", maintain_order="left")
    lacking = rows.join(unique, on="user_id", how="anti").height
    warnings = (f"{lacking:,} users have no row in {file.name}.",) if lacking else ()
    silent = unique.height - (rows.height - lacking)
    dropped = (Dropped(f"users of {file.name} without an event", silent),) if silent else ()
    read = (f"Users: {file.name}; {mapping.words(file)}.",)
    return joined, Notes(read=read, dropped=dropped, warnings=warnings) + notes


def items_within(events: pl.DataFrame) -> tuple[pl.DataFrame | None, list[str]]:
    """Return the items described in the events themselves, and the columns that do so.

    A column such as ``title`` describes the item when it hardly ever differs between its events.
    """
    usual = {name for names in NAMES["items"].values() for name in names} - {"item_id", "id"}
    names = [name for name in events.columns if name.lower() in usual - NAMES["events"].keys()]
    if not names:
        return None, []
    given = pl.col(names).drop_nulls()
    varied = events.group_by("item_id").agg(given.n_unique() > 1).select(pl.col(names).mean())
    constant = [name for name in names if varied[name][0] < _RARELY]
    if not constant:
        return None, []
    first = pl.col(constant).drop_nulls().first()
    return events.group_by("item_id", maintain_order=True).agg(first), constant


def in_catalog_order(items: pl.DataFrame | None, vocabulary: Vocabulary) -> pl.DataFrame:
    """Return one row per id of ``vocabulary``, in its order, with all columns of a catalogue."""
    table = pl.DataFrame({"item_id": vocabulary.ids.tolist()}, schema={"item_id": pl.String})
    if items is not None:
        table = table.join(items, on="item_id", how="left", maintain_order="left")
    known = [
        pl.col(name).cast(dtype) if name in table.columns else pl.lit(None, dtype=dtype).alias(name)
        for name, dtype in CATALOG_TYPES.items()
    ]
    others = [name for name in table.columns if name not in CATALOG_TYPES]
    return table.select(*known, *others).with_columns(pl.col("categories").fill_null([]))


def _known_columns(
    file: SourceFile, mapping: ColumnMapping, forms: Forms
) -> tuple[list[pl.Series], Notes]:
    source = mapping.columns
    found = [("item_id", ids(file, source["item_id"], forms))]
    found += [
        (field, texts(file.table[source[field]], forms))
        for field in ("title", "description", "brand")
        if field in source
    ]
    if "categories" in source:
        column = source["categories"]
        are_words = column in file.sequences
        found.append(("categories", categories(file.table[column], forms, are_words=are_words)))
    if "price" in source:
        found.append(("price", prices(file.table[source["price"]], forms)))
    if "image" in source:
        found.append(("image", _images(file, source["image"])))
    notes = Notes()
    for _, (_, found_notes) in found:
        notes += found_notes
    return [series.alias(field) for field, (series, _) in found], notes


def _other_columns(file: SourceFile, mapping: ColumnMapping) -> tuple[list[pl.Series], Notes]:
    """Return what else is known of the items, but for columns that only number them."""
    columns = [
        without_blanks(file.table[name]) for name in mapping.others if name not in CATALOG_TYPES
    ]
    numberings = [series.name for series in columns if _is_numbering(series)]
    read = []
    if numberings:
        read.append(f"Left out of the items, another numbering: {', '.join(numberings)}.")
    if IMAGE_VECTOR in file.table.columns:
        have = file.table[IMAGE_VECTOR].count()
        read.append(f"Image vectors: {have:,} of {file.table.height:,} items have one.")
    kept = [series for series in columns if series.name not in numberings]
    return kept, Notes(read=tuple(read))


def _is_numbering(series: pl.Series) -> bool:
    """Tell whether a column of the items numbers them without gaps, from 0 or 1."""
    if not series.dtype.is_integer() or series.null_count() or series.len() < 2:
        return False
    ordered = series.sort().to_numpy()
    return ordered[0] in (0, 1) and bool((np.diff(ordered) == 1).all())


def _images(file: SourceFile, column: str) -> tuple[pl.Series, Notes]:
    """Return pictures as bytes, read from files beside the table where it names paths."""
    series = file.table[column]
    if series.dtype == pl.Binary:
        return series.alias("image"), Notes()
    if series.dtype != pl.String:
        return pl.Series("image", [None] * series.len(), dtype=pl.Binary), Notes()
    names = [name or "" for name in series]
    links = sum("://" in name for name in names)
    paths = [file.path.parent / name for name in names if name and "://" not in name]
    found = {path: path.read_bytes() for path in paths if path.is_file()}
    pictures = [found.get(file.path.parent / Path(name)) for name in names]
    warnings = []
    if lacking := sum(path not in found for path in paths):
        warnings.append(f"{lacking:,} pictures named in {file.name} are not there.")
    if links:
        warnings.append(f"{links:,} pictures are links and were not fetched.")
    return pl.Series("image", pictures, dtype=pl.Binary), Notes(warnings=tuple(warnings))
