"""What stands before every prompt is read once, and answers are what they would be without."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from palate.data.dataset import Dataset
from palate.inference.prompt_runner import PromptRunner
from palate.inference.texts import Question, TextEngine
from palate.language.batch import BatchBuilder
from palate.language.tasks.asking import asking
from palate.models.known_instructions import _MOST
from palate.models.language_model import RecommendationModel
from palate.training.build import build_system
from palate.training.recipe import load_recipe
from palate.training.system import LanguageModelSystem
from palate.types import History
from small_checkpoints import save_checkpoints

pytest.importorskip("transformers", reason="needs the extra 'hf'")

SMALL = (
    'model.item_format=["title", "item"]',
    "items.text.dim=8",
    "tasks.max_history=4",
    "model.title_words=10",
)
LORA = "model.backbone.tuning={kind='lora', rank=2}"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return save_checkpoints(tmp_path_factory.mktemp("known"))


@pytest.fixture(params=["llama", "t5", "compact"])
def system(
    request: pytest.FixtureRequest, folders: dict[str, Path], tiny_shop: Dataset
) -> LanguageModelSystem:
    kind = request.param
    backbone = [] if kind == "compact" else [f"model.backbone.path={folders[kind]}", LORA]
    recipe = load_recipe("palate", [*backbone, *SMALL, 'answers=["set", "text"]'])
    made, _ = build_system(tiny_shop, recipe, seed=0)
    made.model.train(mode=False)
    return made


@contextmanager
def _counted(model: RecommendationModel) -> Iterator[list[int]]:
    """Count the instructions that are read, by their lengths."""
    read: list[int] = []
    before = model.decoder.read_instruction

    def counted(x: torch.Tensor) -> object:
        read.append(x.shape[1])
        return before(x)

    vars(model.decoder)["read_instruction"] = counted
    try:
        yield read
    finally:
        del vars(model.decoder)["read_instruction"]


def _histories(shop: Dataset) -> list[History]:
    return [history for history in shop.sequences if len(history) > 3][:6]


def _asked(system: LanguageModelSystem, shop: Dataset) -> Question:
    prompts = [asking(h.last(3), [3], candidates=np.array([[1]])) for h in _histories(shop)]
    return Question("does the user like the item", prompts)


def test_one_user_after_the_other_needs_the_instruction_once(
    system: LanguageModelSystem, tiny_shop: Dataset
) -> None:
    runner = PromptRunner(system)
    with _counted(system.model) as read:
        alone = [runner.score([history]) for history in _histories(tiny_shop)]
    assert len(read) == 1
    together = runner.score(_histories(tiny_shop))
    np.testing.assert_allclose(np.concatenate(alone), together, atol=1e-4)


def test_answers_are_those_of_a_model_that_reads_it_anew(
    system: LanguageModelSystem, tiny_shop: Dataset
) -> None:
    question, engine = _asked(system, tiny_shop), TextEngine(PromptRunner(system))
    first = engine.choose(question, ["Yes", "No"])
    again = engine.choose(question, ["Yes", "No"])
    fresh = copy.deepcopy(system.model)
    with _counted(fresh) as read:
        anew = TextEngine(PromptRunner(replace(system, model=fresh))).choose(
            question, ["Yes", "No"]
        )
    assert read
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, anew)


def test_what_is_written_after_it_does_not_change_it(
    system: LanguageModelSystem, tiny_shop: Dataset
) -> None:
    question, engine = _asked(system, tiny_shop), TextEngine(PromptRunner(system))
    options = [["yes it is", "no"]] * len(question.examples)
    before = engine.score_options(question, options)
    for one, two in zip(before, engine.score_options(question, options), strict=True):
        np.testing.assert_array_equal(one, two)


def test_changed_weights_are_read_anew(system: LanguageModelSystem, tiny_shop: Dataset) -> None:
    question, engine = _asked(system, tiny_shop), TextEngine(PromptRunner(system))
    before = engine.choose(question, ["Yes", "No"])
    with torch.no_grad():
        for weight in system.model.decoder.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    after = engine.choose(question, ["Yes", "No"])
    fresh = TextEngine(PromptRunner(replace(system, model=copy.deepcopy(system.model))))
    np.testing.assert_array_equal(after, fresh.choose(question, ["Yes", "No"]))
    assert not np.array_equal(before, after)


def test_in_training_nothing_is_kept(system: LanguageModelSystem, tiny_shop: Dataset) -> None:
    prompts = [asking(history.last(3), [3]) for history in _histories(tiny_shop)]
    batch = system.batch_builder().batch("which comes next", prompts)
    with _counted(system.model) as read:
        for _ in range(2):
            system.model.train()(batch)
            system.model.train(mode=False)(batch)  # with gradients
    assert len(read) == 4
    assert not system.model.known_instructions._kept


def test_few_are_kept(system: LanguageModelSystem, tiny_shop: Dataset) -> None:
    prompts = [asking(_histories(tiny_shop)[0].last(3), [3])]
    builder = system.batch_builder()
    with torch.inference_mode():
        for number in range(_MOST + 5):
            system.model(builder.batch(f"wish {number}", prompts))
    assert len(system.model.known_instructions._kept) == _MOST


def test_weights_that_cannot_tell_of_changes_are_read_anew(
    folders: dict[str, Path], tiny_shop: Dataset
) -> None:
    with torch.inference_mode():
        system, _ = build_system(tiny_shop, load_recipe("palate", SMALL), seed=0)
    system.model.train(mode=False)
    with _counted(system.model) as read:
        for history in _histories(tiny_shop)[:2]:
            PromptRunner(system).score([history])
    assert len(read) == 2


# --- the head of the rows


def _heads(builder: BatchBuilder, *prompts: object) -> tuple[int, list[int]]:
    batch = builder.batch("which comes next", list(prompts))  # type: ignore[arg-type]
    return len(batch.instruction), batch.prefix_lengths[:, 0].tolist()


def test_the_announcement_of_a_history_is_read_with_the_instruction(
    folders: dict[str, Path], tiny_shop: Dataset
) -> None:
    recipe = load_recipe("palate", [f"model.backbone.path={folders['llama']}", *SMALL])
    system, _ = build_system(tiny_shop, recipe, seed=0)
    shared, apart = system.batch_builder(), replace(system.batch_builder(), shares_heads=False)
    known, new = (
        asking(_histories(tiny_shop)[0].last(2), [2]),
        asking(History(np.zeros(0, int)), [0]),
    )
    words, lengths = _heads(apart, known, known)
    more, shorter = _heads(shared, known, known)
    assert more - words == lengths[0] - shorter[0] > 0
    # Nobody's history is announced in other words, and a context is somebody's own.
    for others in ((known, new), (known, replace(known, context="red"))):
        assert _heads(shared, *others) == _heads(apart, *others)


@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_where_the_announcement_stands_changes_no_answer(
    folders: dict[str, Path], tiny_shop: Dataset, kind: str
) -> None:
    recipe = load_recipe("palate", [f"model.backbone.path={folders[kind]}", *SMALL])
    system, mixtures = build_system(tiny_shop, recipe, seed=0)
    system.model.train(mode=False)
    rng = np.random.default_rng(0)
    seen = 0
    for task in mixtures[-1].tasks:
        made = [task.example(history, task.slots(rng), rng) for history in _histories(tiny_shop)]
        examples = [one for one in made if one is not None and one.target_texts]
        if not examples:
            continue
        seen += 1
        batches = [
            replace(system.batch_builder(), shares_heads=shares).batch("ask", examples, task.frame)
            for shares in (True, False)
        ]
        with torch.inference_mode():
            one, two = (
                system.model(batch, users=False, target_ids=batch.target_ids)[0].words
                for batch in batches
            )
        torch.testing.assert_close(one, two, atol=1e-4, rtol=1e-3)
    assert seen > 3
