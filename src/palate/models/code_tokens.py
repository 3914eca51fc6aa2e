"""Embeddings of the codes of items, and the logits of each next code.

Shape suffixes: I items, L levels, N answers, D width.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from palate.items.codes.codes import Codes, Level

FRESH_STD = 0.02
"""Standard deviation of fresh embeddings, for codes unrelated to item vectors (digits, numbers)."""


class CodeTokens(nn.Module):
    """Token embeddings for the codes of an index; levels with the same words share embeddings.

    An item is predicted level by level: the slot of level ``l`` reads the embedding of the last
    event plus the sum of ``previous`` over the codes generated so far. The logit of code ``c`` at
    hidden state ``h`` is ``v_l <W h, E_c> / sqrt(D)``.
    """

    values: Tensor

    def __init__(self, codes: Codes, width: int) -> None:
        """Make fresh embeddings for the codes of a catalogue."""
        super().__init__()
        self.sizes = codes.sizes
        self.bases = _bases(codes.levels)
        total = max(base + size for base, size in zip(self.bases, self.sizes, strict=True))
        self.width = width
        self.embedding = nn.Embedding(total, width)
        self.previous = nn.Embedding(total, width)
        self.start = nn.Parameter(torch.zeros(codes.num_levels, width))
        self.output = nn.Linear(width, width, bias=False)
        self.logit_scale = nn.Parameter(torch.ones(codes.num_levels))
        nn.init.eye_(self.output.weight)
        nn.init.normal_(self.embedding.weight, std=FRESH_STD)
        nn.init.zeros_(self.previous.weight)
        self.set_codes(codes)

    @property
    def num_levels(self) -> int:
        """Codes per item."""
        return len(self.sizes)

    @property
    def first_tokens(self) -> Int[Tensor, " levels"]:
        """Token of code 0 of each level."""
        return torch.tensor(self.bases, device=self.values.device)

    def set_codes(self, codes: Codes) -> None:
        """Replace the codes, for a catalogue with new items; the levels must stay the same."""
        flat = torch.from_numpy(codes.values).long() + torch.tensor(self.bases)
        flat = flat.to(self.start.device)
        self.register_buffer("values", flat, persistent=False)

    @torch.no_grad()
    def informed_init(self, vectors_ID: Float[Tensor, "items width"]) -> None:
        """Initialise the embeddings from item vectors by residual averaging.

        ``E_c = mean of r_l over the items with c``, ``r_(l+1) = r_l - E_(c_l)``, ``r_0`` the item's
        vector; ``previous`` starts as ``-E``. Predicting codes then starts as residual quantisation
        of the last event's vector, and training continues from there.
        """
        residual = vectors_ID.clone()
        for tokens in self.values.T:
            sums = torch.zeros_like(self.embedding.weight).index_add_(0, tokens, residual)
            counts = torch.zeros(len(sums), device=sums.device)
            counts.index_add_(0, tokens, torch.ones_like(tokens, dtype=sums.dtype))
            means = sums / counts.clamp(min=1)[:, None]
            self.embedding.weight += means
            residual -= means[tokens]
        self.previous.weight.copy_(-self.embedding.weight)

    def read(
        self, rows: Int[Tensor, "*any"], levels: Int[Tensor, "*any"]
    ) -> Float[Tensor, "*any width"]:
        """Return the input embedding of code ``levels`` of item ``rows``.

        It is zero for items added after the codes were made.
        """
        known = rows < len(self.values)
        embedded: Tensor = self.embedding(self.values[rows.clamp(max=len(self.values) - 1), levels])
        return embedded * known[..., None]

    def slots(
        self,
        start_ND: Float[Tensor, "answers width"],
        rows: Int[Tensor, " answers"],
    ) -> Float[Tensor, "answers levels width"]:
        """Return the inputs of the slots of the items ``rows``; each sees only earlier codes."""
        generated = self.previous(self.values[rows][:, :-1]).cumsum(dim=1)
        before = F.pad(generated, (0, 0, 1, 0))
        return start_ND[:, None] + self.start + before

    def logits(
        self, hidden: Float[Tensor, "*any width"], level: int
    ) -> Float[Tensor, "*any codes"]:
        """Return the logit of every code of ``level``."""
        base = self.bases[level]
        letters = self.embedding.weight[base : base + self.sizes[level]]
        scale = self.logit_scale[level] / self.width**0.5
        # Scaling the few hidden states is cheaper than scaling the many logits.
        logits: Tensor = (scale * self.output(hidden)) @ letters.T
        return logits


def _bases(levels: Sequence[Level]) -> tuple[int, ...]:
    """Return the first token of each level."""
    bases: list[int] = []
    known: dict[tuple[str, ...], int] = {}
    following = 0
    for level in levels:
        base = known.get(level.words, following) if level.words else following
        if level.words:
            known.setdefault(level.words, base)
        bases.append(base)
        following = max(following, base + level.size)
    return tuple(bases)
