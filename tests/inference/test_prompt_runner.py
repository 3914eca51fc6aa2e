"""A runner over looked-up vectors answers as one that computes them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from palate import Dataset
from palate.inference.prompt_runner import CatalogueVectors, PromptRunner
from palate.inference.request import Request
from palate.simulation.world import World
from palate.training.build import build_system
from palate.training.recipe import load_recipe
from palate.training.system import LanguageModelSystem, Prior
from palate.types import History


@pytest.fixture(scope="module")
def shop() -> Dataset:
    return World(num_users=40, num_items=30, seed=2).dataset()


@pytest.fixture(scope="module")
def parts(shop: Dataset) -> LanguageModelSystem:
    """Fresh weights: what is compared here holds whatever was learned."""
    recipe = load_recipe("urm-small", ["items.text.dim=16", "model.decoder.width=32"])
    built = build_system(shop, recipe, seed=0)[0]
    built.model.train(mode=False)
    return built


@pytest.fixture(scope="module")
def catalogue(parts: LanguageModelSystem) -> CatalogueVectors:
    with torch.inference_mode():
        table = parts.model.items(torch.arange(parts.model.num_items))
    return CatalogueVectors(table.tokens, table.outputs)


def histories_of(shop: Dataset) -> list[History]:
    nobody = History(item_rows=np.zeros(0, dtype=np.int64))
    return [*(shop.interactions.history(user) for user in range(6)), nobody]


ASKS = [
    Request(),
    Request(family="search", context="oak lamp"),
    Request(family="category", context="lamps"),
    Request(prompt="something calm"),
]


@pytest.mark.parametrize("ask", ASKS)
def test_looked_up_vectors_give_the_same_answers(
    ask: Request, parts: LanguageModelSystem, catalogue: CatalogueVectors, shop: Dataset
) -> None:
    computed, looked_up = PromptRunner(parts, ask), PromptRunner(parts, ask, catalogue)
    for histories in (histories_of(shop), histories_of(shop)[-1:]):
        assert_allclose(looked_up.score(histories), computed.score(histories), atol=1e-4)


@pytest.mark.parametrize("looked_up", [False, True])
@pytest.mark.parametrize("family", ["search", "category"])
def test_each_history_may_come_with_words_of_its_own(
    family: str,
    looked_up: bool,
    parts: LanguageModelSystem,
    catalogue: CatalogueVectors,
    shop: Dataset,
) -> None:
    known = catalogue if looked_up else None
    histories = histories_of(shop)
    contexts = ["oak lamp", "rug", "", "a red wool rug", "lamp", "chair", "lamp"]
    together = PromptRunner(parts, Request(family=family), known).user_vectors(histories, contexts)
    for vectors, history, context in zip(together, histories, contexts, strict=True):
        alone = PromptRunner(parts, Request(family=family, context=context), known)
        assert_allclose(vectors, alone.user_vectors([history])[0], atol=1e-5)


def test_items_after_the_trained_ones_are_read_and_ranked(
    parts: LanguageModelSystem, catalogue: CatalogueVectors
) -> None:
    twice = CatalogueVectors(*(torch.cat([x, x]) for x in (catalogue.tokens, catalogue.outputs)))
    engine = PromptRunner(parts, catalogue=twice)
    first, second = (History(item_rows=np.asarray(rows)) for rows in ([3, 4], [33, 34]))
    scores = engine.score([first, second])
    assert scores.shape == (2, 60)
    assert_allclose(scores[0], scores[1], atol=1e-5)
    assert_allclose(scores[:, :30], scores[:, 30:], atol=1e-5)


def test_the_prior_is_added_to_the_items_it_was_fitted_with(
    parts: LanguageModelSystem, catalogue: CatalogueVectors, shop: Dataset
) -> None:
    from palate.models.baselines import PopularityConfig, fit_baseline

    baseline = fit_baseline(PopularityConfig(), shop.sequences, len(shop.catalog))
    with_prior = replace(parts, prior=Prior(baseline, 5.0))
    histories = histories_of(shop)
    bare = PromptRunner(parts).score(histories)
    assert not np.allclose(PromptRunner(with_prior).score(histories), bare, atol=1e-3)
    longer = CatalogueVectors(
        *(torch.cat([x, x[:1]]) for x in (catalogue.tokens, catalogue.outputs))
    )
    told = PromptRunner(with_prior, catalogue=longer).score(histories)
    assert_allclose(told[:, :-1], PromptRunner(with_prior).score(histories), atol=1e-4)
    assert_allclose(told[:, -1], bare[:, 0], atol=1e-4)
    worded = PromptRunner(with_prior, Request(prompt="something calm")).score(histories)
    assert_allclose(worded, PromptRunner(parts, Request(prompt="something calm")).score(histories))


def test_a_staged_model_reads_as_many_events_as_its_last_stage(shop: Dataset) -> None:
    stage = "stages=[{tasks={next_item=1, max_history=3}, training={epochs=1}}]"
    recipe = load_recipe("urm-small", [stage, "model.decoder.width=16", "model.decoder.heads=2"])
    engine = PromptRunner(build_system(shop, recipe, seed=1)[0])
    longest = max(shop.cases("test").histories, key=len)
    assert len(longest) > 3
    np.testing.assert_allclose(engine.score([longest]), engine.score([longest.last(3)]), atol=1e-5)
