"""Titles, brands, descriptions and categories: text as a person would write it."""

import html

import polars as pl

from palate.data.preparation_report import Notes
from palate.data.values.cells import AS_SEEN, Forms, counted, share, tidy
from palate.data.values.literals import are_literals, from_literals, is_whole_literal, names_of


def texts(series: pl.Series, forms: Forms = AS_SEEN) -> tuple[pl.Series, Notes]:
    """Return text without HTML entities and outer blanks, null where nothing is left.

    Lists become text: those of words with blanks, those of named objects with commas between.
    """
    if series.dtype == pl.List(pl.String):
        series = series.list.join(" ")
    elif series.dtype.is_nested():
        series = _joined(series, [names_of(value) for value in series.to_list()])
    cells = tidy(series, forms)
    values, notes = cells.values.cast(pl.String), cells.notes
    if cells.words.count():
        finding = f"{share(cells.words.count(), series.len())} values are {counted(cells.words)}"
        notes += Notes(read=(f'Of "{series.name}" {finding}: taken as missing.',))
    if are_literals(values, least=0.99):
        lists, how = from_literals(values)
        values = _joined(values, lists.to_list())
        notes += Notes(read=(f'Of "{series.name}" the values are {how}; their names are joined.',))
    plain = unescaped(values).str.strip_chars()
    return plain.set(plain == "", None).alias(series.name), notes


def unescaped(series: pl.Series) -> pl.Series:
    """Return text with HTML entities turned into characters: ``&amp;`` becomes ``&``."""
    if not series.str.contains("&", literal=True).any():
        return series
    return pl.Series(
        series.name,
        [value if value is None or "&" not in value else html.unescape(value) for value in series],
        dtype=pl.String,
    )


def categories(
    series: pl.Series, forms: Forms = AS_SEEN, *, are_words: bool = False
) -> tuple[pl.Series, Notes]:
    """Return lists of text, empty where there are none, and how the column was cut.

    Args:
        series: lists, lists in text, or text with marks between the categories.
        forms: what the user says of how values are written.
        are_words: whether blanks stand between the categories.
    """
    cells = tidy(series, forms)
    name, series, how = series.name, cells.values, "lists"
    notes = cells.notes
    if cells.words.count():
        finding = f"{share(cells.words.count(), series.len())} are {counted(cells.words)}"
        notes += Notes(read=(f"Categories: {finding}: none.",))
    if series.dtype == pl.String:
        series, how = _cut(series, are_words=are_words)
    elif series.dtype != pl.List(pl.String):
        inner = series.dtype.inner if isinstance(series.dtype, pl.List) else None
        is_flat = inner is not None and not inner.is_nested()
        series = series.cast(pl.List(pl.String)) if is_flat else _flattened(series)
    return _clean(series).alias(name), Notes(read=(f"Categories: {how}.",)) + notes


def _clean(series: pl.Series) -> pl.Series:
    """Return lists without entities, outer blanks and empty names."""
    frame = pl.DataFrame({"list": series.fill_null([])}).with_row_index("row")
    cells = frame.explode("list", empty_as_null=True)
    plain = unescaped(cells["list"].cast(pl.String)).str.strip_chars()
    cells = cells.with_columns(plain.set(plain == "", None))
    kept = cells.drop_nulls("list").group_by("row", maintain_order=True).agg("list")
    joined = frame.select("row").join(kept, on="row", how="left", maintain_order="left")
    return joined["list"].fill_null([])


def _joined(series: pl.Series, lists: "list[list[str] | None]") -> pl.Series:
    text = [None if names is None else ", ".join(names) for names in lists]
    return pl.Series(series.name, text, dtype=pl.String)


def _flattened(series: pl.Series) -> pl.Series:
    """Flatten lists of lists (paths from the root) or of objects, each name once, in order."""
    rows = [names_of(value) for value in series.to_list()]
    return pl.Series(series.name, rows, dtype=pl.List(pl.String))


def _cut(series: pl.Series, *, are_words: bool) -> tuple[pl.Series, str]:
    """Return the names in each cell, whether it is a list or a text with separators."""
    if are_literals(series):
        return from_literals(series)
    is_list = _whole_literals(series)
    if is_list.any():
        lists, how = from_literals(series.set(~is_list, None))
        cut, marks = _cut_at_marks(series.set(is_list, None), are_words=are_words)
        return lists.zip_with(is_list, cut), f"{how}; others: {marks}"
    return _cut_at_marks(series, are_words=are_words)


def _whole_literals(series: pl.Series) -> pl.Series:
    """Tell which cells are lists among others that are text."""
    if not are_literals(series, least=0.0):
        return pl.Series([False]).new_from_index(0, series.len())
    return pl.Series([cell is not None and is_whole_literal(cell) for cell in series])


def _cut_at_marks(series: pl.Series, *, are_words: bool) -> tuple[pl.Series, str]:
    """Cut each text at the separator that occurs; at commas only where they are the rule."""
    filled = series.drop_nulls()
    if are_words:
        return series.str.split(" "), "text cut at blanks"
    for mark in ("|", ">", ";"):
        if filled.str.contains(mark, literal=True).any():
            return series.str.split(mark), f"text cut at {mark!r}"
    if filled.str.contains(",", literal=True).sum() > filled.len() / 2:
        return series.str.split(","), "text cut at ','"
    return series.str.split("\x00"), "one per item"
