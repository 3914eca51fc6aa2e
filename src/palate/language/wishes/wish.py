"""A wish: conditions on items, and which items meet them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from palate.language.wishes.terms import Terms

PriceLevel = Literal["low", "high"]
_LEVEL_SHARE = 1 / 3
"""Share of the items, by price, that count as cheap, and as dear."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for; labels and items are numbers of one :class:`Terms`."""

    wanted: tuple[int, ...] = ()
    avoided: tuple[int, ...] = ()
    words: tuple[str, ...] = ()
    """Folded words that the items should have."""
    avoided_words: tuple[str, ...] = ()
    price_min: float | None = None
    price_max: float | None = None
    price_level: PriceLevel | None = None
    like: tuple[int, ...] = ()
    """Items that the answer should resemble."""
    unlike_history: bool = False
    for_other: bool = False
    """Whether it is for somebody whose history this is not."""

    @property
    def is_strict(self) -> bool:
        """Whether it has conditions that an item fulfils or does not."""
        priced = (self.price_min, self.price_max, self.price_level)
        return bool(self.wanted or self.like or self.unlike_history) or any(
            bound is not None for bound in priced
        )

    @property
    def says_nothing(self) -> bool:
        """Whether nothing is asked for."""
        avoids = self.avoided or self.avoided_words
        return not (self.is_strict or avoids or self.words or self.for_other)


def meets(wish: Wish, terms: Terms, row: int) -> bool:
    """Return whether one item meets all of a wish, words included; likeness is not looked at."""
    labels, words, price = terms.item_labels[row], terms.item_words[row], float(terms.prices[row])
    return (
        labels.issuperset(wish.wanted)
        and labels.isdisjoint(wish.avoided)
        and words.issuperset(wish.words)
        and words.isdisjoint(wish.avoided_words)
        and (wish.price_min is None or price >= wish.price_min)
        and (wish.price_max is None or price <= wish.price_max)
    )


def banned(wish: Wish, terms: Terms) -> Bool[np.ndarray, " items"]:
    """Return the items that a wish says no to."""
    mask = np.zeros(len(terms), dtype=bool)
    for label in wish.avoided:
        mask[terms.label_rows[label]] = True
    for word in wish.avoided_words:
        mask |= terms.with_word(word) > 0
    return mask


def unmet(
    wish: Wish, terms: Terms, history: Int[np.ndarray, " events"]
) -> Int[np.ndarray, " items"]:
    """Return how many conditions of a wish each item fails.

    Labels of one kind that no item has together mean any of them. *Cheap* and *dear* mean the
    lowest and the highest third of the prices of the items that meet the rest.

    Args:
        wish: what is asked for.
        terms: of the catalogue.
        history: rows of the user's items, for *unlike the rest*.
    """
    conditions = [*_label_masks(wish, terms), *_price_bounds(wish, terms)]
    if wish.unlike_history:
        conditions.append(~_same_kind(terms, history))
    if wish.like and not _names_category(wish, terms):
        conditions.append(_same_kind(terms, np.asarray(wish.like)))
    failed = np.zeros(len(terms), dtype=np.int64)
    for met in conditions:
        failed += ~met
    if wish.price_level is not None:
        failed += ~_at_level(wish.price_level, terms, (failed == 0) & has_words(wish, terms))
    return failed


def has_words(wish: Wish, terms: Terms) -> Bool[np.ndarray, " items"]:
    """Return the items that have all words of a wish; all items where none has."""
    every = np.ones(len(terms), dtype=bool)
    for word in wish.words:
        every &= terms.with_word(word) > 0
    return every if every.any() else ~every


def coverage(words: Sequence[str], terms: Terms) -> Float[np.ndarray, " items"]:
    """Return how far each item has some words, from 0 to 1; rare words count more.

    Half of it is ``sum_w rarity(w) has(i, w) / sum_w rarity(w)``, where ``has`` is 1 for a word of
    the title, brand or categories and 1/2 for one of the description alone; the other half is for
    an item that has all of the words.
    """
    total = np.zeros(len(terms), dtype=np.float32)
    every = np.ones(len(terms), dtype=bool)
    weights = [terms.rarity(word) for word in words]
    for word, weight in zip(words, weights, strict=True):
        found = terms.with_word(word)
        total += np.float32(weight) * found
        every &= found > 0
    share = total / np.float32(max(sum(weights), 1e-9))
    return np.asarray((share + every) / 2, dtype=np.float32)


def _label_masks(wish: Wish, terms: Terms) -> list[Bool[np.ndarray, " items"]]:
    """Return a mask for each condition on labels; attributes of one name are alternatives."""
    groups: dict[tuple[str, str], list[np.ndarray]] = {}
    for number in wish.wanted:
        label = terms.labels[number]
        name = label.name if label.kind == "attribute" else ""
        groups.setdefault((label.kind, name), []).append(terms.mask(number))
    return [
        _together(masks) if kind != "attribute" else np.asarray(np.logical_or.reduce(masks))
        for (kind, _), masks in groups.items()
    ]


def _together(masks: Sequence[np.ndarray]) -> Bool[np.ndarray, " items"]:
    every: np.ndarray = np.logical_and.reduce(masks)
    return every if every.any() else np.asarray(np.logical_or.reduce(masks))


def _price_bounds(wish: Wish, terms: Terms) -> list[Bool[np.ndarray, " items"]]:
    met = []
    if wish.price_min is not None:
        met.append(terms.prices >= wish.price_min)
    if wish.price_max is not None:
        met.append(terms.prices <= wish.price_max)
    return met


def _at_level(
    level: PriceLevel, terms: Terms, among: Bool[np.ndarray, " items"]
) -> Bool[np.ndarray, " items"]:
    prices = terms.prices[among & ~np.isnan(terms.prices)]
    if not len(prices):
        return np.ones(len(terms), dtype=bool)
    if level == "low":
        return np.asarray(terms.prices <= np.quantile(prices, _LEVEL_SHARE))
    return np.asarray(terms.prices >= np.quantile(prices, 1 - _LEVEL_SHARE))


def _names_category(wish: Wish, terms: Terms) -> bool:
    return any(terms.labels[label].kind == "category" for label in wish.wanted)


def _same_kind(terms: Terms, rows: Int[np.ndarray, " rows"]) -> Bool[np.ndarray, " items"]:
    """Return the items whose finest category is that of any of some items."""
    kinds = np.unique(terms.finest[rows[rows < len(terms)]])
    return np.isin(terms.finest, kinds[kinds >= 0])
