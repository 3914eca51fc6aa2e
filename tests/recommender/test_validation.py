"""The validation value of a stage: one measure as it is, several with equal weight."""

import pytest

from palate import Recommender
from palate.models.language_model import RecommendationModel
from palate.recommender.validation import Validation
from palate.training.loop import Validate
from palate.training.system import LanguageModelSystem


def _says(value: float) -> Validate:
    return lambda _model: value


@pytest.mark.parametrize(
    ("by_items", "in_words", "value", "measure"),
    [
        (0.25, [], 0.25, "NDCG@10"),
        (None, [0.5], 0.5, "chance of a true word"),
        (0.25, [1.0], 0.5, "NDCG@10, chance of a true word"),
        (None, [], 0.0, ""),
    ],
)
def test_items_and_texts_have_equal_weight_in_validation(
    speaker: Recommender,
    by_items: float | None,
    in_words: list[float],
    value: float,
    measure: str,
) -> None:
    validation = Validation(
        None if by_items is None else _says(by_items), [_says(each) for each in in_words]
    )
    assert validation(_model(speaker)) == pytest.approx(value)
    assert validation.measure == measure


def _model(recommender: Recommender) -> RecommendationModel:
    system = recommender.trained.system
    assert isinstance(system, LanguageModelSystem)
    return system.model
