"""Hand-written gradients equal those of the formula; sampling estimates the full softmax."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from palate.training import objectives
from palate.training.objectives import (
    binary_cross_entropy,
    log_expected_uniform,
    sampled_softmax,
)

SCALE = 3.0


def _normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) / shape[-1] ** 0.5


def _reference(
    users: Tensor,
    targets: Tensor,
    negatives: Tensor,
    weights: Tensor,
    excluded: Tensor,
    log_expected: Tensor,
) -> Tensor:
    """The formula of the docstring, prediction by prediction, with explicit logits."""
    losses = []
    for n in range(len(users)):
        own = [int(place) for place in excluded[n] if place >= 0]
        kept = [j for j in range(len(negatives)) if j not in own]
        negative = SCALE * (users[n] @ negatives[kept].T).amax(dim=0) - log_expected[kept]
        wanted = weights[n] > 0
        positive = SCALE * (users[n] @ targets[n][wanted].T).amax(dim=0)
        log_total = torch.cat([positive, negative]).logsumexp(dim=0)
        losses.append((weights[n][wanted] * (log_total - positive)).sum())
    return torch.stack(losses).mean()


def _inputs(num_queries: int, repeats: int = 1) -> tuple[Tensor, ...]:
    """Seven kinds of prediction; some have two or three targets, some of these are negatives."""
    users = _normal(7 * repeats, num_queries, 5, seed=1)
    targets = _normal(7 * repeats, 3, 5, seed=2)
    negatives = _normal(9, 5, seed=3)
    weights = torch.tensor(
        [[1, 0, 0], [0.5, 0.5, 0], [0.2, 0.3, 0.5], [1, 0, 0], [1, 0, 0], [0.5, 0, 0.5], [1, 0, 0]]
    ).repeat(repeats, 1)
    excluded = torch.tensor(
        [[-1, -1, -1], [4, -1, -1], [0, 8, 3], [-1, -1, -1], [2, -1, -1], [5, -1, -1], [8, -1, -1]]
    ).repeat(repeats, 1)
    for n, k in (excluded >= 0).nonzero().tolist():
        targets[n, k] = negatives[excluded[n, k]]
    return users, targets, negatives, weights, excluded, torch.linspace(-2, 0, 9)


@pytest.mark.parametrize("num_queries", [1, 3])
@pytest.mark.parametrize("repeats", [1, 11])
@pytest.mark.parametrize("safe_logit", [0.0, 60.0])
def test_loss_and_gradients_are_those_of_the_formula(
    num_queries: int, repeats: int, safe_logit: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As small as can be: 77 predictions take several rounds, nine negatives several blocks.
    monkeypatch.setattr(objectives, "_LOGITS_KEPT", 1)
    monkeypatch.setattr(objectives, "_BLOCK", 4)
    monkeypatch.setattr(objectives, "_SAFE_LOGIT", safe_logit)
    *vectors, weights, excluded, log_expected = _inputs(num_queries, repeats)
    fast = [v.clone().requires_grad_() for v in vectors]
    plain = [v.clone().requires_grad_() for v in vectors]
    loss = sampled_softmax(
        *fast,
        weights_NK=weights,
        excluded=excluded,
        log_expected=log_expected,
        scale=SCALE,
    )
    expected = _reference(*plain, weights, excluded, log_expected)
    torch.testing.assert_close(loss, expected)
    (2 * loss).backward()
    (2 * expected).backward()
    for ours, theirs in zip(fast, plain, strict=True):
        assert ours.grad is not None
        assert theirs.grad is not None
        torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("num_queries", [1, 3])
def test_padding_is_never_read(num_queries: int) -> None:
    users, targets, *rest, weights, excluded, log_expected = _inputs(num_queries)
    garbled = torch.where((weights == 0)[..., None], torch.tensor(1e6), targets).requires_grad_()
    settings = {
        "weights_NK": weights,
        "excluded": excluded,
        "log_expected": log_expected,
        "scale": SCALE,
    }
    loss = sampled_softmax(users, garbled, *rest, **settings)
    torch.testing.assert_close(loss, sampled_softmax(users, targets, *rest, **settings))
    (gradient,) = torch.autograd.grad(loss.requires_grad_(), garbled)
    assert not gradient[weights == 0].any()


def _full(users: Tensor, items: Tensor, answers: Tensor) -> Tensor:
    """All items as negatives."""
    return sampled_softmax(
        users[:, None],
        items[answers][:, None],
        items,
        weights_NK=torch.ones(len(users), 1),
        excluded=answers[:, None],
        log_expected=torch.zeros(len(items)),
        scale=SCALE,
    )


def test_with_all_items_it_is_cross_entropy() -> None:
    users = _normal(6, 4, seed=1).requires_grad_()
    items = _normal(20, 4, seed=2).requires_grad_()
    answers = torch.tensor([0, 19, 3, 3, 7, 11])
    loss = _full(users, items, answers)
    expected = F.cross_entropy(SCALE * users @ items.T, answers)
    torch.testing.assert_close(loss, expected)
    for ours, theirs in zip(
        torch.autograd.grad(loss, (users, items)),
        torch.autograd.grad(expected, (users, items)),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)


def test_the_log_q_correction_makes_the_sum_unbiased() -> None:
    num_items, num_negatives = 40, 8
    generator = torch.Generator().manual_seed(0)
    user, items = _normal(1, 4, seed=3), _normal(num_items, 4, seed=4)
    answer = torch.tensor([5])
    sums = []
    for _ in range(1_000):
        drawn = torch.randperm(num_items, generator=generator)[:num_negatives]
        place = (drawn == answer).nonzero().flatten()
        loss = sampled_softmax(
            user[:, None],
            items[answer][:, None],
            items[drawn],
            weights_NK=torch.ones(1, 1),
            excluded=(place if len(place) else torch.tensor([-1]))[None],
            log_expected=torch.full((8,), log_expected_uniform(num_negatives, num_items)),
            scale=SCALE,
        )
        sums.append(loss.exp())
    # exp(loss) is the sum over all items divided by the target's own term.
    estimate, whole = torch.stack(sums).mean(), _full(user, items, answer).exp()
    assert float(estimate / whole) == pytest.approx(1, abs=0.05)


def test_uniform_expectation_is_the_share_of_the_catalogue() -> None:
    assert log_expected_uniform(10, 10) == 0
    assert math.exp(log_expected_uniform(5, 20)) == pytest.approx(0.25)


@given(
    scale=st.floats(0.01, 1e4),
    num_queries=st.sampled_from([1, 3]),
    seed=st.integers(0, 100),
)
def test_loss_and_gradients_stay_finite(scale: float, num_queries: int, seed: int) -> None:
    users = _normal(5, num_queries, 6, seed=seed).requires_grad_()
    negatives = _normal(7, 6, seed=seed + 1).requires_grad_()
    loss = sampled_softmax(
        users,
        negatives[:5, None],
        negatives,
        weights_NK=torch.ones(5, 1),
        excluded=torch.arange(5)[:, None],
        log_expected=torch.full((7,), -3.0),
        scale=scale,
    )
    assert loss.isfinite()
    assert loss >= 0
    for gradient in torch.autograd.grad(loss, (users, negatives)):
        assert gradient.isfinite().all()


def test_binary_cross_entropy_is_torchs() -> None:
    users, target, negative = _normal(6, 4, seed=1), _normal(6, 4, seed=2), _normal(6, 4, seed=3)
    loss = binary_cross_entropy(users[:, None], target[:, None], negative, scale=SCALE)
    logits = SCALE * torch.cat([(users * target).sum(-1), (users * negative).sum(-1)])
    expected = F.binary_cross_entropy_with_logits(
        logits, torch.cat([torch.ones(6), torch.zeros(6)])
    )
    torch.testing.assert_close(loss, 2 * expected)


def test_binary_cross_entropy_takes_the_best_user_vector() -> None:
    target, negative = torch.eye(2)[None, :1], torch.eye(2)[1:]
    both = binary_cross_entropy(torch.eye(2)[None], target, negative, scale=1.0)
    assert float(both) == pytest.approx(math.log1p(math.exp(-1)) + math.log1p(math.exp(1)))
