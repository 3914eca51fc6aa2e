"""Of several drafts the one that says what most of them say."""

from collections import Counter
from collections.abc import Sequence

from palate.language.plain_text import words


def most_agreed(drafts: Sequence[str]) -> str:
    """Return the draft whose words are most like those of the others; the first of equals.

    Minimum Bayes risk decoding (Kumar & Byrne 2004; Eikema & Aziz 2022): the drafts are drawn from
    the model, so that the mean likeness to them estimates the likeness to be expected of the true
    reply. Likeness is the F1 of the words in common, as ROUGE-1 counts them.

    Example:
        >>> most_agreed(["great strings", "works", "great guitar strings"])
        'great strings'
    """
    counted = [Counter(words(draft)) for draft in drafts]
    likeness = [sum(_f1(one, other) for other in counted) for one in counted]
    return drafts[max(range(len(drafts)), key=lambda place: (likeness[place], -place))]


def _f1(one: Counter[str], other: Counter[str]) -> float:
    both = (one & other).total()
    return 2 * both / max(one.total() + other.total(), 1)
