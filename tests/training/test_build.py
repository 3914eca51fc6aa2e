"""The parts of a run: the tasks that the data allows, in the shares of the recipe."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

from palate.data.catalog import Catalog
from palate.data.dataset import Dataset
from palate.errors import ConfigError
from palate.language.tasks.category import Category
from palate.language.tasks.cold_start import ColdStart
from palate.language.tasks.direct import Direct
from palate.language.tasks.next_item import NextItem
from palate.language.tasks.objective import Objective
from palate.language.tasks.scenario import Scenario
from palate.language.tasks.search import Search
from palate.language.tasks.wish import Wished
from palate.simulation.world import World
from palate.training.build import build_system
from palate.training.recipe import Recipe, load_recipe


@pytest.fixture(scope="module")
def tiny_world() -> Dataset:
    return World(num_users=30, num_items=30, events_per_user=6, seed=2, pictures=False).dataset()


def _recipe(*settings: str) -> Recipe:
    small = ("items.text.dim=16", "model.decoder.width=16")
    return load_recipe("urm-small", [*small, *settings])


def test_all_tasks_of_the_recipe_are_learned(tiny_world: Dataset) -> None:
    parts, (mixture,) = build_system(tiny_world, _recipe(), seed=0)
    assert parts.tasks == (
        "next-item",
        "objective",
        "scenario",
        "category",
        "search",
        "wish",
        "direct",
        "cold-start",
    )
    shares = _recipe().tasks
    assert list(mixture.shares) == [
        shares.share(family)
        for family in (NextItem, Objective, Scenario, Category, Search, Wished, Direct, ColdStart)
    ]
    assert mixture.batch_builder.query_vectors is not None


def test_titles_are_read_up_to_the_recipes_number_of_words(tiny_world: Dataset) -> None:
    reads = "model.item_format=['title', 'item']"
    for most in (1, 3):
        recipe = _recipe(reads, f"model.title_words={most}", "model.fusion.title_reader={layers=1}")
        parts, _ = build_system(tiny_world, recipe, seed=0)
        assert parts.item_format.titles is not None
        assert parts.item_format.titles.shape == (len(tiny_world.catalog), most)
        assert parts.features.words is not None
        assert parts.features.words.shape == (len(tiny_world.catalog), most)


def test_a_task_without_a_share_is_left_out(tiny_world: Dataset) -> None:
    recipe = _recipe("tasks.search=0", "tasks.direct=0", "tasks.wish=0")
    parts, (mixture,) = build_system(tiny_world, recipe, seed=0)
    assert "search" not in parts.tasks
    assert "direct" not in parts.tasks
    assert "wish" not in parts.tasks
    assert mixture.batch_builder.query_vectors is None


def test_a_task_that_the_data_does_not_allow_is_left_out(tiny_world: Dataset) -> None:
    events = tiny_world.interactions
    bare = replace(
        tiny_world,
        catalog=_bare(tiny_world.catalog),
        interactions=replace(
            events,
            event_codes=np.zeros(len(events), np.int64),
            event_types=("view",),
            scenario_codes=None,
            scenarios=(),
        ),
    )
    parts, _ = build_system(bare, _recipe(), seed=0)
    assert parts.tasks == ("next-item", "direct", "cold-start")
    assert parts.encoders.text is None


def _bare(catalog: Catalog) -> Catalog:
    names = ("title", "description", "brand", "categories", "price", "image")
    schema = catalog.table.schema
    nothing = [pl.lit(None, dtype=schema[name]).alias(name) for name in names if name in schema]
    return replace(catalog, table=catalog.table.with_columns(nothing))


def test_same_seed_same_model(tiny_world: Dataset) -> None:
    one, two, other = (
        build_system(tiny_world, _recipe(), seed=seed)[0].model.state_dict() for seed in (1, 1, 2)
    )
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("recipe_setting", ["items.modalities=[]", "model.fusion.use_id=false"])
def test_items_may_be_ids_alone_or_content_alone(tiny_world: Dataset, recipe_setting: str) -> None:
    recipe = load_recipe("urm-small", ["model.decoder.width=16", recipe_setting])
    parts, (mixture,) = build_system(tiny_world, recipe, seed=0)
    assert len(parts.features) == 30
    assert next(iter(mixture.batches(0))) is not None


def test_codes_may_be_learned_from_text_and_behaviour_together(tiny_world: Dataset) -> None:
    index = "codes.index={kind='residual-kmeans', levels=2, size=4}"
    said = 'answers=["set", "codes"]'
    text, both = (
        build_system(tiny_world, _recipe(said, index, f"codes.vectors={kind}"), seed=0)[0].index
        for kind in ("text", "text+behaviour")
    )
    assert text is not None
    assert both is not None
    assert both.codes.version != text.codes.version
    with pytest.raises(ConfigError, match="vectors of one kind"):
        _recipe(index, "codes.vectors=text+behaviour", "model.fusion.use_codes=true")
