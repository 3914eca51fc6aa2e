"""Shops joined: ids apart, events and their parts as they were, columns that agree kept."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from palate.data.catalog import Catalog
from palate.data.dataset import Dataset
from palate.data.interactions import Interactions
from palate.data.joining import joined
from palate.data.split import Split
from palate.data.vocabulary import Vocabulary
from palate.errors import DataError, UnknownItemError, UnknownUserError

#: name -> what a shop sells, and what each of its users did
Shop = Callable[..., Dataset]


@pytest.fixture
def shop() -> Shop:
    def make(
        name: str,
        items: list[str],
        users: dict[str, list[tuple[str, str]]],
        *,
        columns: dict[str, list[object]] | None = None,
        ratings: list[float] | None = None,
        people: pl.DataFrame | None = None,
    ) -> Dataset:
        table = pl.DataFrame(
            {"item_id": items, "title": [f"The {x}" for x in items], **(columns or {})}
        )
        lengths = [len(events) for events in users.values()]
        kinds = sorted({kind for events in users.values() for _, kind in events})
        flat = [event for events in users.values() for event in events]
        interactions = Interactions(
            users=Vocabulary(list(users), unknown=UnknownUserError),
            offsets=np.concatenate([[0], np.cumsum(lengths)]),
            item_rows=np.array([items.index(item) for item, _ in flat]),
            event_codes=np.array([kinds.index(kind) for _, kind in flat]),
            event_types=tuple(kinds),
            ratings=None if ratings is None else np.array(ratings, dtype=np.float32),
        )
        parts = np.concatenate([[0] * (n - 2) + [1, 2] for n in lengths])
        return Dataset(
            name=name,
            catalog=Catalog(Vocabulary(items), table),
            interactions=interactions,
            split=Split(parts, f"by hand of {name}"),
            users=people,
        )

    return make


@pytest.fixture
def books(shop: Shop) -> Dataset:
    return shop(
        "books",
        ["x1", "x2", "x3"],
        {
            "ann": [("x1", "view"), ("x2", "buy"), ("x3", "buy")],
            "bob": [("x3", "buy"), ("x1", "view"), ("x2", "view")],
        },
        columns={"price": [1.5, 2.0, None], "pages": [100, 200, 300], "tags": [["a"], [], []]},
        ratings=[1, 2, 3, 4, 5, 1],
        people=pl.DataFrame({"user_id": ["ann", "bob"], "age": [30, 40]}),
    )


@pytest.fixture
def films(shop: Shop) -> Dataset:
    return shop(
        "films",
        ["x1", "y:2"],
        {"ann": [("y:2", "rate"), ("x1", "rate"), ("y:2", "rate")]},
        columns={"price": [3, 4], "tags": ["long", "short"]},
    )


def told(dataset: Dataset, user: str) -> list[tuple[str, str]]:
    """Return a user's items and kinds of event by name."""
    history = dataset.history(user)
    return [
        (str(dataset.catalog.vocabulary.ids[row]), dataset.interactions.event_types[code])
        for row, code in zip(history.item_rows, history.event_types, strict=True)
    ]


def test_everybody_keeps_their_events(books: Dataset, films: Dataset) -> None:
    whole = joined([books, films])
    for part in (books, films):
        for user in part.interactions.users.ids:
            before = [(f"{part.name}:{item}", kind) for item, kind in told(part, user)]
            assert told(whole, f"{part.name}:{user}") == before


def test_events_keep_their_part(books: Dataset, films: Dataset) -> None:
    whole = joined([books, films])
    assert whole.split.parts.tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2]
    assert whole.split.description == "books: by hand of books | films: by hand of films"
    assert len(whole.cases("test")) == 3


def test_items_keep_their_columns(books: Dataset, films: Dataset) -> None:
    table = joined([books, films]).catalog.table.sort("item_id")
    assert table["item_id"].to_list() == [
        "books:x1",
        "books:x2",
        "books:x3",
        "films:x1",
        "films:y:2",
    ]
    assert table["title"].to_list() == ["The x1", "The x2", "The x3", "The x1", "The y:2"]
    assert table["price"].to_list() == [1.5, 2.0, None, 3.0, 4.0]
    assert table["pages"].to_list() == [100, 200, 300, None, None]


def test_columns_that_disagree_are_left_out_and_said(books: Dataset, films: Dataset) -> None:
    whole = joined([books, films])
    assert "tags" not in whole.catalog.table.columns
    assert "column 'tags' is left out" in whole.report


def test_what_is_known_of_users_need_not_agree(books: Dataset, films: Dataset) -> None:
    people = pl.DataFrame({"user_id": ["ann"], "age": [["18", "24"]], "city": ["Ulm"]})
    whole = joined([books, replace(films, users=people)])
    assert whole.users is not None
    assert whole.users.columns == ["user_id", "city"]
    assert whole.users["city"].to_list() == [None, None, "Ulm"]
    assert "column 'age' is left out" in whole.report


def test_what_only_one_shop_knows_is_unknown_of_the_others(books: Dataset, films: Dataset) -> None:
    whole = joined([books, films])
    assert whole.history("books:bob").ratings.tolist() == [4, 5, 1]
    assert np.isnan(whole.history("films:ann").ratings).all()
    assert whole.users is not None
    assert whole.users["age"].to_list() == [30, 40, None]
    assert whole.users["user_id"].to_list() == whole.interactions.users.ids.tolist()


def test_no_run_of_rows_is_one_shop(shop: Shop) -> None:
    many = [f"i{n}" for n in range(50)]
    events = {"u": [("i1", "buy"), ("i2", "buy"), ("i3", "buy")]}
    whole = joined([shop("a", many, events), shop("b", many, events)], seed=3)
    of_a = np.array([x.startswith("a:") for x in whole.catalog.vocabulary.ids])
    assert 15 < of_a[:50].sum() < 35


def test_the_same_seed_gives_the_same_rows(books: Dataset, films: Dataset) -> None:
    first, again = joined([books, films], seed=4), joined([books, films], seed=4)
    assert first.catalog.table.equals(again.catalog.table)
    assert first.interactions.frame().equals(again.interactions.frame())


def test_it_survives_its_folder(books: Dataset, films: Dataset, tmp_path: Path) -> None:
    whole = joined([books, films], name="both")
    whole.save(tmp_path / "both")
    read = Dataset.load(tmp_path / "both")
    assert read.name == "both"
    assert told(read, "films:ann") == told(whole, "films:ann")


def test_an_id_without_its_shop_is_unknown(books: Dataset, films: Dataset) -> None:
    whole = joined([books, films])
    with pytest.raises(UnknownUserError):
        whole.history("ann")
    with pytest.raises(UnknownItemError):
        whole.catalog.vocabulary.row("x1")


def test_shops_of_one_name_cannot_be_joined(books: Dataset, films: Dataset) -> None:
    with pytest.raises(DataError, match="2 of the datasets are called 'books'"):
        joined([books, replace(films, name="books")])


def test_one_shop_is_not_several(books: Dataset) -> None:
    with pytest.raises(DataError, match="At least two"):
        joined([books])


def test_an_id_with_the_name_of_its_shop_is_no_longer_than_ids_may_be(
    shop: Shop, books: Dataset
) -> None:
    long = shop("films", ["x" * 251, "y"], {"ann": [("y", "view")] * 3})
    with pytest.raises(DataError, match="'films' with its name before it has 257 characters"):
        joined([long, books])
