"""The loss of a batch: the negatives of its set answers."""

import pytest
import torch
from torch.nn import functional as F

from palate.data.dataset import Dataset
from palate.language.batch import Batch
from palate.models.language_model import RecommendationModel
from palate.models.references import mentioned
from palate.simulation.world import World
from palate.training.batch_loss import batch_loss
from palate.training.build import build_system
from palate.training.config import TrainingConfig
from palate.training.recipe import load_recipe

SMALL = (
    "model.decoder={ width = 16, layers = 1, heads = 2, dropout = 0 }",
    "model.fusion.id_dropout=0",
    "tasks.objective=0",
    "tasks.scenario=0",
    "tasks.category=0",
    "tasks.search=0",
    "tasks.direct=0",
    "tasks.cold_start=0",
)


@pytest.fixture(scope="module")
def shop() -> Dataset:
    return World(num_users=20, num_items=30, seed=3).dataset()


def _model_and_batch(world: Dataset) -> tuple[RecommendationModel, Batch]:
    parts, (mixture,) = build_system(world, load_recipe("urm", SMALL), seed=0)
    batch = next(iter(mixture.batches(0)))
    return parts.model.eval(), batch


def _logits(model: RecommendationModel, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the scores of all items at each prediction, and the items wanted."""
    table = model.items(mentioned(batch, model.num_items), batch.descriptions)
    users = model.states(batch, table, users=True).users
    assert users is not None
    wanted = batch.targets[batch.prefix_lengths >= 0][:, 0]
    return model.scale * users[:, 0] @ model.catalogue().T, wanted


def test_in_batch_negatives_count_as_often_as_they_are_targets(shop: Dataset) -> None:
    model, batch = _model_and_batch(shop)
    with torch.no_grad():
        logits, wanted = _logits(model, batch)
        rows = (batch.prefix_lengths >= 0).nonzero()[:, 0].tolist()
        told = torch.cat([batch.items, batch.targets.flatten(start_dim=1)], dim=1)
        of_the_row = torch.stack([torch.isin(wanted, told[row]) for row in rows])
        others = logits[:, wanted].masked_fill(of_the_row, -torch.inf)
        own = logits.gather(1, wanted[:, None])
        expected = (torch.cat([own, others], dim=1).logsumexp(dim=1) - own[:, 0]).mean()
        found = batch_loss(model, batch, TrainingConfig(negatives="in-batch"))
    assert wanted.unique(return_counts=True)[1].max() > 1
    assert (of_the_row.sum(dim=1) > 1).any()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_as_many_uniform_negatives_as_items_are_the_full_softmax(shop: Dataset) -> None:
    model, batch = _model_and_batch(shop)
    with torch.no_grad():
        expected = F.cross_entropy(*_logits(model, batch))
        found = batch_loss(model, batch, TrainingConfig(num_negatives=model.num_items))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
