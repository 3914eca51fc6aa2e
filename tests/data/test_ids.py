"""What may be an id."""

import pytest

from palate.data.ids import LONGEST_ID, LONGEST_ID_BYTES, are_ids, id_fault

GOOD = ["a", " ", "lamp 7", "x" * LONGEST_ID, "é" * LONGEST_ID, "\xa0\u2028\U0010ffff", "'; DROP"]
WRONG = {
    "": "is empty",
    "a\nb": "control character",
    "\x7f": "control character",
    "\0": "control character",
    "x" * (LONGEST_ID + 1): "257 characters",
    "€" * (LONGEST_ID_BYTES // 3 + 1): "bytes",
    "\ud800": "surrogate",
}


@pytest.mark.parametrize("text", GOOD)
def test_whatever_can_be_read_and_is_not_too_long_is_an_id(text: str) -> None:
    assert id_fault(text) is None


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_said_in_words(text: str) -> None:
    assert WRONG[text] in (id_fault(text) or "")


def test_many_are_looked_at_together() -> None:
    assert are_ids(["a", "b c", "é"])
    assert not any(are_ids(["a", wrong]) for wrong in WRONG)
    assert not are_ids([])
