"""Training learns, stops early, keeps the best weights, and resumes exactly after a kill."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from palate.errors import ArtifactError
from palate.models.language_model import RecommendationModel
from palate.simulation.world import World
from palate.training.build import build_system
from palate.training.loop import Report, Run, Validate, best_epoch, train
from palate.training.recipe import load_recipe
from palate.training.system import LanguageModelSystem

SETTINGS = (
    "items.text.dim=16",
    "model.decoder.width=16",
    "model.decoder.layers=1",
    "tasks.max_history=10",
    "training.epochs=2",
    "training.learning_rate=5e-3",
    "training.tokens_per_batch=1024",
)

MakeRun = Callable[..., tuple[LanguageModelSystem, Run]]


@pytest.fixture(scope="module")
def make_run() -> MakeRun:
    """The function that builds a fresh model, and a run for it in a world that is soon learned."""
    world = World(num_users=60, num_items=30, events_per_user=8, seed=2, pictures=False).dataset()

    def make(
        *settings: str,
        validate: Validate | None = lambda model: 0.0,
        epochs: int | None = None,
        folder: Path | None = None,
        report: Callable[[Report], None] | None = None,
        name: str = "run",
    ) -> tuple[LanguageModelSystem, Run]:
        recipe = load_recipe("urm-small", [*SETTINGS, *settings])
        parts, (mixture,) = build_system(world, recipe, seed=0)
        run = Run(
            mixture, recipe.training, validate, name, folder=folder, report=report, epochs=epochs
        )
        return parts, run

    return make


class KilledError(RuntimeError):
    """Stands for a power cut."""


def _weights(model: torch.nn.Module) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in model.state_dict().items()}


def _equal(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def _trained(make_run: MakeRun, *settings: str) -> dict[str, Tensor]:
    parts, run = make_run(*settings)
    train(parts.model, run)
    return _weights(parts.model)


def _size(model: RecommendationModel) -> float:
    """Something to validate by that every step changes."""
    return float(model.user.weight.detach().abs().sum())


def _kill_at(step: int) -> Callable[[Report], None]:
    def report(at: Report) -> None:
        if at.step == step and at.validation is None:
            raise KilledError

    return report


def test_the_loss_falls_and_every_epoch_is_logged(make_run: MakeRun) -> None:
    reports: list[Report] = []
    parts, run = make_run("training.epochs=4", "training.patience=9", report=reports.append)
    log = train(parts.model, run)
    losses = [float(str(entry["loss"])) for entry in log]
    assert losses[-1] < losses[0] - 0.1
    assert [entry["epoch"] for entry in log] == [1, 2, 3, 4]
    steps = [at.step for at in reports if at.validation is None]
    assert steps == list(range(1, len(steps) + 1))
    assert sum(at.validation is not None for at in reports) == 4
    assert reports[-1].epochs == 4
    assert all(at.interactions_per_second > 0 and at.seconds_left >= -1e3 for at in reports)
    assert not parts.model.training


@pytest.mark.parametrize("objective", ["sampled-softmax", "bce"])
@pytest.mark.parametrize("num_queries", [0, 2])
def test_each_objective_learns(make_run: MakeRun, objective: str, num_queries: int) -> None:
    few = () if objective == "bce" else ("training.num_negatives=10",)
    parts, run = make_run(
        f"training.objective={objective}",
        f"model.num_queries={num_queries}",
        "tasks.cold_start=0",
        "training.epochs=3",
        *few,
    )
    log = train(parts.model, run)
    assert float(str(log[-1]["loss"])) < float(str(log[0]["loss"]))


def test_same_seed_same_weights(make_run: MakeRun) -> None:
    one, two = (_trained(make_run, "training.epochs=1") for _ in range(2))
    assert _equal(one, two)


@pytest.mark.parametrize("average", ["0.0", "0.9"])
@pytest.mark.parametrize("place", ["first step", "middle of an epoch", "second epoch"])
def test_a_killed_run_ends_like_one_that_was_not(
    make_run: MakeRun, tmp_path: Path, average: str, place: str
) -> None:
    settings = (f"training.average={average}", "training.checkpoint_seconds=1e-9")
    whole, run = make_run(*settings, validate=_size)
    log = train(whole.model, run)
    per_epoch = len(run.batches.plan(0))
    step = {"first step": 1, "middle of an epoch": per_epoch // 2, "second epoch": per_epoch + 2}
    killed, run = make_run(*settings, validate=_size, folder=tmp_path, report=_kill_at(step[place]))
    with pytest.raises(KilledError):
        train(killed.model, run)
    steps: list[int] = []
    resumed, run = make_run(
        *settings, validate=_size, folder=tmp_path, report=lambda at: steps.append(at.step)
    )
    resumed_log = train(resumed.model, run)
    assert steps[0] == step[place] + 1
    assert _equal(_weights(whole.model), _weights(resumed.model))
    for name in ("epoch", "step", "loss", "validation"):
        assert [entry[name] for entry in log] == [entry[name] for entry in resumed_log]


@pytest.mark.parametrize(("then", "says"), [("cpu in float32", False), ("elsewhere", True)])
def test_a_run_that_resumes_on_another_device_says_so_once(
    make_run: MakeRun, tmp_path: Path, then: str, says: bool
) -> None:
    settings = ("training.checkpoint_seconds=1e-9",)
    killed, run = make_run(*settings, folder=tmp_path, report=_kill_at(1))
    with pytest.raises(KilledError):
        train(killed.model, replace(run, where="cpu in float32"))
    notes: list[str] = []
    resumed, run = make_run(*settings, folder=tmp_path, report=lambda at: notes.append(at.note))
    train(resumed.model, replace(run, where=then))
    told = "Continuing on elsewhere what was begun on cpu in float32."
    assert [note for note in notes if note] == ([told] if says else [])


def test_a_finished_run_is_not_trained_again(make_run: MakeRun, tmp_path: Path) -> None:
    first, run = make_run(folder=tmp_path)
    log = train(first.model, run)
    again, run = make_run(folder=tmp_path, report=_kill_at(1))
    assert list(train(again.model, run)) == list(log)
    assert _equal(_weights(first.model), _weights(again.model))


def test_the_checkpoint_of_another_run_is_left_alone(make_run: MakeRun, tmp_path: Path) -> None:
    other, run = make_run(folder=tmp_path, name="another", report=_kill_at(3))
    with pytest.raises(KilledError):
        train(other.model, run)
    steps: list[int] = []
    parts, run = make_run(folder=tmp_path, report=lambda at: steps.append(at.step))
    train(parts.model, run)
    assert steps[0] == 1


@pytest.mark.parametrize("damage", ["cut short", "garbled", "empty"])
def test_a_damaged_checkpoint_is_an_error(make_run: MakeRun, tmp_path: Path, damage: str) -> None:
    parts, run = make_run("training.epochs=1", folder=tmp_path)
    train(parts.model, run)
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    damaged = {"cut short": content[: len(content) // 2], "garbled": b"x" * 100, "empty": b""}
    path.write_bytes(damaged[damage])
    parts, run = make_run("training.epochs=1", folder=tmp_path)
    with pytest.raises(ArtifactError, match=r"cannot be read") as caught:
        train(parts.model, run)
    assert "Delete it" in caught.value.hint


def test_a_kill_while_writing_leaves_the_checkpoint_before_it(
    make_run: MakeRun, tmp_path: Path
) -> None:
    parts, run = make_run("training.epochs=1", folder=tmp_path)
    train(parts.model, run)
    (tmp_path / "checkpoint.safetensors.new").write_bytes(b"half written")
    fresh, run = make_run("training.epochs=1", folder=tmp_path, report=_kill_at(1))
    train(fresh.model, run)
    assert _equal(_weights(parts.model), _weights(fresh.model))


class Scripted:
    """Validates as told, and remembers the weights it was shown."""

    def __init__(self, values: list[float]) -> None:
        self.values = values
        self.shown: list[dict[str, Tensor]] = []

    def __call__(self, model: RecommendationModel) -> float:
        self.shown.append(_weights(model))
        return self.values[len(self.shown) - 1]


@pytest.mark.parametrize("average", ["0.0", "0.5"])
def test_training_stops_after_patience_and_keeps_the_best_weights(
    make_run: MakeRun, average: str
) -> None:
    validate = Scripted([0.1, 0.3, 0.2, 0.3, 0.9])
    parts, run = make_run(
        "training.epochs=9",
        "training.patience=2",
        f"training.average={average}",
        validate=validate,
    )
    log = train(parts.model, run)
    assert [entry["validation"] for entry in log] == [0.1, 0.3, 0.2, 0.3]
    assert _equal(_weights(parts.model), validate.shown[1])
    assert not _equal(validate.shown[1], validate.shown[3])


@pytest.mark.parametrize("average", ["0.0", "0.5"])
def test_fixed_epochs_are_the_first_of_a_longer_run(make_run: MakeRun, average: str) -> None:
    settings = ("training.epochs=4", f"training.average={average}")
    validate = Scripted([0.1, 0.2, 0.3, 0.4])
    longer, run = make_run(*settings, validate=validate)
    assert best_epoch(train(longer.model, run)) == 4
    fixed, run = make_run(*settings, validate=None, epochs=2)
    assert train(fixed.model, run) == ()
    assert _equal(_weights(fixed.model), validate.shown[1])


def test_the_best_epoch_is_the_one_whose_weights_were_kept(make_run: MakeRun) -> None:
    validate = Scripted([0.1, 0.3, 0.2, 0.3])
    parts, run = make_run("training.epochs=8", "training.validate_every=2", validate=validate)
    assert best_epoch(train(parts.model, run)) == 4
    assert _equal(_weights(parts.model), validate.shown[1])


def test_validation_follows_its_interval_and_the_last_epoch(make_run: MakeRun) -> None:
    parts, run = make_run("training.epochs=5", "training.validate_every=2")
    assert [entry["epoch"] for entry in train(parts.model, run)] == [2, 4, 5]


def test_averaging_changes_the_weights(make_run: MakeRun) -> None:
    plain = _trained(make_run, "training.epochs=1")
    averaged = _trained(make_run, "training.epochs=1", "training.average=0.9")
    assert not _equal(plain, averaged)


def test_the_estimate_counts_what_validation_and_calibration_read(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = iter(range(10**6))
    monkeypatch.setattr("palate.training.loop.time.perf_counter", lambda: float(next(ticks)))
    seconds = []
    for tokens in (0, 6_000):
        reports: list[Report] = []
        parts, run = make_run(validate=lambda _: 0.0, report=reports.append)
        budget = run.config.tokens_per_batch
        run = replace(run, validated_tokens=tokens, later_tokens=3 * budget)
        train(parts.model, run)
        (estimate,) = [at.estimate for at in reports if at.estimate is not None]
        seconds.append(estimate.seconds)
    # Reading is a third of learning, and every validation reads its tokens.
    step, epochs = seconds[0] / (_steps_left(reports) + 1), run.most_epochs
    assert seconds[1] - seconds[0] == pytest.approx(step * epochs * 6_000 / budget / 3)


def _steps_left(reports: list[Report]) -> int:
    """Return the steps after the one at which the estimate is made."""
    (at,) = [one for one in reports if one.estimate is not None]
    return at.steps - at.step
