"""Reviews: only those of training are read; aspects and explanations match what people mean."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from palate.data.catalog import Catalog
from palate.data.dataset import Dataset
from palate.data.interactions import Interactions
from palate.data.prepare import prepare
from palate.data.split import Part, Split
from palate.data.vocabulary import Vocabulary
from palate.language.text.aspects import Aspects, find_aspects, num_opinions, opinion
from palate.language.text.plain import words
from palate.language.text.reviews import Reviews, read_held_out, read_reviews
from palate.simulation.world import World

ASPECTS = Aspects(("strings", "sound", "price"))


@pytest.fixture(scope="module")
def shop() -> Dataset:
    return World(num_users=400, num_items=120, seed=3).dataset()


@pytest.fixture(scope="module")
def shop_reviews(shop: Dataset) -> Reviews:
    found = read_reviews(shop)
    assert found is not None
    return found


def _dataset(texts: list[str | None], *, ratings: list[float], **more: list[str | None]) -> Dataset:
    """Return one user's events on as many items, all of training."""
    ids = [f"i{k}" for k in range(len(texts))]
    events = Interactions(
        users=Vocabulary(["u"]),
        offsets=np.asarray([0, len(texts)]),
        item_rows=np.arange(len(texts)),
        event_codes=np.zeros(len(texts), dtype=np.int64),
        event_types=("rating",),
        ratings=np.asarray(ratings, dtype=np.float32),
        extra=pl.DataFrame({"review_text": pl.Series(texts, dtype=pl.String), **more}),
    )
    table = pl.DataFrame({"item_id": ids, "title": pl.Series([None] * len(ids), dtype=pl.String)})
    parts = np.zeros(len(texts), dtype=np.int8)
    return Dataset("toy", Catalog(Vocabulary(ids), table), events, Split(parts, "all"))


def _reviews(text: str, rating: float) -> Reviews:
    """Return a review by somebody for whom 1 is the worst and 5 the best."""
    found = read_reviews(_dataset([text, None, None], ratings=[rating, 1, 5]))
    assert found is not None
    return replace(found, aspects=ASPECTS)


def test_nothing_but_training_can_be_read(shop: Dataset, shop_reviews: Reviews) -> None:
    extra = shop.interactions.extra
    assert extra is not None
    written = extra["review_text"].is_not_null().to_numpy()
    train = shop.split.parts == Part.TRAIN
    assert (written & ~train).any(), "there is something to hide"
    for place in range(len(train)):
        assert (shop_reviews.of(place) is not None) == bool(written[place] and train[place])
    assert len(shop_reviews) == len(shop_reviews.texts) == (written & train).sum()


@pytest.mark.parametrize("part", [Part.VALID, Part.TEST, Part.CONTEXT])
def test_a_review_of_any_other_part_leaves_no_trace(part: Part) -> None:
    data = _dataset(["The secret hum is bad."] * 5 + ["Fine."], ratings=[1, 2, 3, 4, 5, 5])
    parts = np.full(6, part, dtype=np.int8)
    parts[5] = Part.TRAIN
    found = read_reviews(replace(data, split=Split(parts, "one")))
    assert found is not None
    assert len(found) == 1
    assert "secret" not in " ".join([*found.texts, *found.titles, *found.aspects.words])
    assert [found.of(place) is not None for place in range(6)] == [False] * 5 + [True]
    assert found.sentences_about(0) == []


def test_held_out_reviews_are_read_only_to_judge(shop: Dataset, shop_reviews: Reviews) -> None:
    held = read_held_out(shop, "test", shop_reviews)
    assert held is not None
    places = np.flatnonzero(held.lines >= 0)
    assert (shop.split.parts[places] == Part.TEST).all()
    assert held.aspects == shop_reviews.aspects


def test_without_reviews_there_are_none(shop: Dataset) -> None:
    bare = replace(shop, interactions=replace(shop.interactions, extra=None))
    assert read_reviews(bare) is None
    assert read_reviews(_dataset([None, " ", "..."], ratings=[1, 2, 3])) is None


def test_a_review_is_plain_text() -> None:
    data = _dataset(
        ["Nice &#34;tone&#34;.<br />Really\n", None],
        ratings=[5, np.nan],
        review_title=["A\tb", "T"],
    )
    found = read_reviews(data)
    assert found is not None
    first, second = found.of(0), found.of(1)
    assert first is not None
    assert second is not None
    assert (first.text, first.title, first.rating) == ('Nice "tone". Really', "A b", 5)
    assert (second.text, second.title, second.rating) == ("", "T", None)


def test_sentences_about_an_item_are_those_of_its_reviews(shop_reviews: Reviews) -> None:
    row = int(shop_reviews.item_rows[0])
    texts = shop_reviews.texts.filter(pl.Series(shop_reviews.item_rows == row))
    told = shop_reviews.sentences_about(row)
    assert told
    assert all(any(sentence in text for text in texts) for sentence in told)
    assert all(4 <= len(sentence.split()) <= 25 for sentence in told)


def test_the_aspects_of_the_shop_are_those_its_customers_judge(shop_reviews: Reviews) -> None:
    assert {"price", "style", "colour", "value"} <= set(shop_reviews.aspects.words)
    assert not {"lamp", "the", "good"} & set(shop_reviews.aspects.words), "no names, no opinions"


def test_aspects_are_nouns_people_judge() -> None:
    texts = [f"{a} The sound is {b}. It plays badly." for a in "xyz" for b in ("good", "bad")]
    texts += ["The zither came today."] + ["Nothing to say."] * 15
    found = find_aspects(texts * 2, np.arange(len(texts) * 2) % 7, [])
    assert found.words == ("sound",), "neither a verb nor a word of few reviews"


def test_words_of_the_title_are_not_aspects() -> None:
    texts = [f"The lamp is good. The shade is bad {k}." for k in range(4)] + ["Quiet."] * 20
    rows = np.arange(24) % 8
    assert set(find_aspects(texts, rows, [""] * 8).words) == {"lamp", "shade"}
    assert set(find_aspects(texts, rows, ["Oak Lamp"] * 8).words) == {"shade"}


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("It sounds great.", "sound"),
        ("I bought a string.", "strings"),
        ("The strings cost more but the price is fair and good.", "price"),
        ("Nothing to see here.", None),
        ("", None),
    ],
)
def test_the_aspect_is_the_one_nearest_to_an_opinion(sentence: str, expected: str | None) -> None:
    assert ASPECTS.of(sentence) == expected


@pytest.mark.parametrize(
    ("sentence", "expected", "number"),
    [
        ("a great and reliable pedal", 2, 2),
        ("not good", -1, 1),
        ("no problem at all", 1, 1),
        ("good but expensive", 0, 2),
        ("it is blue", 0, 0),
    ],
)
def test_opinions_are_counted_and_negations_flip_them(
    sentence: str, expected: int, number: int
) -> None:
    assert opinion(words(sentence)) == expected
    assert num_opinions(words(sentence)) == number


def test_the_best_explanation_is_an_opinion_that_agrees_with_the_rating() -> None:
    text = (
        "I bought these strings when my son needed them. Is the sound good? "
        "The price is bad for students. The strings have a great, warm sound. Good sound. "
    )
    pleased = _reviews(text, 5)
    best = pleased.explanation_of(0)
    assert best == ("sound", "The strings have a great, warm sound.")
    annoyed = _reviews(text, 1).explanation_of(0)
    assert annoyed == ("price", "The price is bad for students.")
    drawn = {pleased.explanation_of(0, np.random.default_rng(seed)) for seed in range(20)}
    assert best in drawn
    assert len(drawn) == 2, "now and then the second best is taken"
    assert pleased.explanation_of(1) is None
    assert _reviews("Works for me every single day.", 5).explanation_of(0) is None


def test_a_judgement_has_the_aspects_that_agree_with_the_rating() -> None:
    text = "The sound is really great. The price is awfully bad."
    assert _reviews(text, 5).judgement_of(0) == (True, ["sound"])
    assert _reviews(text, 1).judgement_of(0) == (False, ["price"])
    assert _reviews(text, 3).judgement_of(0) is None, "the middle of the scale is neither"
    assert _reviews(text, float("nan")).judgement_of(0) is None


@pytest.mark.real
def test_ten_thousand_real_reviews_are_read_in_seconds(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "amazon14_instruments_reviews"
    data = prepare(folder, tmp_path / "dataset")
    start = time.perf_counter()
    found = read_reviews(data)
    assert time.perf_counter() - start < 10
    assert found is not None
    assert {"sound", "tone", "price", "quality", "strings"} <= set(found.aspects.words[:60])
    places = np.flatnonzero(found.lines >= 0)[::50]
    explained = [found.explanation_of(int(place)) for place in places]
    assert sum(one is not None for one in explained) > 0.8 * len(places)
