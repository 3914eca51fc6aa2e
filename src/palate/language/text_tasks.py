"""Tasks answered in words: each asks about items or a user, and has a reply per prediction.

Every task makes its prompt for training and for asking by the same function, so that the two
cannot differ: ``example`` puts the replies into what ``ask`` returns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from palate.data.catalog import Catalog
from palate.language.tasks import Example, Slots, random_window
from palate.language.text.facts import Facts
from palate.language.text.plain import one_line, rating_words
from palate.types import History

YES, NO = "yes", "no"
"""The replies of :class:`Ranking`; their probabilities are its score."""

_MAX_TITLE = 120
_MOST_LEVELS = 20
_NOTHING = History(item_rows=np.zeros(0, dtype=np.int64))


@dataclass(frozen=True)
class Rating:
    """How the user rates an item, in words; asked after every event of a window."""

    max_history: int
    levels: Sequence[float]
    """The ratings there are, ascending (see :func:`rating_levels`)."""
    name: str = "rating"

    def slots(self, rng: np.random.Generator) -> Slots:
        """No slots."""
        return {}

    def ask(self, history: History, item_rows: Int[np.ndarray, " items"]) -> Example:
        """Ask for the rating of each item by the user, one prediction per item."""
        return _of_each(history.last(self.max_history), item_rows)

    def example(self, history: History, slots: Slots, rng: np.random.Generator) -> Example | None:
        """Every rated event is asked about, seen from the events before it."""
        window = random_window(history, self.max_history + 1, rng)
        if window.ratings is None:
            return None
        places = np.flatnonzero(~np.isnan(window.ratings))
        target_texts = [self.words_of(float(rating)) for rating in window.ratings[places]]
        return _before(window, places, window.item_rows[places], target_texts)

    def words_of(self, rating: float) -> str:
        """Return the words of the level nearest to a rating."""
        return rating_words(min(self.levels, key=lambda level: abs(level - rating)))

    def value_of(self, reply: str) -> float | None:
        """Return the rating that a reply names; None where it names none."""
        return self._value_of.get(reply.strip())

    @cached_property
    def _value_of(self) -> Mapping[str, float]:
        return {rating_words(level): level for level in self.levels}


@dataclass(frozen=True)
class Ranking:
    """Whether an item is for the user, yes or no: the probability of *yes* is a score.

    Without a threshold the next item is told from one drawn at random that the user never had
    (what CTR models learn); with one, items rated above it from the others (Bao et al. 2023,
    TALLRec).
    """

    max_history: int
    num_items: int
    threshold: float | None = None
    name: str = "ranking"

    def slots(self, rng: np.random.Generator) -> Slots:
        """No slots."""
        return {}

    def ask(self, history: History, item_rows: Int[np.ndarray, " items"]) -> Example:
        """Ask of each item whether it is for the user, one prediction per item."""
        return _of_each(history.last(self.max_history), item_rows)

    def example(self, history: History, slots: Slots, rng: np.random.Generator) -> Example | None:
        """One item is asked about before every event, the true one or another."""
        window = random_window(history, self.max_history + 1, rng)
        if self.threshold is not None:
            return self._liked_or_not(window, self.threshold)
        asked = window.item_rows.copy()
        swapped = np.flatnonzero(rng.random(len(window)) < 0.5)
        others = unseen_items(history, len(swapped), self.num_items, rng)
        swapped = swapped[: len(others)]
        asked[swapped] = others
        true = np.ones(len(window), dtype=bool)
        true[swapped] = False
        return _before(window, np.arange(len(window)), asked, _yes_or_no(true))

    def _liked_or_not(self, window: History, threshold: float) -> Example | None:
        if window.ratings is None:
            return None
        places = np.flatnonzero(~np.isnan(window.ratings))
        liked = window.ratings[places] > threshold
        return _before(window, places, window.item_rows[places], _yes_or_no(liked))


@dataclass(frozen=True)
class Choice:
    """Which of some candidates comes next, answered by its title (Liao et al. 2024, LLaRA)."""

    titles: Sequence[str]
    """Of every item; empty where it has none: such an item is no candidate."""
    max_history: int = 10
    num_candidates: int = 20
    max_predictions: int = 2
    """At most so many places of a window are asked from, since each reads all its candidates."""
    name: str = "choice"

    def slots(self, rng: np.random.Generator) -> Slots:
        """No slots."""
        return {}

    def ask(self, history: History, item_rows: Int[np.ndarray, " candidates"]) -> Example:
        """Ask which of the items comes next."""
        seen = history.last(self.max_history)
        return asking(seen, [len(seen)], candidates=item_rows[None])

    def example(self, history: History, slots: Slots, rng: np.random.Generator) -> Example | None:
        """The true next item is put among others that the user never had, in any order."""
        window = random_window(history, self.max_history + 1, rng)
        titled = [p for p in range(1, len(window)) if self.titles[window.item_rows[p]]]
        places = _some(titled, self.max_predictions, rng)
        asked = np.full((len(places), self.num_candidates), -1)
        for candidates, place in zip(asked, places, strict=True):
            found = self.candidates(history, int(window.item_rows[place]), rng)
            candidates[: len(found)] = found
        if len(places) == 0 or (asked >= 0).sum(axis=1).min() < 2:
            return None
        prompt = asking(window.take(slice(0, int(places[-1]))), places, candidates=asked)
        return replace(
            prompt, target_texts=[self.titles[window.item_rows[place]] for place in places]
        )

    def candidates(
        self, history: History, target: int, rng: np.random.Generator
    ) -> Int[np.ndarray, " candidates"]:
        """Return the target among others, no two of the same title: a title is to say which."""
        drawn = unseen_items(history, 2 * self.num_candidates, len(self.titles), rng)
        of_title = {self.titles[target]: target}
        for row in drawn.tolist():
            if self.titles[row] and len(of_title) < self.num_candidates:
                of_title.setdefault(self.titles[row], row)
        return rng.permutation(np.asarray(list(of_title.values())))


@dataclass(frozen=True)
class Title:
    """What an item is called, so that words and items mean the same (Zheng et al. 2024, LC-Rec)."""

    titles: Sequence[str]
    """Of every item; empty where it has none."""
    items_per_example: int = 8
    name: str = "title"
    max_history: int = field(default=0, init=False)

    def slots(self, rng: np.random.Generator) -> Slots:
        """No slots."""
        return {}

    def ask(self, item_rows: Int[np.ndarray, " items"]) -> Example:
        """Ask for the title of each item, one prediction per item."""
        return _of_each(_NOTHING, item_rows)

    def example(self, history: History, slots: Slots, rng: np.random.Generator) -> Example | None:
        """Any items of the catalogue are asked about, so that rare ones are learned as well."""
        drawn = rng.integers(len(self.titles), size=self.items_per_example)
        rows = np.asarray([row for row in drawn.tolist() if self.titles[row]], dtype=np.int64)
        if len(rows) == 0:
            return None
        return replace(self.ask(rows), target_texts=[self.titles[row] for row in rows])


@dataclass(frozen=True)
class NextTitle:
    """What comes next, answered by its title."""

    max_history: int
    titles: Sequence[str]
    """Of every item; empty where it has none: such an item is not asked for."""
    max_predictions: int = 6
    """At most so many places of a window are asked from, since titles are long."""
    name: str = "next-title"

    def slots(self, rng: np.random.Generator) -> Slots:
        """No slots."""
        return {}

    def ask(self, history: History) -> Example:
        """Ask for the title of the next item."""
        seen = history.last(self.max_history)
        return asking(seen, [len(seen)])

    def example(self, history: History, slots: Slots, rng: np.random.Generator) -> Example | None:
        """Some events of a window are asked for, each seen from those before it."""
        window = random_window(history, self.max_history + 1, rng)
        titled = [p for p in range(1, len(window)) if self.titles[window.item_rows[p]]]
        places = _some(titled, self.max_predictions, rng)
        if len(places) == 0:
            return None
        prompt = asking(window.take(slice(0, int(places[-1]))), places)
        return replace(
            prompt, target_texts=[self.titles[window.item_rows[place]] for place in places]
        )


@dataclass(frozen=True)
class Profile:
    """What the user likes, as one sentence made from facts."""

    max_history: int
    facts: Facts
    max_predictions: int = 4
    name: str = "profile"

    def slots(self, rng: np.random.Generator) -> Slots:
        """No slots."""
        return {}

    def ask(self, history: History) -> Example:
        """Ask what the user likes."""
        seen = history.last(self.max_history)
        return asking(seen, [len(seen)])

    def example(self, history: History, slots: Slots, rng: np.random.Generator) -> Example | None:
        """After some events of a window the reply tells of the items so far."""
        window = random_window(history, self.max_history, rng)
        prefix_lengths = _some(range(1, len(window) + 1), self.max_predictions, rng)
        told = {int(cut): self.facts.profile(window.item_rows[:cut]) for cut in prefix_lengths}
        target_texts = {cut: sentence for cut, sentence in told.items() if sentence is not None}
        if not target_texts:
            return None
        prompt = asking(window.take(slice(0, max(target_texts))), list(target_texts))
        return replace(prompt, target_texts=list(target_texts.values()))


def rating_levels(ratings: Float[np.ndarray, " events"]) -> tuple[float, ...]:
    """Return the ratings that are given, ascending; of a fine scale, evenly spaced ones.

    Example:
        >>> rating_levels(np.asarray([4.0, np.nan, 1.0, 4.0]))
        (1.0, 4.0)
    """
    given = np.unique(np.round(ratings[~np.isnan(ratings)].astype(np.float64), 2))
    if len(given) > _MOST_LEVELS:
        given = np.round(np.linspace(given[0], given[-1], _MOST_LEVELS + 1), 2)
    return tuple(given.tolist())


def plain_titles(catalog: Catalog) -> list[str]:
    """Return the title of each item as one short line; empty where it has none."""
    return [one_line(title or "", _MAX_TITLE) for title in catalog.table["title"].to_list()]


def unseen_items(
    history: History, n: int, num_items: int, rng: np.random.Generator
) -> Int[np.ndarray, " unseen"]:
    """Return ``n`` different items that are not in a history, fewer only where there are fewer."""
    seen = np.unique(history.item_rows)
    drawn = rng.choice(num_items, min(num_items, n + len(seen)), replace=False)
    return np.asarray(drawn[~np.isin(drawn, seen)][:n])


def asking(
    history: History,
    prefix_lengths: Sequence[int] | Int[np.ndarray, " predictions"],
    *,
    candidates: Int[np.ndarray, "predictions candidates"] | None = None,
    context: str = "",
) -> Example:
    """Return a prompt that words answer: it has no targets, and no replies yet."""
    return Example(
        history=history,
        prefix_lengths=np.asarray(prefix_lengths),
        targets=np.zeros((len(prefix_lengths), 0), dtype=np.int64),
        context=context,
        candidates=candidates,
    )


def _of_each(history: History, item_rows: Int[np.ndarray, " items"]) -> Example:
    """Ask about each item at the end of the history."""
    prefix_lengths = np.full(len(item_rows), len(history))
    return asking(history, prefix_lengths, candidates=item_rows[:, None])


def _before(
    window: History,
    places: Int[np.ndarray, " predictions"],
    asked: Int[np.ndarray, " predictions"],
    target_texts: Sequence[str],
) -> Example | None:
    """Ask about one item before each of some events; None where there is not one."""
    if len(places) == 0:
        return None
    prompt = asking(window.take(slice(0, int(places[-1]))), places, candidates=asked[:, None])
    return replace(prompt, target_texts=target_texts)


def _yes_or_no(true: Bool[np.ndarray, " predictions"]) -> list[str]:
    return [YES if one else NO for one in true]


def _some(places: Sequence[int], most: int, rng: np.random.Generator) -> Int[np.ndarray, " chosen"]:
    """Return at most ``most`` of the places, ascending."""
    return np.sort(rng.permutation(np.asarray(places, dtype=np.int64))[:most])
