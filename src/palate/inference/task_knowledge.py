"""Data behind text answers: reviews, facts and tasks of the training dataset."""

from collections.abc import Mapping
from functools import cached_property

import numpy as np

from palate.data.dataset import Dataset
from palate.language.queries import QueryPool
from palate.language.tasks.material import Material
from palate.language.tasks.task import Task
from palate.language.text.reviews import Reviews, read_reviews
from palate.training.chosen_tasks import chosen_tasks
from palate.training.system import LanguageModelSystem
from palate.trust.grounding import Grounds


class Knowledge:
    """Data behind text answers, computed lazily and once, since that is slow."""

    def __init__(self, system: LanguageModelSystem, dataset: Dataset) -> None:
        """Compute nothing yet; each part is computed on first use."""
        self._system, self._dataset = system, dataset

    @cached_property
    def reviews(self) -> Reviews | None:
        """The reviews of training."""
        return read_reviews(self._dataset)

    @cached_property
    def grounds(self) -> Grounds:
        """The facts against which explanations are checked."""
        texts = None if self.reviews is None else self.reviews.texts.to_list()
        return Grounds.of(self._dataset.catalog, texts=texts)

    @cached_property
    def material(self) -> Material:
        """The material of tasks, without queries."""
        no_queries = QueryPool((), np.zeros(len(self._dataset.catalog) + 1, dtype=np.int64))
        return Material(self._dataset, no_queries, self.reviews, self._system.ratings)

    @cached_property
    def tasks(self) -> Mapping[str, Task]:
        """The tasks the model was trained on, except search."""
        return {
            task.name: task
            for stage in self._system.recipe.resolved_stages
            for task in chosen_tasks(self.material, stage.tasks)[0]
        }
