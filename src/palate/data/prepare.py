"""From raw files to a dataset folder: read, clean, filter, number, split, report."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from palate.artifacts import check_folder_target, hash_file
from palate.config import checked
from palate.data.catalog import Catalog
from palate.data.columns import check_overrides
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
from palate.data.sources.amazon import find_reviews, is_amazon, read_amazon
from palate.data.sources.bundle import read_bundle
from palate.data.sources.movielens import is_movielens, read_movielens
from palate.data.sources.public import PUBLIC_SETS, read_public
from palate.data.sources.read import Source, read_file
from palate.data.sources.scan import check_file
from palate.data.splitting import SplitName, split_events
from palate.data.vocabulary import Vocabulary
from palate.errors import DataError

logger = logging.getLogger(__name__)


class PrepareOptions(BaseModel):
    """How to prepare; the defaults keep everything and leave the last event of each user out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str | None = None
    """What to call the dataset; the source's name if None."""
    columns: Mapping[str, str] = {}
    """Field to column where the guess is wrong: ``{"user_id": "buyer"}``; empty leaves it out."""
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


def prepare(
    source: Path | str,
    folder: Path | str,
    options: PrepareOptions | None = None,
    *,
    progress: Callable[[str], None] = lambda _: None,
) -> Dataset:
    """Turn a source into a dataset folder, or into nothing when a step fails.

    Args:
        source: a table of events; a folder with one, and tables of items and users beside it; a
            folder of raw MovieLens or Amazon files; or the name of a public set.
        folder: where to write.
        options: how; the defaults if None.
        progress: told what is done next.

    Raises:
        DataError: naming file and line, when the source cannot be used.
        ConfigError: when an option cannot be used.
        ArtifactError: when ``folder`` holds something else, or cannot be written.
    """
    options = options or PrepareOptions()
    check_folder_target(folder, "dataset")
    progress(f"Reading {source}")
    opened = open_source(source)
    progress(f"Checking {opened.events.table.height:,} events")
    dataset = build(opened, options)
    progress(f"Writing {folder}")
    inputs = {file.path.name: hash_file(file.path) for file in opened.files}
    dataset.save(
        folder,
        made_by=f"prepare {source}",
        inputs=inputs,
        options=options.model_dump(mode="json"),
    )
    return dataset


def options_of(chosen: Mapping[str, object]) -> PrepareOptions:
    """Return options by their names, checked: the one definition of Python and command line.

    Raises:
        ConfigError: naming each that is unknown or has a wrong value.
    """
    return checked(PrepareOptions, chosen, "The options of prepare")


def open_source(source: Path | str) -> Source:
    """Find out what ``source`` is and read its tables.

    Raises:
        DataError: when it is nothing known, or cannot be read.
    """
    path = Path(source)
    if not path.exists() and str(source) in PUBLIC_SETS:
        return read_public(str(source))
    if path.is_dir():
        if is_movielens(path):
            return read_movielens(path)
        reviews = find_reviews(path)
        return read_amazon(reviews) if reviews is not None else read_bundle(path)
    if not path.exists():
        raise DataError(
            f"There is no file or folder {str(source)!r}, and no public set of that name.",
            hint=f"Public sets: {', '.join(PUBLIC_SETS)}.",
        )
    check_file(path)
    if path.name in {"u.data", "ratings.dat"}:
        return read_movielens(path.parent)
    if is_amazon(path):
        return read_amazon(path)
    return Source(name=path.name.split(".")[0], events=read_file(path))


def build(source: Source, options: PrepareOptions) -> Dataset:
    """Make the dataset of what was read, in memory.

    Raises:
        DataError: naming file and line of the first value that cannot be used.
    """
    check_overrides(options.columns, source.files)
    rng = np.random.default_rng(options.seed)
    events, notes = clean_events(source.events, options.columns)
    notes = Notes(read=(f"Source: {source.kind}.",)) + notes
    items, events, item_notes = _items(source, events, options.columns)
    coded = encode(events, rng)
    if source.items is not None and items is not None:
        item_notes += _missing_items(source, coded, items, options)
    coded, filter_notes = _filtered(coded, options)
    notes += item_notes + filter_notes + order_warnings(coded)
    vocabulary = _catalog_ids(coded.items, items, options, rng)
    catalog = Catalog(vocabulary, in_catalog_order(items, vocabulary))
    users = None
    if source.users is not None:
        users, user_notes = clean_users(source.users, options.columns, coded.users)
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


def _items(
    source: Source, events: pl.DataFrame, overrides: Mapping[str, str]
) -> tuple[pl.DataFrame | None, pl.DataFrame, Notes]:
    """Return the items, of their own table or from columns of the events, and the events."""
    if source.items is not None:
        items, notes = clean_items(source.items, overrides)
        return items, events, notes
    within, names = items_within(events)
    if within is None:
        note = "Items: no table of items; the catalogue holds ids only."
        return None, events, Notes(read=(note,))
    clean, notes = clean_items(source.events.with_table(within), {})
    note = f"Items: taken from columns of the events: {', '.join(names)}."
    return clean, events.drop(names), Notes(read=(note,)) + Notes(warnings=notes.warnings)


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
    raise DataError(
        f"{source.events.where(first[SOURCE_ROW])}: item {coded.items.ids[first['item']]!r} has"
        f" no row in the table of items ({missing:,} such items, {lacking.height:,} events).",
        hint="Add the rows, or keep such events with --allow-missing-items.",
    )


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
