"""Each family is evaluated beside a baseline, with the same samples for every model."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from palate import Dataset, Recommender
from palate.errors import DataError, NotTrainedError
from palate.evaluation.task_result import TaskResult, task_tables
from palate.inference.text_answers import TextAnswers
from palate.inference.text_results import Rated
from palate.language.tasks.task import Example
from palate.studies.task_evaluation import evaluate_task
from palate.training.system import LanguageModelSystem

BASELINE: dict[str, tuple[str, str]] = {
    "rating": ("user and item bias", "rmse"),
    "yes-no": ("popularity", "auc"),
    "choice": ("popularity", "accuracy"),
    "explanation": ("most relevant sentence", "rouge_1"),
    "summary": ("first sentence", "rouge_1"),
    "preference": ("most common", "exact"),
    "profile": ("most common", "exact"),
    "next-title": ("most popular", "hit_ratio_1"),
}


@pytest.fixture(scope="module")
def results(speaker: Recommender) -> dict[str, TaskResult]:
    """Every family judged on some of the test events."""
    return {family: evaluate_task(speaker, family, most=25) for family in BASELINE}


@pytest.mark.parametrize("family", BASELINE)
def test_every_family_is_evaluated_beside_a_baseline(
    results: dict[str, TaskResult], family: str
) -> None:
    result = results[family]
    baseline, metric = BASELINE[family]
    assert result.num_answers > 0
    assert result.family == family
    model = next(iter(result.figures))
    assert model.startswith("model")
    assert metric in result.figures[model]
    assert not math.isnan(result.figures[baseline][metric])
    assert result.samples
    assert "NaN" not in json.dumps(result.to_json())
    assert task_tables("tiny", result)[0].row_count == len(
        {name for values in result.figures.values() for name in values}
    )


def test_shares_are_shares_and_cosines_cosines(results: dict[str, TaskResult]) -> None:
    counted = {"rmse", "mae", "log_loss", "claims", "invented", "div"}
    for result in results.values():
        for values in result.figures.values():
            for metric, value in values.items():
                lowest = -1 if metric == "embedding_similarity" else 0
                assert math.isnan(value) or metric in counted or lowest - 1e-9 <= value <= 1 + 1e-9


def test_nothing_is_invented_with_the_check_on(results: dict[str, TaskResult]) -> None:
    assert results["explanation"].figures["model"]["invented"] == 0
    assert results["explanation"].figures["model"]["grounded"] == 1
    assert "invented" in results["explanation"].figures["model, not checked"]


def test_a_choice_among_the_candidates_is_always_valid(results: dict[str, TaskResult]) -> None:
    assert results["choice"].figures["model, one of them"]["valid_ratio"] == 1
    assert results["choice"].figures["popularity"]["valid_ratio"] == 1


def test_calibration_without_another_source_does_not_change_the_order(
    speaker: Recommender,
) -> None:
    parts = speaker.trained.system
    assert isinstance(parts, LanguageModelSystem)
    plain = replace(parts, calibration=replace(parts.calibration, trust=0.0))
    alone = Recommender(replace(speaker.trained, system=plain))
    figures = evaluate_task(alone, "yes-no").figures
    assert figures["model"]["auc"] == pytest.approx(figures["model, not calibrated"]["auc"])


def test_the_same_request_gives_the_same_result(
    speaker: Recommender, results: dict[str, TaskResult]
) -> None:
    assert evaluate_task(speaker, "choice", most=25) == results["choice"]


def test_wordings_differ_the_events_do_not(
    speaker: Recommender, results: dict[str, TaskResult]
) -> None:
    unseen = speaker.prompts["rating"].unseen[0]
    other = evaluate_task(speaker, "rating", wording=unseen, most=25)
    known = results["rating"]
    assert other.wording == unseen != known.wording
    assert other.figures["mean of all"] == known.figures["mean of all"]
    assert other.figures["model"] != known.figures["model"]


def test_the_true_rating_has_no_error(
    speaker: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(
        self: TextAnswers,
        examples: list[Example],
        wording: str | None = None,
        calibrated: bool = True,
    ) -> list[Rated]:
        assert not any(example.target_texts for example in examples), "the truth is not shown"
        return [Rated(4.0, 4.0, "4", (4.0,), np.ones(1))] * len(examples)

    monkeypatch.setattr(TextAnswers, "ratings", told)
    result = evaluate_task(speaker, "rating")
    events = speaker.dataset.interactions
    given = events.ratings[speaker.dataset.split.parts == 2]  # type: ignore[index]
    wanted = np.sqrt(np.nanmean((given - 4.0) ** 2))
    assert result.figures["model"]["rmse"] == pytest.approx(wanted, abs=1e-6)


def test_a_family_that_was_not_trained_is_an_error(tiny_shop: Dataset) -> None:
    with pytest.raises(NotTrainedError, match="gives no text answers"):
        evaluate_task(Recommender.train(tiny_shop, "popularity"), "rating")


def test_a_part_without_truth_is_an_error(
    speaker: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("palate.studies.answer_sheet.held_out_events", lambda _dataset, _part: [])
    with pytest.raises(DataError, match="nothing to judge 'rating' by"):
        evaluate_task(speaker, "rating")
