"""Decoding with a key-value cache: the beams of a user share one prompt, which is read only once.

Shape suffixes: U users, K beams, L tokens so far, D width.
"""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from palate.models.attention_layout import Backbone
from palate.models.backbones.causal import CausalBackbone
from palate.models.backbones.encoder_decoder import EncoderDecoderBackbone
from palate.models.code_decoding import BeamCache
from palate.models.decoder import KeyValue
from palate.models.outputs import Prefix
from palate.models.t5_decoding import T5Beams

_LIKE_T5 = ("t5", "mt5")


@runtime_checkable
class Continuation(Protocol):
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


def read_on(backbone: Backbone, prefix: Prefix) -> Continuation:
    """Return the decoding state that continues the prompts of ``prefix``."""
    if isinstance(backbone, CausalBackbone):
        return CausalBeams(backbone, prefix.past, prefix.visible, prefix.positions)
    if isinstance(backbone, EncoderDecoderBackbone):
        assert prefix.states is not None
        if backbone.model.config.model_type in _LIKE_T5:
            return ScaledT5Beams(backbone, prefix.states, prefix.visible)
        return AnswerBeams(backbone, prefix.states, prefix.visible)
    return BeamCache(backbone, prefix.past, prefix.visible, prefix.positions)


class CausalBeams:
    """Beams as tokens of one row of a causal model of ``transformers``.

    All beams of a user lie in one row of the batch, so that the prompt's keys and values are stored
    once per user. With L tokens so far and K beams the cache of a user is::

        prompt | token 1 of beams 1..K | ... | token L of beams 1..K | the K new tokens

    The mask lets a beam see the prompt and, in each later block, only its own column. When the
    search picks new beams, only the blocks after the prompt are reordered.
    """

    def __init__(
        self,
        backbone: CausalBackbone,
        past: list[KeyValue],
        visible: Bool[Tensor, "users time"],
        positions: Int[Tensor, " users"],
    ) -> None:
        """Start after the prompts.

        Args:
            backbone: the model that read the prompts.
            past: keys and values of the prompts, a pair per layer.
            visible: False where a token of a prompt is padding.
            positions: position of each user's next token.
        """
        self.backbone = backbone
        self.past = past
        self.visible = visible
        self.positions = positions
        self.length = 0

    def step(
        self, x: Float[Tensor, "users beams width"], parents: Int[Tensor, "users beams"]
    ) -> Float[Tensor, "users beams width"]:
        """Return the hidden state after one more token per beam (see :class:`Continuation`)."""
        users, beams = parents.shape
        past = [(self._following(k, parents), self._following(v, parents)) for k, v in self.past]
        # One identity matrix per block: beam k sees column k of each, the new tokens included.
        alone = torch.eye(beams, dtype=torch.bool, device=x.device).repeat(1, self.length + 1)
        prompt = self.visible[:, None, None].expand(-1, 1, beams, -1)
        hidden, own = self.backbone(
            x,
            self.positions[:, None].expand(-1, beams),
            mask=torch.cat([prompt, alone.expand(users, 1, -1, -1)], dim=3),
            past=past,
        )
        self.past = [_longer(before, after) for before, after in zip(past, own, strict=True)]
        self.positions = self.positions + 1
        self.length += 1
        states: Tensor = hidden
        return states

    def _following(
        self, kept: Float[Tensor, "users heads past head"], parents: Int[Tensor, "users beams"]
    ) -> Float[Tensor, "users heads following head"]:
        """Return the prompt's part unchanged, and for each new beam the part of its parent."""
        if not self.length:
            return kept
        time = self.visible.shape[1]
        own = kept[:, :, time:].unflatten(2, (self.length, -1))
        users, heads, length, _, width = own.shape
        wanted = parents[:, None, None, :, None].expand(users, heads, length, -1, width)
        return torch.cat([kept[:, :, :time], own.gather(3, wanted).flatten(2, 3)], dim=2)


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
        """Return the hidden state after one more token per beam (see :class:`Continuation`)."""
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
        """Return the hidden state after one more token per beam (see :class:`Continuation`)."""
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


def _longer(before: KeyValue, after: KeyValue) -> KeyValue:
    keys, values = (torch.cat(both, dim=2) for both in zip(before, after, strict=True))
    return keys, values
