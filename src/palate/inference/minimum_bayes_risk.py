"""Minimum Bayes risk decoding: the text that agrees most with drafts and quotes."""

from collections import Counter
from collections.abc import Sequence
from itertools import chain

import numpy as np
from jaxtyping import Float, Int

from palate.language.text.plain import words


def minimum_risk(drafts: Sequence[str], quotes: Sequence[str] = (), *, trust: float = 0.0) -> str:
    """Return the text whose words are most similar to the others; the first of equals.

    Minimum Bayes risk decoding (Kumar & Byrne 2004; Eikema & Aziz 2022): ``argmax_t sum_d
    (1 - trust) / |D| · F1(t, d) + sum_q trust / |Q| · F1(t, q)`` over the texts ``t`` of both. The
    drafts are sampled from the model, so that the mean similarity to them estimates the expected
    similarity to the true answer; so do sentences by people about the same item. ``F1`` is that of
    the words in common, as in ROUGE-1.

    Args:
        drafts: texts by the model, at least one.
        quotes: sentences by people, each a possible answer.
        trust: weight of the quotes against the drafts, 0 to 1.

    Example:
        >>> minimum_risk(["great strings", "works", "great guitar strings"])
        'great strings'
        >>> minimum_risk(["great strings"], ["it broke", "it soon broke"], trust=0.9)
        'it broke'
    """
    trust = trust if quotes else 0.0
    texts = list(dict.fromkeys((*drafts, *quotes)))
    place = {text: number for number, text in enumerate(texts)}
    weights = np.zeros(len(texts))
    for group, share in ((drafts, 1 - trust), (quotes, trust)):
        for text in group:
            weights[place[text]] += share / len(group)
    # Rounded, so that ties do not depend on the order of summation.
    similarity = np.round(_f1(_counts(texts)) @ weights, 9)
    return texts[int(similarity.argmax())]


def _counts(texts: Sequence[str]) -> Int[np.ndarray, "texts words"]:
    """Return the count of each word in each text."""
    counted = [Counter(words(text)) for text in texts]
    column = {word: number for number, word in enumerate(dict.fromkeys(chain(*counted)))}
    counts = np.zeros((len(texts), len(column)), dtype=np.int32)
    for row, counter in enumerate(counted):
        counts[row, [column[word] for word in counter]] = list(counter.values())
    return counts


def _f1(counts: Int[np.ndarray, "texts words"]) -> Float[np.ndarray, "texts texts"]:
    """Return the unigram F1 of each pair of texts."""
    # min(a, b) is how many k there are with a >= k and b >= k: a matrix product for each k.
    often = [(counts >= k).astype(np.float32) for k in range(1, counts.max(initial=0) + 1)]
    none = np.zeros((len(counts), len(counts)))
    both = sum((each @ each.T for each in often), start=none)
    lengths = counts.sum(axis=1)
    return np.asarray(2 * both / np.maximum(lengths[:, None] + lengths, 1))
