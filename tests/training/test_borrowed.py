"""A pre-trained model in a recipe for the compact one gets settings that it can live with."""

import json
from pathlib import Path

import pytest

from palate.models.device import memory_bytes
from palate.training import borrowed
from palate.training.recipe import load_recipe

PATH = "model.backbone.path=somewhere"


@pytest.fixture(autouse=True)
def _no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)


def test_batches_shrink_and_steps_do_not() -> None:
    compact, plain = load_recipe("urm").training, load_recipe("urm", [PATH]).training
    assert plain.tokens_per_batch == 1024
    assert plain.tokens_per_batch * plain.accumulate == compact.tokens_per_batch
    assert (plain.epochs, plain.validate_every, plain.validate_on) == (3, 1, 256)


def test_every_stage_is_fitted() -> None:
    plans = load_recipe("tallrec", [PATH]).resolved_stages
    assert [plan.name for plan in plans] == ["yes-or-no"]
    training = plans[0].training
    assert (training.epochs, training.tokens_per_batch, training.accumulate) == (3, 1024, 4)
    assert training.tuning is not None
    assert training.num_users == 256


@pytest.mark.parametrize("prefix", ["training", "stages.yes-or-no.training"])
def test_what_is_set_always_wins(prefix: str) -> None:
    given = [f"{prefix}.{key}={value}" for key, value in (("epochs", 9), ("validate_on", 0))]
    for order in ([PATH, *given], [*given, PATH]):
        training = load_recipe("tallrec", order).resolved_stages[0].training
        assert (training.epochs, training.validate_on) == (9, 0)
        assert training.tokens_per_batch == 1024


def test_a_batch_that_is_set_is_not_accumulated() -> None:
    training = load_recipe("urm", [PATH, "training.tokens_per_batch=2048"]).training
    assert (training.tokens_per_batch, training.accumulate) == (2048, 1)


def test_what_is_smaller_already_stays() -> None:
    small = load_recipe("llara", [PATH])
    assert small.resolved_stages[0].training.epochs == 3
    assert load_recipe("llara", [PATH, "training.epochs=1"]).training.epochs == 1


def test_the_compact_model_is_left_as_it_is() -> None:
    assert load_recipe("urm", ["training.epochs=7"]).training.validate_on == 0
    assert load_recipe("urm").training.epochs > 3


def test_a_recipe_that_names_its_backbone_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(
        'extends = "urm"\ntitle = "own"\n[model.backbone]\npath = "x"\n', encoding="utf-8"
    )
    assert load_recipe(str(path)).training == load_recipe("urm").training


def test_on_a_gpu_a_recipe_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert load_recipe("urm", [PATH]).training == load_recipe("urm").training


def _config(folder: Path, **sizes: int) -> str:
    (folder / "config.json").write_text(json.dumps(sizes), encoding="utf-8")
    return f"model.backbone.path={folder}"


LARGE = {
    "num_hidden_layers": 24,
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "vocab_size": 50_000,
}


def test_layers_are_recomputed_where_memory_is_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _config(tmp_path, **LARGE)
    # By hand: 24 layers of (10 x 2048 + 4 x 8192) floats, and logits held four times.
    needed = 1024 * (24 * (10 * 2048 + 4 * 8192) * 4 + 16 * 50_000)
    for memory, wanted in ((2 * needed, False), (2 * needed - 2, True)):
        monkeypatch.setattr(borrowed, "memory_bytes", lambda memory=memory: memory)
        backbone = load_recipe("urm", [path]).model.backbone
        assert backbone is not None
        assert backbone.gradient_checkpointing is wanted
    off = "model.backbone.gradient_checkpointing=false"
    backbone = load_recipe("urm", [path, off]).model.backbone
    assert backbone is not None
    assert not backbone.gradient_checkpointing


@pytest.mark.parametrize("text", ["", "[]", "not json", '{"d_model": "wide"}'])
def test_settings_that_cannot_be_read_change_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    backbone = load_recipe("urm", [f"model.backbone.path={tmp_path}"]).model.backbone
    assert backbone is not None
    assert not backbone.gradient_checkpointing


def test_the_memory_of_a_machine_is_more_than_a_gigabyte() -> None:
    assert memory_bytes() > 2**30
