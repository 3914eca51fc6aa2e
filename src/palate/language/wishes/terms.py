"""The terms of a catalogue: what wishes can name, and the items that each term is true of."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Int

from palate.data.catalog import Catalog
from palate.language.wishes.words import SMALL, Phrase, phrase_of

LabelKind = Literal["category", "brand", "attribute"]

MAX_PHRASE = 6
"""Words of the longest name that is looked up."""
UBIQUITOUS = 0.8
"""A term that is true of a larger share of the items tells nothing."""
_MOST_COMMON_WORD = 0.3
_MAX_TEXT = 2_000
"""Characters read of a description."""
_MAX_NAME = 60
_MIN_TITLE_WORDS = 2
_KNOWN = frozenset(
    {"item_id", "title", "description", "brand", "categories", "price", "image", "image_url"}
)
_PART = re.compile(r"\s*(?:&|,|/|;|\band\b)\s*")
_LEAST_SHARED = 0.4
"""Share of the items with a value that others share, for a column to be an attribute."""
_YEARS = (1_800, 2_100)
_NO_ROWS = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Described:
    """What is known of one item, in plain words."""

    title: str
    brand: str
    categories: tuple[str, ...]
    price: float | None
    description: str
    attributes: tuple[tuple[str, str], ...] = ()
    """Column and value."""


@dataclass(frozen=True, slots=True)
class Label:
    """A category, brand or attribute of items."""

    kind: LabelKind
    name: str
    column: str = ""
    """Of an attribute."""


@dataclass(frozen=True, eq=False)
class Terms:
    """The labels and words of a catalogue, and the items that have each."""

    labels: tuple[Label, ...]
    label_rows: tuple[Int[np.ndarray, " _"], ...]
    """Items of each label, ascending."""
    item_labels: tuple[frozenset[int], ...]
    item_words: tuple[frozenset[str], ...]
    """Folded words of the title, brand and categories of each item."""
    phrases: Mapping[Phrase, tuple[int, ...]]
    """Labels by their folded words."""
    word_rows: Mapping[str, Int[np.ndarray, " _"]]
    """Items by a word of the title, brand or categories."""
    told_rows: Mapping[str, Int[np.ndarray, " _"]]
    """Items by a word of the description alone."""
    titles: Mapping[Phrase, int]
    """The first item of each title."""
    prices: Float[np.ndarray, " items"]
    """NaN where unknown."""

    @classmethod
    def of(cls, items: Sequence[Described]) -> "Terms":
        """Collect the terms of a catalogue."""
        numbers: dict[tuple[str, str, Phrase], int] = {}
        names: list[Label] = []
        item_labels = [
            frozenset(_number(label, numbers, names) for label in _labels(item)) for item in items
        ]
        words = [_words_of(item) for item in items]
        told = [_described_words(item) - own for item, own in zip(items, words, strict=True)]
        labels = tuple(names)
        return cls(
            labels=labels,
            label_rows=_inverted(item_labels, len(labels)),
            item_labels=tuple(item_labels),
            item_words=tuple(words),
            phrases=_phrases(labels),
            word_rows=_by_word(words),
            told_rows=_by_word(told),
            titles=_titles(items),
            prices=np.asarray(
                [np.nan if item.price is None else item.price for item in items], dtype=np.float64
            ),
        )

    @classmethod
    def of_catalog(cls, catalog: Catalog) -> "Terms":
        """Collect the terms of a catalogue on disk."""
        return cls.of(described(catalog))

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.prices)

    @property
    def has_prices(self) -> bool:
        """Whether any item has a price."""
        return bool((~np.isnan(self.prices)).any())

    @cached_property
    def share(self) -> Float[np.ndarray, " labels"]:
        """Share of the items that have each label."""
        return np.asarray([len(rows) / max(len(self), 1) for rows in self.label_rows])

    def mask(self, label: int) -> Bool[np.ndarray, " items"]:
        """Return the items with a label."""
        mask = np.zeros(len(self), dtype=bool)
        mask[self.label_rows[label]] = True
        return mask

    def with_word(self, word: str) -> Float[np.ndarray, " items"]:
        """Return 1 for items named by a word, 1/2 where only the description has it, else 0."""
        found = np.zeros(len(self), dtype=np.float32)
        found[self.told_rows.get(word, _NO_ROWS)] = 0.5
        found[self.word_rows.get(word, _NO_ROWS)] = 1.0
        return found

    def num_with(self, word: str) -> int:
        """Return the number of items that have a word anywhere."""
        return len(self.word_rows.get(word, ())) + len(self.told_rows.get(word, ()))

    def tells(self, word: str) -> bool:
        """Return whether a word separates items: some have it, but not a large share."""
        named = self.num_with(word)
        return 0 < named <= max(1, _MOST_COMMON_WORD * len(self)) and word not in SMALL

    def rarity(self, word: str) -> float:
        """Return ``log(1 + items / items with the word)``."""
        return float(np.log1p(len(self) / max(self.num_with(word), 1)))

    def is_ordinary(self, label: int) -> bool:
        """Return whether a name of one word is used of other items as often as of its own."""
        phrase = phrase_of(self.labels[label].name)
        if len(phrase) != 1:
            return False
        others = np.setdiff1d(self.word_rows.get(phrase[0], _NO_ROWS), self.label_rows[label])
        return len(others) > max(3, 2 * len(self.label_rows[label]))

    @cached_property
    def finest(self) -> Int[np.ndarray, " items"]:
        """The rarest category of each item that others share; -1 without any."""
        sizes = [
            len(rows) if label.kind == "category" and len(rows) > 1 else 0
            for label, rows in zip(self.labels, self.label_rows, strict=True)
        ]
        return np.asarray(
            [
                min(((sizes[x], x) for x in labels if sizes[x]), default=(0, -1))[1]
                for labels in self.item_labels
            ],
            dtype=np.int64,
        )


def described(catalog: Catalog) -> list[Described]:
    """Return what a catalogue says of each item."""
    table = catalog.table
    attributes = attributes_of(table)
    names = ("title", "brand", "categories", "price", "description")
    return [
        Described(
            title or "",
            brand or "",
            tuple(categories or ()),
            None if price is None else float(price),
            description or "",
            found,
        )
        for (title, brand, categories, price, description), found in zip(
            table.select(names).iter_rows(), attributes, strict=True
        )
    ]


def attributes_of(table: pl.DataFrame) -> list[tuple[tuple[str, str], ...]]:
    """Return the attributes of each item: values of the catalogue's own columns of labels.

    A text column counts if its values, cut at commas, are short and mostly shared by items; a
    column ``year`` gives decades.
    """
    found: list[list[tuple[str, str]]] = [[] for _ in range(len(table))]
    for name in table.columns:
        if name in _KNOWN:
            continue
        for row, values in enumerate(_values(table[name])):
            found[row] += [(name, value) for value in values]
    return [tuple(pairs) for pairs in found]


def _values(column: pl.Series) -> list[tuple[str, ...]]:
    nothing: list[tuple[str, ...]] = [()] * len(column)
    if column.dtype.is_integer() and column.name == "year":
        low, high = _YEARS
        return [
            (f"{year // 10 * 10}s",) if year is not None and low <= year <= high else ()
            for year in column.to_list()
        ]
    if column.dtype != pl.String:
        return nothing
    values = [
        tuple(v for x in (text or "").split(",") if (v := x.strip()) and _is_name(v))
        for text in column.to_list()
    ]
    counts = Counter(v for of_item in values for v in of_item)
    shared = sum(any(counts[v] > 1 for v in of_item) for of_item in values)
    if shared < _LEAST_SHARED * len(values):
        return nothing
    return [tuple(v for v in of_item if counts[v] > 1) for of_item in values]


def _number(label: Label, numbers: dict[tuple[str, str, Phrase], int], names: list[Label]) -> int:
    """Return the number of a label; names that differ in case or marks alone are one label."""
    key = (label.kind, label.column, phrase_of(label.name) or (label.name,))
    number = numbers.setdefault(key, len(numbers))
    if number == len(names):
        names.append(label)
    return number


def _is_name(value: str) -> bool:
    return 1 < len(value) <= _MAX_NAME and value[0].isalpha()


def _labels(item: Described) -> Iterable[Label]:
    yield from (Label("category", name) for name in item.categories if name.strip())
    if item.brand.strip():
        yield Label("brand", item.brand.strip())
    yield from (Label("attribute", value, column) for column, value in item.attributes)


def _words_of(item: Described) -> frozenset[str]:
    named = " ".join([item.title, item.brand, *item.categories])
    return frozenset(phrase_of(named[:_MAX_TEXT]))


def _described_words(item: Described) -> frozenset[str]:
    return frozenset(phrase_of(item.description[:_MAX_TEXT]))


def _inverted(of_items: Sequence[frozenset[int]], count: int) -> tuple[Int[np.ndarray, " _"], ...]:
    rows: list[list[int]] = [[] for _ in range(count)]
    for row, labels in enumerate(of_items):
        for label in labels:
            rows[label].append(row)
    return tuple(np.asarray(found, dtype=np.int64) for found in rows)


def _by_word(words: Sequence[frozenset[str]]) -> dict[str, Int[np.ndarray, " _"]]:
    rows: defaultdict[str, list[int]] = defaultdict(list)
    for row, found in enumerate(words):
        for word in found:
            rows[word].append(row)
    return {word: np.asarray(found, dtype=np.int64) for word, found in rows.items()}


def _titles(items: Sequence[Described]) -> dict[Phrase, int]:
    found: dict[Phrase, int] = {}
    for row, item in enumerate(items):
        phrase = phrase_of(item.title[:_MAX_TEXT])
        if len(phrase) >= _MIN_TITLE_WORDS:
            found.setdefault(phrase, row)
    return found


def _phrases(labels: Sequence[Label]) -> dict[Phrase, tuple[int, ...]]:
    """Return the labels by their words; parts of a compound name stand for it where free."""
    whole: defaultdict[Phrase, list[int]] = defaultdict(list)
    parts: defaultdict[Phrase, list[int]] = defaultdict(list)
    for number, label in enumerate(labels):
        phrase = phrase_of(label.name)
        if 0 < len(phrase) <= MAX_PHRASE:
            whole[phrase].append(number)
        for other in _other_names(label):
            if other != phrase and not SMALL.issuperset(other):
                parts[other].append(number)
    named = {phrase: tuple(found) for phrase, found in parts.items() if phrase}
    return named | {phrase: tuple(found) for phrase, found in whole.items()}


def _other_names(label: Label) -> list[Phrase]:
    if label.kind == "category":
        pieces = _PART.split(label.name)
        return [phrase_of(piece) for piece in pieces] if len(pieces) > 1 else []
    if label.column == "year":
        return [(label.name[2:-1],), phrase_of(label.name[2:])]
    return []
