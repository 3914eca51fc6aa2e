"""Explanations of every kind of model: chosen from data, true, and told as data."""

import numpy as np
import pytest

from palate import Dataset, Recommender
from palate.data.item_record import ItemRecord
from palate.inference.printed.explainer import Explainer
from palate.inference.printed.rewriting import Rewriter
from palate.inference.printed.statements import Because, Praised, Priced, Unspoken
from palate.inference.request import Reason, Request
from palate.llm.scripted import Scripted
from palate.studies.statement_checks import Checks
from palate.types import History

NOBODY = History(item_rows=np.zeros(0, dtype=np.int64))


@pytest.fixture(scope="module")
def neighbours(tiny_shop: Dataset) -> Recommender:
    """A model that counts, and has no words at all."""
    return Recommender.train(tiny_shop, "itemknn")


def test_a_model_without_words_explains_with_true_statements(neighbours: Recommender) -> None:
    engine, checks = neighbours.engine, Checks(neighbours.dataset)
    named = 0
    for user in range(12):
        history = neighbours.dataset.interactions.history(user)
        for row in range(0, 30, 3):
            explained = engine.explain(history, row)
            assert explained.text == explained.generated
            assert explained.statements
            for statement in explained.statements:
                assert checks.is_true(statement, history, row), statement
            reasons = {reason.event for reason in engine.why(history, row, 10)}
            because = [s for s in explained.statements if isinstance(s, Because)]
            assert all(set(s.events) <= reasons for s in because if s.weight is not None)
            named += bool(because)
    assert named > 60


def test_one_that_speaks_and_one_that_counts_say_the_same_of_the_same_reasons(
    speaker: Recommender, neighbours: Recommender
) -> None:
    history = speaker.history("u1")
    reasons = [Reason(len(history) - 1, 0.5)]
    first, second = (
        model.engine.explainer.explain(model.engine.catalogue.state, history, 3, reasons)
        for model in (speaker, neighbours)
    )
    assert first == second
    assert first.statements[0].source == f"why: events {len(history) - 1}"


def test_words_differ_between_items_and_not_between_calls(neighbours: Recommender) -> None:
    history = neighbours.history("u1")
    texts = [neighbours.engine.explain(history, row).text for row in range(30)]
    assert texts == [neighbours.engine.explain(history, row).text for row in range(30)]
    assert len({text.split()[0] for text in texts}) > 2


def test_somebody_new_is_told_facts_alone(neighbours: Recommender) -> None:
    explained = neighbours.engine.explain(NOBODY, 3)
    assert neighbours.dataset.catalog.titles()[3] in explained.text
    assert not any(isinstance(each, Because) for each in explained.statements)
    assert "you" not in explained.text.lower().split()


def test_an_aspect_is_answered_or_honestly_refused(neighbours: Recommender) -> None:
    history, engine = neighbours.history("u1"), neighbours.engine
    price = engine.explain(history, 3, "price").statements[0]
    assert isinstance(price, Priced)
    nothing = engine.explain(history, 3, "gravity")
    assert isinstance(nothing.statements[0], Unspoken)
    assert nothing.text.startswith(("The reviews of ", "There are no reviews of "))
    assert "speak of gravity" in nothing.text.split(". ")[0]
    hostile = engine.explain(history, 3, "x\n\u202e" * 400).text
    assert "\n" not in hostile
    assert len(hostile) < 1_000


def test_praise_comes_from_pleased_customers_of_training(neighbours: Recommender) -> None:
    dataset = neighbours.dataset
    ratings = dataset.interactions.ratings
    assert ratings is not None
    quoted = 0
    for row in range(30):
        for statement in neighbours.engine.explain(NOBODY, row).statements:
            if isinstance(statement, Praised) and statement.quote is not None:
                place = statement.quote.place
                quoted += 1
                assert ratings[place] >= 4
                assert dataset.split.parts[place] == 0
                assert dataset.interactions.item_rows[place] == row
    assert quoted


def test_what_is_said_follows_the_catalogue(tiny_shop: Dataset) -> None:
    engine = Recommender.train(tiny_shop, "popularity").engine
    view = engine.catalogue.view(3)
    record = ItemRecord(view.item_id, title="Brand new name", price=1234.5, brand="Nobody")
    engine.catalogue.update([record])
    text = engine.explain(NOBODY, 3, "price").text
    assert "Brand new name" in text
    assert "1,234.50" in text


def test_a_rewriter_is_asked_and_held_to_the_statements(neighbours: Recommender) -> None:
    engine, history = neighbours.engine, neighbours.history("u1")
    plain = engine.explain(history, 3)
    engine.rewriter = Rewriter(Scripted([plain.text, "It cures all."]))
    try:
        kept, refused = engine.explain(history, 3), engine.explain(history, 3)
    finally:
        engine.rewriter = None
    assert kept.text == plain.text
    assert not kept.was_edited
    assert (refused.text, refused.generated) == (plain.text, "It cures all.")
    assert refused.fallback == "facts"
    assert refused.refused


def test_titles_and_profiles_need_no_training(neighbours: Recommender) -> None:
    assert neighbours.summarise("The lamp is warm. It shines all night.")
    said = neighbours.profile("u1")
    assert said.startswith("You like ")
    assert neighbours.profile(None, history=[]) == "Nothing is known yet of what you like."


def test_the_explainer_reads_reviews_once_and_late(tiny_shop: Dataset) -> None:
    asked: list[int] = []
    explainer = Explainer(tiny_shop, lambda: asked.append(1))
    assert not asked
    engine = Recommender.train(tiny_shop, "popularity").engine
    for row in (1, 2):
        explainer.explain(engine.catalogue.state, Request().history, row, [])
    assert asked == [1]
