"""From frozen vectors to item tokens that carry over to other catalogues (UniSRec)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

_APART = 0.1
"""How far experts begin from one another, beside what they share."""

_FLOOR = 0.1
"""Of the mean variance, added to every direction: what hardly varies is noise."""


class Whitening(nn.Module):
    """Vectors of one catalogue with the same variance in every direction, by its own statistics.

    ``z(x) = (x - m) (C + 0.1 tr(C) / d I)^(-1/2)`` with mean ``m`` and covariance ``C`` of the
    catalogue (ZCA: Bell & Sejnowski 1997; for sentence vectors: Su et al. 2021, arXiv 2103.15316).
    What all items of a shop share tells none of them apart, and in what they vary most is much of
    what a shop is. The symmetric root leaves the axes where they are, so that what was learned of
    one whitened catalogue can be said of another. What it is worth on Amazon Beauty is in
    ``docs/results.md``, section 16.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, vectors: Float[Tensor, "items inputs"]) -> None:
        """Measure the catalogue; new items are judged by the same statistics later.

        Args:
            vectors: of the items that have one; where there are none nothing is changed.
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
    """Return the inverse root of the covariance with its floor; 0 where nothing varies."""
    variances, axes = torch.linalg.eigh(vectors.double().T.cov(correction=0))
    variances = variances.clamp(min=0) + _FLOOR * variances.mean()
    roots = torch.where(variances > 0, variances.clamp(min=1e-30).rsqrt(), 0)
    root: Tensor = (axes * roots) @ axes.T
    return root.float()


class WhiteningExperts(nn.Module):
    """Several parametric whitenings, mixed by a gate.

    ``a(x) = sum_k g_k(x) (x - b_k) W_k`` with ``g(x) = softmax(x V + noise * softplus(x U))``, the
    noise in training alone (Hou et al. 2022, UniSRec, arXiv 2206.05941). Shifting and turning the
    vectors spreads them more evenly; a new catalogue needs but another mixture of the same experts.
    Here the experts begin nearly alike, not each on its own: the noise of the gate, loud at first,
    would otherwise make another item of each in every batch, and what they have learned of one
    catalogue would mean less to the next.
    """

    def __init__(self, inputs: int, width: int, experts: int) -> None:
        """Start with small fresh weights and an even gate.

        Args:
            inputs: width of a vector.
            width: of an item token.
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
