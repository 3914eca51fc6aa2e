"""Everything that trains and answers keeps to one device: a stand-in refuses what a GPU would."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from far_device import FAR, FarTensor, far_device
from palate.data.item_record import ItemRecord
from palate.inference.engine import Engine
from palate.inference.request import Request
from palate.models.device import Device
from palate.recommender.fit import TrainingRun
from palate.simulation.world import World
from palate.training.recipe import load_recipe
from palate.training.system import LanguageModelSystem
from tiny_models import TINY

SMALL = (*TINY[:4], *TINY[5:])


def test_the_stand_in_refuses_what_a_gpu_would() -> None:
    with far_device():
        far, near = torch.ones(2, 3, device=FAR), torch.ones(3)
        assert isinstance(far, FarTensor)
        assert (far @ near.to(FAR)).cpu().tolist() == [3.0, 3.0]
        assert (far * torch.tensor(2.0)).sum().item() == 12.0
        assert far[torch.tensor([1])].shape == (1, 3)
        with pytest.raises(RuntimeError, match="two devices"):
            far @ near
        with pytest.raises(RuntimeError, match="two devices"):
            torch.cat([far, torch.zeros(1, 3)])
        with pytest.raises(RuntimeError, match="numpy"):
            far.numpy()
        with pytest.raises(RuntimeError):
            near[torch.ones(1, dtype=torch.long, device=FAR)]


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["urm-small", "urm-codes", "palate"])
def test_training_and_answers_keep_to_their_device(recipe: str) -> None:
    world = World(num_users=30, num_items=20, events_per_user=6, seed=2, pictures=False)
    settings = load_recipe(recipe, TINY if recipe == "palate" else SMALL)
    with far_device():
        run = TrainingRun(world.dataset(), settings, name=recipe, device=Device(FAR))
        trained = run.trained()
        assert isinstance(trained.system, LanguageModelSystem)
        assert all(isinstance(x, FarTensor) for x in trained.system.model.state_dict().values())
        engine, history = Engine(trained), trained.dataset.interactions.history(0)
        _ask(engine, Request(history, 3))
        engine.catalogue.update([ItemRecord("new", "A new lamp", brand="Acme", price=3.0)])
        _ask(engine, Request(history, 3))
        assert 1 <= len(engine.why(history, 1)) <= 3
        assert len(engine.similar(1, 3).rows) == 3
        if engine.capabilities.in_words:
            assert np.isfinite(engine.rate(history, 1).value)
            assert len(engine.rank(history, [1, 2, 3])) == 3
            assert engine.profile(history)


def _ask(engine: Engine, request: Request) -> None:
    """Ask for a list in every form, and by words."""
    for form in engine.forms:
        (answer,) = engine.answer([replace(request, form=form)])
        assert np.isfinite(answer.scores).all()
    assert len(engine.search("a lamp", request).rows) == 3
