"""An item language model: it reads a title word by word and returns the item's vector (HLLM).

Shape suffixes: I items, W words, D width.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from palate.models.decoder import Decoder, DecoderConfig


class TitleReader(nn.Module):
    """A decoder over the words of a title and a final item token, whose state is the item's vector.

    The user model reads these vectors where a language model reads words; both are trained
    together (Chen et al. 2024, HLLM, arXiv 2409.12740).
    """

    def __init__(self, config: DecoderConfig, vocabulary_size: int, width: int) -> None:
        """Make fresh word embeddings and a fresh decoder of the width in ``config``."""
        super().__init__()
        self.words = nn.Embedding(vocabulary_size, config.width)
        self.item = nn.Parameter(torch.randn(config.width) * 0.1)
        self.decoder = Decoder(config)
        self.out = nn.Linear(config.width, width, bias=False)
        nn.init.normal_(self.words.weight, std=0.5)

    def forward(self, words_IW: Int[Tensor, "items words"]) -> Float[Tensor, "items width"]:
        """Return the vectors of titles, padded on the right with -1."""
        lengths = (words_IW >= 0).sum(dim=1)
        padded = torch.nn.functional.pad(words_IW, (0, 1), value=-1)
        x = self.words(padded.clamp(min=0)) * (padded >= 0)[..., None]
        rows = torch.arange(len(x), device=x.device)
        # The item token starts from the mean of the words, so that a fresh model already returns
        # a bag of words; attention learns to improve on it.
        mean = x.sum(dim=1) / lengths.clamp(min=1)[:, None]
        x = x.index_put((rows, lengths), self.item + mean)
        positions = torch.arange(x.shape[1], device=x.device)[None]
        hidden = self.decoder(x, positions)[0]
        vectors: Tensor = self.out(hidden[rows, lengths])
        return vectors
