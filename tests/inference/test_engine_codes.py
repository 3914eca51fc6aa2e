"""Answers in codes of an engine: the lists of the model, over a catalogue that changes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from palate import Dataset
from palate.data.item_record import DeletedItem, ItemRecord
from palate.inference.code_search import blended
from palate.inference.engine import Engine
from palate.inference.filters import ItemFilter
from palate.inference.model_folder import TrainedModel
from palate.inference.prompt_runner import PromptRunner
from palate.inference.request import Request
from palate.ranking import mask_scores, top_rankings
from palate.simulation.world import World
from palate.training.build import build_system
from palate.training.recipe import load_recipe
from palate.training.system import Blend, LanguageModelSystem
from palate.types import History, Ranking

SMALL = (
    "model.decoder={width=16, layers=1, heads=2, dropout=0.1}",
    "codes.index={kind='residual-kmeans', levels=2, size=4}",
    "codes.beams=12",
    "items.text.dim=16",
)


@pytest.fixture(scope="module")
def shop() -> Dataset:
    return World(num_users=25, num_items=40, seed=3, pictures=False).dataset()


def _live(shop: Dataset, recipe: str = "urm-codes", *more: str) -> Engine:
    """A model that learned nothing, whose weights are large enough to differ everywhere."""
    loaded = load_recipe(recipe, [*SMALL, *more])
    parts, _ = build_system(shop, loaded, seed=1)
    torch.manual_seed(0)
    for weight in parts.model.parameters():
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, std=0.3)
    parts.model.train(mode=False)
    return Engine(TrainedModel("shop", loaded, shop, _blending(parts), [], 0), "version")


def _blending(parts: LanguageModelSystem) -> LanguageModelSystem:
    return replace(parts, blend=Blend(0.5, new_item_boost=2.0), prior=None)


@pytest.fixture(scope="module")
def engine(shop: Dataset) -> Engine:
    return _live(shop)


@pytest.fixture(scope="module")
def histories(shop: Dataset) -> list[History]:
    return [shop.cases("test").histories[user].last(3 + user) for user in range(5)]


@pytest.mark.parametrize("form", ["codes", "hybrid"])
@pytest.mark.parametrize("exclude_seen", [True, False])
def test_the_lists_are_those_of_the_model(
    engine: Engine, histories: list[History], form: str, exclude_seen: bool
) -> None:
    parts = engine.trained.system
    assert isinstance(parts, LanguageModelSystem)
    runner = PromptRunner(parts)
    left_out = [
        history.item_rows if exclude_seen else history.item_rows[:0] for history in histories
    ]
    by_codes = runner.find_by_codes(histories, 12, left_out=left_out)
    wanted = [Ranking(one.item_rows[:10], one.scores[:10]) for one in by_codes]
    if form == "hybrid":
        scores = mask_scores(runner.score(histories), histories, exclude_seen=exclude_seen)
        by_vectors = top_rankings(scores, 12)
        wanted = [
            blended(*found, parts.blend.weight, 10)
            for found in zip(scores, by_vectors, by_codes, strict=True)
        ]
    requests = [Request(h, 10, form=form, exclude_seen=exclude_seen) for h in histories]
    for _ in range(2):  # the second time from what was kept
        for answer, expected in zip(engine.answer(requests), wanted, strict=True):
            assert answer.rows.tolist() == expected.item_rows.tolist()
            np.testing.assert_allclose(answer.scores, expected.scores, atol=1e-4)


def test_the_usual_form_is_the_models_first(engine: Engine, histories: list[History]) -> None:
    usual, named = engine.answer([Request(histories[0], form=f) for f in (None, "set")])
    assert usual.rows.tolist() == named.rows.tolist()


@pytest.mark.parametrize("form", ["codes", "hybrid"])
def test_filters_hold_inside_the_code_search(
    engine: Engine, histories: list[History], form: str
) -> None:
    brands = [view.brand for view in engine.catalogue.views(np.arange(len(engine.catalogue)))]
    brand = max(set(brands), key=brands.count)
    wanted = ItemFilter(brands=(str(brand),))
    (answer,) = engine.answer([Request(histories[0], 40, filter=wanted, form=form)])
    assert len(answer.rows)
    assert {brands[row] for row in answer.rows} == {brand}
    nothing = ItemFilter(brands=("no such brand",))
    (answer,) = engine.answer([Request(histories[0], 5, filter=nothing, form=form)])
    assert not len(answer.rows)


@pytest.mark.parametrize("form", ["codes", "hybrid"])
def test_every_candidate_is_ranked(engine: Engine, histories: list[History], form: str) -> None:
    rows = np.arange(0, 40, 2)
    request = Request(histories[0], 20, candidates=rows, exclude_seen=False, form=form)
    (answer,) = engine.answer([request])
    assert sorted(answer.rows.tolist()) == rows.tolist()
    assert (np.diff(answer.scores) <= 0).all()


@pytest.mark.parametrize("form", ["codes", "hybrid"])
def test_reasons_are_the_losses_of_score_without_an_event(
    engine: Engine, histories: list[History], form: str
) -> None:
    question = Request(histories[2], 3, form=form)
    (answer,) = engine.answer([question])
    found = engine.reasons(question, answer.rows.tolist(), 2)
    assert len(found) == len(answer.rows)
    assert any(found)
    assert all(reason.weight > 0 for reasons in found for reason in reasons)


@pytest.mark.parametrize("recipe", ["urm-codes", "tiger"])
def test_a_new_item_has_codes_at_once_and_a_deleted_one_none(
    shop: Dataset, histories: list[History], recipe: str
) -> None:
    engine = _live(shop, recipe)
    request = Request(histories[1], 60, exclude_seen=False, form="codes")
    before = engine.answer([request])[0].rows.tolist()
    assert sorted(before) == list(range(40))
    title = engine.catalogue.view(3).title
    engine.catalogue.update([ItemRecord("new-lamp", title, categories=("lamps",))])
    engine.catalogue.update([DeletedItem(engine.catalogue.view(5).item_id, 2)])
    after = engine.answer([request])[0].rows.tolist()
    assert engine.catalogue.row_of("new-lamp") in after
    assert sorted(after) == [row for row in range(41) if row != 5]


def test_own_tokens_are_not_given_to_new_items(shop: Dataset, histories: list[History]) -> None:
    index = "codes.index={kind='residual-kmeans', levels=1, size=4, unique='own-token'}"
    engine = _live(shop, "urm-codes", index)
    engine.catalogue.update([ItemRecord("new-lamp", "A lamp")])
    requests = [Request(histories[1], 60, exclude_seen=False, form=f) for f in ("codes", "set")]
    by_codes, retrieved = engine.answer(requests)
    assert engine.catalogue.row_of("new-lamp") not in by_codes.rows
    assert engine.catalogue.row_of("new-lamp") in retrieved.rows


def test_an_empty_history_gets_popular_items_if_codes_need_a_history(
    shop: Dataset, nobody: History
) -> None:
    (answer,) = _live(shop, "tiger").answer([Request(nobody, 5)])
    assert answer.fallback == "popular"
    assert answer.rows.tolist() == np.argsort(-shop.train_counts, kind="stable")[:5].tolist()


def test_a_new_item_is_raised_in_a_hybrid(shop: Dataset, histories: list[History]) -> None:
    engine = _live(shop)
    title = engine.catalogue.view(3).title
    engine.catalogue.update([ItemRecord("new-lamp", title, categories=("lamps",))])
    new = engine.catalogue.row_of("new-lamp")
    request = Request(histories[1], 60, exclude_seen=False, form="hybrid")
    by_codes = engine.answer([replace(request, form="codes")])[0]
    retrieved = engine.answer([replace(request, form="set")])[0]
    said, score, answer = (
        dict(zip(found.rows.tolist(), found.scores.tolist(), strict=True))
        for found in (by_codes, retrieved, engine.answer([request])[0])
    )
    assert answer[new] == pytest.approx(score[new] + 2.0 + 0.5 * said[new], abs=1e-3)
    assert answer[3] == pytest.approx(score[3] + 0.5 * said[3], abs=1e-3)
