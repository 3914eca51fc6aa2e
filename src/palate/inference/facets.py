"""What a catalogue can be filtered by: its categories, its brands and its prices, counted."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from palate.inference.filters import ItemColumns, Labels


@dataclass(frozen=True)
class LabelCount:
    """A label and how many items have it."""

    name: str
    count: int


@dataclass(frozen=True)
class LabelCounts:
    """The most frequent labels of one kind."""

    most: tuple[LabelCount, ...]
    """Most frequent first; equals by name."""
    total: int
    """How many different labels there are, those left out included."""


@dataclass(frozen=True)
class PriceRange:
    """Lowest and highest price, and how many items have one."""

    min: float
    max: float
    count: int


@dataclass(frozen=True)
class Facets:
    """What the items of a catalogue have in common."""

    items: int
    in_stock: int
    categories: LabelCounts
    brands: LabelCounts
    price: PriceRange | None
    """None where no item has a price."""


def facets(columns: ItemColumns, among: Bool[np.ndarray, " items"], most: int) -> Facets:
    """Count what some items can be filtered by; of each kind of label at most ``most``."""
    prices = columns.prices[among]
    prices = prices[~np.isnan(prices)]
    return Facets(
        items=int(among.sum()),
        in_stock=int((columns.in_stock & among).sum()),
        categories=_most_frequent(columns.categories, among, most),
        brands=_most_frequent(columns.brands, among, most),
        price=PriceRange(float(prices.min()), float(prices.max()), len(prices))
        if len(prices)
        else None,
    )


def _most_frequent(labels: Labels, among: Bool[np.ndarray, " items"], most: int) -> LabelCounts:
    counts = labels.counts(among)
    there = np.flatnonzero(counts)
    # Ties at the last place fall by name: every label as frequent as that one is looked at.
    least = np.partition(counts[there], -most)[-most] if len(there) > most else 1
    found = [
        LabelCount(labels.names[code], int(counts[code])) for code in there[counts[there] >= least]
    ]
    found.sort(key=lambda one: (-one.count, one.name.casefold()))
    return LabelCounts(tuple(found[:most]), len(there))
