"""A source table of events, turned into checked columns and then into numbered, ordered events."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from palate.data.columns import ColumnMapping, map_columns, overrides_of, time_columns
from palate.data.preparation_report import Dropped, Notes
from palate.data.sources.read import SourceFile
from palate.data.values.cells import AS_SEEN, Forms, share, tidy, without_blanks
from palate.data.values.epochs import Times
from palate.data.values.ids import ids, stand_ins
from palate.data.values.numbers import ratings
from palate.data.values.times import clock, holds_times, times
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


def clean_events(
    file: SourceFile, overrides: Mapping[str, str], forms: Forms = AS_SEEN
) -> tuple[pl.DataFrame, Notes]:
    """Return the events with Palate's columns, every value checked, in the order of the file.

    Raises:
        DataError: naming file and line of the first value that cannot be used.
    """
    given = map_columns(file, "events", overrides, holds_times)
    mapping, guess_notes = _without_wrong_guesses(file, given, overrides_of(overrides, "events"))
    users, user_notes = ids(file, mapping.columns["user_id"], forms)
    items, item_notes = ids(file, mapping.columns["item_id"], forms)
    rated, rating_notes = _ratings(file, mapping, forms)
    timed, time_notes = _times(file, mapping, forms, overrides_of(overrides, "events"))
    kinds, kind_notes = _kinds(file, mapping, forms, default="rating" if rated else "interaction")
    reviews = [
        without_blanks(file.table[mapping.columns[field]]).alias(field)
        for field in ("review_title", "review_text")
        if field in mapping
    ]
    rows = pl.int_range(file.table.height, dtype=pl.UInt32, eager=True).alias(SOURCE_ROW)
    table = pl.DataFrame(
        [rows, users.alias("user_id"), items.alias("item_id"), *rated, *timed, *kinds, *reviews]
    )
    extras, extra_notes = _extras(file, mapping.others, table)
    table, drop_notes = _without_incomplete(table.with_columns(extras), "position" in mapping)
    read = Notes(read=(f"Events: {file.name}; {mapping.words(file)}.",))
    user_notes += stand_ins(users)
    of_values = user_notes + item_notes + rating_notes + time_notes + kind_notes
    return table, read + guess_notes + of_values + extra_notes + drop_notes


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
    users = file.table[mapping.columns["user_id"]]
    pairs = pl.DataFrame({"user": users, "place": _positions(file, mapping)}).drop_nulls("place")
    return pairs.height > 0 and not pairs.is_duplicated().any()


def _positions(file: SourceFile, mapping: ColumnMapping) -> pl.Series:
    return tidy(file.table[mapping.columns["position"]]).values.cast(pl.Int64, strict=False)


def _ratings(
    file: SourceFile, mapping: ColumnMapping, forms: Forms
) -> tuple[list[pl.Series], Notes]:
    if "rating" not in mapping:
        return [], Notes()
    found, notes = ratings(file, mapping.columns["rating"], forms)
    return ([found.alias("rating")] if found.count() else []), notes


def _times(
    file: SourceFile, mapping: ColumnMapping, forms: Forms, overrides: Mapping[str, str]
) -> tuple[list[pl.Series], Notes]:
    """Return the columns ``timestamp`` (seconds) and ``order`` as far as the source has them."""
    columns, read = [], []
    placed = "position" in mapping
    if placed:
        columns.append(_positions(file, mapping).alias(ORDER))
        read.append('Order: column "position"; rows without one are dropped.')
    found = times(file, mapping.columns["timestamp"], forms) if "timestamp" in mapping else None
    if found is None or not found.values.count():
        missing = Notes() if placed else _no_times(file, mapping, overrides)
        return columns, Notes(read=tuple(read)) + missing
    found, clock_notes = _with_clock(file, mapping, found)
    columns.append((found.values // found.per_second).alias("timestamp"))
    read.append(f"Time: {found.description}.")
    if not placed:
        columns.append(_order(found.values, forms).alias(ORDER))
        read.append("Order: by time; equal times keep the order of the file.")
    lacking = _lacking_times(file, found, forms, placed=placed)
    return columns, Notes(read=tuple(read)) + clock_notes + found.notes + lacking


def _no_times(file: SourceFile, mapping: ColumnMapping, overrides: Mapping[str, str]) -> Notes:
    """Say that the order of the file is taken, and warn unless that was wanted."""
    read = ("Order: no time given, the order of the file is taken.",)
    if overrides.get("timestamp") == "":
        return Notes(read=read)
    others = file.table.select(mapping.others)
    likely = [f'"{name}"' for name in time_columns(others, holds_times)][:5]
    hint = f" (columns that hold times: {', '.join(likely)})" if likely else ""
    warning = (
        "No time of the events was found: the order of the file decides what comes next, and so"
        f" what models are tested on. Name the column with --column timestamp=COLUMN{hint}."
    )
    return Notes(read=read, warnings=(warning,))


def _order(values: pl.Series, forms: Forms) -> pl.Series:
    """Return what events are sorted by; those without a time come first, unless left out."""
    first = values.min()
    if forms.drop_incomplete or not values.null_count() or not isinstance(first, int):
        return values
    return values.fill_null(first - 1)


def _lacking_times(file: SourceFile, found: Times, forms: Forms, *, placed: bool) -> Notes:
    """Warn of events without a time: they must not decide what models are tested on."""
    lacking = found.values.null_count()
    if not lacking:
        return Notes()
    finding = (
        f"{share(lacking, found.values.len())} rows of {file.name} have no time: {found.missing}"
    )
    if placed:
        return Notes(read=(f"{finding}.",))
    if forms.drop_incomplete:
        return Notes(warnings=(f"{finding}; they were left out.",))
    return Notes(
        warnings=(
            f"{finding}; they stand before the other events of their user. Leave them out with"
            " --drop-incomplete.",
        )
    )


def _with_clock(file: SourceFile, mapping: ColumnMapping, found: Times) -> tuple[Times, Notes]:
    """Return times with the hours of another column, where they are days and that one has hours."""
    day = 86_400 * found.per_second
    if found.is_order or (found.values % day != 0).any():
        return found, Notes()
    for name in mapping.others:
        seconds = clock(file.table[name])
        if seconds is not None:
            values = found.values + seconds * found.per_second
            note = f'Time: the hours are taken from column "{name}".'
            return replace(found, values=values), Notes(read=(note,))
    return found, Notes()


def _kinds(
    file: SourceFile, mapping: ColumnMapping, forms: Forms, default: str
) -> tuple[list[pl.Series], Notes]:
    """Return event types, ``default`` where the source has none, and scenarios."""
    columns, notes = [], Notes()
    if "event_type" in mapping:
        kinds, notes = _names(file, mapping, "event_type", forms)
        kinds = kinds.fill_null(default)
    else:
        kinds = pl.Series("event_type", [default]).new_from_index(0, file.table.height)
        notes = Notes(read=(f"No event type given: all events are of type {default}.",))
    columns.append(kinds.cast(pl.Categorical))
    if "scenario" in mapping:
        scenarios, scenario_notes = _names(file, mapping, "scenario", forms)
        notes += scenario_notes
        columns += [scenarios.cast(pl.Categorical)] if scenarios.count() else []
    return columns, notes


def _names(
    file: SourceFile, mapping: ColumnMapping, field: str, forms: Forms
) -> tuple[pl.Series, Notes]:
    cells = tidy(file.table[mapping.columns[field]], forms)
    return cells.values.cast(pl.String).alias(field), cells.notes


def _extras(
    file: SourceFile, names: Sequence[str], table: pl.DataFrame
) -> tuple[list[pl.Series], Notes]:
    """Return the other columns of the events, without splits and numberings: they leak order."""
    columns = [without_blanks(file.table[name]) for name in names]
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


def _without_incomplete(table: pl.DataFrame, placed: bool) -> tuple[pl.DataFrame, Notes]:
    """Drop events without a user, an item or a place in the order, and count them.

    Raises:
        DataError: when none is left.
    """
    reasons = {
        "user_id": "no user",
        "item_id": "no item",
        ORDER: "no position in the user's history" if placed else "no time",
    }
    dropped = []
    for column, reason in reasons.items():
        if column in table.columns and table[column].null_count():
            kept = table.drop_nulls(column)
            dropped.append(Dropped(reason, table.height - kept.height))
            table = kept
    if table.height == 0:
        finding = ", ".join(f"{drop.reason} ({drop.events:,})" for drop in dropped)
        raise DataError(
            f"No event is left: {finding}.", hint="Map another column, or leave it out."
        )
    return table, Notes(dropped=tuple(dropped))
