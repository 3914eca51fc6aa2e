"""The recipes of the package load, and a recipe that cannot work is refused with its reason."""

import json
import tomllib
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from palate.config import to_toml
from palate.errors import ConfigError
from palate.items.codes.indexings import SemanticConfig
from palate.language.tasks import shared_families
from palate.language.tasks.direct import Direct
from palate.language.tasks.search import Search
from palate.models.backbones.tuning import TuningConfig
from palate.terminal.recipes import recipe_settings
from palate.training.config import Stage, TasksConfig, TrainingConfig
from palate.training.recipe import Recipe, load_recipe, recipe_names
from palate.training.unread_settings import unread_settings

NAMES = {
    *("urm", "urm-small", "sasrec", "sasrec-bce"),
    *("popularity", "itemknn", "ease", "als"),
    *("tiger", "letter", "liger", "urm-codes", "vq-rec", "unisrec", "hllm"),
    *(f"p5-{indexing}" for indexing in ("random", "sequential", "collaborative", "semantic")),
    "p5-hybrid",
    *("zero-shot", "few-shot", "llmrank", "llm4rs", "chat-rec", "palr"),
    *("cot", "role", "bigrec", "d3", "tcf"),
}
BASELINES = {"popularity", "itemknn", "ease", "als", "bpr"}


def test_the_promised_recipes_are_there() -> None:
    assert set(recipe_names()) >= NAMES


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_loads_and_has_a_description(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.title
    assert recipe.summary
    assert recipe.made_of
    assert (recipe.baseline is not None) == (name in BASELINES)
    assert (recipe.paradigm == "baselines") == (name in BASELINES)
    assert recipe.paradigm is not None
    assert (recipe.prompting is not None) == (recipe.paradigm == "prompting")
    assert recipe.learns_language == (recipe.paradigm not in ("baselines", "prompting"))


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
def test_the_summary_of_a_recipe_has_its_parts(name: str, made_of: str) -> None:
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
        ("tasks.rating=1", "answered in words, but answers has neither 'text' nor 'titles'"),
        ("answers=['set', 'text']", "no task is answered in words"),
        ("answers=['text']", "answered by items, but answers has neither 'set' nor 'codes'"),
        ("answers=['codes']", "need [codes]"),
        ("answers=['set', 'set']", "twice"),
        ("answers=['hybrid']", "answers.0"),
        ("tasks={}", "a recipe needs a task"),
        ("tasks={direct=1, title=1}", "answered in words"),
        ("training.set_weight=0", "above 0; what is answered in is said by answers"),
        ("model.reads=['item']", "write model.item_format"),
        ("model.two_positions=true", "write model.entity_positions"),
        ("codes={index={kind='random'}, settle=true}", "write codes.informed_init"),
        (
            "stages=[{reads=['item']}]",
            "stages.0.reads: there is no such setting; write item_format",
        ),
        ("stages=[{easier=['item']}]", "write curriculum"),
        ("stages=[{name='a'}, {name='a'}]", "the same name"),
        ("stages=[{name='7'}]", "stages.0.name"),
        ("stages=[{tasks=3}]", "stages.0.tasks"),
        ("stages=[3]", "stages.0"),
        ("stages=3", "stages"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(override: str, named: str) -> None:
    with pytest.raises(ConfigError, match="Recipe 'urm' cannot be used") as caught:
        load_recipe("urm", [override])
    assert named in caught.value.message


@pytest.mark.parametrize(("name", "said"), [("sasrec", "num_queries"), ("rsllm", "contrast")])
def test_bidirectional_rows_are_refused_if_a_state_would_see_later_events(
    name: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=rf"model.bidirectional_rows .*{said}"):
        load_recipe(name, ["model.bidirectional_rows=true"])


def test_an_objective_of_one_negative_takes_no_targets_of_the_batch() -> None:
    with pytest.raises(ConfigError, match="'bce' wants one negative"):
        load_recipe("sasrec-bce", ["training.negatives=in-batch"])


@pytest.mark.parametrize(
    ("name", "forms"),
    [
        ("urm", ("set",)),
        ("tiger", ("codes",)),
        ("liger", ("set", "codes", "hybrid")),
        ("lc-rec", ("codes", "titles")),
        ("palate", ("set", "titles")),
        ("tallrec", ()),
    ],
)
def test_only_the_key_answers_decides_the_kinds_of_answers(
    name: str, forms: tuple[str, ...]
) -> None:
    assert load_recipe(name).forms == forms


def test_the_first_answer_is_the_usual_one() -> None:
    recipe = load_recipe("liger", ['answers=["codes", "set"]'])
    assert recipe.forms == ("codes", "set", "hybrid")


def test_tasks_that_are_not_named_are_not_trained() -> None:
    assert not TasksConfig().by_items
    assert not TasksConfig().in_words


STAGED = [name for name in recipe_names() if load_recipe(name).stages]


def test_there_are_recipes_of_stages() -> None:
    first = ["collm", "lc-rec", "llara", "ptum", "reading-first"]
    assert first == STAGED[:5]
    assert STAGED[5:] == ["recsysllm", "rsllm", "tallrec"]


@pytest.mark.parametrize("name", STAGED)
def test_every_stage_has_a_name_that_can_be_typed(name: str) -> None:
    assert all(stage.name for stage in load_recipe(name).stages)


@pytest.mark.parametrize("name", STAGED)
@pytest.mark.parametrize("setting", ["training.epochs=77", "tasks.max_history=77"])
def test_a_setting_of_the_recipe_reaches_every_stage(name: str, setting: str) -> None:
    plain, changed = load_recipe(name).resolved_stages, load_recipe(name, [setting]).resolved_stages
    table, key = setting.removesuffix("=77").split(".")
    assert len(plain) == len(changed)
    for one, other in zip(plain, changed, strict=True):
        wanted = getattr(one, table).model_copy(update={key: 77})
        assert getattr(other, table) == wanted, "and everything else is as it was"


@pytest.mark.parametrize("name", STAGED)
def test_a_setting_of_a_stage_reaches_that_alone(name: str) -> None:
    last = load_recipe(name).stages[-1].name
    for which in (last, str(len(load_recipe(name).stages) - 1)):
        stages = load_recipe(name, [f"stages.{which}.training.epochs=77"]).resolved_stages
        assert [stage.training.epochs == 77 for stage in stages] == [
            stage is stages[-1] for stage in stages
        ]


def test_a_stage_that_is_not_there_lists_those_that_are() -> None:
    with pytest.raises(ConfigError, match="no 'second'") as caught:
        load_recipe("rsllm", ["stages.second.training.epochs=1"])
    assert "titles, both" in caught.value.hint
    with pytest.raises(ConfigError, match="one of a list"):
        load_recipe("rsllm", ["stages.both=1"])


def test_a_table_of_one_stage_is_not_given_to_the_others() -> None:
    first, second = load_recipe("tallrec", ["training.tuning.rank=2"]).resolved_stages
    assert first.training.tuning is None
    assert second.training.tuning is not None
    assert (second.training.tuning.kind, second.training.tuning.rank) == ("lora", 2)
    assert second.training.tuning.alpha == 16


def test_a_stage_is_laid_over_the_recipe(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("""
        title = "Mine"
        tasks = { next_item = 1, max_history = 9 }
        training = { learning_rate = 0.5, epochs = 7, tuning = { kind = "lora", rank = 2 } }
        stages = [
            { training = { epochs = 2, tuning = { alpha = 3 } } },
            { tasks = { direct = 1 }, training = { tuning = { kind = "adapter" } } },
        ]
    """)
    first, second = load_recipe(str(path)).resolved_stages
    assert (first.training.epochs, second.training.epochs) == (2, 7)
    assert {stage.training.learning_rate for stage in (first, second)} == {0.5}
    assert first.training.tuning == TuningConfig(kind="lora", rank=2, alpha=3)
    assert second.training.tuning == TuningConfig(kind="adapter"), "one kind says nothing of others"
    assert first.tasks == TasksConfig.model_validate({"next_item": 1, "max_history": 9})
    assert second.tasks == TasksConfig.model_validate(
        {"next_item": 1, "direct": 1, "max_history": 9}
    )


def test_stages_made_in_python_are_laid_over_the_recipe_too() -> None:
    recipe = Recipe(
        title="Mine",
        tasks=TasksConfig.model_validate({"next_item": 1, "max_history": 9}),
        stages=(
            Stage(training=TrainingConfig(epochs=2)),
            Stage(tasks=TasksConfig.model_validate({"direct": 1})),
        ),
    )
    assert [stage.training.epochs for stage in recipe.stages] == [2, TrainingConfig().epochs]
    assert [stage.tasks.share(Direct) for stage in recipe.stages] == [0, 1]
    assert [stage.tasks.max_history for stage in recipe.stages] == [9, 9]


WITHOUT_EFFECT = [
    ("urm", "training.code_weight=2", "answers has no 'codes'"),
    ("urm", "training.text_weight=2", "no task is answered in words"),
    ("urm", "training.target_contrast=0.1", "no task is answered in words"),
    ("urm", "codes.beams=10", r"no \[codes\]"),
    ("urm", "codes={index={kind='random'}}", "neither answers"),
    ("urm", "items.behaviour.dim=8", "behaviour vectors"),
    ("urm", "items.text.path=there", "has none"),
    ("urm", "tasks.candidates=5", "tasks.choice"),
    ("urm", "tasks.like_above=3", "tasks.yes_no"),
    ("urm", "model.title_words=3", "titles word by word"),
    ("urm", "model.fusion.behaviour_dropout=0.1", "no behaviour vectors"),
    ("urm", "training.tuning.rank=4", "what is tuned is 'full'"),
    ("urm", "training.tuning={kind='lora', bottleneck=4}", "bottleneck has no effect"),
    ("urm", "stages=[{training={code_weight=2}}]", "stages.0.training.code_weight has no effect"),
    ("sasrec", "model.temperature=0.1", "model.cosine is off"),
    ("sasrec", "prior.weights=[1]", r"no \[prior\]"),
    ("sasrec-bce", "training.num_negatives=5", "one negative"),
    ("tiger", "training.set_weight=2", "answers has no 'set'"),
    ("tiger", "model.num_queries=1", "answers has no 'set'"),
    ("tiger", "prior={baseline={kind='popularity'}}", "answered as a set"),
    ("tiger", "codes.blend_weights=[1]", "no hybrid"),
    ("p5-random", "codes.vectors=image", "need no vectors"),
    ("vq-rec", "codes.beams=10", "answers has no 'codes'"),
    ("unisrec", "model.fusion.id_scale=0.1", "use_id is off"),
    ("hllm", "model.fusion.whiten=true", "neither text nor image"),
    ("llara", "items.behaviour.dim=8", "teacher"),
    ("tallrec", "model.fusion.whiten=true", "whole items"),
    ("tallrec", "stages.language.tasks.like_above=2", "tasks.yes_no"),
    ("ptum", "stages.tuning.tasks.candidates=3", "tasks.choice"),
]


@pytest.mark.parametrize(("name", "override", "why"), WITHOUT_EFFECT)
def test_an_override_without_effect_is_refused(name: str, override: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        load_recipe(name, [override])
    assert "has no effect" in caught.value.message
    assert override.split("=")[0] in caught.value.message


STAGED_FILE = """
extends = "ptum"
title = "two stages"

[[stages]]
name = "pre-training"
tasks = { masked = 1 }

[[stages]]
"""


@pytest.mark.parametrize(
    ("last", "key", "why"),
    [
        (
            "name = 'tuning'\ntasks = { next_item = 1, candidates = 3 }",
            "tuning.tasks.candidates",
            "choice",
        ),
        (
            "tasks = { next_item = 1 }\ntraining = { code_weight = 2 }",
            "1.training.code_weight",
            "codes",
        ),
        (
            "tasks = { next_item = 1 }\ntraining = { tuning = { kind = 'lora', num_tokens = 3 } }",
            "1.training.tuning.num_tokens",
            "lora",
        ),
    ],
)
def test_a_setting_that_a_stage_of_a_file_does_not_read_is_refused(
    last: str, key: str, why: str, tmp_path: Path
) -> None:
    path = tmp_path / "staged.toml"
    path.write_text(STAGED_FILE + last)
    for overrides in ([], ["training.epochs=1"]):
        with pytest.raises(ConfigError, match=why) as caught:
            load_recipe(str(path), overrides)
        assert f"stages.{key} has no effect" in caught.value.message


def test_a_stage_of_a_file_may_leave_unread_what_the_recipe_says_for_others(tmp_path: Path) -> None:
    path = tmp_path / "staged.toml"
    choice = "tasks = { choice = 1, candidates = 3 }\n"
    text = 'extends = "palate"\ntitle = "two"\n[tasks]\ncandidates = 5\n'
    path.write_text(text + "[[stages]]\n" + choice + "[[stages]]\ntasks = { choice = 0 }\n")
    assert load_recipe(str(path)).resolved_stages[1].tasks.candidates == 5


def test_a_stage_of_a_file_may_repeat_a_value_that_it_has_anyway(tmp_path: Path) -> None:
    path = tmp_path / "staged.toml"
    path.write_text(STAGED_FILE + "tasks = { next_item = 1, candidates = 20 }")
    assert load_recipe(str(path)).resolved_stages[1].tasks.candidates == 20


def test_a_stage_that_is_left_out_cannot_be_changed() -> None:
    backbone = "model.backbone.path=/models/small"
    with pytest.raises(ConfigError, match="left out where the backbone is pre-trained"):
        load_recipe("tallrec", [backbone, "stages.language.training.epochs=2"])
    with pytest.raises(ConfigError, match=r"model\.decoder\.width has no effect"):
        load_recipe("tallrec", [backbone, "model.decoder.width=32"])


def test_the_value_that_a_setting_has_may_be_given() -> None:
    assert load_recipe("urm", ["training.epochs=16"]).decisive == load_recipe("urm").decisive


SAMPLE = {
    "training.epochs": 77,
    "training.learning_rate": 0.077,
    "training.patience": 77,
    "training.num_negatives": 77,
    "training.set_weight": 7.7,
    "training.code_weight": 7.7,
    "training.text_weight": 7.7,
    "training.code_temperature": 0.77,
    "training.contrast_temperature": 0.77,
    "training.tuning.rank": 7,
    "tasks.max_history": 77,
    "tasks.candidates": 7,
    "tasks.queries_per_item": 7,
    "tasks.like_above": 2.7,
    "items.text.dim": 77,
    "items.behaviour.dim": 77,
    "model.temperature": 0.77,
    "model.num_queries": 7,
    "model.title_words": 7,
    "model.decoder.width": 256,
    "model.fusion.id_dropout": 0.77,
    "model.fusion.behaviour_dropout": 0.77,
    "model.fusion.id_scale": 0.77,
    "model.fusion.vector_dropout": 0.77,
    "codes.beams": 77,
    "codes.informed_init": "false",
    "codes.blend_weights": [0.7],
    "prior.weights": [7.7],
    "baseline.decay": 0.77,
}
"""Settings of every table, with values that no recipe has."""


@pytest.mark.parametrize("name", recipe_names())
def test_every_override_changes_what_is_read_or_is_refused(name: str) -> None:
    before = _read(load_recipe(name))
    refused = 0
    for key, value in SAMPLE.items():
        try:
            changed = load_recipe(name, [f"{key}={value}"])
        except ConfigError as error:
            refused += 1
            named = key.split(".")[0] in error.message
        else:
            named = _read(changed) != before
        assert named, f"{key} is taken and changes nothing, or is refused and not named"
    if load_recipe(name).learns_language:
        assert refused < len(SAMPLE), "something can be set in every one"


def _read(recipe: Recipe) -> list[dict[str, object]]:
    """Return the settings of each stage by their path, but for those that nothing reads."""
    if recipe.baseline is not None:
        return [dict(recipe.baseline)]
    if recipe.prompting is not None:
        return [dict(recipe.prompting)]
    common = recipe.model_dump(include={"answers", "items", "codes", "prior", "teacher"})
    found = []
    for stage in recipe.resolved_stages:
        tables = {
            **common,
            "model": stage.model.model_dump(),
            "tasks": stage.tasks.model_dump(),
            "training": stage.training.model_dump(),
        }
        unread = unread_settings(recipe, stage)
        found.append(
            {
                path: value
                for path, value in _flat(tables)
                if not any(path == each or path.startswith(f"{each}.") for each in unread)
            }
        )
    return found


def _flat(table: dict[str, object], above: str = "") -> Iterator[tuple[str, object]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


SHAPES_FRESH_WEIGHTS = {"model.fusion.use_id", "model.num_queries"}
"""Kept where nothing reads them: they decide which random numbers the other weights start from."""


@pytest.mark.parametrize("name", recipe_names())
def test_the_recipes_of_the_package_have_no_setting_without_effect(name: str) -> None:
    text = files("palate.recipes").joinpath(f"{name}.toml").read_text("utf-8")
    recipe = load_recipe(name)
    if recipe.baseline is not None:
        return
    unread = [unread_settings(recipe, stage) for stage in recipe.resolved_stages]
    for key, _ in _flat({k: v for k, v in tomllib.loads(text).items() if k != "stages"}):
        if key not in SHAPES_FRESH_WEIGHTS:
            parts = key.split(".")
            above = {".".join(parts[:length]) for length in range(1, len(parts) + 1)}
            assert not all(above & each.keys() for each in unread), key


def _write(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        (folder / f"{name}.toml").write_text(text)


def test_a_recipe_may_extend_another(tmp_path: Path) -> None:
    _write(
        tmp_path,
        mine='extends = "tiger"\ntitle = "Mine"\n[codes]\nindex = { kind = "semantic" }\n',
        yours='extends = "mine.toml"\ntitle = "Yours"\n[training]\nepochs = 3\n',
    )
    tiger = load_recipe("tiger")
    mine, yours = (load_recipe(f"{tmp_path}/{name}.toml") for name in ("mine", "yours"))
    assert (mine.title, mine.measured, mine.summary) == ("Mine", "", "")
    assert mine.model == yours.model == tiger.model
    assert mine.codes is not None
    assert mine.codes.index == SemanticConfig(), "what another kind says is not taken over"
    assert yours.codes == mine.codes
    assert (mine.training, yours.training.epochs) == (tiger.training, 3)
    assert yours.training.learning_rate == tiger.training.learning_rate


def test_a_recipe_that_cannot_be_extended_is_an_error(tmp_path: Path) -> None:
    _write(
        tmp_path,
        one='extends = "two.toml"\ntitle = "One"\n',
        two='extends = "one.toml"\ntitle = "Two"\n',
        lost='extends = "nothing"\ntitle = "Lost"\n',
        odd='extends = 3\ntitle = "Odd"\n',
    )
    with pytest.raises(ConfigError, match=r"extends itself: .*one.toml extends .*two.toml extends"):
        load_recipe(f"{tmp_path}/one.toml")
    with pytest.raises(ConfigError, match="Unknown recipe 'nothing'") as caught:
        load_recipe(f"{tmp_path}/lost.toml")
    assert "p5-random" in caught.value.hint
    with pytest.raises(ConfigError, match="extends is 3"):
        load_recipe(f"{tmp_path}/odd.toml")


def test_the_indexings_of_p5_differ_in_the_index_alone() -> None:
    plain = load_recipe("p5-random")
    for kind in ("sequential", "collaborative", "semantic", "hybrid"):
        other = load_recipe(f"p5-{kind}")
        assert other.codes != plain.codes
        assert other.title != plain.title
        same = other.model_copy(update={"codes": plain.codes})
        assert same.decisive == plain.decisive


def test_descriptive_keys_do_not_change_a_run() -> None:
    recipe = load_recipe("rsllm")
    other = load_recipe("rsllm", ["title=x", "measured=x", "stages.both.title=x", "paper=x"])
    assert other.decisive == recipe.decisive
    assert load_recipe("rsllm", ["training.epochs=9"]).decisive != recipe.decisive


def test_a_baseline_has_no_parts_of_a_model() -> None:
    with pytest.raises(ConfigError, match="a baseline has no training"):
        load_recipe("popularity", ["training.epochs=3"])


def test_a_recipe_without_training_has_no_parts_of_a_model_that_learns() -> None:
    with pytest.raises(ConfigError, match="a recipe without training has no training"):
        load_recipe("llmrank", ["training.epochs=3"])
    with pytest.raises(ConfigError, match="either"):
        load_recipe("llmrank", ["baseline={kind='itemknn'}"])


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


@pytest.mark.parametrize(
    "name", [name for name in recipe_names() if load_recipe(name).learns_language]
)
def test_a_recipe_survives_json(name: str) -> None:
    recipe = load_recipe(name)
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


@pytest.mark.parametrize(
    ("name", "events"),
    [("urm", 50), ("rsllm", 10), ("llara", 10), ("ptum", 50), ("recsysllm", 20), ("collm", 20)],
)
def test_the_history_length_is_that_of_the_last_stage(name: str, events: int) -> None:
    assert load_recipe(name).max_history == events


def test_a_setting_of_a_stage_of_a_recipe_without_stages_is_refused() -> None:
    with pytest.raises(ConfigError, match="the recipe has no stages") as found:
        load_recipe("urm-small", ["stages.words.training.epochs=1"])
    assert "training.epochs" in found.value.hint
