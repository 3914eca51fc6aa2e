"""What a live model says in words: ratings and explanations, over the catalogue as it is now."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from palate.data.dataset import Dataset
from palate.errors import NotTrainedError
from palate.inference.answers import Answers, Rated
from palate.inference.engine import LanguageEngine
from palate.serving.catalogue import CatalogueState, catalog_of
from palate.serving.reader import HistoryReader
from palate.serving.views import ItemView
from palate.training.system import LanguageModelSystem
from palate.trust.grounding import Grounds, factual_sentence
from palate.types import History

FACTS = "facts"


@dataclass(frozen=True, slots=True)
class Wording:
    """An explanation in words."""

    text: str
    mended: bool
    """Whether what the catalogue does not bear out was left out of what the model wrote."""
    fallback: str | None
    """``facts`` where nothing was left of it, and facts are told in its place."""
    quoted: bool = False
    """Whether the words are those of somebody's review of the item."""


@dataclass(frozen=True, slots=True, eq=False)
class _Facts:
    """What explanations are held against, of the items as they were described at one moment."""

    views: Sequence[ItemView] | None
    """None where no item is described otherwise than in training."""
    dataset: Dataset
    grounds: Grounds


class LiveWords:
    """Asks a trained model for words; nothing of it is changed by a question."""

    def __init__(self, parts: LanguageModelSystem, dataset: Dataset, reader: HistoryReader) -> None:
        """Answer with the trained ``parts``; ``reader`` tells what of a history they can read."""
        self._parts, self._dataset, self._reader = parts, dataset, reader
        self._last: _Facts | None = None

    def rate(self, state: CatalogueState, history: History, item_row: int) -> Rated:
        """Return how somebody with this history rates an item.

        Raises:
            NotTrainedError: when the model can read nothing of the item.
        """
        self._check_item(state, item_row)
        known = self._reader.known(state, history)
        return self._answers(state, self._dataset).rate(known, item_row)

    def explain(
        self, state: CatalogueState, history: History, item_row: int, aspect: str
    ) -> Wording:
        """Return why an item fits somebody with this history, on an aspect if one is given.

        What it says is held against the items as they are described now.

        Raises:
            NotTrainedError: when the model can read nothing of the item.
        """
        self._check_item(state, item_row)
        known = self._reader.known(state, history)
        facts = self._facts(state)
        answers = self._answers(state, facts.dataset)
        # Names are slow to collect; what the items say now is all that changes.
        answers.__dict__["grounds"] = facts.grounds
        found = answers.explain(known, item_row, aspect)
        plain = factual_sentence(facts.dataset.catalog, item_row, known.item_rows.tolist())
        fallback = FACTS if found.was_mended and found.text == plain else None
        return Wording(found.text, found.was_mended, fallback, found.quoted)

    def _check_item(self, state: CatalogueState, item_row: int) -> None:
        """Refuse an item of which the model can read nothing.

        Raises:
            NotTrainedError: saying so.
        """
        if not self._reader.reads(state, np.asarray([item_row])).all():
            raise NotTrainedError(
                f"This model knows nothing of the item {state.views[item_row].item_id!r}: it was "
                "not there in training, and nothing of it can be read.",
                hint="Give it a title, brand, categories or a price; if it has them, train again "
                "with it: palate train DATASET MODEL",
            )

    @cached_property
    def _learned(self) -> Answers:
        """Over the catalogue of training; what is slow to make is made here, and once."""
        return Answers(LanguageEngine(self._parts), self._dataset)

    def _answers(self, state: CatalogueState, dataset: Dataset) -> Answers:
        """Return the model asked over the catalogue of ``state``."""
        parts, prior = self._parts, self._parts.rating_prior
        if prior is not None and len(state) > len(prior.biases.items):
            # Of an item without a rating nothing is known: its bias is 0.
            items = np.pad(prior.biases.items, (0, len(state) - len(prior.biases.items)))
            grown = replace(prior, biases=replace(prior.biases, items=items))
            parts = replace(parts, rating_prior=grown)
        answers = Answers(LanguageEngine(parts, catalogue=state.vectors), dataset)
        answers.__dict__["tasks"] = self._learned.tasks
        return answers

    def _facts(self, state: CatalogueState) -> _Facts:
        """Return the facts of the items as they are described in ``state``."""
        unchanged = state.edition == 0 and len(state) == len(self._dataset.catalog)
        views = None if unchanged else state.views
        last = self._last
        if last is None or last.views is not views:
            last = self._last = self._collected(views)
        return last

    def _collected(self, views: Sequence[ItemView] | None) -> _Facts:
        learned = self._learned.grounds
        if views is None:
            return _Facts(None, self._dataset, learned)
        catalog = catalog_of(views)
        grounds = replace(
            learned, prices=tuple(catalog.table["price"].to_list()), texts=tuple(catalog.texts())
        )
        return _Facts(views, replace(self._dataset, catalog=catalog), grounds)
