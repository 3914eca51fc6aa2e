"""The figures of explanations in print, and checks that find what is false."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from palate import Dataset, Recommender
from palate.data.prepare import prepare
from palate.inference.printed.statements import (
    Because,
    Described,
    Filed,
    Popular,
    Praised,
    Priced,
    Shared,
    WellRated,
)
from palate.language.text.voices import Quote
from palate.studies.printed_words import evaluate_printed, printed_explanations, printed_figures
from palate.studies.statement_checks import Checks
from palate.types import History


@pytest.fixture(scope="module")
def neighbours(tiny_shop: Dataset) -> Recommender:
    return Recommender.train(tiny_shop, "itemknn")


def test_what_is_printed_is_true_and_complains_of_nothing(neighbours: Recommender) -> None:
    result = evaluate_printed(neighbours, "test", 30)
    figures = result.figures["printed"]
    assert figures["complaints"] == 0
    assert figures["statement_precision"] == 1
    assert figures["any_reason_named"] == 1
    assert 0 < figures["rouge_1"] < 1
    assert result.num_answers == 30
    assert len(result.samples) == 5


def test_the_same_events_are_explained_each_time(neighbours: Recommender) -> None:
    first, second = (printed_explanations(neighbours, "test", 10) for _ in range(2))
    assert [one.explained for one in first] == [one.explained for one in second]
    assert printed_figures(first, [""] * 10) == printed_figures(second, [""] * 10)


def test_checks_find_what_is_false(neighbours: Recommender) -> None:
    dataset = neighbours.dataset
    checks, history = Checks(dataset), dataset.interactions.history(0)
    row = int(history.item_rows[0])
    ids = [str(dataset.catalog.vocabulary.ids[each]) for each in history.item_rows]
    false = (
        Because((0,), (ids[1],), ("x",), "chose {}", 1.0),
        Shared("brand", ("No such brand",), "x", ids[1]),
        Filed("categories", ("No such category",)),
        Described("Nobody wrote this."),
        Priced(0.01, None, None),
        Popular(10**6),
        WellRated("0.1 out of 5", 3),
        Praised("look", 99, 99, None),
        Praised("", 0, 0, Quote("Nobody wrote this.", 0, 5.0)),
    )
    for statement in false:
        assert not checks.is_true(statement, history, row), statement


def test_a_complaint_is_found_by_its_rating_and_by_its_words(neighbours: Recommender) -> None:
    dataset = neighbours.dataset
    checks, ratings = Checks(dataset), dataset.interactions.ratings
    assert ratings is not None
    pleased, displeased = int(np.flatnonzero(ratings == 5)[0]), int(np.flatnonzero(ratings < 3)[0])
    history = History(item_rows=np.zeros(0, dtype=np.int64))
    good = Praised("", 0, 1, Quote("It is lovely.", pleased, 5.0))
    assert not checks.complaints([good], history)
    for text, place in (("It is lovely.", displeased), ("It is awful junk.", pleased)):
        bad = replace(good, quote=Quote(text, place, 5.0))
        assert checks.complaints([bad], history) == [text]


@pytest.mark.real
def test_explanations_of_real_reviews_hold_and_quote_no_complaint(
    shared_data: Path, tmp_path: Path
) -> None:
    folder = shared_data / "amazon14_instruments_reviews"
    if not folder.is_dir():
        pytest.skip(f"not run: no {folder}")
    prepare(str(folder), tmp_path / "data")
    model = Recommender.train(Dataset.load(tmp_path / "data"), "itemknn")
    figures = evaluate_printed(model, "test", 80).figures["printed"]
    assert figures["complaints"] == 0
    assert figures["statement_precision"] >= 0.9
    assert figures["reason_named"] >= 0.9
    assert figures["quoted"] > 0.4
