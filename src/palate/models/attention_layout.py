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
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from palate.language.batch import CandidateItems
from palate.models.backbones.causal import CausalBackbone
from palate.models.backbones.encoder_decoder import EncoderDecoderBackbone
from palate.models.decoder import Decoder, KeyValue
from palate.models.outputs import Prefix

Backbone = Decoder | CausalBackbone | EncoderDecoderBackbone
"""Our own decoder, or a pre-trained model."""


@dataclass(frozen=True)
class Instruction:
    """The instruction, which stands before every row of a batch."""

    x: Float[Tensor, "1 words width"]
    past: list[KeyValue]
    """Keys and values, computed once; empty for an encoder-decoder, which encodes it per row."""

    @classmethod
    def read_by(cls, backbone: Backbone, x: Float[Tensor, "1 words width"]) -> "Instruction":
        """Run ``backbone`` over the embeddings ``x``."""
        if isinstance(backbone, EncoderDecoderBackbone):
            return cls(x, [])
        positions = torch.arange(x.shape[1], device=x.device)[None]
        return cls(x, backbone(x, positions, answer_from=x.shape[1] - 1)[1])


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


def read_slots(
    backbone: Backbone,
    x_BTD: Float[Tensor, "batch time width"],
    prefix_lengths_BP: Int[Tensor, "batch predictions"],
    groups: Sequence[SlotGroup],
    instruction: Instruction | None,
    *,
    both_ways: bool = False,
) -> Float[Tensor, "answered slots width"]:
    """Return the states of the slots of all predictions, padding predictions left out.

    A decoder reads slots and rows in one sequence, so that a row is read once for all its
    predictions. An encoder reads the prefix of each prediction as a row of its own; the states at
    its candidates are then zeros.

    Args:
        backbone: the decoder or encoder-decoder.
        x_BTD: embeddings of the rows.
        prefix_lengths_BP: how many tokens of its row each prediction sees; -1 is padding.
        groups: slots of the predictions.
        instruction: the tokens before every row, if any.
        both_ways: whether the tokens of a row also see later tokens; an encoder's always do.
    """
    if isinstance(backbone, EncoderDecoderBackbone):
        return _from_encoded(backbone, x_BTD, prefix_lengths_BP, groups, instruction)
    B, T, D = x_BTD.shape
    P, past = prefix_lengths_BP.shape[1], past_length(instruction)
    slots = torch.cat([group.x for group in groups], dim=2).view(B, -1, D)
    steps = torch.cat([group.steps.expand(B, P, -1) for group in groups], dim=2)
    # The slots of every prediction count on from the end of its own prefix, wherever they lie in
    # the sequence: rotary positions are as if the rest of the row were not there.
    prediction_positions = (prefix_lengths_BP.clamp(min=0)[:, :, None] + steps).reshape(B, -1)
    row_positions = torch.arange(T, device=x_BTD.device).expand(B, T)
    positions = torch.cat([row_positions, prediction_positions], dim=1) + past
    hidden: Tensor = backbone(
        torch.cat([x_BTD, slots], dim=1),
        positions,
        mask=stream_mask(prefix_lengths_BP, T, groups, past, both_ways=both_ways),
        past=instruction.past if instruction else None,
        answer_from=T,
    )[0]
    return hidden.view(B, P, -1, D)[prefix_lengths_BP >= 0]


def _from_encoded(
    backbone: EncoderDecoderBackbone,
    x_BTD: Float[Tensor, "batch time width"],
    prefix_lengths_BP: Int[Tensor, "batch predictions"],
    groups: Sequence[SlotGroup],
    instruction: Instruction | None,
) -> Float[Tensor, "answered slots width"]:
    rows, predictions = (prefix_lengths_BP >= 0).nonzero(as_tuple=True)
    hidden: list[Tensor] = []
    history: Encoded | None = None
    for group in groups:
        if group.candidates:
            read = Encoded.of(backbone, x_BTD, prefix_lengths_BP, instruction, group)
        else:
            history = history or Encoded.of(backbone, x_BTD, prefix_lengths_BP, instruction)
            read = history
        # Padding stands only on the right, where no real slot sees it through a causal mask.
        slots = group.x[rows, predictions, group.candidates :]
        answered = backbone.answer(read.states, read.visible, slots)
        hidden.append(F.pad(answered, (0, 0, group.candidates, 0)))
    return torch.cat(hidden, dim=1)


@dataclass(frozen=True)
class Encoded:
    """Encoded prompts, one row per prediction."""

    states: Float[Tensor, "answered time width"]
    visible: Bool[Tensor, "answered time"]

    @classmethod
    def of(
        cls,
        backbone: EncoderDecoderBackbone,
        x_BTD: Float[Tensor, "batch time width"],
        prefix_lengths_BP: Int[Tensor, "batch predictions"],
        instruction: Instruction | None,
        group: SlotGroup | None = None,
    ) -> "Encoded":
        """Encode the instruction, each prediction's prefix, and the candidates of ``group``."""
        rows, predictions = (prefix_lengths_BP >= 0).nonzero(as_tuple=True)
        x, visible = x_BTD[rows], _prefix(prefix_lengths_BP, x_BTD.shape[1])[rows, predictions]
        if group is not None:
            x = torch.cat([x, group.x[rows, predictions, : group.candidates]], dim=1)
            visible = torch.cat(
                [visible, _visible([group])[rows, predictions, : group.candidates]], dim=1
            )
        x, visible = _packed(x, visible)
        if instruction is not None:
            words = instruction.x.shape[1]
            x = torch.cat([instruction.x.expand(len(rows), -1, -1), x], dim=1)
            visible = F.pad(visible, (words, 0), value=True)
        return cls(backbone.encode(x, visible), visible)


def _packed(
    x: Float[Tensor, "rows time width"], visible: Bool[Tensor, "rows time"]
) -> tuple[Float[Tensor, "rows most width"], Bool[Tensor, "rows most"]]:
    """Move visible tokens to the left: an encoder's relative positions count padding too."""
    most = int(visible.sum(dim=1).max())
    order = visible.int().argsort(dim=1, descending=True, stable=True)[:, : max(most, 1)]
    return x.gather(1, order[..., None].expand(-1, -1, x.shape[2])), visible.gather(1, order)


def read_in_place(
    backbone: Backbone,
    x_BTD: Float[Tensor, "batch time width"],
    prefix_lengths_BP: Int[Tensor, "batch predictions"],
    instruction: Instruction | None,
) -> Float[Tensor, "answered 1 width"]:
    """Return the state of the last token that each prediction sees."""
    assert not isinstance(backbone, EncoderDecoderBackbone), "an encoder-decoder needs slots"
    hidden = read_rows(backbone, x_BTD, instruction)
    rows, predictions = (prefix_lengths_BP >= 0).nonzero(as_tuple=True)
    return hidden[rows, (prefix_lengths_BP[rows, predictions] - 1).clamp(min=0)][:, None]


def read_rows(
    backbone: Backbone,
    x_BTD: Float[Tensor, "batch time width"],
    instruction: Instruction | None,
) -> Float[Tensor, "batch time width"]:
    """Return the state of every token of the rows, read causally (by an encoder both ways)."""
    B, T, _ = x_BTD.shape
    if isinstance(backbone, EncoderDecoderBackbone):
        x = x_BTD if instruction is None else torch.cat([instruction.x.expand(B, -1, -1), x_BTD], 1)
        return backbone.encode(x, x.new_ones(x.shape[:2], dtype=torch.bool))[:, -T:]
    past = past_length(instruction)
    positions = torch.arange(T, device=x_BTD.device)[None]
    mask = causal_mask(T, past, x_BTD.device) if past else None
    before = instruction.past if instruction else None
    hidden: Tensor = backbone(x_BTD, positions + past, mask=mask, past=before)[0]
    return hidden


def read_prefix(  # noqa: PLR0913 - the rows, their candidates, and how they are read
    backbone: Backbone,
    x_BTD: Float[Tensor, "batch time width"],
    prefix_lengths_B1: Int[Tensor, "batch 1"],
    candidates: SlotGroup,
    start_B1D: Float[Tensor, "batch 1 width"],
    instruction: Instruction | None,
    *,
    both_ways: bool,
) -> Prefix:
    """Read rows of one prediction each and their candidates, and keep the states for decoding."""
    B, T, _ = x_BTD.shape
    past, prefix_lengths, start = (
        past_length(instruction),
        prefix_lengths_B1[:, 0],
        start_B1D[:, 0],
    )
    if isinstance(backbone, EncoderDecoderBackbone):
        read = Encoded.of(backbone, x_BTD, prefix_lengths_B1, instruction, candidates)
        return Prefix([], read.visible, torch.zeros_like(prefix_lengths), start, read.states)
    own_positions = torch.arange(T, device=x_BTD.device).expand(B, T)
    positions = torch.cat(
        [own_positions, prefix_lengths[:, None] + candidates.steps[:, 0].expand(B, -1)], 1
    )
    hidden, own = backbone(
        torch.cat([x_BTD, candidates.x[:, 0]], dim=1),
        positions + past,
        mask=stream_mask(prefix_lengths_B1, T, [candidates], past, both_ways=both_ways)
        if past or candidates.size or both_ways
        else None,
        past=instruction.past if instruction else None,
        answer_from=T if candidates.size else max(T - 1, 0),
    )
    seen = own_positions < prefix_lengths[:, None]
    there = seen.new_ones(B, 0) if candidates.visible is None else candidates.visible[:, 0]
    return Prefix(
        past=[joined(*both, B) for both in zip(instruction.past, own, strict=True)]
        if instruction
        else own,
        visible=F.pad(torch.cat([seen, there], dim=1), (past, 0), value=True),
        positions=prefix_lengths + there.sum(dim=1) + past,
        context_state=start,
        candidates=hidden[:, -candidates.size :] if candidates.size else None,
    )


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
        mask[:, :, :T, past : past + T] |= _prefix(whole, T)[:, None]
    # Bottom left: each slot and the prefix of its prediction.
    mask[:, 0, T:, past : past + T] = _prefix(prefix_lengths_BP, T).repeat_interleave(S, dim=1)
    # Bottom right: a triangle per prediction and group, repeated along the diagonal.
    mask[:, 0, T:, past + T :] = torch.block_diag(*[_earlier(groups)] * P)
    if any(group.visible is not None for group in groups):
        # Padding sees itself: a query that sees nothing would make its softmax NaN.
        own = torch.eye(P * S, dtype=torch.bool, device=device)
        mask[:, 0, T:, past + T :] &= _visible(groups).view(B, 1, P * S) | own
    return mask


def _prefix(
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


def _visible(groups: Sequence[SlotGroup]) -> Bool[Tensor, "batch predictions slots"]:
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
