"""Cells before they mean anything: blanks cut off, words for *nothing* turned into nulls."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import polars as pl
from polars.exceptions import PolarsError

from palate.data.preparation_report import Notes
from palate.data.sources.read import SourceFile
from palate.errors import DataError

BLANKS = (
    " \t\n\r\v\f\x85\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\u200b\u2060\ufeff"
)
"""What is cut off around a value: every blank of Unicode, also those without width."""

NULL_WORDS = (
    *("NA", "na", "N/A", "n/a", "#N/A", "#NA", "<NA>", "NaN", "nan", "NAN", "-nan", "-NaN"),
    *("NaT", "nat", "NULL", "null", "Null", "(null)", "[null]", "<null>", "None", "none", "NONE"),
    *("\\N", "undefined", "nil", "<nil>", "(blank)", "-", "--", "\N{EN DASH}", "\N{EM DASH}"),
    *("#VALUE!", "#REF!", "#NAME?", "#NULL!", "#NUM!", "#DIV/0!"),
)
"""How programs write that there is nothing: R, pandas, SQL, Python, JavaScript, spreadsheets."""

_LONGEST_SHOWN = 60


@dataclass(frozen=True)
class Forms:
    """What the user says of how values are written, where that cannot be seen in them."""

    decimal: Literal[",", "."] | None = None
    """The decimal mark of numbers; judged by each whole column if None."""
    time_format: str | None = None
    """A pattern such as ``%d.%m.%Y %H:%M``, or a unit such as ``milliseconds``; seen if None."""
    null_words: frozenset[str] = frozenset(NULL_WORDS)
    """Values that mean there is none."""
    drop_incomplete: bool = False
    """Whether rows without a user, an item or a time are left out."""


AS_SEEN = Forms()
"""Nothing is said: every form is judged by the values."""


@dataclass(frozen=True)
class Cells:
    """A column of text without blanks around its values and without words for *nothing*."""

    values: pl.Series
    """Null where nothing is given."""
    words: pl.Series
    """The word for *nothing* where one stands, else null."""
    notes: Notes
    """Says how many blanks were cut off."""
    is_graphic: bool = False
    """Whether nothing but visible ASCII stood there, as in most columns of ids."""


def tidy(series: pl.Series, forms: Forms = AS_SEEN) -> Cells:
    """Return a column of any type without what only its dress adds."""
    if series.dtype.is_float():
        return _as_it_is(series.fill_nan(None))
    if series.dtype == pl.Binary:
        # Text that a program has written as bytes; what is none stays as it is.
        with suppress(PolarsError):
            series = series.cast(pl.String)
    if isinstance(series.dtype, (pl.Categorical, pl.Enum)):
        series = series.cast(pl.String)
    if series.dtype != pl.String:
        return _as_it_is(series)
    # Most columns hold no blank at all, which one look at each value tells.
    has_blanks = bool(series.str.contains(r"[^\x21-\x7e]").any())
    stripped = series.str.strip_chars(BLANKS) if has_blanks else series
    empty = stripped == ""
    if empty.any():
        stripped = stripped.set(empty, None)
    is_word = stripped.is_in(list(forms.null_words)).fill_null(False)
    nothing = pl.Series(series.name, [None], dtype=pl.String).new_from_index(0, series.len())
    return Cells(
        values=stripped.set(is_word, None) if is_word.any() else stripped,
        words=stripped.zip_with(is_word, nothing) if is_word.any() else nothing,
        notes=_cut_blanks(series, stripped) if has_blanks else Notes(),
        is_graphic=not has_blanks,
    )


def without_blanks(series: pl.Series) -> pl.Series:
    """Return a column that means nothing here, without blanks around text and without NaN."""
    if series.dtype.is_float():
        return series.fill_nan(None)
    return series.str.strip_chars(BLANKS) if series.dtype == pl.String else series


def shown(value: object) -> str:
    """Return a value so that it can stand in a sentence: quoted and cut."""
    text = str(value)
    return repr(text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}...")


def share(part: int, whole: int) -> str:
    """Return ``20 of 30 (67%)``."""
    percent = part / max(1, whole)
    rounded = "under 1%" if 0 < percent < 0.005 else f"{percent:.0%}"
    return f"{part:,} of {whole:,} ({rounded})"


def counted(words: pl.Series, most: int = 3) -> str:
    """Return the values of a column with how often each stands there: ``'NA' (10), '-' (2)``."""
    counts = words.drop_nulls().value_counts(sort=True)
    shown_words = [f"{shown(word)} ({count:,})" for word, count in counts.head(most).iter_rows()]
    return f"{', '.join(shown_words)}{' and others' if counts.height > most else ''}"


def kind_in_words(series: pl.Series) -> str:
    """Return what a column holds, in a word or two: types can be pages long."""
    if isinstance(series.dtype, (pl.List, pl.Array)):
        return "lists"
    if isinstance(series.dtype, pl.Struct):
        return "objects"
    return str(series.dtype)[:40]


def refuse(
    file: SourceFile, bad: pl.Series, what: str, hint: str, *, given: pl.Series | None = None
) -> None:
    """Raise for the first row that is ``bad``, with what stands there.

    Raises:
        DataError: naming file and line.
    """
    rows = bad.fill_null(False)
    row = rows.arg_max()
    if row is None or not rows[row]:
        return
    value = "" if given is None else f": {shown(given[row])}"
    raise DataError(f"{file.where(row)}: {what}{value}.", hint=hint)


def _as_it_is(series: pl.Series) -> Cells:
    nothing = pl.Series(series.name, [None], dtype=pl.String).new_from_index(0, series.len())
    return Cells(series, nothing, Notes())


def _cut_blanks(series: pl.Series, stripped: pl.Series) -> Notes:
    cut = ((stripped != series) & stripped.is_not_null()).fill_null(False)
    first = cut.arg_max()
    if first is None or not cut[first]:
        return Notes()
    finding = f'Blanks around {share(int(cut.sum()), series.len())} values of "{series.name}" were'
    return Notes(read=(f"{finding} cut off, for instance {shown(series[first])}.",))
