"""Titles and categories: entities, blanks, lists written into one cell."""

import polars as pl
import pytest

from palate.data.values.cells import AS_SEEN
from palate.data.values.texts import categories, texts


def test_texts_are_unescaped() -> None:
    raw = pl.Series("t", ["Salt &amp; Pepper &#39;n", "  ", None, "R&B"])
    assert texts(raw)[0].to_list() == ["Salt & Pepper 'n", None, None, "R&B"]


def test_words_for_nothing_are_no_texts() -> None:
    found, notes = texts(pl.Series("title", ["NA", "\u00a0Lamp ", "None", "Nana"]))
    assert found.to_list() == [None, "Lamp", None, "Nana"]
    assert "2 of 4 (50%) values are 'NA' (1), 'None' (1)" in " ".join(notes.read)


@pytest.mark.parametrize(
    ("cells", "wanted"),
    [
        (["['Sony']", '["LG", "Ltd"]', "[]"], ["Sony", "LG, Ltd", None]),
        (["{'id': 1, 'name': 'Pixar'}"], ["Pixar"]),
        (["[REC]", "Up"], ["[REC]", "Up"]),
        ([["two", "lines"]], ["two lines"]),
        ([[{"name": "Pixar"}, {"name": "Aardman"}]], ["Pixar, Aardman"]),
        ([5, 6], ["5", "6"]),
    ],
)
def test_lists_become_text(cells: list[object], wanted: list[str | None]) -> None:
    assert texts(pl.Series("brand", cells))[0].to_list() == wanted


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
        (["['Rock', 'R&B']", "['Pop']"], [["Rock", "R&B"], ["Pop"]]),
        (["('Rock', 'Pop')", "()"], [["Rock", "Pop"], []]),
        (["{'Rock', 'Pop'}"], [["Pop", "Rock"]]),
        (["['Rock' 'R&B, Soul']"], [["Rock", "R&B, Soul"]]),
        (["[Rock, Pop]"], [["Rock", "Pop"]]),
        (['{Rock,"R&B, Soul"}'], [["Rock", "R&B, Soul"]]),
        (
            ["[{'id': 16, 'name': 'Animation'}, {'id': 35, 'name': 'Comedy'}]"],
            [["Animation", "Comedy"]],
        ),
        (['[{"id": 1, "title": "X"}]', "NA"], [["X"], []]),
        (['{"main": "Rock", "sub": ["Indie"]}'], [["Rock", "Indie"]]),
        (["{'Rock': 3, 'Pop': 1, 'Jazz': False}"], [["Rock", "Pop"]]),
        ([[{"id": 1, "name": "X"}], None], [["X"], []]),
        (['["it\'s", \'a "b"\', None]'], [["it's", 'a "b"']]),
        (["['Rock']", "Pop", "['Jazz']"], [["Rock"], ["Pop"], ["Jazz"]]),
        (["NA", "\\N", " Rock "], [[], [], ["Rock"]]),
        (
            ["frozenset({'Rock'})", "set()", "array(['a', 'b'], dtype=object)"],
            [["Rock"], [], ["a", "b"]],
        ),
        (["['Rock', 'Pop']", "Jazz", "Blues|Soul"], [["Rock", "Pop"], ["Jazz"], ["Blues", "Soul"]]),
        (["[Live]", "Jazz", "Blues"], [["[Live]"], ["Jazz"], ["Blues"]]),
    ],
)
def test_categories(cells: list[object], expected: list[list[str]]) -> None:
    assert categories(pl.Series("c", cells))[0].to_list() == expected


@pytest.mark.parametrize(
    ("cell", "how"),
    [
        ("['Rock']", "Python lists"),
        ('["Rock"]', "JSON lists"),
        ("['Rock' 'Pop']", "numpy lists"),
        ("[Rock]", "bare lists"),
        ("Rock|Pop", "text cut at '|'"),
    ],
)
def test_how_categories_were_cut_is_told(cell: str, how: str) -> None:
    assert categories(pl.Series("c", [cell]))[1].read[0] == f"Categories: {how}."


def test_words_between_blanks() -> None:
    cells = pl.Series("c", ["Animation Children's", "Comedy"])
    found, _ = categories(cells, AS_SEEN, are_words=True)
    assert found.to_list() == [["Animation", "Children's"], ["Comedy"]]


def test_nothing_in_a_cell_is_run() -> None:
    cells = pl.Series("c", ["[__import__('os').getcwd()]", "[" * 5_000 + "]" * 5_000])
    assert categories(cells)[0].list.len().to_list() == [1, 0]
