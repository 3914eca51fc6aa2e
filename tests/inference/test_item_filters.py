"""Filters compared with a plain reading of each condition, over changing catalogues."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palate.errors import ConfigError
from palate.inference.facets import facets
from palate.inference.filters import ItemColumns, ItemFilter, parse_filter
from palate.inference.item_view import ItemView

BRANDS = ["Ash", "Birch", "ÉLAN"]
CATEGORIES = ["Lamps", "Oak", "Wool"]
# Plain values: the classes are built in the tests, where the checks of their types may draw lots.
items = st.tuples(
    st.none() | st.sampled_from(BRANDS),
    st.lists(st.sampled_from(CATEGORIES), max_size=3, unique=True),
    st.none() | st.sampled_from([0.0, 5.0, 10.0]),
    st.booleans(),
)
bounds = st.none() | st.sampled_from([0.0, 4.0, 5.0, 11.0])
filters = st.tuples(
    st.lists(st.sampled_from([*CATEGORIES, "oak", "none such"]), max_size=2),
    st.lists(st.sampled_from([*BRANDS, "élan", "ash"]), max_size=2),
    bounds,
    bounds,
    st.none() | st.booleans(),
)
Item = tuple[str | None, list[str], float | None, bool]
Wanted = tuple[list[str], list[str], float | None, float | None, bool | None]


def view_of(item: Item) -> ItemView:
    brand, categories, price, in_stock = item
    return ItemView("x", None, brand, tuple(categories), price, None, in_stock)


def filter_of(wanted: Wanted) -> ItemFilter:
    return ItemFilter(tuple(wanted[0]), tuple(wanted[1]), *wanted[2:])


def fulfils(view: ItemView, wanted: ItemFilter) -> bool:
    brands = {brand.casefold() for brand in wanted.brands}
    categories = {category.casefold() for category in wanted.categories}
    bounded = wanted.price_min is not None or wanted.price_max is not None
    return (
        (view.in_stock or wanted.in_stock is False)
        and (not brands or (view.brand or "").casefold() in brands)
        and (not categories or any(c.casefold() in categories for c in view.categories))
        and (not bounded or view.price is not None)
        and (wanted.price_min is None or (view.price or 0) >= wanted.price_min)
        and (wanted.price_max is None or (view.price or 0) <= wanted.price_max)
    )


@given(st.lists(items, max_size=8), filters)
def test_the_mask_is_what_each_item_fulfils(shop: list[Item], asked: Wanted) -> None:
    views, wanted = [view_of(item) for item in shop], filter_of(asked)
    mask = ItemColumns.of(views).mask(wanted)
    assert mask.tolist() == [fulfils(view, wanted) for view in views]


@given(st.lists(items, min_size=3, max_size=6), st.lists(items, min_size=3, max_size=3), filters)
def test_replaced_columns_equal_newly_made_ones(
    shop: list[Item], changed: list[Item], asked: Wanted
) -> None:
    views, told, wanted = (
        [view_of(x) for x in shop],
        [view_of(x) for x in changed],
        filter_of(asked),
    )
    before = ItemColumns.of(views)
    expected = before.mask(wanted).tolist()
    after = before.replaced(np.asarray([2, len(views), len(views) + 1]), told, len(views) + 2)
    everything = [*views[:2], told[0], *views[3:], *told[1:]]
    assert after.mask(wanted).tolist() == ItemColumns.of(everything).mask(wanted).tolist()
    assert before.mask(wanted).tolist() == expected, "the old state is as it was"


@given(st.lists(items, max_size=12), st.integers(1, 4))
def test_facets_count_what_the_filters_let_through(shop: list[Item], most: int) -> None:
    views = [view_of(item) for item in shop]
    columns, every = ItemColumns.of(views), np.ones(len(views), dtype=bool)
    found = facets(columns, every, most)
    prices = [view.price for view in views if view.price is not None]
    assert (found.items, found.in_stock) == (len(views), sum(view.in_stock for view in views))
    assert (found.price is None) == (not prices)
    if found.price is not None:
        expected = (min(prices), max(prices), len(prices))
        assert (found.price.min, found.price.max, found.price.count) == expected
    of = Counter(category for view in views for category in view.categories)
    assert found.categories.total == len(of)
    ranked = sorted(of.items(), key=lambda one: (-one[1], one[0]))[:most]
    assert [(one.name, one.count) for one in found.categories.most] == ranked
    for one in found.brands.most:
        wanted = ItemFilter(brands=(one.name,), in_stock=False)
        assert columns.mask(wanted).sum() == one.count


def test_labels_that_differ_in_case_alone_are_one() -> None:
    shop = [("Ash", ["Oak", "OAK"], None, True), ("ASH", ["oak"], None, True)]
    columns = ItemColumns.of([view_of(item) for item in shop])
    found = facets(columns, np.asarray([True, True]), 9)
    assert [(one.name, one.count) for one in found.brands.most] == [("Ash", 2)]
    assert [(one.name, one.count) for one in found.categories.most] == [("Oak", 2)]
    (only,) = facets(columns, np.asarray([False, True]), 9).brands.most
    assert only.count == 1


SHOP = ItemColumns.of(
    [view_of(("Ash", ["Lamps"], 5.0, True)), view_of(("ÉLAN", ["Oak", "Wool"], 10.0, False))]
)


@pytest.mark.parametrize(
    ("conditions", "rows"),
    [
        ([], [0]),
        (["in_stock=false"], [0, 1]),
        (["brand=ash"], [0]),
        (["brand = Ash", "brand=élan", "in_stock=False"], [0, 1]),
        (["category=wool", "in_stock=false"], [1]),
        (["price<10", "in_stock=false"], [0]),
        (["price<=10", "in_stock=false"], [0, 1]),
        (["price>5", "in_stock=false"], [1]),
        (["price>=5", "price < 10.01", "in_stock=false"], [0, 1]),
        (["price<10", "price<100", "in_stock=false"], [0]),
    ],
)
def test_conditions_are_read_as_people_write_them(conditions: list[str], rows: list[int]) -> None:
    assert np.flatnonzero(SHOP.mask(parse_filter(conditions, SHOP))).tolist() == rows


@pytest.mark.parametrize(
    ("condition", "hint"),
    [
        ("colour=red", "brand=NAME"),
        ("brand", "brand=NAME"),
        ("brand<Ash", "brand=NAME"),
        ("price=5", "price<20"),
        ("price<nan", "price<20"),
        ("price<", "price<20"),
        ("in_stock=maybe", "in_stock=true"),
        ("brand=Elan", "ÉLAN"),
        ("category=lamp", "Lamps"),
        ("", "brand=NAME"),
    ],
)
def test_the_error_about_a_wrong_condition_lists_the_choices(condition: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_filter([condition], SHOP)
    assert hint in caught.value.hint


def test_bounds_that_no_price_keeps_are_refused() -> None:
    with pytest.raises(ConfigError, match="above and below"):
        parse_filter(["price>5", "price<=5"], SHOP)
