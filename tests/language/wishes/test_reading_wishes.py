"""A wish is read in the catalogue's own terms, and the same words always mean the same."""

import numpy as np
import pytest

from palate.language.wishes.reading import MAX_PARTS, Reading, read_wish
from palate.language.wishes.terms import Described, Terms
from palate.language.wishes.wish import banned, coverage, meets, unmet
from palate.language.wishes.words import fold, phrase_of, tokens_of

NOBODY = np.zeros(0, dtype=np.int64)


def item(
    title: str,
    brand: str = "",
    categories: tuple[str, ...] = (),
    price: float | None = None,
    description: str = "",
    **attributes: str,
) -> Described:
    return Described(title, brand, categories, price, description, tuple(attributes.items()))


ITEMS = [
    item("Red Glow Polish", "OPI", ("Beauty", "Nails", "Nail Polish"), 8.0, "calm shine"),
    item("Blue Mist Polish", "OPI", ("Beauty", "Nails", "Nail Polish"), 12.0),
    item("Coconut Cream", "Palmer's", ("Beauty", "Skin", "Creams & Lotions"), 5.0),
    item("Calm Aloe Cream", "Great", ("Beauty", "Skin", "Creams & Lotions"), 25.0),
    item("Great Big Brush", "Sigma", ("Beauty", "Nails", "Nail Brushes"), 40.0),
    item("Great Soft Brush", "Sigma", ("Beauty", "Nails", "Nail Brushes"), 4.0),
    item("Great Old Soap", "Dove", ("Beauty", "Bath"), 2.0, actors="Tom Hanks"),
    item("Great New Soap", "Dove", ("Beauty", "Bath"), None, director="Tom Hanks"),
]
TERMS = Terms.of(ITEMS)


def parts(text: str) -> set[tuple[str, str, bool]]:
    return {(part.kind, part.name, part.avoided) for part in read(text).parts}


def read(text: str) -> Reading:
    return read_wish(text, TERMS)


def fitting(text: str, history: list[int] | None = None) -> list[int]:
    wish = read(text).wish
    rows = NOBODY if history is None else np.asarray(history)
    return np.flatnonzero((unmet(wish, TERMS, rows) == 0) & ~banned(wish, TERMS)).tolist()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a nail polish", {("category", "Nail Polish", False)}),
        ("some NAIL POLISHES please", {("category", "Nail Polish", False)}),
        ("creams and lotions", {("category", "Creams & Lotions", False)}),
        ("a lotion", {("category", "Creams & Lotions", False)}),
        ("something by opi", {("brand", "OPI", False)}),
        ("palmers for me", {("brand", "Palmer's", False)}),
        ("with Tom Hanks", {("attribute", "Tom Hanks", False)}),
        ("coconut", {("word", "coconut", False)}),
    ],
)
def test_names_are_found_in_any_case_and_number(
    text: str, wanted: set[tuple[str, str, bool]]
) -> None:
    assert parts(text) == wanted


def test_a_name_that_is_an_ordinary_word_needs_a_cue() -> None:
    assert ("brand", "Great", False) not in parts("a great soap")
    assert ("brand", "Great", False) in parts("soap by great")
    assert ("brand", "Great", False) not in parts("great soap by dove")


@pytest.mark.parametrize(
    ("text", "bounds"),
    [
        ("under $10", (None, 10.0)),
        ("nothing that won't cost more than 12.50", (None, 12.5)),
        ("not over 7", (None, 7.0)),
        ("at least 20 dollars", (20.0, None)),
        ("between 5 and 9", (5.0, 9.0)),
        ("between 9 and 5", (5.0, 9.0)),
        ("10 brushes", (None, None)),
    ],
)
def test_prices_are_read_as_bounds(text: str, bounds: tuple[float | None, float | None]) -> None:
    wish = read(text).wish
    assert (wish.price_min, wish.price_max) == bounds


def test_cheap_and_dear_are_a_third_of_what_meets_the_rest() -> None:
    assert fitting("a cheap nail brush") == [5]
    assert fitting("an expensive nail brush") == [4]
    assert fitting("a not too expensive nail brush") == [5]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("not nail polish", [2, 3, 4, 5, 6, 7]),
        ("nails but no nail polish", [4, 5]),
        ("anything but opi or sigma", [2, 3, 6, 7]),
        ("no nails, a cream", [2, 3]),
        ("without coconut", [0, 1, 3, 4, 5, 6, 7]),
        ("coconut-free creams", [3]),
    ],
)
def test_what_is_not_wanted_is_left_out(text: str, left: list[int]) -> None:
    assert fitting(text) == left


def test_a_negation_ends_where_something_else_is_spoken_of() -> None:
    found = parts("no nail polish but a nail brush")
    assert found == {("category", "Nail Polish", True), ("category", "Nail Brushes", False)}


def test_likeness_names_an_item_and_means_its_kind() -> None:
    reading = read("like Red Glow Polish but under 10")
    assert reading.wish.like == (0,)
    assert fitting("like Red Glow Polish but under 10") == [0]
    assert fitting("along the lines of great big brush") == [4, 5]


def test_unlike_the_rest_leaves_the_kinds_of_the_history() -> None:
    for text in ("something unlike the rest", "different from what I usually buy"):
        assert read(text).wish.unlike_history
        assert fitting(text, history=[0, 2]) == [4, 5, 6, 7]


def test_somebody_else_is_noticed() -> None:
    for text in ("for my sister, who likes nail polish", "nail polish as a gift", "not for me"):
        assert read(text).wish.for_other, text
    assert not read("nail polish for me").wish.for_other


@pytest.mark.parametrize("text", ["", "...", "☃☃", "qwrtz plmkj", "something for me please", "12"])
def test_nonsense_says_nothing(text: str) -> None:
    reading = read(text)
    assert reading.wish.says_nothing
    assert reading.parts == ()


def test_unknown_words_are_named_and_known_ones_are_the_content() -> None:
    reading = read("a flurbo nail polish by OPI, no coconut")
    assert reading.unknown == ("flurbo",)
    assert reading.content == "flurbo Nail Polish OPI"


def test_a_huge_wish_is_bounded() -> None:
    reading = read("coconut opi sigma nails " * 20_000)
    assert len(reading.parts) <= MAX_PARTS
    every = " ".join(f"w{number}" for number in range(100_000))
    assert len(read(every).unknown) <= MAX_PARTS


def test_two_of_one_kind_are_both_where_possible_and_else_any() -> None:
    assert fitting("nails, nail polish") == [0, 1]
    assert fitting("nail polish or nail brushes") == [0, 1, 4, 5]


def test_an_item_that_fits_less_fails_more() -> None:
    failed = unmet(read("nail polish by opi under 10").wish, TERMS, NOBODY)
    assert failed[[0, 1, 2, 4]].tolist() == [0, 1, 2, 3]


def test_words_count_by_rarity_and_half_in_descriptions() -> None:
    found = coverage(("calm",), TERMS)
    assert found[3] == 1.0
    assert found[0] == 0.75
    assert found[[1, 2, 4]].tolist() == [0, 0, 0]
    both = coverage(("calm", "cream"), TERMS)
    assert both[3] == 1.0
    assert both[3] > both[2] > 0


def test_an_attribute_of_several_columns_is_meant_in_any() -> None:
    assert fitting("tom hanks") == [6, 7]
    assert fitting("directed by tom hanks") == [7]


def test_meets_agrees_with_the_masks() -> None:
    for text in ("nail polish by opi", "not nail polish", "under 10", "at least 6 without opi"):
        wish = read(text).wish
        assert [row for row in range(len(ITEMS)) if meets(wish, TERMS, row)] == fitting(text)


def test_a_word_is_folded_to_one_form() -> None:
    assert [fold(word) for word in ("Shampoos", "L'Oréal", "women's", "Brushes", "glass")] == [
        "shampoo",
        "loreal",
        "women",
        "brush",
        "glass",
    ]
    assert phrase_of("Creams & Moisturizers") == ("cream", "moisturizer")
    assert [token.ends_clause for token in tokens_of("a, b c")] == [True, False, True]
