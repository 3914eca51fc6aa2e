"""What every backbone does: it reads the rows of a batch, and goes on from them token by token.

The compact decoder, causal models of ``transformers`` and encoder-decoders differ in how they read,
and in what they keep while an answer is generated. The model above them asks for states only.

Shape suffixes: B rows, T tokens of a row, P predictions of a row, D width.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from palate.models.attention_layout import (
    Instruction,
    KeyValue,
    Rows,
    SlotGroup,
    causal_mask,
    joined,
    past_length,
    stream_mask,
)
from palate.models.outputs import Prefix


@runtime_checkable
class WordTable(Protocol):
    """Word embeddings with the head that predicts words."""

    @property
    def num_words(self) -> int:
        """Size of the vocabulary."""
        ...

    def embed(self, tokens: Int[Tensor, "*any"]) -> Float[Tensor, "*any width"]:
        """Return the input embeddings of words."""
        ...

    def word_logits(self, hidden: Float[Tensor, "*any width"]) -> Float[Tensor, "*any vocabulary"]:
        """Return the logit of every word after each state."""
        ...


@runtime_checkable
class Beams(Protocol):
    """The beams of some users; mutable, since it caches the tokens of each beam."""

    def step(
        self, x: Float[Tensor, "users beams width"], parents: Int[Tensor, "users beams"]
    ) -> Float[Tensor, "users beams width"]:
        """Return the hidden state after one more token per beam.

        Args:
            x: embeddings of the tokens.
            parents: beam of the previous step that each beam extends; the first step has only one.
        """
        ...


class Backbone(nn.Module, ABC):
    """A network from input embeddings to hidden states; a module, since its weights are trained."""

    reads_candidates_in_place = True
    """Whether it returns states at candidate items; an encoder reads them with the prompt, and an
    answer can then not copy their words."""

    @property
    @abstractmethod
    def width(self) -> int:
        """Width of a token."""

    @property
    def start_token(self) -> int | None:
        """The token before every answer, of a model whose answers do not continue the prompt."""
        return None

    @property
    def word_table(self) -> WordTable | None:
        """The words it was pre-trained with; None where the model above it has its own."""
        return None

    @property
    def inner(self) -> nn.Module:
        """The module whose layers are tuned."""
        return self

    @abstractmethod
    def read_instruction(self, x: Float[Tensor, "1 words width"]) -> Instruction:
        """Read the instruction, which stands before every row of a batch, once for all rows."""

    @abstractmethod
    def read_slots(
        self, rows: Rows, groups: Sequence[SlotGroup]
    ) -> Float[Tensor, "answered slots width"]:
        """Return the states of the slots of all predictions, padding predictions left out."""

    @abstractmethod
    def read_last(self, rows: Rows) -> Float[Tensor, "answered 1 width"]:
        """Return the state of the last token that each prediction sees."""

    @abstractmethod
    def read_rows(
        self, x_BTD: Float[Tensor, "batch time width"], instruction: Instruction | None
    ) -> Float[Tensor, "batch time width"]:
        """Return the state of every token of the rows."""

    @abstractmethod
    def read_prefix(
        self, rows: Rows, candidates: SlotGroup, start_BD: Float[Tensor, "batch width"]
    ) -> Prefix:
        """Read rows of one prediction each and their candidates, ready for :meth:`continue_from`.

        Args:
            rows: the prompts.
            candidates: their candidate items.
            start_BD: embedding that each answer starts from.
        """

    @abstractmethod
    def continue_from(self, prefix: Prefix) -> Beams:
        """Return the decoding state after the prompts of ``prefix``."""

    def save_architecture(self, folder: Path) -> None:
        """Write the settings of a pre-trained model; the compact decoder has them in its recipe."""


class CausalReader(Backbone):
    """A backbone in which tokens see earlier tokens: rows and slots are one sequence.

    A row is read once for all its predictions (see :mod:`palate.models.attention_layout`).
    """

    @abstractmethod
    def forward(
        self,
        x: Float[Tensor, "batch time width"],
        positions: Int[Tensor, "#batch time"],
        *,
        mask: Tensor | None = None,
        past: list[KeyValue] | None = None,
        answer_from: int = 0,
    ) -> tuple[Float[Tensor, "batch query width"], list[KeyValue]]:
        """Return the normalised hidden states, and every layer's keys and values of ``x``.

        Args:
            x: embeddings of the tokens.
            positions: position of each token.
            mask: True where a token (second to last axis) may attend to a key (last axis: ``past``
                first, then the tokens themselves); None means causal, without ``past``.
            past: keys and values of a prefix, of batch size 1 where all rows share it.
            answer_from: first token whose hidden state is returned.
        """

    def read_instruction(self, x: Float[Tensor, "1 words width"]) -> Instruction:
        """Read the instruction and keep its keys and values."""
        positions = torch.arange(x.shape[1], device=x.device)[None]
        return Instruction(x, self(x, positions, answer_from=x.shape[1] - 1)[1])

    def read_slots(
        self, rows: Rows, groups: Sequence[SlotGroup]
    ) -> Float[Tensor, "answered slots width"]:
        """Return the states of the slots of all predictions, padding predictions left out."""
        (B, T, D), P = rows.x.shape, rows.prefix_lengths.shape[1]
        past = past_length(rows.instruction)
        slots = torch.cat([group.x for group in groups], dim=2).view(B, -1, D)
        steps = torch.cat([group.steps.expand(B, P, -1) for group in groups], dim=2)
        # The slots of every prediction count on from the end of its own prefix, wherever they lie
        # in the sequence: rotary positions are as if the rest of the row were not there.
        slot_positions = (rows.prefix_lengths.clamp(min=0)[:, :, None] + steps).reshape(B, -1)
        row_positions = torch.arange(T, device=rows.x.device).expand(B, T)
        positions = torch.cat([row_positions, slot_positions], dim=1) + past
        hidden: Tensor = self(
            torch.cat([rows.x, slots], dim=1),
            positions,
            mask=_mask(rows, groups),
            past=rows.past,
            answer_from=T,
        )[0]
        return hidden.view(B, P, -1, D)[rows.prefix_lengths >= 0]

    def read_last(self, rows: Rows) -> Float[Tensor, "answered 1 width"]:
        """Return the state of the last token that each prediction sees."""
        hidden = self.read_rows(rows.x, rows.instruction)
        row, prediction = (rows.prefix_lengths >= 0).nonzero(as_tuple=True)
        return hidden[row, (rows.prefix_lengths[row, prediction] - 1).clamp(min=0)][:, None]

    def read_rows(
        self, x_BTD: Float[Tensor, "batch time width"], instruction: Instruction | None
    ) -> Float[Tensor, "batch time width"]:
        """Return the state of every token of the rows, each with the tokens before it."""
        T, past = x_BTD.shape[1], past_length(instruction)
        positions = torch.arange(T, device=x_BTD.device)[None]
        mask = causal_mask(T, past, x_BTD.device) if past else None
        before = instruction.past if instruction else None
        hidden: Tensor = self(x_BTD, positions + past, mask=mask, past=before)[0]
        return hidden

    def read_prefix(
        self, rows: Rows, candidates: SlotGroup, start_BD: Float[Tensor, "batch width"]
    ) -> Prefix:
        """Read rows of one prediction each and their candidates, and keep keys and values."""
        B, T, _ = rows.x.shape
        past, lengths = past_length(rows.instruction), rows.prefix_lengths[:, 0]
        row_positions = torch.arange(T, device=rows.x.device).expand(B, T)
        steps = lengths[:, None] + candidates.steps[:, 0].expand(B, -1)
        # Plain causal rows need no mask, and attention is fastest without one.
        needs_mask = past or candidates.size or rows.both_ways
        hidden, own = self(
            torch.cat([rows.x, candidates.x[:, 0]], dim=1),
            torch.cat([row_positions, steps], dim=1) + past,
            mask=_mask(rows, [candidates]) if needs_mask else None,
            past=rows.past,
            answer_from=T if candidates.size else max(T - 1, 0),
        )
        seen = row_positions < lengths[:, None]
        there = seen.new_ones(B, 0) if candidates.visible is None else candidates.visible[:, 0]
        if rows.past is not None:
            own = [joined(*both, B) for both in zip(rows.past, own, strict=True)]
        # Whatever they were computed in: answers go on from them in the precision of the weights.
        dtype = next(self.parameters()).dtype
        return Prefix(
            past=[(keys.to(dtype), values.to(dtype)) for keys, values in own],
            visible=F.pad(torch.cat([seen, there], dim=1), (past, 0), value=True),
            positions=lengths + there.sum(dim=1) + past,
            context_state=start_BD,
            candidates=hidden[:, -candidates.size :] if candidates.size else None,
        )


def _mask(rows: Rows, groups: Sequence[SlotGroup]) -> Bool[Tensor, "batch 1 query key"]:
    past = past_length(rows.instruction)
    return stream_mask(rows.prefix_lengths, rows.x.shape[1], groups, past, both_ways=rows.both_ways)
