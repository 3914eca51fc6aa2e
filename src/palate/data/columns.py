"""Which column means what: guessed from the usual names, overridable, stated in the report."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from palate.data.sources.read import SourceFile
from palate.errors import ConfigError, DataError

Table = Literal["events", "items", "users"]

_USER_NAMES = (
    *("user_id", "user", "uid", "reviewer_id", "customer_id", "visitor_id", "member_id"),
    *("account_id", "client_id", "profile_id", "person_id", "u", "session_id", "session"),
)
_ITEM_NAMES = (
    *("item_id", "item", "iid", "parent_asin", "asin", "movie_id", "product_id", "product"),
    *("article_id", "sku", "book_id", "isbn", "track_id", "song_id", "artist_id", "business_id"),
    *("game_id", "app_id", "video_id", "news_id", "content_id", "product_code"),
)
_BRAND_NAMES = ("brand", "store", "manufacturer", "author", "artist", "studio", "publisher")
_ITEM_FIELDS: dict[str, tuple[str, ...]] = {
    "title": (
        *("title", "name", "item_title", "item_name", "product_name", "product_title"),
        *("movie_title", "book_title", "track_name", "prod_name"),
    ),
    "categories": ("categories", "genres", "category", "genre", "category_name", "item_category"),
    "brand": _BRAND_NAMES,
    "price": ("price", "item_price", "unit_price"),
    "description": ("description", "plot", "overview", "item_description", "abstract", "synopsis"),
    "image": ("image", "image_bytes", "picture", "image_path"),
}

NAMES: dict[Table, dict[str, tuple[str, ...]]] = {
    "events": {
        "user_id": _USER_NAMES,
        "item_id": _ITEM_NAMES,
        "rating": ("rating", "score", "stars", "overall", "star_rating", "review_score", "rate"),
        "timestamp": (
            *("timestamp", "unix_review_time", "time", "datetime", "event_time", "ts", "date"),
            *("created_at", "review_time", "event_timestamp", "time_stamp", "visited_at"),
        ),
        "position": ("position",),
        "event_type": (
            *("event_type", "event", "action", "action_type", "behavior", "behavior_type"),
            *("behaviour", "interaction_type", "interaction", "type"),
        ),
        "scenario": ("scenario", "scene", "surface", "placement", "channel", "domain"),
        "review_title": ("review_title", "review_summary", "review_headline"),
        "review_text": ("review_text", "review_body", "review", "comment"),
    },
    "items": {"item_id": (*_ITEM_NAMES, "id"), **_ITEM_FIELDS},
    "users": {"user_id": (*_USER_NAMES, "id")},
}
"""The usual names of each field, the likeliest first; only letters and digits count."""

REQUIRED: dict[Table, tuple[str, ...]] = {
    "events": ("user_id", "item_id"),
    "items": ("item_id",),
    "users": ("user_id",),
}

_TEXTS = frozenset({"title", "description", "brand"})
_CELLS = frozenset(
    {"rating", "position", "event_type", "scenario", "review_title", "review_text", "price"}
)

_WORDS = {"user_id": "the user", "item_id": "the item"}


@dataclass(frozen=True)
class ColumnMapping:
    """Which column of a file holds which field."""

    columns: Mapping[str, str]
    """Field to column: ``{"user_id": "reviewerID"}``."""
    others: tuple[str, ...]
    """Columns that no field claims; kept under their own names."""

    def __contains__(self, field: object) -> bool:
        """Tell whether the file has the field."""
        return field in self.columns

    def without(self, field: str) -> "ColumnMapping":
        """Return the mapping without ``field``, whose column becomes one of the others."""
        kept = {name: column for name, column in self.columns.items() if name != field}
        return ColumnMapping(kept, (*self.others, self.columns[field]))

    def words(self, file: SourceFile) -> str:
        """Say which column is what: ``user_id: column "reviewerID"; rating: column "stars"``."""
        return "; ".join(
            f'{field}: column "{column}"{"" if file.table[column].count() else " (empty)"}'
            for field, column in self.columns.items()
        )


def map_columns(
    file: SourceFile, table: Table, overrides: Mapping[str, str] | None = None
) -> ColumnMapping:
    """Find the columns of ``file``; ``overrides`` names them by field, empty to leave one out.

    Raises:
        DataError: when a required field has no column.
    """
    columns = file.table.columns
    overrides = overrides or {}
    fields = NAMES[table]
    named = {field: overrides[field] for field in fields if overrides.get(field) in columns}
    _check_named(file, named)
    found = dict(named)
    for field, names in fields.items():
        column = _guess(columns, names, taken=found.values())
        if column is not None and field not in named and _can_hold(field, file.table[column]):
            found[field] = column
    left_out = {found.pop(field, None) for field, column in overrides.items() if column == ""}
    for field in REQUIRED[table]:
        if field not in found:
            raise _missing(file, field)
    others = tuple(name for name in columns if name not in {*found.values(), *left_out})
    ordered = {field: found[field] for field in fields if field in found}
    return ColumnMapping(columns=ordered, others=others)


def check_overrides(overrides: Mapping[str, str], files: Sequence[SourceFile]) -> None:
    """Check that each override names a known field and a column that some file has.

    Raises:
        ConfigError: for a field that does not exist.
        DataError: for a column that does not exist.
    """
    known = {field for fields in NAMES.values() for field in fields}
    for field, column in overrides.items():
        if field not in known:
            raise ConfigError(
                f"There is no field {field!r} to map a column to.",
                hint=f"Fields: {', '.join(sorted(known))}.",
            )
        if column and not any(column in file.table.columns for file in files):
            have = "; ".join(f"{file.path.name}: {', '.join(file.table.columns)}" for file in files)
            raise DataError(
                f"There is no column {column!r} (wanted as {field}).", hint=f"Columns: {have}."
            )


def _check_named(file: SourceFile, named: Mapping[str, str]) -> None:
    """Refuse a column that cannot be what it was named for.

    Raises:
        DataError: for the first.
    """
    for field, column in named.items():
        if not _can_hold(field, file.table[column]):
            raise DataError(
                f"{str(file.path)!r}: the column {column!r} holds {file.table[column].dtype},"
                f" which is no {field}.",
                hint="Name another column.",
            )


def _can_hold(field: str, column: pl.Series) -> bool:
    """Tell whether a column is of a type that the field may have: single values, lists of text."""
    dtype = column.dtype
    if field in _TEXTS and dtype == pl.List(pl.String):
        return True
    return field not in _CELLS | _TEXTS or not (dtype.is_nested() or dtype == pl.Binary)


def _guess(columns: Sequence[str], names: Sequence[str], taken: Collection[str]) -> str | None:
    by_name = {_plain(column): column for column in reversed(columns)}
    candidates = (by_name.get(_plain(name)) for name in names)
    return next((column for column in candidates if column and column not in taken), None)


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _missing(file: SourceFile, field: str) -> DataError:
    columns = ", ".join(file.table.columns[:20])
    if file.in_memory:
        return DataError(
            f"The {file.path.name} have no column for {_WORDS[field]}; there are: {columns}.",
            hint=f'Name it: columns={{"{field}": "COLUMN"}}. An index is not read: turn it into a'
            " column (pandas: reset_index()).",
        )
    return DataError(
        f"{str(file.path)!r}, line 1: no column for {_WORDS[field]} among: {columns}.",
        hint=f"Name it with --column {field}=COLUMN; a file without a header line needs one.",
    )
