"""Of several drafts and quotations the one that says what most of them say."""

from collections import Counter
from collections.abc import Sequence

from palate.language.plain_text import words


def most_agreed(drafts: Sequence[str], quotes: Sequence[str] = (), *, trust: float = 0.0) -> str:
    """Return the text whose words are most like those of the others; the first of equals.

    Minimum Bayes risk decoding (Kumar & Byrne 2004; Eikema & Aziz 2022): ``argmax_t sum_d
    (1 - trust) / |D| · F1(t, d) + sum_q trust / |Q| · F1(t, q)`` over the texts ``t`` of both. The
    drafts are drawn from the model, so that the mean likeness to them estimates the likeness to be
    expected of the true reply; what people wrote of the same thing estimates it too. ``F1`` is
    that of the words in common, as ROUGE-1 counts them.

    Args:
        drafts: what the model wrote, at least one.
        quotes: what people wrote; each may be the answer.
        trust: how much the quotes weigh of both, where there are any.

    Example:
        >>> most_agreed(["great strings", "works", "great guitar strings"])
        'great strings'
        >>> most_agreed(["great strings"], ["it broke", "it soon broke"], trust=0.9)
        'it broke'
    """
    trust = trust if quotes else 0.0
    said = {text: Counter(words(text)) for text in (*drafts, *quotes)}
    evidence = [(said[text], (1 - trust) / len(drafts)) for text in drafts]
    evidence += [(said[text], trust / len(quotes)) for text in quotes]

    def likeness(text: str) -> float:
        return sum(weight * _f1(said[text], other) for other, weight in evidence)

    return max(said, key=likeness)


def _f1(one: Counter[str], other: Counter[str]) -> float:
    both = (one & other).total()
    return 2 * both / max(one.total() + other.total(), 1)
