"""Metrics of texts: answers known by counting, and golden numbers of other implementations."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import TypeCheckError

from palate.errors import DataError
from palate.evaluation.text_metrics import (
    aspect_coverage,
    bleu,
    distinct,
    embedding_similarity,
    feature_coverage_ratio,
    feature_diversity,
    feature_matching_ratio,
    rouge_l,
    rouge_n,
    score_texts,
    unique_sentence_ratio,
    words,
)

WRITTEN = [
    "the tone is warm and bright",
    "these strings are great for the price",
    "i love this pedal and the sound it makes for my guitar",
    "the leather strap is comfortable",
]
WANTED = [
    "the tone is very warm and clear",
    "great strings for the price",
    "i love the sound that this pedal makes on my guitar",
    "the leather strap is comfortable and strong",
]
TEXTS = st.lists(st.lists(st.sampled_from("abcde"), max_size=8).map(" ".join), max_size=6)


def test_words_are_lower_case_without_marks() -> None:
    assert words("It’s GREAT -- 10/10, really!") == ["it’s", "great", "10", "10", "really"]  # noqa: RUF001


@pytest.mark.parametrize(
    ("max_order", "golden"),
    # sacrebleu 2.6.0: BLEU(max_ngram_order=n, smooth_method="none", tokenize="none").
    [(1, 0.8), (2, 0.6324555320336759), (3, 0.449644313022609), (4, 0.317023313852343)],
)
def test_bleu_is_that_of_sacrebleu(max_order: int, golden: float) -> None:
    assert bleu(WRITTEN, WANTED, max_order=max_order) == pytest.approx(golden, abs=1e-12)


def test_bleu_by_hand() -> None:
    # "the" is counted once, as often as in the reference: p_1 = 2/4; written 4, wanted 6.
    assert bleu(["the the the cat"], ["the cat sat on a mat"], max_order=1) == pytest.approx(
        math.exp(1 - 6 / 4) * 2 / 4
    )


def test_our_own_words_are_counted_not_those_of_the_library() -> None:
    # The tokenisers of sacrebleu keep the case and part "it's" and "6-string" otherwise.
    assert bleu(["IT'S a 6-string."], ["it's a 6 string!"]) == pytest.approx(1, abs=1e-12)


def test_bleu_without_a_shared_gram_is_zero() -> None:
    assert bleu(["a b c"], ["c b a"], max_order=2) == 0.0
    assert bleu(["a b"], ["a b"], max_order=3) == 0.0
    assert bleu([""], ["a"]) == bleu([], []) == 0.0


def test_bleu_is_of_the_corpus_not_a_mean() -> None:
    # One pair of one word found, one of three words missed: 1 of 4 words, not a mean of 1 and 0.
    assert bleu(["a", "x y z"], ["a", "b c d"], max_order=1) == pytest.approx(1 / 4)


def test_splitting_at_spaces_keeps_marks() -> None:
    assert bleu(["warm tone."], ["warm tone"], max_order=1) == 1.0
    split = bleu(["warm tone."], ["warm tone"], max_order=1, tokenise=str.split)
    assert split == pytest.approx(0.5, abs=1e-12)


def test_rouge_is_that_of_rouge_score() -> None:
    # rouge-score 0.1.2, use_stemmer=False, mean F-measure.
    assert rouge_n(WRITTEN, WANTED, order=1) == pytest.approx(0.8046265328874023, abs=1e-12)
    assert rouge_n(WRITTEN, WANTED, order=2) == pytest.approx(0.5316017316017316, abs=1e-12)
    assert rouge_l(WRITTEN, WANTED) == pytest.approx(0.7194816053511706, abs=1e-12)


def test_rouge_l_by_hand() -> None:
    # Lin (2004): "police kill the gunman" against "police killed the gunman", LCS 3 of 4 and 4.
    assert rouge_l(["police kill the gunman"], ["police killed the gunman"]) == 0.75
    assert rouge_l(["the gunman kill police"], ["police killed the gunman"]) == 0.5


@given(st.lists(st.sampled_from("abc"), max_size=9), st.lists(st.sampled_from("abc"), max_size=9))
def test_longest_common_subsequence_is_that_of_the_table(
    first: list[str], second: list[str]
) -> None:
    table = np.zeros((len(first) + 1, len(second) + 1), dtype=int)
    for i, one in enumerate(first):
        for j, other in enumerate(second):
            table[i + 1, j + 1] = (
                table[i, j] + 1 if one == other else max(table[i, j + 1], table[i + 1, j])
            )
    wanted = 2 * table[-1, -1] / max(len(first) + len(second), 1)
    assert rouge_l([" ".join(first)], [" ".join(second)]) == pytest.approx(wanted)


@given(TEXTS)
def test_every_score_is_a_share_and_likeness_to_itself_is_full(texts: list[str]) -> None:
    texts = [text for text in texts if len(text.split()) >= 4]
    scores = score_texts(texts, texts[::-1], aspects=["a"] * len(texts))
    # One aspect in all: two texts share at most one, so that DIV is a share here too.
    own = score_texts(texts, texts)
    assert all(0 <= value <= 1 for value in scores.values())
    assert all(own[x] == pytest.approx(1 if texts else 0) for x in own if x[:2] in {"bl", "ro"})


@given(st.permutations(range(4)))
def test_order_of_pairs_changes_nothing(order: list[int]) -> None:
    shuffled = score_texts([WRITTEN[x] for x in order], [WANTED[x] for x in order])
    assert shuffled == pytest.approx(score_texts(WRITTEN, WANTED), abs=1e-12)


def test_distinct_counts_grams_over_words() -> None:
    assert distinct(["a b a b"], order=1) == 2 / 4
    assert distinct(["a b a b"], order=2) == 2 / 4
    assert distinct(["a b", "a b"], order=2) == 1 / 4
    assert distinct([], order=1) == 0.0


def test_unique_sentences() -> None:
    assert unique_sentence_ratio(["Good!", "good", "bad"]) == pytest.approx(2 / 3)


def test_aspects_are_whole_words_one_after_the_other() -> None:
    written = ["The battery life is short.", "a lifelike toy", "nothing"]
    aspects = [["battery life", "screen"], "life", []]
    assert aspect_coverage(written, aspects) == pytest.approx(1 / 3)
    assert feature_matching_ratio(written, aspects) == pytest.approx(1 / 2)
    assert feature_coverage_ratio(written, aspects) == pytest.approx(2 / 3)


def test_feature_diversity_is_the_number_of_shared_aspects_per_pair() -> None:
    written = ["tone and price", "price", "tone price looks"]
    aspects = ["tone", "price", "looks"]
    # Shared by the pairs: {price}, {tone, price}, {price}.
    assert feature_diversity(written, aspects) == pytest.approx(4 / 3)
    assert feature_diversity(written[:1], aspects[:1]) == 0.0


def test_embedding_similarity_is_the_mean_cosine() -> None:
    first = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    second = np.array([[2.0, 0.0], [0.0, 3.0], [1.0, 0.0]])
    assert embedding_similarity(first, second) == pytest.approx((1 + math.sqrt(0.5) + 0) / 3)
    with pytest.raises((DataError, TypeCheckError)):  # whichever looks first
        embedding_similarity(first, second[:2])


def test_score_texts_names_every_metric() -> None:
    scores = score_texts(WRITTEN, WANTED, aspects=["tone", "price", "sound", "strap"])
    assert list(scores) == [
        "bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_1", "rouge_2", "rouge_l", "distinct_1",
        "distinct_2", "usr", "aspect_coverage", "fmr", "fcr", "div",
    ]  # fmt: skip
    assert scores["fmr"] == scores["aspect_coverage"] == scores["usr"] == 1.0


@pytest.mark.parametrize("aspects", [None, ["tone"]])
def test_lists_of_different_lengths_are_an_error(aspects: list[str] | None) -> None:
    references = WANTED[:3] if aspects is None else WANTED
    with pytest.raises(DataError, match="needs its own"):
        score_texts(WRITTEN, references, aspects=aspects)
