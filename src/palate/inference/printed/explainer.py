"""Explanations of items that a shop would print, for every kind of model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from palate.data.dataset import Dataset
from palate.data.split import Part
from palate.inference.catalogue_state import CatalogueState
from palate.inference.item_view import ItemView
from palate.inference.printed.choosing import Chooser, Content, Scale
from palate.inference.printed.profiles import profile
from palate.inference.printed.rewriting import Rewriter
from palate.inference.printed.saying import say
from palate.inference.printed.shop_facts import ShopFacts
from palate.inference.printed.statements import quotes_in
from palate.inference.request import Reason
from palate.inference.text_results import FACTS, Explained
from palate.language.text.reviews import Reviews
from palate.language.text.voices import Voices
from palate.types import History

_FEWEST_RATINGS = 5


@dataclass(eq=False)
class Explainer:
    """Chooses what to say of an item from data, and says it; it needs no language model."""

    dataset: Dataset
    read_reviews: Callable[[], Reviews | None]
    """Reads the reviews of training, when they are first needed."""
    _chooser: Chooser | None = None

    def explain(
        self,
        state: CatalogueState,
        history: History,
        item_row: int,
        reasons: Sequence[Reason],
        *,
        aspect: str = "",
        rewriter: Rewriter | None = None,
    ) -> Explained:
        """Explain why an item fits a user, on an aspect if one is given.

        Args:
            state: the catalogue as it is now.
            history: of the user, in rows of the catalogue.
            item_row: the item.
            reasons: the events that weigh most for the item.
            aspect: what is asked about, in a word.
            rewriter: a language model that may reword the statements.
        """
        content = self.content(state, history, item_row, reasons, aspect)
        template = say(content, f"{state.views[item_row].item_id}\0{_key(history)}")
        quoted = bool(quotes_in(content.statements))
        if rewriter is None:
            return Explained(template, template, quoted=quoted, statements=content.statements)
        rewrite = rewriter.rewrite(content, template)
        return Explained(
            rewrite.text,
            rewrite.written or template,
            invented=_invented(rewrite.refused),
            quoted=quoted,
            fallback=FACTS if rewrite.refused else None,
            statements=content.statements,
            refused=rewrite.refused,
        )

    def content(
        self,
        state: CatalogueState,
        history: History,
        item_row: int,
        reasons: Sequence[Reason],
        aspect: str = "",
    ) -> Content:
        """Return what would be said, as data."""
        return self.chooser(state.views).choose(history, item_row, reasons, aspect)

    def profile(self, state: CatalogueState, history: History) -> str:
        """Say what a user likes: what stands out among the items chosen, prices, own words."""
        chooser = self.chooser(state.views)
        return profile(chooser, history) or "Nothing is known yet of what you like."

    def chooser(self, views: Sequence[ItemView]) -> Chooser:
        """Return the chooser over the items as they are described now."""
        chooser = self._chooser
        if chooser is None or chooser.facts.views is not views:
            chooser = Chooser(
                facts=ShopFacts(views, self.dataset.catalog),
                voices=self.voices,
                scale=Scale.of(self.dataset.interactions.ratings),
                event_types=self.dataset.interactions.event_types,
                counts=self.dataset.train_counts,
                means=_means(self.dataset),
            )
            self._chooser = chooser
        return chooser

    @cached_property
    def voices(self) -> Voices:
        """What reviews of training say of each item."""
        return Voices(self.read_reviews(), self.dataset.catalog.table["title"].to_list())


def _means(dataset: Dataset) -> Float[np.ndarray, " items"]:
    """Return the mean training rating of each item; NaN where some did not rate, or too few did."""
    events, num_items = dataset.interactions, len(dataset.catalog)
    if events.ratings is None:
        return np.full(num_items, np.nan)
    train = dataset.split.parts == Part.TRAIN
    rows, ratings = events.item_rows[train], events.ratings[train]
    sums = np.bincount(rows, weights=ratings, minlength=num_items)
    counts = np.bincount(rows, minlength=num_items)
    means = np.full(num_items, np.nan)
    enough = counts >= _FEWEST_RATINGS
    means[enough] = sums[enough] / counts[enough]
    return means


def _key(history: History) -> str:
    """Return what tells one user's wording from another's."""
    if history.user_row is not None:
        return str(history.user_row)
    return ",".join(map(str, history.item_rows[-5:].tolist()))


def _invented(refused: str) -> tuple[str, ...]:
    kind, _, what = refused.partition(": ")
    return (what,) if kind in {"says else", "misquotes"} and not what.endswith("is missing") else ()
