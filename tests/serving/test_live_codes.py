"""Answers in codes from a live model: the model's own lists, over a catalogue that changes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from palate import Dataset
from palate.inference.ask import Ask
from palate.inference.engine import LanguageEngine
from palate.inference.model_folder import TrainedModel
from palate.serving.filters import ItemFilter
from palate.serving.live import LiveModel
from palate.serving.questions import Question
from palate.serving.store.records import DeletedItem, ItemRecord
from palate.simulation.world import World
from palate.training.build import build_parts
from palate.training.recipe import load_recipe
from palate.training.system import Blend, LanguageModelSystem
from palate.types import History

SMALL = (
    "model.decoder={width=16, layers=1, heads=2, dropout=0.1}",
    "codes.index={kind='residual-kmeans', levels=2, size=4}",
    "codes.beams=12",
    "items.text.dim=16",
)


@pytest.fixture(scope="module")
def shop() -> Dataset:
    return World(num_users=25, num_items=40, seed=3, pictures=False).dataset()


def _live(shop: Dataset, recipe: str = "urm-codes", *more: str) -> LiveModel:
    """A model that learned nothing, whose weights are large enough to differ everywhere."""
    loaded = load_recipe(recipe, [*SMALL, *more])
    parts, _ = build_parts(shop, loaded, seed=1)
    torch.manual_seed(0)
    for weight in parts.model.parameters():
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, std=0.3)
    parts.model.train(mode=False)
    return LiveModel(TrainedModel("shop", loaded, shop, _blending(parts), [], 0), "version")


def _blending(parts: LanguageModelSystem) -> LanguageModelSystem:
    return replace(parts, blend=Blend(0.5, new_item_boost=2.0), prior=None)


@pytest.fixture(scope="module")
def live(shop: Dataset) -> LiveModel:
    return _live(shop)


@pytest.fixture(scope="module")
def histories(shop: Dataset) -> list[History]:
    return [shop.cases("test").histories[user].last(3 + user) for user in range(5)]


@pytest.mark.parametrize("form", ["codes", "hybrid"])
@pytest.mark.parametrize("exclude_seen", [True, False])
def test_the_lists_are_those_of_the_model(
    live: LiveModel, histories: list[History], form: str, exclude_seen: bool
) -> None:
    parts = live.trained.system
    assert isinstance(parts, LanguageModelSystem)
    wanted = LanguageEngine(parts, Ask(form="codes" if form == "codes" else "hybrid")).recommend(
        histories, 10, exclude_seen=exclude_seen
    )
    asked = [Question(None, h, 10, form=form, exclude_seen=exclude_seen) for h in histories]
    for _ in range(2):  # the second time from what was kept
        for answer, expected in zip(live.answer(asked), wanted, strict=True):
            assert answer.rows.tolist() == expected.item_rows.tolist()
            np.testing.assert_allclose(answer.scores, expected.scores, atol=1e-4)


def test_the_usual_form_is_the_models_first(live: LiveModel, histories: list[History]) -> None:
    usual, asked = live.answer([Question(None, histories[0], form=f) for f in (None, "set")])
    assert usual.rows.tolist() == asked.rows.tolist()


@pytest.mark.parametrize("form", ["codes", "hybrid"])
def test_filters_are_kept_within_the_search(
    live: LiveModel, histories: list[History], form: str
) -> None:
    brands = [view.brand for view in live.views(np.arange(len(live)))]
    brand = max(set(brands), key=brands.count)
    wanted = ItemFilter(brands=(str(brand),))
    (answer,) = live.answer([Question(None, histories[0], 40, filter=wanted, form=form)])
    assert len(answer.rows)
    assert {brands[row] for row in answer.rows} == {brand}
    nothing = ItemFilter(brands=("no such brand",))
    (answer,) = live.answer([Question(None, histories[0], 5, filter=nothing, form=form)])
    assert not len(answer.rows)


@pytest.mark.parametrize("form", ["codes", "hybrid"])
def test_every_candidate_is_ranked(live: LiveModel, histories: list[History], form: str) -> None:
    rows = np.arange(0, 40, 2)
    asked = Question(None, histories[0], 20, candidates=rows, exclude_seen=False, form=form)
    (answer,) = live.answer([asked])
    assert sorted(answer.rows.tolist()) == rows.tolist()
    assert (np.diff(answer.scores) <= 0).all()


@pytest.mark.parametrize("form", ["codes", "hybrid"])
def test_reasons_are_the_falls_of_the_score(
    live: LiveModel, histories: list[History], form: str
) -> None:
    question = Question(None, histories[2], 3, form=form)
    (answer,) = live.answer([question])
    found = live.reasons(question, answer.rows.tolist(), 2)
    assert len(found) == len(answer.rows)
    assert any(found)
    assert all(reason.weight > 0 for reasons in found for reason in reasons)


@pytest.mark.parametrize("recipe", ["urm-codes", "tiger"])
def test_a_new_item_is_spelled_at_once_and_a_deleted_one_no_more(
    shop: Dataset, histories: list[History], recipe: str
) -> None:
    live = _live(shop, recipe)
    asked = Question(None, histories[1], 60, exclude_seen=False, form="codes")
    before = live.answer([asked])[0].rows.tolist()
    assert sorted(before) == list(range(40))
    title = live.view(3).title
    live.update_items([ItemRecord("new-lamp", title, categories=("lamps",))])
    live.update_items([DeletedItem(live.view(5).item_id, 2)])
    after = live.answer([asked])[0].rows.tolist()
    assert live.row_of("new-lamp") in after
    assert sorted(after) == [row for row in range(41) if row != 5]


def test_codes_of_an_items_own_are_given_to_no_new_item(
    shop: Dataset, histories: list[History]
) -> None:
    index = "codes.index={kind='residual-kmeans', levels=1, size=4, unique='own-token'}"
    live = _live(shop, "urm-codes", index)
    live.update_items([ItemRecord("new-lamp", "A lamp")])
    asked = [Question(None, histories[1], 60, exclude_seen=False, form=f) for f in ("codes", "set")]
    spelled, retrieved = live.answer(asked)
    assert live.row_of("new-lamp") not in spelled.rows
    assert live.row_of("new-lamp") in retrieved.rows


def test_nobody_is_told_what_is_popular_where_codes_need_a_history(
    shop: Dataset, nobody: History
) -> None:
    (answer,) = _live(shop, "tiger").answer([Question(None, nobody, 5)])
    assert answer.fallback == "popular"
    assert answer.rows.tolist() == np.argsort(-shop.train_counts, kind="stable")[:5].tolist()


def test_a_new_item_is_raised_in_a_hybrid(shop: Dataset, histories: list[History]) -> None:
    live = _live(shop)
    title = live.view(3).title
    live.update_items([ItemRecord("new-lamp", title, categories=("lamps",))])
    new = live.row_of("new-lamp")
    asked = Question(None, histories[1], 60, exclude_seen=False, form="hybrid")
    spelled = live.answer([replace(asked, form="codes")])[0]
    retrieved = live.answer([replace(asked, form="set")])[0]
    said, score, answer = (
        dict(zip(found.rows.tolist(), found.scores.tolist(), strict=True))
        for found in (spelled, retrieved, live.answer([asked])[0])
    )
    assert answer[new] == pytest.approx(score[new] + 2.0 + 0.5 * said[new], abs=1e-3)
    assert answer[3] == pytest.approx(score[3] + 0.5 * said[3], abs=1e-3)
