"""Sentences: no text is lost, and marks inside a sentence do not end it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palate.trust.sentences import split_sentences


@given(st.text() | st.text(alphabet="aA1.!? \n\"“”'"))
def test_joining_undoes_the_cut(text: str) -> None:
    pieces = split_sentences(text)
    assert "".join(pieces) == text
    assert all(pieces)


WORDS = st.lists(st.sampled_from(["Tone", "warm", "is", "Fender", "6.5", "the"]), min_size=2)
SENTENCES = st.tuples(WORDS, st.sampled_from([".", "!", "?", "..."])).map(
    lambda parts: f"The {' '.join(parts[0])} end{parts[1]} "
)


@given(st.lists(SENTENCES, min_size=1, max_size=6))
def test_sentences_that_were_joined_come_back(sentences: list[str]) -> None:
    assert split_sentences("".join(sentences)) == sentences


@pytest.mark.parametrize(
    "sentence",
    [
        "Dr. Strangelove is by J. K. Somebody.",
        "It is by Dr. Who and Mr. Coffee.",
        'I saw "What? No. Yes!" twice.',
        "I saw “What? No.” and liked it.",
        "It is 6.5 in. wide and $3.50 cheap.",
        "A cable of 1/4 in. or 3 oz. is light, e.g. for St. Ives.",
        "Vol. 2 is No. 7 of the U.S. edition.",
        "Wait... and see!",
        'A 6" or a 12" one?!',
    ],
)
def test_marks_that_end_nothing(sentence: str) -> None:
    assert split_sentences(f"{sentence} Then.") == [f"{sentence} ", "Then."]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Fine. Very good!  Is it?", ["Fine. ", "Very good!  ", "Is it?"]),
        ("the mix.We have two", ["the mix.", "We have two"]),
        ("it works. i like it", ["it works. ", "i like it"]),
        ("Costs 4.50 here. Dr. Who likes it.", ["Costs 4.50 here. ", "Dr. Who likes it."]),
        ("I said no. Then", ["I said no. ", "Then"]),
        ("no end", ["no end"]),
        ("", []),
    ],
)
def test_sentences_end_where_people_end_them(text: str, expected: list[str]) -> None:
    assert split_sentences(text) == expected


def test_lines_end_sentences() -> None:
    assert split_sentences("a title\n\n b. c") == ["a title\n\n", " b. c"]
    assert split_sentences("one\r\ntwo") == ["one\r\n", "two"]


def test_the_mark_of_an_inch_opens_no_quotation() -> None:
    assert len(split_sentences('A 6" one. A 12" one.')) == 2


@pytest.mark.parametrize("piece", ['"a. ', ". ", "Mr. ", "(a. ", ".", "a.B", '"', "1", "\n"])
def test_hostile_text_costs_no_time(piece: str) -> None:
    assert "".join(split_sentences(piece * 20_000)) == piece * 20_000
