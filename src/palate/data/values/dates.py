"""Dates and times as people and programs write them, turned into microseconds since 1970.

The usual forms of ISO 8601 are parsed in one go. Anything else is taken apart by a few patterns:
day first or month first, with names of months, with a zone, as Go, mail and browsers print it.
Whether ``03/07/2023`` is March or July is judged by the whole column: a 13 in either place decides.
"""

from dataclasses import dataclass, field

import polars as pl

from palate.data.preparation_report import Notes
from palate.data.values.cells import shown

MICROSECONDS = 1_000_000
_YEAR_1000 = -30_610_224_000 * MICROSECONDS

_LAYOUTS = (
    *("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d", "%Y-%m-%dT%H:%M:%S%.fZ"),
    *("%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d", "%Y%m%d"),
    *("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S UTC"),
)
"""Tried first, each on all values at once: it takes a tenth of the time of a pattern."""
_POINTED = ("%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%d.%m.%Y")
"""The same, but only where all of a column fits: that days stand first is then beyond doubt."""
_SAMPLE = 1_000

_CLOCK = (
    r"(?:(?:[T ,:/_]|\s+(?:at|\x{e0}|um|alle|a las)\s+)+(?P<hour>\d{1,2})(?:[:.hH](?P<minute>\d{2})"
    r"(?:[:.](?P<second>\d{2})(?:[.,:](?P<fraction>\d{1,9}))?)?)?"
    r"(?:\s*(?P<half>[AaPp])\.?[Mm]\.?)?)?"
)
_ZONE = (
    r"(?:\s*(?P<zone>[A-Za-z]{1,5}))?(?:\s*(?P<offset>[+\-\x{2212}]\d{1,2}(?::?\d{2})?)(?:\[[\w/+-]+\])?)?"
    r"(?:\s+(?:[A-Z]{2,5}|[+\-]\d{4}))?(?:\s+\([^)]*\))?(?:\s+m=[+\-][\d.]+)?$"
)
_WEEKDAY = r"^(?:[A-Za-z]{2,9}\.?,?\s+)?"

_YEAR_FIRST = (
    r"^(?P<year>\d{4})[-/. \x{5e74}](?P<month>\d{1,2})[-/. \x{6708}](?P<day>\d{1,2})\x{65e5}?"
    rf"{_CLOCK}{_ZONE}"
)
_COMPACT = (
    r"^(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})[T _-]?(?P<hour>\d{2}):?(?P<minute>\d{2})"
    rf"(?::?(?P<second>\d{{2}})(?:[.,](?P<fraction>\d{{1,9}}))?)?{_ZONE}"
)
_NUMBERS = (
    r"^(?P<first>\d{1,2})(?P<mark>[-/. ])(?P<other>\d{1,2})[-/. ](?P<year>\d{4}|\d{2})"
    rf"{_CLOCK}{_ZONE}"
)
_DAY_NAME = (
    rf"{_WEEKDAY}(?P<day>\d{{1,2}})(?:st|nd|rd|th|\.)?[-/ ]+(?:de )?(?P<name>\p{{L}}{{3,10}})"
    rf"\.?,?[-/ ]+(?:de )?(?P<year>\d{{4}}|\d{{2}}){_CLOCK}{_ZONE}"
)
_NAME_DAY = (
    rf"{_WEEKDAY}(?P<name>\p{{L}}{{3,10}})\.?[- ]+(?P<day>\d{{1,2}})(?:st|nd|rd|th)?,?[- ]+"
    rf"(?P<year>\d{{4}}){_CLOCK}{_ZONE}"
)
_YEAR_LAST = (
    rf"{_WEEKDAY}(?P<name>\p{{L}}{{3}})\s+(?P<day>\d{{1,2}}){_CLOCK}"
    r"(?:\s+(?P<zone>[A-Z]{2,5}))?(?:\s+(?P<offset>[+\-]\d{4}))?\s+(?P<year>\d{4})$"
)
_NAMED = (_YEAR_FIRST, _COMPACT, _DAY_NAME, _NAME_DAY, _YEAR_LAST)
_PARTS = (
    *("year", "month", "day", "first", "other", "mark", "name", "hour", "minute", "second"),
    *("fraction", "half", "zone", "offset"),
)

_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            ("jan", "ene", "gen"),
            ("feb", "fév"),
            ("mar", "mär", "mrz", "maa"),
            ("apr", "abr", "avr"),
            ("may", "mai", "mei", "mag"),
            ("jun", "giu", "juin"),
            ("jul", "lug", "juil"),
            ("aug", "ago", "aoû"),
            ("sep", "set"),
            ("oct", "okt", "ott", "out"),
            ("nov",),
            ("dec", "dez", "dic", "déc"),
        ),
        start=1,
    )
    for name in names
}
"""How the months begin in English, German, Spanish, Italian, French, Dutch and Portuguese."""
_ZONES = {
    **dict.fromkeys(("z", "utc", "gmt", "ut", "uhr", "h", "wet"), 0),
    **{"est": -5, "edt": -4, "cst": -6, "cdt": -5, "mst": -7, "mdt": -6, "pst": -8, "pdt": -7},
    **{"cet": 1, "cest": 2, "mez": 1, "mesz": 2, "eet": 2, "eest": 3, "west": 1, "bst": 1},
    **{"msk": 3, "jst": 9, "kst": 9},
}
"""Hours before UTC of the zones whose name means one thing only, or always does in mail."""


@dataclass(frozen=True)
class Dates:
    """Text read as dates."""

    micros: pl.Series
    """Int64, microseconds since 1970 in UTC; null where the text is none."""
    how: str
    """In which form they are written."""
    notes: Notes = field(default_factory=Notes)


def read_dates(series: pl.Series) -> Dates:
    """Return a column of text as points in time; what says no zone is taken to be UTC."""
    pointed = _pointed(series)
    if pointed is not None:
        return pointed
    micros, layouts = _by_layouts(series)
    rest = micros.is_null() & series.is_not_null()
    if not rest.any():
        return Dates(micros, ", ".join(layouts))
    found = _by_patterns(series.filter(rest))
    micros = micros.scatter(rest.arg_true(), found.micros)
    return Dates(micros, ", ".join([*layouts, *([found.how] if found.how else [])]), found.notes)


def by_layout(series: pl.Series, layout: str) -> pl.Series:
    """Return text of one form as microseconds, null where it is of another.

    Raises:
        polars.exceptions.PolarsError: when the form cannot be used.
    """
    if "%z" in layout or "%#z" in layout or "%:z" in layout or layout == "%+":
        found = series.str.to_datetime(layout, time_unit="us", time_zone="UTC", strict=False)
    elif any(clock in layout for clock in ("%H", "%I", "%T", "%R", "%k", "%l", "%s", "%X", "%c")):
        found = series.str.to_datetime(layout, time_unit="us", strict=False)
    else:
        found = series.str.to_date(layout, strict=False).cast(pl.Datetime("us"))
    # A year of two digits is no year of the Romans.
    micros = found.to_physical()
    return micros.set((micros < _YEAR_1000).fill_null(False), None)


def _pointed(series: pl.Series) -> Dates | None:
    """Parse a column of which every value is like ``07.03.2023 14:06``."""
    filled = series.drop_nulls()
    sample = filled.head(_SAMPLE)
    for layout in _POINTED:
        if sample.len() and by_layout(sample, layout).null_count() == 0:
            micros = by_layout(series, layout)
            if micros.null_count() == series.null_count():
                note = f"Dates: day first, with points between the numbers: {shown(filled[0])}."
                return Dates(micros, layout, Notes(read=(note,)))
    return None


def _by_layouts(series: pl.Series) -> tuple[pl.Series, list[str]]:
    """Parse with the usual layouts, those alone that fit some of the values looked at first."""
    micros = pl.Series(series.name, [None], dtype=pl.Int64).new_from_index(0, series.len())
    filled = series.drop_nulls()
    sample = filled.gather_every(max(1, filled.len() // _SAMPLE))
    used = []
    for layout in _LAYOUTS:
        if sample.len() == 0 or not by_layout(sample, layout).count():
            continue
        missing = micros.is_null() & series.is_not_null()
        found = by_layout(series.filter(missing), layout)
        micros = micros.scatter(missing.arg_true(), found)
        used.append(layout)
        sample = sample.filter(by_layout(sample, layout).is_null())
    return micros, used


def _by_patterns(series: pl.Series) -> Dates:
    """Take texts apart; each distinct one once."""
    distinct = series.unique(maintain_order=True)
    parts = _no_parts(distinct.len())
    for pattern in _NAMED:
        parts = _filled_in(parts, distinct, pattern)
    numbers = _filled_in(_no_parts(distinct.len()), distinct, _NUMBERS)
    numbers = numbers.filter(parts["year"].is_null())
    day_first, notes = _order_of_days(numbers, distinct.filter(parts["year"].is_null()), series)
    first, other = ("day", "month") if day_first else ("month", "day")
    ordered = numbers.with_columns(pl.col("first").alias(first), pl.col("other").alias(other))
    rows = parts["year"].is_null().arg_true()
    parts = pl.DataFrame([parts[name].scatter(rows, ordered[name]) for name in _PARTS])
    micros = _micros(parts)
    known = pl.DataFrame({"text": distinct, "micros": micros})
    joined = (
        series.alias("text").to_frame().join(known, on="text", how="left", maintain_order="left")
    )
    fits = micros.is_not_null()
    how = f"as in {shown(distinct.filter(fits)[0])}" if fits.any() else ""
    return Dates(joined["micros"], how, notes)


def _no_parts(num_rows: int) -> pl.DataFrame:
    return pl.DataFrame(
        [pl.Series(name, [None], dtype=pl.String).new_from_index(0, num_rows) for name in _PARTS]
    )


def _filled_in(parts: pl.DataFrame, series: pl.Series, pattern: str) -> pl.DataFrame:
    """Return the parts of the texts that a pattern fits, where no other one did before."""
    missing = parts["year"].is_null()
    if not missing.any():
        return parts
    found = series.filter(missing).str.extract_groups(pattern).struct.unnest()
    if found["year"].is_null().all():
        return parts
    rows = missing.arg_true()
    return parts.with_columns(parts[name].scatter(rows, found[name]) for name in found.columns)


def _order_of_days(
    numbers: pl.DataFrame, texts: pl.Series, series: pl.Series
) -> tuple[bool, Notes]:
    """Tell whether days stand before months, and say why.

    A number above 12 decides, the majority where they disagree. Where all days are below 13, it is
    the order by which the dates lie closer together, for events of a shop come one after another;
    points between the numbers always mean day first.
    """
    known = numbers["year"].is_not_null()
    if not known.any():
        return True, Notes()
    example = shown(texts.filter(known)[0])
    first, other = (numbers[name].cast(pl.Int32) for name in ("first", "other"))
    days_first, months_first = (int((x > 12).sum()) for x in (first, other))
    if days_first or months_first:
        day_first = days_first >= months_first
        words = "day first" if day_first else "month first"
        number = first if day_first else other
        proof = shown(texts.filter((number > 12).fill_null(False))[0])
        return day_first, Notes(read=(f"Dates: {words}, as {proof} shows.",))
    if (numbers["mark"].drop_nulls() == ".").all():
        return True, Notes(
            read=(f"Dates: day first, as points between the numbers say: {example}.",)
        )
    day_first = _span(numbers, "first", "other") < _span(numbers, "other", "first")
    words = "day first" if day_first else "month first"
    pattern = _pattern(texts.filter(known)[0], day_first=day_first)
    return day_first, Notes(
        warnings=(
            f"Dates such as {example} may have the day or the month first; {words} was taken, by"
            f" which they lie closer together. Say which with --time-format, for instance"
            f" '{pattern}'.",
        )
    )


def _pattern(text: str, *, day_first: bool) -> str:
    """Return the pattern of ``--time-format`` by which a date with numbers alone is read."""
    mark = next(letter for letter in text if not letter.isdigit())
    day = mark.join(("%d", "%m") if day_first else ("%m", "%d"))
    date, *clock = text.split(maxsplit=1)
    year = "%Y" if len(date) > 8 or len(date.rpartition(mark)[2]) == 4 else "%y"
    layout = f"{day}{mark}{year}"
    if clock:
        hour = "%I" if clock[0][-1] in "mM" else "%H"
        minutes = ":%M:%S" if clock[0].count(":") == 2 else ":%M"
        layout += f" {hour}{minutes}" + (" %p" if hour == "%I" else "")
    return layout


def _span(numbers: pl.DataFrame, day: str, month: str) -> int:
    """Return the microseconds between the first and the last date, were they so ordered."""
    micros = _micros(numbers.with_columns(pl.col(day).alias("day"), pl.col(month).alias("month")))
    low, high = micros.min(), micros.max()
    return int(high) - int(low) if isinstance(low, int) and isinstance(high, int) else 2**62


def _micros(parts: pl.DataFrame) -> pl.Series:
    """Put dates together; null where a part is missing, out of range or an unknown word."""
    numbers = parts.with_columns(
        pl.col("year", "month", "day", "hour", "minute", "second").cast(pl.Int64)
    )
    name = pl.col("name").str.to_lowercase()
    # French tells June from July by the fourth letter only.
    month = pl.coalesce(
        name.str.slice(0, letters).replace_strict(_MONTHS, default=None, return_dtype=pl.Int64)
        for letters in (4, 3)
    )
    year = pl.col("year")
    century = pl.when(parts["year"].str.len_chars() > 2).then(0).when(year < 70).then(2000)
    days = pl.format(
        "{}-{}-{}",
        (year + century.otherwise(1900)).cast(pl.String).str.zfill(4),
        pl.coalesce("month", month).cast(pl.String).str.zfill(2),
        pl.col("day").cast(pl.String).str.zfill(2),
    ).str.to_date("%Y-%m-%d", strict=False)
    fraction = pl.col("fraction").str.pad_end(6, "0").str.slice(0, 6).cast(pl.Int64)
    seconds = days.cast(pl.Int64) * 86_400 + _clock() - _offset()
    return numbers.select(
        (seconds * MICROSECONDS + fraction.fill_null(0)).alias("micros")
    ).to_series()


def _clock() -> pl.Expr:
    """Return the seconds since midnight, null for what no clock shows."""
    hour, minute = pl.col("hour").fill_null(0), pl.col("minute").fill_null(0)
    second, half = pl.col("second").fill_null(0), pl.col("half").str.to_lowercase()
    fits = (minute < 60) & (second <= 60)
    fits &= pl.when(half.is_null()).then(hour < 24).otherwise(hour.is_between(1, 12))
    of_half = hour % 12 + pl.when(half == "p").then(12).otherwise(0)
    hours = pl.when(half.is_null()).then(hour).otherwise(of_half)
    return pl.when(fits).then(hours * 3600 + minute * 60 + second)


def _offset() -> pl.Expr:
    """Return the seconds by which a zone is before UTC; null for the name of no zone known here."""
    offset = pl.col("offset").str.replace("\N{MINUS SIGN}", "-").str.replace(":", "")
    digits = offset.str.slice(1)
    # +2, +02 and +0200: one or two digits are hours.
    padded = pl.when(digits.str.len_chars() <= 2).then(digits.str.zfill(2) + "00").otherwise(digits)
    padded = padded.str.zfill(4)
    hours, minutes = (padded.str.slice(at, 2).cast(pl.Int64) for at in (0, 2))
    sign = pl.when(offset.str.starts_with("-")).then(-1).otherwise(1)
    zone = pl.col("zone").str.to_lowercase()
    named = zone.replace_strict(_ZONES, default=None, return_dtype=pl.Int64) * 3600
    is_known = zone.is_null() | named.is_not_null()
    offsets = pl.coalesce(sign * (hours * 3600 + minutes * 60), named, pl.lit(0))
    return pl.when(is_known).then(offsets)
