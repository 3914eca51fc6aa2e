"""Models over pre-trained backbones answer, are saved, loaded and merged like all others."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from code_scores import scores_by_codes
from palate.data.dataset import Dataset
from palate.errors import ArtifactError, ConfigError
from palate.inference.generation import SamplingParams, _CachedStates, _RecomputedStates
from palate.inference.prompt_runner import PromptRunner
from palate.inference.request import Request
from palate.inference.texts import Question, TextEngine
from palate.language.tasks.choice import Choice
from palate.language.tasks.material import plain_titles
from palate.language.tasks.next_title import NextTitle
from palate.language.tasks.title import Title
from palate.models.backbones.causal import CausalBackbone
from palate.models.backbones.pretrained import head_of
from palate.models.baselines import PopularityConfig
from palate.recommender.recommender import Recommender
from palate.simulation.world import World
from palate.training.recipe import Recipe, load_recipe
from palate.training.system import LanguageModelSystem

SETTINGS = (
    "items.text.dim=16",
    "model.item_format=['title', 'codes', 'item']",
    "codes.index={kind='residual-kmeans', levels=2, size=4}",
    "codes.beams=40",
    'answers=["set", "codes", "titles"]',
    "tasks={next_item=1.0, title=0.5, next_title=0.5, max_history=6}",
    "training.epochs=1",
    "training.learning_rate=0.02",
)
TUNED = {"llama": "lora", "qwen2": "adapter", "t5": "lora"}


@pytest.fixture(scope="module")
def shop() -> Dataset:
    return World(num_users=20, num_items=25, seed=3, pictures=False).dataset()


def _recipe(path: Path, kind: str, *more: str) -> Recipe:
    size = {"lora": ", rank=2", "adapter": ", bottleneck=4"}.get(kind, "")
    backbone = f"{{path='{path}', tuning={{kind='{kind}'{size}}}}}"
    return load_recipe("liger", [*SETTINGS, f"model.backbone={backbone}", *more])


@pytest.fixture(scope="module", params=TUNED)
def kind(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture(scope="module")
def models(shop: Dataset, pretrained: dict[str, Path]) -> dict[str, Recommender]:
    return {
        kind: Recommender.train(shop, _recipe(pretrained[kind], tuning), seed=1)
        for kind, tuning in TUNED.items()
    }


def _lists(model: Recommender, shop: Dataset) -> list[list[int]]:
    """All forms of answer in items, of some users of different lengths."""
    histories = [h.last(1 + n) for n, h in enumerate(shop.cases("test").histories[:4])]
    return [
        ranking.item_rows.tolist()
        for form in ("set", "codes", "hybrid")
        for ranking in model.asking(Request(form=form)).by_rows.recommend(histories, 5)
    ]


def _questions(shop: Dataset) -> Sequence[Question]:
    titles = plain_titles(shop.catalog)
    histories = [h.last(1 + n) for n, h in enumerate(shop.cases("test").histories[:5])]
    return [
        Question("what is it called", [Title(titles).ask(np.asarray([row])) for row in range(5)]),
        Question("which title comes next", [NextTitle(6, titles).ask(h) for h in histories]),
    ]


def _texts(model: Recommender, shop: Dataset) -> list[str]:
    engine = TextEngine(PromptRunner(model.trained.system))
    return [
        text
        for each in _questions(shop)
        for text in engine.generate(each, SamplingParams(max_words=8))
    ]


def test_saved_and_read_back_it_answers_alike(
    models: dict[str, Recommender], shop: Dataset, kind: str, tmp_path: Path
) -> None:
    model = models[kind]
    model.save(tmp_path / "model")
    loaded = Recommender.load(tmp_path / "model")
    assert _lists(loaded, shop) == _lists(model, shop)
    texts = _texts(model, shop)
    assert any(texts)
    assert _texts(loaded, shop) == texts
    histories = shop.cases("test").histories
    np.testing.assert_array_equal(loaded.by_rows.score(histories), model.by_rows.score(histories))


def test_only_trained_weights_are_saved(
    models: dict[str, Recommender], pretrained: dict[str, Path], tmp_path: Path
) -> None:
    models["llama"].save(tmp_path / "model")
    from safetensors import safe_open

    with safe_open(tmp_path / "model" / "weights.safetensors", "pt") as file:
        of_backbone = {name for name in file.keys() if name.startswith("decoder.")}  # noqa: SIM118
    assert of_backbone
    assert all("lora_" in name for name in of_backbone)
    manifest = json.loads((tmp_path / "model" / "manifest.json").read_text())
    assert manifest["settings"]["backbone"] == str(pretrained["llama"].resolve())
    assert len(manifest["inputs"]["backbone"]) == 16


@pytest.mark.parametrize("form", ["codes"])
def test_a_search_with_enough_beams_is_the_exhaustive_ranking(
    models: dict[str, Recommender], shop: Dataset, kind: str, form: str
) -> None:
    model = models[kind].asking(Request(form=form))
    histories = [h.last(1 + n) for n, h in enumerate(shop.cases("test").histories[:4])]
    items = len(shop.catalog)
    lists = model.by_rows.recommend(histories, items, exclude_seen=False)
    scores = scores_by_codes(model.trained.system, histories)
    for ranking, expected in zip(lists, scores, strict=True):
        assert sorted(ranking.item_rows) == list(range(items))
        np.testing.assert_allclose(ranking.scores, expected[ranking.item_rows], atol=1e-4)


def test_a_continued_cache_equals_reading_from_the_start(
    models: dict[str, Recommender], shop: Dataset, kind: str
) -> None:
    model = models[kind]
    engine = TextEngine(PromptRunner(model.trained.system))
    network = model.trained.system.model
    for question in _questions(shop):
        (_, batch), *_ = engine._batches(question)
        with torch.inference_mode():
            read, table = engine.runner.with_items(batch)
            quick = _CachedStates(network, network.prefix(read, table))
            plain = _RecomputedStates(network, read, table)
            said = torch.randint(3, 200, (len(batch.token_ids), 4))
            for length in range(5):
                one, two = (states.after(said[:, :length]) for states in (quick, plain))
                torch.testing.assert_close(one, two, atol=1e-4, rtol=1e-4)


def test_many_requests_at_once_equal_single_ones(
    models: dict[str, Recommender], shop: Dataset, kind: str
) -> None:
    engine = TextEngine(PromptRunner(models[kind].trained.system))
    histories = shop.cases("test").histories
    scores = models[kind].by_rows.score([h.last(1 + n) for n, h in enumerate(histories[:4])])
    for n, history in enumerate(histories[:4]):
        alone = models[kind].by_rows.score([history.last(1 + n)])[0]
        np.testing.assert_allclose(alone, scores[n], atol=1e-4)
    for question in _questions(shop):
        texts = engine.generate(question, SamplingParams(max_words=6))
        for text, example in zip(texts, question.examples, strict=True):
            assert engine.generate(
                replace(question, examples=[example]), SamplingParams(max_words=6)
            ) == [text]


def test_only_tokens_of_the_tokenizer_are_generated(
    models: dict[str, Recommender], shop: Dataset
) -> None:
    system = models["llama"].trained.system
    assert isinstance(system, LanguageModelSystem)
    unknown = system.model.num_words - len(system.tokenizer)
    assert unknown > 0
    assert isinstance(system.model.decoder, CausalBackbone)
    head = head_of(system.model.decoder.model)
    with torch.no_grad():
        before = head.weight.clone()
        head.weight[-unknown:] = before.sum(dim=0) * 100
    try:
        assert all(isinstance(text, str) for text in _texts(models["llama"], shop))
    finally:
        with torch.no_grad():
            head.weight.copy_(before)


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_a_causal_backbone_copies_the_same_words_with_and_without_a_cache(
    shop: Dataset, pretrained: dict[str, Path], kind: str
) -> None:
    more = (
        "model.copies=true",
        "model.prompts=stream",
        "tasks={next_item=0.5, choice=1.0, max_history=6}",
        'answers=["set", "codes", "text"]',
    )
    copying = Recommender.train(shop, _recipe(pretrained[kind], "lora", *more), seed=1)
    engine, task = (
        TextEngine(PromptRunner(copying.trained.system)),
        Choice(plain_titles(shop.catalog)),
    )
    network = copying.trained.system.model
    assert network.text is not None
    assert network.text.keys is not None
    torch.nn.init.normal_(network.text.keys.weight, std=0.3)
    asked = [np.arange(2 + number) for number in range(5)]
    histories = [h.last(1 + n) for n, h in enumerate(shop.cases("test").histories[:5])]
    examples = [task.ask(h, rows) for h, rows in zip(histories, asked, strict=True)]
    options = [[task.titles[row] for row in rows] for rows in asked]
    question = Question("choose", examples)
    for logs, example, own in zip(
        engine.score_options(question, options), examples, options, strict=True
    ):
        pairs = [replace(example, target_texts=(option,)) for option in own]
        alone = engine._log_probabilities(Question("choose", pairs))
        np.testing.assert_allclose(logs, alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_merged_it_answers_alike_and_needs_no_other_folder(
    shop: Dataset, pretrained: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    shutil.copytree(pretrained[kind], tmp_path / "checkpoint")
    model = Recommender.train(shop, _recipe(tmp_path / "checkpoint", "lora"), seed=1)
    merged = model.merged()
    merged.save(tmp_path / "model")
    shutil.rmtree(tmp_path / "checkpoint")
    loaded = Recommender.load(tmp_path / "model")
    histories = shop.cases("test").histories
    np.testing.assert_allclose(
        merged.by_rows.score(histories), model.by_rows.score(histories), atol=1e-3
    )
    np.testing.assert_array_equal(loaded.by_rows.score(histories), merged.by_rows.score(histories))
    assert _texts(loaded, shop) == _texts(merged, shop)


@pytest.mark.parametrize("kind", ["qwen2", "t5"])
def test_a_fully_tuned_backbone_needs_no_other_folder(
    shop: Dataset, pretrained: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    shutil.copytree(pretrained[kind], tmp_path / "checkpoint")
    model = Recommender.train(shop, _recipe(tmp_path / "checkpoint", "full"), seed=1)
    model.save(tmp_path / "model")
    shutil.rmtree(tmp_path / "checkpoint")
    assert (tmp_path / "model" / "backbone" / "config.json").is_file()
    loaded = Recommender.load(tmp_path / "model")
    assert _lists(loaded, shop) == _lists(model, shop)
    assert _texts(loaded, shop) == _texts(model, shop)


def test_another_backbone_in_its_place_is_refused(
    shop: Dataset, pretrained: dict[str, Path], tmp_path: Path
) -> None:
    place = tmp_path / "checkpoint"
    shutil.copytree(pretrained["qwen2"], place)
    Recommender.train(shop, _recipe(place, "frozen"), seed=1).save(tmp_path / "model")
    shutil.rmtree(place)
    with pytest.raises(ArtifactError, match="needs its backbone"):
        Recommender.load(tmp_path / "model")
    shutil.copytree(pretrained["llama"], place)
    with pytest.raises(ArtifactError, match="what is there now has") as caught:
        Recommender.load(tmp_path / "model")
    assert str(place.resolve()) in caught.value.hint


def test_a_backbone_that_cannot_be_merged_is_refused(
    models: dict[str, Recommender], shop: Dataset
) -> None:
    with pytest.raises(ConfigError, match="no LoRA update"):
        models["qwen2"].merged()
    baseline = Recommender.train(
        shop, Recipe(title="Popularity", baseline=PopularityConfig()), seed=1
    )
    with pytest.raises(ConfigError, match="nothing to merge"):
        baseline.merged()
