"""Numberings know no held-out event; codes of categories and titles follow the catalogue."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from palate.data.dataset import Dataset
from palate.data.split import Part
from palate.items.codes.collisions import ExtraDigit
from palate.items.codes.indexings import (
    CollaborativeConfig,
    RandomConfig,
    SemanticConfig,
    SequentialConfig,
    TitleConfig,
    category_paths,
    collaborative_codes,
    item_tokens,
    random_codes,
    semantic_codes,
    sequential_codes,
    title_codes,
)
from palate.simulation.world import World
from palate.types import History


@pytest.fixture(scope="module")
def shop() -> Dataset:
    return World(num_users=60, num_items=80, seed=2).dataset()


def _numbers(values: np.ndarray, base: int) -> np.ndarray:
    return values @ base ** np.arange(values.shape[1] - 1, -1, -1)


def _without_held_out(shop: Dataset) -> Dataset:
    """Return the shop with every held-out event replaced by the first item."""
    events = shop.interactions
    rows = np.where(shop.split.parts == Part.TRAIN, events.item_rows, 0)
    return replace(shop, interactions=replace(events, item_rows=rows))


def test_random_numbers_are_each_given_once(rng: np.random.Generator) -> None:
    drawn = random_codes(RandomConfig(levels=2), 50, rng=rng)
    assert [level.size for level in drawn.levels] == [8, 8]
    assert sorted(_numbers(drawn.values, 8)) == list(range(50))


def test_sequential_numbers_follow_a_walk_through_the_histories(rng: np.random.Generator) -> None:
    histories = [History(np.array([4, 2, 4, 7]))]
    drawn = sequential_codes(SequentialConfig(levels=1), histories, 9, rng=rng)
    numbers = drawn.values[:, 0]
    assert [numbers[row] for row in (4, 2, 7)] == [0, 1, 2]
    assert sorted(numbers) == list(range(9))


@pytest.mark.parametrize("seed", [0, 1])
def test_no_held_out_event_is_read(shop: Dataset, seed: int) -> None:
    for data in (shop, _without_held_out(shop)):
        draw = np.random.default_rng(seed)
        sequential = sequential_codes(
            SequentialConfig(), data.sequences, len(data.catalog), rng=draw
        )
        graph = collaborative_codes(
            CollaborativeConfig(clusters=3, leaf=10), data.sequences, len(data.catalog), rng=draw
        )
        if data is shop:
            first, second = sequential.values, graph.values
    np.testing.assert_array_equal(sequential.values, first)
    np.testing.assert_array_equal(graph.values, second)


def test_the_next_number_is_no_better_guess_than_chance(rng: np.random.Generator) -> None:
    shop = World(num_users=400, num_items=300, seed=5).dataset()
    drawn = sequential_codes(SequentialConfig(), shop.sequences, len(shop.catalog), rng=rng)
    number = _numbers(drawn.values, drawn.levels[0].size)
    cases = shop.cases("test")
    hits = [
        number[target[0]] == number[history.item_rows].max() + 1
        for history, target in zip(cases.histories, cases.targets, strict=True)
    ]
    assert np.mean(hits) < 0.03


def test_the_path_is_the_categories_and_the_leaf_a_digit() -> None:
    table = pl.DataFrame(
        {"categories": [["Shop", "Hair", "Dye"], ["Shop", "Hair"], ["Shop", "Hair"], ["Shop"], []]}
    )
    drawn = semantic_codes(SemanticConfig(), table)
    assert drawn.values.tolist() == [[1, 1], [1, 0], [1, 0], [0, 0], [0, 0]]
    assert drawn.levels[0].words == ("", "Hair")
    codes = ExtraDigit().resolve(drawn)
    assert codes.values[:, -1].tolist() == [0, 0, 1, 0, 1]


def test_a_path_is_preferred_to_a_bag_of_categories() -> None:
    table = pl.DataFrame(
        {
            "categories": [["a", "b", "c"], ["d"]],
            "category_paths": [[["a", "c"], ["a", "b"]], None],
        },
        schema_overrides={"category_paths": pl.List(pl.List(pl.String))},
    )
    assert category_paths(table) == [["a", "c"], ["d"]]


def test_without_any_category_only_the_digit_is_left() -> None:
    table = pl.DataFrame({"categories": [None, None]}, schema={"categories": pl.List(pl.String)})
    assert ExtraDigit().resolve(semantic_codes(SemanticConfig(), table)).values.tolist() == [
        [0],
        [1],
    ]


def test_the_levels_of_title_codes_share_one_alphabet() -> None:
    drawn = title_codes(TitleConfig(levels=3), ["Red Nail Lacquer", "nail, red!", "é"])
    assert drawn.levels[0].words == ("", "lacquer", "nail", "red", "é")
    assert len({level.words for level in drawn.levels}) == 1
    assert drawn.values.tolist() == [[3, 2, 1], [2, 3, 0], [4, 0, 0]]


def test_items_chosen_by_the_same_users_share_a_path(rng: np.random.Generator) -> None:
    groups = [np.arange(0, 6), np.arange(6, 12)]
    histories = [History(rng.permutation(groups[user % 2])) for user in range(30)]
    drawn = collaborative_codes(CollaborativeConfig(clusters=2, leaf=6), histories, 12, rng=rng)
    assert len(set(drawn.values[:6, 0])) == len(set(drawn.values[6:, 0])) == 1
    assert drawn.values[0, 0] != drawn.values[6, 0]
    assert drawn.levels[0].blank


def test_own_tokens_are_the_rows() -> None:
    assert item_tokens(3).values.tolist() == [[0], [1], [2]]
