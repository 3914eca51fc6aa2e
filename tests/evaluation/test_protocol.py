"""The protocol compared with plain loops, its two paths with each other, and edge cases."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palate.data.dataset import Dataset
from palate.errors import ArtifactError, ConfigError, DataError, NotTrainedError
from palate.evaluation.protocol import Evaluation, evaluate
from palate.types import History, SupportsRecommend, SupportsScore

ScoreAs = Callable[[np.ndarray], SupportsScore]


def test_lists_and_scores_are_evaluated_alike(
    shop: Dataset, scorer: SupportsScore, lists_only: SupportsRecommend
) -> None:
    by_score = evaluate(scorer, shop, cutoffs=(1, 5, 10, 60), batch_size=7)
    by_list = evaluate(lists_only, shop, cutoffs=(1, 5, 10, 60))
    assert not isinstance(lists_only, SupportsScore)
    assert set(by_score.masked) - set(by_list.masked) == {"auc"}
    for name, value in by_list.masked.items():
        assert by_score.masked[name] == pytest.approx(value), name
        assert by_score.unmasked[name] == pytest.approx(by_list.unmasked[name]), name
        assert by_score.per_user[name] == pytest.approx(by_list.per_user[name]), name
    assert by_score.beyond_accuracy == pytest.approx(by_list.beyond_accuracy)
    assert by_score.groups == by_list.groups


def test_recall_and_auc_equal_a_plain_loop(
    shop: Dataset, scorer: SupportsScore, tied_scores: np.ndarray
) -> None:
    found = evaluate(scorer, shop)
    for masked, means in ((True, found.masked), (False, found.unmasked)):
        wanted = [
            _by_loop(tied_scores[h.user_row], h, targets, masked=masked)
            for h, targets in _cases(shop)
        ]
        recall, area = np.mean(wanted, axis=0)
        assert means["recall@10"] == pytest.approx(recall)
        assert means["auc"] == pytest.approx(area)


def test_the_size_of_a_batch_changes_nothing(shop: Dataset, scorer: SupportsScore) -> None:
    single, batch = evaluate(scorer, shop, batch_size=1), evaluate(scorer, shop, batch_size=1000)
    assert single.masked == batch.masked
    assert single.intervals == batch.intervals


def test_a_recommender_that_knows_the_answers_is_perfect(
    shop: Dataset, oracle: SupportsScore
) -> None:
    found = evaluate(oracle, shop)
    assert found.unmasked["ndcg@5"] == 1
    assert found.unmasked["recall@5"] == 1
    assert found.unmasked["auc"] == 1
    # A target that the user had before is out of the running when the history is masked.
    assert 0 < found.masked["recall@5"] < 1


def test_a_target_that_is_never_ranked_is_a_miss(
    dataset_of: Callable[..., Dataset], score_as: ScoreAs
) -> None:
    dataset = dataset_of([[0, 1, 2], [1, 2, 0]], 4)
    table = np.array([[0.0, 0, -np.inf, 1], [0, 0, 0, 1]])
    found = evaluate(score_as(table), dataset)
    # The second user's target 0 comes second; the first user's 2 never comes.
    assert found.per_user["recall@5"].tolist() == [0, 1]
    assert found.per_user["auc"].tolist() == [0, 0]
    assert found.unmasked["auc"] == pytest.approx((0 + 2 / 3) / 2)


def test_ties_go_to_the_lower_row(dataset_of: Callable[..., Dataset], score_as: ScoreAs) -> None:
    dataset = dataset_of([[9, 8, 0], [9, 8, 7]], 10)
    found = evaluate(score_as(np.zeros((2, 10))), dataset, cutoffs=(1, 8))
    assert found.per_user["hit@1"].tolist() == [1, 0]
    assert found.per_user["mrr@8"] == pytest.approx([1, 1 / 8])
    assert found.per_user["auc"] == pytest.approx([1, 0])


def test_json_has_the_promised_keys(shop: Dataset, scorer: SupportsScore) -> None:
    found = json.loads(json.dumps(evaluate(scorer, shop, "valid").to_json()))
    assert found["dataset"] == "toy"
    assert found["split"] == "valid"
    assert found["users"] == 80
    for means in (found["masked"], found["unmasked"]):
        assert {"recall@5", "ndcg@5", "recall@10", "ndcg@10"} <= set(means)
    assert found["leak_probe"]["max"] >= 0
    low, high = found["intervals"]["recall@10"]
    assert low <= found["masked"]["recall@10"] <= high


def test_the_text_of_an_evaluation_has_three_lines(found: Evaluation) -> None:
    first, masked, unmasked = str(found).splitlines()
    assert first == "toy, test part, 80 users, ranked over all items"
    low, high = found.intervals["recall@10"]
    recall = f"recall@10 {found.masked['recall@10']:.4f} [{low:.4f} to {high:.4f}]"
    assert masked.startswith(f"history left out: {recall}, ndcg@10 ")
    assert f"recall@10 {found.unmasked['recall@10']:.4f}, ndcg@10 " in unmasked
    assert unmasked.endswith(f"reaches {found.leak_probe['max']:.4f}")


def test_saved_and_loaded_is_the_same(shop: Dataset, scorer: SupportsScore, tmp_path: Path) -> None:
    found = evaluate(scorer, shop)
    found.save(tmp_path / "model")
    again = Evaluation.load(tmp_path / "model")
    assert again == found
    assert again.user_rows.tolist() == found.user_rows.tolist()
    assert set(again.per_user) == set(found.per_user)
    assert np.array_equal(again.per_user["ndcg@10"], found.per_user["ndcg@10"])
    assert Evaluation.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_a_missing_or_damaged_evaluation_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="palate evaluate"):
        Evaluation.load(tmp_path)
    (tmp_path / "evaluation-test.json").write_text("{}")
    with pytest.raises(ArtifactError, match="palate evaluate"):
        Evaluation.load(tmp_path)
    with pytest.raises(ArtifactError, match="not the result"):
        Evaluation.from_json({"dataset": "x"})


def test_progress_is_reported(shop: Dataset, scorer: SupportsScore) -> None:
    told: list[tuple[int, int]] = []
    evaluate(scorer, shop, batch_size=32, progress=lambda done, all_: told.append((done, all_)))
    assert told == [(32, 80), (64, 80), (80, 80)]


def test_item_vectors_decide_the_diversity(shop: Dataset, scorer: SupportsScore) -> None:
    alike = evaluate(scorer, shop, item_vectors=np.ones((60, 3)))
    assert alike.beyond_accuracy["diversity@10"] == pytest.approx(0)


def test_scores_that_are_no_numbers_are_an_error(shop: Dataset, score_as: ScoreAs) -> None:
    with pytest.raises(NotTrainedError, match="NaN"):
        evaluate(score_as(np.full((80, 60), np.nan)), shop)


def test_a_part_without_events_is_an_error(
    dataset_of: Callable[..., Dataset], scorer: SupportsScore
) -> None:
    with pytest.raises(DataError, match="nothing to predict"):
        evaluate(scorer, dataset_of([[0, 1, 2]], 4, num_test=0))


@pytest.mark.parametrize("cutoffs", [(), (0,), (5, -1)])
def test_impossible_cutoffs_are_an_error(
    shop: Dataset, scorer: SupportsScore, cutoffs: tuple[int, ...]
) -> None:
    with pytest.raises(ConfigError, match="cut-offs"):
        evaluate(scorer, shop, cutoffs=cutoffs)


def test_users_without_a_history_are_evaluated_too(
    dataset_of: Callable[..., Dataset], score_as: ScoreAs
) -> None:
    dataset = dataset_of([[3], [0, 1, 2]], 4, num_valid=0)
    found = evaluate(score_as(np.tile(np.arange(4.0), (2, 1))), dataset, cutoffs=(1,))
    assert found.users == 2
    assert found.per_user["hit@1"].tolist() == [1, 0]
    assert [group.label for group in found.groups["user"]] == ["known to training", "new"]


@settings(max_examples=5)
@given(seed=st.integers(0, 10_000))
def test_more_places_never_find_less(seed: int, shop: Dataset, score_as: ScoreAs) -> None:
    table = np.random.default_rng(seed).random((80, 60))
    found = evaluate(score_as(table), shop, cutoffs=(1, 5, 20))
    for name in ("recall", "hit", "mrr"):
        assert found.masked[f"{name}@1"] <= found.masked[f"{name}@5"] <= found.masked[f"{name}@20"]
    assert found.masked["hit@5"] >= found.masked["recall@5"]


def _cases(dataset: Dataset) -> list[tuple[History, np.ndarray]]:
    cases = dataset.cases("test")
    return list(zip(cases.histories, cases.targets, strict=True))


def _by_loop(
    scores: np.ndarray, history: History, targets: np.ndarray, *, masked: bool
) -> tuple[float, float]:
    """Return recall@10 and the share of pairs of a target and another item that are in order."""
    seen = set(history.item_rows.tolist()) if masked else set()
    order = sorted(
        (row for row in range(len(scores)) if scores[row] > -np.inf and row not in seen),
        key=lambda row: (-scores[row], row),
    )
    wanted = set(targets.tolist())
    others = [row for row in order if row not in wanted]
    won = [
        sum(order.index(x) > order.index(t) for x in others) if t in order else 0 for t in wanted
    ]
    area = float(np.mean(won)) / len(others)
    return len(wanted & set(order[:10])) / len(wanted), area
