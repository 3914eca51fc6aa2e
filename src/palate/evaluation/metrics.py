"""Metrics of ranked lists: pure functions of matrices, one value per user.

A *ranked* matrix holds catalogue rows, best first, padded with -1; a *targets* matrix holds the
distinct rows to be found, also padded with -1. Accuracy metrics take the :func:`hit_matrix` of the
two, so that it is computed once for all of them. A target that a recommender never ranks (a cold
item without a score, a masked item) is a plain miss.

To add an accuracy metric, write one function here and add it to :data:`ACCURACY`.

Legend: U users, N list length, T targets of a user, I items of the catalogue, C categories.
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

AccuracyMetric = Callable[
    [Bool[np.ndarray, "U N"], Int[np.ndarray, " U"], int], Float[np.ndarray, " U"]
]
"""Maps hits, numbers of targets and a cut-off to one value per user."""


def pad(lists: Sequence[Int[np.ndarray, " _"]]) -> Int[np.ndarray, "U N"]:
    """Return ``lists`` as one matrix, padded with -1."""
    lengths = np.array([len(rows) for rows in lists], dtype=np.int64)
    matrix = np.full((len(lists), lengths.max(initial=0)), -1, dtype=np.int64)
    if len(lists):
        matrix[np.arange(matrix.shape[1]) < lengths[:, None]] = np.concatenate(list(lists))
    return matrix


def hit_matrix(
    ranked: Int[np.ndarray, "U N"], targets: Int[np.ndarray, "U T"]
) -> Bool[np.ndarray, "U N"]:
    """Mark the places of each list that are one of the user's targets."""
    stride = max(ranked.max(initial=0), targets.max(initial=0)) + 2
    first_key = np.arange(len(ranked))[:, None] * stride
    wanted = (first_key + targets)[targets >= 0]
    return np.isin(first_key + ranked, wanted) & (ranked >= 0)


# --- Accuracy: (hits, number of targets, k) -> one value per user


def recall(
    hits: Bool[np.ndarray, "U N"], num_targets: Int[np.ndarray, " U"], k: int
) -> Float[np.ndarray, " U"]:
    """Share of the targets found in the first ``k``.

    ``recall@k = |top_k ∩ targets| / |targets|``; the divisor is not capped at ``k``.
    """
    found = np.count_nonzero(hits[:, :k], axis=1)
    return np.asarray(found / num_targets)


def hit_rate(
    hits: Bool[np.ndarray, "U N"], num_targets: Int[np.ndarray, " U"], k: int
) -> Float[np.ndarray, " U"]:
    """1 where at least one target is in the first ``k``, else 0."""
    return np.asarray(hits[:, :k].any(axis=1), dtype=np.float64)


def ndcg(
    hits: Bool[np.ndarray, "U N"], num_targets: Int[np.ndarray, " U"], k: int
) -> Float[np.ndarray, " U"]:
    """Normalised discounted cumulative gain with binary gains (Järvelin and Kekäläinen 2002).

    ``DCG@k = Σ_{i≤k} hit_i / log2(i + 1)``, divided by the DCG of a list that begins with
    ``min(|targets|, k)`` targets.
    """
    discount = 1 / np.log2(np.arange(2, k + 2))
    gained = hits[:, :k] @ discount[: hits[:, :k].shape[1]]
    best = np.concatenate([[0.0], np.cumsum(discount)])
    ratio: np.ndarray = gained / best[np.minimum(num_targets, k)]
    return ratio


def mrr(
    hits: Bool[np.ndarray, "U N"], num_targets: Int[np.ndarray, " U"], k: int
) -> Float[np.ndarray, " U"]:
    """Reciprocal rank (Voorhees 1999): ``1 / place of the first hit``, 0 without a hit in ``k``."""
    if hits.shape[1] == 0:
        return np.zeros(len(hits))
    first = hits[:, :k].argmax(axis=1)
    return np.where(hits[:, :k].any(axis=1), 1 / (first + 1), 0.0)


def average_precision(
    hits: Bool[np.ndarray, "U N"], num_targets: Int[np.ndarray, " U"], k: int
) -> Float[np.ndarray, " U"]:
    """Average precision; its mean over users is MAP.

    ``AP@k = Σ_{i≤k} hit_i · precision@i / |targets|``; as in TREC the divisor is not capped at
    ``k``.
    """
    first = hits[:, :k]
    precision = np.cumsum(first, axis=1) / np.arange(1, first.shape[1] + 1)
    average: np.ndarray = (first * precision).sum(axis=1) / num_targets
    return average


ACCURACY: dict[str, AccuracyMetric] = {
    "recall": recall,
    "hit": hit_rate,
    "ndcg": ndcg,
    "mrr": mrr,
    "map": average_precision,
}
"""All accuracy metrics that an evaluation reports, by the name before the ``@``."""


def auc(
    ranks: Int[np.ndarray, "U T"], num_ranked: Int[np.ndarray, " U"]
) -> Float[np.ndarray, " U"]:
    """Area under the ROC curve: the probability that a target ranks above an item that is not one.

    With ``r_t`` the place of target t from 0, ``a_t`` the number of targets above it and ``O`` the
    number of other ranked items, ``AUC = mean_t [1 - (r_t - a_t) / O]`` (Mann-Whitney). A place of
    ``num_ranked`` or more means *never ranked*, which is below everything. -1 is padding.
    """
    present = ranks >= 0
    ranked = present & (ranks < num_ranked[:, None])
    others = (num_ranked - ranked.sum(axis=1))[:, None]
    ordered = np.sort(np.where(present, ranks, np.iinfo(np.int64).max), axis=1)
    above = ordered - np.arange(ranks.shape[1])
    above = np.where(ordered < num_ranked[:, None], above, others)
    lost = np.where(others > 0, above / np.maximum(others, 1), 0.5)
    num_targets = present.sum(axis=1)
    counted = np.arange(ranks.shape[1]) < num_targets[:, None]
    area: np.ndarray = 1 - (lost * counted).sum(axis=1) / np.maximum(num_targets, 1)
    return area


# --- Beyond accuracy: properties of the lists


def coverage(ranked: Int[np.ndarray, "U N"], num_items: int) -> float:
    """Share of the catalogue that is recommended to at least one user."""
    return len(np.unique(ranked[ranked >= 0])) / num_items


def novelty(
    ranked: Int[np.ndarray, "U N"], train_counts: Int[np.ndarray, " I"]
) -> Float[np.ndarray, " U"]:
    """Mean self-information of the list in bits (Zhou et al. 2010); rare items score higher.

    ``mean_i -log2 p(i)`` with ``p(i) = (count_i + 1) / (Σ count + I)``, so that an item without
    events has a finite value.
    """
    chance = (train_counts + 1) / (train_counts.sum() + len(train_counts))
    return _list_mean(ranked, -np.log2(chance))


def mean_popularity(
    ranked: Int[np.ndarray, "U N"], train_counts: Int[np.ndarray, " I"]
) -> Float[np.ndarray, " U"]:
    """Mean number of training events of the items of each list."""
    return _list_mean(ranked, train_counts.astype(np.float64))


def gini(ranked: Int[np.ndarray, "U N"], num_items: int) -> float:
    """Gini index of exposure: 0 if all items are shown equally often, near 1 if only few are.

    ``G = Σ_i (2i - I - 1) x_i / (I Σ x)`` with the exposures ``x`` in ascending order, i from 1.
    """
    exposure = np.sort(np.bincount(ranked[ranked >= 0], minlength=num_items))
    if exposure.sum() == 0:
        return 0.0
    weights = 2 * np.arange(1, num_items + 1) - num_items - 1
    return float((weights * exposure).sum() / (num_items * exposure.sum()))


def vector_diversity(
    ranked: Int[np.ndarray, "U N"], vectors: Float[np.ndarray, "I D"]
) -> Float[np.ndarray, " U"]:
    """Intra-list diversity (Ziegler et al. 2005): 1 - mean cosine of all pairs of items.

    With unit vectors ``v`` the pairs need no loop: ``Σ_{i<j} v_i·v_j = (|Σ v|² - Σ |v|²) / 2``.
    Lists of fewer than two items have diversity 0.
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.vstack([vectors / np.where(lengths > 0, lengths, 1), np.zeros(vectors.shape[1])])
    values = [_vector_diversity(part, unit) for part in _blocks(ranked, 512)]
    return np.concatenate(values) if values else np.zeros(0)


def category_diversity(
    ranked: Int[np.ndarray, "U N"], categories: Int[np.ndarray, "I C"]
) -> Float[np.ndarray, " U"]:
    """Intra-list diversity by categories: 1 - mean Jaccard similarity of all pairs of items.

    ``categories`` holds the distinct category codes of each item, padded with -1. Two items without
    a category have similarity 0.
    """
    padded = np.vstack([categories, np.full((1, categories.shape[1]), -1)])
    values = [_category_diversity(part, padded) for part in _blocks(ranked, 1024)]
    return np.concatenate(values) if values else np.zeros(0)


def calibration(
    ranked: Int[np.ndarray, "U N"],
    histories: Sequence[Int[np.ndarray, " _"]],
    categories: Int[np.ndarray, "I C"],
) -> Float[np.ndarray, " U"]:
    """Miscalibration ``C_KL`` (Steck 2018) of the list's categories relative to the history's.

    ``C_KL(p, q) = Σ_c p(c) ln(p(c) / q̃(c))`` with ``q̃ = 0.99 q + 0.01 p``; ``p`` and ``q`` are
    the mean category distributions of history and list, where an item spreads a weight of 1 over
    its categories. NaN if the history or the list has no item with a category.
    """
    num_categories = int(categories.max(initial=-1)) + 1
    # Process users in blocks, so that the users x categories matrix stays small.
    size = max(1, 4_000_000 // max(num_categories, 1))
    values = []
    for start in range(0, len(ranked), size):
        part, past = ranked[start : start + size], histories[start : start + size]
        shown = np.nonzero(part >= 0)[0]
        given = _category_shares(shown, part[part >= 0], len(part), categories)
        users = np.repeat(np.arange(len(past)), [len(rows) for rows in past])
        events = np.concatenate([np.zeros(0, dtype=np.int64), *past])
        wanted = _category_shares(users, events, len(part), categories)
        values.append(_divergence(wanted, given))
    return np.concatenate([np.zeros(0), *values])


def category_codes(categories: Sequence[Sequence[str] | None]) -> Int[np.ndarray, "I C"]:
    """Return the distinct categories of each item as codes, padded with -1."""
    named = [sorted(set(names or ())) for names in categories]
    code_of = {
        name: code for code, name in enumerate(sorted({x for names in named for x in names}))
    }
    return pad([np.array([code_of[name] for name in names], dtype=np.int64) for names in named])


def _blocks(ranked: Int[np.ndarray, "U N"], size: int) -> list[Int[np.ndarray, "_ N"]]:
    return [ranked[start : start + size] for start in range(0, len(ranked), size)]


def _list_mean(
    ranked: Int[np.ndarray, "U N"], values: Float[np.ndarray, " I"]
) -> Float[np.ndarray, " U"]:
    """Return the mean value of the items of each list; NaN for an empty list."""
    shown = ranked >= 0
    total = np.where(shown, values[ranked], 0.0).sum(axis=1)
    num_shown = shown.sum(axis=1)
    return np.where(num_shown > 0, total / np.maximum(num_shown, 1), np.nan)


def _vector_diversity(
    ranked: Int[np.ndarray, "U N"], unit: Float[np.ndarray, "I_and_pad D"]
) -> Float[np.ndarray, " U"]:
    members = unit[ranked]  # place -1 reads the last row, which is zero
    together = np.square(members.sum(axis=1)).sum(axis=1)
    alone = np.square(members).sum(axis=(1, 2))
    return _one_less_mean((together - alone) / 2, ranked)


def _category_diversity(
    ranked: Int[np.ndarray, "U N"], padded: Int[np.ndarray, "I_and_pad C"]
) -> Float[np.ndarray, " U"]:
    codes = padded[ranked]
    sizes = (codes >= 0).sum(axis=2)
    similarity = np.zeros(len(ranked))
    for gap in range(1, ranked.shape[1]):
        one, other = codes[:, :-gap], codes[:, gap:]
        same = (one[..., :, None] == other[..., None, :]) & (one >= 0)[..., None]
        shared = same.any(axis=3).sum(axis=2)
        union = sizes[:, :-gap] + sizes[:, gap:] - shared
        similarity += (shared / np.maximum(union, 1)).sum(axis=1)
    return _one_less_mean(similarity, ranked)


def _one_less_mean(
    pair_sum: Float[np.ndarray, " U"], ranked: Int[np.ndarray, "U N"]
) -> Float[np.ndarray, " U"]:
    """Return 1 minus the mean over pairs; 0 for lists without a pair."""
    num_shown = (ranked >= 0).sum(axis=1)
    pairs = num_shown * (num_shown - 1) / 2
    return np.where(pairs > 0, 1 - pair_sum / np.maximum(pairs, 1), 0.0)


def _category_shares(
    users: Int[np.ndarray, " events"],
    items: Int[np.ndarray, " events"],
    num_users: int,
    categories: Int[np.ndarray, "I C"],
) -> Float[np.ndarray, "U G"]:
    """Return the mean category distribution of each user's items; 0 without categories."""
    num_categories = int(categories.max(initial=-1)) + 1
    codes = categories[items]
    present = codes >= 0
    num_codes = present.sum(axis=1)
    known_items = np.bincount(users, weights=num_codes > 0, minlength=num_users)
    event = np.nonzero(present)[0]
    weight = 1 / (num_codes[event] * known_items[users[event]])
    places = users[event] * num_categories + codes[present]
    shares = np.bincount(places, weights=weight, minlength=num_users * num_categories)
    return shares.astype(np.float64).reshape(num_users, num_categories)


def _divergence(
    p: Float[np.ndarray, "U G"], q: Float[np.ndarray, "U G"]
) -> Float[np.ndarray, " U"]:
    """Return the smoothed divergence of each row; NaN if either side is empty."""
    user, category = np.nonzero(p)
    share, other = p[user, category], q[user, category]
    terms = share * np.log(share / (0.99 * other + 0.01 * share))
    total = np.bincount(user, weights=terms, minlength=len(p))
    return np.where((p.sum(axis=1) > 0) & (q.sum(axis=1) > 0), total, np.nan)
