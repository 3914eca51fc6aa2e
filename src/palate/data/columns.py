"""Which column means what: guessed from the usual names, overridable, stated in the report."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from palate.data.sources.delimited import header_hint, looks_like_data
from palate.data.sources.read import SourceFile, Table
from palate.data.values.cells import BLANKS, NULL_WORDS, kind_in_words
from palate.errors import ConfigError, DataError

_USER_NAMES = (
    *("user_id", "user", "uid", "reviewer_id", "customer_id", "visitor_id", "member_id"),
    *("account_id", "client_id", "profile_id", "person_id", "buyer_id", "shopper_id", "viewer_id"),
    *("subscriber_id", "customer_unique_id", "customer", "reviewer", "buyer", "username"),
    *("user_name", "email", "customer_email", "msno", "u", "session_id", "session"),
)
_ITEM_NAMES = (
    *("item_id", "item", "iid", "parent_asin", "asin", "movie_id", "product_id", "product"),
    *("article_id", "sku", "book_id", "isbn", "track_id", "song_id", "artist_id", "business_id"),
    *("game_id", "app_id", "video_id", "news_id", "content_id", "product_code", "stock_code"),
    *("recipe_id", "anime_id", "show_id", "place_id", "venue_id", "poi_id", "photo_id", "job_id"),
    *("lineitem_sku", "variant_sku", "product_sku", "item_sku", "goods_id", "offer_id", "beer_id"),
)
_BRAND_NAMES = ("brand", "store", "manufacturer", "author", "artist", "studio", "publisher")
_ITEM_FIELDS: dict[str, tuple[str, ...]] = {
    "title": (
        *("title", "name", "item_title", "item_name", "product_name", "product_title"),
        *("movie_title", "book_title", "track_name", "prod_name", "original_title"),
    ),
    "categories": ("categories", "genres", "category", "genre", "category_name", "item_category"),
    "brand": (*_BRAND_NAMES, "vendor"),
    "price": ("price", "item_price", "unit_price", "variant_price"),
    "description": ("description", "plot", "overview", "item_description", "abstract", "synopsis"),
    "image": ("image", "image_bytes", "picture", "image_path"),
}
_TIME_NAMES = (
    *("timestamp", "unix_review_time", "time", "datetime", "event_time", "ts", "date"),
    *("created_at", "review_time", "event_timestamp", "time_stamp", "visited_at"),
)

NAMES: dict[Table, dict[str, tuple[str, ...]]] = {
    "events": {
        "user_id": _USER_NAMES,
        "item_id": _ITEM_NAMES,
        "rating": ("rating", "score", "stars", "overall", "star_rating", "review_score", "rate"),
        "timestamp": _TIME_NAMES,
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

_ORDER_NAMES = frozenset(
    {"orderid", "order", "ordernumber", "invoiceid", "invoiceno", "invoice", "basketid"}
    | {"transactionid", "cartid", "receiptid", "ticketid"}
)

_TEXTS = frozenset({"title", "description", "brand"})
_CELLS = frozenset(
    {"rating", "position", "event_type", "scenario", "review_title", "review_text", "price"}
)

_WORDS = {"user_id": "the user", "item_id": "the item"}
_TYPED = re.compile(r"(.+):(token|token_seq|float|float_seq)")
"""A name with its type behind it, as RecBole writes it: ``genre:token_seq``."""
_TIME_WORDS = frozenset(
    {
        *("date", "time", "datetime", "timestamp", "unixtime", "epoch", "ts", "dat", "at", "day"),
        *("created", "datum", "fecha", "zeit", "tstamp"),
    }
)
_OTHER_TIMES = frozenset(
    {
        *("release", "released", "birth", "birthday", "dob", "expiry", "expires", "expiration"),
        *("publish", "published", "publication", "signup", "joined", "registered", "registration"),
        *("delivery", "delivered", "delivering", "ship", "shipped", "shipping", "updated"),
        *("modified", "end", "duration", "elapsed", "member", "membership", "estimated", "limit"),
    }
)
"""Words by whose side a date is that of something else than the event."""

HoldsTimes = Callable[[pl.Series], bool]
"""Tells whether a column holds what can be read as points in time."""


@dataclass(frozen=True)
class ColumnMapping:
    """Which column of a file holds which field."""

    columns: Mapping[str, str]
    """Field to column: ``{"user_id": "reviewerID"}``."""
    others: tuple[str, ...]
    """Columns that no field claims; kept under their own names."""
    passed_over: Mapping[str, str] = field(default_factory=dict)
    """Field to the column of the likeliest name, where that column is empty."""

    def __contains__(self, field: object) -> bool:
        """Tell whether the file has the field."""
        return field in self.columns

    def without(self, field: str) -> "ColumnMapping":
        """Return the mapping without ``field``, whose column becomes one of the others."""
        kept = {name: column for name, column in self.columns.items() if name != field}
        return replace(self, columns=kept, others=(*self.others, self.columns[field]))

    def words(self, file: SourceFile) -> str:
        """Say which column is what: ``user_id: column "reviewerID"; rating: column "stars"``."""
        return "; ".join(
            f'{field}: column "{column}"{self._remark(field, file.table[column])}'
            for field, column in self.columns.items()
        )

    def _remark(self, field: str, column: pl.Series) -> str:
        if not column.count():
            return " (empty)"
        empty = self.passed_over.get(field)
        return "" if empty is None else f' ("{empty}" is empty)'


def tidy_names(file: SourceFile) -> SourceFile:
    """Return the file with names of columns as they are meant: no blanks around, no types behind.

    Where every name has a type of RecBole behind it, columns of several words are marked as such.
    """
    names = [str(name).strip(BLANKS) for name in file.table.columns]
    typed = [_TYPED.fullmatch(name) for name in names]
    sequences = file.sequences
    if all(typed) and typed:
        names = [found[1] for found in typed if found]
        sequences = frozenset(found[1] for found in typed if found and found[2].endswith("_seq"))
    if names == file.table.columns or len(set(names)) < len(names) or not all(names):
        return file
    renamed = file.table.rename(dict(zip(file.table.columns, names, strict=True)))
    return replace(file.with_table(renamed), sequences=sequences)


def kind_of_table(columns: Sequence[str]) -> Table | None:
    """Return what a table with such columns holds, or None where they do not tell."""
    typed = [_TYPED.fullmatch(name.strip(BLANKS)) for name in columns]
    plain = [found[1] if found else name for found, name in zip(typed, columns, strict=True)]
    has_user, has_item = _guess(plain, _USER_NAMES), _guess(plain, _ITEM_NAMES)
    if has_user and has_item:
        return "events"
    if has_user or has_item:
        return "users" if has_user else "items"
    described = any(_guess(plain, usual) for usual in _ITEM_FIELDS.values())
    return "items" if described and _guess(plain, ("id",)) else None


def map_columns(
    file: SourceFile,
    table: Table,
    overrides: Mapping[str, str] | None = None,
    holds_times: HoldsTimes | None = None,
) -> ColumnMapping:
    """Find the columns of ``file``; ``overrides`` names them by field, empty to leave one out.

    A column without any value is passed over where another one may hold the field.

    Args:
        file: the table.
        table: what it holds.
        overrides: field, or table and field (``items.item_id``), to column.
        holds_times: lets columns be taken for the time that are so called or have a date in their
            name, if they hold times; only the usual names are looked for if None.

    Raises:
        DataError: when a required field has no column.
    """
    columns = file.table.columns
    wanted = overrides_of(overrides or {}, table)
    named = {name: wanted[name] for name in NAMES[table] if wanted.get(name) in columns}
    _check_named(file, named)
    found, passed_over = dict(named), {}
    for name, usual in NAMES[table].items():
        if name in named:
            continue
        likely = [
            column
            for column in _likely(columns, usual, taken=found.values())
            if _can_hold(name, file.table[column])
        ]
        chosen = _filled(file.table, likely)
        if name == "timestamp" and holds_times is not None and name not in wanted:
            chosen = _time_column(file.table, likely, found.values(), holds_times) or chosen
        if chosen is not None:
            found[name] = chosen
        if likely and chosen != likely[0] and not _has_values(file.table[likely[0]]):
            passed_over[name] = likely[0]
    left_out = {found.pop(name, None) for name, column in wanted.items() if column == ""}
    for name in REQUIRED[table]:
        if name not in found:
            raise _missing(file, table, name)
    return ColumnMapping(
        columns={name: found[name] for name in NAMES[table] if name in found},
        others=tuple(name for name in columns if name not in {*found.values(), *left_out}),
        passed_over=passed_over,
    )


def overrides_of(overrides: Mapping[str, str], table: Table) -> dict[str, str]:
    """Return field to column for one table; what is said of it alone goes before what is not."""
    for_all = {key: column for key, column in overrides.items() if _table_of(key) is None}
    for_one = {
        key.partition(".")[2]: column
        for key, column in overrides.items()
        if _table_of(key) == table
    }
    return for_all | for_one


def check_overrides(overrides: Mapping[str, str], tables: Mapping[Table, SourceFile]) -> None:
    """Check that each override names a known field and a column that its table, or any, has.

    Raises:
        ConfigError: for a field that does not exist.
        DataError: for a column that does not exist.
    """
    for key, column in overrides.items():
        table = _table_of(key)
        name = key if table is None else key.partition(".")[2]
        known = sorted({x for one, fields in NAMES.items() for x in fields if table in {None, one}})
        if name not in known:
            raise ConfigError(
                f"There is no field {key!r} to map a column to.",
                hint=f"Fields: {', '.join(known)}; of one table, for instance items.item_id.",
            )
        files = [file for one, file in tables.items() if table in {None, one}]
        if column and not any(column in file.table.columns for file in files):
            have = "; ".join(f"{file.name}: {_listed(file.table.columns)}" for file in files)
            raise DataError(
                f"There is no column {column!r} (wanted as {key}).",
                hint=f"Columns: {have or 'there is no such table'}.",
            )


def time_columns(table: pl.DataFrame, holds_times: HoldsTimes) -> list[str]:
    """Return the columns that hold dates or times, whatever they are called."""
    return [name for name in table.columns if holds_times(table[name])]


def _table_of(key: str) -> Table | None:
    first = key.partition(".")[0]
    return next((table for table in NAMES if "." in key and table == first), None)


def _check_named(file: SourceFile, named: Mapping[str, str]) -> None:
    """Refuse a column that cannot be what it was named for.

    Raises:
        DataError: for the first.
    """
    for name, column in named.items():
        if not _can_hold(name, file.table[column]):
            kind = kind_in_words(file.table[column])
            raise DataError(
                f"{str(file.path)!r}: the column {column!r} holds {kind}, which is no {name}.",
                hint="Name another column.",
            )


def _can_hold(name: str, column: pl.Series) -> bool:
    """Tell whether a column is of a type that the field may have: single values, names in lists."""
    if name in _TEXTS and column.dtype.is_nested():
        return True
    is_single = not (column.dtype.is_nested() or column.dtype == pl.Binary)
    return is_single or name not in _CELLS | _TEXTS


def _likely(columns: Sequence[str], names: Sequence[str], taken: Collection[str]) -> list[str]:
    """Return the columns that are called by one of the names, the likeliest first."""
    by_name = {_plain(column): column for column in reversed(columns)}
    candidates = (by_name.get(_plain(name)) for name in names)
    return [column for column in dict.fromkeys(candidates) if column and column not in taken]


def _filled(table: pl.DataFrame, columns: Sequence[str]) -> str | None:
    """Return the first column with a value, the first one where none has any."""
    return next((name for name in columns if _has_values(table[name])), next(iter(columns), None))


def _has_values(series: pl.Series) -> bool:
    if series.dtype != pl.String:
        return series.null_count() < series.len()
    return any(_holds_a_value(part) for part in (series.head(1000), series))


def _holds_a_value(series: pl.Series) -> bool:
    text = series.str.strip_chars(BLANKS)
    return bool(((text != "") & ~text.is_in(list(NULL_WORDS))).any())


def _time_column(
    table: pl.DataFrame, likely: Sequence[str], taken: Collection[str], holds_times: HoldsTimes
) -> str | None:
    """Return the first column of a usual name, then of a likely name or type, that holds times."""
    worded = [name for name in table.columns if _is_worded_as_time(name)]
    typed = [
        name for name, kind in table.schema.items() if isinstance(kind, (pl.Datetime, pl.Date))
    ]
    candidates = dict.fromkeys([*likely, *worded, *(typed if len(typed) == 1 else ())])
    return next(
        (name for name in candidates if name not in taken and holds_times(table[name])), None
    )


def _is_worded_as_time(name: str) -> bool:
    """Tell whether a name such as ``order_date`` or ``createdAt`` is that of an event's time."""
    words = {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}
    return bool(words & _TIME_WORDS) and not words & _OTHER_TIMES


def joining_column(users: Sequence[str], items: Sequence[str]) -> str | None:
    """Return the column by which a table of users and one of items make events, if there is one.

    Shops that keep orders and their lines apart have the user in one and the item in the other:
    ``order_id, user_id`` and ``order_id, product_id``.
    """
    if not (_guess(users, _USER_NAMES) and _guess(items, _ITEM_NAMES)):
        return None
    lines = {_plain(name): name for name in items}
    own = {_plain(name) for name in (*_USER_NAMES, *_ITEM_NAMES)}
    shared = [lines[_plain(name)] for name in users if _plain(name) in lines]
    keys = [name for name in shared if _plain(name) not in own and _is_worded_as_key(name)]
    return next(iter(keys), None)


def order_column(columns: Sequence[str]) -> str | None:
    """Return the column that names an order or basket, whose user may stand in another table."""
    return next((name for name in columns if _plain(name) in _ORDER_NAMES), None)


def _is_worded_as_key(name: str) -> bool:
    return _plain(name).endswith(("id", "key", "code", "number", "no"))


def _guess(columns: Sequence[str], names: Sequence[str]) -> bool:
    return bool(_likely(columns, names, taken=()))


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _listed(columns: Sequence[str], most: int = 20) -> str:
    more = f" and {len(columns) - most} more" if len(columns) > most else ""
    return f"{', '.join(name[:60] for name in columns[:most])}{more}"


def _missing(file: SourceFile, table: Table, name: str) -> DataError:
    columns = file.table.columns
    if file.in_memory:
        return DataError(
            f"The {file.path.name} have no column for {_WORDS[name]}; there are:"
            f" {_listed(columns)}.",
            hint=f'Name it: columns={{"{name}": "COLUMN"}}. An index is not read: turn it into a'
            " column (pandas: reset_index()).",
        )
    said = f"{file.first_line}: no column for {_WORDS[name]} among: {_listed(columns)}."
    if file.has_lines and _is_row(file.table):
        return DataError(
            f"{said} There is no header line: they look like data.",
            hint=header_hint(columns, "" if table == "events" else f"{table}="),
        )
    key = name if table == "events" else f"{table}.{name}"
    order = order_column(columns) if key == "user_id" else None
    join = f" If it stands in another table, join the two by {order!r} first." if order else ""
    return DataError(
        said,
        hint=f"Name it with --column {key}=COLUMN; a file without a header line needs --header."
        f"{join}",
    )


def _is_row(table: pl.DataFrame) -> bool:
    """Tell whether the names of the columns are values that stand in them."""
    head = table.head(10_000)
    return looks_like_data(head.columns) or any(
        head[name].dtype == pl.String and (head[name] == name).any() for name in head.columns
    )
