"""Wrapper that gives any causal model of ``transformers`` the interface of our decoder.

Shape suffixes: B batch, T tokens, D width.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from palate.models.attention_layout import KeyValue
from palate.models.backbone import CausalReader
from palate.models.backbones.pretrained import PretrainedBackbone, additive
from palate.models.outputs import Prefix


class CausalBackbone(CausalReader, PretrainedBackbone):
    """A causal model that takes embeddings, as :class:`palate.models.decoder.Decoder` does."""

    def forward(
        self,
        x: Float[Tensor, "batch time width"],
        positions: Int[Tensor, "#batch time"],
        *,
        mask: Bool[Tensor, "#batch 1 time key"] | None = None,
        past: list[KeyValue] | None = None,
        answer_from: int = 0,
    ) -> tuple[Float[Tensor, "batch query width"], list[KeyValue]]:
        """Return hidden states, keys and values (see :class:`CausalReader`)."""
        # Imported late, so that the compact model does not wait for `transformers`.
        from palate.models.backbones.past import cache_after, own_of

        assert mask is not None or not past, "a past needs a mask"
        dtype = self.words.dtype
        cache = cache_after(past, self.num_layers)
        read = self.model.base_model(
            inputs_embeds=(x * self.embedding_scale).to(dtype),
            position_ids=positions,
            attention_mask=None if mask is None else additive(mask, dtype),
            past_key_values=cache,
            use_cache=True,
        )
        hidden: Tensor = read.last_hidden_state[:, answer_from:]
        return hidden.to(x.dtype), own_of(cache)

    def continue_from(self, prefix: Prefix) -> "CausalBeams":
        """Return the decoding state after the prompts of ``prefix``."""
        return CausalBeams(self, prefix.past, prefix.visible, prefix.positions)


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
        """Return the hidden state after one more token per beam (see :class:`Beams`)."""
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


def _longer(before: KeyValue, after: KeyValue) -> KeyValue:
    keys, values = (torch.cat(both, dim=2) for both in zip(before, after, strict=True))
    return keys, values
