"""The parts that a model learns from: training, validation too, or every event."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from torch import Tensor

from palate import Dataset, Recommender
from palate.data.split import Fit
from palate.errors import ConfigError
from palate.evaluation.protocol import evaluate
from palate.evaluation.report.tables import accuracy_table, comparison_table
from palate.evaluation.result import Evaluation
from palate.evaluation.task_result import figures_table
from palate.models.baselines import Popularity
from palate.simulation.world import World
from palate.studies.report_entries import report_entry
from palate.studies.sensitivity import measure_sensitivity
from palate.studies.task_evaluation import evaluate_task
from palate.training.build import build_system
from palate.training.loop import Report, Run, best_epoch, train
from palate.training.recipe import Recipe, load_recipe
from palate.training.system import LanguageModelSystem

TINY = (
    "items.text.dim=16",
    "model.decoder.width=16",
    "model.decoder.layers=1",
    "tasks.max_history=8",
    "training.epochs=4",
    "training.validate_every=2",
    "training.tokens_per_batch=1024",
    "training.checkpoint_seconds=1e-9",
)
BOTH = ("valid", "test")
FITS: tuple[Fit, ...] = ("train", "valid", "all")


@pytest.fixture(scope="module")
def shop() -> Dataset:
    """A shop in which one item is bought last by somebody, and by nobody else."""
    made = World(num_users=60, num_items=30, events_per_user=8, seed=2, pictures=False).dataset()
    rows, new = made.interactions.item_rows.copy(), int(made.interactions.item_rows[-2])
    rows[rows == new] = (new + 1) % 30
    rows[-2] = new  # the valid event of the last user
    return replace(made, interactions=replace(made.interactions, item_rows=rows))


def _recipe(*more: str) -> Recipe:
    return load_recipe("urm-small", [*TINY, 'prior.baseline={kind="itemknn"}', *more])


@pytest.fixture(scope="module")
def models(shop: Dataset) -> dict[Fit, Recommender]:
    """The same recipe and seed, each fit once."""
    return {fit: Recommender.train(shop, _recipe(), seed=1, fit=fit) for fit in FITS}


def _parts(model: Recommender) -> LanguageModelSystem:
    assert isinstance(model.trained.system, LanguageModelSystem)
    return model.trained.system


def _weights(model: Recommender) -> dict[str, Tensor]:
    return dict(_parts(model).model.state_dict())


def _same(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("fit", FITS)
def test_a_baseline_counts_what_it_may_learn_from(shop: Dataset, fit: Fit) -> None:
    model = Recommender.train(shop, "popularity", fit=fit)
    rows, parts = shop.interactions.item_rows, shop.split.parts
    learned = {"train": parts == 0, "valid": parts <= 1, "all": parts <= 3}[fit]
    assert isinstance(model.trained.system, Popularity)
    counted = model.by_rows.score([shop.history("u1")])[0]
    expected = np.bincount(rows[learned], minlength=30)
    assert_array_equal(np.argsort(-counted, kind="stable"), np.argsort(-expected, kind="stable"))
    assert_array_equal(model.dataset.train_counts, expected)


@pytest.mark.parametrize("fit", ["valid", "all"])
def test_a_refit_trains_a_fixed_number_of_epochs_on_more_data(
    shop: Dataset, models: dict[Fit, Recommender], fit: Fit
) -> None:
    found, refit = models["train"], models[fit]
    epochs = best_epoch(found.trained.log)
    assert refit.trained.epochs == found.trained.epochs == (epochs,)
    larger = shop.with_train_through(fit)
    parts, (mixture,) = build_system(larger, _recipe(), seed=1)
    train(parts.model, Run(mixture, _recipe().training, None, "by hand", epochs=epochs))
    assert _same(_weights(refit), dict(parts.model.state_dict()))
    assert not _same(_weights(refit), _weights(found))


def test_a_refit_keeps_tuned_weights_and_fits_counts_again(
    models: dict[Fit, Recommender],
) -> None:
    found, refit = _parts(models["train"]), _parts(models["valid"])
    assert found.prior is not None
    assert refit.prior is not None
    assert refit.prior.weight == found.prior.weight
    history = models["all"].dataset.history("u1")
    counted = [parts.prior.baseline.score([history]) for parts in (found, refit) if parts.prior]
    assert not np.array_equal(*counted)
    new = int(models["train"].dataset.interactions.item_rows[-2])
    assert not found.features.has_id[new]
    assert refit.features.has_id[new]


def test_calibration_is_kept_and_its_biases_are_fitted_again(shop: Dataset) -> None:
    recipe = load_recipe("palate", [*TINY, "tasks.candidates=5", "training.epochs=1"])
    found, refit = (_parts(Recommender.train(shop, recipe, fit=f)) for f in ("train", "valid"))
    assert refit.calibration == found.calibration
    assert refit.blend == found.blend
    assert refit.rating_prior is not None
    assert found.rating_prior is not None
    assert refit.rating_prior.calibration == found.rating_prior.calibration
    assert refit.rating_prior.biases.penalty == found.rating_prior.biases.penalty
    assert refit.rating_prior.biases.mean != found.rating_prior.biases.mean


def test_stages_are_each_trained_for_their_own_epochs(shop: Dataset) -> None:
    recipe = _recipe('stages=[{title="one"}, {title="two", training={epochs=2}}]')
    found, refit = (Recommender.train(shop, recipe, fit=fit) for fit in ("train", "valid"))
    curve = list(found.trained.log)
    epochs = [int(str(entry["epoch"])) for entry in curve]
    second = next(at for at in range(1, len(curve)) if epochs[at] <= epochs[at - 1])
    assert found.trained.epochs == (best_epoch(curve[:second]), best_epoch(curve[second:]))
    assert refit.trained.epochs == found.trained.epochs


def test_a_teacher_is_trained_on_the_same_part(shop: Dataset) -> None:
    recipe = _recipe('items.modalities=["text", "behaviour"]', "teacher=bpr")
    found, refit = (Recommender.train(shop, recipe, fit=fit) for fit in ("train", "all"))
    knows = [_parts(model).features.vectors["behaviour"].present for model in (found, refit)]
    assert_array_equal(knows[0], shop.train_counts > 0)
    assert_array_equal(knows[1], shop.with_train_through("all").train_counts > 0)


def test_a_recipe_with_another_title_resumes_the_same_checkpoint(
    shop: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[str] = []

    def remembered(_: object, run: Run) -> None:
        names.append(run.name)
        raise KilledError

    monkeypatch.setattr("palate.recommender.fit.train", remembered)
    for more in ((), ("title=Mended",), ("measured=more",), ("training.patience=3",)):
        with pytest.raises(KilledError):
            Recommender.train(shop, _recipe(*more))
    assert len(set(names[:3])) == 1
    assert names[3] != names[0]


class KilledError(RuntimeError):
    """Stands for a power cut."""


def _kill(when: Callable[[Report], bool]) -> Callable[[Report], None]:
    def report(at: Report) -> None:
        if when(at):
            raise KilledError

    return report


@pytest.mark.parametrize("phase", ["found", "refit"])
def test_a_killed_run_continues_in_its_phase(
    shop: Dataset, models: dict[Fit, Recommender], tmp_path: Path, phase: str
) -> None:
    def die(at: Report) -> bool:
        return at.refit == (phase == "refit") and at.epoch == 2 and at.validation is None

    def run(report: Callable[[Report], None]) -> Recommender:
        return Recommender.train(
            shop, _recipe(), seed=1, fit="valid", folder=tmp_path, report=report
        )

    with pytest.raises(KilledError):
        run(_kill(die))
    told: list[Report] = []
    resumed = run(told.append)
    again = [at.refit for at in told if at.validation is None]
    assert again[0] == (phase == "refit")
    assert next(at.epoch for at in told if at.refit == (phase == "refit")) == 2
    assert _same(_weights(resumed), _weights(models["valid"]))


@pytest.mark.parametrize(
    ("fit", "refused", "left"),
    [("train", (), BOTH), ("valid", ("valid",), ("test",)), ("all", BOTH, ())],
)
def test_a_part_that_was_learned_from_is_not_evaluated(
    models: dict[Fit, Recommender], fit: Fit, refused: tuple[str, ...], left: tuple[str, ...]
) -> None:
    model = models[fit]
    judges = (
        model.evaluate,
        lambda p: measure_sensitivity(model, p),
        lambda p: report_entry(model, p),
    )
    for part in refused:
        for judge in judges:
            with pytest.raises(ConfigError, match=f"learned from the {part} events") as caught:
                judge(part)  # type: ignore[arg-type]
            assert "--fit train" in caught.value.hint
    for part in left:
        model.evaluate(part)  # type: ignore[arg-type]


def test_a_refit_is_not_evaluated_with_the_original_split(
    shop: Dataset, models: dict[Fit, Recommender]
) -> None:
    copy = replace(shop, interactions=replace(shop.interactions))
    for data in (shop, copy):
        with pytest.raises(ConfigError, match="learned from the test events"):
            evaluate(models["all"].by_rows, data, "test")
        assert evaluate(models["valid"].by_rows, data, "test").fit == "valid"
        assert evaluate(models["train"].by_rows, data, "valid").fit == "train"
    elsewhere = World(num_users=50, num_items=30, seed=9, pictures=False).dataset()
    assert evaluate(models["all"].by_rows, elsewhere, "test").fit == "train"


def test_a_refit_is_evaluated_on_the_same_cases_and_marked(models: dict[Fit, Recommender]) -> None:
    found, refit = models["train"].evaluate(), models["valid"].evaluate()
    assert found.cases == refit.cases
    assert [found.to_json()["fit"], refit.to_json()["fit"]] == ["train", "valid"]
    assert Evaluation.from_json(refit.to_json()).fit == "valid"
    assert "shop (refit)" in str(accuracy_table("shop", refit).title)
    assert "refit" not in str(accuracy_table("shop", found).title)
    both = comparison_table({"a": found, "b": refit}, ["ndcg@10"], np.random.default_rng(0))
    assert list(both.columns[0].cells) == ["a", "b (refit)"]
    assert report_entry(models["valid"]).name.endswith("(refit)")


def test_text_answers_of_a_refit_are_refused_and_marked_too(shop: Dataset) -> None:
    recipe = load_recipe("palate", [*TINY, "tasks.candidates=5", "training.epochs=1"])
    model = Recommender.train(shop, recipe, fit="valid")
    with pytest.raises(ConfigError, match="learned from the valid events"):
        evaluate_task(model, "rating", "valid")
    result = evaluate_task(model, "rating")
    assert result.to_json()["fit"] == "valid"
    assert "(refit)" in str(figures_table("shop", result).title)


@pytest.mark.parametrize("fit", FITS)
def test_the_folder_says_what_was_learned_from(
    models: dict[Fit, Recommender], tmp_path: Path, fit: Fit
) -> None:
    models[fit].save(tmp_path / "model")
    settings = json.loads((tmp_path / "model" / "manifest.json").read_text())["settings"]
    assert settings["fit"] == fit
    assert settings["epochs"] == list(models[fit].trained.epochs)
    unasked = {"train": [], "valid": ["valid"], "all": ["valid", "test"]}
    assert settings["cannot_be_evaluated_on"] == unasked[fit]
    loaded = Recommender.load(tmp_path / "model")
    assert loaded.trained.fit == fit
    assert loaded.trained.epochs == models[fit].trained.epochs
    history = [loaded.history("u1")]
    assert_array_equal(loaded.by_rows.score(history), models[fit].by_rows.score(history))
    if fit != "train":
        with pytest.raises(ConfigError, match="learned from"):
            loaded.evaluate("valid")


@pytest.mark.parametrize("fit", FITS)
def test_the_copy_in_a_refitted_model_is_not_learned_from_again(shop: Dataset, fit: Fit) -> None:
    with pytest.raises(ConfigError, match="needs the split as it was made"):
        Recommender.train(shop.with_train_through("valid"), "popularity", fit=fit)
