"""Data frames as sources: pandas, polars, pyarrow, and whatever else hands out Arrow tables.

Nothing of pandas or pyarrow is imported; a frame of pandas is read without pyarrow too. The index
of a frame is not read.
"""

import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Protocol, cast, runtime_checkable

import numpy as np
import polars as pl
from polars.exceptions import DuplicateError, PolarsError

from palate.data.sources.plain_types import plain_types
from palate.data.sources.read import Source, SourceFile
from palate.errors import DataError

_FRAMES_HINT = (
    "Give a frame of pandas, polars or pyarrow, or any with __arrow_c_stream__:"
    " one row per event, columns with names."
)


def read_frames(events: object, items: object = None, users: object = None) -> Source:
    """Return frames as a source; ``items`` and ``users`` may be None.

    Raises:
        DataError: when one is no frame, has no rows, or two columns of one name.
    """
    if events is None:
        raise DataError("There are no events: the first frame is None.", hint=_FRAMES_HINT)
    return Source(
        name="frames",
        events=_read(events, "events"),
        items=None if items is None else _read(items, "items"),
        users=None if users is None else _read(users, "users"),
        kind="data frames",
    )


def _read(frame: object, name: str) -> SourceFile:
    table = plain_types(_table(frame, name))
    if table.height == 0:
        raise DataError(f"The {name} have no rows.", hint="Give a frame with at least one row.")
    return SourceFile(Path(name), table, in_memory=True)


def _table(frame: object, name: str) -> pl.DataFrame:
    """Return a frame of any kind as one of polars.

    Raises:
        DataError: when it is no frame.
    """
    if isinstance(frame, pl.LazyFrame):
        frame = frame.collect()
    if isinstance(frame, pl.DataFrame):
        return pl.DataFrame(
            [
                _of_objects(series.name, series.to_list()) if series.dtype == pl.Object else series
                for series in frame.get_columns()
            ]
        )
    pandas = sys.modules.get("pandas")  # a frame of pandas exists only where pandas is imported
    if pandas is not None and isinstance(frame, pandas.DataFrame):
        return _of_pandas(cast("_PandasFrame", frame), name)
    is_table = any(hasattr(frame, each) for each in ("columns", "column_names", "schema"))
    if isinstance(frame, type) or not is_table or not hasattr(frame, "__arrow_c_stream__"):
        raise _no_frame(frame, name)
    try:
        return pl.DataFrame(frame)
    except DuplicateError as error:
        raise _twice(str(error), name) from error
    except (PolarsError, TypeError, ValueError) as error:
        what = str(error).split("\n", 1)[0].rstrip(".")
        raise DataError(
            f"The {name} cannot be read as an Arrow table: {what}.", hint=_FRAMES_HINT
        ) from error


def _no_frame(frame: object, name: str) -> DataError:
    """Say what came in place of a frame, and how to make one of it."""
    kind = type(frame).__name__
    match frame:
        case str() | Path():
            hint = f"To read a file or folder: Dataset.prepare({str(frame)!r})"
        case dict() | list() | tuple():
            hint = "Make a frame of it first: polars.DataFrame(...) or pandas.DataFrame(...)"
        case _:
            converts = [x for x in ("to_pandas", "toPandas", "to_arrow") if hasattr(frame, x)]
            hint = f"Convert it: .{converts[0]}()" if converts else _FRAMES_HINT
    return DataError(f"The {name} are no data frame but a {kind}.", hint=hint)


def _twice(what: str, name: str) -> DataError:
    return DataError(
        f"The {name} have two columns of one name: {what}.",
        hint="Give each column a name of its own.",
    )


@runtime_checkable
class _PandasColumn(Protocol):
    """What is used of a column of pandas."""

    @property
    def dtype(self) -> object: ...

    def isna(self) -> "_PandasColumn": ...

    def to_numpy(self, dtype: str | None = None) -> np.ndarray: ...

    def tolist(self) -> list[object]: ...


@runtime_checkable
class _PandasFrame(Protocol):
    """What is used of a frame of pandas."""

    @property
    def columns(self) -> Sequence[object]: ...

    @property
    def iloc(self) -> "_ByPlace": ...


@runtime_checkable
class _ByPlace(Protocol):
    def __getitem__(self, place: tuple[slice, int]) -> _PandasColumn: ...


def _of_pandas(frame: _PandasFrame, name: str) -> pl.DataFrame:
    """Return a frame of pandas, without its index."""
    names = list(frame.columns)
    if any(isinstance(each, tuple) for each in names):
        raise DataError(
            f"The {name} have columns of several levels.",
            hint='Give plain names: frame.columns = ["_".join(names) for names in frame.columns]',
        )
    plain = [str(each) for each in names]
    repeated = [each for each in plain if plain.count(each) > 1]
    if repeated:
        raise _twice(repr(repeated[0]), name)
    columns = [_of_column(each, frame.iloc[:, place]) for place, each in enumerate(plain)]
    return pl.DataFrame(columns)


def _of_column(name: str, column: _PandasColumn) -> pl.Series:
    """Return a column of pandas with nulls for NaN, NaT, NA and None."""
    dtype, kind = column.dtype, getattr(column.dtype, "kind", "O")
    if kind == "M":  # with a zone: its points in time in UTC
        unit = "ns" if "ns" in str(dtype) else "us"
        return pl.Series(name, column.to_numpy(f"datetime64[{unit}]"))
    if isinstance(dtype, np.dtype) and kind in "biu":
        return pl.Series(name, column.to_numpy())
    if isinstance(dtype, np.dtype) and kind == "f":
        return pl.Series(name, column.to_numpy("float64"), nan_to_null=True)
    missing = column.isna().to_numpy()
    pairs = zip(column.tolist(), missing.tolist(), strict=True)
    return _of_objects(name, [None if lacks else value for value, lacks in pairs])


def _of_objects(name: str, values: Sequence[object]) -> pl.Series:
    """Return Python values as a column: of their kind where they are of one, of text else."""
    if set(map(type, values)) <= {str, type(None)}:  # the usual case, and slow below
        return pl.Series(name, values, dtype=pl.String)
    values = [_plain(value) for value in values]
    kinds = {type(value) for value in values if value is not None}
    if (kinds <= {int, float, Decimal} and len(kinds) > 1) or kinds == {Decimal}:
        values = [None if value is None else float(cast("float", value)) for value in values]
    elif kinds == {list}:
        return _of_lists(name, values)
    elif len(kinds) > 1:
        values = [None if value is None else str(value) for value in values]
    try:
        return pl.Series(name, values)
    except (PolarsError, TypeError, ValueError, OverflowError):
        return pl.Series(name, [None if value is None else str(value) for value in values])


def _of_lists(name: str, values: Sequence[object]) -> pl.Series:
    try:
        return pl.Series(name, values)
    except (PolarsError, TypeError, ValueError, OverflowError):
        lists = [None if value is None else cast("list[object]", value) for value in values]
        texts = [None if each is None else [str(x) for x in each] for each in lists]
        return pl.Series(name, texts, dtype=pl.List(pl.String))


def _plain(value: object) -> object:
    """Return a value of numpy or pandas as one of Python; points in time without their zone."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, date):
        return _point(value)
    match value:
        case float() if np.isnan(value):
            return None
        case bool() | int() | float() | bytes() | None | Decimal() | dict() | list():
            return value
        case tuple():
            return list(value)
        case set() | frozenset():
            return sorted(map(str, value))  # the same in every process
    return str(value)


def _point(day: date) -> datetime:
    """Return a date as its midnight, a point in time in UTC."""
    if not isinstance(day, datetime):
        return datetime(day.year, day.month, day.day)
    if day.tzinfo is not None:
        day = day.astimezone(UTC).replace(tzinfo=None)
    return datetime(*day.timetuple()[:6], day.microsecond)
