"""The classical text baselines: what they choose, and what they do without input."""

from palate.evaluation.text_baselines import most_relevant_sentence
from palate.trust.sentences import first_sentence

SENTENCES = [
    "The strings came on time.",
    "The tone of the strings is warm.",
    "The price is fine, the price is right.",
]


def test_first_sentence() -> None:
    assert first_sentence("\n Works! As said.") == "Works!"
    assert first_sentence("no end") == "no end"
    assert first_sentence(" \n ") == ""


def test_the_rarer_word_decides() -> None:
    assert most_relevant_sentence(SENTENCES, ["the", "strings", "tone"]) == SENTENCES[1]
    assert most_relevant_sentence(SENTENCES, ["Price"]) == SENTENCES[2]


def test_longer_sentences_are_not_favoured() -> None:
    short, long = "Warm tone.", "Warm tone, and many other words that say nothing of it."
    assert most_relevant_sentence([long, short], ["warm", "tone"]) == short


def test_without_a_match_it_is_the_first() -> None:
    assert most_relevant_sentence(SENTENCES, []) == SENTENCES[0]
    assert most_relevant_sentence(SENTENCES, ["piano"]) == SENTENCES[0]
    assert most_relevant_sentence([], ["tone"]) == ""
    assert most_relevant_sentence(["...", "!"], ["tone"]) == "..."
