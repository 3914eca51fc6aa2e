"""What a training tells the terminal."""

import pytest

from palate.terminal import training_progress
from palate.training.loop import Report


@pytest.mark.parametrize(
    ("measure", "told"), [("NDCG@10", "validation NDCG@10 0.1250"), ("", "validation 0.1250")]
)
def test_a_validation_is_named_where_it_has_a_name(
    measure: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    at = Report(
        epoch=1,
        epochs=2,
        step=5,
        steps=10,
        loss=1.5,
        interactions_per_second=100.0,
        seconds_left=3.0,
        validation=0.125,
        measure=measure,
    )
    with training_progress() as bar:
        bar.encoding(3, 3)
        bar.report(at)
    assert f"Epoch 1/2  loss 1.500  {told}  100/s" in capsys.readouterr().out
