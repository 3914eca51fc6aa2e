"""JSON as a table: an object per line, an array of them, or one of the forms that pandas writes.

Documents of one piece are distinguished from lines by their beginning. A form is recognised by its
shape: ``{"user_id": {"0": "u1"}}`` (columns), ``{"0": {"user_id": "u1"}}`` (index), ``{"columns":
[...], "data": [...]}`` (split), ``{"schema": ..., "data": [...]}`` (table), ``{"user_id": ["u1"]}``
(lists).
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from glob import has_magic
from pathlib import Path
from typing import NoReturn

import polars as pl
from polars.exceptions import PolarsError

from palate.data.sources.scan import MAX_LINE_BYTES, TextFile, scan_bytes
from palate.errors import DataError

_NO_LIMIT = 2**62
_SHOWN = 60


@dataclass(frozen=True)
class JsonRows:
    """A table, and how to find the line of each row where the file has one object per line."""

    table: pl.DataFrame
    starts: Callable[[], Iterator[int]] | None = None


def parse_json(
    text: TextFile,
    like: pl.DataFrame | None = None,
    *,
    header: Sequence[str] = (),
    max_line_bytes: int = MAX_LINE_BYTES,
) -> JsonRows:
    """Return the rows of a JSON file, if any; ``like`` picks and types the columns of JSON lines.

    Args:
        text: the file.
        like: a table of the columns wanted, of a file known to hold one object per line.
        header: names of the columns, for arrays of arrays, which have none.
        max_line_bytes: a longer line is taken for a broken file; a document of one piece may be
            one long line.

    Raises:
        DataError: naming the first line that is not a JSON object.
    """
    is_document = like is None and _is_document(text, max_line_bytes)
    scan_bytes(text, _NO_LIMIT if is_document else max_line_bytes, ",")
    if is_document:
        return JsonRows(_document(text, header))
    try:
        table = pl.read_ndjson(
            _source(text),
            schema=None if like is None else like.schema,
            infer_schema_length=None,
        )
    except PolarsError as error:
        found = _lines_with_nan(text) if like is None else None
        if found is None:
            _fail_on_lines(text, error)
        table = found
    return JsonRows(table, lambda: (number for number, _ in text.lines()))


def _source(text: TextFile) -> Path | bytes:
    # A path with a bracket or a star in it would be taken for a pattern.
    if text.is_plain and not has_magic(str(text.path)):
        return text.path
    with text.opened() as file:
        return file.read()


def _is_document(text: TextFile, max_line_bytes: int) -> bool:
    """Tell whether the file is one JSON value, and not one object per line."""
    with text.opened() as file:
        lines = iter(lambda: file.readline(max_line_bytes), b"")
        filled = (line for line in lines if line.strip())
        first = next(filled, b"").strip()
        if first[:1] == b"[":
            return True
        if first[:1] != b"{":
            return False
        if len(first) >= max_line_bytes - 2:
            return not _is_object(first)
        if not _is_object(first):
            # The first line of a printed document is a brace, or ends where a value is to follow.
            return first in {b"{", b"{}"} or first[-1:] in b"{[,:"
        return next(filled, None) is None and _is_nested(json.loads(first))


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _is_nested(value: Mapping[str, object]) -> bool:
    """Tell whether an object holds a table, and is not itself a row."""
    return bool(value) and any(isinstance(part, (dict, list)) for part in value.values())


def _document(text: TextFile, header: Sequence[str]) -> pl.DataFrame:
    with text.opened() as file:
        content = file.read()
    if not header and content.lstrip()[:1] == b"[":
        # An array of objects is read twice as fast in one go; what cannot be is looked at.
        with suppress(PolarsError):
            return pl.read_json(content)
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 1)
        raise DataError(
            f"{str(text.path)!r}, line {line}: not JSON ({str(error)[:100]}).",
            hint="Give one JSON object per line, or one array of objects.",
        ) from error
    try:
        return _of_value(value, header)
    except (ValueError, TypeError, PolarsError) as error:
        raise DataError(
            f"{str(text.path)!r}: no table can be made of this JSON: {str(error)[:100]}.",
            hint="Give one JSON object per line, one array of objects, or what to_json() of pandas"
            " writes.",
        ) from error


def _of_value(value: object, header: Sequence[str]) -> pl.DataFrame:
    """Return the table that a document holds.

    Raises:
        ValueError: when it is of no known form.
    """
    if isinstance(value, list):
        return _of_list(value, header)
    if not isinstance(value, dict):
        raise ValueError(f"it is {type(value).__name__}")
    data, columns = value.get("data"), value.get("columns")
    if isinstance(data, list) and isinstance(columns, list):
        return _of_list(data, [str(name) for name in columns])
    lists = [part for part in value.values() if _is_list_of_objects(part)]
    if len(lists) == 1:
        return _of_list(lists[0], header)
    return _of_columns(value)


def _is_list_of_objects(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(x, dict) for x in value)


def _of_list(rows: Sequence[object], header: Sequence[str]) -> pl.DataFrame:
    if all(isinstance(row, dict) for row in rows):
        return pl.DataFrame(rows, infer_schema_length=None, strict=False)
    if not all(isinstance(row, list) for row in rows):
        raise ValueError("it is an array of neither objects nor arrays")
    if not header:
        raise ValueError("its rows are arrays without names; name the columns with --header")
    if any(isinstance(row, list) and len(row) != len(header) for row in rows):
        raise ValueError(f"its rows are not all {len(header)} long")
    return pl.DataFrame(
        rows, schema=list(header), orient="row", infer_schema_length=None, strict=False
    )


def _of_columns(value: Mapping[str, object]) -> pl.DataFrame:
    """Return the table of ``{column: {row: cell}}``, ``{row: {column: cell}}`` or of lists."""
    parts = list(value.values())
    if parts and all(isinstance(part, list) for part in parts):
        return pl.DataFrame(dict(value), strict=False)
    inner = [part for part in parts if isinstance(part, dict)]
    if len(inner) < len(parts):
        return pl.DataFrame([dict(value)], infer_schema_length=None, strict=False)
    names = list(dict.fromkeys(name for part in inner for name in part))
    if _are_rows(list(value), names):
        return pl.DataFrame(inner, infer_schema_length=None, strict=False)
    columns = {
        name: [part.get(row) for row in names] for name, part in zip(value, inner, strict=True)
    }
    return pl.DataFrame(columns, strict=False)


def _are_rows(outer: Sequence[str], inner: Sequence[str]) -> bool:
    """Tell whether the outer names are those of rows: numbers, or many more than the inner ones."""
    outer_numbers, inner_numbers = (
        all(name.isdigit() for name in names) for names in (outer, inner)
    )
    if outer_numbers != inner_numbers:
        return outer_numbers
    return len(outer) > len(inner)


def _lines_with_nan(text: TextFile) -> pl.DataFrame | None:
    """Return the rows of lines in which Python has written ``NaN``, or None for any other fault.

    ``NaN`` is no JSON, but ``json.dumps`` writes it for a number that is missing; it becomes null.
    """
    rows: list[dict[str, object]] = []
    has_nan = False
    for _, line in text.lines():
        try:
            row = json.loads(line, parse_constant=lambda word: float(word) if "I" in word else None)
        except (ValueError, RecursionError):
            return None
        if not isinstance(row, dict):
            return None
        rows.append(row)
        has_nan = has_nan or b"NaN" in line
    if not has_nan:
        return None
    with suppress(PolarsError, TypeError, ValueError):
        return pl.DataFrame(rows, infer_schema_length=None, strict=False)
    return None


def _fail_on_lines(text: TextFile, error: PolarsError) -> NoReturn:
    """Raise for the first line that is not a JSON object."""
    for number, line in text.lines():
        try:
            pl.read_ndjson(line)
        except PolarsError:
            shown = line[:_SHOWN].decode(errors="replace").strip()
            raise DataError(
                f"{str(text.path)!r}, line {number}: not a JSON object: {shown!r}.",
                hint="Give one JSON object per line, names in double quotes.",
            ) from error
    said = str(error).split("\n", 1)[0].rstrip(".")
    raise DataError(
        f"{str(text.path)!r} cannot be read as JSON lines: {said[:200]}.",
        hint="Give one JSON object per line with the same kind of value in each field.",
    ) from error
