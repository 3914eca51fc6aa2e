"""Typed tables in the few types that cleaning knows: numbers, dates, text, lists."""

import polars as pl


def plain_types(table: pl.DataFrame) -> pl.DataFrame:
    """Return the table with what a text file would hold in place of rarer types.

    Categories become text, NaN becomes null, decimals become floats. What is neither a number nor a
    date becomes text: a time of day, a duration, a whole number of more than 64 bits.
    """
    return pl.DataFrame([_plain(series) for series in table.get_columns()])


_WHOLE = (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64)


def _plain(series: pl.Series) -> pl.Series:
    dtype = series.dtype
    is_wide = dtype.is_integer() and dtype not in _WHOLE
    if is_wide or dtype in (pl.Categorical, pl.Enum, pl.Time):
        return series.cast(pl.String)
    if dtype == pl.Duration:
        texts = [None if value is None else str(value) for value in series]
        return pl.Series(series.name, texts, dtype=pl.String)
    if dtype.is_decimal():
        return series.cast(pl.Float64)
    return series.fill_nan(None) if dtype.is_float() else series
