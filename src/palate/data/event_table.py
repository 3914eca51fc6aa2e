"""A source table of events, turned into checked columns and then into numbered, ordered events."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from palate.data import values
from palate.data.columns import ColumnMapping, map_columns
from palate.data.preparation_report import Dropped, Notes
from palate.data.sources.read import SourceFile
from palate.data.vocabulary import Vocabulary
from palate.errors import DataError, PalateError, UnknownItemError, UnknownUserError

MAX_KINDS = 100
"""More kinds of events or scenarios than this are taken for a wrong column."""

SOURCE_ROW = "source_row"
"""Place of an event in its file; for errors and for the order of ties."""
ORDER = "order"
"""What events are sorted by within a user: the position or the time, in the source's own unit."""

_LARGEST_KEY = 2**62

_RESERVED = frozenset(
    {
        *("user_id", "item_id", "user", "item", "user_row", "item_row", SOURCE_ROW, ORDER),
        *("event_type", "rating", "timestamp", "scenario", "review_title", "review_text"),
    }
)
"""Names that mean something here; a column that happens to have one is kept under another."""


@dataclass(frozen=True)
class CodedEvents:
    """Events whose ids are replaced by rows, sorted by user and time."""

    table: pl.DataFrame
    """Columns ``user``, ``item``, ``source_row``, ``event_type`` and the optional ones."""
    users: Vocabulary
    items: Vocabulary

    def compact(self) -> "CodedEvents":
        """Drop the users and items that no event is left of; the others keep their order."""
        users, user_rows = _without_unused(self.users, self.table["user"], UnknownUserError)
        items, item_rows = _without_unused(self.items, self.table["item"], UnknownItemError)
        return CodedEvents(self.table.with_columns(user_rows, item_rows), users, items)


def clean_events(file: SourceFile, overrides: Mapping[str, str]) -> tuple[pl.DataFrame, Notes]:
    """Return the events with Palate's columns, every value checked, in the order of the file.

    Raises:
        DataError: naming file and line of the first value that cannot be used.
    """
    given = map_columns(file, "events", overrides)
    mapping, guess_notes = _without_wrong_guesses(file, given, overrides)
    source = mapping.columns
    users = values.ids(file, source["user_id"]).alias("user_id")
    items = values.ids(file, source["item_id"]).alias("item_id")
    ratings = _ratings(file, mapping)
    times, time_notes = _times(file, mapping)
    kinds, kind_notes = _kinds(file, mapping, default="rating" if ratings else "interaction")
    reviews = [
        file.table[source[field]].alias(field)
        for field in ("review_title", "review_text")
        if field in mapping
    ]
    rows = pl.int_range(file.table.height, dtype=pl.UInt32, eager=True).alias(SOURCE_ROW)
    table = pl.DataFrame([rows, users, items, *ratings, *times, *kinds, *reviews])
    extras, extra_notes = _extras(file, mapping.others, table)
    table, drop_notes = _drop_unplaced(table.with_columns(extras))
    read = Notes(read=(f"Events: {file.path.name}; {mapping.words(file)}.",))
    return table, read + guess_notes + time_notes + kind_notes + extra_notes + drop_notes


def encode(table: pl.DataFrame, rng: np.random.Generator) -> CodedEvents:
    """Replace ids by rows drawn at random; sort by user and time, ties as in the file."""
    user_rng, item_rng = rng.spawn(2)
    users = Vocabulary.shuffled(
        table["user_id"].unique().to_list(), user_rng, unknown=UnknownUserError
    )
    items = Vocabulary.shuffled(table["item_id"].unique().to_list(), item_rng)
    coded = _coded(_coded(table, "user_id", "user", users), "item_id", "item", items)
    return CodedEvents(_in_order(coded), users, items)


def _in_order(table: pl.DataFrame) -> pl.DataFrame:
    """Sort by user, then by time; ties keep their places."""
    if ORDER not in table.columns:
        return table.sort("user", maintain_order=True)
    order, users = table[ORDER].to_numpy(), table["user"].to_numpy().astype(np.int64)
    first, span = int(order.min()), int(order.max()) - int(order.min()) + 1
    if span * (int(users.max()) + 1) > _LARGEST_KEY:
        return table.sort(["user", ORDER], maintain_order=True)
    # One key of whole numbers sorts four times faster than two columns.
    keys = pl.DataFrame({"key": users * span + (order - first)}).with_row_index("place")
    return table[keys.sort("key", maintain_order=True)["place"]]


def _without_unused(
    vocabulary: Vocabulary, rows: pl.Series, unknown: type[PalateError]
) -> tuple[Vocabulary, pl.Series]:
    codes = rows.to_numpy()
    used = np.bincount(codes, minlength=len(vocabulary)) > 0
    renumbered = (np.cumsum(used) - 1).astype(np.int32)
    ids = vocabulary.ids[used].tolist()
    return Vocabulary(ids, unknown=unknown), pl.Series(rows.name, renumbered[codes])


def _coded(table: pl.DataFrame, column: str, name: str, vocabulary: Vocabulary) -> pl.DataFrame:
    codes = pl.DataFrame(
        {column: vocabulary.ids.tolist(), name: np.arange(len(vocabulary), dtype=np.int32)},
        schema_overrides={column: pl.String},
    )
    return table.join(codes, on=column, how="left", maintain_order="left").drop(column)


def _without_wrong_guesses(
    file: SourceFile, mapping: ColumnMapping, overrides: Mapping[str, str]
) -> tuple[ColumnMapping, Notes]:
    """Return the mapping without fields whose column is plainly something else.

    A position that is not distinct within a user is a place on a page; an event type or scenario
    with very many values is a text.

    Raises:
        DataError: when the user named such a column.
    """
    read = []
    if "position" in mapping and not _is_order(file, mapping):
        column = mapping.columns["position"]
        read.append(f'Column "{column}" does not order the events of a user: kept as it is.')
        mapping = mapping.without("position")
    for field in ("event_type", "scenario"):
        kinds = file.table[mapping.columns[field]].n_unique() if field in mapping else 0
        if kinds <= MAX_KINDS:
            continue
        column = mapping.columns[field]
        if overrides.get(field) == column:
            raise DataError(
                f"{str(file.path)!r}: the column {column!r} has {kinds:,} different values,"
                f" too many for {field} (at most {MAX_KINDS}).",
                hint="Name another column.",
            )
        read.append(f'Column "{column}" is not taken for {field}: {kinds:,} different values.')
        mapping = mapping.without(field)
    return mapping, Notes(read=tuple(read))


def _is_order(file: SourceFile, mapping: ColumnMapping) -> bool:
    users, positions = (file.table[mapping.columns[name]] for name in ("user_id", "position"))
    places = positions.cast(pl.Int64, strict=False)
    pairs = pl.DataFrame({"user": users, "place": places}).drop_nulls("place")
    return pairs.height > 0 and not pairs.is_duplicated().any()


def _ratings(file: SourceFile, mapping: ColumnMapping) -> list[pl.Series]:
    if "rating" not in mapping:
        return []
    ratings = values.ratings(file, mapping.columns["rating"]).alias("rating")
    return [ratings] if ratings.count() else []


def _times(file: SourceFile, mapping: ColumnMapping) -> tuple[list[pl.Series], Notes]:
    """Return the columns ``timestamp`` (seconds) and ``order`` as far as the source has them."""
    columns, read = [], []
    placed = "position" in mapping
    if placed:
        position = file.table[mapping.columns["position"]].cast(pl.Int64, strict=False)
        columns.append(position.alias(ORDER))
        read.append('Order: column "position"; rows without one are dropped.')
    if "timestamp" in mapping and file.table[mapping.columns["timestamp"]].count():
        times = values.times(file, mapping.columns["timestamp"], may_lack=placed)
        columns.append((times.values // times.per_second).alias("timestamp"))
        read.append(f"Time: {times.description}.")
        if not placed:
            columns.append(times.values.alias(ORDER))
            read.append("Order: by time; equal times keep the order of the file.")
    elif not placed:
        read.append("Order: no time given, the order of the file is taken.")
    return columns, Notes(read=tuple(read))


def _kinds(file: SourceFile, mapping: ColumnMapping, default: str) -> tuple[list[pl.Series], Notes]:
    """Return event types, ``default`` where the source has none, and scenarios."""
    columns, notes = [], Notes()
    if "event_type" in mapping:
        kinds = _names(file, mapping, "event_type").fill_null(default)
    else:
        kinds = pl.Series("event_type", [default]).new_from_index(0, file.table.height)
        notes = Notes(read=(f"No event type given: all events are of type {default}.",))
    columns.append(kinds.cast(pl.Categorical))
    if "scenario" in mapping:
        scenarios = _names(file, mapping, "scenario")
        columns += [scenarios.cast(pl.Categorical)] if scenarios.count() else []
    return columns, notes


def _names(file: SourceFile, mapping: ColumnMapping, field: str) -> pl.Series:
    return file.table[mapping.columns[field]].cast(pl.String).replace("", None).alias(field)


def _extras(
    file: SourceFile, names: Sequence[str], table: pl.DataFrame
) -> tuple[list[pl.Series], Notes]:
    """Return the other columns of the events, without splits and numberings: they leak order."""
    columns = [file.table[name] for name in names]
    left_out = [
        s.name
        for s in columns
        if s.name == "split" or (_may_be_numbering(s) and _numbers_ids(s, table))
    ]
    read = []
    if left_out:
        read.append(
            "Left out of the events (a split or numbering that leaks order):"
            f" {', '.join(left_out)}."
        )
    kept = [s for s in columns if s.name not in left_out and s.dtype != pl.Null]
    if kept:
        read.append(f"Kept as they are: {', '.join(s.name for s in kept)}.")
    renamed = [s.alias(f"{s.name}_given") if s.name in _RESERVED else s for s in kept]
    return renamed, Notes(read=tuple(read))


def _may_be_numbering(series: pl.Series) -> bool:
    name = series.name.lower()
    return name.endswith(("_idx", "_index", "_no", "_num", "idx")) and (
        series.dtype.is_integer() or series.dtype == pl.String
    )


def _numbers_ids(series: pl.Series, table: pl.DataFrame) -> bool:
    """Tell whether ``series`` is one-to-one with the user or item ids."""
    distinct = series.n_unique()
    for column in ("user_id", "item_id"):
        pairs = pl.DataFrame({"id": table[column], "number": series}).n_unique()
        if pairs == distinct == table[column].n_unique():
            return True
    return False


def _drop_unplaced(table: pl.DataFrame) -> tuple[pl.DataFrame, Notes]:
    if ORDER not in table.columns or not table[ORDER].null_count():
        return table, Notes()
    kept = table.drop_nulls(ORDER)
    if kept.height == 0:
        raise DataError("No event has a position.", hint="Map another column, or leave it out.")
    dropped = Dropped("no position in the user's history", table.height - kept.height)
    return kept, Notes(dropped=(dropped,))
