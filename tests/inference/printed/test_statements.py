"""Statements: what they say by themselves, and where they come from."""

import pytest

from palate.inference.printed.statements import (
    Alike,
    Because,
    Filed,
    Popular,
    Praised,
    Priced,
    Shared,
    Statement,
    Unlinked,
    Unspoken,
    WellRated,
    as_json,
    listed,
    predicate,
    quotes_in,
)
from palate.language.text.voices import Quote

QUOTE = Quote("The sound is warm.", 7, 5.0, "sound")
BECAUSE = Because((3,), ("i9",), ("Heat",), "gave five stars to {}", 0.5, "A masterpiece")


@pytest.mark.parametrize(
    ("statement", "plain", "source"),
    [
        (
            BECAUSE,
            'You gave five stars to Heat. About it you wrote "A masterpiece".',
            "why: events 3",
        ),
        (Shared("brand", ("Oak",), "Heat", "i9"), "Like Heat, it is by Oak.", "catalogue: brand"),
        (
            Priced(12.5, 20.0, "less"),
            "It costs 12.50, less than what you usually choose (20.00).",
            "catalogue: price",
        ),
        (Priced(12.5, None, None), "It costs 12.50.", "catalogue: price"),
        (
            Praised("sound", 1, 4, QUOTE),
            '1 of its 4 reviews praises the sound. A customer writes: "The sound is warm."',
            "reviews: 1 of 4, quoting event 7",
        ),
        (Filed("categories", ("Lamps",)), "It is filed under Lamps.", "catalogue: categories"),
        (Popular(1200), "It was chosen 1,200 times.", "training events"),
        (
            WellRated("4.5 out of 5", 12),
            "12 customers gave it an average rating of 4.5 out of 5.",
            "training ratings",
        ),
        (Unspoken("sound", 4, 0), "Its reviews do not speak of sound.", "reviews: 0 of 4"),
        (
            Unlinked(),
            "There is nothing in the catalogue that links it to what you chose before.",
            "nothing",
        ),
    ],
)
def test_a_statement_is_a_sentence_with_a_source(
    statement: Statement, plain: str, source: str
) -> None:
    found = as_json(statement)
    assert found == {"kind": type(statement).__name__.lower(), "text": plain, "source": source}


def test_the_words_of_others_are_found() -> None:
    statements = [BECAUSE, Praised("sound", 1, 4, QUOTE), Alike("historical fiction", "Heat", "i9")]
    assert quotes_in(statements) == ["A masterpiece", "The sound is warm.", "historical fiction"]


def test_lists_and_predicates_read_well() -> None:
    assert listed([]) == ""
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert predicate("director", ["Mann"], also=True) == "was also directed by Mann"
    assert predicate("actors", ["Murray"], also=True) == "also features Murray"
    assert predicate("brand", ["Oak"], is_plural=True) == "are by Oak"
