"""The memory and time of a run, computed by hand."""

import pytest
from torch import nn

from palate.models.backbones.estimate import Estimate, Reading, Weights, estimate


def test_weights_are_counted_once_and_trained_ones_apart() -> None:
    first, second = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
    second.weight = first.weight
    frozen = nn.Linear(4, 2).bfloat16().requires_grad_(False)
    found = Weights.of(nn.ModuleList([first, second, frozen]))
    assert found == Weights(parameters=26, trained=16, num_bytes=84, trained_bytes=64)


def test_memory_is_the_sum_of_its_parts() -> None:
    weights = Weights(parameters=100, trained=10, num_bytes=400, trained_bytes=40)
    reading = Reading(rows=2, time=3, layers=2, width=5, mlp_width=7, words=11, beside_width=9)
    # Per token: two layers of 10 x 5 + 4 x 7 floats and 9 more with a mask, and 4 times 11 logits.
    assert reading.activation_bytes == 6 * (2 * (78 * 4 + 9 * 5) + 4 * 4 * 11)
    found = estimate(weights, reading, steps=10, step_seconds=0.5, held_bytes=1000)
    assert found.seconds == 5
    assert found.num_bytes == 1000 + 400 + 3 * 40 + reading.activation_bytes


def test_recomputing_keeps_one_layer_and_the_inputs_of_all() -> None:
    plain = Reading(rows=1, time=1, layers=12, width=768, mlp_width=2048)
    recomputed = Reading(rows=1, time=1, layers=12, width=768, mlp_width=2048, recomputed=True)
    assert recomputed.activation_bytes == (12 * 768 + 10 * 768 + 4 * 2048) * 4
    assert recomputed.activation_bytes < plain.activation_bytes / 5


@pytest.mark.parametrize(
    ("seconds", "num_bytes", "line"),
    [
        (2100.0, int(6.1 * 2**30), "about 35 min, 6.1 GB"),
        (40.2, int(0.9 * 2**30), "about 40 s, 0.9 GB"),
        (3.2 * 3600, int(15.96 * 2**30), "about 3.2 h, 16.0 GB"),
    ],
)
def test_the_estimate_is_one_line(seconds: float, num_bytes: int, line: str) -> None:
    assert str(Estimate(seconds, num_bytes)) == line
