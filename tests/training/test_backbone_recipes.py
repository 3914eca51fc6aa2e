"""Recipes over pre-trained backbones: trained weights, frozen weights, and accumulation."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from palate.data.dataset import Dataset
from palate.errors import ConfigError
from palate.inference.texts import Question, TextEngine
from palate.models.backbones.tuning import TuningConfig
from palate.models.trainable_state import merged, trainable_state
from palate.recommender.recommender import Recommender
from palate.simulation.world import World
from palate.training.build import build_system
from palate.training.config import Stage, TrainingConfig
from palate.training.loop import Report, Run, _compiled, train
from palate.training.recipe import Recipe, load_recipe
from palate.training.system import LanguageModelSystem, Start

SMALL = (
    "items.text.dim=16",
    "model.decoder={width=16, layers=1, heads=2, dropout=0.1}",
    "tasks.max_history=8",
)
LORA = TuningConfig(kind="lora", rank=2)


@pytest.fixture(scope="module")
def shop() -> Dataset:
    return World(num_users=30, num_items=30, events_per_user=8, seed=2, pictures=False).dataset()


def _system(model: Recommender) -> LanguageModelSystem:
    assert isinstance(model.trained.system, LanguageModelSystem)
    return model.trained.system


def _state(parts: LanguageModelSystem) -> dict[str, torch.Tensor]:
    return {name: weight.clone() for name, weight in parts.model.state_dict().items()}


def _trained(
    shop: Dataset, recipe: Recipe, report: Callable[[Report], None] | None = None
) -> tuple[LanguageModelSystem, set[str]]:
    """Return what a recipe left, and the names of the weights that moved."""
    parts, mixtures = build_system(shop, recipe, seed=1)
    before = _state(parts)
    for stage, mixture in zip(recipe.resolved_stages, mixtures, strict=True):
        run = Run(mixture, stage.training, lambda _: 0.0, "run", report=report)
        train(parts.model, run)
    after = _state(parts)
    return parts, {name for name in before.keys() & after if (before[name] != after[name]).any()}


def _recipe(*more: str, recipe: str = "urm-small") -> Recipe:
    return load_recipe(recipe, [*_small(*more), "training.epochs=1", *more])


def _small(*more: str) -> list[str]:
    """Return the settings that make a model small; a pre-trained one has its size."""
    pretrained = any(setting.startswith("model.backbone") for setting in more)
    return [setting for setting in SMALL if not (pretrained and "decoder" in setting)]


@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_lora_leaves_the_checkpoint_as_it_was(
    shop: Dataset, pretrained: dict[str, Path], kind: str
) -> None:
    path = f"model.backbone={{path='{pretrained[kind]}', tuning={{kind='lora', rank=2}}}}"
    parts, moved = _trained(shop, _recipe(path))
    of_backbone = {name for name in moved if name.startswith("decoder.")}
    assert of_backbone
    assert all("lora_" in name for name in of_backbone)
    assert "fusion.token.weight" in moved
    assert parts.model.borrowed
    assert not any(
        n.startswith("decoder.") and "lora_" not in n for n in trainable_state(parts.model)
    )


def test_a_trained_backbone_is_no_longer_borrowed(
    shop: Dataset, pretrained: dict[str, Path]
) -> None:
    path = f"model.backbone.path={pretrained['qwen2']}"
    parts, moved = _trained(shop, _recipe(path))
    assert any(name.startswith("decoder.") for name in moved)
    assert not parts.model.borrowed
    parts, moved = _trained(shop, _recipe(path, "training.frozen=['decoder']"))
    assert not any(name.startswith("decoder.") for name in moved)
    assert parts.model.borrowed


def test_the_tokenizer_is_that_of_the_backbone(shop: Dataset, pretrained: dict[str, Path]) -> None:
    parts, _ = build_system(shop, _recipe(f"model.backbone.path={pretrained['llama']}"), seed=0)
    assert parts.model.words is None
    assert parts.model.num_words >= len(parts.tokenizer)
    assert parts.tokenizer.decode(parts.tokenizer.encode("next item")) == "next item"


def test_item_tokens_have_about_the_scale_of_word_embeddings(
    shop: Dataset, pretrained: dict[str, Path]
) -> None:
    for kind in ("llama", "t5"):
        recipe = _recipe(f"model.backbone.path={pretrained[kind]}")
        model = build_system(shop, recipe, seed=0)[0].model.eval()
        with torch.no_grad():
            items = model.items(torch.arange(30)).tokens.norm(dim=1).mean()
            words = model.embed_words(torch.arange(model.num_words)).norm(dim=1).mean()
        assert 0.5 < items / words < 2


@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_a_soft_prompt_is_read_and_learned(
    shop: Dataset, pretrained: dict[str, Path], kind: str
) -> None:
    path = f"model.backbone={{path='{pretrained[kind]}', tuning={{kind='soft-prompt'}}}}"
    for more in ((), ("model.read_words=false",)):
        _, moved = _trained(shop, _recipe(path, *more))
        assert {n for n in moved if n.startswith("decoder.")} == {"decoder.soft_prompt.vectors"}


def test_a_stage_may_tune_what_another_learned(shop: Dataset) -> None:
    recipe = _recipe()
    stages = (
        Stage(tasks=recipe.tasks, training=recipe.training),
        Stage(
            tasks=recipe.tasks,
            training=recipe.training.model_copy(update={"tuning": LORA, "trained": ("decoder",)}),
        ),
    )
    recipe = recipe.model_copy(update={"stages": stages})
    parts, mixtures = build_system(shop, recipe, seed=1)
    states = []
    for stage, mixture in zip(recipe.resolved_stages, mixtures, strict=True):
        train(parts.model, Run(mixture, stage.training, lambda _: 0.0, "run"))
        states.append(_state(parts))
    assert parts.model.tuning == LORA
    first, second = states
    plain = {name.replace(".base_layer", ""): weight for name, weight in second.items()}
    assert all(torch.equal(plain[name], weight) for name, weight in first.items())
    assert any("lora_B" in name and bool(w.any()) for name, w in second.items())


def test_only_the_named_parts_learn(shop: Dataset) -> None:
    _, moved = _trained(shop, _recipe("training.trained=['fusion', 'user']"))
    assert moved
    assert all(name.startswith(("fusion.", "user.")) for name in moved)


def test_tuning_starts_from_another_model(shop: Dataset) -> None:
    first = Recommender.train(shop, _recipe(), seed=1)
    lora = _recipe("training.tuning={kind='lora', rank=2}", "training.trained=['decoder']")
    second = Recommender.train(shop, lora, seed=1, start=first)
    known, tuned = _system(first).model.decoder, _system(second).model.decoder
    for name, weight in tuned.state_dict().items():
        if "lora_" not in name:
            assert torch.equal(weight, known.state_dict()[name.replace(".base_layer", "")])
    # What was tuned is folded in where somebody goes on from there without it.
    parts, _ = build_system(shop, _recipe(), seed=1, start=Start(_system(second)))
    folded = merged(_system(second).model).decoder.state_dict()
    for name, weight in parts.model.decoder.state_dict().items():
        assert torch.equal(weight, folded[name])


def test_a_tokenizer_with_too_many_tokens_is_refused(
    shop: Dataset, pretrained: dict[str, Path]
) -> None:
    from palate.models.language_model import RecommendationModel

    recipe = _recipe(f"model.backbone.path={pretrained['llama']}")
    parts, _ = build_system(shop, recipe, seed=1)
    with pytest.raises(ConfigError, match="its tokenizer 9999"):
        RecommendationModel(recipe.model, parts.features, vocabulary_size=9999, num_event_types=1)


def test_accumulated_batches_are_one_step_of_their_mean(shop: Dataset) -> None:
    config = TrainingConfig(epochs=1, tokens_per_batch=256, accumulate=4, clip=1e9)
    recipe = _recipe("model.decoder.dropout=0.0").model_copy(update={"training": config})
    parts, (mixture,) = build_system(shop, recipe, seed=1)
    steps = []
    batches = len(mixture.plan(0))

    class Counting(torch.optim.AdamW):
        def step(self, closure: None = None) -> None:  # type: ignore[override]
            steps.append(1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim, "AdamW", Counting)
        train(parts.model, Run(mixture, config, lambda _: 0.0, "run"))
    made = sum(batch is not None for batch in mixture.batches(0))
    assert batches >= made > 4
    assert len(steps) == -(-made // 4)


def test_a_killed_run_with_accumulation_resumes_exactly(shop: Dataset, tmp_path: Path) -> None:
    config = TrainingConfig(
        epochs=2, tokens_per_batch=256, accumulate=3, checkpoint_seconds=1e-6, average=0.5
    )
    recipe = _recipe().model_copy(update={"training": config})

    def run(folder: Path, most: int | None) -> dict[str, torch.Tensor]:
        parts, (mixture,) = build_system(shop, recipe, seed=1)

        def report(at: Report) -> None:
            if at.step == most:
                raise KeyboardInterrupt

        train(parts.model, Run(mixture, config, lambda _: 0.0, "run", folder, report))
        return _state(parts)

    whole = run(tmp_path / "whole", None)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "killed", 8)
    resumed = run(tmp_path / "killed", None)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_time_and_memory_of_a_run_are_estimated_once(shop: Dataset) -> None:
    told: list[Report] = []
    _trained(shop, _recipe("training.epochs=2", "training.tokens_per_batch=256"), told.append)
    (at,) = [report for report in told if report.estimate is not None]
    assert at.step == 4
    assert at.estimate is not None
    assert at.estimate.seconds > 0
    assert str(at.estimate).startswith("about ")
    assert str(at.estimate).endswith(" GB")


def test_few_shots_are_some_of_the_users(shop: Dataset) -> None:
    _, (mixture,) = build_system(shop, _recipe("training.num_users=5"), seed=1)
    _, (again,) = build_system(shop, _recipe("training.num_users=5"), seed=1)
    assert len(mixture.sequences) == 5
    assert [s.item_rows.tolist() for s in mixture.sequences] == [
        s.item_rows.tolist() for s in again.sequences
    ]


def _short(recipe: Recipe) -> Recipe:
    stages = tuple(
        stage.model_copy(update={"training": stage.training.model_copy(update={"epochs": 1})})
        for stage in recipe.stages
    )
    return recipe.model_copy(update={"stages": stages})


@pytest.mark.parametrize("kind", ["", "llama"])
def test_tallrec_tunes_few_weights_on_text_alone(
    shop: Dataset, pretrained: dict[str, Path], kind: str
) -> None:
    more = (f"model.backbone.path={pretrained[kind]}",) if kind else ()
    recipe = _short(load_recipe("tallrec", more or [SMALL[1]]))
    assert len(recipe.resolved_stages) == (1 if kind else 2)
    model = Recommender.train(shop, recipe, seed=1)
    parts = _system(model)
    assert parts.model.borrowed == bool(kind)
    assert parts.forms == (), "the titles of its first stage are no answers"
    ranked = model.engine.rank(shop.cases("test").histories[0], [3, 1, 4])
    assert sorted(ranked.item_rows.tolist()) == [1, 3, 4]


@pytest.mark.parametrize("kind", ["", "qwen2", "t5"])
def test_lc_rec_learns_codes_and_titles_together(
    shop: Dataset, pretrained: dict[str, Path], kind: str
) -> None:
    more = [f"model.backbone.path={pretrained[kind]}"] if kind else []
    codes = "codes.index={kind='residual-kmeans', levels=2, size=4, unique='sinkhorn'}"
    recipe = load_recipe(
        "lc-rec", [*_small(*more), codes, "training.epochs=1", "codes.beams=12", *more]
    )
    parts, (mixture,) = build_system(shop, recipe, seed=1)
    assert parts.item_format.item_parts == ("codes",)
    assert [task.wording_family for task in mixture.tasks] == [
        *("next-item", "next-item", "search", "title", "next-title")
    ]
    (own,) = mixture.own_formats.values()
    assert own.item_parts == ("title",)
    shown = {
        bool((batch.levels >= 0).any())
        for batch in mixture.batches(0)
        if batch is not None
        and batch.target_ids is None
        and bool((batch.prefix_lengths > 12).any())
    }
    assert shown == {True, False}
    model = Recommender.train(shop, recipe, seed=1)
    assert model.trained.recipe.forms == ("codes", "titles")
    ranking = model.by_rows.recommend(shop.cases("test").histories[:1], 5)[0]
    assert len(ranking.item_rows) == 5


def test_an_encoder_decoder_with_copying_is_refused(
    shop: Dataset, pretrained: dict[str, Path]
) -> None:
    more = [f"model.backbone.path={pretrained['t5']}", "model.copies=true", "model.prompts=stream"]
    with pytest.raises(ConfigError, match=r"model.copies needs a decoder"):
        Recommender.train(shop, _short(load_recipe("tallrec", more)), seed=1)


def test_titles_must_be_in_the_item_format() -> None:
    with pytest.raises(ConfigError, match="from_titles needs 'title'"):
        _recipe("tasks.from_titles=1")


def test_without_a_gpu_nothing_is_compiled(shop: Dataset, caplog: pytest.LogCaptureFixture) -> None:
    plain, _ = _trained(shop, _recipe())
    asked, _ = _trained(shop, _recipe("training.compile=true"))
    assert "left out" in caplog.text
    assert all(torch.equal(w, _state(asked)[name]) for name, w in _state(plain).items())


def test_a_compiled_backbone_is_itself_again_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    def compiled(forward: Callable[..., torch.Tensor], **_: object) -> Callable[..., torch.Tensor]:
        return lambda x: 2 * forward(x)

    monkeypatch.setattr(torch, "compile", compiled)
    layer = torch.nn.Linear(2, 2)
    x = torch.ones(1, 2)
    with _compiled(layer):
        twice = layer(x)
    assert torch.equal(twice, 2 * layer(x))


def test_the_summary_of_a_recipe_has_its_tuning() -> None:
    tuned = load_recipe("tallrec", ["model.backbone.path=/models/small"])
    assert tuned.made_of.endswith("answers as text; backbone small; tuned by lora")
    assert tuned.untuned.made_of.endswith("backbone small; tuned by full")
    plain = _recipe()
    assert plain.untuned == plain


def test_a_slow_model_is_followed_from_loading_to_calibration(
    shop: Dataset, pretrained: dict[str, Path]
) -> None:
    told: list[str] = []
    path = f"model.backbone.path={pretrained['llama']}"
    for more in ((path, "training.epochs=2"), ()):
        Recommender.train(shop, _recipe(*more), status=told.append)
    assert told == ["Loading llama", "Validating", "Validating", "Calibrating"]


def test_validation_and_calibration_look_at_as_many_as_is_said(
    shop: Dataset, pretrained: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    before = TextEngine.log_likelihood

    def counted(self: TextEngine, question: Question) -> float:
        asked.append(len(question.examples))
        return before(self, question)

    monkeypatch.setattr(TextEngine, "log_likelihood", counted)
    path = f"model.backbone.path={pretrained['llama']}"
    more = ("training.validate_on=5", "stages.yes-or-no.training.epochs=1")
    Recommender.train(shop, load_recipe("tallrec", [path, *more]))
    assert asked
    assert max(asked) <= 5


def test_a_borrowed_model_reads_the_catalogue_before_it_is_asked(
    shop: Dataset, pretrained: dict[str, Path]
) -> None:
    path = f"model.backbone={{path='{pretrained['llama']}', tuning={{kind='lora', rank=2}}}}"
    recipe = load_recipe("reading-first", [path, "training.epochs=1", "tasks.max_history=4"])
    names = [
        [task.name for task in mixture.tasks] for mixture in build_system(shop, recipe, seed=1)[1]
    ]
    assert names[0] == ["blanks"]
    assert "blanks" not in names[1]
    parts, moved = _trained(shop, recipe)
    assert {name for name in moved if name.startswith("decoder.")}
    assert parts.model.borrowed
