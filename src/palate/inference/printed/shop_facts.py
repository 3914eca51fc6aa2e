"""Facts of a catalogue that sentences can state, by item row."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import polars as pl

from palate.data.catalog import Catalog
from palate.inference.item_view import ItemView
from palate.inference.printed.statements import RELATIONS
from palate.language.text.aspects import STOP
from palate.language.text.facts import Facts
from palate.language.text.plain import one_line, without_markup
from palate.trust.names import Word, words_of
from palate.trust.sentences import split_sentences

_MAX_VALUE = 60
_MOST_READ = 20_000
"""Descriptions in which pairs of words are counted."""
_COMMON_CATEGORY = 0.6
"""A category of more of the items than this says nothing."""
_FEWEST_WITH, _MOST_WITH = 3, 0.04
"""Number and share of the descriptions that hold a telling pair of words."""
_SHORTEST, _LONGEST = 7, 40
"""Words of a sentence of a description that is printed."""
_MAX_SENTENCE = 260
_HOLLOW_WORDS = """
book books novel novels story stories fans fan reader readers enjoy enjoyed likely user users
customer customers item items product products film movie series author love loved recommend
recommended highly appreciate interested looking find based compelling
"""
_HOLLOW = frozenset(_HOLLOW_WORDS.split())

_DOUBT = re.compile(
    r"^(?:However|But|Although|Though|While|Unfortunately|He|She|They|His|Her|Overall|Additionally"
    r"|Also|Therefore|Despite)\b|\bsome (?:readers|users|viewers|customers|may|might|found|felt)\b"
    r"|\bmay not\b|\bdisappoint",
)
"""What begins in another sentence, or tells of readers who were not pleased."""


@dataclass(frozen=True, eq=False)
class ShopFacts:
    """Facts of one state of the catalogue."""

    views: Sequence[ItemView]
    catalog: Catalog
    """The catalogue of training, for columns that views do not hold."""

    def values(self, column: str, row: int) -> tuple[str, ...]:
        """Return the values of an item in a column, none where it has none."""
        view = self.views[row]
        match column:
            case "brand":
                found: Sequence[str] = (view.brand,) if view.brand else ()
            case "categories":
                found = view.categories
            case _:
                found = self._others[column][row] if row < len(self.catalog) else ()
        return tuple(line for value in found if (line := one_line(value, _MAX_VALUE)))

    @cached_property
    def relations(self) -> tuple[str, ...]:
        """The columns beside brand and categories that can be said."""
        return tuple(self._others)

    def shared(self, column: str, first: int, second: int) -> tuple[str, ...]:
        """Return what two items have in common in a column, the rarest first, two at most."""
        others = {value.casefold() for value in self.values(column, second)}
        both = [value for value in self.values(column, first) if value.casefold() in others]
        if column == "categories":
            both = [value for value in both if self._share(value) <= _COMMON_CATEGORY]
            both.sort(key=lambda value: (self._share(value), value))
        return tuple(dict.fromkeys(both))[:2]

    def rarity(self, column: str, values: Sequence[str]) -> float:
        """Return how telling shared values are; that of columns with many values is high."""
        if column != "categories":
            return 3.0 if column != "actors" else 2.0
        return 1 - min((self._share(value) for value in values), default=1.0)

    @cached_property
    def facts(self) -> Facts:
        """Categories and brands, for what stands out among several items."""
        return Facts(
            [self.values("categories", row) for row in range(len(self.views))],
            [(self.values("brand", row) or ("",))[0] for row in range(len(self.views))],
        )

    def price(self, row: int) -> float | None:
        """Return the price of an item."""
        price = self.views[row].price
        return price if price is not None and price > 0 else None

    def described(self, row: int) -> str | None:
        """Return the first sentence of a description that can stand alone."""
        description = without_markup(self.views[row].description or "")
        return next(filter(_stands_alone, map(str.strip, split_sentences(description))), None)

    def alike(self, first: int, second: int) -> str | None:
        """Return the telling pair of words that both descriptions hold; None without one."""
        pairs = self._pairs
        most = max(_FEWEST_WITH, _MOST_WITH * len(self.views))
        both = set(_pairs_of(self.views[first])) & set(_pairs_of(self.views[second]))
        telling = [pair for pair in both if _FEWEST_WITH <= pairs.get(pair, 0) <= most]
        return min(telling, key=lambda pair: (-pairs[pair], pair), default=None)

    @cached_property
    def _pairs(self) -> Mapping[str, int]:
        step = -(-len(self.views) // _MOST_READ) or 1
        counts = Counter(pair for view in self.views[::step] for pair in set(_pairs_of(view)))
        return {pair: count * step for pair, count in counts.items() if count >= _FEWEST_WITH}

    @cached_property
    def _shares(self) -> Mapping[str, float]:
        counts = Counter(name for view in self.views for name in set(view.categories))
        return {name: count / len(self.views) for name, count in counts.items()}

    def _share(self, category: str) -> float:
        return self._shares.get(category, 0.0)

    @cached_property
    def _others(self) -> Mapping[str, Sequence[Sequence[str]]]:
        table = self.catalog.table
        known = {name.lower(): name for name in table.columns}
        columns = {relation: known[relation] for relation in RELATIONS if relation in known}
        return {
            relation: [_split(value) for value in table[name].to_list()]
            for relation, name in columns.items()
            if table[name].dtype == pl.String
        }


def _split(value: str | None) -> tuple[str, ...]:
    names = (name.strip() for name in (value or "").split(", "))
    return tuple(name for name in names if name and name.lower() not in {"n/a", "unknown", "none"})


def _pairs_of(view: ItemView) -> Iterator[str]:
    """Yield the pairs of neighbouring words of a description that may be an expression."""
    for sentence in split_sentences(without_markup(view.description or "")):
        for first, second in pairwise(words_of(sentence)):
            if (
                sentence[first.end : second.start] == " "
                and _is_telling(first)
                and _is_telling(second)
            ):
                yield f"{first.text} {second.text}"


def _is_telling(word: Word) -> bool:
    text = word.text
    return (
        text.islower()
        and text.isalpha()
        and len(text) > 3
        and text not in STOP
        and text not in _HOLLOW
        and not text.endswith(("ly", "ed"))
    )


def _stands_alone(sentence: str) -> bool:
    return (
        _SHORTEST <= len(sentence.split()) <= _LONGEST
        and len(sentence) <= _MAX_SENTENCE
        and sentence[:1].isupper()
        and sentence[-1:] in {".", "!"}
        and not re.search(r"\.\.|\b[A-Z]\.$", sentence)
        and not any(mark in sentence for mark in '"\u201c\u201d[]{}<>|')
        and sentence.count("(") == sentence.count(")")
        and "http" not in sentence
        and not _DOUBT.search(sentence)
    )
