"""From frozen text vectors to item tokens that carry over to other catalogues (UniSRec)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

_APART = 0.1
"""How far experts begin from one another, beside what they share."""


class WhiteningExperts(nn.Module):
    """Several parametric whitenings, mixed by a gate.

    ``a(x) = sum_k g_k(x) (x - b_k) W_k`` with ``g(x) = softmax(x V + noise * softplus(x U))``, the
    noise in training alone (Hou et al. 2022, UniSRec, arXiv 2206.05941). Shifting and turning the
    vectors spreads them more evenly; a new catalogue needs but another mixture of the same experts.
    Here the experts begin nearly alike, not each on its own: the noise of the gate, loud at first,
    would otherwise make another item of each in every batch, and what they have learned of one
    catalogue would mean less to the next.
    """

    def __init__(self, centre: Float[Tensor, " inputs"], width: int, experts: int) -> None:
        """Start with small fresh weights and an even gate.

        Args:
            centre: mean of the vectors of the catalogue, where the shifts begin: what all items of
                a shop share says nothing of any of them, and differs from shop to shop.
            width: of an item token.
            experts: number of whitenings.
        """
        super().__init__()
        inputs = len(centre)
        self.shift = nn.Parameter(centre.repeat(experts, 1))
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
