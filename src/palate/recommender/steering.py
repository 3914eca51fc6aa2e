"""Weights of wishes in words, chosen on the validation split."""

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from palate.data.dataset import Dataset
from palate.inference.engine import Engine
from palate.inference.model_folder import TrainedModel
from palate.inference.request import Request
from palate.language.tasks.wish import Wished
from palate.language.wishes.making import draw_wish, say
from palate.language.wishes.terms import Terms
from palate.recommender.validation import ndcg_of_lists
from palate.training.system import LanguageModelSystem, Steering

_logger = logging.getLogger(__name__)

_USERS = 400
"""Users whose wishes are tried; the weights differ by little."""
_TRIED: dict[str, Sequence[float]] = {
    "model": (0.0, 0.1, 0.25, 0.5, 0.75, 1.0),
    "words": (4.0, 2.0, 1.0),
    "meaning": (0.2, 0.1, 0.05, 0.0),
    "behaviour": (0.2, 0.1, 0.05, 0.0),
}
"""Values of each weight; the first of those that are as good as the best is taken. What is heard
of words, and of what is like them, is as much as costs nothing: wishes drawn from what items are
called cannot show what likeness is worth to those that no item is called by."""
_AS_GOOD = 0.995


def with_steering(system: LanguageModelSystem, dataset: Dataset, seed: int) -> LanguageModelSystem:
    """Choose how much the parts of a wish weigh, one after the other.

    The wishes are drawn from the next items of the validation part, and the weights are those that
    put these items highest, by NDCG@10. A model that was not trained on wishes keeps the usual
    ones.
    """
    cases = dataset.cases("valid").sample(_USERS, np.random.default_rng(seed))
    if Wished.name not in system.tasks or "set" not in system.forms or not len(cases):
        return system
    rng, terms = np.random.default_rng(seed), Terms.of_catalog(dataset.catalog)
    firsts = [int(targets[0]) for targets in cases.targets]
    wishes = [draw_wish(terms, row, rng) for row in firsts]
    chosen = [place for place, wish in enumerate(wishes) if wish is not None]
    requests = [
        Request(cases.histories[place], prompt=say(wish, terms, rng), form="set")
        for place in chosen
        if (wish := wishes[place]) is not None
    ]
    if not requests:
        return system
    asked = replace(
        cases,
        histories=[cases.histories[place] for place in chosen],
        targets=[cases.targets[place] for place in chosen],
    )
    engine = Engine(TrainedModel("", system.recipe, dataset, system, [], seed))
    best = Steering()
    for name, values in _TRIED.items():
        tried = [replace(best, **{name: value}) for value in values]
        gains = [ndcg_of_lists(lists, asked) for lists in engine.try_steering(requests, tried)]
        best = tried[next(n for n, gain in enumerate(gains) if gain >= _AS_GOOD * max(gains))]
        _logger.info("%s: validation NDCG@10 %.4f of wishes", best, max(gains))
    return replace(system, steering=best)
