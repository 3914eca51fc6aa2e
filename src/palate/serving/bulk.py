"""Bulk bodies: many rows as a JSON array, JSON lines or Parquet.

In each format the rows come one at a time, as bytes, and pass through one loop that counts them,
checks each, and makes the stored value of it, so that only one row at a time is in memory as bytes.
The loop ends at the first wrong row.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from pydantic import BaseModel

from palate.serving.bounds import bounds_of
from palate.serving.json_rows import RawBytes, array_rows, is_array, line_rows, too_long
from palate.serving.objects import parse_object
from palate.serving.parquet import parquet_rows
from palate.serving.problems import Invalid, TooLarge, WrongMediaType
from palate.serving.schemas import MAX_BULK_ROWS

Row = TypeVar("Row", bound=BaseModel)
Made = TypeVar("Made")

JSON = "application/json"
JSON_LINES = "application/x-ndjson"
PARQUET = "application/vnd.apache.parquet"

MEDIA_TYPES: Mapping[str, str] = {
    JSON_LINES: "One JSON object per line.",
    PARQUET: "A Parquet file with a column per field; other columns are refused.",
}

LONGEST_ROW = 2 * 2**20
"""Bytes of one row, as many as an item or user may have in a body of its own."""
_MOST_LINES = 2 * MAX_BULK_ROWS
"""Number of lines, including blank ones."""

Rows = Iterator[tuple[str, RawBytes]]
"""The place of each row in words, and the row as JSON."""


def parse_rows(
    body: RawBytes,
    media_type: str,
    kind: type[Row],
    make: Callable[[Row], Made],
    *,
    most: int = MAX_BULK_ROWS,
) -> list[Made]:
    """Return the values that ``make`` makes of all rows of a body.

    Raises:
        Invalid: naming the first wrong row, and what is wrong in it.
        TooLarge: when there are more than ``most`` rows, or one is too long.
        WrongMediaType: when the body has another type.
    """
    values: list[Made] = []
    longest = min(LONGEST_ROW, bounds_of(kind).num_bytes)
    for place, row in _rows(body, media_type, kind, longest):
        if len(row) > longest:
            raise too_long(longest)
        if len(values) == most:
            raise TooLarge(
                f"The body holds more than {most:,} rows; so many are read at once.",
                hint="Send it in parts.",
            )
        values.append(make(parse_object(row, kind, place)))
    if not values:
        raise Invalid("The body holds no row.", hint="Send at least one.")
    return values


def _rows(body: RawBytes, media_type: str, kind: type[BaseModel], longest: int) -> Rows:
    match media_type:
        case "application/json":
            return _json_rows(body, longest)
        case "application/x-ndjson":
            lines = line_rows(body, longest, _MOST_LINES)
            return ((f"line {number}", line) for number, line in lines)
        case "application/vnd.apache.parquet":
            return parquet_rows(body, kind, longest)
        case _:
            raise WrongMediaType(
                f"The body is {media_type[:100]!r}; this route reads "
                f"{', '.join([JSON, *MEDIA_TYPES])}.",
                hint=f"Send Content-Type: {JSON_LINES}",
            )


def _json_rows(body: RawBytes, longest: int) -> Rows:
    """Return one object, or the elements of an array."""
    if is_array(body):
        return ((f"row {number}", row) for number, row in enumerate(array_rows(body, longest), 1))
    return iter([("", body)])
