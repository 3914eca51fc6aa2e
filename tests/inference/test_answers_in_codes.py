"""Answers in codes: the search finds what scoring every item finds, in every item format."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from code_scores import scores_by_codes
from palate.data.dataset import Dataset
from palate.errors import ConfigError, NotTrainedError
from palate.inference.model_folder import TrainedModel
from palate.inference.prompt_runner import PromptRunner
from palate.inference.request import NOBODY, Request
from palate.recommender.recommender import Recommender
from palate.recommender.validation import _boost_to_share, with_blend
from palate.simulation.world import World
from palate.training.build import build_system
from palate.training.recipe import load_recipe
from palate.training.system import Blend, LanguageModelSystem
from palate.types import History

SMALL = (
    "model.decoder={width=16, layers=2, heads=2, dropout=0.1}",
    "codes.index={kind='residual-kmeans', levels=2, size=4}",
    "codes.beams=60",
    "training.epochs=1",
)
READS = [["item"], ["codes"], ["codes", "item"], ["title", "codes"]]


@pytest.fixture(scope="module")
def shop() -> Dataset:
    return World(num_users=25, num_items=40, seed=3).dataset()


def _parts(shop: Dataset, *more: str, recipe: str = "liger") -> LanguageModelSystem:
    parts, _ = build_system(shop, load_recipe(recipe, [*SMALL, *more]), seed=1)
    for weight in parts.model.parameters():
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, std=0.3)
    parts.model.train(mode=False)
    return parts


def _histories(shop: Dataset) -> list[History]:
    return [shop.cases("test").histories[user].last(3 + user) for user in range(6)]


def _model(shop: Dataset, system: LanguageModelSystem) -> Recommender:
    return Recommender(TrainedModel("shop", system.recipe, shop, system, [], 0))


def _asked(shop: Dataset, system: LanguageModelSystem, form: str) -> Recommender:
    return _model(shop, system).asking(Request(form=form))


@pytest.mark.parametrize("reads", READS)
def test_a_search_with_enough_beams_is_the_exhaustive_ranking(
    shop: Dataset, reads: list[str]
) -> None:
    parts = _parts(shop, f"model.item_format={reads}")
    histories, items = [*_histories(shop), NOBODY], len(shop.catalog)
    nothing = [NOBODY.item_rows] * len(histories)
    lists = PromptRunner(parts).find_by_codes(histories, items, left_out=nothing)
    scores = scores_by_codes(parts, histories)
    for ranking, expected in zip(lists, scores, strict=True):
        assert sorted(ranking.item_rows) == list(range(items))
        np.testing.assert_allclose(ranking.scores, expected[ranking.item_rows], atol=1e-4)
        np.testing.assert_allclose(ranking.scores, np.sort(expected)[::-1], atol=1e-4)


def test_all_items_together_have_no_more_than_all_probability(shop: Dataset) -> None:
    engine = _asked(shop, _parts(shop), "codes")
    lists = engine.by_rows.recommend(_histories(shop), len(shop.catalog), exclude_seen=False)
    for ranking in lists:
        assert 0 < np.exp(ranking.scores.astype(np.float64)).sum() <= 1 + 1e-5


@pytest.mark.parametrize("form", ["codes", "hybrid"])
def test_seen_items_and_others_than_the_candidates_are_left_out(shop: Dataset, form: str) -> None:
    engine = _asked(shop, _parts(shop), form)
    histories, candidates = _histories(shop), np.arange(0, 40, 3)
    for history, ranking in zip(
        histories, engine.by_rows.recommend(histories, 20, candidates=candidates), strict=True
    ):
        allowed = set(candidates.tolist()) - set(history.item_rows.tolist())
        assert set(ranking.item_rows.tolist()) == allowed


def test_many_requests_at_once_equal_single_ones(shop: Dataset) -> None:
    engine = _asked(shop, _parts(shop), "codes")
    histories = _histories(shop)
    for history, ranking in zip(histories, engine.by_rows.recommend(histories, 5), strict=True):
        alone = engine.by_rows.recommend([history], 5)[0]
        assert alone.item_rows.tolist() == ranking.item_rows.tolist()


def test_a_hybrid_of_weight_zero_ranks_like_the_set_and_a_heavy_one_like_the_codes(
    shop: Dataset,
) -> None:
    parts, histories = _parts(shop), _histories(shop)
    by_set = _model(shop, parts).by_rows.recommend(histories, 5)
    by_codes = _asked(shop, parts, "codes").by_rows.recommend(histories, 5)
    for weight, expected in ((0.0, by_set), (1e4, by_codes)):
        blended = _asked(shop, replace(parts, blend=Blend(weight)), "hybrid")
        for ranking, other in zip(blended.by_rows.recommend(histories, 5), expected, strict=True):
            assert ranking.item_rows.tolist() == other.item_rows.tolist()


def test_several_blends_at_once_equal_single_ones(shop: Dataset) -> None:
    parts, histories = _parts(shop), _histories(shop)
    seen = parts.features.has_id.copy()
    seen[5] = False
    parts = replace(parts, features=replace(parts.features, has_id=seen))
    blends = [
        Blend(0.0),
        Blend(0.5),
        Blend(0.5, new_item_boost=2.0),
        Blend(0.0, new_item_boost=2.0),
    ]
    requests = [Request(history, 5, form="hybrid") for history in histories]
    lists = _model(shop, parts).engine.try_blends(requests, blends)
    for blend, together in zip(blends, lists, strict=True):
        alone = _asked(shop, replace(parts, blend=blend), "hybrid").by_rows.recommend(histories, 5)
        for one, other in zip(together, alone, strict=True):
            assert one.item_rows.tolist() == other.item_rows.tolist()
            np.testing.assert_allclose(one.scores, other.scores, rtol=1e-5)


def test_a_model_with_both_forms_answers_the_same_after_saving(
    shop: Dataset, tmp_path: Path
) -> None:
    model = Recommender.train(shop, load_recipe("liger", SMALL), seed=2)
    model.save(tmp_path / "model")
    loaded = Recommender.load(tmp_path / "model")
    histories = _histories(shop)
    for form in ("set", "codes", "hybrid"):
        ask = Request(form=form)
        own, other = (each.asking(ask).by_rows.recommend(histories, 5) for each in (model, loaded))
        assert [r.item_rows.tolist() for r in own] == [r.item_rows.tolist() for r in other]
    assert loaded.asking(Request(form="codes")).evaluate().masked["recall@10"] >= 0


def test_a_model_with_codes_alone_answers_explains_and_is_evaluated(shop: Dataset) -> None:
    model = Recommender.train(shop, load_recipe("tiger", SMALL), seed=2)
    history = _histories(shop)[3]
    best = int(model.by_rows.recommend([history], 1)[0].item_rows[0])
    assert all(reason.weight > 0 for reason in model.engine.why(history, best))
    found = model.evaluate()
    assert 0 <= found.masked["recall@10"] <= 1
    with pytest.raises(NotTrainedError, match="'set'"):
        model.asking(Request(form="set"))


@pytest.mark.parametrize(
    ("recipe", "change"),
    [
        ("urm", "model.item_format=['codes']"),
        ("urm", "training.set_weight=0"),
        ("tiger", "training.code_weight=0"),
        ("tiger", "training.set_weight=1"),
        ("tiger", "answers=['set', 'codes']"),
    ],
)
def test_recipes_that_cannot_answer_are_refused(recipe: str, change: str) -> None:
    with pytest.raises(ConfigError):
        load_recipe(recipe, [change])


def test_the_largest_boost_gives_new_items_their_share_of_the_lists(shop: Dataset) -> None:
    drawn, histories = _parts(shop), shop.cases("valid").histories
    # Of four equal parts of the catalogue, one at least has less than its share of the lists.
    for fourth in range(4):
        seen = np.arange(len(shop.catalog)) % 4 != fourth
        parts = replace(drawn, features=replace(drawn.features, has_id=seen))
        if (most := _boost_to_share(parts, Request(), histories)) > 0:
            break
    engine = _model(shop, parts).engine
    requests = [Request(history, 10, form="hybrid") for history in histories]

    def share(raised: float) -> float:
        (lists,) = engine.try_blends(requests, [Blend(0.0, raised)])
        return float(np.mean([(~seen)[ranking.item_rows] for ranking in lists]))

    assert most > 0
    assert share(most - 1 / 32) < 0.25 <= share(most + 1 / 32)
    assert share(0.0) < 0.25


def test_new_items_are_boosted_if_validation_improves(shop: Dataset) -> None:
    parts = _parts(shop, "codes.boost_fractions=[0.0, 1.0]")
    wanted = Counter(int(targets[0]) for targets in shop.cases("valid").targets)
    often = [row for row, _ in wanted.most_common(6)]
    for new, expected in ((often, True), (sorted(set(range(40)) - set(wanted))[:6], False)):
        seen = np.ones(len(shop.catalog), dtype=bool)
        seen[new] = False
        known = replace(parts, features=replace(parts.features, has_id=seen))
        assert (with_blend(known, shop, seed=0).blend.new_item_boost != 0) == expected


def test_a_hybrid_boosts_items_unseen_in_training(shop: Dataset) -> None:
    parts = _parts(shop)
    seen = parts.features.has_id.copy()
    seen[5] = False
    parts = replace(parts, features=replace(parts.features, has_id=seen))
    histories = _histories(shop)
    plain, raised = (
        _asked(shop, replace(parts, blend=Blend(0.5, new_item_boost)), "hybrid").by_rows.recommend(
            histories, 40, exclude_seen=False
        )
        for new_item_boost in (0.0, 3.0)
    )
    for before, after in zip(plain, raised, strict=True):
        old = dict(zip(before.item_rows.tolist(), before.scores.tolist(), strict=True))
        for row, score in zip(after.item_rows.tolist(), after.scores.tolist(), strict=True):
            assert score == pytest.approx(old[row] + 3.0 * (row == 5), abs=1e-4)
