"""Text answers of a barely trained model: fast computations equal plain ones."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from palate.data.dataset import Dataset
from palate.errors import NotTrainedError
from palate.inference.generation import SamplingParams, _CachedStates, _RecomputedStates
from palate.inference.prompt_runner import CatalogueVectors, PromptRunner
from palate.inference.texts import Question, TextEngine
from palate.language.tasks.choice import Choice
from palate.language.tasks.explanation import Explanation
from palate.language.tasks.material import plain_titles
from palate.language.tasks.rating import Rating
from palate.language.tasks.task import Example
from palate.language.tasks.yes_no import NO, YES, YesNo
from palate.recommender.recommender import Recommender
from palate.simulation.world import World
from palate.training.recipe import load_recipe
from palate.training.system import LanguageModelSystem

SMALL = ["training.epochs=2", "model.decoder.width=32", "model.decoder.layers=1", "tasks.rating=4"]


@pytest.fixture(scope="module")
def shop() -> Dataset:
    return World(num_users=60, num_items=40, seed=1).dataset()


@pytest.fixture(scope="module")
def trained(shop: Dataset) -> Recommender:
    return Recommender.train(shop, load_recipe("palate", SMALL), seed=1)


@pytest.fixture(scope="module")
def engine(trained: Recommender) -> TextEngine:
    return TextEngine(PromptRunner(trained.trained.system))


def _parts(engine: TextEngine) -> LanguageModelSystem:
    return engine.runner.system


def _ratings(shop: Dataset, engine: TextEngine) -> list[Example]:
    task = Rating(50, _parts(engine).ratings)
    return [task.ask(h, np.asarray([3, 7])) for h in shop.cases("test").histories[:9]]


def test_options_share_one_probability(shop: Dataset, engine: TextEngine) -> None:
    question = Question("rate it", _ratings(shop, engine))
    shares = engine.choose(question, ["1", "2", "3", "4", "5"])
    assert shares.shape == (18, 5), "a line per prediction, and two predictions per prompt"
    assert_allclose(shares.sum(axis=1), 1, atol=1e-5)


def test_a_single_prompt_is_answered_as_in_a_batch(shop: Dataset, engine: TextEngine) -> None:
    examples = _ratings(shop, engine)
    together = engine.choose(Question("rate it", examples), [YES, NO])
    for number, example in enumerate(examples):
        alone = engine.choose(Question("rate it", [example]), [YES, NO])
        assert_allclose(together[2 * number : 2 * number + 2], alone, atol=1e-5)


def test_options_of_several_words_are_weighed_whole(shop: Dataset, engine: TextEngine) -> None:
    task = Choice(plain_titles(shop.catalog))
    histories = shop.cases("test").histories[:4]
    examples = [task.ask(h, np.asarray([1, 2, 5])) for h in histories]
    options = [[task.titles[row] for row in (1, 2, 5)]] * 4
    logs = engine.score_options(Question("choose", examples), options)
    shares = engine.choose(Question("choose", examples), options[0])
    for log, share in zip(logs, shares, strict=True):
        assert (log < 0).all()
        assert_allclose(np.exp(log) / np.exp(log).sum(), share, rtol=1e-3)


def test_weighing_options_together_is_reading_each_as_a_reply(
    shop: Dataset, engine: TextEngine
) -> None:
    task = Choice(plain_titles(shop.catalog))
    histories = shop.cases("test").histories[:6]
    candidates = [np.arange(3 + number) for number in range(6)]
    examples = [task.ask(h, rows) for h, rows in zip(histories, candidates, strict=True)]
    options = [[*(task.titles[row] for row in rows), "a"] for rows in candidates]
    together = engine.score_options(Question("choose", examples), options)
    for example, of_prompt, logs in zip(examples, options, together, strict=True):
        pairs = [replace(example, target_texts=(option,)) for option in of_prompt]
        alone = engine._log_probabilities(Question("choose", pairs))
        assert_allclose(logs, alone, rtol=1e-4, atol=1e-4)


def test_a_prompt_without_options_has_no_probabilities(shop: Dataset, engine: TextEngine) -> None:
    task = Choice(plain_titles(shop.catalog))
    examples = [task.ask(h, np.asarray([1])) for h in shop.cases("test").histories[:3]]
    question, title = Question("choose", examples), task.titles[1]
    assert [len(logs) for logs in engine.score_options(question, [[], [title], []])] == [0, 1, 0]
    assert [len(logs) for logs in engine.score_options(question, [[], [], []])] == [0, 0, 0]


def test_copying_is_the_same_with_and_without_a_cache(shop: Dataset) -> None:
    more = ["training.epochs=1", 'model.item_format=["title","item"]', "model.copies=true"]
    copying = Recommender.train(shop, load_recipe("palate", [*SMALL, *more]), seed=1)
    engine, task = (
        TextEngine(PromptRunner(copying.trained.system)),
        Choice(plain_titles(shop.catalog)),
    )
    model, histories = _parts(engine).model, shop.cases("test").histories[:6]
    assert model.text is not None
    assert model.text.keys is not None
    torch.nn.init.normal_(model.text.keys.weight, std=0.3)
    candidates = [np.arange(2 + number) for number in range(6)]
    examples = [task.ask(h, rows) for h, rows in zip(histories, candidates, strict=True)]
    options = [[*(task.titles[row] for row in rows), "a"] for rows in candidates]
    question = Question("choose", examples)
    for logs, example, own in zip(
        engine.score_options(question, options), examples, options, strict=True
    ):
        pairs = [replace(example, target_texts=(option,)) for option in own]
        alone = engine._log_probabilities(Question("choose", pairs))
        assert_allclose(logs, alone, rtol=1e-4, atol=1e-4)
    for _, batch in engine._batches(question):
        with torch.inference_mode():
            read, table = engine.runner.with_items(batch)
            prefix = model.prefix(read, table).copied
            plain = _RecomputedStates(model, read, table)
            plain.after(torch.zeros(len(batch.token_ids), 0, dtype=torch.long))
        assert prefix is not None
        assert plain.copied is not None
        torch.testing.assert_close(prefix.words, plain.copied.words)
        torch.testing.assert_close(prefix.keys, plain.copied.keys, atol=1e-5, rtol=1e-4)


def test_the_likelihood_is_the_mean_over_the_words(shop: Dataset, engine: TextEngine) -> None:
    [example] = _ratings(shop, engine)[:1]
    said = replace(example, target_texts=("4", "a red lamp"))
    question = Question("rate it", [said])
    tokens = [
        len(engine.batch_builder.target(engine.batch_builder.tokenizer.encode(r)))
        for r in said.target_texts
    ]
    assert example.candidates is not None
    logs = [
        engine.score_options(
            Question("rate it", [_with_candidates(example, candidates)]),
            [[reply]],
        )[0][0]
        for candidates, reply in zip(example.candidates, said.target_texts, strict=True)
    ]
    assert engine.log_likelihood(question) == pytest.approx(sum(logs) / sum(tokens), rel=1e-4)


def _with_candidates(example: Example, candidates: np.ndarray) -> Example:
    nothing = np.zeros((1, 0), dtype=np.int64)
    return replace(
        example,
        prefix_lengths=example.prefix_lengths[:1],
        targets=nothing,
        candidates=candidates[None],
    )


def _explained(shop: Dataset, engine: TextEngine) -> Question:
    from palate.language.text.reviews import read_reviews

    reviews = read_reviews(shop)
    assert reviews is not None
    task = Explanation(50, reviews)
    histories = shop.cases("test").histories[:7]
    examples = [task.ask(h, row, "price" if row % 2 else "") for row, h in enumerate(histories)]
    return Question("explain it", examples)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_texts_generated_together_equal_single_ones(
    shop: Dataset, engine: TextEngine, temperature: float
) -> None:
    question = _explained(shop, engine)
    sampling = SamplingParams(max_words=12, temperature=0.0)
    texts = engine.generate(question, sampling)
    assert any(texts)
    assert texts == [
        engine.generate(Question("explain it", [example]), sampling)[0]
        for example in question.examples
    ]
    drawn = SamplingParams(max_words=12, temperature=temperature, drafts=3, seed=3)
    assert engine.generate(question, drawn) == [
        engine.generate(Question("explain it", [example]), drawn)[0]
        for example in question.examples
    ]


def test_a_continued_cache_equals_reading_from_the_start(shop: Dataset, engine: TextEngine) -> None:
    model = _parts(engine).model
    (_, batch), *_ = engine._batches(_explained(shop, engine))
    with torch.inference_mode():
        read, table = engine.runner.with_items(batch)
        quick = _CachedStates(model, model.prefix(read, table))
        plain = _RecomputedStates(model, read, table)
        said = torch.randint(3, 200, (len(batch.token_ids), 6))
        for length in range(7):
            one, two = (states.after(said[:, :length]) for states in (quick, plain))
            torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-4)


def test_items_looked_up_are_items_computed(shop: Dataset, engine: TextEngine) -> None:
    model = _parts(engine).model
    with torch.inference_mode():
        rows = torch.arange(model.num_items)
        table = model.items(rows)
    known = PromptRunner(_parts(engine), None, CatalogueVectors(table.tokens, table.outputs))
    question = Question("rate it", _ratings(shop, engine))
    assert_allclose(
        TextEngine(known).choose(question, [YES, NO]), engine.choose(question, [YES, NO]), atol=1e-5
    )


def test_an_incomplete_character_is_left_out_of_generated_text(
    shop: Dataset, engine: TextEngine
) -> None:
    texts = engine.generate(
        _explained(shop, engine), SamplingParams(max_words=30, temperature=8.0, top_p=1.0)
    )
    assert any(texts)
    assert not any("\ufffd" in text for text in texts)


def test_like_probabilities_separate_liked_items(shop: Dataset, tmp_path: Path) -> None:
    """A world in which everybody likes even rows and dislikes odd ones."""
    events = shop.interactions
    ratings = np.where(events.item_rows % 2 == 0, 5.0, 1.0).astype(np.float32)
    rated = replace(shop, interactions=replace(events, ratings=ratings))
    settings = ['answers=["text"]', "tasks.next_item=0", "tasks.yes_no=8", "tasks.like_above=3.0"]
    others = ["objective", "scenario", "category", "search", "direct", "cold_start", "rating"]
    others += ["title", "next_title", "choice", "profile", "explanation", "summary", "preference"]
    settings += [f"tasks.{name}=0" for name in others]
    settings += ["training.epochs=3", "training.validate_every=3", "training.tokens_per_batch=1024"]
    settings += ["model.decoder.width=32", "model.decoder.layers=1", "training.learning_rate=1e-2"]
    model = Recommender.train(rated, load_recipe("palate", settings), seed=1)
    task = YesNo(50, len(shop.catalog), 3.0)
    rows = np.arange(len(shop.catalog))
    prompts = [task.ask(history, rows) for history in shop.cases("test").histories[:5]]
    likes = TextEngine(PromptRunner(model.trained.system)).choose(
        Question("does it suit", prompts), [YES, NO]
    )[:, 0]
    even = np.tile(rows % 2 == 0, 5)
    assert likes[even].mean() > likes[~even].mean() + 0.5
    ranked = model.engine.rank(prompts[0].history, rows.tolist())
    best = ranked.item_rows[: even[: len(rows)].sum()]
    assert (best % 2 == 0).mean() > 0.9, "biases know which rows are liked, too"
    model.save(tmp_path / "model")
    again = Recommender.load(tmp_path / "model").engine.rank(prompts[0].history, rows.tolist())
    assert again.item_rows.tolist() == ranked.item_rows.tolist()
    assert_allclose(again.scores, ranked.scores, atol=1e-6)


def test_a_model_without_a_text_head_generates_no_text(shop: Dataset) -> None:
    sasrec = Recommender.train(
        shop, load_recipe("sasrec", ["training.epochs=1", "model.decoder.width=16"])
    )
    with pytest.raises(NotTrainedError, match="in words; it answers next-item"):
        TextEngine(PromptRunner(sasrec.trained.system))


def test_a_model_of_text_alone_recommends_nothing(shop: Dataset) -> None:
    settings = ["training.epochs=1", "model.decoder.width=16", "tasks.rating=1"]
    recipe = load_recipe("sasrec", [*settings, "tasks.next_item=0", 'answers=["text"]'])
    assert recipe.forms == ()
    model = Recommender.train(shop, recipe)
    with pytest.raises(NotTrainedError, match="in words alone"):
        model.by_rows.recommend(shop.cases("test").histories[:1], 3)
