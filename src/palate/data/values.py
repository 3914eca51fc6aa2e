"""What a column holds, as Palate wants it: ids, times, ratings, prices, categories, clean text.

What a person must mend is an error that names the file and the line; what only costs a detail (a
price that is no number) becomes a null, which the report counts.
"""

import html
import json
from dataclasses import dataclass

import polars as pl

from palate.data.sources.read import SourceFile
from palate.errors import DataError

_TIME_UNITS = (
    (100_000_000_000, 1, "Unix seconds"),
    (100_000_000_000_000, 1_000, "Unix milliseconds"),
    (100_000_000_000_000_000, 1_000_000, "Unix microseconds"),
    (2**63, 1_000_000_000, "Unix nanoseconds"),
)
"""Largest number taken for the unit (the year 5138), its parts per second, its name."""

_TIME_FORMATS = (
    *("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"),
    *("%Y/%m/%d %H:%M:%S", "%Y-%m-%d", "%Y/%m/%d", "%Y%m%d", "%d.%m.%Y", "%b %d, %Y", "%d %b %Y"),
)
_ZONED_FORMATS = ("%+", "%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z")

_TIMES_HINT = (
    "Give Unix seconds or milliseconds, or dates such as 2024-01-31 or 2024-01-31T12:00:00Z."
)
_EARLIEST_PLAUSIBLE = 157_766_400
"""1975: smaller numbers are more likely an order than a time."""


@dataclass(frozen=True)
class Times:
    """Points in time as whole numbers in the source's own unit, so that their order is kept."""

    values: pl.Series
    """Int64, null where unknown."""
    per_second: int
    description: str


def ids(file: SourceFile, column: str) -> pl.Series:
    """Return a column of ids as text.

    Raises:
        DataError: for the first row without one.
    """
    series = file.table[column]
    if series.dtype.is_float() and series.drop_nulls().is_finite().all():
        whole = series.cast(pl.Int64)
        series = whole if (whole == series).all() else series
    if series.dtype.is_nested() or series.dtype == pl.Binary:
        raise DataError(
            f"{str(file.path)!r}: the column {column!r} holds {series.dtype}, not ids.",
            hint="Map another column.",
        )
    series = series.cast(pl.String)
    _refuse(
        file, series.is_null() | (series == ""), f"no {column}", "Fill it in or remove the row."
    )
    return series


def times(file: SourceFile, column: str, *, may_lack: bool = False) -> Times:
    """Return a column of times, whether numbers or dates; ``may_lack`` allows empty ones.

    Raises:
        DataError: for the first row whose time is missing or cannot be read.
    """
    series = file.table[column]
    if series.dtype == pl.String:
        series = series.replace("", None)
    if not may_lack:
        hint = (
            f"Fill it in, remove the row, or ignore the column with --column timestamp= ({column})."
        )
        _refuse(file, series.is_null(), f"no time in {column!r}", hint)
    if series.dtype.is_temporal():
        micros = series.cast(pl.Datetime("us")).to_physical()
        return Times(micros, 1_000_000, "dates")
    numbers = series.cast(pl.Float64, strict=False) if series.dtype == pl.String else series
    if not numbers.dtype.is_numeric():
        raise DataError(
            f"{str(file.path)!r}: the column {column!r} holds {series.dtype}, not times.",
            hint=_TIMES_HINT,
        )
    if numbers.count() < series.count() / 2 or _are_compact_dates(series):
        return _dated_times(file, column, series.cast(pl.String))
    bad = numbers.is_null() & series.is_not_null()
    _refuse(file, bad, f"the time in {column!r} cannot be read", _TIMES_HINT, shown=series)
    return _numeric_times(file, column, _exact(series, numbers))


def ratings(file: SourceFile, column: str) -> pl.Series:
    """Return a column of ratings as Float32, null where there is none.

    Raises:
        DataError: for the first rating that is not a finite number.
    """
    series = file.table[column]
    if series.dtype == pl.String:
        series = series.replace("", None)
    numbers = series.cast(pl.Float32, strict=False)
    bad = (numbers.is_null() & series.is_not_null()) | (
        numbers.is_not_null() & ~numbers.is_finite()
    )
    hint = "Give a finite number, or leave the field empty where there is no rating."
    _refuse(file, bad, f"the rating in {column!r} is not a number", hint, shown=series)
    return numbers


def prices(series: pl.Series) -> pl.Series:
    """Return prices as Float32; ``$1,299.00`` is a number, what is none becomes null."""
    if series.dtype.is_numeric():
        return series.cast(pl.Float32)
    if series.dtype != pl.String:
        return pl.Series(series.name, [None] * series.len(), dtype=pl.Float32)
    digits = series.str.replace_all(",", "", literal=True).str.extract(
        r"^[^\d\-]{0,4}(\d+(?:\.\d+)?)\s*\D{0,4}$"
    )
    return digits.cast(pl.Float32, strict=False)


def texts(series: pl.Series) -> pl.Series:
    """Return text without HTML entities and outer blanks, null where nothing is left."""
    if series.dtype == pl.List(pl.String):
        series = series.list.join(" ")
    series = unescaped(series.cast(pl.String)).str.strip_chars()
    return series.set(series == "", None)


def unescaped(series: pl.Series) -> pl.Series:
    """Return text with HTML entities turned into characters: ``&amp;`` becomes ``&``."""
    if not series.str.contains("&", literal=True).any():
        return series
    return pl.Series(
        series.name,
        [value if value is None or "&" not in value else html.unescape(value) for value in series],
        dtype=pl.String,
    )


def categories(series: pl.Series) -> tuple[pl.Series, str]:
    """Return lists of text, empty where there are none, and how the column was cut."""
    how = "lists"
    if series.dtype == pl.String:
        series, how = _cut(series)
    elif series.dtype != pl.List(pl.String):
        inner = series.dtype.inner if isinstance(series.dtype, pl.List) else None
        is_flat = inner is not None and not inner.is_nested()
        series = series.cast(pl.List(pl.String)) if is_flat else _flattened(series)
    name = series.name
    frame = pl.DataFrame({"list": series.fill_null([])}).with_row_index("row")
    cells = frame.explode("list", empty_as_null=True)
    cells = cells.with_columns(texts(cells["list"]))
    kept = cells.drop_nulls("list").group_by("row", maintain_order=True).agg("list")
    joined = frame.select("row").join(kept, on="row", how="left", maintain_order="left")
    return joined["list"].fill_null([]).alias(name), how


def _flattened(series: pl.Series) -> pl.Series:
    """Flatten lists of lists (paths from the root), each name once, in order."""
    rows = [_names(value) for value in series.to_list()]
    return pl.Series(series.name, rows, dtype=pl.List(pl.String))


def _names(value: object) -> list[str]:
    if value is None:
        return []
    if isinstance(value, (list, tuple)):
        return list(dict.fromkeys(name for part in value for name in _names(part)))
    return [str(value)]


def _cut(series: pl.Series) -> tuple[pl.Series, str]:
    """Cut each text at the separator that occurs; at commas only where they are the rule."""
    series = series.replace("", None)
    filled = series.drop_nulls()
    if filled.len() and filled.str.starts_with("[").all():
        return _from_json(series), "JSON lists"
    for mark in ("|", ">", ";"):
        if filled.str.contains(mark, literal=True).any():
            return series.str.split(mark), f"text cut at {mark!r}"
    if filled.str.contains(",", literal=True).sum() > filled.len() / 2:
        return series.str.split(","), "text cut at ','"
    return series.str.split("\x00"), "one per item"


def _from_json(series: pl.Series) -> pl.Series:
    rows = []
    for value in series:
        try:
            rows.append(_names(json.loads(value)) if value is not None else [])
        except ValueError:
            rows.append([value.strip("[]")])
    return pl.Series(series.name, rows, dtype=pl.List(pl.String))


def _are_compact_dates(series: pl.Series) -> bool:
    """Tell whether the numbers are dates such as 20240131."""
    sample = series.drop_nulls().head(1000).cast(pl.String)
    return sample.len() > 0 and bool(
        sample.str.contains(r"^(19|20)\d\d(0[1-9]|1[0-2])([0-2]\d|3[01])$").all()
    )


def _exact(series: pl.Series, numbers: pl.Series) -> pl.Series:
    """Prefer whole numbers: a Float64 cannot tell nanoseconds apart."""
    whole = series.cast(pl.Int64, strict=False)
    return whole if whole.null_count() == numbers.null_count() else numbers


def _numeric_times(file: SourceFile, column: str, numbers: pl.Series) -> Times:
    if numbers.dtype.is_float():
        bad = numbers.is_not_null() & ~numbers.is_finite()
        _refuse(file, bad, f"the time in {column!r} is not a number", _TIMES_HINT, shown=numbers)
    before = (numbers < 0).fill_null(False)
    _refuse(file, before, f"the time in {column!r} is before 1970", _TIMES_HINT, shown=numbers)
    beyond = (numbers.cast(pl.Float64) >= float(_TIME_UNITS[-1][0])).fill_null(False)
    _refuse(file, beyond, f"the time in {column!r} is beyond any date", _TIMES_HINT, shown=numbers)
    median = numbers.median()
    typical = float(median) if isinstance(median, (int, float)) else 0.0
    per_second, name = next((per, name) for limit, per, name in _TIME_UNITS if typical < limit)
    if typical < _EARLIEST_PLAUSIBLE:
        name = "small numbers, taken as an order and stored as they are"
    if numbers.dtype.is_float() and per_second == 1:
        numbers, per_second = numbers * 1_000_000, 1_000_000
    return Times(numbers.cast(pl.Int64), per_second, name)


def _dated_times(file: SourceFile, column: str, series: pl.Series) -> Times:
    parsed = pl.Series(series.name, [None], dtype=pl.Datetime("us")).new_from_index(0, series.len())
    used = []
    for layout in (*_TIME_FORMATS, *_ZONED_FORMATS):
        missing = parsed.is_null() & series.is_not_null()
        if not missing.any():
            break
        found = _strptime(series, layout)
        if (found.is_not_null() & missing).any():
            parsed = parsed.zip_with(~missing, found)
            used.append(layout)
    bad = parsed.is_null() & series.is_not_null()
    _refuse(file, bad, f"the time in {column!r} cannot be read", _TIMES_HINT, shown=series)
    return Times(parsed.to_physical(), 1_000_000, f"dates ({', '.join(used)}), in UTC")


def _strptime(series: pl.Series, layout: str) -> pl.Series:
    if layout in _ZONED_FORMATS:
        zoned = series.str.to_datetime(layout, time_unit="us", time_zone="UTC", strict=False)
        return zoned.dt.replace_time_zone(None)
    if "%H" in layout:
        return series.str.to_datetime(layout, time_unit="us", strict=False)
    return series.str.to_date(layout, strict=False).cast(pl.Datetime("us"))


def _refuse(
    file: SourceFile, bad: pl.Series, what: str, hint: str, *, shown: pl.Series | None = None
) -> None:
    """Raise for the first row that is ``bad``, with what stands there."""
    row = bad.arg_max()
    if row is None or not bad[row]:
        return
    value = "" if shown is None else f": {str(shown[row])[:60]!r}"
    raise DataError(f"{file.where(row)}: {what}{value}.", hint=hint)
