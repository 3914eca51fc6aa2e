"""A stage of training with every setting worked out."""

from dataclasses import dataclass, replace
from typing import Literal

from palate.language.item_format import ItemPart
from palate.models.model_config import ModelConfig
from palate.training.config import TasksConfig, TrainingConfig

Answer = Literal["set", "codes", "titles", "text"]
"""What an answer is: the items nearest to user vectors; an item's codes, generated one after the
other; an item's title, word by word; or any other words."""


@dataclass(frozen=True)
class StagePlan:
    """One stage of training: its tasks, its model, and how the weights are trained."""

    answers: tuple[Answer, ...]
    """The kinds of answers of the whole recipe."""
    model: ModelConfig
    """Its ``item_format`` is that of the stage."""
    tasks: TasksConfig
    training: TrainingConfig
    name: str = ""
    title: str = ""
    curriculum: tuple[ItemPart, ...] | None = None
    """How items are written at first, where that differs."""
    number: int = 0
    """Index of the stage in the recipe, from 0."""

    @property
    def by_items(self) -> bool:
        """Whether it learns to answer with items as such; a title is words."""
        return self.tasks.by_items and bool({"set", "codes"}.intersection(self.answers))

    def with_item_format(self, item_format: tuple[ItemPart, ...]) -> "StagePlan":
        """Return the same stage with the items of histories written in this format."""
        return replace(self, model=self.model.model_copy(update={"item_format": item_format}))
