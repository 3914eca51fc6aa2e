"""Wrapper of any encoder-decoder of ``transformers``: it encodes the history, then decodes answers.

Shape suffixes: B rows, T tokens of the context, S slots, D width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from palate.models.attention_layout import (
    Instruction,
    Rows,
    SlotGroup,
    seen_tokens,
    visible_slots,
)
from palate.models.backbones.pretrained import PretrainedBackbone, additive
from palate.models.outputs import Prefix
from palate.models.t5_decoding import T5Beams

_LIKE_T5 = ("t5", "mt5")


class EncoderDecoderBackbone(PretrainedBackbone):
    """An encoder-decoder that takes embeddings of a context, and of slots that attend to it.

    Each prediction's prompt is encoded as a row of its own: an encoder lets every token see every
    other, so that a prefix cannot share the states of a longer one.
    """

    reads_candidates_in_place = False

    @property
    def decoder(self) -> nn.Module:
        """The decoder."""
        return cast(nn.Module, self.model.get_decoder())  # type: ignore[no-untyped-call]

    @property
    def start_token(self) -> int:
        """The token before the first word of an answer."""
        config = self.model.config
        return int(
            config.pad_token_id
            if config.decoder_start_token_id is None
            else config.decoder_start_token_id
        )

    def word_logits(self, hidden: Float[Tensor, "*any width"]) -> Float[Tensor, "*any vocabulary"]:
        """Return the logit of every word after each slot, by the model's own head."""
        # A T5 whose head is its table of embeddings divides by the root of the width.
        scaled = getattr(self.model.config, "scale_decoder_outputs", False)
        logits = super().word_logits(hidden * self.width**-0.5 if scaled else hidden)
        bias: Tensor | None = getattr(self.model, "final_logits_bias", None)  # BART
        return logits if bias is None else logits + bias[0].to(hidden.dtype)

    def forward(
        self,
        x_context: Float[Tensor, "rows time width"],
        visible: Bool[Tensor, "rows time"],
        x_slots: Float[Tensor, "rows slots width"],
        slot_mask: Bool[Tensor, "#rows 1 slots slots"] | None = None,
    ) -> Float[Tensor, "rows slots width"]:
        """Return the normalised hidden states of the slots.

        Args:
            x_context: embeddings of the context.
            visible: False where a token of the context is padding or hidden.
            x_slots: embeddings of the slots; their positions count from 0.
            slot_mask: True where a slot (second to last axis) may attend to a slot (last axis);
                None means causal.
        """
        return self.answer(self.encode(x_context, visible), visible, x_slots, slot_mask)

    def encode(
        self, x_context: Float[Tensor, "rows time width"], visible: Bool[Tensor, "rows time"]
    ) -> Float[Tensor, "rows time width"]:
        """Return the states of the context; :meth:`answer` takes them any number of times."""
        inputs = self._scaled(x_context)
        read = self.model.get_encoder()(inputs_embeds=inputs, attention_mask=visible)
        states: Tensor = read.last_hidden_state
        return states

    def answer(
        self,
        states: Float[Tensor, "rows time width"],
        visible: Bool[Tensor, "rows time"],
        x_slots: Float[Tensor, "rows slots width"],
        slot_mask: Bool[Tensor, "#rows 1 slots slots"] | None = None,
    ) -> Float[Tensor, "rows slots width"]:
        """Return the hidden states of slots that attend to an encoded context."""
        S, dtype = x_slots.shape[1], self.words.dtype
        if slot_mask is None:
            slot_mask = torch.ones(1, 1, S, S, dtype=torch.bool, device=x_slots.device).tril()
        read = self.decoder(
            inputs_embeds=self._scaled(x_slots),
            attention_mask=additive(slot_mask, dtype),
            encoder_hidden_states=states,
            encoder_attention_mask=visible,
            use_cache=False,
        )
        hidden: Tensor = read.last_hidden_state
        return hidden.to(x_slots.dtype)

    def read_instruction(self, x: Float[Tensor, "1 words width"]) -> Instruction:
        """Keep the instruction: it is encoded with each row."""
        return Instruction(x, [])

    def read_slots(
        self, rows: Rows, groups: Sequence[SlotGroup]
    ) -> Float[Tensor, "answered slots width"]:
        """Return the states of the slots; the prefix of each prediction is encoded as its own row.

        The states at its candidates are zeros.
        """
        row, prediction = (rows.prefix_lengths >= 0).nonzero(as_tuple=True)
        hidden: list[Tensor] = []
        history: Encoded | None = None
        for group in groups:
            if group.candidates:
                read = Encoded.of(self, rows, group)
            else:
                history = history or Encoded.of(self, rows)
                read = history
            # Padding stands only on the right, where no real slot sees it through a causal mask.
            slots = group.x[row, prediction, group.candidates :]
            answered = self.answer(read.states, read.visible, slots)
            hidden.append(F.pad(answered, (0, 0, group.candidates, 0)))
        return torch.cat(hidden, dim=1)

    def read_last(self, rows: Rows) -> Float[Tensor, "answered 1 width"]:
        """Return the encoder's state of the last token that each prediction sees."""
        read = Encoded.of(self, rows)
        last = (read.visible.sum(dim=1) - 1).clamp(min=0)
        return read.states[torch.arange(len(last), device=last.device), last][:, None]

    def read_rows(
        self, x_BTD: Float[Tensor, "batch time width"], instruction: Instruction | None
    ) -> Float[Tensor, "batch time width"]:
        """Return the state of every token of the rows, each with all tokens of its row."""
        (B, T, _), x = x_BTD.shape, x_BTD
        if instruction is not None:
            x = torch.cat([instruction.x.expand(B, -1, -1), x], dim=1)
        return self.encode(x, x.new_ones(x.shape[:2], dtype=torch.bool))[:, -T:]

    def read_prefix(
        self, rows: Rows, candidates: SlotGroup, start_BD: Float[Tensor, "batch width"]
    ) -> Prefix:
        """Encode rows of one prediction each with their candidates."""
        read = Encoded.of(self, rows, candidates)
        first = torch.zeros_like(rows.prefix_lengths[:, 0])
        return Prefix([], read.visible, first, start_BD, read.states)

    def continue_from(self, prefix: Prefix) -> "ScaledT5Beams | AnswerBeams":
        """Return the decoding state after the prompts of ``prefix``."""
        assert prefix.states is not None
        kind = ScaledT5Beams if self.model.config.model_type in _LIKE_T5 else AnswerBeams
        return kind(self, prefix.states, prefix.visible)

    def _scaled(self, x: Float[Tensor, "rows any width"]) -> Float[Tensor, "rows any width"]:
        return (x * self.embedding_scale).to(self.words.dtype)


@dataclass(frozen=True)
class Encoded:
    """Encoded prompts, one row per prediction."""

    states: Float[Tensor, "answered time width"]
    visible: Bool[Tensor, "answered time"]

    @classmethod
    def of(
        cls,
        backbone: EncoderDecoderBackbone,
        rows: Rows,
        group: SlotGroup | None = None,
    ) -> "Encoded":
        """Encode the instruction, each prediction's prefix, and the candidates of ``group``."""
        row, prediction = (rows.prefix_lengths >= 0).nonzero(as_tuple=True)
        x, visible = rows.x[row], seen_tokens(rows.prefix_lengths, rows.x.shape[1])[row, prediction]
        if group is not None:
            own = slice(group.candidates)
            x = torch.cat([x, group.x[row, prediction, own]], dim=1)
            there = visible_slots([group])[row, prediction, own]
            visible = torch.cat([visible, there], dim=1)
        x, visible = _packed(x, visible)
        if rows.instruction is not None:
            before = rows.instruction.x
            x = torch.cat([before.expand(len(row), -1, -1), x], dim=1)
            visible = F.pad(visible, (before.shape[1], 0), value=True)
        return cls(backbone.encode(x, visible), visible)


def _packed(
    x: Float[Tensor, "rows time width"], visible: Bool[Tensor, "rows time"]
) -> tuple[Float[Tensor, "rows most width"], Bool[Tensor, "rows most"]]:
    """Move visible tokens to the left: an encoder's relative positions count padding too."""
    most = int(visible.sum(dim=1).max())
    order = visible.int().argsort(dim=1, descending=True, stable=True)[:, : max(most, 1)]
    return x.gather(1, order[..., None].expand(-1, -1, x.shape[2])), visible.gather(1, order)


class ScaledT5Beams:
    """Beams of a T5 or an mT5 whose inputs are scaled as :class:`EncoderDecoderBackbone` says."""

    def __init__(
        self,
        backbone: EncoderDecoderBackbone,
        states: Float[Tensor, "users time width"],
        visible: Bool[Tensor, "users time"],
    ) -> None:
        """Start after prompts that were encoded to ``states``."""
        self.embedding_scale, self.dtype = backbone.embedding_scale, states.dtype
        self.beams = T5Beams(backbone.decoder, states, visible)

    def step(
        self, x: Float[Tensor, "users beams width"], parents: Int[Tensor, "users beams"]
    ) -> Float[Tensor, "users beams width"]:
        """Return the hidden state after one more token per beam (see :class:`Beams`)."""
        return self.beams.step((x * self.embedding_scale).to(self.dtype), parents).to(x.dtype)


class AnswerBeams:
    """Beams of any encoder-decoder: the prompt is encoded once, answers are re-read each step."""

    def __init__(
        self,
        backbone: EncoderDecoderBackbone,
        states: Float[Tensor, "users time width"],
        visible: Bool[Tensor, "users time"],
    ) -> None:
        """Start after prompts that were encoded to ``states``."""
        self.backbone, self.states, self.visible = backbone, states, visible
        self.read_UKLD: Tensor | None = None

    def step(
        self, x: Float[Tensor, "users beams width"], parents: Int[Tensor, "users beams"]
    ) -> Float[Tensor, "users beams width"]:
        """Return the hidden state after one more token per beam (see :class:`Beams`)."""
        read = x[:, :, None]
        if self.read_UKLD is not None:
            wanted = parents[..., None, None].expand(-1, -1, *self.read_UKLD.shape[2:])
            read = torch.cat([self.read_UKLD.gather(1, wanted), read], dim=2)
        self.read_UKLD = read
        beams = parents.shape[1]
        hidden: Tensor = self.backbone.answer(
            self.states.repeat_interleave(beams, dim=0),
            self.visible.repeat_interleave(beams, dim=0),
            read.flatten(0, 1),
        )
        return hidden[:, -1].view(*parents.shape, -1)
