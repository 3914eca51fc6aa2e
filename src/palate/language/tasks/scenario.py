"""The next item in a given scenario."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from palate.data.dataset import Dataset
from palate.language.tasks.asking import next_where, random_window
from palate.language.tasks.material import Material
from palate.language.tasks.task import Example, Slots, Task, TaskSettings, Wordings
from palate.types import History

_WORDINGS = Wordings(
    seen=(
        "recommend items in the scenario {scenario}",
        "the user is at {scenario} : what comes next",
        "suggest items to show in {scenario}",
        "next item when the user comes from {scenario}",
        "fill the place {scenario} with items",
        "predict the next item within {scenario}",
    ),
    unseen=(
        "what to display for {scenario}",
        "items that suit {scenario}",
    ),
)


@dataclass(frozen=True)
class Scenario(Task):
    """The next item in a given scenario (home page, e-mail, search page)."""

    name = "scenario"
    description = "The next item in a given scenario, such as an e-mail."
    answered_with = "items"
    wordings = _WORDINGS
    slot_names = frozenset({"scenario"})
    needs_history = True

    max_history: int
    scenarios: Sequence[str]

    @classmethod
    def offered(cls, material: Material, settings: TaskSettings) -> "Scenario | None":
        """Needs scenarios."""
        scenarios = material.dataset.interactions.scenarios
        return cls(settings.max_history, scenarios) if scenarios else None

    @classmethod
    def slot_choices(cls, dataset: Dataset) -> Mapping[str, Sequence[str]]:
        """The scenarios."""
        return {"scenario": dataset.interactions.scenarios}

    def slots(self, rng: np.random.Generator) -> Slots:
        """Choose the scenario."""
        return {"scenario": self.scenarios[int(rng.integers(len(self.scenarios)))]}

    def example(self, history: History, slots: Slots, rng: np.random.Generator) -> Example | None:
        """After every event the target is the first later one in the chosen scenario."""
        window = random_window(history, self.max_history + 1, rng)
        if window.scenarios is None:
            return None
        return next_where(window, window.scenarios == self.scenarios.index(slots["scenario"]))
