"""Untrusted text becomes one plain line, in linear time."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palate.language.text.plain import one_line, openings, rating_words, without_markup, words


@given(text=st.text(max_size=300), max_length=st.integers(1, 60))
def test_one_line_is_printable_and_short(text: str, max_length: int) -> None:
    for line in (one_line(text, max_length), without_markup(text, max_length)):
        assert line.isprintable()
        assert len(line) <= max_length
        assert line == line.strip()
        assert one_line(line, max_length) == line


def test_controls_and_direction_marks_are_gone() -> None:
    assert one_line("a\x00b\u202ec\u200bd\r\ne") == "a b c d e"


def test_a_long_line_is_cut_at_a_word() -> None:
    assert one_line("one two three", 9) == "one two…"
    assert one_line("one two three", 13) == "one two three"
    assert one_line("abcdefghij", 4) == "abc…", "a word that is too long itself is cut in it"


def test_markup_is_read_or_dropped() -> None:
    text = (
        'I &amp; you<br/><a href="http://x">link</a> [[VIDEOID:abc]] 3 &lt; 4 &amp;#34;q&amp;#34;'
    )
    assert without_markup(text) == 'I & you link 3 < 4 "q"'


@pytest.mark.parametrize("text", ["<" * 50_000, "&" * 50_000, "." * 50_000, "a. " * 20_000])
def test_hostile_text_costs_no_time(text: str) -> None:
    start = time.perf_counter()
    openings(without_markup(text))
    assert time.perf_counter() - start < 1


def test_words_are_lower_case_letters() -> None:
    assert words("The 2 Größen, don't!") == ["the", "größen", "don't"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [(5.0, "5"), (3.5, "3.5"), (0.1 + 0.2, "0.3"), (10.0, "10"), (-0.0, "0"), (-9.25, "-9.25")],
)
def test_ratings_are_written_with_as_few_digits_as_possible(value: float, expected: str) -> None:
    assert rating_words(value) == expected
