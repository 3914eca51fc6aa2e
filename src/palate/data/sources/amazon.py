"""The raw files of the Amazon review collections of 2014, 2018 and 2023.

Reviews come in one file, what the items are in ``meta_*`` beside it. Some files of 2014 hold one
Python literal per line where they should hold JSON; they are read as literals, never run.
References: McAuley et al., SIGIR 2015; Ni et al., EMNLP 2019; Hou et al., 2024.
"""

import ast
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from palate.data.sources.delimited import Delimited
from palate.data.sources.read import (
    Source,
    SourceFile,
    format_suffix,
    read_delimited,
    read_json,
)
from palate.data.sources.scan import check_file, text_lines
from palate.errors import DataError

_JSON_SUFFIXES = (".json", ".jsonl")


@dataclass(frozen=True)
class _Edition:
    """The field names of one edition."""

    name: str
    marks: frozenset[str]
    """Fields by which a review is recognised."""
    names: Mapping[str, str]
    """What the edition calls a field, and what Palate calls it."""
    like: pl.DataFrame
    """An empty table of these fields, for their types."""


_OLD = _Edition(
    name="Amazon reviews 2014 or 2018",
    marks=frozenset({"reviewerID", "asin", "overall"}),
    names={
        "reviewerID": "user_id",
        "asin": "item_id",
        "overall": "rating",
        "unixReviewTime": "timestamp",
        "summary": "review_title",
        "reviewText": "review_text",
        "helpful": "helpful",
        "vote": "votes",
        "verified": "verified",
    },
    like=pl.DataFrame(
        schema={
            "reviewerID": pl.String,
            "asin": pl.String,
            "overall": pl.Float64,
            "unixReviewTime": pl.Int64,
            "summary": pl.String,
            "reviewText": pl.String,
            "helpful": pl.List(pl.Int64),
            "vote": pl.String,
            "verified": pl.Boolean,
        }
    ),
)
_NEW = _Edition(
    name="Amazon reviews 2023",
    marks=frozenset({"user_id", "parent_asin", "rating"}),
    names={
        "user_id": "user_id",
        "parent_asin": "item_id",
        "rating": "rating",
        "timestamp": "timestamp",
        "title": "review_title",
        "text": "review_text",
        "helpful_vote": "votes",
        "verified_purchase": "verified",
    },
    like=pl.DataFrame(
        schema={
            "user_id": pl.String,
            "parent_asin": pl.String,
            "rating": pl.Float64,
            "timestamp": pl.Int64,
            "title": pl.String,
            "text": pl.String,
            "helpful_vote": pl.Int64,
            "verified_purchase": pl.Boolean,
        }
    ),
)


def find_reviews(folder: Path) -> Path | None:
    """Return the first Amazon review file of a folder, or None."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return next((path for path in files if is_amazon(path)), None)


def is_amazon(path: Path) -> bool:
    """Tell by its first line whether a file holds Amazon reviews."""
    if path.name.startswith("ratings_") and format_suffix(path) == ".csv":
        return _is_bare_rating(next(text_lines(path), (0, b""))[1])
    if format_suffix(path) not in _JSON_SUFFIXES or path.name.startswith("meta_"):
        return False
    return _edition(path) is not None


def read_amazon(reviews: Path, metadata: Path | None = None) -> Source:
    """Read a review file, and the metadata beside it where it is found under its usual name.

    Raises:
        DataError: naming file and line, when one of them cannot be read.
    """
    check_file(reviews)
    metadata = metadata or _metadata_beside(reviews)
    items = None if metadata is None else _read_metadata(metadata)
    name = _category(reviews)
    if format_suffix(reviews) == ".csv":
        columns = ("user_id", "item_id", "rating", "timestamp")
        events = read_delimited(reviews, Delimited(",", columns=columns))
        return Source(name, events, items, kind="Amazon ratings 2014")
    edition = _edition(reviews)
    if edition is None:
        raise DataError(
            f"{str(reviews)!r}, line 1: not an Amazon review.",
            hint="Give a review file of the 2014, 2018 or 2023 collection.",
        )
    return Source(name, _read_reviews(reviews, edition), items, kind=edition.name)


def parse_loose(line: bytes, path: Path, number: int) -> dict[str, object]:
    """Parse one line of JSON, or of a Python literal; nothing is executed.

    Raises:
        DataError: when it is neither.
    """
    text = line.decode("utf-8", errors="strict") if line.isascii() else _decoded(line, path, number)
    try:
        value = json.loads(text)
    except ValueError:
        try:
            value = ast.literal_eval(text.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            value = None
    if not isinstance(value, dict):
        raise DataError(
            f"{str(path)!r}, line {number}: not an object: {text.strip()[:60]!r}.",
            hint="Fetch the file again; it may be cut off.",
        )
    return value


def _is_bare_rating(line: bytes) -> bool:
    """Tell whether a line is user, item, rating and time, without a header above it."""
    return re.fullmatch(rb"\w+,\w+,[1-5]\.0,\d{8,}", line.strip()) is not None


def _decoded(line: bytes, path: Path, number: int) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise DataError(
            f"{str(path)!r}, line {number}: not UTF-8 text.", hint="Fetch the file again."
        ) from error


def _edition(path: Path) -> _Edition | None:
    try:
        number, line = next(text_lines(path), (0, b""))
        first = parse_loose(line, path, number)
    except DataError:
        # Whatever it is, broken or one long document, it holds no reviews of theirs.
        return None
    return next((edition for edition in (_OLD, _NEW) if edition.marks <= first.keys()), None)


def _category(path: Path) -> str:
    """Return ``Beauty`` for ``reviews_Beauty_5.json.gz``."""
    stem = path.name.split(".")[0]
    return stem.removeprefix("reviews_").removeprefix("ratings_").removesuffix("_5")


def _metadata_beside(reviews: Path) -> Path | None:
    names = [
        f"meta_{_category(reviews)}{suffix}{packed}"
        for suffix in _JSON_SUFFIXES
        for packed in ("", ".gz")
    ]
    return next((path for name in names if (path := reviews.parent / name).is_file()), None)


def _read_reviews(path: Path, edition: _Edition) -> SourceFile:
    try:
        file = read_json(path, edition.like)
    except DataError:
        rows = [parse_loose(line, path, number) for number, line in text_lines(path)]
        table = pl.DataFrame(rows, schema=edition.like.schema, strict=False)
        file = SourceFile(path, table, lambda: (number for number, _ in text_lines(path)))
    table = file.table.rename(edition.names)
    if "helpful" in table.columns:
        table = table.with_columns(
            pl.col("helpful").list.get(0, null_on_oob=True).alias("helpful_up"),
            pl.col("helpful").list.get(1, null_on_oob=True).alias("helpful_total"),
        ).drop("helpful")
    empty = [name for name in table.columns if table[name].null_count() == table.height]
    return file.with_table(table.drop(empty))


def _read_metadata(path: Path) -> SourceFile:
    """Read the fields of the items that Palate uses; the files are too uneven for a schema."""
    check_file(path)
    rows = [_item(parse_loose(line, path, number)) for number, line in text_lines(path)]
    names = ("item_id", "title", "description", "categories", "brand", "price", "image_url")
    types = {name: pl.List(pl.String()) if name == "categories" else pl.String() for name in names}
    table = pl.DataFrame(rows, schema=names, schema_overrides=types, orient="row")
    return SourceFile(path, table, lambda: (number for number, _ in text_lines(path)))


def _item(row: Mapping[str, object]) -> tuple[object, ...]:
    title = _text(row.get("title"))
    # Some pages of 2018 were fetched broken: their "title" is a piece of JavaScript.
    title = None if title is not None and "getTime" in title else title
    details = row.get("details")
    maker = details.get("Brand") if isinstance(details, dict) else None
    return (
        _text(row.get("parent_asin") or row.get("asin")),
        title,
        _text(row.get("description")),
        _flat(row.get("categories") or row.get("category") or row.get("main_category")),
        _text(row.get("brand") or row.get("store") or maker),
        _text(row.get("price")),
        _image(row),
    )


def _text(value: object) -> str | None:
    if isinstance(value, (list, tuple)):
        value = " ".join(str(part) for part in value)
    return None if value is None or value == "" else str(value)


def _flat(value: object) -> list[str]:
    """Flatten the paths of 2014 (lists of lists) to the names on them, each once, root first."""
    if value is None:
        return []
    if isinstance(value, str):
        return [value]
    if not isinstance(value, Iterable):
        return [str(value)]
    return list(dict.fromkeys(name for part in value for name in _flat(part)))


def _image(row: Mapping[str, object]) -> str | None:
    images = (
        row.get("imUrl") or row.get("imageURLHighRes") or row.get("imageURL") or row.get("images")
    )
    first = images[0] if isinstance(images, list) and images else images
    if isinstance(first, dict):
        first = first.get("hi_res") or first.get("large") or first.get("thumb")
    return first if isinstance(first, str) else None
