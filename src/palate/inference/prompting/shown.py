"""What a prompt shows of items, histories and customers: words, encoded, and never an id."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from palate.data.catalog import Catalog
from palate.inference.item_view import ItemView
from palate.language.text.plain import one_line, rating_words
from palate.llm.untrusted import untrusted, without_marks
from palate.types import History

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

_LONGEST_TITLE = 120
_LONGEST_LABEL = 40
_LONGEST_ITEM = 240
_MOST_CATEGORIES = 4
_MOST_FACTS = 3
_FREQUENT = 2
"""Something that is in so many events of a history is frequent in it."""


@dataclass(frozen=True)
class Shown:
    """Writes items and histories of one data set."""

    describe: bool = False
    """Whether an item has brand, categories and price, or its title alone."""
    event_types: Sequence[str] = ()
    """Names of the kinds of events; shown where there are several."""
    best_rating: float | None = None
    """The best rating of the data; None where ratings are not shown."""

    def title(self, view: ItemView) -> str:
        """Return a title as a model would write it: one line, without control tokens."""
        return without_marks(one_line(view.title or _nameless(view), _LONGEST_TITLE))

    def item(self, view: ItemView) -> str:
        """Return an item as a JSON string."""
        if not self.describe:
            return untrusted(self.title(view))
        parts = [self.title(view)]
        parts += [f"by {one_line(view.brand, _LONGEST_LABEL)}"] if view.brand else []
        parts += [one_line(each, _LONGEST_LABEL) for each in view.categories[:_MOST_CATEGORIES]]
        parts += [f"price {view.price:g}"] if view.price is not None else []
        return untrusted(", ".join(parts), max_length=_LONGEST_ITEM)

    def lettered(self, views: Sequence[ItemView]) -> str:
        """Return a line for each item, with a letter before it."""
        return "\n".join(f"{LETTERS[n]}. {self.item(view)}" for n, view in enumerate(views))

    def numbered(self, views: Sequence[ItemView]) -> str:
        """Return a line for each item, with a number before it."""
        return "\n".join(f"{n}. {self.item(view)}" for n, view in enumerate(views, start=1))

    def events(self, history: History, views: Sequence[ItemView]) -> str:
        """Return a line for each event; ``views`` are those of its items."""
        labels = [self._label(history, event) for event in range(len(history))]
        items = map(self.item, views)
        return "\n".join(
            f"{number}. {item}{label}"
            for number, (item, label) in enumerate(zip(items, labels, strict=True), start=1)
        )

    def facts(self, history: History, views: Sequence[ItemView]) -> str:
        """Return what is frequent in a history, in words; empty where nothing is."""
        of_kind = (
            ("categories", Counter(each for view in views for each in set(view.categories))),
            ("brands", Counter(view.brand for view in views if view.brand)),
        )
        said = []
        for kind, counts in of_kind:
            found = [(name, n) for name, n in counts.most_common(_MOST_FACTS) if n >= _FREQUENT]
            listed = [
                f"{untrusted(name, max_length=_LONGEST_LABEL)} ({n} of {len(views)})"
                for name, n in found
            ]
            said += [f"frequent {kind}: {', '.join(listed)}"] if listed else []
        rated = _mean_rating(history)
        if rated is not None and self.best_rating is not None:
            said.append(f"mean rating {rated:.1f} of {rating_words(self.best_rating)}")
        return "; ".join(said)

    def _label(self, history: History, event: int) -> str:
        said: list[str] = []
        if len(self.event_types) > 1 and history.event_types is not None:
            kind = int(history.event_types[event])
            if 0 <= kind < len(self.event_types):
                said.append(untrusted(self.event_types[kind], max_length=_LONGEST_LABEL))
        if history.ratings is not None and self.best_rating is not None:
            rating = float(history.ratings[event])
            if not math.isnan(rating):
                said.append(f"rated {rating_words(rating)} of {rating_words(self.best_rating)}")
        return f" ({', '.join(said)})" if said else ""


def domain_of(catalog: Catalog) -> str:
    """Return in words what a catalogue holds: its most frequent categories.

    >>> from palate.simulation.world import World
    >>> '"' in domain_of(World(num_users=20, num_items=20, seed=0).dataset().catalog)
    True
    """
    lists = catalog.table["categories"].to_list()
    counts = Counter(each for categories in lists for each in set(categories or ()))
    # Of equal counts the first in the alphabet, since rows are in no order.
    best = sorted(counts, key=lambda name: (-counts[name], name))[:_MOST_FACTS]
    named = [untrusted(name, max_length=_LONGEST_LABEL) for name in best]
    return ", ".join(named) if named else "many things"


def _nameless(view: ItemView) -> str:
    known = [view.brand, *view.categories[:_MOST_CATEGORIES]]
    told = ", ".join(each for each in known if each)
    return f"an item without a title: {told}" if told else "an item without a title"


def _mean_rating(history: History) -> float | None:
    if history.ratings is None:
        return None
    ratings = [r for r in history.ratings.tolist() if not math.isnan(r)]
    return sum(ratings) / len(ratings) if ratings else None
