"""Many rows in one body: a JSON array, JSON lines or Parquet, each row checked by itself."""

import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

import orjson
import polars as pl
from pydantic import BaseModel, TypeAdapter, ValidationError

from palate.serving.problems import Invalid, TooLarge, WrongMediaType, invalid_fields
from palate.serving.schemas import MAX_BULK_ROWS

Row = TypeVar("Row", bound=BaseModel)
Source = TypeVar("Source")

JSON = "application/json"
JSON_LINES = "application/x-ndjson"
PARQUET = "application/vnd.apache.parquet"

MEDIA_TYPES: Mapping[str, str] = {
    JSON_LINES: "One JSON object per line.",
    PARQUET: "A Parquet file with a column per field; other columns are refused.",
}


def parse_rows(body: bytes, media_type: str, kind: type[Row]) -> list[Row]:
    """Return the rows of a body, all or none.

    Raises:
        Invalid: naming the first row that is wrong, and what is wrong in it.
        TooLarge: when there are too many rows.
        WrongMediaType: when the body is of a type that is not read.
    """
    readers: dict[str, Callable[[bytes, type[Row]], list[Row]]] = {
        JSON: _from_json,
        JSON_LINES: _from_lines,
        PARQUET: _from_parquet,
    }
    if media_type not in readers:
        raise WrongMediaType(
            f"The body is {media_type[:100]!r}; this route reads {', '.join(readers)}.",
            hint=f"Send Content-Type: {JSON_LINES}",
        )
    rows = readers[media_type](body, kind)
    if not rows:
        raise Invalid("The body holds no row.", hint="Send at least one.")
    return rows


def _from_json(body: bytes, kind: type[Row]) -> list[Row]:
    """Read one object, or an array of them."""
    try:
        if body.lstrip()[:1] != b"[":
            return [kind.model_validate_json(body)]
        rows = TypeAdapter(list[kind]).validate_json(body)  # type: ignore[valid-type]
    except ValidationError as error:
        raise _invalid(error) from None
    _check_count(len(rows))
    return rows


def _from_lines(body: bytes, kind: type[Row]) -> list[Row]:
    lines = [(number, line) for number, line in enumerate(body.splitlines(), 1) if line.strip()]
    _check_count(len(lines))
    return [_checked(f"line {number}", line, kind.model_validate_json) for number, line in lines]


def _from_parquet(body: bytes, kind: type[Row]) -> list[Row]:
    try:
        table = _table(body, set(kind.model_fields))
    except Invalid:
        raise
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        raise Invalid(
            f"The Parquet file cannot be read: {str(error)[:200]}.", hint="Write it again."
        ) from error
    except BaseException as error:
        # The reader is compiled code: what it did not expect in a damaged file it calls a panic.
        if not isinstance(error, pl.exceptions.PanicException):
            raise
        raise Invalid("The Parquet file is damaged.", hint="Write it again.") from error
    return list(_checked_rows(_plain(table.iter_rows(named=True)), kind))


def _table(body: bytes, known: set[str]) -> pl.DataFrame:
    lazy = pl.scan_parquet(io.BytesIO(body))
    names = set(lazy.collect_schema().names())
    if unknown := sorted(names - known):
        raise Invalid(
            f"The Parquet file has columns that mean nothing here: {', '.join(unknown)[:200]}.",
            hint=f"The columns may be {', '.join(sorted(known))}.",
        )
    _check_count(int(lazy.select(pl.len()).collect().item()))
    return lazy.collect()


def _plain(rows: Iterable[dict[str, object]]) -> Iterator[dict[str, object]]:
    """Leave out what is null: in a table every row has every column."""
    for row in rows:
        kept = {name: value for name, value in row.items() if value is not None}
        if isinstance(attributes := kept.get("attributes"), str):
            kept["attributes"] = _object(attributes)
        yield kept


def _object(text: str) -> object:
    """Read attributes that a table holds as JSON; what is none is refused with its row."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _checked_rows(rows: Iterable[dict[str, object]], kind: type[Row]) -> Iterator[Row]:
    for number, row in enumerate(rows, 1):
        yield _checked(f"row {number}", row, kind.model_validate)


def _checked(place: str, row: Source, check: Callable[[Source], Row]) -> Row:
    try:
        return check(row)
    except ValidationError as error:
        raise _invalid(error, place) from None


def _invalid(error: ValidationError, *place: str) -> Invalid:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return invalid_fields([((*place, *one["loc"]), one["type"], one["msg"]) for one in found])


def _check_count(count: int) -> None:
    if count > MAX_BULK_ROWS:
        raise TooLarge(
            f"The body holds {count:,} rows; {MAX_BULK_ROWS:,} are read at once.",
            hint="Send it in parts.",
        )
