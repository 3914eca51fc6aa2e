"""Wishes for training: drawn from what items are, and said in many ways."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int

from palate.language.wishes.terms import UBIQUITOUS, Label, Terms
from palate.language.wishes.wish import Wish

_MOST = 120_000
"""Wishes of a pool; a larger catalogue gets fewer of each item."""
_LEAST_SHARING = 2
"""A word in fewer items is a name of its own."""
_ROUND = (1, 1.5, 2, 2.5, 3, 4, 5, 6, 7.5, 8)
"""Prices that people say, times a power of ten."""
_TRIES = 8
_COUNTS = (0.5, 0.85)
"""Chances of one condition, and of at most two of the three."""
_KINDS = (0.475, 0.715, 0.88)
"""Chances that a condition is a label, at most a word, at most a price; the rest says no."""

FRAMES = (
    *("{}", "{} please", "i want {}", "i am looking for {}", "show me {}", "find me {}"),
    *("i need {}", "recommend {}", "something like this: {}", "any {} for me", "what about {}"),
    *("today i feel like {}", "i am in the mood for {}", "it should be {}", "get me {}"),
    *("i would like {}", "searching for {}", "my next one should be {}", "{} , what do you have"),
    *("more {}", "some {} that i would like", "my kind of {}"),
)
"""How a wish begins and ends."""

_CATEGORY = ("{}", "{}", "something from {}", "an item of {}", "anything in {}", "{} items")
_BRAND = ("by {}", "from {}", "{}", "of the brand {}", "something by {}")
_ATTRIBUTE = ("{}", "with {}", "{} {column}", "{column} {}")
_WORD = ("{}", "with {}", "something {}", "{} ones", "{} kind")
_UNDER = ("under {}", "below {}", "for less than {}", "at most {}", "not over {}", "up to {}")
_OVER = ("over {}", "above {}", "more than {}", "at least {}")
_NOT = ("but not {}", "no {}", "without {}", "not {}", "except {}", "but no {}", "other than {}")
_ALONE = ("something", "anything", "an item", "surprise", "one")

WORDINGS = (*FRAMES, *_CATEGORY, *_BRAND, *_WORD, *_UNDER, *_OVER, *_NOT, *_ALONE)
"""All that is said around what is wished for."""


@dataclass(frozen=True, eq=False)
class WishPool:
    """Wishes of every item: item ``i`` has the wishes ``offsets[i]:offsets[i + 1]``."""

    terms: Terms
    wishes: Sequence[Wish]
    contents: Sequence[str]
    """What the items of each wish should be, in a few words."""
    offsets: Int[np.ndarray, " bounds"]

    def choose(self, item_row: int, rng: np.random.Generator) -> int | None:
        """Return the index of a random wish that the item meets; None where it has none."""
        start, end = int(self.offsets[item_row]), int(self.offsets[item_row + 1])
        return int(rng.integers(start, end)) if end > start else None

    def said(self, index: int, rng: np.random.Generator) -> str:
        """Return a wish in random words."""
        return say(self.wishes[index], self.terms, rng)


@dataclass(frozen=True, slots=True)
class _Item:
    """What can be said of one item."""

    row: int
    labels: Sequence[int]
    words: Sequence[str]
    price: float
    """NaN where unknown."""


def make_wishes(terms: Terms, per_item: int, *, seed: int) -> WishPool:
    """Draw up to ``per_item`` wishes that each item meets."""
    rng = np.random.default_rng([seed, 0x315])
    per_item = max(1, min(per_item, _MOST // max(len(terms), 1)))
    wishes: list[Wish] = []
    offsets = [0]
    for row in range(len(terms)):
        item = _item(terms, row)
        drawn = [_drawn(terms, item, rng) for _ in range(per_item)]
        wishes += dict.fromkeys(wish for wish in drawn if not wish.says_nothing)
        offsets.append(len(wishes))
    contents = [content_of(wish, terms) for wish in wishes]
    return WishPool(terms, wishes, contents, np.asarray(offsets))


def draw_wish(terms: Terms, row: int, rng: np.random.Generator) -> Wish | None:
    """Return a random wish that an item meets: one to three conditions; None without any."""
    wish = _drawn(terms, _item(terms, row), rng)
    return None if wish.says_nothing else wish


def _drawn(terms: Terms, item: _Item, rng: np.random.Generator) -> Wish:
    wish = Wish()
    for _ in range(1 + int(np.searchsorted(_COUNTS, rng.random()))):
        wish = _with_one_more(wish, item, terms, rng)
    return wish


def _with_one_more(wish: Wish, item: _Item, terms: Terms, rng: np.random.Generator) -> Wish:
    kind = int(np.searchsorted(_KINDS, rng.random()))
    if kind == 0 and item.labels:
        chosen = item.labels[int(rng.integers(len(item.labels)))]
        return replace(wish, wanted=tuple(dict.fromkeys((*wish.wanted, chosen))))
    if kind == 1 and item.words:
        word = item.words[int(rng.integers(len(item.words)))]
        return replace(wish, words=tuple(dict.fromkeys((*wish.words, word))))
    if kind == 2 and item.price > 0:
        return _priced(wish, item.price, rng)
    avoided = _other_label(terms, item, rng)
    return wish if avoided is None else replace(wish, avoided=(avoided,))


def _priced(wish: Wish, price: float, rng: np.random.Generator) -> Wish:
    steps = [step * 10.0**power for power in range(-2, 6) for step in _ROUND]
    above = [value for value in steps if value >= price]
    below = [value for value in steps if value <= price]
    if above and (rng.random() < 0.75 or not below):
        return replace(wish, price_max=above[min(int(rng.integers(4)), len(above) - 1)])
    if not below:
        return wish
    return replace(wish, price_min=below[-1 - min(int(rng.integers(3)), len(below) - 1)])


def _item(terms: Terms, row: int) -> _Item:
    labels = sorted(
        label
        for label in terms.item_labels[row]
        if terms.share[label] <= UBIQUITOUS and len(terms.label_rows[label]) >= _LEAST_SHARING
    )
    words = sorted(
        word
        for word in terms.item_words[row]
        if len(word) > 2
        and word.isalpha()
        and len(terms.word_rows[word]) >= _LEAST_SHARING
        and terms.tells(word)
    )
    return _Item(row, labels, words, float(terms.prices[row]))


def _other_label(terms: Terms, item: _Item, rng: np.random.Generator) -> int | None:
    """Return a label of another item that shares one with this item, which this item lacks."""
    for _ in range(_TRIES if item.labels else 0):
        rows = terms.label_rows[item.labels[int(rng.integers(len(item.labels)))]]
        row = int(rows[rng.integers(len(rows))])
        other = sorted(terms.item_labels[row] - terms.item_labels[item.row])
        if other:
            return other[int(rng.integers(len(other)))]
    return None


def content_of(wish: Wish, terms: Terms) -> str:
    """Return the names and words that a wish wants, without how it is said."""
    return " ".join([*(terms.labels[label].name for label in wish.wanted), *wish.words])


def say(wish: Wish, terms: Terms, rng: np.random.Generator) -> str:
    """Return a wish in random words of :data:`FRAMES` and of the wordings of its parts."""
    pieces = [*(_label_words(terms.labels[label], rng) for label in wish.wanted)]
    pieces += [_some(_WORD, rng).format(word) for word in wish.words]
    pieces = [pieces[place] for place in rng.permutation(len(pieces))]
    if not pieces:
        pieces = [_some(_ALONE, rng)]
    if wish.price_max is not None:
        pieces.append(_some(_UNDER, rng).format(_money(wish.price_max, rng)))
    if wish.price_min is not None:
        pieces.append(_some(_OVER, rng).format(_money(wish.price_min, rng)))
    avoided = [terms.labels[label].name for label in wish.avoided] + [*wish.avoided_words]
    pieces += [_some(_NOT, rng).format(_cased(name, rng)) for name in avoided]
    return _some(FRAMES, rng).format(" ".join(pieces))


def _label_words(label: Label, rng: np.random.Generator) -> str:
    wordings = {"category": _CATEGORY, "brand": _BRAND, "attribute": _ATTRIBUTE}[label.kind]
    return _some(wordings, rng).format(_cased(label.name, rng), column=label.column)


def _cased(name: str, rng: np.random.Generator) -> str:
    return name if rng.random() < 0.5 else name.lower()


def _money(price: float, rng: np.random.Generator) -> str:
    return f"{price:g}" if rng.random() < 0.5 else f"${price:g}"


def _some(wordings: Sequence[str], rng: np.random.Generator) -> str:
    return wordings[int(rng.integers(len(wordings)))]
