"""References to items: the items that a batch needs, with or without their ID embedding.

A reference is a row of the catalogue, plus the size of the catalogue to mean *without its ID*.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from palate.language.batch import Batch
from palate.language.item_format import NOTHING


@dataclass(frozen=True)
class ItemTable:
    """Vectors of the items that a batch (or the catalogue) needs, each computed once."""

    tokens: Float[Tensor, "shown width"]
    """Input embeddings: the items, then the free-text queries, which are never ranked."""
    outputs: Float[Tensor, "needed width"]
    """Output vectors, with which user vectors are compared."""
    place: Int[Tensor, " references"]
    """Row in ``tokens`` and ``outputs`` of each reference; -1 where it is not needed."""

    def read(self, references: Int[Tensor, "*any"]) -> Float[Tensor, "*any width"]:
        """Return the input embeddings of ``references``; zeros below 0."""
        # A batch of users without events may need no item at all; then index a row of zeros.
        tokens = self.tokens
        if not len(tokens):
            tokens = tokens.new_zeros(1, tokens.shape[1])
        place = self.place[references.clamp(min=0)].clamp(min=0)
        return tokens[place] * (references >= 0)[..., None]


def whole_items(items: Int[Tensor, "*any"], levels: Int[Tensor, "*any"]) -> Int[Tensor, "*any"]:
    """Return catalogue rows where one token is the whole item, NOTHING elsewhere."""
    return items.masked_fill(levels >= 0, NOTHING)


def mentioned(batch: Batch, num_items: int) -> Int[Tensor, " references"]:
    """Return references to all items in the input of a batch, with repetitions."""
    read = references_of(batch.whole, batch.without_id[:, None], num_items).flatten()
    if batch.candidates is not None:
        candidates = references_of(
            batch.candidates.whole, batch.without_id[:, None, None], num_items
        )
        read = torch.cat([read, candidates.flatten()])
    return read[read >= 0]


def references_of(
    rows: Int[Tensor, "*any"], without_id: Bool[Tensor, "*any2"], num_items: int
) -> Int[Tensor, "*any"]:
    """Return item references: rows, plus ``num_items`` to mean *without its ID*; -1 stays."""
    return torch.where(rows >= 0, rows + without_id * num_items, rows)


def numbered_items(batch: Batch) -> tuple[Batch, Int[Tensor, " items"]]:
    """Return the batch with its items numbered from 0, and the catalogue row of each number."""
    shown = batch.whole >= 0
    if batch.candidates is None:
        needed, places = batch.items[shown].unique(return_inverse=True)
        return replace(batch, items=batch.items.masked_scatter(shown, places)), needed
    candidates = batch.candidates.whole >= 0
    both = torch.cat([batch.items[shown], batch.candidates.items[candidates]])
    needed, places = both.unique(return_inverse=True)
    count = int(shown.sum())
    of_candidates = batch.candidates.items.masked_scatter(candidates, places[count:])
    numbered = replace(
        batch,
        items=batch.items.masked_scatter(shown, places[:count]),
        candidates=replace(batch.candidates, items=of_candidates),
    )
    return numbered, needed
