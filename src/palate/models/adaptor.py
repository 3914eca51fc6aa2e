"""Adaptors that turn frozen vectors into item tokens which transfer to other catalogues."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

_APART = 0.1
"""Standard deviation of the fresh weights of one expert, relative to the weights all share."""

_FLOOR = 0.1
"""Share of the mean variance that is added to every direction: tiny variances are noise."""


class Whitening(nn.Module):
    """ZCA whitening with the statistics of one catalogue: equal variance in every direction.

    ``z(x) = (x - m) (C + 0.1 tr(C) / d I)^(-1/2)`` with mean ``m`` and covariance ``C`` of the
    catalogue (ZCA: Bell & Sejnowski 1997; for sentence vectors: Su et al. 2021, arXiv 2103.15316).
    The mean of a catalogue does not tell its items apart, and the directions of largest variance
    describe the shop more than the items. The symmetric root keeps the axes, so that weights
    learned on one whitened catalogue can be used on another. ``docs/results.md``, section 16,
    gives its effect on Amazon Beauty.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, vectors: Float[Tensor, "items inputs"]) -> None:
        """Measure the catalogue; items added later are whitened with the same statistics.

        Args:
            vectors: vectors of the items that have one; with fewer than two, whitening is the
                identity.
        """
        super().__init__()
        inputs = vectors.shape[1]
        few = len(vectors) < 2
        self.register_buffer("mean", torch.zeros(inputs) if few else vectors.mean(dim=0))
        self.register_buffer("spread", torch.eye(inputs) if few else _root(vectors))

    def forward(self, x: Float[Tensor, "items inputs"]) -> Float[Tensor, "items inputs"]:
        """Return the whitened vectors."""
        whitened: Tensor = (x - self.mean) @ self.spread
        return whitened


def _root(vectors: Float[Tensor, "items inputs"]) -> Float[Tensor, "inputs inputs"]:
    """Return the inverse square root of the floored covariance; 0 where nothing varies."""
    variances, axes = torch.linalg.eigh(vectors.double().T.cov(correction=0))
    variances = variances.clamp(min=0) + _FLOOR * variances.mean()
    roots = torch.where(variances > 0, variances.clamp(min=1e-30).rsqrt(), 0)
    root: Tensor = (axes * roots) @ axes.T
    return root.float()


class WhiteningExperts(nn.Module):
    """Several parametric whitenings, mixed by a gate.

    ``a(x) = sum_k g_k(x) (x - b_k) W_k`` with ``g(x) = softmax(x V + noise * softplus(x U))``, the
    noise only in training (Hou et al. 2022, UniSRec, arXiv 2206.05941). Shifting and rotating the
    vectors spreads them more evenly; a new catalogue only needs another mixture of the same
    experts. Here the experts start nearly equal instead of independent: the noise of the gate is
    large at first, and with independent experts it would change an item's vector in every batch
    and make the experts transfer worse.
    """

    def __init__(self, inputs: int, width: int, experts: int) -> None:
        """Start with small fresh weights and an even gate.

        Args:
            inputs: width of a vector.
            width: width of an item token.
            experts: number of whitenings.
        """
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(experts, inputs))
        own = _APART * torch.randn(experts, inputs, width)
        self.turn = nn.Parameter((torch.randn(inputs, width) + own) * inputs**-0.5)
        self.gate = nn.Linear(inputs, experts, bias=False)
        self.noise = nn.Linear(inputs, experts, bias=False)
        nn.init.zeros_(self.gate.weight)
        nn.init.zeros_(self.noise.weight)

    def forward(self, x: Float[Tensor, "items inputs"]) -> Float[Tensor, "items width"]:
        """Return the mixed vectors."""
        logits = self.gate(x)
        if self.training:
            spread = nn.functional.softplus(self.noise(x))
            logits = logits + torch.randn_like(spread) * spread
        shares = logits.softmax(dim=-1)
        whitened = torch.einsum("ni,kio->nko", x, self.turn)
        whitened = whitened - torch.einsum("ki,kio->ko", self.shift, self.turn)
        mixed: Tensor = torch.einsum("nk,nko->no", shares, whitened)
        return mixed
