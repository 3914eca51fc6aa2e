"""What reviews of an item say: aspects that are praised, quotes, and what it is called."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from palate.data.catalog import Catalog
from palate.data.dataset import Dataset
from palate.data.interactions import Interactions
from palate.data.split import Part, Split
from palate.data.vocabulary import Vocabulary
from palate.language.text.aspects import Aspects
from palate.language.text.reviews import read_reviews
from palate.language.text.voices import Voices

STRAPS = (
    ("The strap is very comfortable and has a great design.", "Great strap", 5.0),
    ("This strap is soft. The design is beautiful.", "Nice guitar strap", 5.0),
    ("This strap broke. The design is beautiful.", "Junk", 1.0),
    ("Why people love this strap is beyond me.", "Really good strap?", 5.0),
)


def dataset(reviews: Sequence[tuple[str, str, float]], *, held_out: int = 0) -> Dataset:
    """Return reviews by as many users of one item, and one rating of another."""
    count = len(reviews)
    texts, titles, ratings = zip(*reviews, strict=True)
    parts = np.full(count + 1, Part.TRAIN, dtype=np.int8)
    parts[count - held_out : count] = Part.TEST
    events = Interactions(
        users=Vocabulary([f"u{n}" for n in range(count + 1)]),
        offsets=np.arange(count + 2),
        item_rows=np.asarray([0] * count + [1]),
        event_codes=np.zeros(count + 1, dtype=np.int64),
        event_types=("rating",),
        ratings=np.asarray([*ratings, 1.0], dtype=np.float32),
        extra=pl.DataFrame(
            {
                "review_text": pl.Series([*texts, None], dtype=pl.String),
                "review_title": pl.Series([*titles, None], dtype=pl.String),
            }
        ),
    )
    table = pl.DataFrame({"item_id": ["a", "b"], "title": pl.Series([None, None], dtype=pl.String)})
    return Dataset("toy", Catalog(Vocabulary(["a", "b"]), table), events, Split(parts, "all"))


def voices(*, held_out: int = 0) -> Voices:
    found = read_reviews(dataset(STRAPS * 4, held_out=held_out))
    assert found is not None
    return Voices(replace(found, aspects=Aspects(("design", "strap"))), [None, None])


def test_only_pleased_customers_are_quoted_and_never_a_complaint() -> None:
    quotes = voices().of(0).quotes
    assert quotes
    assert {quote.rating for quote in quotes} == {5.0}
    said = " ".join(quote.text for quote in quotes)
    assert "broke" not in said
    assert "beyond me" not in said


def test_an_aspect_is_praised_by_the_reviews_that_praise_it() -> None:
    voice = voices().of(0)
    assert voice.praised is not None
    # The review with one star calls it beautiful too, and does not count.
    assert len(voice.praised["design"]) == 8
    assert voice.num_reviews == 16
    assert voice.speaks_of("Designs") == 12
    assert voice.speaks_of("sound") == 0


def test_an_item_without_a_title_is_called_what_reviewers_call_it() -> None:
    calling = voices().of(0).calling
    assert calling is not None
    assert calling.noun.endswith("strap")
    assert not calling.is_plural


def test_reviews_that_are_held_out_are_not_heard() -> None:
    assert voices(held_out=15).of(0).num_reviews == 1


def test_the_users_own_review_is_left_out_and_quoted_as_own_words() -> None:
    heard = voices()
    assert heard.of(0, without=0).num_reviews == 15
    assert heard.own_words(0) == "Great strap"
    assert heard.own_words(2) == ""
    assert heard.own_words(3) == ""


def test_a_shop_without_reviews_and_a_new_item_have_no_voice() -> None:
    assert Voices(None, [None]).of(0).quotes == ()
    assert voices().of(99).num_reviews == 0
    assert Voices(None, [None]).cares([0]) == ()


@pytest.mark.parametrize("place", range(4))
def test_what_was_not_said_twice_is_not_cared_for(place: int) -> None:
    assert voices().cares([place]) == ()
