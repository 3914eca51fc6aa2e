"""Titles of reviews, taken from the review: a short whole sentence, or an opinion of a thing.

A title is never half a sentence. Candidates are the short sentences of the review, phrases of an
opinion and what it is about ("great strings"), and statements turned into such a phrase ("the tone
is warm": "warm tone"). The one whose words the review uses most wins, if it agrees with the review.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence

from palate.language.text.aspects import NEGATIVE, POSITIVE, STOP, folded
from palate.language.text.plain import one_line, without_markup, words
from palate.language.text.sentiment import sentiment
from palate.trust.sentences import split_sentences

MAX_WORDS = 9
"""Words of a sentence that is a title as it stands."""
MAX_HEADLINE = 300
"""Characters of a title."""
_LONGEST = 14
"""Words of a sentence that is a title where nothing shorter is."""

_TOKEN = re.compile(r"[^\W\d_][\w'-]*|[^\w\s]")
_COPULAS = frozenset(("is", "are", "was", "were", "sounds", "sound", "looks", "look", "feels"))
_BEFORE = frozenset(("very", "really", "so", "extremely", "super", "quite", "just", "pretty"))
_STORY = re.compile(
    r"\b(?:i|i'm|i've|my|me|we|our|he|she|his|her|when|ago|then|also|but|however|because|which"
    r"|that's|these are|if|so|and then)\b"
)
_SUBJECTLESS = re.compile(r"^(?:and|but|so|or|because|which|also|then|plus)\b", re.IGNORECASE)
_OPINIONS = POSITIVE | NEGATIVE
_NO_HEAD = frozenset(
    ("well", "easily", "perfectly", "beautifully", "nicely", "poorly", "badly", "worth", "like")
)


def headline(review: str, drafts: Iterable[str] = ()) -> str:
    """Return a title for a review, in words of the review alone.

    Args:
        review: its text.
        drafts: titles that a model proposes; one that says nothing else and is whole may win.

    Example:
        >>> headline("I bought these for my son. The strings are great and stay in tune. "
        ...          "He plays the strings every day.")
        'Great strings'
        >>> headline("Warm tone, easy to play. It came on time.")
        'Warm tone, easy to play'
    """
    text = without_markup(review)
    sentences = [sentence for each in split_sentences(text) if words(sentence := each.strip())]
    if not sentences:
        return one_line(text, MAX_HEADLINE)
    counts = Counter(folded(word) for word in words(text) if word not in STOP)
    mood = sum(sentiment(sentence).mood for sentence in sentences)
    found = list(_candidates(sentences))
    found += [(_as_title(draft), -1) for draft in drafts if _may_stand(draft, counts, found)]
    agreeing = [
        (_worth(title, place, counts), -place, title)
        for title, place in found
        if sentiment(title).mood * mood >= 0
    ]
    if agreeing:
        return max(agreeing)[2]
    # Whole sentences alone remain: the one that tells most, of those short enough for a title.
    short = [each for each in sentences if 2 < len(each.split()) <= _LONGEST] or sentences
    told = max(short, key=lambda each: (_worth(each, sentences.index(each), counts), -len(each)))
    return one_line(_as_title(told), MAX_HEADLINE)


def _candidates(sentences: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Yield possible titles, each with the number of its sentence."""
    for place, sentence in enumerate(sentences):
        if _is_title(sentence):
            yield _as_title(sentence), place
        for phrase in (*_phrases(sentence), *_turned(sentence)):
            yield _as_title(phrase), place


def _is_title(sentence: str) -> bool:
    tokens = words(sentence)
    judged = sentiment(sentence)
    return (
        1 < len(sentence.split()) <= MAX_WORDS
        and _STORY.search(sentence.lower()) is None
        and _SUBJECTLESS.match(sentence) is None
        and not judged.asks
        and bool(judged.praise or judged.blame)
        and tokens[-1] not in STOP - {"it", "them", "this", "work", "works", "used", "version"}
        and sentence[0].isalnum()
    )


def _phrases(sentence: str) -> Iterator[str]:
    """Yield an opinion with the words it is about: "great strings", "cheap plastic knobs"."""
    tokens = _TOKEN.findall(sentence)
    for place, token in enumerate(tokens):
        word = token.lower()
        if word not in _OPINIONS or word in _NO_HEAD or _is_negated(tokens, place):
            continue
        end = place + 1
        while end < len(tokens) and end - place <= 2 and _may_be_head(tokens[end]):
            end += 1
        whole = (end < len(tokens) and not _may_be_head(tokens[end])) or end == len(tokens)
        if end > place + 1 and whole:
            yield " ".join(tokens[place:end])


def _turned(sentence: str) -> Iterator[str]:
    """Yield "warm tone" for "the tone is very warm"."""
    tokens = [token.lower() for token in _TOKEN.findall(sentence)]
    for place, token in enumerate(tokens):
        if token not in _COPULAS or place < 2 or tokens[place - 2] not in {"the", "its", "their"}:
            continue
        after = place + 1
        while after < len(tokens) and tokens[after] in _BEFORE:
            after += 1
        if after >= len(tokens) or tokens[after] not in _OPINIONS or tokens[after] in _NO_HEAD:
            continue
        if _may_be_head(tokens[place - 1]) and not _is_negated(tokens, after):
            yield f"{tokens[after]} {tokens[place - 1]}"


def _is_negated(tokens: Sequence[str], place: int) -> bool:
    before = [token.lower() for token in tokens[max(0, place - 3) : place]]
    return any(
        token in {"not", "no", "never", "too", "without"} or "n't" in token for token in before
    )


def _may_be_head(token: str) -> bool:
    word = token.lower()
    return (
        token[0].isalpha()
        and (word not in STOP or word in {"product", "work", "piece", "version", "purchase"})
        and word not in _OPINIONS
        and word not in _COPULAS
        and not word.endswith(("ly", "ing", "ed"))
    )


def _may_stand(draft: str, counts: Collection[str], found: Sequence[tuple[str, int]]) -> bool:
    """Return whether a proposed title is whole and says nothing that the review does not."""
    tokens = words(draft)
    content = [word for word in tokens if word not in STOP]
    known = {title.lower() for title, _ in found}
    shaped = len(content) > 0 and 1 < len(tokens) <= MAX_WORDS and tokens[-1] not in STOP
    opinion = [word for word in content if word in _OPINIONS]
    return _as_title(draft).lower() in known or (
        shaped
        and len(set(tokens)) == len(tokens)
        and len(opinion) == 1
        and tokens[0] in _OPINIONS
        and len(tokens) == len(content) <= 3
        and all(folded(word) in counts for word in content)
    )


def _worth(title: str, place: int, counts: Counter[str]) -> float:
    """Return how much of a review a title tells: its words, and how early they stand."""
    content = {folded(word) for word in words(title) if word not in STOP}
    told = sum(counts[word] for word in content) / (1 + len(content)) ** 0.5
    judged = sentiment(title)
    short = 0.2 * len(title.split())
    value: float = (
        told + min(judged.praise + judged.blame, 2) / 2 + 1.0 / (2 + max(place, 0)) - short
    )
    return value


def _as_title(text: str) -> str:
    line = one_line(text, MAX_HEADLINE).strip(" .,;:-")
    return line[:1].upper() + line[1:]
