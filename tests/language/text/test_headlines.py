"""Titles of reviews: whole, from the review, and of its opinion."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palate.language.text.headlines import headline
from palate.language.text.plain import words


@pytest.mark.parametrize(
    ("review", "title"),
    [
        ("Warm tone, easy to play. It came on time.", "Warm tone, easy to play"),
        (
            "I bought these for my son last year. The strings are great. He plays the strings "
            "every day, and the strings have not broken yet.",
            "Great strings",
        ),
        ("Terrible cable. The cable broke after a week and I sent it back.", "Terrible cable"),
    ],
)
def test_a_title_says_what_the_review_thinks(review: str, title: str) -> None:
    assert headline(review) == title


def test_a_draft_is_taken_only_if_it_is_whole_and_says_nothing_else() -> None:
    review = "They sound nice on my guitar. The strings are bright and these strings last."
    assert headline(review, ["Great strings that", "amazing bargain", "strings and the"]) == (
        headline(review)
    )


def test_a_title_is_never_half_a_sentence() -> None:
    review = (
        "When I opened the box that my brother had sent me from the other end of the country I "
        "found a cable in it. It is long."
    )
    assert headline(review) in {"It is long", review.split(". ")[0]}


@given(st.text(max_size=300))
def test_every_text_has_a_title_of_its_own_words(text: str) -> None:
    title = headline(text)
    assert set(words(title.replace("\u2026", ""))) <= set(words(text)) | set(words(title.lower()))
    assert "\n" not in title
