"""The evaluation protocol of all recommenders: full ranking over the whole catalogue.

Baselines, language models, saved models and remote services are all evaluated as a
:class:`palate.types.SupportsRecommend`. Lists with the items of the history left out (*masked*) and
left in (*unmasked*) are both reported, since the literature uses both. A recommender that scores
the whole catalogue (:class:`palate.types.SupportsScore`) is called once per user; both lists and
the AUC are computed from the scores. Others are called once for each list.
"""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from palate.data.dataset import Cases, Dataset
from palate.data.split import PartName
from palate.errors import ConfigError, DataError, NotTrainedError
from palate.evaluation import metrics
from palate.evaluation.groups import group_results
from palate.evaluation.metrics import ACCURACY, auc, hit_matrix, pad
from palate.evaluation.result import Evaluation
from palate.evaluation.significance import bootstrap_intervals
from palate.ranking import top_rows
from palate.trust.leak import probe_leaks
from palate.types import History, SupportsRecommend, SupportsScore

__all__ = ["Evaluation", "evaluate"]

CUTOFFS = (5, 10, 20, 50)
BOOTSTRAP_SEED = 0
"""Fixed seed, so that an evaluation always has the same intervals."""
SAMPLE_SEED = 0
"""Fixed seed, so that all recommenders are judged by the same users where not all of them are."""

Progress = Callable[[int, int], None]
"""Called with the number of finished users and of all users."""


def evaluate(  # noqa: PLR0913 - independent options
    recommender: SupportsRecommend,
    dataset: Dataset,
    part: PartName = "test",
    *,
    cutoffs: Sequence[int] = CUTOFFS,
    item_vectors: Float[np.ndarray, "items dim"] | None = None,
    batch_size: int = 512,
    users: int | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Evaluate ``recommender`` on one part of ``dataset``.

    Args:
        recommender: the recommender to evaluate.
        dataset: the data to evaluate on.
        part: ``valid`` to choose between models, ``test`` to report.
        cutoffs: list lengths at which each metric is reported.
        item_vectors: one vector per catalogue row, for intra-list diversity; without them it is
            computed from the categories.
        batch_size: users per call of the recommender.
        users: judge at most so many, the same of them for every recommender; None judges all.
        progress: called after each batch.

    Raises:
        ConfigError: when ``cutoffs`` is empty or contains a number below 1, or the recommender
            learned from the part.
        DataError: when the part has no event to predict.
        NotTrainedError: when scores are NaN.
    """
    started = time.perf_counter()
    cutoffs = _checked_cutoffs(cutoffs)
    dataset = _as_learned(recommender, dataset)
    cases = dataset.cases(part)
    if not len(cases):
        raise DataError(
            f"The {part} part of {dataset.name!r} holds no event: there is nothing to predict.",
            hint="Prepare the dataset with a split that has one, or evaluate on another part.",
        )
    if users is not None:
        cases = cases.sample(users, np.random.default_rng(SAMPLE_SEED))
    targets = pad([np.unique(rows) for rows in cases.targets])
    masked, unmasked = _rank(
        recommender, cases, targets, max(cutoffs), batch_size=batch_size, progress=progress
    )
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    per_user = _per_user(masked, targets, cutoffs)
    ends = bootstrap_intervals(np.stack(list(per_user.values()), axis=1), rng)
    return Evaluation(
        dataset=dataset.name,
        part=part,
        users=len(cases),
        split=dataset.split.description,
        cases=_fingerprint(cases, targets, num_items=len(dataset.catalog)),
        masked=_means(per_user),
        unmasked=_means(_per_user(unmasked, targets, cutoffs)),
        intervals={
            name: (float(low), float(high))
            for name, (low, high) in zip(per_user, ends, strict=True)
        },
        groups=group_results(dataset, cases, targets, masked.rows, cutoffs, rng=rng),
        beyond_accuracy=_beyond(dataset, cases, masked.rows, _list_length(cutoffs), item_vectors),
        leak_probe=probe_leaks(dataset, part),
        seconds=time.perf_counter() - started,
        user_rows=np.array(
            [-1 if h.user_row is None else h.user_row for h in cases.histories], dtype=np.int64
        ),
        per_user=per_user,
        fit=dataset.split.fit,
    )


def _as_learned(recommender: SupportsRecommend, dataset: Dataset) -> Dataset:
    """Return the data with the split of a refitted model, if it learned from these events.

    With the original split, such a model could be evaluated on events that it has seen.
    """
    own = getattr(recommender, "dataset", None)
    if not isinstance(own, Dataset) or own.split.fit == "train":
        return dataset
    return own if own.has_events_of(dataset) else dataset


@dataclass(frozen=True)
class _Ranked:
    """Lists of all users, and if the recommender scores all items, the ranks of the targets."""

    rows: Int[np.ndarray, "users n"]
    ranks: Int[np.ndarray, "users targets"] | None
    """Ranks from 0; ``num_ranked`` or more means never ranked; padded with -1."""
    num_ranked: Int[np.ndarray, " users"] | None
    """Number of items with a score."""


def _rank(
    recommender: SupportsRecommend,
    cases: Cases,
    targets: Int[np.ndarray, "users targets"],
    n: int,
    *,
    batch_size: int,
    progress: Progress | None,
) -> tuple[_Ranked, _Ranked]:
    """Return the masked and the unmasked lists."""
    masked, unmasked = [], []
    for start in range(0, len(cases), batch_size):
        histories = cases.histories[start : start + batch_size]
        if isinstance(recommender, SupportsScore):
            scores = _checked_scores(recommender.score(histories), len(histories))
            wanted = targets[start : start + batch_size]
            without, within = _from_scores(scores, histories, wanted, n)
        else:
            without = _from_lists(recommender, histories, n, exclude_seen=True)
            within = _from_lists(recommender, histories, n, exclude_seen=False)
        masked.append(without)
        unmasked.append(within)
        if progress is not None:
            progress(start + len(histories), len(cases))
    return _joined(masked), _joined(unmasked)


def _from_scores(
    scores: Float[np.ndarray, "users items"],
    histories: Sequence[History],
    targets: Int[np.ndarray, "users targets"],
    n: int,
) -> tuple[_Ranked, _Ranked]:
    """Return masked and unmasked lists and ranks from one pass over the scores.

    The masked list is a longer unmasked one without the items of the history, and a target's masked
    rank is its unmasked rank minus the number of history items above it. So the catalogue is sorted
    and counted once, not twice.
    """
    seen = pad([np.unique(history.item_rows) for history in histories])
    longer, _ = top_rows(scores, n + seen.shape[1])
    num_ranked = (scores > -np.inf).sum(axis=1)
    seen_scores = np.where(seen >= 0, np.take_along_axis(scores, np.maximum(seen, 0), 1), -np.inf)
    num_masked = num_ranked - (seen_scores > -np.inf).sum(axis=1)
    ranks, masked_ranks = np.full((2, *targets.shape), -1, dtype=np.int64)
    for column in range(targets.shape[1]):
        # Most users have few targets, so later columns concern fewer and fewer users.
        users = np.flatnonzero(targets[:, column] >= 0)
        everyone = len(users) == len(scores)
        target = targets[users, column]
        of_users = scores if everyone else scores[users]
        own = of_users[np.arange(len(users)), target][:, None]
        place = _place(of_users, own, target)
        hidden = _above(seen_scores[users], own, seen[users] < target[:, None]).sum(axis=1)
        ranked = own[:, 0] > -np.inf
        unseen = (seen[users] != target[:, None]).all(axis=1)
        ranks[users, column] = np.where(ranked, place, num_ranked[users])
        masked_ranks[users, column] = np.where(ranked & unseen, place - hidden, num_masked[users])
    return (
        _Ranked(rows=_without(longer, seen, n), ranks=masked_ranks, num_ranked=num_masked),
        _Ranked(rows=longer[:, :n], ranks=ranks, num_ranked=num_ranked),
    )


def _without(
    rows: Int[np.ndarray, "users longer"], seen: Int[np.ndarray, "users seen"], n: int
) -> Int[np.ndarray, "users shorter"]:
    """Return the first ``n`` of each list that are not among the user's ``seen`` items."""
    dropped = hit_matrix(rows, seen) | (rows < 0)
    order = np.argsort(dropped, axis=1, kind="stable")[:, :n]
    kept = np.take_along_axis(rows, order, axis=1)
    return np.where(np.take_along_axis(dropped, order, axis=1), -1, kept)


def _above(
    scores: Float[np.ndarray, "users some"],
    own: Float[np.ndarray, "users 1"],
    lower_row: Bool[np.ndarray, "users some"],
) -> Bool[np.ndarray, "users some"]:
    """Mark the items above an item of score ``own``; of equal scores the lower row is above."""
    above: np.ndarray = (scores > own) | ((scores == own) & lower_row)
    return above


def _place(
    scores: Float[np.ndarray, "users items"],
    own: Float[np.ndarray, "users 1"],
    target: Int[np.ndarray, " users"],
) -> Int[np.ndarray, " users"]:
    """Return the number of catalogue items above each user's ``target``."""
    lower_row = np.arange(scores.shape[1], dtype=np.int32) < target[:, None].astype(np.int32)
    return np.asarray(_above(scores, own, lower_row).sum(axis=1))


def _from_lists(
    recommender: SupportsRecommend, histories: Sequence[History], n: int, *, exclude_seen: bool
) -> _Ranked:
    rankings = recommender.recommend(histories, n, exclude_seen=exclude_seen)
    if len(rankings) != len(histories):
        raise ValueError(f"{len(histories)} histories were given, {len(rankings)} answered")
    rows = np.full((len(histories), n), -1, dtype=np.int64)
    for user, ranking in enumerate(rankings):
        rows[user, : len(ranking)] = ranking.item_rows[:n]
    ordered = np.sort(rows, axis=1)
    if ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any():
        raise ValueError("a recommender put the same item twice into one list")
    return _Ranked(rows=rows, ranks=None, num_ranked=None)


def _joined(parts: Sequence[_Ranked]) -> _Ranked:
    ranks = [part.ranks for part in parts if part.ranks is not None]
    counts = [part.num_ranked for part in parts if part.num_ranked is not None]
    return _Ranked(
        rows=np.concatenate([part.rows for part in parts]),
        ranks=np.concatenate(ranks) if ranks else None,
        num_ranked=np.concatenate(counts) if counts else None,
    )


def _per_user(
    ranked: _Ranked, targets: Int[np.ndarray, "users targets"], cutoffs: Sequence[int]
) -> dict[str, Float[np.ndarray, " users"]]:
    hits = hit_matrix(ranked.rows, targets)
    num_targets = (targets >= 0).sum(axis=1)
    values = {
        f"{name}@{k}": metric(hits, num_targets, k)
        for k in cutoffs
        for name, metric in ACCURACY.items()
    }
    if ranked.ranks is not None and ranked.num_ranked is not None:
        values["auc"] = auc(ranked.ranks, ranked.num_ranked)
    return values


def _means(per_user: dict[str, Float[np.ndarray, " users"]]) -> dict[str, float]:
    return {name: float(values.mean()) for name, values in per_user.items()}


def _beyond(
    dataset: Dataset,
    cases: Cases,
    ranked: Int[np.ndarray, "users n"],
    k: int,
    item_vectors: Float[np.ndarray, "items dim"] | None,
) -> dict[str, float]:
    """Return the metrics beyond accuracy of the masked lists, as far as the data allows."""
    lists, counts = ranked[:, :k], dataset.train_counts
    histories = [history.item_rows for history in cases.histories]
    flat = np.concatenate([*histories, np.zeros(0, dtype=np.int64)])
    popularity = (
        float(np.nanmean(metrics.mean_popularity(lists, counts))) if (lists >= 0).any() else 0.0
    )
    found = {
        f"coverage@{k}": metrics.coverage(lists, len(dataset.catalog)),
        f"gini@{k}": metrics.gini(lists, len(dataset.catalog)),
        f"popularity@{k}": popularity,
        "history_popularity": float(counts[flat].mean()) if len(flat) else 0.0,
    }
    if (lists >= 0).any():
        found[f"novelty@{k}"] = float(np.nanmean(metrics.novelty(lists, counts)))
    categories = metrics.category_codes(dataset.catalog.table["categories"].to_list())
    if item_vectors is not None:
        found[f"diversity@{k}"] = float(metrics.vector_diversity(lists, item_vectors).mean())
    elif categories.shape[1]:
        found[f"diversity@{k}"] = float(metrics.category_diversity(lists, categories).mean())
    if categories.shape[1]:
        divergence = metrics.calibration(lists, histories, categories)
        if not np.isnan(divergence).all():
            found[f"miscalibration@{k}"] = float(np.nanmean(divergence))
    return found


def _list_length(cutoffs: Sequence[int]) -> int:
    """Return the cut-off of the metrics beyond accuracy: 10, or the largest if 10 is missing."""
    return 10 if 10 in cutoffs else max(cutoffs)


def _checked_cutoffs(cutoffs: Sequence[int]) -> tuple[int, ...]:
    if not cutoffs or min(cutoffs) < 1:
        raise ConfigError(
            f"The cut-offs must be whole numbers of at least 1, not {tuple(cutoffs)}.",
            hint="For example: 5, 10, 20, 50",
        )
    return tuple(sorted(set(cutoffs)))


def _checked_scores(
    scores: Float[np.ndarray, "users items"], num_users: int
) -> Float[np.ndarray, "users items"]:
    if scores.shape[0] != num_users:
        raise ValueError(f"{num_users} histories were given, {len(scores)} were scored")
    if np.isnan(scores).any():
        raise NotTrainedError(
            "The model's scores are not numbers (NaN): its training has diverged.",
            hint="Train again, with a lower learning rate.",
        )
    return scores


def _fingerprint(cases: Cases, targets: Int[np.ndarray, "users targets"], *, num_items: int) -> str:
    """Return a hash of the histories and targets of all cases."""
    digest = hashlib.sha256(f"{num_items}".encode())
    for history in cases.histories:
        digest.update(history.item_rows.astype(np.int64).tobytes())
        digest.update(b"|")
    digest.update(targets.astype(np.int64).tobytes())
    return digest.hexdigest()[:16]
