"""Ratings and prices: numbers as people and spreadsheets write them.

Which mark stands before the decimals is judged by the whole column: ``12,95`` and ``1.299,00`` tell
that it is the comma. A number such as ``1.299`` tells nothing; a column of nothing else is read as
computers write it, and the report warns.
"""

from typing import Literal

import polars as pl

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
from palate.errors import DataError

Mark = Literal[",", "."]

_NAMES: dict[Mark, str] = {",": "comma", ".": "point"}
_OTHER: dict[Mark, Mark] = {",": ".", ".": ","}

_GAPS = r"[ \x{a0}\x{2009}\x{202f}'\x{2019}]"
"""What stands between thousands beside comma and point: blanks of all widths, apostrophes."""
_AMOUNT = (
    # A currency before the digits, up to four characters; a fraction such as .99 only after a sign.
    rf"^(?:[^\d\-.,A-Za-z]{{0,4}}([.,]\d+)|[^\d\-]{{0,4}}\s*(\d(?:(?:[\d.,]|{_GAPS})*\d)?))"
    # No cents (12,-) and a currency behind them.
    r"(?:[.,]?[\-\x{2013}\x{2014}]{1,2})?\s*\D{0,6}$"
)
_GROUPED = rf"^\d{{1,3}}(?:{_GAPS}\d{{3}})+(?:[.,]\d{{1,2}})?$"
_SIGNS = {
    **{"USD": "$", "US$": "$", "EUR": "\N{EURO SIGN}"},
    **{"GBP": "\N{POUND SIGN}", "JPY": "\N{YEN SIGN}"},
}
_CURRENCY = r"((?:\b[A-Z]{1,2})?\$|[\x{20a0}-\x{20cf}\x{a3}\x{a5}]|\b[A-Z]{3}\b)"


def ratings(file: SourceFile, column: str, forms: Forms = AS_SEEN) -> tuple[pl.Series, Notes]:
    """Return a column of ratings as Float32, null where there is none.

    Raises:
        DataError: for the first rating that is not a finite number.
    """
    raw = file.table[column]
    if not (raw.dtype in {pl.String, pl.Null, pl.Boolean} or raw.dtype.is_numeric()):
        raise DataError(
            f"{str(file.path)!r}: the column {column!r} holds {kind_in_words(raw)}, not ratings.",
            hint=f"Map another column, or none with --column rating= ({column}).",
        )
    numbers = raw.cast(pl.Float32, strict=False)
    if numbers.null_count() == raw.null_count() and numbers.drop_nulls().is_finite().all():
        return numbers, Notes()
    cells = tidy(raw, forms)
    numbers, notes = _with_either_mark(cells.values)
    bad = (numbers.is_null() & cells.values.is_not_null()) | ~numbers.is_finite().fill_null(True)
    hint = (
        "Give a finite number, or leave the field empty where there is no rating;"
        " or name the word that means none, as in --null missing;"
        f" or ignore the column with --column rating= ({column})."
    )
    refuse(file, bad, f"the rating in {column!r} is not a number", hint, given=cells.values)
    return numbers, cells.notes + notes + _no_ratings(column, cells, raw)


def _with_either_mark(series: pl.Series) -> tuple[pl.Series, Notes]:
    """Return ratings as numbers; as they have no thousands, their one mark is the decimal mark."""
    if series.dtype != pl.String:
        return series.cast(pl.Float32, strict=False), Notes()
    commas = series.str.contains(r"^[-+]?\d*,\d+$").fill_null(False)
    numbers = series.str.replace(",", ".", literal=True).cast(pl.Float32, strict=False)
    numbers = numbers.set(series.str.contains(",", literal=True).fill_null(False) & ~commas, None)
    if not commas.any():
        return numbers, Notes()
    example = shown(series.filter(commas)[0])
    finding = f"{share(int(commas.sum()), series.len())} have a decimal comma, such as {example}"
    return numbers, Notes(read=(f"Ratings: {finding}.",))


def _no_ratings(column: str, cells: Cells, raw: pl.Series) -> Notes:
    """Tell how many ratings are words for *nothing*, or not a number of computers (NaN)."""
    if cells.words.count():
        finding = f"{share(cells.words.count(), raw.len())} are {counted(cells.words)}"
    elif cells.values.null_count() > raw.null_count() and raw.dtype.is_float():
        finding = f"{share(cells.values.null_count() - raw.null_count(), raw.len())} are NaN"
    else:
        return Notes()
    return Notes(read=(f'Ratings: of the values in "{column}" {finding}: no rating.',))


def prices(series: pl.Series, forms: Forms = AS_SEEN) -> tuple[pl.Series, Notes]:
    """Return prices as Float32; ``$1,299.00`` is a number, what is none becomes null."""
    cells = tidy(series, forms)
    notes = Notes()
    if series.dtype.is_numeric():
        amounts = cells.values.cast(pl.Float64)
    elif cells.values.dtype == pl.String:
        amounts, notes = _amounts(cells.values, forms)
    else:
        amounts = pl.Series(series.name, [None], dtype=pl.Float64).new_from_index(0, series.len())
    bad = (~amounts.is_finite() | (amounts < 0)).fill_null(False)
    amounts = amounts.set(bad, None)
    notes = cells.notes + notes + _no_prices(cells, amounts)
    return amounts.cast(pl.Float32).alias(series.name), notes


def _no_prices(cells: Cells, amounts: pl.Series) -> Notes:
    """Warn of what was given as a price and is none."""
    left_out = amounts.is_null() & (cells.values.is_not_null() | cells.words.is_not_null())
    if not left_out.any():
        return Notes()
    finding = f"{int(left_out.sum()):,} prices are no number, or below zero, and were left out"
    if cells.values.dtype.is_nested():
        return Notes(warnings=(f"{finding}: they are {kind_in_words(cells.values)}.",))
    given = cells.words.zip_with(cells.words.is_not_null(), cells.values.cast(pl.String))
    return Notes(warnings=(f"{finding}: {counted(given.filter(left_out))}.",))


def _amounts(series: pl.Series, forms: Forms) -> tuple[pl.Series, Notes]:
    """Return amounts of money written in any way, null for what is none."""
    numbers = series.cast(pl.Float64, strict=False)
    if numbers.null_count() == series.null_count() and not _is_unclear(series, ".").any():
        return numbers, Notes()
    frame = pl.DataFrame({"text": series}).with_columns(
        pl.col("text").str.extract(_AMOUNT, 1).alias("fraction"),
        pl.col("text").str.extract(_AMOUNT, 2).alias("amount"),
    )
    digits = frame.select(pl.coalesce("fraction", "amount")).to_series()
    gaps = digits.str.contains(_GAPS)
    if gaps.any():
        grouped = digits.str.contains(_GROUPED)
        digits = digits.set((gaps & ~grouped).fill_null(False), None)
        digits = digits.str.replace_all(_GAPS, "")
    amounts, notes = _by_marks(series, digits, forms.decimal)
    return amounts, notes + _currencies(series)


def _by_marks(
    series: pl.Series, digits: pl.Series, decimal: Mark | None
) -> tuple[pl.Series, Notes]:
    """Return digits with commas and points as numbers, each mark read as the column has it."""
    tells = {mark: _tells(digits, mark) for mark in _NAMES}
    votes = {mark: int(found.sum()) for mark, found in tells.items()}
    unclear = {mark: _is_unclear(digits, mark) for mark in _NAMES}
    chosen: Mark = decimal or ("," if votes[","] > votes["."] else ".")
    is_comma = tells[","] | (unclear[","] | unclear["."] if chosen == "," else False)
    as_comma = digits.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
    as_point = digits.str.replace_all(",", "", literal=True)
    known = tells[","] | tells["."] | unclear[","] | unclear["."] | digits.str.contains(r"^\d+$")
    text = as_comma.zip_with(is_comma.fill_null(False), as_point)
    numbers = text.set(~known.fill_null(False), None).cast(pl.Float64, strict=False)
    return numbers, _mark_notes(series, numbers, tells, unclear, decimal, chosen)


def _tells(digits: pl.Series, decimal: Mark) -> pl.Series:
    """Tell which numbers show that ``decimal`` is the decimal mark."""
    mark, thousands = (rf"\{x}" for x in (decimal, _OTHER[decimal]))
    grouped = rf"\d{{1,3}}(?:{thousands}\d{{2,3}})*{thousands}\d{{3}}"
    shapes = (
        rf"{grouped}{mark}\d+",  # 1.299,00
        rf"\d{{1,3}}(?:{thousands}\d{{2,3}})+{thousands}\d{{3}}",  # 1.299.000
        rf"\d*{mark}(?:\d{{1,2}}|\d{{4,}})",  # 12,95
        rf"(?:|0|\d{{4,}}){mark}\d{{3}}",  # 0,299
    )
    return digits.str.contains(rf"^(?:{'|'.join(shapes)})$").fill_null(False)


def _is_unclear(digits: pl.Series, mark: Mark) -> pl.Series:
    """Tell which numbers may be thousands or decimals: ``1,299``."""
    return digits.str.contains(rf"^[1-9]\d{{0,2}}\{mark}\d{{3}}$").fill_null(False)


def _mark_notes(
    series: pl.Series,
    numbers: pl.Series,
    tells: dict[Mark, pl.Series],
    unclear: dict[Mark, pl.Series],
    decimal: Mark | None,
    chosen: Mark,
) -> Notes:
    """Say how the marks were read, and warn where they could be read otherwise."""
    read, warnings = [], []
    comma, point = (int(tells[mark].sum()) for mark in (",", "."))
    either = unclear[","] | unclear["."]
    if comma or point or decimal is not None:
        shows = tells[chosen] | (either & (not tells[chosen].any()))
        dressed = shows & series.cast(pl.Float64, strict=False).is_null()
        example = _example(series, numbers, dressed if dressed.any() else shows)
        read.append(f"Prices: decimal {_NAMES[chosen]}{example}.")
    if comma and point:
        finding = f"{share(comma, comma + point)} prices have a decimal comma, the others a point"
        warnings.append(f"{finding}; each was read by itself.")
    if either.any() and not comma and not point and decimal is None:
        example = _example(series, numbers, either)
        warnings.append(
            f"{share(int(either.sum()), series.len())} prices may have thousands or decimals"
            f"{example}. Tell with --decimal , or --decimal ."
        )
    return Notes(read=tuple(read), warnings=tuple(warnings))


def _example(series: pl.Series, numbers: pl.Series, which: pl.Series) -> str:
    row = which.arg_max()
    if row is None or not which[row]:
        return ""
    return f", {shown(series[row])} is read as {numbers[row]:.10g}"


def _currencies(series: pl.Series) -> Notes:
    """Warn of amounts in several currencies, which are not comparable."""
    signs = series.str.extract(_CURRENCY).replace(_SIGNS)
    if signs.drop_nulls().n_unique() < 2:
        return Notes()
    finding = f"The prices are in several currencies, {counted(signs)}, and are not converted."
    return Notes(warnings=(finding,))
