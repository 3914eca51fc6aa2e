"""The loss that ``bench/wordings.py`` reports."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bench"))

import wordings


@pytest.mark.parametrize(
    ("seen", "unseen", "metric", "lost"),
    [(1.0, 1.1, "rmse", 0.1), (1.0, 0.9, "rmse", -0.1), (0.2, 0.15, "rouge_1", 0.25)],
)
def test_the_loss_is_the_drop_from_seen_to_unseen_wordings(
    seen: float, unseen: float, metric: str, lost: float
) -> None:
    assert wordings.loss(seen, unseen, metric) == pytest.approx(lost)


def test_the_judge_has_a_name_for_each_number_of_users() -> None:
    assert wordings.asking(500).__name__ != wordings.asking(None).__name__
