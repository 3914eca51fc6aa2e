"""From raw files to a dataset folder: read, clean, filter, number, split, report."""

import logging
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
import polars.selectors as cs
from pydantic import BaseModel, ConfigDict, Field

from palate.artifacts import check_folder_target, hash_file
from palate.config import checked
from palate.data.catalog import Catalog
from palate.data.columns import NAMES, check_overrides, tidy_names
from palate.data.dataset import Dataset
from palate.data.event_table import ORDER, SOURCE_ROW, CodedEvents, clean_events, encode
from palate.data.filters import (
    Duplicates,
    drop_duplicates,
    drop_low_ratings,
    drop_outside_core,
)
from palate.data.interactions import Interactions
from palate.data.item_table import clean_items, clean_users, in_catalog_order, items_within
from palate.data.leaks import order_warnings
from palate.data.preparation_report import Dropped, Notes, write_report
from palate.data.sources.open import AnySource, open_source, source_in_words
from palate.data.sources.read import FileForm, Source, SourceFile, Table
from palate.data.splitting import SplitName, split_events
from palate.data.values.cells import NULL_WORDS, Forms, share
from palate.data.vocabulary import Vocabulary
from palate.errors import DataError

logger = logging.getLogger(__name__)


class PrepareOptions(BaseModel):
    """How to prepare; the defaults keep everything and leave the last event of each user out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str | None = None
    """What to call the dataset; the source's name if None."""
    columns: Mapping[str, str] = {}
    """Field to column where the guess is wrong: ``{"user_id": "buyer"}``; empty leaves it out. Of
    one table alone: ``{"items.item_id": "sku"}``."""
    header: Mapping[Table, tuple[str, ...]] = {}
    """Names of the columns, in their order, of files without a header line."""
    encoding: str | None = None
    """In which encoding text files are, such as ``cp1252``; seen in each file if None."""
    decimal: Literal[",", "."] | None = None
    """The decimal mark of numbers that could be read in two ways; judged by each column if None."""
    time_format: str | None = None
    """How times are written: ``%d.%m.%Y %H:%M``, ``milliseconds``, ``excel``; seen if None."""
    null: tuple[str, ...] = ()
    """Words that mean that nothing is known, beside the usual ones (``NA``, ``NULL``, ``None``);
    an empty word takes the usual ones away."""
    drop_incomplete: bool = False
    """Leave out rows without a user, an item or a time, which are otherwise refused or, without a
    time, placed before the others of their user."""
    split: SplitName = "leave-last-out"
    valid_fraction: float = Field(default=0.1, ge=0, lt=1)
    """Share of events, users or items to choose models by; leave-last-out does not use it."""
    test_fraction: float = Field(default=0.1, ge=0, lt=1)
    k_core: int = Field(default=0, ge=0)
    """Keep users and items with at least so many events each; 0 keeps all."""
    min_rating: float | None = None
    """Drop events rated lower."""
    duplicates: Duplicates = "keep"
    """What to do with several events of the same user, item and type."""
    seed: int = Field(default=0, ge=0)
    """Draws the rows, and the users or items held out."""
    allow_missing_items: bool = False
    """Keep events whose item has no row in the table of items."""
    keep_untouched_items: bool = False
    """Keep items that no event mentions in the catalogue."""

    @property
    def forms(self) -> Forms:
        """What is said of how values are written."""
        usual = () if "" in self.null else NULL_WORDS
        return Forms(
            decimal=self.decimal,
            time_format=self.time_format,
            null_words=frozenset([*usual, *self.null]) - {""},
            drop_incomplete=self.drop_incomplete,
        )

    @property
    def file_forms(self) -> dict[Table, FileForm]:
        """What is said of how the file of each table is written."""
        return {table: FileForm(self.encoding, self.header.get(table, ())) for table in NAMES}


def prepare(
    source: AnySource,
    folder: Path | str,
    options: PrepareOptions | None = None,
    *,
    progress: Callable[[str], None] = lambda _: None,
) -> Dataset:
    """Turn a source into a dataset folder, or into nothing when a step fails.

    Args:
        source: a table of events; a folder with one, and tables of items and users beside it; a
            folder of raw MovieLens or Amazon files; the name of a public set; or the files of each
            table: ``{"events": "orders.csv", "items": "products.csv"}``.
        folder: where to write.
        options: how; the defaults if None.
        progress: called with what is done next.

    Raises:
        DataError: naming file and line, when the source cannot be used.
        ConfigError: when an option cannot be used.
        ArtifactError: when ``folder`` holds something else, or cannot be written.
    """
    options = options or PrepareOptions()
    check_folder_target(folder, "dataset")
    progress(f"Reading {source_in_words(source)}")
    opened = open_source(source, options.file_forms)
    progress(f"Checking {opened.events.table.height:,} events")
    dataset = build(opened, options)
    progress(f"Writing {folder}")
    dataset.save(
        folder,
        made_by=f"prepare {source_in_words(source)}",
        inputs=_hashes(opened),
        options=options.model_dump(mode="json"),
    )
    return dataset


def options_of(chosen: Mapping[str, object]) -> PrepareOptions:
    """Return options by their names, checked: the one definition of Python and command line.

    Raises:
        ConfigError: naming each that is unknown or has a wrong value.
    """
    return checked(PrepareOptions, chosen, "The options of prepare")


def build(source: Source, options: PrepareOptions) -> Dataset:
    """Make the dataset of what was read, in memory.

    Raises:
        DataError: naming file and line of the first value that cannot be used.
    """
    source = _with_tidy_names(source)
    check_overrides(options.columns, source.tables)
    rng = np.random.default_rng(options.seed)
    events, event_notes = clean_events(source.events, options.columns, options.forms)
    notes = Notes(read=(f"Source: {source.kind}.",)) + source.notes + event_notes
    notes += _in_two_files(source.events)
    items, events, item_notes = _items(source, events, options)
    coded = encode(events, rng)
    if source.items is not None and items is not None:
        item_notes += _missing_items(source, coded, items, options)
    coded, filter_notes = _filtered(coded, options)
    notes += item_notes + filter_notes + order_warnings(coded)
    vocabulary = _catalog_ids(coded.items, items, options, rng)
    catalog = Catalog(vocabulary, in_catalog_order(items, vocabulary))
    notes += _untouched(coded.items, items, options)
    users = None
    if source.users is not None:
        users, user_notes = clean_users(source.users, options.columns, coded.users, options.forms)
        notes += user_notes
    interactions = _interactions(coded, vocabulary)
    split = split_events(
        interactions,
        options.split,
        rng,
        valid_fraction=options.valid_fraction,
        test_fraction=options.test_fraction,
    )
    name = options.name or source.name
    report = write_report(f"Dataset {name}", catalog, interactions, split, notes)
    return Dataset(name, catalog, interactions, split, users=users, report=report)


def _hashes(source: Source) -> dict[str, str]:
    """Return the content hash of each file by its name, by its path where names are alike."""
    paths = [path for file in source.files for path in file.paths]
    names = Counter(path.name for path in paths)
    return {path.name if names[path.name] == 1 else str(path): hash_file(path) for path in paths}


def _with_tidy_names(source: Source) -> Source:
    return replace(
        source,
        events=tidy_names(source.events),
        items=None if source.items is None else tidy_names(source.items),
        users=None if source.users is None else tidy_names(source.users),
    )


def _in_two_files(events: SourceFile) -> Notes:
    """Say which files were read together, and warn of events that stand in two of them."""
    if len(events.pieces) < 2:
        return Notes()
    names = ", ".join(events.piece_names[:4])
    more = f" and {len(events.pieces) - 4} more" if len(events.pieces) > 4 else ""
    read = (f"Events: {len(events.pieces)} files read together: {names}{more}.",)
    flat = events.table.select(~cs.nested())
    repeated = flat.is_duplicated()
    within, start = [], 0
    for piece in events.pieces:
        within.append(flat.slice(start, piece.height).is_duplicated())
        start += piece.height
    across = int((repeated & ~pl.concat(within)).sum())
    if not across:
        return Notes(read=read)
    finding = f"{share(across, flat.height)} events stand in more than one of the files"
    return Notes(read=read, warnings=(f"{finding}: is one a copy or a part of another?",))


def _untouched(touched: Vocabulary, items: pl.DataFrame | None, options: PrepareOptions) -> Notes:
    """Tell how many items have no event, and whether the catalogue holds them."""
    if items is None:
        return Notes()
    untouched = items.height - len(set(items["item_id"]) & set(touched.ids))
    if not untouched:
        return Notes()
    if options.keep_untouched_items:
        return Notes(read=(f"Items: {untouched:,} without an event are kept.",))
    reason = "items without an event (kept with --keep-untouched-items)"
    return Notes(dropped=(Dropped(reason, untouched),))


def _items(
    source: Source, events: pl.DataFrame, options: PrepareOptions
) -> tuple[pl.DataFrame | None, pl.DataFrame, Notes]:
    """Return the items, of their own table or from columns of the events, and the events."""
    if source.items is not None:
        items, notes = clean_items(source.items, options.columns, options.forms)
        return items, events, notes
    within, names = items_within(events)
    if within is None:
        note = "Items: no table of items; the catalogue holds ids only."
        return None, events, Notes(read=(note,))
    clean, notes = clean_items(source.events.with_table(within), {}, options.forms)
    note = f"Items: taken from columns of the events: {', '.join(names)}."
    item_notes = Notes(read=(note, *notes.read[1:]), warnings=notes.warnings)
    return clean, events.drop(names), item_notes


def _missing_items(
    source: Source, coded: CodedEvents, items: pl.DataFrame, options: PrepareOptions
) -> Notes:
    """Check that each event's item has a row.

    Raises:
        DataError: for the first event whose item has none, unless that is allowed.
    """
    described = set(items["item_id"])
    lacks_row = np.array([item_id not in described for item_id in coded.items.ids])
    lacking = coded.table.filter(pl.Series(lacks_row[coded.table["item"].to_numpy()]))
    if lacking.height == 0:
        return Notes()
    missing = int(lacks_row.sum())
    if options.allow_missing_items:
        words = f"{missing:,} items ({lacking.height:,} events) have no row in the table of items."
        return Notes(warnings=(words,))
    first = lacking.sort(SOURCE_ROW).row(0, named=True)
    item_id = str(coded.items.ids[first["item"]])
    raise DataError(
        f"{source.events.where(first[SOURCE_ROW])}: item {item_id!r} has"
        f" no row in the table of items ({missing:,} such items, {lacking.height:,} events).",
        hint=f"{_nearly_alike(item_id, described)}Add the rows, or keep such events with"
        " --allow-missing-items.",
    )


def _nearly_alike(item_id: str, described: set[str]) -> str:
    """Return a hint at an id that differs in zeros, decimals, case or punctuation only."""

    def bare(text: str) -> str:
        whole = re.sub(r"^(\d+)[.,]0+$", r"\1", text)
        return "".join(letter for letter in whole.lower() if letter.isalnum()).lstrip("0")

    wanted = bare(item_id)
    alike = next((other for other in sorted(described) if bare(other) == wanted), None)
    if alike is None or not wanted:
        return ""
    return f"There is a row for {alike!r}: are the ids written in two ways? "


def _filtered(coded: CodedEvents, options: PrepareOptions) -> tuple[CodedEvents, Notes]:
    """Apply the filters in turn and drop users and items of which nothing is left.

    Raises:
        DataError: when too little is left to recommend anything.
    """
    table, low = drop_low_ratings(coded.table, options.min_rating)
    table, repeated = drop_duplicates(table, options.duplicates)
    table, outside = drop_outside_core(table, options.k_core)
    notes = low + repeated + outside
    kept = CodedEvents(table, coded.users, coded.items).compact()
    for what, vocabulary in (("user", kept.users), ("item", kept.items)):
        if len(vocabulary) < 2:
            raise DataError(
                f"Only {len(vocabulary)} {what}{_after(notes.dropped)}: at least two are needed.",
                hint=f"Check which column holds the {what}, or filter less.",
            )
    return kept, notes


def _after(dropped: tuple[Dropped, ...]) -> str:
    return " left after filtering" if dropped else ""


def _catalog_ids(
    touched: Vocabulary,
    items: pl.DataFrame | None,
    options: PrepareOptions,
    rng: np.random.Generator,
) -> Vocabulary:
    if not options.keep_untouched_items or items is None:
        return touched
    return Vocabulary.shuffled([*touched.ids, *items["item_id"]], rng)


def _interactions(coded: CodedEvents, catalog: Vocabulary) -> Interactions:
    table = coded.table
    if catalog is not coded.items:
        rows = catalog.rows(coded.items.ids)
        table = table.with_columns(pl.Series("item", rows[table["item"].to_numpy()]))
    renamed = table.rename({"user": "user_row", "item": "item_row"}).drop(SOURCE_ROW)
    return Interactions.from_frame(renamed.drop(ORDER, strict=False), coded.users)
