"""A tiny shop and a model that answers everything, though badly: tests need no good answers."""

import pytest

from palate import Dataset, Recommender
from palate.simulation.world import World
from palate.training.recipe import load_recipe

TINY = (
    "items.text.dim=16",
    "model.decoder.width=16",
    "model.decoder.layers=1",
    "tasks.max_history=8",
    "tasks.candidates=5",
    "training.epochs=1",
    "training.tokens_per_batch=2048",
)


@pytest.fixture(scope="session")
def tiny_shop() -> Dataset:
    """A simulated shop with ratings, reviews and several events."""
    world = World(num_users=60, num_items=30, events_per_user=8, seed=2, pictures=False)
    return world.dataset()


@pytest.fixture(scope="session")
def speaker(tiny_shop: Dataset) -> Recommender:
    """A model of every family, after one epoch."""
    return Recommender.train(tiny_shop, load_recipe("palate", TINY), seed=1)
