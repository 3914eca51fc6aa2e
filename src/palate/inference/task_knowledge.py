"""What answers in words need of a dataset: the reviews, the facts and the tasks of training."""

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
    """What answers in words need of a dataset: collected once, for it is slow to collect."""

    def __init__(self, parts: LanguageModelSystem, dataset: Dataset) -> None:
        """Collect each thing when it is first needed."""
        self._parts, self._dataset = parts, dataset

    @cached_property
    def reviews(self) -> Reviews | None:
        """The reviews of training."""
        return read_reviews(self._dataset)

    @cached_property
    def grounds(self) -> Grounds:
        """The facts that explanations are held against."""
        written = None if self.reviews is None else self.reviews.texts.to_list()
        return Grounds.of(self._dataset.catalog, texts=written)

    @cached_property
    def material(self) -> Material:
        """What tasks are made from, but for queries."""
        no_queries = QueryPool((), np.zeros(len(self._dataset.catalog) + 1, dtype=np.int64))
        return Material(self._dataset, no_queries, self.reviews, self._parts.ratings)

    @cached_property
    def tasks(self) -> Mapping[str, Task]:
        """The tasks the model was trained on but for search."""
        return {
            task.name: task
            for stage in self._parts.recipe.resolved_stages
            for task in chosen_tasks(self.material, stage.tasks)[0]
        }
