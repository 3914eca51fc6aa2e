"""Answers in bfloat16 are near those in float32, and are not the same."""

import numpy as np
import pytest

from palate import Dataset
from palate.inference.engine import Engine
from palate.inference.model_folder import TrainedModel
from palate.inference.request import Request
from palate.models.device import Device, choose_device
from palate.training.build import build_system
from palate.training.recipe import load_recipe
from palate.training.system import LanguageModelSystem
from tiny_models import TINY


@pytest.mark.parametrize("recipe", ["urm-codes", "palate"])
def test_bfloat16_changes_every_form_of_answer_a_little(recipe: str, tiny_shop: Dataset) -> None:
    settings = load_recipe(recipe, TINY if recipe == "palate" else (*TINY[:4], *TINY[5:]))
    system, _ = build_system(tiny_shop, settings, seed=0)
    trained = TrainedModel(recipe, settings, tiny_shop, system, [], 0)
    exact, near = (
        _scores(trained, choose_device("cpu", precision)) for precision in ("float32", "bfloat16")
    )
    assert exact.keys() == near.keys()
    for form in exact:
        assert not np.array_equal(exact[form], near[form]), form
        assert near[form] == pytest.approx(exact[form], rel=0.05, abs=0.05)


def _scores(trained: TrainedModel, device: Device) -> dict[str, np.ndarray]:
    """Return the scores of the best items in every form, and a rating where there is one."""
    system = trained.system
    assert isinstance(system, LanguageModelSystem)
    system.on(device)
    engine, history = Engine(trained), trained.dataset.interactions.history(0)
    requests = {form: Request(history, 5, form=form) for form in engine.forms}
    found = {form: engine.answer([request])[0].scores for form, request in requests.items()}
    if "rating" in engine.capabilities.in_words:
        found["rating"] = np.asarray([engine.rate(history, 1).value])
    return found
