"""A tiny RecSysLLM: fast computations equal plain ones, and the entity pool keeps titles real."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from code_scores import scores_by_codes
from palate.data.dataset import Dataset
from palate.inference.generation import SamplingParams, _CachedStates, _RecomputedStates
from palate.inference.prompt_runner import PromptRunner
from palate.inference.texts import Question, TextEngine
from palate.language.entities import EntityTrie
from palate.language.held_out import held_out_events, held_out_examples
from palate.language.tasks.blanks import BlankFilling
from palate.language.tasks.material import plain_titles
from palate.language.tasks.next_title import NextTitle
from palate.language.tasks.rating import Rating
from palate.language.tasks.task import Example
from palate.recommender.recommender import Recommender
from palate.simulation.world import World
from palate.training.build import build_system
from palate.training.recipe import Recipe, load_recipe
from palate.training.system import LanguageModelSystem

SMALL = ["model.decoder.width=16", "model.decoder.layers=1", "items.text.dim=8"]


def _briefly(recipe: Recipe) -> Recipe:
    short = {"epochs": 1, "validate_every": 1, "tokens_per_batch": 4096}
    stages = [
        stage.model_copy(update={"training": stage.training.model_copy(update=short)})
        for stage in recipe.stages
    ]
    return recipe.model_copy(
        update={"stages": tuple(stages), "training": recipe.training.model_copy(update=short)}
    )


@pytest.fixture(scope="module")
def shop() -> Dataset:
    return World(num_users=24, num_items=40, seed=1).dataset()


@pytest.fixture(scope="module")
def trained(shop: Dataset) -> Recommender:
    return Recommender.train(shop, _briefly(load_recipe("recsysllm", SMALL)), seed=1)


@pytest.fixture(scope="module")
def engine(trained: Recommender) -> TextEngine:
    return TextEngine(PromptRunner(trained.trained.system))


@pytest.fixture(scope="module")
def next_titles(shop: Dataset) -> Question:
    task = NextTitle(20, plain_titles(shop.catalog))
    return Question("name the next item", [task.ask(h) for h in shop.cases("test").histories[:12]])


def _parts(engine: TextEngine) -> LanguageModelSystem:
    return engine.runner.system


def test_the_inner_positions_are_learned(engine: TextEngine) -> None:
    two = _parts(engine).model.entity_positions
    assert two is not None
    moved = two.table.abs().sum(dim=1) > 0
    assert bool(moved[:4].all())


def test_cached_words_equal_words_read_again(
    shop: Dataset, engine: TextEngine, next_titles: Question
) -> None:
    title = plain_titles(shop.catalog)[0]
    words = engine.batch_builder.tokenizer.encode(f"{title} {title}")
    for _, batch in engine._batches(next_titles):
        with torch.inference_mode():
            model, read, table = engine._read(batch)
            quick = _CachedStates(model, model.prefix(read, table))
            plain = _RecomputedStates(model, read, table)
            for length in range(len(words) + 1):
                said = torch.tensor(words[:length], dtype=torch.long)
                said = said.expand(len(read.token_ids), -1)
                assert_allclose(quick.after(said), plain.after(said), atol=1e-4)


def test_with_the_entity_pool_every_title_is_real(
    shop: Dataset, engine: TextEngine, next_titles: Question
) -> None:
    titles = plain_titles(shop.catalog)
    tokenizer = _parts(engine).tokenizer
    trie = EntityTrie.of_titles(titles, tokenizer)
    real = {tokenizer.decode(tokens) for tokens in tokenizer.encode_batch(titles)}
    for sampling in (SamplingParams(), SamplingParams(temperature=2.0, top_p=1.0, seed=4)):
        assert set(engine.generate(next_titles, sampling, trie=trie)) <= real
    wild = engine.generate(next_titles, SamplingParams(temperature=2.0, top_p=1.0, seed=4))
    assert not set(wild) <= real, "so little trained, it makes titles up without"


def test_a_single_prompt_is_answered_as_in_a_batch(shop: Dataset, engine: TextEngine) -> None:
    task = Rating(20, _parts(engine).ratings)
    examples = [task.ask(h, np.asarray([3, 7])) for h in shop.cases("test").histories[:6]]
    together = engine.choose(Question("rate it", examples), ["1", "5"])
    for number, example in enumerate(examples):
        alone = engine.choose(Question("rate it", [example]), ["1", "5"])
        assert_allclose(together[2 * number : 2 * number + 2], alone, atol=1e-5)


def test_options_for_blanks_have_probabilities_and_the_first_blank_is_generated(
    shop: Dataset, engine: TextEngine
) -> None:
    rng = np.random.default_rng(0)
    pairs = held_out_examples(BlankFilling(8), held_out_events(shop, "valid")[:6], None, rng)
    examples: list[Example] = [example for _, example in pairs]
    question = Question("fill in", examples)
    assert engine.log_likelihood(question) < 0
    assert len(engine.generate(question, SamplingParams(max_words=3))) == 6


def test_a_saved_model_answers_the_same(
    trained: Recommender, engine: TextEngine, next_titles: Question, tmp_path: Path
) -> None:
    trained.save(tmp_path / "model")
    loaded = Recommender.load(tmp_path / "model").trained.system
    assert TextEngine(PromptRunner(loaded)).generate(next_titles) == engine.generate(next_titles)


@pytest.mark.parametrize("name", ["p5", "recsysllm"])
def test_bidirectional_rows_predict_at_their_end(shop: Dataset, name: str) -> None:
    _, mixtures = build_system(shop, _briefly(load_recipe(name, SMALL)), seed=1)
    for mixture in mixtures:
        for batch in mixture.batches(0):
            assert batch is not None
            ends = batch.prefix_lengths.amax(dim=1, keepdim=True)
            assert bool(((batch.prefix_lengths == ends) | (batch.prefix_lengths < 0)).all())
            filled = (batch.token_ids >= 0) | (batch.items >= 0)
            assert ends[:, 0].tolist() == filled.sum(dim=1).tolist()


def test_p5_learns_its_five_families_and_answers_in_codes(shop: Dataset) -> None:
    model = Recommender.train(shop, _briefly(load_recipe("p5", SMALL)), seed=1)
    assert set(model.tasks) == {"next-item", "direct", "rating", "explanation", "summary"}
    histories = shop.cases("test").histories[:1]
    ranking = model.by_rows.recommend(histories, 5)[0]
    assert len(set(ranking.item_rows.tolist())) == 5
    alone = scores_by_codes(model.trained.system, histories)[0]
    assert_allclose(ranking.scores, alone[ranking.item_rows], atol=1e-4)


def test_ptum_learns_behaviour_and_then_the_next_item(shop: Dataset) -> None:
    recipe = _briefly(load_recipe("ptum", SMALL))
    _, [first, second] = build_system(shop, recipe, seed=1)
    assert [task.name for task in first.tasks] == ["masked", "next-behaviours"]
    assert [task.name for task in second.tasks] == ["next-item"]
    assert len(Recommender.train(shop, recipe, seed=1).trained.log) == 2
