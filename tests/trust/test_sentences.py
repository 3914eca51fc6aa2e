"""Sentences: nothing is lost, and marks that end none do not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palate.trust.sentences import split_sentences


@given(st.text() | st.text(alphabet="aA1.!? \n\"“”'"))
def test_joining_undoes_the_cut(text: str) -> None:
    pieces = split_sentences(text)
    assert "".join(pieces) == text
    assert all(pieces)


@given(st.text(alphabet="aA1.!? \n\"“”'"))
def test_a_sentence_is_one_sentence(text: str) -> None:
    for sentence in split_sentences(text):
        assert split_sentences(sentence.strip()) in ([sentence.strip()], [])


@pytest.mark.parametrize(
    "sentence",
    [
        "Dr. Strangelove is by J. K. Somebody.",
        'I saw "What? No. Yes!" twice.',
        "I saw “What? No.” and liked it.",
        "It is 6.5 in. wide and $3.50 cheap.",
        "Wait... and see!",
        "Yes?! (No.)",
    ],
)
def test_marks_that_end_nothing(sentence: str) -> None:
    assert split_sentences(f"{sentence} Then.") == [f"{sentence} ", "Then."]


def test_lines_end_sentences() -> None:
    assert split_sentences("a title\n\n b. c") == ["a title\n\n ", "b. c"]


def test_the_mark_of_an_inch_opens_nothing() -> None:
    assert len(split_sentences('A 6" one. A 12" one.')) == 2
