"""Attributes of an item: brand, categories and price band, as a bag of attribute numbers."""

import json
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Int

from palate.errors import ArtifactError

_JSON = "attributes.json"
_LEAST = 2
"""A value needs at least this many items; with only one it is no better than the item's ID."""
_PRICE_BUCKETS = 10


@dataclass(frozen=True)
class AttributeBags:
    """The attributes of item ``i`` are ``indices[offsets[i]:offsets[i + 1]]``, possibly none."""

    offsets: Int[np.ndarray, " bounds"]
    indices: Int[np.ndarray, " entries"]

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.offsets) - 1


@dataclass(frozen=True)
class AttributeEncoder:
    """Brands and categories that at least two items share, and ten price bands of equal count."""

    brands: tuple[str, ...]
    categories: tuple[str, ...]
    price_edges: tuple[float, ...]
    """Inner borders of the price bands, increasing; empty if no item has a price."""

    @classmethod
    def fit(cls, table: pl.DataFrame) -> "AttributeEncoder":
        """Learn the attributes of a catalogue's table."""
        return cls(
            brands=_shared_values(table["brand"].cast(pl.String)),
            categories=_shared_values(_one_per_item(table)["categories"]),
            price_edges=_price_edges(table["price"].cast(pl.Float64)),
        )

    @property
    def num_attributes(self) -> int:
        """Number of attributes: those of brands, categories and price bands, in this order."""
        return len(self.brands) + len(self.categories) + self._num_bands

    @property
    def _num_bands(self) -> int:
        return len(self.price_edges) + 1 if self.price_edges else 0

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Name of each attribute, in the order of the indices."""
        brands = [f"brand: {name}" for name in self.brands]
        categories = [f"category: {name}" for name in self.categories]
        borders = ["", *(f"{edge:g}" for edge in self.price_edges), ""]
        bands = [f"price: {low}..{high}" for low, high in pairwise(borders)]
        return (*brands, *categories, *bands[: self._num_bands])

    def encode(self, table: pl.DataFrame) -> AttributeBags:
        """Return the attributes of each item of ``table``, without unknown values."""
        items = pl.DataFrame({"item": np.arange(len(table))})
        brands = items.with_columns(value=table["brand"].cast(pl.String))
        categories = _one_per_item(table).rename({"categories": "value"})
        found = [
            _places(brands, self.brands, 0),
            _places(categories, self.categories, len(self.brands)),
            self._price_places(table["price"].cast(pl.Float64)),
        ]
        pairs = np.concatenate(found)
        pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
        counts = np.bincount(pairs[:, 0], minlength=len(table))
        return AttributeBags(offsets=np.concatenate([[0], np.cumsum(counts)]), indices=pairs[:, 1])

    def _price_places(self, prices: pl.Series) -> Int[np.ndarray, "entries 2"]:
        if not self.price_edges:
            return np.zeros((0, 2), dtype=np.int64)
        values = prices.fill_null(float("nan")).to_numpy()
        items = np.flatnonzero(np.isfinite(values))
        bands = np.searchsorted(self.price_edges, values[items], side="right")
        return np.stack([items, bands + len(self.brands) + len(self.categories)], axis=1)

    def save(self, folder: Path) -> None:
        """Write the attributes as JSON."""
        folder.mkdir(parents=True, exist_ok=True)
        content = {
            "brands": self.brands,
            "categories": self.categories,
            "price_edges": self.price_edges,
        }
        (folder / _JSON).write_text(
            json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8"
        )

    @classmethod
    def load(cls, folder: Path) -> "AttributeEncoder":
        """Read what :meth:`save` wrote.

        Raises:
            ArtifactError: when the folder holds no attributes.
        """
        try:
            stored = json.loads((folder / _JSON).read_text(encoding="utf-8"))
            return cls(
                brands=tuple(stored["brands"]),
                categories=tuple(stored["categories"]),
                price_edges=tuple(stored["price_edges"]),
            )
        except (OSError, ValueError, KeyError) as error:
            raise ArtifactError(
                f"No attributes in {str(folder)!r}: {error}.", hint="Make the folder again."
            ) from error


def _one_per_item(table: pl.DataFrame) -> pl.DataFrame:
    """Return one row per distinct pair of item and category."""
    items = pl.DataFrame({"item": np.arange(len(table))})
    lists = table["categories"].cast(pl.List(pl.String))
    return items.with_columns(categories=lists).explode("categories").unique(maintain_order=True)


def _shared_values(values: pl.Series) -> tuple[str, ...]:
    counts = values.drop_nulls().value_counts(name="items")
    return tuple(counts.filter(pl.col("items") >= _LEAST)[values.name].sort().to_list())


def _places(
    pairs: pl.DataFrame, known: tuple[str, ...], first: int
) -> Int[np.ndarray, "entries 2"]:
    """Return (item, index) for each known value, where the index counts from ``first``."""
    numbered = pl.DataFrame(
        {"value": known, "index": np.arange(first, first + len(known))},
        schema={"value": pl.String, "index": pl.Int64},
    )
    return pairs.join(numbered, on="value").select("item", "index").to_numpy().astype(np.int64)


def _price_edges(prices: pl.Series) -> tuple[float, ...]:
    values = prices.drop_nulls().to_numpy()
    values = values[np.isfinite(values)]
    if not len(values):
        return ()
    shares = np.arange(1, _PRICE_BUCKETS) / _PRICE_BUCKETS
    return tuple(float(edge) for edge in np.unique(np.quantile(values, shares)))
