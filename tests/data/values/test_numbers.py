"""Ratings and prices as people and spreadsheets write them."""

from pathlib import Path

import polars as pl
import pytest

from palate.data.sources.read import SourceFile
from palate.data.values.cells import Forms
from palate.data.values.numbers import prices, ratings
from palate.errors import DataError


def file(cells: list[object]) -> SourceFile:
    return SourceFile(Path("x.csv"), pl.DataFrame({"c": cells}, strict=False))


def read(cells: list[object], **forms: object) -> list[float | None]:
    found, _ = prices(pl.Series("p", cells, strict=False), Forms(**forms))  # type: ignore[arg-type]
    return [None if price is None else round(price, 3) for price in found.to_list()]


def warnings(cells: list[object]) -> str:
    return " ".join(prices(pl.Series("p", cells, strict=False))[1].warnings)


def test_ratings() -> None:
    assert ratings(file(["4", "", "3.5"]), "c")[0].to_list() == [4, None, 3.5]
    assert ratings(file([4, None, 5]), "c")[0].to_list() == [4, None, 5]
    assert ratings(file([True, False]), "c")[0].to_list() == [1, 0]


def test_ratings_may_have_a_decimal_comma() -> None:
    found, notes = ratings(file(["4,5", "3", " 2,125 "]), "c")
    assert found.to_list() == [4.5, 3, 2.125]
    assert "2 of 3 (67%) have a decimal comma, such as '4,5'" in " ".join(notes.read)


@pytest.mark.parametrize("word", ["NA", "NaN", "nan", "N/A", "None", "NULL", "\\N", "-", "null"])
def test_a_word_for_nothing_is_no_rating(word: str) -> None:
    found, notes = ratings(file(["4", word, word]), "c")
    assert found.to_list() == [4, None, None]
    assert "2 of 3 (67%)" in notes.read[0]
    assert "(2): no rating" in notes.read[0]


def test_nan_in_a_typed_table_is_no_rating() -> None:
    found, notes = ratings(file([float("nan"), 4.0]), "c")
    assert found.to_list() == [None, 4]
    assert "1 of 2 (50%) are NaN" in notes.read[0]


@pytest.mark.parametrize("bad", ["inf", "good", "4,5,0", "1.000,5", "4/5"])
def test_bad_ratings(bad: str) -> None:
    with pytest.raises(DataError, match=f"row 2: the rating in 'c' is not a number: '{bad}'"):
        ratings(file(["4", bad]), "c")


def test_a_word_of_ones_own_is_no_rating() -> None:
    forms = Forms(null_words=frozenset({"unrated"}))
    assert ratings(file(["4", "unrated"]), "c", forms)[0].to_list() == [4, None]
    with pytest.raises(DataError, match="'NA'"):
        ratings(file(["4", "NA"]), "c", forms)


@pytest.mark.parametrize(
    ("cells", "wanted"),
    [
        (["$1,299.50", "12", "USD 3.00", "about 5 or 6", None], [1299.5, 12, 3, None, None]),
        (["12,95", "1.299,00 \u20ac", "\u20ac 9,50", "1299,5"], [12.95, 1299, 9.5, 1299.5]),
        (["12,95", "1.299"], [12.95, 1299]),
        (["12.95", "1,299"], [12.95, 1299]),
        (["1.299.000", "2.000"], [1_299_000, 2000]),
        (["1'299.00", "CHF 12.-", "1\u2019299.\u2013", "12.50 CHF"], [1299, 12, 1299, 12.5]),
        (
            ["1 299,00", "1\u202f299,00 z\u0142", "1\u00a0299 z\u0142", "9,5"],
            [1299, 1299, 1299, 9.5],
        ),
        (["Rs. 1,00,000.00", "Rs.500"], [100_000, 500]),
        ([".99", "$.99", "0.5"], [0.99, 0.99, 0.5]),
        (["0,299", "12,-", "7,-- EUR"], [0.299, 12, 7]),
        (["12,95", "13.50"], [12.95, 13.5]),
        (["NA", "n/a", "-", "None", "5"], [None, None, None, None, 5]),
        (["12 50", "-5", "$12.99 - $24.99", "free", "1,2,3", "5"], [None] * 5 + [5]),
        ([1.5, float("nan"), -1.0, float("inf"), None], [1.5, None, None, None, None]),
        ([[1.0], [2.0]], [None, None]),
    ],
)
def test_prices(cells: list[object], wanted: list[float | None]) -> None:
    assert read(cells) == wanted


@pytest.mark.parametrize(
    ("decimal", "wanted"), [(None, [1.299, 2.5]), (",", [1299, 2.5]), (".", [1.299, 2.5])]
)
def test_a_decimal_mark_decides_what_could_be_both(
    decimal: str | None, wanted: list[float]
) -> None:
    assert read(["1.299", "2.5"], decimal=decimal) == wanted


def test_how_prices_were_read_is_told() -> None:
    _, notes = prices(pl.Series("p", ["12,95", "9,50"]))
    assert notes.read == ("Prices: decimal comma, '12,95' is read as 12.95.",)
    assert not notes.warnings


def test_what_could_be_read_otherwise_is_warned_of() -> None:
    for cell, number in (("1.299", "1.299"), ("1,299", "1299")):
        assert f"'{cell}' is read as {number}. Tell with --decimal" in warnings([cell, cell])
    assert "1 of 2 (50%) prices have a decimal comma, the others a point" in warnings(
        ["12,95", "13.50"]
    )
    assert "several currencies" in warnings(["12 EUR", "$ 5"])
    assert not warnings(["$ 5", "5 USD"])
    assert "2 prices are no number, or below zero, and were left out: 'n/a' (1), 'free' (1)" in (
        warnings(["n/a", "5", "free"])
    )


def test_a_price_in_dress_is_told_with_a_decimal_point_too() -> None:
    _, notes = prices(pl.Series("c", ["7.50", "CHF 1'299.00"]))
    assert notes.read == ('Prices: decimal point, "CHF 1\'299.00" is read as 1299.',)


def test_dollars_of_several_countries_are_several_currencies() -> None:
    (warning,) = prices(pl.Series("c", ["R$ 5", "US$ 6", "$7"]))[1].warnings
    assert "'$' (2), 'R$' (1)" in warning
