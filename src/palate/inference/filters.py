"""Filters by brand, category, price and stock, vectorised over the catalogue.

Labels are compared case-insensitively. Columns are immutable: a new catalogue state gets new ones.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

import numpy as np
from jaxtyping import Bool, Float, Int

from palate.errors import ConfigError
from palate.inference.item_view import ItemView


@dataclass(frozen=True)
class ItemFilter:
    """Conditions on items; an item without a price fails every price condition."""

    categories: tuple[str, ...] = ()
    """The item must have one of these categories; empty allows any."""
    brands: tuple[str, ...] = ()
    """The item must have one of these brands; empty allows any."""
    price_min: float | None = None
    price_max: float | None = None
    in_stock: bool | None = None
    """False also allows items that are out of stock; otherwise these are excluded."""


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels of items, as parallel arrays of (item, label) pairs."""

    codes: dict[str, int]
    """Code of each lower-cased label; shared by all states of a catalogue, append-only."""
    names: list[str]
    """Label of each code as first written; shared and append-only likewise."""
    rows: Int[np.ndarray, " pairs"]
    labels: Int[np.ndarray, " pairs"]

    @classmethod
    def of(cls, labels: Sequence[Iterable[str]]) -> "Labels":
        """Encode the labels of each item, in row order."""
        nothing = np.zeros(0, dtype=np.int64)
        return cls({}, [], nothing, nothing).replaced(np.arange(len(labels)), labels)

    def replaced(
        self, rows: Int[np.ndarray, " changed"], labels: Sequence[Iterable[str]]
    ) -> "Labels":
        """Return the labels with those of some rows replaced or appended."""
        pairs = [
            (int(row), code)
            for row, found in zip(rows, labels, strict=True)
            for code in {self._code(label) for label in found}
        ]
        added = np.asarray(pairs, dtype=np.int64).reshape(-1, 2)
        kept = ~np.isin(self.rows, rows)
        return Labels(
            self.codes,
            self.names,
            np.concatenate([self.rows[kept], added[:, 0]]),
            np.concatenate([self.labels[kept], added[:, 1]]),
        )

    def any_of(self, wanted: Sequence[str], num_items: int) -> Bool[np.ndarray, " items"]:
        """Return the mask of items with at least one of the ``wanted`` labels."""
        known = [self.codes.get(label.casefold(), -1) for label in wanted]
        mask = np.zeros(num_items, dtype=bool)
        mask[self.rows[np.isin(self.labels, known)]] = True
        return mask

    def counts(self, among: Bool[np.ndarray, " items"]) -> Int[np.ndarray, " labels"]:
        """Return the number of these items with each label, by code."""
        found = np.bincount(self.labels[among[self.rows]], minlength=len(self.names))
        return found.astype(np.int64)

    def _code(self, label: str) -> int:
        code = self.codes.setdefault(label.casefold(), len(self.codes))
        if code == len(self.names):
            self.names.append(label)
        return code


@dataclass(frozen=True, eq=False)
class ItemColumns:
    """Columns that filters read, one entry per catalogue row."""

    prices: Float[np.ndarray, " items"]
    """NaN where unknown."""
    in_stock: Bool[np.ndarray, " items"]
    brands: Labels
    categories: Labels

    @classmethod
    def of(cls, views: Sequence[ItemView]) -> "ItemColumns":
        """Build the columns from the views of all items."""
        return cls(
            prices=_prices(views),
            in_stock=_in_stock(views),
            brands=Labels.of([_brand(view) for view in views]),
            categories=Labels.of([view.categories for view in views]),
        )

    def replaced(
        self, rows: Int[np.ndarray, " changed"], views: Sequence[ItemView], num_items: int
    ) -> "ItemColumns":
        """Return the columns for ``num_items`` items, with some rows replaced by ``views``."""
        prices = grown(self.prices, num_items)
        prices[rows] = _prices(views)
        in_stock = grown(self.in_stock, num_items)
        in_stock[rows] = _in_stock(views)
        return ItemColumns(
            prices,
            in_stock,
            self.brands.replaced(rows, [_brand(view) for view in views]),
            self.categories.replaced(rows, [view.categories for view in views]),
        )

    def mask(self, wanted: ItemFilter) -> Bool[np.ndarray, " items"]:
        """Return the mask of items that fulfil a filter."""
        num_items = len(self.prices)
        mask = np.ones(num_items, dtype=bool) if wanted.in_stock is False else self.in_stock.copy()
        if wanted.price_min is not None:
            mask &= self.prices >= wanted.price_min
        if wanted.price_max is not None:
            mask &= self.prices <= wanted.price_max
        if wanted.brands:
            mask &= self.brands.any_of(wanted.brands, num_items)
        if wanted.categories:
            mask &= self.categories.any_of(wanted.categories, num_items)
        return mask


def grown(array: np.ndarray, length: int) -> np.ndarray:
    """Return a copy of ``array`` with zeros appended up to ``length``."""
    added = np.zeros((length - len(array), *array.shape[1:]), dtype=array.dtype)
    return np.concatenate([array, added])


def _prices(views: Sequence[ItemView]) -> Float[np.ndarray, " items"]:
    return np.asarray([np.nan if v.price is None else v.price for v in views], dtype=np.float64)


def _in_stock(views: Sequence[ItemView]) -> Bool[np.ndarray, " items"]:
    return np.asarray([view.in_stock for view in views], dtype=bool)


def _brand(view: ItemView) -> tuple[str, ...]:
    return () if view.brand is None else (view.brand,)


_CONDITION = re.compile(r"\s*(brand|category|price|in_stock)\s*(<=|>=|<|>|=)(.*)", re.DOTALL)
_GRAMMAR = (
    "Write brand=NAME, category=NAME, price<20, price<=20, price>5, price>=5 or in_stock=true "
    "(false lets items through that are out of stock); several brands, or categories, mean any."
)
_YES_OR_NO = {"true": True, "false": False}
_SHOWN = 12
"""Number of labels listed in the error about an unknown label."""


def parse_filter(conditions: Sequence[str], columns: ItemColumns) -> ItemFilter:
    """Return the filter that conditions such as ``brand=Acme`` or ``price<20`` describe.

    An item must fulfil all conditions; of several brands, or categories, one is enough.

    Args:
        conditions: ``brand=``, ``category=``, ``price<``, ``price<=``, ``price>``, ``price>=`` and
            ``in_stock=``, each followed by its value.
        columns: columns of the catalogue, with the known brands and categories.

    Raises:
        ConfigError: when a condition cannot be parsed, or names a brand or category that no item
            has; the hint lists the known ones.
    """
    wanted = ItemFilter()
    for condition in conditions:
        wanted = _narrowed(wanted, condition, columns)
    if _lowest(wanted) > _highest(wanted):
        raise ConfigError(
            f"No price is both above and below what {', '.join(conditions)} ask for.",
            hint="Give a lower bound that is below the upper one.",
        )
    return wanted


def _narrowed(wanted: ItemFilter, condition: str, columns: ItemColumns) -> ItemFilter:
    """Return the filter with one more condition."""
    parts = _CONDITION.fullmatch(condition)
    name, sign, value = ("", "", "") if parts is None else parts.groups()
    value = value.strip()
    match name, sign:
        case "brand", "=":
            return replace(wanted, brands=(*wanted.brands, _known(name, value, columns.brands)))
        case "category", "=":
            known = _known(name, value, columns.categories)
            return replace(wanted, categories=(*wanted.categories, known))
        case "in_stock", "=" if value.lower() in _YES_OR_NO:
            return replace(wanted, in_stock=_YES_OR_NO[value.lower()])
        case "price", "<" | "<=":
            # price < 20 becomes price <= the largest float below 20.
            price = _price(condition, value)
            price = price if sign == "<=" else math.nextafter(price, -math.inf)
            return replace(wanted, price_max=min(price, _highest(wanted)))
        case "price", ">" | ">=":
            price = _price(condition, value)
            price = price if sign == ">=" else math.nextafter(price, math.inf)
            return replace(wanted, price_min=max(price, _lowest(wanted)))
    raise ConfigError(f"{condition!r} is not a filter.", hint=_GRAMMAR)


def _known(name: str, value: str, labels: Labels) -> str:
    """Return a known label; refuse one that no item has."""
    if value.casefold() in labels.codes:
        return value
    nearest = get_close_matches(value, labels.names, n=_SHOWN, cutoff=0.0)
    rest = len(labels.names) - len(nearest)
    more = f" and {rest:,} more" if rest else ""
    raise ConfigError(
        f"No item has the {name} {value!r}.",
        hint=f"There are: {', '.join(nearest) or 'none'}{more}.",
    )


def _price(condition: str, value: str) -> float:
    try:
        price = float(value)
    except ValueError:
        price = math.nan
    if not math.isfinite(price):
        raise ConfigError(f"{condition!r} has no price.", hint=_GRAMMAR)
    return price


def _lowest(wanted: ItemFilter) -> float:
    return -math.inf if wanted.price_min is None else wanted.price_min


def _highest(wanted: ItemFilter) -> float:
    return math.inf if wanted.price_max is None else wanted.price_max
