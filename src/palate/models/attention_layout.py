"""Attention layout of a batch: positions and masks of its tokens and of the slots to predict.

A batch is read as one sequence per row. First come the tokens of the row, then the *slots* of all
its predictions: query tokens, or the places of an answer's codes or words. A prediction sees only a
prefix of its row, so the slots of two predictions do not see each other. With T = 3 tokens and two
predictions of two slots each, which see the first 1 and the first 3 tokens, the mask is (x sees)::

              t0 t1 t2 | a0 a1 | b0 b1
          t0   x       |       |
          t1   x  x    |       |
          t2   x  x  x |       |
    a, 1  a0   x       |  x    |
          a1   x       |  x  x |
    b, 3  b0   x  x  x |       |  x
          b1   x  x  x |       |  x  x

Every query also sees the instruction, whose keys and values all rows share (``past``).

Shape suffixes: B rows, T tokens of a row, P predictions of a row, S slots of a prediction, D width.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from palate.language.batch import CandidateItems

KeyValue = tuple[Float[Tensor, "_ heads _ head"], Float[Tensor, "_ heads _ head"]]
"""Keys (already rotated) and values of one layer, which later tokens attend to."""


@dataclass(frozen=True)
class Instruction:
    """The instruction, which stands before every row of a batch."""

    x: Float[Tensor, "1 words width"]
    past: list[KeyValue]
    """Keys and values, computed once; empty for an encoder-decoder, which encodes it per row."""


@dataclass(frozen=True)
class Rows:
    """The rows of a batch, ready to be read."""

    x: Float[Tensor, "batch time width"]
    """Input embeddings."""
    prefix_lengths: Int[Tensor, "batch predictions"]
    """How many tokens of its row each prediction sees; -1 is padding."""
    instruction: Instruction | None = None
    """The tokens before every row, if any."""
    both_ways: bool = False
    """Whether the tokens of a row also see later tokens; an encoder's always do."""

    @property
    def past(self) -> list[KeyValue] | None:
        """Keys and values of the instruction."""
        return self.instruction.past if self.instruction else None


@dataclass(frozen=True)
class SlotGroup:
    """Slots of every prediction that see their prefix and each other, but no other group."""

    x: Float[Tensor, "batch predictions slots width"]
    visible: Bool[Tensor, "batch predictions slots"] | None = None
    """False where a slot is padding: no other slot sees it, and it takes up no position."""
    places: Int[Tensor, "batch predictions slots"] | None = None
    """Position of each slot relative to the end of its prediction's prefix (below 0 is inside the
    prefix); None numbers the slots one after the other."""
    candidates: int = 0
    """How many of the first slots are candidate items. They belong to the prompt: nothing is
    predicted at them, and an encoder reads them."""

    @property
    def size(self) -> int:
        """Number of slots of a prediction."""
        return self.x.shape[2]

    @property
    def steps(self) -> Int[Tensor, "#batch #predictions slots"]:
        """Position of each slot relative to the end of its prediction's prefix, padding skipped."""
        if self.places is not None:
            return self.places
        if self.visible is None:
            return torch.arange(self.size, device=self.x.device)[None, None]
        return (self.visible.long().cumsum(dim=2) - 1).clamp(min=0)

    def followed_by(self, x: Float[Tensor, "batch predictions more width"]) -> "SlotGroup":
        """Return the group with further slots, none of which is padding, in the prompt too."""
        there = torch.ones(x.shape[:3], dtype=torch.bool, device=x.device)
        own = there.new_ones(self.x.shape[:3]) if self.visible is None else self.visible
        joined_x, visible = torch.cat([self.x, x], dim=2), torch.cat([own, there], dim=2)
        return SlotGroup(joined_x, visible, candidates=joined_x.shape[2])

    def last(
        self, default: Float[Tensor, "batch predictions width"]
    ) -> Float[Tensor, "batch predictions width"]:
        """Return each prediction's last slot that is not padding, ``default`` without such."""
        if self.visible is None or not self.size:
            return default
        counts = self.visible.sum(dim=2)
        place = (counts - 1).clamp(min=0)[:, :, None, None].expand(-1, -1, 1, default.shape[2])
        return torch.where(counts[..., None] > 0, self.x.gather(2, place)[:, :, 0], default)


def last_tokens(
    x_BTD: Float[Tensor, "batch time width"],
    prefix_lengths_BP: Int[Tensor, "batch predictions"],
    span: int,
) -> Float[Tensor, "batch predictions width"]:
    """Return the sum of the last ``span`` tokens of each prediction's prefix."""
    total = x_BTD.new_zeros(*prefix_lengths_BP.shape, x_BTD.shape[2])
    for back in range(1, span + 1):
        place = (prefix_lengths_BP - back).clamp(min=0)[..., None].expand(-1, -1, x_BTD.shape[2])
        total = total + x_BTD.gather(1, place) * (prefix_lengths_BP >= back)[..., None]
    return total


def answer_start(
    candidates: CandidateItems | None,
    read: SlotGroup | None,
    last_event_BPD: Float[Tensor, "batch predictions width"],
) -> Float[Tensor, "batch predictions width"]:
    """Return the embedding that a text answer starts from.

    It is the candidate where a prediction has exactly one, else the last event: of several
    candidates none is meant before the answer names one.

    Args:
        candidates: candidate items of the predictions.
        read: their embeddings.
        last_event_BPD: embedding of the last event of each prediction.
    """
    if candidates is None or read is None:
        return last_event_BPD
    several = candidates.num_items > 1
    return torch.where(several[..., None], last_event_BPD, read.last(last_event_BPD))


def stream_mask(
    prefix_lengths_BP: Int[Tensor, "batch predictions"],
    num_tokens: int,
    groups: Sequence[SlotGroup],
    past: int,
    *,
    both_ways: bool = False,
) -> Bool[Tensor, "batch 1 query key"]:
    """Return the attention mask that the top of this file draws; True where a query sees a key.

    Tokens see earlier tokens, or all of their row with ``both_ways``. A slot sees its prediction's
    prefix, itself, and the earlier slots of its group that are not padding. Queries are the tokens
    and then the slots; keys are the instruction, the tokens, the slots.
    """
    B, P = prefix_lengths_BP.shape
    T, S, device = num_tokens, sum(group.size for group in groups), prefix_lengths_BP.device
    mask = torch.zeros(B, 1, T + P * S, past + T + P * S, dtype=torch.bool, device=device)
    mask[..., :past] = True
    # Top left of the drawing: tokens among themselves.
    mask[:, :, :T, past : past + T] = torch.ones(T, T, dtype=torch.bool, device=device).tril()
    if both_ways:
        whole = prefix_lengths_BP.amax(dim=1, keepdim=True)
        assert bool(((prefix_lengths_BP == whole) | (prefix_lengths_BP < 0)).all()), (
            "a prediction must see its whole row"
        )
        mask[:, :, :T, past : past + T] |= seen_tokens(whole, T)[:, None]
    # Bottom left: each slot and the prefix of its prediction.
    mask[:, 0, T:, past : past + T] = seen_tokens(prefix_lengths_BP, T).repeat_interleave(S, dim=1)
    # Bottom right: a triangle per prediction and group, repeated along the diagonal.
    mask[:, 0, T:, past + T :] = torch.block_diag(*[_earlier(groups)] * P)
    if any(group.visible is not None for group in groups):
        # Padding sees itself: a query that sees nothing would make its softmax NaN.
        own = torch.eye(P * S, dtype=torch.bool, device=device)
        mask[:, 0, T:, past + T :] &= visible_slots(groups).view(B, 1, P * S) | own
    return mask


def seen_tokens(
    prefix_lengths_BP: Int[Tensor, "batch predictions"],
    num_tokens: int,
) -> Bool[Tensor, "batch predictions time"]:
    """Mark the tokens of its row that each prediction sees."""
    return torch.arange(num_tokens, device=prefix_lengths_BP.device) < prefix_lengths_BP[:, :, None]


def _earlier(groups: Sequence[SlotGroup]) -> Bool[Tensor, "slots slots"]:
    """Mark for each slot itself and the earlier slots of its group."""
    device = groups[0].x.device
    sizes = [group.size for group in groups]
    ones = [torch.ones(size, size, dtype=torch.bool, device=device).tril() for size in sizes]
    blocks: Tensor = torch.block_diag(*ones)
    return blocks


def visible_slots(groups: Sequence[SlotGroup]) -> Bool[Tensor, "batch predictions slots"]:
    """Return False where a slot is padding."""
    seen = [
        torch.ones(group.x.shape[:3], dtype=torch.bool, device=group.x.device)
        if group.visible is None
        else group.visible
        for group in groups
    ]
    return torch.cat(seen, dim=2)


def causal_mask(num_tokens: int, past: int, device: torch.device) -> Bool[Tensor, "1 1 query key"]:
    """Return the mask in which tokens see all of the past, earlier tokens and themselves."""
    seen = torch.ones(num_tokens, past + num_tokens, dtype=torch.bool, device=device)
    return seen.tril(past)[None, None]


def past_length(instruction: Instruction | None) -> int:
    """Return the number of instruction tokens in the key-value cache that all rows share."""
    return instruction.past[0][0].shape[2] if instruction and instruction.past else 0


def joined(before: KeyValue, after: KeyValue, rows: int) -> KeyValue:
    """Join the instruction's keys and values, shared by all rows, with those of each row."""
    keys, values = (
        torch.cat([shared.expand(rows, -1, -1, -1), own], dim=2)
        for shared, own in zip(before, after, strict=True)
    )
    return keys, values
