"""Ids: text that is the same wherever one user or item is meant."""

import re

import polars as pl

from palate.data.ids import LONGEST_ID, LONGEST_ID_BYTES
from palate.data.preparation_report import Notes
from palate.data.sources.read import SourceFile
from palate.data.values.cells import (
    AS_SEEN,
    Forms,
    counted,
    kind_in_words,
    refuse,
    share,
    shown,
    tidy,
)
from palate.errors import DataError

CONTROL = r"[\x00-\x1f\x7f]"
"""What no id may hold, as a regular expression: ids are printed, logged and put into addresses."""

_NUMBER = r"^[-+]?\d[\d.,]*(?:E\+\d+)?$"
_SAMPLE = 1_000
"""Rows by which a column of other ids is recognised among columns of numbers."""
_WHOLE_FLOAT = r"^[-+]?\d+(?:\.0*|,00?)?$"
"""A whole number, perhaps as a float; a comma before three zeros may stand between thousands."""
_SHORTENED = r"^\d(?:[.,]\d+)?E\+\d+$"
_STAND_INS = ("0", "-1", "guest", "anonymous", "anon", "unknown", "(not set)", "not set", "missing")
"""What shops write for somebody who is not known, beside a UUID of zeros; lower case."""
_NO_UUID = r"^[0{(]?[0-]{30,}[)}]?$"
_FORMULA = r'^="(.*)"$'
_EXACT_IN_FLOAT = 2**53


def ids(file: SourceFile, column: str, forms: Forms = AS_SEEN) -> tuple[pl.Series, Notes]:
    """Return a column of ids as text, null where a word such as ``NULL`` stands in place of one.

    Whole numbers that became floats (``10.0``) are whole again where all ids are.

    Raises:
        DataError: for the first row without an id, or with one that is too long or holds a control
            character.
    """
    cells = tidy(file.table[column], forms)
    series, notes = cells.values, cells.notes
    if series.dtype.is_nested() or series.dtype == pl.Binary:
        raise DataError(
            f"{str(file.path)!r}: the column {column!r} holds {kind_in_words(series)}, not ids.",
            hint="Map another column.",
        )
    missing = series.is_null() & cells.words.is_null()
    if not forms.drop_incomplete:
        hint = "Fill it in, remove the row, or leave such rows out with --drop-incomplete."
        refuse(file, missing, f"no {column}", hint)
    notes += _missing(file, column, cells.words, missing)
    series, number_notes = _from_numbers(series)
    series, text_notes = _from_text(series)
    _check(file, column, series, is_graphic=cells.is_graphic)
    return series, notes + number_notes + text_notes


def stand_ins(series: pl.Series) -> Notes:
    """Warn of an id such as ``guest`` or ``0`` that holds far more events than a usual user."""
    counts = series.drop_nulls().value_counts(sort=True)
    if counts.height < 3:
        return Notes()
    (first, count), median = counts.row(0), counts["count"].median()
    name = str(first).lower()
    is_stand_in = name in _STAND_INS or bool(re.match(_NO_UUID, name))
    if not is_stand_in or not isinstance(median, (int, float)) or count < 3 * median:
        return Notes()
    words = (
        f'{share(count, series.len())} events are of one user, {shown(first)}, in "{series.name}"'
    )
    return Notes(warnings=(f"{words}: if it stands for nobody known, give --null {shown(first)}.",))


def _missing(file: SourceFile, column: str, words: pl.Series, missing: pl.Series) -> Notes:
    """Warn of rows that name nobody, or nothing."""
    warnings = []
    if words.count():
        first = file.where(words.is_not_null().arg_max() or 0)
        warnings.append(
            f'{share(words.count(), words.len())} rows of {file.name} have no "{column}" but'
            f" {counted(words)}, first in {first}; they were left out."
            " If it is an id, give --null '' (no words mean nothing)."
        )
    if missing.any():
        finding = (
            f'{share(int(missing.sum()), missing.len())} rows of {file.name} have no "{column}"'
        )
        warnings.append(f"{finding}; they were left out.")
    return Notes(warnings=tuple(warnings))


def _from_numbers(series: pl.Series) -> tuple[pl.Series, Notes]:
    """Return numbers as text, whole ones without a point."""
    if not (series.dtype.is_float() or series.dtype.is_decimal()):
        return series.cast(pl.String), Notes()
    finite = series.cast(pl.Float64)
    if not finite.drop_nulls().is_finite().all():
        return series.cast(pl.String), Notes()
    if not (finite.drop_nulls().floor() == finite.drop_nulls()).all():
        return series.cast(pl.String), Notes()
    warnings = []
    if series.dtype.is_float() and (finite.abs() > _EXACT_IN_FLOAT).any():
        warnings.append(
            f'The ids in "{series.name}" are floating-point numbers too large to be exact:'
            " different ids may have become one. Export them as text."
        )
    whole = finite.cast(pl.Int64, strict=False) if series.dtype.is_float() else series
    text = whole.cast(pl.String).str.replace(r"\.0*$", "")
    return text, Notes(warnings=tuple(warnings))


def _from_text(series: pl.Series) -> tuple[pl.Series, Notes]:
    """Return ids without what spreadsheets and floats put around them."""
    notes = Notes()
    if series.str.starts_with('="').any():
        cells = series.str.contains(_FORMULA)
        series = series.str.replace(_FORMULA, "$1").str.replace_all('""', '"', literal=True)
        finding = (
            f'{share(int(cells.sum()), series.len())} values of "{series.name}" were written as'
        )
        notes += Notes(read=(f'{finding} ="0012" and are read as 0012.',))
    if not series.drop_nulls().head(_SAMPLE).str.contains(_NUMBER).all():
        return series, notes
    ends = series.str.contains(r"(?:\.0{0,2}|,00?)$").fill_null(False)
    if ends.any() and series.str.contains(_WHOLE_FLOAT).all():
        finding = (
            f'{share(int(ends.sum()), series.len())} values of "{series.name}" are whole numbers'
        )
        example = shown(series.filter(ends)[0])
        series = series.str.replace(r"[.,]0*$", "")
        mark = "comma" if "," in example else "point"
        read = f"{finding} written with a {mark}, such as {example}; the {mark} is left out."
        notes += Notes(read=(read,))
    return series, notes + _shortened(series)


def _shortened(series: pl.Series) -> Notes:
    """Warn of ids that a spreadsheet has shortened to ``1.23E+12``."""
    if not series.str.contains("E+", literal=True).any():
        return Notes()
    bad = series.str.contains(_SHORTENED).fill_null(False)
    if not bad.any():
        return Notes()
    finding = (
        f'{share(int(bad.sum()), series.len())} ids in "{series.name}" look like numbers that a'
    )
    example = shown(series.filter(bad)[0])
    return Notes(
        warnings=(f"{finding} spreadsheet has shortened, such as {example}: export them as text.",)
    )


def _check(file: SourceFile, column: str, series: pl.Series, *, is_graphic: bool) -> None:
    """Refuse ids that nothing else takes: too long, or with control characters."""
    longest = series.str.len_bytes().max()
    if isinstance(longest, int) and longest > LONGEST_ID:
        hint = "Is it the right column? Shorten the ids otherwise."
        finding = f"the {column} has more than {LONGEST_ID} characters"
        refuse(
            file,
            series.str.len_chars() > LONGEST_ID,
            finding,
            hint,
            given=series,
        )
        finding = f"the {column} has more than {LONGEST_ID_BYTES} bytes of UTF-8"
        refuse(file, series.str.len_bytes() > LONGEST_ID_BYTES, finding, hint, given=series)
    if is_graphic:
        return
    refuse(
        file,
        series.str.contains(CONTROL).fill_null(False),
        f"the {column} holds a control character",
        "Leave it out of the id.",
        given=series,
    )
