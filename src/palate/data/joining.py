"""Several datasets as one: shops that a model is pre-trained on together (UniSRec, VQ-Rec)."""

from collections import Counter
from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import polars as pl

from palate.data.catalog import Catalog
from palate.data.dataset import Dataset
from palate.data.ids import LONGEST_ID
from palate.data.interactions import Interactions
from palate.data.preparation_report import Notes, write_report
from palate.data.split import Split
from palate.data.vocabulary import Vocabulary
from palate.errors import DataError, UnknownUserError


def joined(datasets: Sequence[Dataset], *, name: str | None = None, seed: int = 0) -> Dataset:
    """Return one dataset that holds the users, items and events of all.

    Every id is led by the name of its shop (``books:B001``), so that nobody and nothing is taken
    for another's; each event keeps its part of the split. Columns that are of one type wherever
    they occur are kept, with nulls where a shop has none.

    Args:
        datasets: at least two, of different names.
        name: what to call the whole; their names with a plus between where none is given.
        seed: draws the order of the items: no run of rows is one shop.

    Raises:
        DataError: for fewer than two datasets, or two of one name.
    """
    _check(datasets)
    name = name or "+".join(dataset.name for dataset in datasets)
    items, unlike_of_items = _stacked([_led(x.catalog.table, "item_id", x.name) for x in datasets])
    vocabulary = Vocabulary.shuffled(items["item_id"].to_list(), np.random.default_rng(seed))
    rows = vocabulary.rows(items["item_id"].to_list())
    catalog = Catalog(vocabulary, items[np.argsort(rows).tolist()])
    people, unlike_of_people = _stacked([_people(dataset) for dataset in datasets])
    users = Vocabulary(people["user_id"].to_list(), unknown=UnknownUserError)
    events, unlike_of_events = _stacked(_events(datasets, rows))
    interactions = Interactions.from_frame(events, users)
    split = Split(
        parts=np.concatenate([dataset.split.parts for dataset in datasets]),
        description=" | ".join(f"{x.name}: {x.split.description}" for x in datasets),
    )
    notes = Notes(
        read=tuple(f"{x.name}: {len(x.interactions):,} events." for x in datasets),
        warnings=tuple(
            f"column {column!r} is left out: the shops have unlike things in it."
            for column in unlike_of_items + unlike_of_events + unlike_of_people
        ),
    )
    return Dataset(
        name=name,
        catalog=catalog,
        interactions=interactions,
        split=split,
        users=people if any(dataset.users is not None for dataset in datasets) else None,
        report=write_report(f"Dataset {name}", catalog, interactions, split, notes),
    )


def _check(datasets: Sequence[Dataset]) -> None:
    """Raise where there is nothing to join, or ids of two shops would look alike."""
    if len(datasets) < 2:
        raise DataError(
            f"At least two datasets can be joined, not {len(datasets)}.",
            hint="Name several dataset folders.",
        )
    for shop, times in Counter(dataset.name for dataset in datasets).items():
        if times > 1:
            raise DataError(
                f"{times} of the datasets are called {shop!r}: their ids would be confused.",
                hint="Prepare them with another --name each.",
            )


def _led(table: pl.DataFrame, column: str, shop: str) -> pl.DataFrame:
    """Return ``table`` with the name of the shop before each id in ``column``.

    Raises:
        DataError: when an id would then be longer than ids may be.
    """
    led = table.with_columns(pl.concat_str(pl.lit(f"{shop}:"), pl.col(column)).alias(column))
    longest = led[column].str.len_chars().max()
    if isinstance(longest, int) and longest > LONGEST_ID:
        raise DataError(
            f"An id of {shop!r} with its name before it has {longest} characters;"
            f" {LONGEST_ID} are the most.",
            hint="Prepare the dataset again with a shorter --name.",
        )
    return led


def _events(datasets: Sequence[Dataset], rows: np.ndarray) -> list[pl.DataFrame]:
    """Return the events of each shop with users and items numbered across all of them.

    Args:
        datasets: the shops.
        rows: the row of each item, shop after shop.
    """
    items = accumulate((len(x.catalog) for x in datasets), initial=0)
    users = accumulate((x.interactions.num_users for x in datasets), initial=0)
    tables = []
    for dataset, first_item, first_user in zip(datasets, items, users, strict=False):
        table = dataset.interactions.frame()
        tables.append(
            table.with_columns(
                pl.col("event_type").cast(pl.String),
                pl.col("user_row") + first_user,
                pl.Series("item_row", rows[first_item + dataset.interactions.item_rows]),
            )
        )
    return tables


def _people(dataset: Dataset) -> pl.DataFrame:
    """Return the users of a shop in row order, with what is known of them."""
    ids = pl.DataFrame({"user_id": dataset.interactions.users.ids.tolist()})
    return _led(ids if dataset.users is None else dataset.users, "user_id", dataset.name)


def _stacked(tables: Sequence[pl.DataFrame]) -> tuple[pl.DataFrame, list[str]]:
    """Return the tables one after another, and the columns left out as their types disagree."""
    unlike = [
        column
        for column in dict.fromkeys(name for table in tables for name in table.columns)
        if not _alike([table[column] for table in tables if column in table.columns])
    ]
    return pl.concat(
        [table.drop(unlike, strict=False) for table in tables], how="diagonal_relaxed"
    ), unlike


def _alike(columns: Sequence[pl.Series]) -> bool:
    """Tell whether ``columns`` can stand in one: all of one type, or all numbers."""
    known = {column.dtype for column in columns if column.dtype != pl.Null}
    return len(known) <= 1 or all(kind.is_numeric() for kind in known)
