"""The network of RQ-VAE and its losses; :mod:`palate.items.codes.rqvae` trains it.

Shapes: B batch, D width of the item vectors, Z width of the latent, K codes of a level.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional


class Quantised(NamedTuple):
    """Result of quantising a batch of latents."""

    codes: Int[Tensor, "batch levels"]
    latent: Float[Tensor, "batch latent"]
    """Sum of the chosen codes, through which gradients pass to the encoder unchanged."""
    chosen: list[Float[Tensor, "batch latent"]]
    """The chosen code of each level, through which gradients reach the codebooks."""
    residuals: list[Float[Tensor, "batch latent"]]
    """The input of each level: the latent minus the codes of the levels before."""
    loss: Float[Tensor, ""]


class RqVaeNetwork(nn.Module):
    """Encoder and decoder (ReLU between layers), and one codebook per level on the latent."""

    def __init__(self, widths: Sequence[int], num_levels: int, size: int) -> None:
        """Create the layers; ``widths`` go from the item vector to the latent."""
        super().__init__()
        self.encoder = _layers(widths)
        self.decoder = _layers(list(reversed(widths)))
        self.codebooks = nn.ParameterList(
            nn.Parameter(torch.zeros(size, widths[-1])) for _ in range(num_levels)
        )

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the weights (He et al. 2015); the codebooks start from k-means."""
        for layer in [*self.encoder, *self.decoder]:
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
                nn.init.zeros_(layer.bias)

    def quantise(self, latents: Float[Tensor, "batch latent"], commitment: float) -> Quantised:
        """Choose codes level by level.

        The loss is ``sum_l |sg(r_l) - e_l|^2 + commitment |r_l - sg(e_l)|^2``, each the mean over
        its numbers, with ``sg`` stopping gradients (van den Oord et al. 2017; Lee et al. 2022).
        """
        residual, total = latents, torch.zeros_like(latents)
        codes, chosen, residuals = [], [], []
        loss = latents.new_zeros(())
        for codebook in self.codebooks:
            residuals.append(residual)
            code = nearest_codes(residual, codebook)
            vector = codebook[code]
            loss = loss + functional.mse_loss(vector, residual.detach())
            loss = loss + commitment * functional.mse_loss(residual, vector.detach())
            # Detached, so that the losses of later levels do not move the codes of this one.
            residual, total = residual - vector.detach(), total + vector
            codes.append(code)
            chosen.append(vector)
        # Straight-through estimator: the value is the sum of the codes, but the gradient of the
        # decoder passes to the encoder as if nothing had been quantised, since argmax has none.
        through = latents + (total - latents).detach()
        return Quantised(torch.stack(codes, dim=1), through, chosen, residuals, loss)


def nearest_codes(
    vectors: Float[Tensor, "batch latent"], codebook: Float[Tensor, "size latent"]
) -> Int[Tensor, " batch"]:
    """Return the nearest code of each vector."""
    return (vectors @ codebook.T - codebook.square().sum(dim=1) / 2).argmax(dim=1)


def alignment_loss(
    projected: Float[Tensor, "batch behaviour"],
    behaviour: Float[Tensor, "batch behaviour"],
    present: Bool[Tensor, " batch"],
    temperature: float = 0.1,
) -> Float[Tensor, ""]:
    """Pull each quantised latent towards its item's behaviour vector, away from other items'.

    ``-mean_i log softmax_j(cos(p_i, h_j) / temperature)[i]`` over the items with behaviour: the
    collaborative regularisation of LETTER (Wang et al. 2024). The paper uses inner products, and a
    latent as wide as the behaviour vectors instead of a projection.
    """
    if int(present.sum()) < 2:
        return projected.new_zeros(())
    ours = functional.normalize(projected[present], dim=1)
    theirs = functional.normalize(behaviour[present], dim=1)
    own = torch.arange(len(ours))
    return functional.cross_entropy(ours @ theirs.T / temperature, own)


def diversity_loss(
    codebook: Float[Tensor, "size latent"],
    codes: Int[Tensor, " batch"],
    partners: Int[Tensor, " size"],
) -> Float[Tensor, ""]:
    """Spread the codes: pull each chosen one towards a partner of its cluster, away from the rest.

    ``-mean log(exp(e_c e_p) / sum_(k != c) exp(e_c e_k))``, where the partner p is another code of
    c's cluster; the clusters have equal size (LETTER, Wang et al. 2024).
    """
    if len(codebook) < 2:
        return codebook.new_zeros(())
    logits = codebook[codes] @ codebook.T
    own = functional.one_hot(codes, len(codebook)).bool()
    return functional.cross_entropy(logits.masked_fill(own, -torch.inf), partners[codes])


def _layers(widths: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for place in range(len(widths) - 1):
        linear = nn.utils.skip_init(nn.Linear, widths[place], widths[place + 1])
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])
