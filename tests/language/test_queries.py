"""Queries use the item's own words."""

import re

import numpy as np
import polars as pl
import pytest

from palate.data.catalog import Catalog
from palate.data.vocabulary import Vocabulary
from palate.language.queries import QueryPool, make_queries
from palate.simulation.world import World

_ITEMS = {
    "item_id": ["a", "b", "c", "d"],
    "title": ["Walnut Reading Lamp", None, "Mug", ""],
    "brand": ["Lumen", None, None, None],
    "categories": [["Home", "Lighting"], ["Garden"], [], None],
    "tags": [["warm", "small"], None, None, None],
}


def _catalog(columns: dict[str, list[object]]) -> Catalog:
    return Catalog(Vocabulary([str(x) for x in columns["item_id"]]), pl.DataFrame(columns))


def _of(pool: QueryPool, row: int) -> list[str]:
    return list(pool.texts[pool.offsets[row] : pool.offsets[row + 1]])


def _own_words(row: dict[str, object]) -> set[str]:
    values = [row.get(name) for name in ("title", "brand", "categories", "tags")]
    flat = " ".join(" ".join(v) if isinstance(v, list) else str(v or "") for v in values)
    return set(re.findall(r"\w[\w'-]*", flat))


def test_each_word_of_a_query_is_in_the_item() -> None:
    catalog = World(num_users=5, num_items=60, seed=2, pictures=False).dataset().catalog
    pool = make_queries(catalog, 6, seed=0)
    assert pool.num_items == 60
    for row, item in enumerate(catalog.table.iter_rows(named=True)):
        queries = _of(pool, row)
        assert 1 <= len(queries) <= 6
        assert len(set(queries)) == len(queries)
        for query in queries:
            assert set(re.findall(r"\w[\w'-]*", query)) <= _own_words(item)


def test_queries_of_an_item_use_the_columns_that_it_has() -> None:
    pool = make_queries(_catalog(_ITEMS), 30, seed=1)
    assert any(query.startswith("Lumen ") for query in _of(pool, 0))
    assert any(query.startswith(("Lighting", "warm", "small")) for query in _of(pool, 0))
    assert _of(pool, 1) == ["Garden"]
    assert _of(pool, 2) == ["Mug"]
    assert _of(pool, 3) == []


def test_the_chosen_query_is_one_of_the_item(rng: np.random.Generator) -> None:
    pool = make_queries(_catalog(_ITEMS), 5, seed=1)
    for row in range(3):
        chosen = {pool.choose(row, rng) for _ in range(50)}
        assert chosen == set(range(pool.offsets[row], pool.offsets[row + 1]))
    assert pool.choose(3, rng) is None


def test_same_seed_same_queries() -> None:
    catalog = _catalog(_ITEMS)
    assert make_queries(catalog, 4, seed=1).texts == make_queries(catalog, 4, seed=1).texts
    assert make_queries(catalog, 4, seed=1).texts != make_queries(catalog, 4, seed=2).texts


@pytest.mark.parametrize("column", ["title", "brand", "categories"])
def test_a_catalogue_may_lack_columns(column: str) -> None:
    columns = {k: v for k, v in _ITEMS.items() if k in {"item_id", column}}
    pool = make_queries(_catalog(columns), 3, seed=0)
    assert _of(pool, 0)
