"""What may be printed as praise: never a complaint, however it is put."""

import pytest

from palate.language.text.sentiment import sentiment

PRAISE = (
    "The sound is warm and the strap is comfortable.",
    "I love these strings.",
    "It works perfectly and there is no noise.",
    "You can't go wrong with this tuner.",
    "It never slips and holds the guitar securely.",
    "No complaints at all about the excellent finish.",
    "The tone could not be better.",
    "It does the job, and it is easy to use.",
    "They stay in tune without any problems.",
)
COMPLAINTS = (
    "Why pedals that make your guitar sound like a piece of junk are so popular is beyond me.",
    "Who would call this a great sound?",
    "This is a piece of junk.",
    "It is not good.",
    "The strings don't stay in tune.",
    "Great if you like buzzing.",
    "I wish it sounded better.",
    "It was great until it broke.",
    "Nice design, but it fell apart.",
    "What a great way to waste money.",
    "The sound is too thin to be useful.",
    "It would have been perfect with a longer cable.",
    "Save your money and buy a good one.",
    "Not worth the price.",
    "It isnt worth the excellent packaging.",
    "The looks are fine.",
    "It is good enough for a beginner.",
    "The only good thing I can say is that it is light.",
    "It didn't solve any problems.",
    "I returned it, though it looks beautiful.",
    "It's almost perfect.",
    "Although the finish is beautiful, the tone is dull.",
    "You get what you pay for, a great bargain.",
    "It used to be an excellent brand.",
    "It seems well made.",
)


@pytest.mark.parametrize("sentence", PRAISE)
def test_praise_is_praise(sentence: str) -> None:
    assert sentiment(sentence).is_praise


@pytest.mark.parametrize("sentence", COMPLAINTS)
def test_complaints_doubts_and_questions_are_no_praise(sentence: str) -> None:
    assert not sentiment(sentence).is_praise


def test_a_negation_turns_praise_into_blame_and_problems_into_praise() -> None:
    assert sentiment("The tone is not warm.").mood == -1
    assert sentiment("There is no buzzing.").mood == 1
    assert sentiment("It is a cable.").mood == 0
    assert sentiment("This is awful and cheap junk.").is_blame


def test_a_text_without_words_says_nothing() -> None:
    for text in ("", "...", "12 34", "\u4f60\u597d"):
        found = sentiment(text)
        assert (found.praise, found.blame, found.is_praise) == (0, 0, False)
