"""Points in time, whether numbers of any unit, dates of any form, or all of that in one column.

A time that is plainly made up (9999-12-31, the year 1, second 0) is none. Where numbers and dates,
or seconds and milliseconds, stand in one column, each value is read by its own size.
"""

import time
from dataclasses import replace

import polars as pl
from polars.exceptions import PolarsError

from palate.data.preparation_report import Notes
from palate.data.sources.read import SourceFile
from palate.data.values.cells import (
    AS_SEEN,
    Cells,
    Forms,
    counted,
    kind_in_words,
    refuse,
    share,
    shown,
    tidy,
)
from palate.data.values.dates import MICROSECONDS, by_layout, read_dates
from palate.data.values.epochs import (
    DAY,
    EARLIEST,
    LATEST,
    SHEET_DAYS,
    UNITS,
    Times,
    are_days_of_other_orders,
    as_numbers,
    numeric_times,
    scaled,
    with_slashes,
)
from palate.errors import ConfigError, DataError

_NO_DATE = r"^(?:0000|0001)\D"
"""What databases write for no date at all."""
_HINT = (
    "Give Unix seconds or milliseconds, or dates such as 2024-01-31 or 2024-01-31T12:00:00Z;"
    " or say how they are written, for instance --time-format '%d.%m.%Y %H:%M';"
    " or ignore the column with --column timestamp= (nothing behind it)."
)


def times(file: SourceFile, column: str, forms: Forms = AS_SEEN) -> Times:
    """Return a column of times, whether numbers or dates, null where there is none.

    Raises:
        DataError: for the first row whose time cannot be read.
        ConfigError: when the time format of ``forms`` cannot be used.
    """
    cells = tidy(file.table[column], forms)
    series = cells.values
    made_up = _no_dates(series)
    found = _read(file, column, series.set(made_up, None) if made_up.any() else series, forms)
    if found.is_order:
        before = (found.values < 0).fill_null(False)
        refuse(file, before, f"the time in {column!r} is before 1970", _HINT, given=series)
    else:
        made_up |= _made_up(found)
    values = found.values.set(made_up, None) if made_up.any() else found.values
    unread = values.is_null() & series.is_not_null() & ~made_up
    refuse(file, unread, f"the time in {column!r} cannot be read", _HINT, given=series)
    return replace(
        found,
        values=values,
        notes=cells.notes
        + found.notes
        + _early(found, values, series)
        + _late(found, values, series)
        + _shortened(series),
        missing=_missing(cells, made_up),
        fillers=None,
    )


def _no_dates(series: pl.Series) -> pl.Series:
    """Tell where a database has written a date of zeros, or of the year 1."""
    if series.dtype != pl.String or not series.str.starts_with("000").any():
        return pl.Series([False]).new_from_index(0, series.len())
    return series.str.contains(_NO_DATE).fill_null(False)


def _made_up(found: Times) -> pl.Series:
    """Tell which times are none: on the first day of 1970 or before, from 2100 on, or fillers."""
    seconds = found.values // found.per_second
    made_up = ((seconds <= DAY) | (seconds >= LATEST)).fill_null(False)
    return made_up if found.fillers is None else made_up | found.fillers


def _missing(cells: Cells, made_up: pl.Series) -> str:
    """Say what stands where no time is known."""
    empty = int((cells.values.is_null() & cells.words.is_null()).sum())
    fillers = cells.values.filter(made_up).cast(pl.String)
    parts = [
        counted(cells.words),
        f"{counted(fillers)}, made up" if fillers.len() else "",
        f"empty ({empty:,})" if empty else "",
    ]
    return ", ".join(part for part in parts if part)


def _early(found: Times, values: pl.Series, series: pl.Series) -> Notes:
    """Warn of times before 1975 among later ones: more likely numbers of something else."""
    if found.is_order:
        return Notes()
    early = (values // found.per_second < EARLIEST).fill_null(False)
    if not early.any():
        return Notes()
    example = shown(series.filter(early)[0])
    finding = f'{share(int(early.sum()), values.len())} times in "{series.name}" are before 1975'
    return Notes(warnings=(f"{finding}, such as {example}: is it the right column?",))


def _late(found: Times, values: pl.Series, series: pl.Series) -> Notes:
    """Warn of times that are still to come: they would be what models are tested on."""
    if found.is_order:
        return Notes()
    late = (values // found.per_second > time.time() + DAY).fill_null(False)
    if not late.any():
        return Notes()
    example = shown(series.filter(late)[0])
    share_in_words = share(int(late.sum()), values.len())
    warning = f'{share_in_words} times in "{series.name}" lie in the future, such as {example}.'
    return Notes(warnings=(f"{warning} If they stand for no time, give --null {example}.",))


def _shortened(series: pl.Series) -> Notes:
    """Warn of numbers that a spreadsheet has shortened to ``1.6E+09``."""
    if series.dtype != pl.String or not series.str.contains("E+", literal=True).any():
        return Notes()
    bad = series.str.contains("E+", literal=True).fill_null(False)
    finding = f'{share(int(bad.sum()), series.len())} times in "{series.name}" were shortened by a'
    example = shown(series.filter(bad)[0])
    words = f"{finding} spreadsheet, such as {example}: they are not exact. Export them as text."
    return Notes(warnings=(words,))


def holds_times(series: pl.Series) -> bool:
    """Tell by a sample whether a column holds what can be read as points in time."""
    if series.dtype.is_temporal():
        return isinstance(series.dtype, (pl.Datetime, pl.Date))
    if not (series.dtype.is_numeric() or series.dtype == pl.String):
        return False
    filled = tidy(series.head(10_000)).values.drop_nulls()
    filled = filled if filled.len() else tidy(series).values.drop_nulls()
    sample = filled.gather_every(max(1, filled.len() // 200))
    if sample.len() == 0:
        return False
    numbers = as_numbers(sample)
    if numbers.count() >= sample.len() / 2:
        known = numbers.drop_nulls()
        return bool(known.is_finite().all()) and not numeric_times(known).is_order
    return read_dates(sample.cast(pl.String)).micros.count() >= sample.len() / 2


def clock(series: pl.Series) -> pl.Series | None:
    """Return times of day as seconds, or None where a column holds anything else."""
    if series.dtype != pl.String:
        return None
    values = tidy(series).values
    pattern = r"^(\d{1,2}):(\d{2})(?::(\d{2}))?$"
    filled = values.drop_nulls()
    if not filled.len() or not filled.head(100).str.contains(pattern).all():
        return None
    parts = values.str.extract_groups(pattern).struct.unnest().cast(pl.Int64)
    seconds = parts.select(
        pl.col("1") * 3600 + pl.col("2") * 60 + pl.col("3").fill_null(0)
    ).to_series()
    known = seconds.drop_nulls()
    return seconds.fill_null(0) if known.len() == filled.len() and (known < DAY).all() else None


def _read(file: SourceFile, column: str, series: pl.Series, forms: Forms) -> Times:
    """Return times as they stand there, those that are made up included."""
    if series.dtype.is_temporal():
        if not isinstance(series.dtype, (pl.Datetime, pl.Date)):
            raise _no_times(file, column, series)
        return Times(series.cast(pl.Datetime("us")).to_physical(), MICROSECONDS, "dates")
    if series.dtype == pl.Null:
        return Times(series.cast(pl.Int64), 1, "none", is_order=True)
    if not (series.dtype.is_numeric() or series.dtype == pl.String):
        raise _no_times(file, column, series)
    if forms.time_format is not None and forms.time_format not in {*UNITS, SHEET_DAYS}:
        return _by_format(file, column, series.cast(pl.String), forms.time_format)
    numbers = as_numbers(series)
    endless = (numbers.is_not_null() & ~numbers.is_finite()).fill_null(False)
    refuse(file, endless, f"the time in {column!r} is not a number", _HINT, given=series)
    if numbers.null_count() == series.null_count():
        if forms.time_format is None and are_days_of_other_orders(numbers):
            return _mixed(file, column, with_slashes(numbers), numbers.clear(numbers.len()), forms)
        return numeric_times(numbers, forms.time_format)
    return _mixed(file, column, series, numbers, forms)


def _no_times(file: SourceFile, column: str, series: pl.Series) -> DataError:
    return DataError(
        f"{str(file.path)!r}: the column {column!r} holds {kind_in_words(series)}, not times.",
        hint=_HINT,
    )


def _mixed(
    file: SourceFile, column: str, series: pl.Series, numbers: pl.Series, forms: Forms
) -> Times:
    """Return dates, among which there may be numbers."""
    is_number = numbers.is_not_null()
    dates = read_dates(series.set(is_number, None) if is_number.any() else series)
    how = f"dates ({dates.how}), in UTC"
    if not is_number.any():
        return Times(dates.micros, MICROSECONDS, how, dates.notes)
    among = numeric_times(numbers, forms.time_format)
    if among.is_order:
        finding = f"the time in {column!r} cannot be read"
        unread = dates.micros.is_null() & series.is_not_null() & ~is_number
        refuse(file, unread if unread.any() else is_number, finding, _HINT, given=series)
    same = scaled(among.values, among.per_second, MICROSECONDS)
    warning = (
        f'{share(int(is_number.sum()), series.count())} times in "{column}" are numbers'
        f" ({among.description}), the others dates; each was read as what it is."
    )
    notes = dates.notes + among.notes + Notes(warnings=(warning,))
    micros = dates.micros.zip_with(~is_number, same)
    finding = f"{how}; numbers among them: {among.description}"
    return Times(micros, MICROSECONDS, finding, notes, fillers=among.fillers)


def _by_format(file: SourceFile, column: str, series: pl.Series, layout: str) -> Times:
    try:
        micros = by_layout(series, layout) if "%" in layout else None
    except (PolarsError, ValueError) as error:
        raise ConfigError(
            f"--time-format {layout[:60]!r} cannot be used: {str(error)[:100]}.",
            hint="Write it as in '%d.%m.%Y %H:%M'; day, month and year are needed.",
        ) from error
    if micros is None:
        raise ConfigError(
            f"--time-format {layout[:60]!r} names no form.",
            hint="Write it as in '%d.%m.%Y %H:%M', or give one of"
            f" {', '.join([*UNITS, SHEET_DAYS])}.",
        )
    bad = micros.is_null() & series.is_not_null()
    finding = f"the time in {column!r} is not written as {layout!r}"
    refuse(file, bad, finding, "Mend the value, or give another --time-format.", given=series)
    return Times(micros, MICROSECONDS, f"dates ({layout}), in UTC")
