"""Which sentences can stand between quotation marks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palate.language.text.quotable import LONGEST, is_quotable, word_counts


@pytest.mark.parametrize(
    "sentence",
    [
        "The strap was easy to attach to my banjo and is very comfortable.",
        "They have a really full sound.",
        "It's easy to use and looks great!",
        "I highly recommend this tuner.",
        "These strings are durable.",
    ],
)
def test_whole_sentences_about_the_thing_are_quotable(sentence: str) -> None:
    assert is_quotable(sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        "this is a guitar and the money is a great!",
        "Great sound, easy to",
        "Great sound.",
        "My son loves it.",
        "I bought it last month and it is great.",
        "The seller shipped it quickly and it is great.",
        "It is better than the other one.",
        "He is a great player.",
        "The tone is great...",
        "The tone is (very) good.",
        "It is GREAT for recording.",
        "The Fender is very comfortable.",
        "The the strap is comfortable.",
        "It works great.I use it daily.",
        "It has a 1000 uses and is great.",
        "See https://x.org, it is great.",
        "The sound is good and the strap " + "is good " * LONGEST + ".",
    ],
)
def test_fragments_affairs_of_the_buyer_and_odd_signs_are_not(sentence: str) -> None:
    assert not is_quotable(sentence)


def test_names_of_the_item_may_be_said_and_words_must_be_known() -> None:
    assert is_quotable("The Fender is very comfortable.", {"fender"})
    known = {"the", "strap", "is", "very", "comfortable"}
    assert is_quotable("The strap is very comfortable.", (), known)
    assert not is_quotable("The strap is very comfterble.", (), known)


def test_words_are_counted_once_per_text() -> None:
    assert word_counts(["A warm, warm tone.", "warm"]) == {"a": 1, "warm": 2, "tone": 1}


@given(st.text(max_size=200))
def test_any_text_is_judged(text: str) -> None:
    if is_quotable(text):
        assert text[-1] in ".!"
        assert "\n" not in text
