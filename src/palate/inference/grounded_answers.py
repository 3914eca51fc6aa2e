"""Grounded text answers: claims are checked against the current catalogue."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from palate.data.catalog import Catalog
from palate.inference.catalogue_state import CatalogueState
from palate.inference.item_encoder import catalog_of
from palate.inference.item_view import ItemView
from palate.inference.model_folder import TrainedModel
from palate.inference.prompt_runner import PromptRunner
from palate.inference.task_knowledge import Knowledge
from palate.inference.text_answers import TextAnswers
from palate.language.text.reviews import Reviews
from palate.training.system import LanguageModelSystem
from palate.trust.grounding import Grounds


@dataclass(frozen=True, slots=True, eq=False)
class _Facts:
    """Facts for checking explanations: the item descriptions of one catalogue state."""

    views: Sequence[ItemView] | None
    """Current item views; None where all items are described as in training."""
    catalog: Catalog
    grounds: Grounds | None


class GroundedAnswers:
    """Creates text answers over one state of the catalogue."""

    def __init__(self, trained: TrainedModel, system: LanguageModelSystem) -> None:
        """Use a trained model, which is never modified."""
        self._dataset, self._system = trained.dataset, system
        self._knowledge = Knowledge(system, trained.dataset)
        self._facts = _Facts(None, trained.dataset.catalog, None)

    @property
    def reviews(self) -> Reviews | None:
        """The reviews of training."""
        return self._knowledge.reviews

    def over(self, state: CatalogueState) -> TextAnswers:
        """Return the text answers over the catalogue of ``state``.

        Raises:
            NotTrainedError: when the model was not trained on any text task.
        """
        facts = self._facts_of(state)
        return TextAnswers(
            PromptRunner(self._with_biases(len(state)), catalogue=state.vectors),
            self._dataset,
            knowledge=self._knowledge,
            catalog=facts.catalog,
            grounds=facts.grounds,
        )

    def _with_biases(self, num_items: int) -> LanguageModelSystem:
        """Return the model with a bias for every item, 0 for new items."""
        prior = self._system.rating_prior
        if prior is None or num_items <= len(prior.biases.items):
            return self._system
        items = np.pad(prior.biases.items, (0, num_items - len(prior.biases.items)))
        longer = replace(prior, biases=replace(prior.biases, items=items))
        return replace(self._system, rating_prior=longer)

    def _facts_of(self, state: CatalogueState) -> _Facts:
        """Return the facts of the item descriptions in ``state``."""
        unchanged = state.edition == 0 and len(state) == len(self._dataset.catalog)
        views = None if unchanged else state.views
        if self._facts.views is not views:
            self._facts = self._collected(views)
        return self._facts

    def _collected(self, views: Sequence[ItemView] | None) -> _Facts:
        if views is None:
            return _Facts(None, self._dataset.catalog, None)
        catalog = catalog_of(views)
        # Collecting names is slow, and only prices and texts change with the items.
        grounds = replace(
            self._knowledge.grounds,
            prices=tuple(catalog.table["price"].to_list()),
            texts=tuple(catalog.texts()),
        )
        return _Facts(views, catalog, grounds)
