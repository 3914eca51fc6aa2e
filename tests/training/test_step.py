"""The step can be replaced: distribution and privacy are other steps, not edits of the loop."""

from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from palate.training.config import TrainingConfig
from palate.training.loop import Run, fit
from palate.training.step import PlainStep


class _Points:
    """The numbers 1 to 4, two per batch."""

    num_interactions = 4

    def plan(self, epoch: int) -> Sequence[object]:
        return [0, 1]

    def batches(self, epoch: int, *, skip: int = 0) -> Iterator[Tensor | None]:
        yield from torch.tensor([[1.0, 2.0], [3.0, 4.0]])[skip:]


class _Counting(PlainStep):
    """A step that tells how often it was called."""

    calls: ClassVar[list[str]] = []

    def add_gradient(self, module: nn.Module, loss: Callable[[], Tensor], *, share: float) -> float:
        self.calls.append(f"gradient of {share}")
        return super().add_gradient(module, loss, share=share)

    def update(self, module: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.calls.append("update")
        super().update(module, optimizer)


def _loss(module: nn.Linear, batch: Tensor) -> Tensor:
    return (module(batch[:, None])[:, 0] - 2 * batch).square().mean()


def _run(**more: object) -> Run:
    config = TrainingConfig(epochs=80, learning_rate=0.1, weight_decay=0.0, patience=100)
    run = Run(_Points(), config, None, "points", objective=_loss)
    return Run(**(vars(run) | more))  # type: ignore[arg-type]


def test_any_module_learns_by_the_objective_it_is_given() -> None:
    torch.manual_seed(0)
    module = nn.Linear(1, 1, bias=False)
    fit(module, _run())
    assert float(module.weight.detach()) == pytest.approx(2, abs=0.05)


def test_the_loop_moves_weights_through_its_step_alone() -> None:
    _Counting.calls.clear()
    module = nn.Linear(1, 1, bias=False)
    config = TrainingConfig(epochs=1, accumulate=2)
    fit(module, _run(config=config, step=_Counting(clip=1.0)))
    assert _Counting.calls == ["gradient of 0.5", "gradient of 0.5", "update"]


def test_a_step_that_does_nothing_leaves_the_weights() -> None:
    class Still(PlainStep):
        def update(self, module: nn.Module, optimizer: torch.optim.Optimizer) -> None:
            optimizer.zero_grad()

    module = nn.Linear(1, 1, bias=False)
    before = module.weight.detach().clone()
    fit(module, _run(step=Still(clip=1.0)))
    assert torch.equal(module.weight.detach(), before)


def test_validation_keeps_the_best_weights_of_any_module() -> None:
    module, seen = nn.Linear(1, 1, bias=False), []

    def validate(trained: nn.Module) -> float:
        seen.append(next(trained.parameters()).detach().clone())
        return 1.0 if len(seen) == 3 else 0.0

    log = fit(module, _run(validate=validate))
    assert log[2]["validation"] == 1.0
    assert torch.equal(module.weight.detach(), seen[2])
