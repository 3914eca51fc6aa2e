"""Grounding: invented names are found, and removed with their sentence."""

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palate.data.catalog import Catalog
from palate.data.vocabulary import Vocabulary
from palate.errors import DataError
from palate.trust.grounding import Groundedness, Grounds, drop_invented, factual_sentence

SHARED = Path(os.environ.get("PALATE_SHARED_DATA", Path(__file__).parents[2] / "../shared/data"))


def catalog_of(items: list[dict[str, object]]) -> Catalog:
    schema = {
        "item_id": pl.String, "title": pl.String, "description": pl.String, "brand": pl.String,
        "categories": pl.List(pl.String), "price": pl.Float32,
    }  # fmt: skip
    rows = [
        {"item_id": f"i{row}", "title": None, "description": None, "brand": None, "categories": []}
        | item
        for row, item in enumerate(items)
    ]
    table = pl.DataFrame([{"price": None} | row for row in rows], schema=schema)
    return Catalog(Vocabulary(table["item_id"].to_list()), table)


CATALOG = catalog_of(
    [
        {"title": "Fender Medium Pick", "brand": "Fender", "price": 4.99,
         "categories": ["Instruments", "Picks"], "description": "A pick for Gibson players."},
        {"title": "Slinky Nickel Set", "brand": "Ernie Ball", "price": 6.49,
         "categories": ["Instruments", "Strings"]},
        {"title": "Great Bass Set", "brand": "Great", "price": 19.5,
         "categories": ["Instruments", "Strings"]},
        {"title": "Matrix, The (1999)", "categories": ["Film Noir"], "price": 10.0},
        {"title": "What Now? Again. (2001)", "categories": ["Drama"]},
    ]
)  # fmt: skip
REVIEWS = ["These are great strings.", "I like great new strings on my Fender."] * 20 + [
    "My Gibson came with bad strings, a great shame."
]
GROUNDS = Grounds.of(CATALOG, texts=REVIEWS)
PICK, SLINKY, BASS, MATRIX, AGAIN = range(5)


def claimed(text: str) -> list[tuple[str, str]]:
    return [(claim.kind, claim.text) for claim in GROUNDS.claims(text)]


def invented(text: str, item_row: int, *history: int) -> list[str]:
    return [claim.text for claim in GROUNDS.check(text, item_row, history).invented]


def test_claims_are_found_by_kind_and_place() -> None:
    text = 'Like the Slinky Nickel Set, it is by "Fender" and costs $4.99.'
    assert claimed(text) == [
        ("title", "Slinky Nickel Set"), ("brand", '"Fender"'), ("price", "$4.99")
    ]  # fmt: skip
    assert all(text[x.start : x.end] == x.text for x in GROUNDS.claims(text))


def test_the_longest_name_wins() -> None:
    assert claimed("Try the Fender medium pick.") == [("title", "Fender medium pick")]


def test_names_stand_on_whole_words() -> None:
    assert claimed("Defenders of Fenderson.") == []
    assert claimed("I like Fender's sound.") == [("brand", "Fender")]


def test_facts_of_item_and_history_are_grounded() -> None:
    text = "You chose the Slinky Nickel Set by Ernie Ball. This Fender pick costs $4.99."
    assert invented(text, PICK, SLINKY) == []
    assert invented(text, PICK) == ["Slinky Nickel Set", "Ernie Ball"]


def test_catalogue_texts_of_an_item_are_grounded() -> None:
    grounds = Grounds.of(catalog_of([
        {"title": "Strap for Fender guitars", "description": "Suits Gibson too."},
        {"title": "Body", "brand": "Fender"}, {"title": "Neck", "brand": "Gibson"},
    ]))  # fmt: skip
    assert grounds.check("It suits Fender and Gibson guitars.", 0, []).is_grounded
    assert not grounds.check("It suits Fender and Gibson guitars.", 1, []).is_grounded
    assert invented('The "Medium Pick" is fine.', PICK) == []


def test_names_outside_the_catalogue_are_invented() -> None:
    assert invented('Like "The Silver Harp", it rings.', PICK) == ['"The Silver Harp"']
    assert invented("Like \u2018Harper's Dream\u2019, it rings.", PICK) == [
        "\u2018Harper's Dream\u2019"
    ]
    assert invented("It is made by Nobody Ltd in Rome.", PICK) == ["Nobody Ltd"]
    assert invented('like "the silver harp", it rings.', PICK) == ['"the silver harp"']


def test_quoted_sayings_are_no_titles() -> None:
    assert claimed('You said "it sounds so warm" of a "warm" tone, in the key of "F".') == []
    assert claimed('A 6" one and a 12" One.') == []


def test_titles_as_people_say_them() -> None:
    for title in ("Matrix, The (1999)", "The Matrix (1999)", "The Matrix", "the matrix"):
        assert claimed(f"You watched {title} before.") == [("title", title.rstrip(")"))]
        assert invented(f"You watched {title} before.", PICK, MATRIX) == []
        assert invented(f"You watched {title} before.", PICK)


def test_a_title_may_contain_the_end_of_a_sentence() -> None:
    text = 'You saw "What Now? Again." before. It is good.'
    assert invented(text, PICK, AGAIN) == []
    assert GROUNDS.without_invented(text, PICK, []) == "It is good."


@pytest.mark.parametrize(
    ("text", "claims"),
    [
        ("These are great strings.", 0),
        ("Great strings for you.", 0),
        ("You like Great music.", 0),
        ("It is by Great.", 1),
        ("It belongs in Strings.", 1),
        ("It is from the Strings category.", 1),
        ("The strings category is large.", 0),
        ('You like "Great".', 1),
        ("it is by great.", 0),
        ("GREAT STRINGS BY GREAT!", 0),
    ],
)
def test_common_words_need_case_and_context(text: str, claims: int) -> None:
    assert len(claimed(text)) == claims


def test_rare_words_need_capitals() -> None:
    assert claimed("He picks drama.") == []
    assert claimed("It is a Drama.") == [("category", "Drama")]


def test_names_people_write_with_capitals_count_however_written() -> None:
    assert claimed("i love my fender") == [("brand", "fender")]


def test_numbers_are_no_names() -> None:
    grounds = Grounds.of(catalog_of([{"title": "300", "brand": "3"}, {"title": "Big"}]))
    assert grounds.claims("I ran 300 metres in 3 days.") == []
    assert len(grounds.claims('You saw "300" and the film 300.')) == 2


@pytest.mark.parametrize(
    ("price", "is_grounded"),
    [
        ("$4.99", True), ("$ 5", True), ("4.98 dollars", True), ("£4.99", True), ("$5.01", False),
        ("$49.9", False), ("$1,004.99", False), ("6.49 USD", False), ("4 strings", True),
    ],
)  # fmt: skip
def test_prices_are_those_of_the_item_to_a_cent(price: str, is_grounded: bool) -> None:
    assert GROUNDS.check(f"It costs {price} only.", PICK, [SLINKY]).is_grounded is is_grounded


def test_a_price_of_the_history_needs_its_title() -> None:
    text = "You paid $6.49 for the Slinky Nickel Set. This is $6.49."
    assert [x.start for x in GROUNDS.check(text, PICK, [SLINKY]).invented] == [text.rindex("$")]


def test_an_item_without_a_price_has_none() -> None:
    assert invented("It costs $1.", AGAIN) == ["$1"]


def test_invented_claims_are_removed_with_their_whole_sentences() -> None:
    text = "It is bright. It is by Ernie Ball, for $4.99! You will like it."
    verdict = GROUNDS.check(text, PICK, [])
    assert drop_invented(text, verdict) == "It is bright. You will like it."
    assert GROUNDS.without_invented("It is by Ernie Ball.", PICK, []) == ""
    assert GROUNDS.without_invented(" As it was. ", PICK, []) == " As it was. "


@pytest.mark.parametrize(
    "text",
    [
        'He said "wait. Ernie Ball is here.\nthe rest" follows. Good.',
        'An open "mark here. Ernie Ball.\nAnother" one "Quoted Name" ends.',
        "One. Ernie Ball\n(two) three. four",
        "“ a. \"Ernie Ball “ b\" c. D” e.",
    ],
)  # fmt: skip
def test_sentences_that_are_left_do_not_run_together(text: str) -> None:
    assert GROUNDS.check(GROUNDS.without_invented(text, PICK, []), PICK, []).is_grounded


PIECES = st.sampled_from([
    "Fender", "Ernie Ball", "great", "Great", "by ", "The Matrix", "Strings", "in ", "Drama", '"',
    "“", "”", "'", "\u2018", "$5", "4.99", " dollars", ". ", "! ", "? ", "\n", " ", " ", "A", "b",
    "(", "made by Nobody", "Dr.", "What Now? Again.", ",", "ß", "İ", "\x1c", "e.g. ",
])  # fmt: skip


@given(st.text() | st.lists(PIECES, max_size=30).map("".join))
def test_a_text_without_its_invented_sentences_is_grounded(text: str) -> None:
    kept = GROUNDS.without_invented(text, PICK, [MATRIX])
    assert GROUNDS.check(kept, PICK, [MATRIX]).is_grounded
    assert all(text[x.start : x.end] == x.text for x in GROUNDS.claims(text))


@given(st.lists(st.tuples(st.text(), st.none() | st.text(), st.lists(st.text(), max_size=3)),
                min_size=1, max_size=5))  # fmt: skip
def test_factual_sentences_of_any_catalogue_are_grounded(
    items: list[tuple[str, str | None, list[str]]],
) -> None:
    catalog = catalog_of([{"title": t, "brand": b, "categories": c} for t, b, c in items])
    grounds = Grounds.of(catalog, texts=[t for t, _, _ in items])
    sentence = factual_sentence(catalog, 0, range(len(items)))
    assert "\n" not in sentence
    assert sentence.count('"') in {2, 4}
    assert grounds.check(grounds.without_invented(sentence, 0, []), 0, []).is_grounded


def test_no_text_takes_for_ever() -> None:
    for piece in ('"', "“", "\u2018A", ". ", "made by A ", "Ernie ", "$1 ", "e.g. ", "\n"):
        text = piece * (4_000 // len(piece))
        assert GROUNDS.without_invented(text, PICK, []) is not None


def test_rate_counts_texts_and_claims() -> None:
    texts = ["It is by Fender.", "It is by Ernie Ball, for $4.99.", "It is nice."]
    found = GROUNDS.groundedness(texts, [PICK, PICK, BASS], [[], [], []])
    assert found == Groundedness(num_texts=3, num_grounded=2, num_claims=3, num_invented=1)
    assert found.rate == pytest.approx(2 / 3)
    assert GROUNDS.groundedness([], [], []).rate == 1


def test_rows_outside_the_catalogue_are_an_error() -> None:
    with pytest.raises(DataError, match="rows 0 to 4, got 9"):
        GROUNDS.check("Fine.", PICK, [9])


def test_factual_sentence_links_by_brand_then_category() -> None:
    assert factual_sentence(CATALOG, BASS, [PICK, SLINKY]) == (
        '"Great Bass Set" is in Strings, as is "Slinky Nickel Set", which you chose.'
    )
    assert factual_sentence(CATALOG, PICK, [BASS]) == (
        '"Fender Medium Pick" is in Instruments, as is "Great Bass Set", which you chose.'
    )
    assert factual_sentence(CATALOG, PICK, [MATRIX]) == '"Fender Medium Pick" is by Fender.'
    assert factual_sentence(CATALOG, AGAIN, [PICK]) == '"What Now? Again. (2001)" is in Drama.'
    same = catalog_of([{"title": "A", "brand": "X"}, {"title": "B", "brand": "X"}, {}])
    assert factual_sentence(same, 0, [1, 0]) == '"A" is by X, as is "B", which you chose.'
    assert factual_sentence(same, 2, [0]) == (
        'Nothing in the catalogue links "i2" to what you chose before.'
    )


def test_factual_sentence_tames_titles() -> None:
    wild = catalog_of([{"title": 'A 6" "cable"\n' + "long " * 50, "brand": "“B”"}])
    sentence = factual_sentence(wild, 0, [])
    assert sentence.startswith('"A 6” ”cable” long')
    assert len(sentence) < 160
    assert Grounds.of(wild).check(sentence, 0, []).is_grounded


@pytest.mark.real
@pytest.mark.parametrize("name", ["amazon14_beauty", "ml-1m"])
def test_facts_of_real_catalogues_are_grounded(name: str) -> None:
    path = SHARED / name / "items.parquet"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    table = pl.read_parquet(path)
    catalog = Catalog(Vocabulary(table["item_id"].to_list()), table)
    rng = np.random.default_rng(0)
    rows, histories = (
        rng.integers(len(catalog), size=200),
        rng.integers(len(catalog), size=(200, 8)),
    )
    sentences = [
        factual_sentence(catalog, int(row), history.tolist())
        for row, history in zip(rows, histories, strict=True)
    ]
    grounds = Grounds.of(catalog)
    assert grounds.groundedness(sentences, rows.tolist(), histories.tolist()).rate == 1.0
    others = np.roll(rows, 1).tolist()
    assert grounds.groundedness(sentences, others, np.roll(histories, 5, 0).tolist()).rate < 0.01
