"""Whitenings mixed by a gate, as the formula says."""

import torch

from palate.models.adaptor import WhiteningExperts


def _adaptor(experts: int) -> WhiteningExperts:
    torch.manual_seed(0)
    adaptor = WhiteningExperts(torch.randn(4), 3, experts)
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


def test_it_begins_centred_and_with_experts_that_are_nearly_alike() -> None:
    torch.manual_seed(1)
    x = torch.randn(200, 16) + 3.0
    adaptor = WhiteningExperts(x.mean(dim=0), 8, experts=5)
    torch.testing.assert_close(adaptor.eval()(x).mean(dim=0), torch.zeros(8), atol=1e-5, rtol=0)
    quiet, noisy = adaptor(x), adaptor.train()(x)
    assert torch.cosine_similarity(quiet, noisy).min() > 0.98
