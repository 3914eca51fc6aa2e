"""Facets: categories, brands and prices of a catalogue, with counts."""

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
    """Most frequent first, ties by name."""
    total: int
    """Total number of different labels."""


@dataclass(frozen=True)
class PriceRange:
    """Lowest and highest price, and the number of items with a price."""

    min: float
    max: float
    count: int


@dataclass(frozen=True)
class Facets:
    """Facets of a catalogue."""

    items: int
    in_stock: int
    categories: LabelCounts
    brands: LabelCounts
    price: PriceRange | None
    """None where no item has a price."""


def facets(columns: ItemColumns, among: Bool[np.ndarray, " items"], most: int) -> Facets:
    """Count the facets of some items, with at most ``most`` labels of each kind."""
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
    # Ties at the last rank are broken by name, so all labels of that frequency are candidates.
    least = np.partition(counts[there], -most)[-most] if len(there) > most else 1
    found = [
        LabelCount(labels.names[code], int(counts[code])) for code in there[counts[there] >= least]
    ]
    found.sort(key=lambda one: (-one.count, one.name.casefold()))
    return LabelCounts(tuple(found[:most]), len(there))
