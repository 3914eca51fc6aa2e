"""Metrics of generated texts: pure functions of hypotheses and references.

Every value is a share between 0 and 1; papers print BLEU and ROUGE times 100. Texts are compared as
:func:`words`. On the explanation sets of the field, which are lower case and free of marks, that
is the same as splitting at spaces, which is what PETER (Li et al. 2021) and P5 (Geng et al. 2022)
do; pass ``tokenise=str.split`` for their numbers on text with marks.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from jaxtyping import Float
from sacrebleu.metrics.bleu import BLEU

from palate.errors import DataError

Tokenise = Callable[[str], list[str]]
"""Splits a text into words."""
Grams = Counter[tuple[str, ...]]

MAX_ORDER = 4
_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")


def words(text: str) -> list[str]:
    """Return the runs of letters and digits in lower case; an apostrophe inside a word stays.

    Example:
        >>> words("It's a 6-string guitar!")
        ["it's", 'a', '6', 'string', 'guitar']
    """
    return _WORD.findall(text.lower())


def score_texts(
    hypotheses: Sequence[str],
    references: Sequence[str],
    *,
    aspects: Sequence[str | Sequence[str]] | None = None,
) -> dict[str, float]:
    """Return every metric of texts by name.

    ``bleu_1`` to ``bleu_4``, ``rouge_1``, ``rouge_2``, ``rouge_l``, ``distinct_1``, ``distinct_2``
    and ``usr``; with ``aspects`` also ``aspect_coverage``, ``fmr``, ``fcr`` and ``div``.

    Args:
        hypotheses: the generated texts.
        references: texts of people, one per hypothesis.
        aspects: the words that each hypothesis should mention.

    Raises:
        DataError: when the lists differ in length.

    Example:
        >>> scores = score_texts(["a bright tone"], ["a warm tone"], aspects=["tone"])
        >>> round(scores["bleu_1"], 3), scores["aspect_coverage"]
        (0.667, 1.0)
    """
    scores = {f"bleu_{n}": bleu(hypotheses, references, max_order=n) for n in (1, 2, 3, 4)}
    scores |= {f"rouge_{n}": rouge_n(hypotheses, references, order=n) for n in (1, 2)}
    scores["rouge_l"] = rouge_l(hypotheses, references)
    scores |= {f"distinct_{n}": distinct(hypotheses, order=n) for n in (1, 2)}
    scores["usr"] = unique_sentence_ratio(hypotheses)
    if aspects is not None:
        scores["aspect_coverage"] = aspect_coverage(hypotheses, aspects)
        scores["fmr"] = feature_matching_ratio(hypotheses, aspects)
        scores["fcr"] = feature_coverage_ratio(hypotheses, aspects)
        scores["div"] = feature_diversity(hypotheses, aspects)
    return scores


# --- Similarity to a reference


def bleu(
    hypotheses: Sequence[str],
    references: Sequence[str],
    *,
    max_order: int = MAX_ORDER,
    tokenise: Tokenise = words,
) -> float:
    """Return the BLEU of a corpus with one reference each (Papineni et al. 2002).

    ``BLEU-N = BP · exp( 1/N · Σ_{n≤N} log p_n )``. ``p_n`` is the number of n-grams of all
    hypotheses that their references hold too (each counted at most as often as there), over the
    number of n-grams of all hypotheses; ``BP = min(1, exp(1 - r/c))`` with ``c`` words in all
    hypotheses and ``r`` in all references. There is no smoothing: the value is 0 where some
    ``p_n`` is 0, as in PETER and P5. Counted by sacrebleu (Post 2018), over our own words.
    """
    pairs = _pairs(hypotheses, references, tokenise)
    if not pairs:
        return 0.0
    written, wanted = ([" ".join(words) for words in side] for side in zip(*pairs, strict=True))
    metric = BLEU(max_ngram_order=max_order, smooth_method="none", tokenize="none", force=True)
    # A hundred times a share, by way of logarithms: the last bit may be one too many.
    return min(1.0, float(metric.corpus_score(written, [wanted]).score) / 100)


def rouge_n(
    hypotheses: Sequence[str],
    references: Sequence[str],
    *,
    order: int,
    tokenise: Tokenise = words,
) -> float:
    """Return the mean ROUGE-N F1 of the pairs (Lin 2004).

    ``F1 = 2 · shared / (n-grams of the hypothesis + n-grams of the reference)``; 0 for a pair that
    shares none. Words are not stemmed.
    """
    values = []
    for hypothesis, reference in _pairs(hypotheses, references, tokenise):
        first, second = _grams(hypothesis, order), _grams(reference, order)
        values.append(_dice((first & second).total(), first.total() + second.total()))
    return _mean(values)


def rouge_l(
    hypotheses: Sequence[str], references: Sequence[str], *, tokenise: Tokenise = words
) -> float:
    """Return the mean ROUGE-L F1 of the pairs, each taken as one sentence (Lin 2004).

    ``F1 = 2 · LCS / (words of the hypothesis + words of the reference)``, where LCS is the length
    of the longest common subsequence of words (Lin's F with β = 1).
    """
    return _mean(
        [
            _dice(_longest_common(hypothesis, reference), len(hypothesis) + len(reference))
            for hypothesis, reference in _pairs(hypotheses, references, tokenise)
        ]
    )


def embedding_similarity(
    hypothesis_vectors: Float[np.ndarray, "n dim"], reference_vectors: Float[np.ndarray, "n dim"]
) -> float:
    """Return the mean cosine of each hypothesis with its reference; a zero vector counts as 0."""
    if hypothesis_vectors.shape != reference_vectors.shape:
        raise DataError(
            f"Two equal tables of vectors are needed, got {hypothesis_vectors.shape} and "
            f"{reference_vectors.shape}.",
            hint="Encode hypotheses and references with the same encoder, in the same order.",
        )
    first, second = hypothesis_vectors.astype(np.float64), reference_vectors.astype(np.float64)
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    products = (first * second).sum(axis=1)
    cosines = np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)
    return float(cosines.mean()) if len(cosines) else 0.0


# --- Variety


def distinct(hypotheses: Sequence[str], *, order: int, tokenise: Tokenise = words) -> float:
    """Return the number of different n-grams per generated word (Li et al. 2016)."""
    written = [tokenise(text) for text in hypotheses]
    different = {gram for tokens in written for gram in _grams(tokens, order)}
    return _share(len(different), sum(len(tokens) for tokens in written))


def unique_sentence_ratio(hypotheses: Sequence[str], *, tokenise: Tokenise = words) -> float:
    """Return USR, the share of different texts (Li et al. 2020, NETE): 1 where none is repeated."""
    return _share(len({tuple(tokenise(text)) for text in hypotheses}), len(hypotheses))


# --- Aspects that the text should mention


def aspect_coverage(
    hypotheses: Sequence[str], aspects: Sequence[str | Sequence[str]], *, tokenise: Tokenise = words
) -> float:
    """Return the share of all wanted aspects that their hypothesis mentions, word for word."""
    wanted = _wanted(hypotheses, aspects, tokenise)
    found = _mentioned(hypotheses, wanted, tokenise)
    return _share(sum(map(len, found)), sum(map(len, wanted)))


def feature_matching_ratio(
    hypotheses: Sequence[str], aspects: Sequence[str | Sequence[str]], *, tokenise: Tokenise = words
) -> float:
    """Return FMR (Li et al. 2020): the share of texts that mention a wanted aspect of theirs.

    Texts for which nothing was wanted are left out.
    """
    wanted = _wanted(hypotheses, aspects, tokenise)
    found = _mentioned(hypotheses, wanted, tokenise)
    return _share(sum(map(bool, found)), sum(map(bool, wanted)))


def feature_coverage_ratio(
    hypotheses: Sequence[str], aspects: Sequence[str | Sequence[str]], *, tokenise: Tokenise = words
) -> float:
    """Return FCR (Li et al. 2020): the share of all different aspects that any text mentions."""
    vocabulary = _union(_wanted(hypotheses, aspects, tokenise))
    found = _mentioned(hypotheses, [vocabulary] * len(hypotheses), tokenise)
    return _share(len(_union(found)), len(vocabulary))


def feature_diversity(
    hypotheses: Sequence[str], aspects: Sequence[str | Sequence[str]], *, tokenise: Tokenise = words
) -> float:
    """Return DIV (Li et al. 2020): aspects that two texts share, mean over pairs; lower is better.

    ``DIV = 2 / (n(n-1)) · Σ_{i<j} |F_i ∩ F_j|``, where ``F_i`` are those of all aspects that text
    ``i`` mentions. Counted per aspect, in time linear in the number of texts.
    """
    vocabulary = _union(_wanted(hypotheses, aspects, tokenise))
    found = _mentioned(hypotheses, [vocabulary] * len(hypotheses), tokenise)
    counts = Counter(aspect for mentioned in found for aspect in mentioned)
    return _share(sum(math.comb(n, 2) for n in counts.values()), math.comb(len(hypotheses), 2))


# --- Parts


def _pairs(
    hypotheses: Sequence[str], references: Sequence[str], tokenise: Tokenise
) -> list[tuple[list[str], list[str]]]:
    _check_lengths(hypotheses, references, "references")
    return [
        (tokenise(hypothesis), tokenise(reference))
        for hypothesis, reference in zip(hypotheses, references, strict=True)
    ]


def _check_lengths(hypotheses: Sequence[str], others: Sequence[object], name: str) -> None:
    if len(hypotheses) != len(others):
        raise DataError(
            f"Each of the {len(hypotheses):,} hypotheses needs its own {name}, got "
            f"{len(others):,}.",
            hint=f"Give hypotheses and {name} as lists of the same length, in the same order.",
        )


def _grams(tokens: Sequence[str], order: int) -> Grams:
    return Counter(zip(*(tokens[start:] for start in range(order)), strict=False))


def _longest_common(first: Sequence[str], second: Sequence[str]) -> int:
    """Return the length of the longest common subsequence (bit-parallel, Hyyrö 2004).

    Bit ``i`` of ``row`` is 0 where the dynamic-programming row of ``second`` so far rises at word
    ``i`` of ``first``; the zeros are the length.
    """
    places: dict[str, int] = {}
    for place, word in enumerate(first):
        places[word] = places.get(word, 0) | 1 << place
    every = (1 << len(first)) - 1
    row = every
    for word in second:
        matched = row & places.get(word, 0)
        row = ((row + matched) | (row - matched)) & every
    return len(first) - row.bit_count()


def _wanted(
    hypotheses: Sequence[str], aspects: Sequence[str | Sequence[str]], tokenise: Tokenise
) -> list[set[str]]:
    """Return the aspects of each text, tokenised and joined by spaces; empty ones left out."""
    _check_lengths(hypotheses, aspects, "aspects")
    return [
        {" ".join(tokenise(x)) for x in ([wanted] if isinstance(wanted, str) else wanted)} - {""}
        for wanted in aspects
    ]


def _mentioned(
    hypotheses: Sequence[str], wanted: Sequence[set[str]], tokenise: Tokenise
) -> list[set[str]]:
    """Return those of ``wanted`` that stand in each text as whole words, one after the other."""
    longest = max((x.count(" ") + 1 for x in _union(wanted)), default=0)
    return [
        {
            " ".join(gram)
            for order in range(1, longest + 1)
            for gram in _grams(tokenise(text), order)
        }
        & phrases
        for text, phrases in zip(hypotheses, wanted, strict=True)
    ]


def _union(sets: Iterable[set[str]]) -> set[str]:
    return set().union(*sets)


def _dice(shared: int, total: int) -> float:
    return 2 * shared / total if total else 0.0


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else 0.0
