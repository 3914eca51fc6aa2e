"""Sentences: whole, in several wordings, the same for the same seed, and nothing but statements."""

import re

import pytest

from palate.inference.printed.choosing import Content
from palate.inference.printed.naming import Name, month_of, printed_title
from palate.inference.printed.saying import say
from palate.inference.printed.statements import (
    Alike,
    Because,
    Described,
    Filed,
    Popular,
    Praised,
    Priced,
    Shared,
    Statement,
    Unlinked,
    Unspoken,
    WellRated,
    quotes_in,
)
from palate.language.text.voices import Quote
from palate.trust.sentences import split_sentences

QUOTE = Quote("The sound is warm.", 7, 5.0, "sound")
HEAT = Because((3,), ("i9",), ("Heat",), "gave five stars to {}", 0.5)
BOTH = Because((3, 4), ("i9", "i8"), ("Heat", "Ali"), "bought {}", 0.5)
OWN = Because(
    (3,), ("i9",), ("an item from May 2013",), "gave five stars to {}", 0.5, "Neat", "five stars"
)
CONTENTS: tuple[tuple[Statement, ...], ...] = (
    (HEAT,),
    (HEAT, Shared("brand", ("Oak",), "Heat", "i9"), Praised("sound", 3, 8, QUOTE, "five stars")),
    (BOTH, Shared("categories", ("Crime", "Drama"), "Heat", "i9"), Priced(9.0, 9.5, "about")),
    (HEAT, Alike("historical fiction", "Heat", "i9"), Described("A tale of two cities and a war.")),
    (OWN, Praised("", 0, 8, QUOTE, "five stars")),
    (Praised("sound", 2, 2, None),),
    (Praised("sound", 1, 1, None, is_asked_for=True), HEAT),
    (Praised("sound", 1, 9, QUOTE, "", is_cared_for=True),),
    (Unspoken("sound", 5, 2), HEAT),
    (Unspoken("sound", 0, 0),),
    (Filed("brand", ("Oak",)), Filed("categories", ("Lamps",)), Popular(1200)),
    (Unlinked(), WellRated("4.5 out of 5", 12)),
    (Priced(9.0, 5.0, "more"),),
    (Priced(9.0, 15.0, "less"), Described("A tale of two cities and a war.")),
)
NAMES = (Name("Ali (2001)", is_title=True), Name("strings", False, True), Name("item", False))


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("name", NAMES)
def test_what_is_said_is_whole(content: tuple[Statement, ...], name: Name) -> None:
    for seed in map(str, range(12)):
        text = say(Content(name, content), seed)
        for sentence in split_sentences(text):
            assert sentence[0].isupper() or sentence[0] in "\u201c" or sentence[0].isdigit(), text
        assert text[-1] in ".!\u201d"
        assert "  " not in text
        assert not re.search(r"[{}]|None|\s[.,;:]", text), text
        assert name.text in text
        said = text.replace(",\u201d", ".\u201d")
        assert all(f"\u201c{quote}\u201d" in said for quote in quotes_in(content)), text


def test_wordings_vary_with_the_seed_and_not_without() -> None:
    content = Content(NAMES[0], CONTENTS[1])
    texts = [say(content, str(seed)) for seed in range(40)]
    assert len(set(texts)) > 5
    assert texts == [say(content, str(seed)) for seed in range(40)]


def test_an_event_and_what_it_shares_are_one_sentence() -> None:
    texts = {say(Content(NAMES[0], CONTENTS[2][:2]), str(seed)) for seed in range(60)}
    assert "You bought Heat and Ali, and Ali (2001) is also filed under Crime and Drama." in texts


def test_several_things_have_verbs_of_several() -> None:
    content = Content(NAMES[1], (Filed("brand", ("Oak",)), Priced(9.0, None, None)))
    assert say(content, "") == "These strings are by Oak. They cost 9.00."


def test_the_users_own_words_name_what_has_no_name() -> None:
    text = say(Content(NAMES[2], (OWN,)), "")
    assert "wrote \u201cNeat\u201d in a five-star review in May 2013" in text


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        ("Usual Suspects, The (1995)", "The Usual Suspects (1995)"),
        ("Boat, The (Das Boot) (1981)", "The Boat (Das Boot) (1981)"),
        ("Lamp", "Lamp"),
        ("Hate to Love (Bad Boys) (Volume 4)", "Hate to Love (Bad Boys)"),
        ("One Good Dog: A Novel", "One Good Dog"),
        ("DAUGHTER OF FORTUNE", "Daughter of Fortune"),
        ("LEGO", "LEGO"),
        ("", ""),
        ('The "Best"\nLamp', "The 'Best' Lamp"),
    ],
)
def test_titles_in_print(title: str, shown: str) -> None:
    assert printed_title(title) == shown


def test_a_long_title_is_cut_between_its_parts() -> None:
    title = "Dr. Strangelove or: How I Learned to Stop Worrying and Love the Bomb Again (1963)"
    assert not printed_title(title).endswith("or")
    assert len(printed_title("word " * 100)) <= 70


def test_a_month_is_said_in_words() -> None:
    assert month_of(0) == "January 1970"
