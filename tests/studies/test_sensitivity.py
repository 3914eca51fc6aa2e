"""Sensitivity: a model that reads no text does not react to it; figures equal single requests."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from palate import Dataset, Recommender
from palate.data.dataset import Cases
from palate.errors import NotTrainedError
from palate.inference.request import Request
from palate.studies.sensitivity import (
    TOP,
    Sensitivity,
    Spread,
    answer_gains,
    measure_sensitivity,
)
from palate.training.recipe import load_recipe
from palate.training.system import LanguageModelSystem

SMALL = (
    "items.text.dim=16",
    "model.decoder.width=16",
    "model.decoder.layers=1",
    "tasks.max_history=8",
    "training.epochs=1",
)


@pytest.fixture(scope="module")
def found(speaker: Recommender) -> Sensitivity:
    return measure_sensitivity(speaker)


@pytest.fixture(scope="module")
def deaf(speaker: Recommender) -> Recommender:
    """The same model, to which every word means nothing."""
    parts = speaker.trained.system
    assert isinstance(parts, LanguageModelSystem)
    assert parts.model.words is not None
    model = parts.model.with_features(
        parts.features, torch.arange(len(parts.features), dtype=torch.long)
    )
    model.words = torch.nn.Embedding.from_pretrained(torch.zeros_like(parts.model.words.weight))
    return Recommender(replace(speaker.trained, system=replace(parts, model=model)))


def _gain(model: Recommender, ask: Request, wanted: np.ndarray | None = None) -> float:
    cases = model.dataset.cases("test")
    gains = answer_gains(model.asking(ask), cases)[0]
    return float(gains.mean() if wanted is None else gains[wanted].mean())


def test_gains_are_the_ndcg_of_the_evaluation(speaker: Recommender) -> None:
    # What a history holds already cannot be found, and is no case of the evaluation's figures.
    cases = speaker.dataset.cases("test")
    fresh = [
        rows[0] not in history.item_rows
        for history, rows in zip(cases.histories, cases.targets, strict=True)
    ]
    gains, lists = answer_gains(speaker, cases)
    assert_allclose(gains[fresh], speaker.evaluate("test").per_user["ndcg@10"][fresh], atol=1e-9)
    assert lists.shape == (len(cases), TOP)


def test_short_lists_end_with_nothing_and_find_no_target(speaker: Recommender) -> None:
    history = speaker.history("u1")
    seen = np.setdiff1d(np.arange(len(speaker.dataset.catalog)), [1, 2, 3])
    everything = replace(history.take(np.zeros(len(seen), np.int64)), item_rows=seen)
    gains, lists = answer_gains(speaker, Cases([everything], [np.asarray([0])]))
    assert sorted(lists[0].tolist()) == [-1] * 7 + [1, 2, 3]
    assert gains.tolist() == [0.0]


def test_the_matrix_has_the_ndcg_of_each_objective(
    speaker: Recommender, tiny_shop: Dataset, found: Sensitivity
) -> None:
    cases, events = tiny_shop.cases("test"), tiny_shop.interactions
    last = [events.event_types[_last_event(tiny_shop, h.user_row or 0)] for h in cases.histories]
    assert set(found.objectives) == set(last)
    assert found.cases == tuple(last.count(name) for name in found.objectives)
    wordings = speaker.prompts["objective"]
    for row, wanted in enumerate(found.objectives):
        users = np.asarray([name == wanted for name in last])
        for column, asked in enumerate(found.objectives):
            told = [
                Request(
                    family="objective", prompt=wording.format(event=asked), slots={"event": asked}
                )
                for wording in (*wordings.seen, *wordings.unseen)
            ]
            values = [_gain(speaker, ask, users) for ask in told]
            assert found.matrix[row, column] == pytest.approx(np.mean(values))
    best = found.matrix.argmax(axis=1)
    assert found.on_diagonal == sum(int(at) == row for row, at in enumerate(best))


def _last_event(shop: Dataset, user: int) -> int:
    return int(shop.interactions.event_codes[shop.interactions.offsets[user + 1] - 1])


def test_the_spread_is_of_every_wording(speaker: Recommender, found: Sensitivity) -> None:
    assert [spread.family for spread in found.spreads] == [
        *("next-item", "objective", "scenario", "direct", "cold-start")
    ]
    first, wordings = found.spreads[0], speaker.prompts["next-item"]
    assert len(first.seen) == len(wordings.seen)
    assert len(first.unseen) == len(wordings.unseen) > 0
    assert first.unseen[0] == pytest.approx(
        _gain(speaker, Request(prompt=wordings.unseen[0])), abs=1e-5
    )


def test_overlaps_are_between_nothing_and_all(found: Sensitivity) -> None:
    assert 0 < found.paraphrase_overlap < 1
    assert 0 < found.objective_overlap < 1
    said = json.loads(json.dumps(found.to_json()))
    assert said["paraphrase_overlap"] == round(found.paraphrase_overlap, 4)
    assert len(said["ndcg@10"]) == len(said["objectives"])


def test_a_model_that_reads_no_text_has_equal_answers(deaf: Recommender) -> None:
    # Wordings differ in length, so that even silence moves positions: these take one word each.
    quiet = deaf.asking(Request(prompt="a"))
    cases = deaf.dataset.cases("test")
    _, one = answer_gains(quiet, cases)
    _, two = answer_gains(deaf.asking(Request(prompt="b")), cases)
    assert (one == two).all()


def test_a_model_that_generates_titles_is_validated_by_them(tiny_shop: Dataset) -> None:
    small = ("model.decoder={width=16, layers=1, heads=2}", "training.epochs=1")
    titler = Recommender.train(tiny_shop, load_recipe("calrec", small), seed=1)
    found = measure_sensitivity(titler, "valid")
    (spread,) = found.spreads
    assert spread.family == "next-title"
    assert (found.objectives, found.on_diagonal) == ((), 0)
    wording = titler.prompts["next-title"].seen[1]
    gains, _ = answer_gains(titler.asking(Request(prompt=wording)), tiny_shop.cases("valid"))
    assert spread.seen[1] == pytest.approx(gains.mean(), abs=1e-5)


def test_progress_counts_to_the_end(tiny_shop: Dataset) -> None:
    only = "tasks={next_item=1, objective=1, max_history=4}"
    model = Recommender.train(tiny_shop, load_recipe("urm-small", [*SMALL, only]), seed=1)
    told: list[tuple[int, int]] = []
    measure_sensitivity(model, progress=lambda done, total: told.append((done, total)))
    assert [done for done, _ in told] == list(range(1, len(told) + 1))
    assert told[-1][0] == told[-1][1]


@pytest.mark.parametrize(
    ("recipe", "more", "said"),
    [
        ("popularity", (), "reads no words"),
        ("sasrec", ("model.decoder.width=16",), "reads no words"),
        ("palate", ("tasks={rating=1}", 'answers=["text"]', *SMALL[1:3]), "in words alone"),
        ("urm", ("tasks={category=1}", *SMALL[:3]), "answers category: no question"),
    ],
)
def test_a_model_that_cannot_be_measured_is_refused(
    tiny_shop: Dataset, recipe: str, more: tuple[str, ...], said: str
) -> None:
    settings = () if recipe == "popularity" else (*more, "training.epochs=1")
    model = Recommender.train(tiny_shop, load_recipe(recipe, settings), seed=1)
    with pytest.raises(NotTrainedError, match=said):
        measure_sensitivity(model)


def test_the_diagonal_is_counted() -> None:
    matrix = np.asarray([[0.3, 0.1], [0.2, 0.1]])
    flat = Sensitivity(("click", "buy"), (3, 4), matrix, 0.5, 0.25, (Spread("x", (0.1,), ()),))
    assert flat.on_diagonal == 1
