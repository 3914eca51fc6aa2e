"""The prior: a baseline that is mixed into next-item scores only."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from jaxtyping import Float

from palate.data.dataset import Cases
from palate.inference.prompt_runner import PromptRunner
from palate.inference.request import Request
from palate.recommender.recommender import Recommender
from palate.recommender.validation import ndcg_of, ndcg_of_lists
from palate.simulation.world import World
from palate.training.recipe import load_recipe
from palate.training.system import LanguageModelSystem
from palate.types import History, Ranking

QUICK = [
    "training.epochs=1",
    'prior.baseline={kind="itemknn", decay=0.5}',
    "model.decoder.width=32",
]


@pytest.fixture(scope="module")
def model() -> Recommender:
    shop = World(num_users=60, num_items=40, seed=3).dataset()
    return Recommender.train(shop, load_recipe("urm-small", QUICK), seed=0)


def parts_of(model: Recommender) -> LanguageModelSystem:
    system = model.trained.system
    assert isinstance(system, LanguageModelSystem)
    return system


def test_the_score_is_the_logit_plus_the_weighted_baseline(model: Recommender) -> None:
    parts = parts_of(model)
    assert parts.prior is not None
    histories = model.dataset.cases("test").histories[:5]
    alone = PromptRunner(replace(parts, prior=None)).score(histories)
    expected = alone + parts.prior.weight * parts.prior.baseline.score(histories)
    np.testing.assert_allclose(model.by_rows.score(histories), expected, atol=1e-5)


def test_the_list_follows_the_mixed_scores(model: Recommender) -> None:
    history = model.dataset.cases("test").histories[0]
    scores = model.by_rows.score([history])[0]
    scores[history.item_rows] = -np.inf
    assert (
        model.by_rows.recommend([history], 5)[0].item_rows.tolist()
        == np.argsort(-scores)[:5].tolist()
    )


@pytest.mark.parametrize(
    "ask", [Request(family="direct"), Request(prompt="something warm", steer=False)]
)
def test_other_requests_do_not_use_the_prior(model: Recommender, ask: Request) -> None:
    histories = model.dataset.cases("test").histories[:3]
    bare = PromptRunner(replace(parts_of(model), prior=None), ask)
    np.testing.assert_allclose(
        model.asking(ask).by_rows.score(histories), bare.score(histories), atol=1e-5
    )


def test_the_kept_weight_is_the_best_on_validation(model: Recommender) -> None:
    parts = parts_of(model)
    assert parts.prior is not None
    config = parts.recipe.prior
    assert config is not None
    scorers = [PromptRunner(replace(parts, prior=None)).score, parts.prior.baseline.score]
    values = ndcg_of(scorers, config.weights, model.dataset.cases("valid"))
    assert parts.prior.weight == config.weights[int(np.argmax(values))]


def test_the_prior_is_saved_with_the_model(model: Recommender, tmp_path: Path) -> None:
    model.save(tmp_path / "model")
    again = Recommender.load(tmp_path / "model")
    histories = model.dataset.cases("test").histories[:3]
    np.testing.assert_allclose(
        again.by_rows.score(histories), model.by_rows.score(histories), atol=1e-5
    )


def test_ndcg_counts_places_by_hand() -> None:
    """The target stands second of the unseen items: gain 1 / log2(3)."""

    def scores(histories: Sequence[History]) -> Float[np.ndarray, "users items"]:
        return np.array([[9.0, 3.0, 2.0, 1.0]] * len(histories), dtype=np.float32)

    shop = World(num_users=20, num_items=20, seed=0).dataset()
    case = replace(shop.cases("test"), histories=[History(np.array([0]))], targets=[np.array([2])])
    assert ndcg_of([scores], [1.0], case) == [pytest.approx(1 / np.log2(3))]
    listed = Ranking(np.array([1, 2, 3]), np.array([3.0, 2.0, 1.0]))
    assert ndcg_of_lists([listed], case) == pytest.approx(1 / np.log2(3))
    assert ndcg_of_lists([Ranking(np.array([], np.int64), np.array([]))], case) == 0
    assert ndcg_of_lists([], Cases([], [])) == 0
