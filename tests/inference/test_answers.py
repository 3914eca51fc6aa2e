"""Text answers: single and batched requests agree, and nothing invented is shown."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from palate import Dataset, Recommender
from palate.errors import ConfigError, NotTrainedError
from palate.inference.generation import SamplingParams
from palate.inference.prompt_runner import PromptRunner
from palate.inference.text_answers import EXPLANATION_SAMPLING, SUMMARY_SAMPLING, TextAnswers
from palate.language.tasks.choice import Choice
from palate.language.tasks.explanation import Explanation
from palate.language.tasks.material import plain_titles
from palate.language.tasks.rating import Rating
from palate.language.tasks.yes_no import YesNo
from palate.training.recipe import load_recipe
from palate.types import History

NOBODY = History(item_rows=np.zeros(0, dtype=np.int64))


@pytest.fixture(scope="module")
def popularity(tiny_shop: Dataset) -> Recommender:
    """A baseline, which gives no text answers."""
    return Recommender.train(tiny_shop, "popularity")


def test_a_rating_is_the_expectation_over_the_levels(speaker: Recommender) -> None:
    rated = speaker.engine.rate(speaker.history("u1"), 3)
    assert rated.chances.sum() == pytest.approx(1.0, abs=1e-5)
    assert rated.value == pytest.approx(np.dot(rated.levels, rated.chances), abs=1e-4)
    assert rated.likeliest == rated.levels[int(rated.chances.argmax())]
    assert float(rated.words) == rated.likeliest
    assert min(rated.levels) <= rated.value <= max(rated.levels)


def test_many_ratings_equal_single_ones(speaker: Recommender) -> None:
    task = speaker.answers.task(Rating)
    histories = [speaker.history(f"u{n}") for n in (1, 2, 3)]
    together = speaker.answers.ratings([task.ask(h, np.asarray([3, 5])) for h in histories])
    alone = [speaker.engine.rate(history, row) for history in histories for row in (3, 5)]
    assert_allclose([r.value for r in together], [r.value for r in alone], atol=1e-4)


def test_a_new_user_is_answered(speaker: Recommender) -> None:
    items = speaker.dataset.catalog.vocabulary.ids
    newcomer = speaker.history_of([str(items[2]), str(items[4])])
    assert 1 <= speaker.engine.rate(newcomer, 3).value <= 5
    assert (
        speaker.engine.rate(NOBODY, 3).chances.shape
        == speaker.engine.rate(newcomer, 3).chances.shape
    )
    assert speaker.engine.profile(newcomer)


def test_ranking_holds_every_candidate_once_with_calibrated_chances(speaker: Recommender) -> None:
    ranking = speaker.engine.rank(speaker.history("u1"), [7, 3, 9, 1])
    assert sorted(ranking.item_rows.tolist()) == [1, 3, 7, 9]
    assert (np.diff(ranking.scores) <= 0).all()
    assert ((ranking.scores > 0) & (ranking.scores < 1)).all()
    one = speaker.engine.rank(speaker.history("u1"), [9])
    assert one.scores[0] == pytest.approx(
        ranking.scores[ranking.item_rows.tolist().index(9)], abs=1e-5
    )


def test_item_scores_count_in_yes_no_answers(speaker: Recommender) -> None:
    history, rows = speaker.history("u1"), np.asarray([7, 3, 9, 1])
    answers = speaker.answers
    task = answers.task(YesNo)
    examples = [task.ask(history, rows), task.ask(speaker.history("u2"), rows[:1])]
    odds = answers.log_odds(examples)
    scores = speaker.by_rows.score([history, speaker.history("u2")])
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    expected = np.log(np.append(shares[0, rows], shares[1, 7]) * len(speaker.dataset.catalog))
    assert odds is not None
    assert_allclose(odds, expected, atol=1e-4)
    assert_allclose(np.exp(_all_odds(answers, history)).mean(), 1, rtol=1e-4)


def _all_odds(answers: TextAnswers, history: History) -> np.ndarray:
    task = answers.task(YesNo)
    odds = answers.log_odds([task.ask(history, np.arange(len(answers.dataset.catalog)))])
    assert odds is not None
    return odds


def test_a_model_of_text_alone_has_no_item_scores_to_mix_in(chooser: Recommender) -> None:
    example = Choice(plain_titles(chooser.dataset.catalog)).ask(NOBODY, np.asarray([1]))
    assert chooser.answers.log_odds([example]) is None


def test_a_model_without_yes_or_no_ranks_by_its_scores(popularity: Recommender) -> None:
    counts = popularity.dataset.train_counts
    history = popularity.history("u1")
    seen = int(history.item_rows[0])
    rows = [seen, *(row for row in range(4) if row != seen)]
    ranking = popularity.engine.rank(history, rows)
    assert sorted(ranking.item_rows.tolist()) == sorted(rows)
    assert (np.diff(counts[ranking.item_rows]) <= 0).all()
    assert not popularity.tells_chances


@pytest.fixture(scope="module")
def chooser(tiny_shop: Dataset) -> Recommender:
    """A model that does nothing but choose among candidates."""
    alone = ("tasks={choice=1, max_history=4, candidates=5}", 'answers=["text"]')
    small = (
        "training.epochs=1",
        "model.decoder={width=16, layers=1, heads=2}",
        "items.text.dim=16",
        *alone,
    )
    recipe = load_recipe(
        "palate", [*small, "model.item_format=['title', 'item']", "model.copies=true"]
    )
    return Recommender.train(tiny_shop, recipe, seed=1)


def test_a_model_that_chooses_ranks_by_the_shares_of_the_choice(chooser: Recommender) -> None:
    history, rows = chooser.history("u1"), [7, 3, 9, 1]
    ranking = chooser.engine.rank(history, rows)
    assert sorted(ranking.item_rows.tolist()) == sorted(rows)
    assert ranking.scores.sum() == pytest.approx(1.0, abs=1e-5)
    assert (np.diff(ranking.scores) <= 0).all()
    task = chooser.answers.task(Choice)
    [pick] = chooser.answers.choices([task.ask(history, np.asarray(rows))])
    assert_array_equal(ranking.item_rows, pick.item_rows)
    assert_allclose(np.diff(np.log(ranking.scores)), np.diff(pick.scores), atol=1e-3)
    assert chooser.engine.rank(history, [7]).scores.tolist() == [1.0]
    assert chooser.ranked_by == "share of the choice among them"


def test_an_item_without_a_title_cannot_be_chosen(
    chooser: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = chooser.answers.task(Choice)
    titles = ["" if row == 3 else title for row, title in enumerate(task.titles)]
    monkeypatch.setitem(chooser.answers.tasks, "choice", replace(task, titles=titles))  # type: ignore[arg-type]
    nameless = str(chooser.dataset.catalog.vocabulary.ids[3])
    with pytest.raises(ConfigError, match=rf"'{nameless}' has no title"):
        chooser.engine.rank(chooser.history("u1"), [7, 3])


def test_an_explanation_claims_nothing_invented(
    speaker: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = speaker.history("u1")
    said = 'It is fine. It is like "The Lamp That Never Was".'
    monkeypatch.setattr(TextAnswers, "generate", lambda *_args, **_named: [said])
    explained = speaker.answers.explain(history, 3)
    assert explained.text == "It is fine."
    assert explained.generated == said
    assert explained.invented == ('"The Lamp That Never Was"',)
    assert explained.was_edited
    raw = speaker.engine.explain(history, 3, ground=False)
    assert raw.statements == ()
    assert raw.text == raw.generated == said
    assert not raw.was_edited
    assert not raw.quoted


def test_without_a_grounded_sentence_facts_are_stated(
    speaker: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        TextAnswers, "generate", lambda *_args, **_named: ['Like "The Lamp That Never Was".']
    )
    explained = speaker.answers.explain(speaker.history("u1"), 3)
    assert speaker.dataset.catalog.titles()[3] in explained.text
    assert speaker.answers.grounds.check(
        explained.text, 3, speaker.history("u1").item_rows.tolist()
    ).is_grounded


def test_text_is_generated(speaker: Recommender) -> None:
    history = speaker.history("u1")
    assert speaker.engine.explain(history, 3).text
    assert speaker.engine.explain(history, 3, "colour").text
    assert speaker.summarise("The lamp is warm and bright. I like it a lot.")
    assert speaker.engine.profile(history)


def test_generated_text_has_at_least_the_minimum_number_of_words(speaker: Recommender) -> None:
    task = speaker.answers.task(Rating)
    example = task.ask(speaker.history("u1"), np.asarray([3]))
    question = speaker.answers.question(task, [example])
    (short,) = speaker.answers.texts.generate(question, SamplingParams(max_words=9))
    (long,) = speaker.answers.texts.generate(question, SamplingParams(max_words=9, min_words=9))
    assert 1 <= len(short) <= len(long)


def test_choices_are_among_the_candidates(speaker: Recommender) -> None:
    task = speaker.answers.task(Choice)
    asked = [np.asarray([4, 8, 2]), np.asarray([1, 6])]
    examples = [task.ask(speaker.history("u2"), rows) for rows in asked]
    choices = speaker.answers.choices(examples)
    for rows, pick in zip(asked, choices, strict=True):
        assert sorted(pick.item_rows.tolist()) == sorted(rows.tolist())
        assert (np.diff(pick.scores) <= 0).all()


def test_untrained_tasks_are_refused(tiny_shop: Dataset, popularity: Recommender) -> None:
    with pytest.raises(NotTrainedError, match="gives no text answers") as found:
        popularity.engine.rate(popularity.history("u1"), 0)
    assert "--recipe palate" in found.value.hint
    silent = Recommender.train(
        tiny_shop, load_recipe("urm-small", ("training.epochs=1", "model.decoder.width=16"))
    )
    with pytest.raises(NotTrainedError, match="gives no text answers"):
        assert silent.answers
    with pytest.raises(NotTrainedError, match="gives no text answers"):
        silent.engine.explain(silent.history("u1"), 1, ground=False)
    assert len(silent.engine.rank(silent.history("u1"), [1, 2])) == 2


def test_a_family_that_is_missing_is_named(speaker: Recommender) -> None:
    parts = speaker.answers.system
    one_task = parts.recipe.model_copy(
        update={"tasks": type(parts.recipe.tasks)(next_item=0, rating=1)}
    )
    less = replace(parts, recipe=one_task, tasks=("rating",))
    answers = TextAnswers(PromptRunner(less), speaker.dataset)
    assert list(answers.tasks) == ["rating"]
    with pytest.raises(NotTrainedError, match="summarise reviews; it answers rating"):
        answers.summarise("Good.")


def test_own_prompts_are_trained_on(tiny_shop: Dataset, tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text('[rating]\nseen = ["how many stars"]\n')
    settings = (
        "model.decoder.width=16",
        "model.decoder.layers=1",
        "training.epochs=1",
        "tasks.next_item=0",
        "tasks.rating=1",
        'answers=["set", "text"]',
    )
    recipe = load_recipe("urm-small", settings)
    model = Recommender.train(tiny_shop, recipe, prompts=file)
    model.save(tmp_path / "model")
    loaded = Recommender.load(tmp_path / "model")
    assert loaded.prompts["rating"].seen == ("how many stars",)
    assert loaded.prompts["summary"].seen[0] != "how many stars"
    one = loaded.engine.rate(loaded.history("u1"), 2)
    assert_array_equal(one.chances, model.engine.rate(model.history("u1"), 2).chances)
    file.write_text('[rating]\nseen = ["how many {stars}"]\n')
    with pytest.raises(ConfigError, match="stars"):
        Recommender.train(tiny_shop, recipe, prompts=file)


def test_calibration_is_kept_in_the_folder(speaker: Recommender, tmp_path: Path) -> None:
    speaker.save(tmp_path / "model")
    assert (tmp_path / "model" / "calibration.json").is_file()
    loaded = Recommender.load(tmp_path / "model")
    assert loaded.answers.system.calibration == speaker.answers.system.calibration
    assert loaded.answers.system.calibration.slope > 0
    ours, theirs = speaker.answers.system.rating_prior, loaded.answers.system.rating_prior
    assert ours is not None
    assert theirs is not None
    assert ours.calibration == theirs.calibration
    assert_array_equal(ours.biases.items, theirs.biases.items)
    assert_array_equal(
        speaker.engine.rank(speaker.history("u1"), [1, 2, 3]).scores,
        loaded.engine.rank(loaded.history("u1"), [1, 2, 3]).scores,
    )


def test_reviews_of_others_may_be_quoted_if_they_agree(
    speaker: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = speaker.answers.task(Explanation)
    told = [row for row in range(30) if len(task.reviews.sentences_about(row)) > 2]
    history = speaker.history("u1")
    monkeypatch.setattr(
        "palate.inference.text_answers.EXPLANATION_SAMPLING",
        replace(EXPLANATION_SAMPLING, trust=1.0),
    )
    for row in told[:3]:
        explained = speaker.answers.explain(history, row)
        assert explained.generated in task.reviews.sentences_about(row)
        assert explained.quoted
    about = speaker.answers._quotes(task, task.ask(history, told[0], "look"))
    wanted = [s for s in task.reviews.sentences_about(told[0]) if "look" in s.split()]
    assert set(wanted) <= set(about), "quotes on the aspect are among those allowed"


def test_a_summary_can_be_the_beginning_of_the_review(
    speaker: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "palate.inference.text_answers.SUMMARY_SAMPLING", replace(SUMMARY_SAMPLING, trust=1.0)
    )
    review = "Warm tone, easy to play. It came on time."
    assert speaker.answers.summarise(review) in {"Warm tone", "Warm tone, easy to play."}
    assert speaker.summarise(review) == "Warm tone, easy to play"
