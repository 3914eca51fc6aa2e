"""Answers in words: what is read before the first one, and how likely each next one is.

Shape suffixes: B rows, P probes of a row, R words of a reply, D width, V vocabulary.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class TextHead(nn.Module):
    """The language-model head: words are read and said by one table of embeddings.

    The place before the first word reads what the prompt ended with; the logit of word ``w`` after
    state ``h`` is ``v <W h, E_w> / sqrt(D)`` (tied embeddings: Press & Wolf 2017).
    """

    def __init__(self, width: int) -> None:
        """Start as an echo: ``W`` the identity, ``v`` one."""
        super().__init__()
        self.asked = nn.Parameter(torch.zeros(width))
        """Added to items asked about, so that they differ from those of the history."""
        self.start = nn.Parameter(torch.zeros(width))
        self.output = nn.Linear(width, width, bias=False)
        self.volume = nn.Parameter(torch.ones(()))
        nn.init.eye_(self.output.weight)

    def places(
        self,
        carried_BPD: Float[Tensor, "batch probes width"],  # noqa: N803 - shape suffix
        said_BPRD: Float[Tensor, "batch probes said width"],  # noqa: N803
    ) -> Float[Tensor, "batch probes places width"]:
        """Return what is read at the place of each word: the words before it, never the word."""
        first = (carried_BPD + self.start)[:, :, None]
        return torch.cat([first, said_BPRD], dim=2)

    def logits(
        self,
        hidden: Float[Tensor, "*any width"],
        words_VD: Float[Tensor, "vocabulary width"],  # noqa: N803
    ) -> Float[Tensor, "*any vocabulary"]:
        """Return the logit of every word."""
        logits: Tensor = (self.volume / hidden.shape[-1] ** 0.5) * (
            self.output(hidden) @ words_VD.T
        )
        return logits
