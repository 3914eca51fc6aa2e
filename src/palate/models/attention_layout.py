"""Who sees whom while a batch is read: the stream first, then the slots of its predictions.

Shape suffixes: B rows, T tokens of a row, P predictions of a row, S slots of a prediction, D width.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - the name everyone uses
from jaxtyping import Bool, Float, Int
from torch import Tensor

from palate.language.batch import CandidateItems
from palate.models.backbones.causal import CausalBackbone
from palate.models.backbones.encoder_decoder import EncoderDecoderBackbone
from palate.models.decoder import Decoder, KeyValue
from palate.models.outputs import Prefix

Backbone = Decoder | CausalBackbone | EncoderDecoderBackbone
"""What reads: our own decoder, or a pre-trained model."""


@dataclass(frozen=True)
class Instruction:
    """What all rows of a batch read first."""

    x: Float[Tensor, "1 words width"]
    past: list[KeyValue]
    """Keys and values of it, read once; an encoder-decoder has none, and reads it in each row."""

    @classmethod
    def read_by(cls, backbone: Backbone, x: Float[Tensor, "1 words width"]) -> "Instruction":
        """Read the embeddings ``x``."""
        if isinstance(backbone, EncoderDecoderBackbone):
            return cls(x, [])
        positions = torch.arange(x.shape[1], device=x.device)[None]
        return cls(x, backbone(x, positions, answer_from=x.shape[1] - 1)[1])


@dataclass(frozen=True)
class SlotGroup:
    """Slots of every prediction that see their prefix and each other, and none of another group."""

    x: Float[Tensor, "batch predictions slots width"]
    visible: Bool[Tensor, "batch predictions slots"] | None = None
    """False where a slot is padding: no other slot sees it, and no position is counted for it."""
    places: Int[Tensor, "batch predictions slots"] | None = None
    """Places after its prediction's prefix where the slots do not follow one another; below 0
    before its end."""
    candidates: int = 0
    """How many of the first slots end the prompt and are not answered; an encoder reads them."""

    @property
    def size(self) -> int:
        """Slots of a prediction."""
        return self.x.shape[2]

    @property
    def steps(self) -> Int[Tensor, "#batch #predictions slots"]:
        """Place of each slot after its prediction's prefix, padding left out."""
        if self.places is not None:
            return self.places
        if self.visible is None:
            return torch.arange(self.size, device=self.x.device)[None, None]
        return (self.visible.long().cumsum(dim=2) - 1).clamp(min=0)

    def last(
        self, otherwise: Float[Tensor, "batch predictions width"]
    ) -> Float[Tensor, "batch predictions width"]:
        """Return each prediction's last slot that is no padding, ``otherwise`` where none is."""
        if self.visible is None or not self.size:
            return otherwise
        counts = self.visible.sum(dim=2)
        place = (counts - 1).clamp(min=0)[:, :, None, None].expand(-1, -1, 1, otherwise.shape[2])
        return torch.where(counts[..., None] > 0, self.x.gather(2, place)[:, :, 0], otherwise)


def followed(
    x_BTD: Float[Tensor, "batch time width"],  # noqa: N803 - shape suffix
    prefix_lengths_BP: Int[Tensor, "batch predictions"],  # noqa: N803
    span: int,
) -> Float[Tensor, "batch predictions width"]:
    """Return the sum of the last ``span`` tokens of its row that each prediction sees."""
    found = x_BTD.new_zeros(*prefix_lengths_BP.shape, x_BTD.shape[2])
    for back in range(1, span + 1):
        place = (prefix_lengths_BP - back).clamp(min=0)[..., None].expand(-1, -1, x_BTD.shape[2])
        found = found + x_BTD.gather(1, place) * (prefix_lengths_BP >= back)[..., None]
    return found


def answered_from(
    candidates: CandidateItems | None,
    read: SlotGroup | None,
    carried_BPD: Float[Tensor, "batch predictions width"],  # noqa: N803
) -> Float[Tensor, "batch predictions width"]:
    """Return what an answer in words starts from: the item asked about, else the last event.

    Of several items none is meant before the answer says which.

    Args:
        candidates: items that the predictions ask about.
        read: what is read of them.
        carried_BPD: the last event of each prediction.
    """
    if candidates is None or read is None:
        return carried_BPD
    several = candidates.num_items > 1
    return torch.where(several[..., None], carried_BPD, read.last(carried_BPD))


def read_slots(
    backbone: Backbone,
    x_BTD: Float[Tensor, "batch time width"],  # noqa: N803
    prefix_lengths_BP: Int[Tensor, "batch predictions"],  # noqa: N803
    groups: Sequence[SlotGroup],
    instruction: Instruction | None,
    *,
    both_ways: bool = False,
) -> Float[Tensor, "answered slots width"]:
    """Read the slots of all predictions, each after its prefix of its row, without padding.

    A decoder reads them in one sequence with the rows, so that a row is read once for all its
    predictions. An encoder reads the prefix of each prediction as a row of its own; nothing comes
    back from the places asked about.

    Args:
        backbone: what reads.
        x_BTD: embeddings of the rows.
        prefix_lengths_BP: how many tokens of its row each prediction sees; -1 where there is no
            prediction.
        groups: slots of the predictions.
        instruction: what all rows share, where they share anything.
        both_ways: whether the tokens of a row see those after them too; an encoder always does.
    """
    if isinstance(backbone, EncoderDecoderBackbone):
        return _from_encoded(backbone, x_BTD, prefix_lengths_BP, groups, instruction)
    B, T, D = x_BTD.shape
    P, past = prefix_lengths_BP.shape[1], past_length(instruction)
    slots = torch.cat([group.x for group in groups], dim=2).view(B, -1, D)
    steps = torch.cat([group.steps.expand(B, P, -1) for group in groups], dim=2)
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
    x_BTD: Float[Tensor, "batch time width"],  # noqa: N803
    prefix_lengths_BP: Int[Tensor, "batch predictions"],  # noqa: N803
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
        # Padding stands on the right alone, where no slot that counts can see it.
        slots = group.x[rows, predictions, group.candidates :]
        answered = backbone.answer(read.states, read.visible, slots)
        hidden.append(F.pad(answered, (0, 0, group.candidates, 0)))
    return torch.cat(hidden, dim=1)


@dataclass(frozen=True)
class Encoded:
    """Prompts as an encoder left them, one row per prediction."""

    states: Float[Tensor, "answered time width"]
    visible: Bool[Tensor, "answered time"]

    @classmethod
    def of(
        cls,
        backbone: EncoderDecoderBackbone,
        x_BTD: Float[Tensor, "batch time width"],  # noqa: N803
        prefix_lengths_BP: Int[Tensor, "batch predictions"],  # noqa: N803
        instruction: Instruction | None,
        group: SlotGroup | None = None,
    ) -> "Encoded":
        """Read the instruction, each prediction's prefix, and the candidates of ``group``."""
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
    """Move what is visible to the left: an encoder counts distances over padding too."""
    most = int(visible.sum(dim=1).max())
    order = visible.int().argsort(dim=1, descending=True, stable=True)[:, : max(most, 1)]
    return x.gather(1, order[..., None].expand(-1, -1, x.shape[2])), visible.gather(1, order)


def read_in_place(
    backbone: Backbone,
    x_BTD: Float[Tensor, "batch time width"],  # noqa: N803
    prefix_lengths_BP: Int[Tensor, "batch predictions"],  # noqa: N803
    instruction: Instruction | None,
) -> Float[Tensor, "answered 1 width"]:
    """Return the state of the last token that each prediction sees."""
    assert not isinstance(backbone, EncoderDecoderBackbone), "an encoder-decoder needs slots"
    hidden = read_rows(backbone, x_BTD, instruction)
    rows, predictions = (prefix_lengths_BP >= 0).nonzero(as_tuple=True)
    return hidden[rows, (prefix_lengths_BP[rows, predictions] - 1).clamp(min=0)][:, None]


def read_rows(
    backbone: Backbone,
    x_BTD: Float[Tensor, "batch time width"],  # noqa: N803
    instruction: Instruction | None,
) -> Float[Tensor, "batch time width"]:
    """Return the state of every token of the rows, of which each sees those before it."""
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


def read_prefix(  # noqa: PLR0913 - the rows, what is asked of them, and how they are read
    backbone: Backbone,
    x_BTD: Float[Tensor, "batch time width"],  # noqa: N803
    prefix_lengths_B1: Int[Tensor, "batch 1"],  # noqa: N803
    candidates: SlotGroup,
    carried_B1D: Float[Tensor, "batch 1 width"],  # noqa: N803
    instruction: Instruction | None,
    *,
    both_ways: bool,
) -> Prefix:
    """Read rows of one prediction each and their ``candidates``, so that answers can follow."""
    B, T, _ = x_BTD.shape
    past, prefix_lengths, carried = (
        past_length(instruction),
        prefix_lengths_B1[:, 0],
        carried_B1D[:, 0],
    )
    if isinstance(backbone, EncoderDecoderBackbone):
        read = Encoded.of(backbone, x_BTD, prefix_lengths_B1, instruction, candidates)
        return Prefix([], read.visible, torch.zeros_like(prefix_lengths), carried, read.states)
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
        carried=carried,
        candidates=hidden[:, -candidates.size :] if candidates.size else None,
    )


def stream_mask(
    prefix_lengths_BP: Int[Tensor, "batch predictions"],  # noqa: N803
    num_tokens: int,
    groups: Sequence[SlotGroup],
    past: int,
    *,
    both_ways: bool = False,
) -> Bool[Tensor, "batch 1 query key"]:
    """Say who sees whom.

    Tokens see earlier tokens, or all of their row where it is read ``both_ways``; a slot sees its
    prediction's prefix, and of its group itself and the earlier slots that are no padding. Rows of
    the result are the tokens of the stream and then the slots; columns are the instruction, the
    tokens of the stream, the slots.
    """
    B, P = prefix_lengths_BP.shape
    T, S, device = num_tokens, sum(group.size for group in groups), prefix_lengths_BP.device
    mask = torch.zeros(B, 1, T + P * S, past + T + P * S, dtype=torch.bool, device=device)
    mask[..., :past] = True
    mask[:, :, :T, past : past + T] = torch.ones(T, T, dtype=torch.bool, device=device).tril()
    if both_ways:
        whole = prefix_lengths_BP.amax(dim=1, keepdim=True)
        assert bool(((prefix_lengths_BP == whole) | (prefix_lengths_BP < 0)).all()), (
            "a prediction must see its whole row"
        )
        mask[:, :, :T, past : past + T] |= _prefix(whole, T)[:, None]
    mask[:, 0, T:, past : past + T] = _prefix(prefix_lengths_BP, T).repeat_interleave(S, dim=1)
    mask[:, 0, T:, past + T :] = torch.block_diag(*[_earlier(groups)] * P)
    if any(group.visible is not None for group in groups):
        own = torch.eye(P * S, dtype=torch.bool, device=device)
        mask[:, 0, T:, past + T :] &= _visible(groups).view(B, 1, P * S) | own
    return mask


def _prefix(
    prefix_lengths_BP: Int[Tensor, "batch predictions"],  # noqa: N803
    num_tokens: int,
) -> Bool[Tensor, "batch predictions time"]:
    """Mark the tokens of its row that each prediction sees."""
    return torch.arange(num_tokens, device=prefix_lengths_BP.device) < prefix_lengths_BP[:, :, None]


def _earlier(groups: Sequence[SlotGroup]) -> Bool[Tensor, "slots slots"]:
    """Mark the slots of its group that each slot comes after, and itself."""
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
    """Tokens see all that is past and the tokens before them."""
    seen = torch.ones(num_tokens, past + num_tokens, dtype=torch.bool, device=device)
    return seen.tril(past)[None, None]


def past_length(instruction: Instruction | None) -> int:
    """Return how many tokens all rows share as their past."""
    return instruction.past[0][0].shape[2] if instruction and instruction.past else 0


def joined(before: KeyValue, after: KeyValue, rows: int) -> KeyValue:
    """Return keys and values of the instruction, which all rows share, and of each row."""
    keys, values = (
        torch.cat([shared.expand(rows, -1, -1, -1), own], dim=2)
        for shared, own in zip(before, after, strict=True)
    )
    return keys, values
