"""Values of columns: times, ratings, prices, categories, text."""

from pathlib import Path

import polars as pl
import pytest

from palate.data import values
from palate.data.sources.read import SourceFile
from palate.errors import DataError


def file(cells: list[object]) -> SourceFile:
    return SourceFile(Path("x.csv"), pl.DataFrame({"c": cells}, strict=False))


NOON = 1_704_110_400
"""2024-01-01 12:00 UTC."""


@pytest.mark.parametrize(
    ("cell", "seconds"),
    [
        (NOON, NOON),
        (str(NOON), NOON),
        (f"{NOON}.5", NOON),
        (float(NOON), NOON),
        (str(NOON * 1000 + 7), NOON),
        (NOON * 1_000_000, NOON),
        ("2024-01-01T12:00:00", NOON),
        ("2024-01-01T12:00:00Z", NOON),
        ("2024-01-01T14:00:00+02:00", NOON),
        ("2024-01-01 12:00:00.250", NOON),
        ("2024-01-01 12:00", NOON),
        ("2024-01-01", NOON - 43_200),
        ("2024/01/01", NOON - 43_200),
        ("20240101", NOON - 43_200),
        (20240101, NOON - 43_200),
        ("01.01.2024", NOON - 43_200),
    ],
)
def test_times(cell: object, seconds: int) -> None:
    times = values.times(file([cell, cell]), "c")
    assert (times.values // times.per_second).to_list() == [seconds, seconds]


def test_dates_of_several_forms_may_mix() -> None:
    times = values.times(file(["2024-01-01", "2024-01-01T12:00:00Z"]), "c")
    assert (times.values // times.per_second).to_list() == [NOON - 43_200, NOON]


def test_milliseconds_keep_their_order() -> None:
    times = values.times(file([NOON * 1000 + 2, NOON * 1000 + 1]), "c")
    assert times.values[0] > times.values[1]


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        (["5", "noon", "6"], "row 2: the time in 'c' cannot be read: 'noon'"),
        (["2024-01-01", "2024-13-01"], "row 2: the time in 'c' cannot be read: '2024-13-01'"),
        (["5", ""], "row 2: no time in 'c'"),
        (["5", "-5"], "row 2: the time in 'c' is before 1970"),
        (["5", "9" * 22], "row 2: the time in 'c' is beyond any date"),
        ([1.0, float("nan")], "row 2: the time in 'c' is not a number"),
        ([True, False], "holds Boolean, not times"),
    ],
)
def test_bad_times(cells: list[object], says: str) -> None:
    with pytest.raises(DataError, match=says):
        values.times(file(cells), "c")


def test_ratings() -> None:
    assert values.ratings(file(["4", "", "3.5"]), "c").to_list() == [4, None, 3.5]


@pytest.mark.parametrize("bad", ["NaN", "inf", "good", "4,5"])
def test_bad_ratings(bad: str) -> None:
    with pytest.raises(DataError, match=f"row 2: the rating in 'c' is not a number: '{bad}'"):
        values.ratings(file(["4", bad]), "c")


def test_nan_rating_of_a_typed_table() -> None:
    with pytest.raises(DataError, match="row 1: the rating"):
        values.ratings(file([float("nan")]), "c")


def test_ids_are_text_without_a_point() -> None:
    assert values.ids(file(["007"]), "c").to_list() == ["007"]
    assert values.ids(file([7.0, 8.0]), "c").to_list() == ["7", "8"]


@pytest.mark.parametrize("bad", ["", None])
def test_ids_are_needed(bad: str | None) -> None:
    with pytest.raises(DataError, match="row 2: no c"):
        values.ids(file(["1", bad]), "c")


def test_prices() -> None:
    raw = pl.Series("p", ["$1,299.50", "12", "EUR 3.00", "about 5 or 6", None])
    assert values.prices(raw).to_list() == [1299.5, 12, 3, None, None]


def test_texts_are_unescaped() -> None:
    raw = pl.Series("t", ["Salt &amp; Pepper &#39;n", "  ", None, "R&B"])
    assert values.texts(raw).to_list() == ["Salt & Pepper 'n", None, None, "R&B"]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["A|B &amp; C", None], [["A", "B & C"], []]),
        (["A > B", "C"], [["A", "B"], ["C"]]),
        (["A, B", "C,D"], [["A", "B"], ["C", "D"]]),
        (["Clothing, Shoes", "Toys", "Games"], [["Clothing, Shoes"], ["Toys"], ["Games"]]),
        (['["A", "B"]', "[]"], [["A", "B"], []]),
        ([["A", "B"], None], [["A", "B"], []]),
        ([[["A", "B"], ["A", "C"]], []], [["A", "B", "C"], []]),
        ([1, 2], [["1"], ["2"]]),
    ],
)
def test_categories(cells: list[object], expected: list[list[str]]) -> None:
    found, _ = values.categories(pl.Series("c", cells))
    assert found.to_list() == expected
