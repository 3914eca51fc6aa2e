"""Wishes for training are true of their items, said in many ways, and read as they were meant."""

import numpy as np
import polars as pl
import pytest

from palate.data.dataset import Dataset
from palate.language.queries import QueryPool
from palate.language.tasks.material import Material
from palate.language.tasks.task import TaskSettings
from palate.language.tasks.wish import Wished
from palate.language.wishes.making import content_of, draw_wish, make_wishes, say
from palate.language.wishes.reading import read_wish
from palate.language.wishes.terms import Terms, attributes_of
from palate.language.wishes.wish import meets
from palate.simulation.world import World


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return World(num_users=40, num_items=80, seed=3).dataset()


@pytest.fixture(scope="module")
def terms(dataset: Dataset) -> Terms:
    return Terms.of_catalog(dataset.catalog)


def test_every_wish_is_true_of_its_item(terms: Terms) -> None:
    pool = make_wishes(terms, 4, seed=0)
    assert len(pool.wishes) > 2 * len(terms)
    for row in range(len(terms)):
        for index in range(int(pool.offsets[row]), int(pool.offsets[row + 1])):
            assert meets(pool.wishes[index], terms, row)


def test_equal_seeds_give_equal_wishes(terms: Terms) -> None:
    one, two = (make_wishes(terms, 3, seed=5) for _ in range(2))
    assert one.wishes == two.wishes
    assert make_wishes(terms, 3, seed=6).wishes != one.wishes


def test_what_is_said_is_read_as_it_was_meant(terms: Terms) -> None:
    """Of 300 wishes in random words, nearly all are read with the same conditions."""
    rng, same = np.random.default_rng(0), 0
    for number in range(300):
        wish = draw_wish(terms, number % len(terms), rng)
        assert wish is not None
        found = read_wish(say(wish, terms, rng), terms).wish
        same += (
            set(found.wanted) >= set(wish.wanted)
            and set(found.avoided) == set(wish.avoided)
            and (found.price_min, found.price_max) == (wish.price_min, wish.price_max)
        )
    assert same >= 270


def test_one_wish_is_said_in_many_ways(terms: Terms) -> None:
    rng = np.random.default_rng(1)
    wish = draw_wish(terms, 0, rng)
    assert wish is not None
    assert len({say(wish, terms, rng) for _ in range(50)}) > 20


def test_examples_ask_for_the_next_item_that_fits(dataset: Dataset) -> None:
    material = Material(dataset, QueryPool([], np.zeros(81, dtype=np.int64)), None, ())
    task = Wished.offered(material, TaskSettings())
    assert task is not None
    rng, made = np.random.default_rng(2), 0
    for history in dataset.sequences * 3:
        example = task.example(history, {}, rng)
        if example is None:
            continue
        made += 1
        assert example.context
        rows = history.item_rows.tolist()
        for prefix, target in zip(example.prefix_lengths, example.targets[:, 0], strict=True):
            assert int(target) in rows[prefix:]
        if example.query is not None:
            content = task.own_queries[example.query - task.first_query]
            assert content == content_of(
                task.pool.wishes[example.query - task.first_query], task.pool.terms
            )
    assert made > 40


def test_columns_of_labels_are_attributes_and_columns_of_texts_are_not() -> None:
    table = pl.DataFrame(
        {
            "item_id": ["a", "b", "c", "d"],
            "director": ["Ann Lee", "Ann Lee", "Bo Ek", "Bo Ek, Ann Lee"],
            "year": [1994, 1999, 2001, None],
            "note": ["one text", "another text", "a third", "a fourth"],
            "hash": ["<a_1>", "<a_1>", "<a_1>", "<a_1>"],
        }
    )
    assert attributes_of(table) == [
        (("director", "Ann Lee"), ("year", "1990s")),
        (("director", "Ann Lee"), ("year", "1990s")),
        (("director", "Bo Ek"), ("year", "2000s")),
        (("director", "Bo Ek"), ("director", "Ann Lee")),
    ]
