"""Palate: one language model for every recommendation task.

Example:
    >>> from palate import Recommender, World
    >>> shop = World(num_users=60, num_items=40, seed=0).dataset()
    >>> model = Recommender.train(shop, recipe="popularity")
    >>> len(model.recommend("u1", n=3))
    3
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from palate.data.dataset import Dataset
    from palate.errors import PalateError
    from palate.evaluation.result import Evaluation
    from palate.recommender.recommender import Recommender
    from palate.simulation.world import World
    from palate.types import History, Ranking

__version__ = "0.1.0"

__all__ = ["Dataset", "Evaluation", "History", "PalateError", "Ranking", "Recommender", "World"]

_HOMES = {
    "Dataset": "palate.data.dataset",
    "Evaluation": "palate.evaluation.result",
    "History": "palate.types",
    "PalateError": "palate.errors",
    "Ranking": "palate.types",
    "Recommender": "palate.recommender.recommender",
    "World": "palate.simulation.world",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: ``import palate`` alone loads nothing heavy."""
    if name not in _HOMES:
        raise AttributeError(f"module 'palate' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted([*__all__, "__version__"])
