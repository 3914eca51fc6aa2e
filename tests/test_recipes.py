"""The recipes of the package load, and a recipe that cannot work is refused with its reason."""

import json
from pathlib import Path

import pytest

from palate.config import to_toml
from palate.errors import ConfigError
from palate.language.tasks import shared_families
from palate.language.tasks.search import Search
from palate.terminal.recipes import recipe_settings
from palate.training.recipe import Recipe, load_recipe, recipe_names

NAMES = {
    *("urm", "urm-small", "sasrec", "sasrec-bce"),
    *("popularity", "itemknn", "ease", "als"),
    *("tiger", "letter", "liger", "urm-codes", "vq-rec", "unisrec", "hllm"),
    *(f"p5-{indexing}" for indexing in ("random", "sequential", "collaborative", "semantic")),
    "p5-hybrid",
}
BASELINES = {"popularity", "itemknn", "ease", "als", "bpr"}


def test_the_promised_recipes_are_there() -> None:
    assert set(recipe_names()) >= NAMES


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_loads_and_says_what_it_is(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.title
    assert recipe.summary
    assert recipe.made_of
    assert (recipe.baseline is not None) == (name in BASELINES)
    assert (recipe.paradigm == "baselines") == (name in BASELINES)
    assert recipe.paradigm is not None


@pytest.mark.parametrize("name", recipe_names())
def test_the_settings_that_are_shown_make_the_same_recipe(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    (tmp_path / "again.toml").write_text(
        f"title = {json.dumps(recipe.title)}\n" + to_toml(recipe_settings(recipe))
    )
    again = load_recipe(str(tmp_path / "again.toml"))
    assert recipe_settings(again) == recipe_settings(recipe)


BY_ITEMS = ("next_item", "objective", "scenario", "category", "search", "direct", "cold_start")
IN_WORDS = ("rating", "yes_no", "choice", "title", "next_title", "profile", "explanation")
OF_REVIEWS = ("summary", "preference")


@pytest.mark.parametrize(
    ("name", "families"),
    [
        ("urm", BY_ITEMS),
        ("urm-small", BY_ITEMS),
        ("palate", (*BY_ITEMS, *IN_WORDS, *OF_REVIEWS)),
    ],
)
def test_the_language_models_learn_every_task(name: str, families: tuple[str, ...]) -> None:
    tasks = load_recipe(name).tasks
    shares = {shared_families()[family]: family for family in families}
    assert all(tasks.share(family) > 0 for family in shares), tasks


@pytest.mark.parametrize(
    ("name", "made_of"),
    [
        ("tiger", "reads codes; codes by residual-kmeans; answers as codes; 2 layers of 128"),
        (
            "vq-rec",
            "reads item; items of codes; codes by product; answers as set; 2 layers of 128",
        ),
        ("itemknn", "baseline itemknn"),
    ],
)
def test_a_recipe_says_what_it_is_made_of(name: str, made_of: str) -> None:
    assert load_recipe(name).made_of == made_of


@pytest.mark.parametrize("name", ["sasrec", "sasrec-bce"])
def test_sasrec_reads_ids_alone(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.items.modalities == ()
    assert recipe.model.num_queries == 0
    assert not recipe.model.read_words


def test_settings_can_be_overridden() -> None:
    recipe = load_recipe("urm", ["training.epochs=3", "model.decoder.width=64"])
    assert recipe.training.epochs == 3
    assert recipe.model.decoder.width == 64
    assert recipe.training.num_negatives == load_recipe("urm").training.num_negatives


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("training.epoch=3", "training.epoch"),
        ("training.epochs=0", "training.epochs"),
        ("training.epochs=many", "training.epochs"),
        ("model.decoder.heads=3", "must be a multiple"),
        ("items.modalities=['smell']", "items.modalities"),
        ("model.num_queries=0", "cold_start"),
        ("nonsense=1", "nonsense"),
        ("tasks.blanks=1", "tasks.blanks needs 'title'"),
        ("model.copies=true", "model.copies needs 'title'"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(override: str, named: str) -> None:
    with pytest.raises(ConfigError, match="Recipe 'urm' cannot be used") as caught:
        load_recipe("urm", [override])
    assert named in caught.value.message


@pytest.mark.parametrize(("name", "said"), [("sasrec", "num_queries"), ("rsllm", "contrast")])
def test_rows_read_both_ways_are_refused_where_a_state_would_know_too_much(
    name: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=rf"model.bidirectional_rows .*{said}"):
        load_recipe(name, ["model.bidirectional_rows=true"])


def test_an_objective_of_one_negative_takes_no_targets_of_the_batch() -> None:
    with pytest.raises(ConfigError, match="'bce' wants one negative"):
        load_recipe("sasrec-bce", ["training.negatives=in-batch"])


def test_a_baseline_has_no_parts_of_a_model() -> None:
    with pytest.raises(ConfigError, match="a baseline has no training"):
        load_recipe("popularity", ["training.epochs=3"])


def test_an_unknown_recipe_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="Unknown recipe 'umr'") as caught:
        load_recipe("umr")
    assert all(name in caught.value.hint for name in NAMES)


def test_a_recipe_may_be_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('title = "Mine"\n[tasks]\nsearch = 1.0\n')
    assert load_recipe(str(path)).tasks.share(Search) == 1
    assert load_recipe(str(path), ["title=Yours"]).title == "Yours"


def test_a_file_that_is_not_there_or_no_toml_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No recipe file"):
        load_recipe(str(tmp_path / "mine.toml"))
    broken = tmp_path / "broken.toml"
    broken.write_text("title = ")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_recipe(str(broken))
    broken.write_bytes(b'title = "\xff"')
    with pytest.raises(ConfigError, match="cannot be read"):
        load_recipe(str(broken))


@pytest.mark.parametrize("name", sorted(set(recipe_names()) - BASELINES))
def test_a_recipe_survives_json(name: str) -> None:
    recipe = load_recipe(name)
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


@pytest.mark.parametrize(
    ("name", "events"),
    [("urm", 50), ("rsllm", 10), ("llara", 10), ("ptum", 50), ("recsysllm", 20), ("collm", 20)],
)
def test_as_many_events_are_read_as_the_last_stage_was_taught(name: str, events: int) -> None:
    assert load_recipe(name).max_history == events
