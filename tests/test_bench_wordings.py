"""What ``bench/wordings.py`` calls a loss."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bench"))

import wordings


@pytest.mark.parametrize(
    ("seen", "unseen", "metric", "lost"),
    [(1.0, 1.1, "rmse", 0.1), (1.0, 0.9, "rmse", -0.1), (0.2, 0.15, "rouge_1", 0.25)],
)
def test_a_loss_is_how_much_worse_it_became(
    seen: float, unseen: float, metric: str, lost: float
) -> None:
    assert wordings.loss(seen, unseen, metric) == pytest.approx(lost)


def test_the_judge_is_known_by_what_it_asks() -> None:
    assert wordings.asking(500).__name__ != wordings.asking(None).__name__
