"""Whitenings mixed by a gate, compared with the formula."""

import pytest
import torch

from palate.models.adaptor import Whitening, WhiteningExperts


def _adaptor(experts: int) -> WhiteningExperts:
    torch.manual_seed(0)
    adaptor = WhiteningExperts(4, 3, experts)
    torch.nn.init.normal_(adaptor.shift)
    torch.nn.init.normal_(adaptor.gate.weight)
    return adaptor.eval()


def test_one_expert_is_one_whitening() -> None:
    adaptor, x = _adaptor(1), torch.randn(5, 4)
    expected = (x - adaptor.shift[0]) @ adaptor.turn[0]
    torch.testing.assert_close(adaptor(x), expected)


def test_experts_are_mixed_by_the_gate() -> None:
    adaptor, x = _adaptor(3), torch.randn(5, 4)
    shares = adaptor.gate(x).softmax(dim=1)
    each = [(x - shift) @ turn for shift, turn in zip(adaptor.shift, adaptor.turn, strict=True)]
    expected = sum(shares[:, k, None] * each[k] for k in range(3))
    torch.testing.assert_close(adaptor(x), expected)


def test_the_gate_is_noisy_in_training_alone() -> None:
    adaptor, x = _adaptor(3), torch.randn(5, 4)
    torch.testing.assert_close(adaptor(x), adaptor(x))
    adaptor.train()
    assert not torch.equal(adaptor(x), adaptor(x))


def test_experts_begin_nearly_alike() -> None:
    torch.manual_seed(1)
    x = torch.randn(200, 16)
    adaptor = WhiteningExperts(16, 8, experts=5)
    quiet, noisy = adaptor.eval()(x), adaptor.train()(x)
    assert torch.cosine_similarity(quiet, noisy).min() > 0.98


def _stretched(count: int, seed: int = 0) -> torch.Tensor:
    """Return vectors far from the origin that vary most along a few slanting directions."""
    draw = torch.Generator().manual_seed(seed)
    turned = torch.linalg.qr(torch.randn(6, 6, generator=draw)).Q
    scales = torch.tensor([9.0, 5.0, 2.0, 1.0, 0.5, 0.0])
    return torch.randn(count, 6, generator=draw) * scales @ turned + 4.0


def test_whitened_vectors_are_centred_and_as_wide_as_the_floor_lets_them() -> None:
    x = _stretched(500)
    whitened = Whitening(x)(x)
    torch.testing.assert_close(whitened.mean(dim=0), torch.zeros(6), atol=1e-4, rtol=0)
    before = torch.linalg.eigvalsh(x.T.cov(correction=0))
    expected = before / (before + 0.1 * before.mean())
    found = torch.linalg.eigvalsh(whitened.T.cov(correction=0))
    torch.testing.assert_close(found, expected.sort().values, atol=1e-3, rtol=1e-3)


def test_whitening_leaves_the_axes_where_they_are() -> None:
    x = _stretched(500)
    spread = Whitening(x).spread
    torch.testing.assert_close(spread, spread.T, atol=1e-6, rtol=0)
    assert torch.linalg.eigvalsh(spread).min() > 0


def test_new_vectors_are_whitened_by_the_statistics_of_the_old() -> None:
    x, new = _stretched(500), torch.randn(3, 6)
    whitening = Whitening(x)
    torch.testing.assert_close(whitening(torch.cat([x, new]))[-3:], whitening(new))


@pytest.mark.parametrize("vectors", [torch.zeros(0, 4), torch.ones(1, 4)])
def test_too_few_vectors_are_left_as_they_are(vectors: torch.Tensor) -> None:
    x = torch.randn(5, 4)
    assert torch.equal(Whitening(vectors)(x), x)


def test_vectors_that_are_all_alike_stay_finite() -> None:
    same = torch.full((10, 4), 2.0)
    assert torch.equal(Whitening(same)(same), torch.zeros(10, 4))
