"""Ids: one form for one user or item, whatever wrote the file."""

from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from palate.data.ids import LONGEST_ID, id_fault
from palate.data.sources.read import SourceFile
from palate.data.values.cells import NULL_WORDS, Forms
from palate.data.values.ids import ids, stand_ins
from palate.errors import DataError


def file(cells: list[object]) -> SourceFile:
    return SourceFile(Path("x.csv"), pl.DataFrame({"c": cells}, strict=False))


def read(cells: list[object], **forms: object) -> list[str | None]:
    return ids(file(cells), "c", Forms(**forms))[0].to_list()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("cells", "wanted"),
    [
        (["007", "8"], ["007", "8"]),
        ([7.0, 8.0], ["7", "8"]),
        ([7, 8], ["7", "8"]),
        (["7.0", "8.00", "9"], ["7", "8", "9"]),
        (["7.0", "A8"], ["7.0", "A8"]),
        (["7,0", "8,00", "9"], ["7", "8", "9"]),
        (["7,5", "8,0"], ["7,5", "8,0"]),
        (["1,000", "2,000"], ["1,000", "2,000"]),
        (["7.5", "8.0"], ["7.5", "8.0"]),
        ([7.5, 8.0], ["7.5", "8.0"]),
        ([Decimal("7.00"), Decimal("8.00")], ["7", "8"]),
        ([" u1", "u1\u00a0", "\tu1\n", "\ufeffu1", "u 1"], ["u1", "u1", "u1", "u1", "u 1"]),
        (['="0012"', "0013"], ["0012", "0013"]),
        (["a,b", "c"], ["a,b", "c"]),
        ([b"u1", b"u2"], ["u1", "u2"]),
    ],
)
def test_ids(cells: list[object], wanted: list[str]) -> None:
    assert read(cells) == wanted


@pytest.mark.parametrize("bad", ["", None, " \u00a0"])
def test_ids_are_needed(bad: str | None) -> None:
    with pytest.raises(DataError, match="row 2: no c") as caught:
        read(["1", bad])
    assert "--drop-incomplete" in caught.value.hint
    assert read(["1", bad], drop_incomplete=True) == ["1", None]


def test_nan_is_no_id() -> None:
    with pytest.raises(DataError, match="row 2: no c"):
        read([1.0, float("nan")])
    assert read([1.0, float("nan")], drop_incomplete=True) == ["1", None]


@pytest.mark.parametrize("word", NULL_WORDS)
def test_a_word_for_nothing_is_no_id_and_told(word: str) -> None:
    found, notes = ids(file(["u1", word, word]), "c")
    assert found.to_list() == ["u1", None, None]
    (warning,) = notes.warnings
    assert "2 of 3 (67%)" in warning
    assert "row 2" in warning
    assert read(["u1", word], null_words=frozenset()) == ["u1", word]


def test_what_was_mended_is_told() -> None:
    _, notes = ids(file([" 7.0", "8.0 "]), "c")
    blanks, points = notes.read
    assert "Blanks around 2 of 2 (100%) values" in blanks
    assert "such as '7.0'" in points


@pytest.mark.parametrize("bad", ["a\x1b[31m", "a\x00b", "a\nb", "a\x7f"])
def test_control_characters_are_refused(bad: str) -> None:
    with pytest.raises(DataError, match="row 2: the c holds a control character"):
        read(["u1", bad])


def test_ids_have_the_length_that_the_service_takes() -> None:
    for fits in ("u" * LONGEST_ID, "\u00fc" * LONGEST_ID):
        assert id_fault(fits) is None
        assert read([fits]) == [fits]
    for long in ("u" * (LONGEST_ID + 1), "\u6f22" * LONGEST_ID):
        assert id_fault(long) is not None
        with pytest.raises(DataError, match="row 1: the c has more than"):
            read([long])
    assert read(["u" * 256, "\u00fc" * 256]) == ["u" * 256, "\u00fc" * 256]
    with pytest.raises(DataError, match="row 2: the c has more than 256 characters"):
        read(["u1", "u" * 257])


def test_lists_are_no_ids_and_the_error_is_short() -> None:
    many = {f"field {n}": n for n in range(500)}
    with pytest.raises(DataError, match="holds objects, not ids") as caught:
        read([many])
    assert len(caught.value.message) < 200


def test_ids_that_lost_digits_are_warned_of() -> None:
    assert "too large to be exact" in ids(file([1.7e18, 1.8e18]), "c")[1].warnings[0]
    assert "'1.23E+12'" in ids(file(["1.23E+12", "5"]), "c")[1].warnings[0]


@pytest.mark.parametrize("word", ["guest", "0", "-1", "00000000-0000-0000-0000-000000000000"])
def test_a_stand_in_for_many_users_is_warned_of(word: str) -> None:
    users = pl.Series("buyer", [word] * 6 + ["a", "b", "b", "c", "c"])
    (warning,) = stand_ins(users).warnings
    assert "6 of 11" in warning
    assert f"--null '{word}'" in warning


@pytest.mark.parametrize("word", ["0", "maria"])
def test_a_usual_user_is_no_stand_in(word: str) -> None:
    times = 2 if word == "0" else 9
    assert stand_ins(pl.Series("c", [word] * times + ["a", "b", "b", "c", "c"])).warnings == ()
