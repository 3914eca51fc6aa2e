"""Times as numbers: since 1970 in any unit, dates in digits, days of a spreadsheet, or an order."""

from dataclasses import dataclass, field, replace

import polars as pl

from palate.data.preparation_report import Notes
from palate.data.values.cells import share
from palate.data.values.dates import MICROSECONDS, by_layout

SHEET_DAYS = "excel"
"""What the user calls the days that spreadsheets count."""
UNITS = {
    "seconds": 1,
    "milliseconds": 1_000,
    "microseconds": 1_000_000,
    "nanoseconds": 1_000_000_000,
}
"""Parts per second of the units that times since 1970 come in."""
_LARGEST = 100_000_000_000
"""Numbers of seconds are smaller (the year 5138), numbers of milliseconds are not (1973)."""
_COMPACT = {
    8: ("%Y%m%d", "days such as 20240131"),
    14: ("%Y%m%d%H%M%S", "dates such as 20240131235959"),
    17: ("%Y%m%d%H%M%S%3f", "dates such as 20240131235959000"),
}
"""Dates written as one number, by its digits; as times since 1970 they would be of 1970 or 2600."""
_COMPACT_BY_COLUMN = (
    (10, "%Y%m%d%H", "hours such as 2024013123"),
    (12, "%Y%m%d%H%M", "dates such as 202401312359"),
    (12, "%y%m%d%H%M%S", "dates such as 240131235959"),
)
"""The same, where the number could also be a time since 1970: only if a whole column can be."""

DAY = 86_400
EARLIEST = 157_766_400
"""1975: smaller numbers are more likely an order than a time."""
LATEST = 4_102_444_800
"""2100: later times are fillers."""
_YEAR_9999 = (253_370_764_800, 253_402_300_801)
_LARGEST_INTEGERS = (2**31 - 1, 2**32 - 1, 2**63 - 1)
_LIKELY_SHEET_DAYS = (30_000, 60_000)
"""Days that spreadsheets count from 1899-12-30: 1982 to 2064."""
_SHEET_START = -25_569 * DAY


@dataclass(frozen=True)
class Times:
    """Points in time as whole numbers in the source's own unit, so that their order is kept."""

    values: pl.Series
    """Int64, null where unknown."""
    per_second: int
    description: str
    notes: Notes = field(default_factory=Notes)
    is_order: bool = False
    """Whether they are small numbers that only tell what comes first."""
    missing: str = ""
    """What stands where no time is known: ``'NA' (10), empty (2)``."""
    fillers: pl.Series | None = None
    """Which numbers are no times, of whatever unit, but stand where one is missing."""


def as_numbers(series: pl.Series) -> pl.Series:
    """Return text or numbers as numbers, null where the text is none; whole where all are."""
    if series.dtype == pl.String:
        whole = series.cast(pl.Int64, strict=False)
        if whole.null_count() == series.null_count():
            return whole
        numbers = series.cast(pl.Float64, strict=False)
        if series.str.contains(",", literal=True).any():
            point = series.str.replace(r"^(\d+),(\d+)$", "$1.$2")
            numbers = point.cast(pl.Float64, strict=False)
        # A Float64 cannot tell nanoseconds apart.
        if whole.null_count() == numbers.null_count():
            return whole
        series = numbers
    if series.dtype.is_float():
        known = series.drop_nulls()
        if known.is_finite().all() and (known.floor() == known).all() and (known < 2**63).all():
            return series.cast(pl.Int64, strict=False)
    return series.cast(pl.Float64) if series.dtype.is_decimal() else series


def numeric_times(numbers: pl.Series, time_format: str | None = None) -> Times:
    """Return numbers as times, in the unit that their size, or the user, tells."""
    if time_format in UNITS:
        return Times(*_whole(numbers, UNITS[time_format]), f"Unix {time_format}")
    if time_format == SHEET_DAYS:
        return _sheet_days(numbers)
    likely = numbers.filter((numbers > 0) & ~_is_filler(numbers)).drop_nulls()
    median = likely.median()
    typical = float(median) if isinstance(median, (int, float)) else 0.0
    if typical < EARLIEST and not _are_days(likely):
        low, high = _LIKELY_SHEET_DAYS
        are_sheet_days = likely.len() > 0 and likely.is_between(low, high).all()
        if not are_sheet_days:
            return _order(numbers)
        note = (
            f'The numbers in "{numbers.name}" lie between {low:,} and {high:,} and were taken for'
            " days of a spreadsheet; they order the events alike if they are none."
        )
        return replace(_sheet_days(numbers), notes=Notes(read=(note,)))
    for digits, layout, name in _COMPACT_BY_COLUMN:
        if _are_compact(likely, digits, layout):
            micros = _compact(numbers, digits, layout)
            fillers = _is_filler(numbers) | (numbers <= DAY).fill_null(False)
            return Times(micros, MICROSECONDS, f"{name} ({layout}), in UTC", fillers=fillers)
    return _by_size(numbers)


def _by_size(numbers: pl.Series) -> Times:
    """Read each number in the unit that its size tells: seconds, milliseconds, dates in digits."""
    fillers = _is_filler(numbers) | (numbers <= DAY).fill_null(False)
    rest = numbers.set(fillers, None)
    readings: list[tuple[str, pl.Series, int]] = []
    for digits, (layout, name) in _COMPACT.items():
        of_a_year = 10 ** (digits - 4)
        fits = rest.is_between(1900 * of_a_year, 2100 * of_a_year - 1).fill_null(False)
        micros = _compact(rest.set(~fits, None), digits, layout) if fits.any() else None
        if micros is not None and micros.count() >= fits.sum() / 2:
            readings.append((f"{name} ({layout}), in UTC", micros, MICROSECONDS))
            rest = rest.set(fits, None)
    low = 0
    for power, (unit, per_second) in enumerate(UNITS.items()):
        high = _LARGEST * 1_000**power if power < 3 else 2**63 - 1
        fits = rest.is_between(low, high, closed="left").fill_null(False)
        if fits.any():
            values, parts = _whole(rest.set(~fits, None), per_second)
            late = (values // parts >= LATEST).fill_null(False)
            fillers |= late
            values = values.set(late, None)
            readings.append((f"Unix {unit}", values, parts))
        low = high
    return replace(_together(numbers, readings), fillers=fillers)


def _together(numbers: pl.Series, readings: list[tuple[str, pl.Series, int]]) -> Times:
    """Return times that were read in one or several units, in the finest of these."""
    if len(readings) == 1:
        name, values, per_second = readings[0]
        return Times(values, per_second, name)
    per_second = max((parts for _, _, parts in readings), default=1)
    values = pl.Series(numbers.name, [None], dtype=pl.Int64).new_from_index(0, numbers.len())
    kinds = []
    for name, found, parts in readings:
        known = found.is_not_null()
        values = scaled(found, parts, per_second).zip_with(known, values)
        example = numbers.filter(known)[0]
        kinds.append(f"{share(int(known.sum()), numbers.len())} {name}, such as {example}")
    words = f'The times in "{numbers.name}" are of several kinds: {"; ".join(kinds)}.'
    warning = (
        f"{words} Each was read by its size; say --time-format milliseconds (or another) if not."
    )
    return Times(values, per_second, "; ".join(kinds), Notes(warnings=(warning,)))


def scaled(values: pl.Series, per_second: int, wanted: int) -> pl.Series:
    """Return times in parts of a second, ``wanted`` of them, where they came ``per_second``."""
    return (
        values * (wanted // per_second)
        if wanted >= per_second
        else values // (per_second // wanted)
    )


def _order(numbers: pl.Series) -> Times:
    name = "small numbers, taken as an order and stored as they are"
    values, per_second = _whole(numbers, 1)
    return Times(values, per_second, name, is_order=True)


def _whole(numbers: pl.Series, per_second: int) -> tuple[pl.Series, int]:
    """Return numbers as whole ones; fractions of seconds as microseconds."""
    if numbers.dtype.is_float() and per_second < MICROSECONDS:
        return (numbers * (MICROSECONDS // per_second)).cast(pl.Int64, strict=False), MICROSECONDS
    return numbers.cast(pl.Int64, strict=False), per_second


def _sheet_days(numbers: pl.Series) -> Times:
    micros = ((numbers.cast(pl.Float64) * DAY).round() + _SHEET_START) * MICROSECONDS
    return Times(
        micros.cast(pl.Int64), MICROSECONDS, "days of a spreadsheet, counted from 1899-12-30"
    )


def _is_filler(numbers: pl.Series) -> pl.Series:
    """Tell which numbers mean no time in any unit: of the year 9999, or the largest there are."""
    first, end = _YEAR_9999
    found = numbers == _LARGEST_INTEGERS[0]
    for largest in _LARGEST_INTEGERS[1:]:
        found |= numbers == largest
    for per_second in (1, 1_000, 1_000_000):
        found |= numbers.is_between(first * per_second, end * per_second - 1)
    for digits in (8, 10, 12, 14, 17):
        found |= numbers.is_between(9999 * 10 ** (digits - 4), 10**digits - 1)
    return found.fill_null(False)


def _are_days(numbers: pl.Series) -> bool:
    """Tell whether nearly all numbers look like 20240131, days such as 31 February included."""
    month, day = numbers // 100 % 100, numbers % 100
    looks = numbers.is_between(19_000_101, 20_991_231)
    looks &= month.is_between(1, 12) & day.is_between(1, 31)
    return numbers.len() > 0 and int(looks.sum()) >= 0.9 * numbers.len()


def are_days_of_other_orders(numbers: pl.Series) -> bool:
    """Tell whether all numbers look like 31012024 or 12312024: the year last, from 1975 on.

    As such numbers are not in the order of their dates, they cannot be taken for an order.
    """
    known = numbers.drop_nulls()
    first, other, year = known // 1_000_000, known // 10_000 % 100, known % 10_000
    fits = year.is_between(1975, 2099) & first.is_between(1, 31) & other.is_between(1, 31)
    fits &= (first <= 12) | (other <= 12)
    return known.dtype.is_integer() and known.len() > 0 and bool(fits.all())


def with_slashes(numbers: pl.Series) -> pl.Series:
    """Return 31012024 as ``31/01/2024``."""
    digits = numbers.cast(pl.String).str.zfill(8)
    parts = (digits.str.slice(start, length) for start, length in ((0, 2), (2, 2), (4, 4)))
    first, other, year = parts
    return (first + "/" + other + "/" + year).alias(numbers.name)


def _are_compact(numbers: pl.Series, digits: int, layout: str) -> bool:
    """Tell whether nearly all numbers are dates of so many digits, of 1975 to 2099."""
    # Most columns are recognised by their size, without parsing.
    of_a_year = 10 ** (digits - 4)
    low, high = 10 ** (digits - 2), 10**digits - 1
    if layout.startswith("%Y"):
        low, high = 1975 * of_a_year, 2100 * of_a_year - 1
    fits = numbers.is_between(low, high)
    if numbers.len() == 0 or int(fits.sum()) < 0.9 * numbers.len():
        return False
    seconds = _compact(numbers, digits, layout) // MICROSECONDS
    plausible = seconds.is_between(EARLIEST, LATEST)
    return int(plausible.sum()) >= 0.9 * numbers.len()


def _compact(numbers: pl.Series, digits: int, layout: str) -> pl.Series:
    """Return numbers such as 20240131 as microseconds, null for what is no date."""
    fits = numbers.is_between(10 ** (digits - 1), 10**digits - 1).fill_null(False)
    text = numbers.set(~fits, None).cast(pl.Int64, strict=False).cast(pl.String)
    if layout.endswith("%H"):
        # The parser wants minutes beside hours.
        return by_layout(text + "00", f"{layout}%M")
    return by_layout(text, layout)
