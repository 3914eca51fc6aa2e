"""Decoding of item codes with T5 of ``transformers``: its weights, one encoding for all beams.

``generate`` projects the encoder's output to keys and values once per beam, and copies them
whenever beams are chosen anew. Here that is done once per user, and never copied.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from palate.models.attention_layout import KeyValue
from palate.models.code_decoding import OwnCodes, hiding

if TYPE_CHECKING:
    from transformers.models.t5.modeling_t5 import T5Attention


class T5Beams:
    """What the beams of some users have said so far, and how T5's decoder reads on.

    Mutable, as :class:`palate.models.code_decoding.BeamCache` is.
    """

    def __init__(
        self,
        decoder: nn.Module,
        states: Float[Tensor, "users time width"],
        visible: Bool[Tensor, "users time"],
    ) -> None:
        """Start after what was encoded.

        Args:
            decoder: of a T5 or an mT5.
            states: of the encoder.
            visible: False where a token of the context is padding.
        """
        blocks = cast(nn.ModuleList, decoder.get_submodule("block"))
        self.layers = [_Layer.of(block) for block in blocks]
        self.norm = decoder.get_submodule("final_layer_norm")
        self.shared = [_shared(layer.cross, states) for layer in self.layers]
        self.own = OwnCodes(self.shared)
        self.bias = hiding(visible)

    def step(
        self, x: Float[Tensor, "users beams width"], parents: Int[Tensor, "users beams"]
    ) -> Float[Tensor, "users beams width"]:
        """Return the hidden state after one more token per beam.

        Args:
            x: embeddings of the tokens, as the decoder reads them.
            parents: which beam of the step before each of them extends.
        """
        position = self.own.length
        # Only the first layer has the table of relative positions; the others use its bias too.
        distances: Tensor = self.layers[0].attention.compute_bias(  # type: ignore[no-untyped-call]
            1, position + 1, past_seen_tokens=position
        )
        self.own.follow(parents)
        for depth, layer in enumerate(self.layers):
            own, cross = layer.attention, layer.cross
            q, k, v = _heads(layer.attention_norm(x), own, own.q, own.k, own.v)
            x = x + _joined(attend_own(q, *self.own.put(depth, k, v), distances), own)
            (q,) = _heads(layer.cross_norm(x), cross, cross.q)
            keys, values = self.shared[depth]
            y = F.scaled_dot_product_attention(q, keys, values, attn_mask=self.bias, scale=1.0)
            x = layer.network(x + _joined(y, cross))
        hidden: Tensor = self.norm(x)
        return hidden


@dataclass(frozen=True)
class _Layer:
    """The modules of one layer of the decoder, by what they do."""

    attention_norm: nn.Module
    attention: "T5Attention"
    cross_norm: nn.Module
    cross: "T5Attention"
    network: nn.Module
    """Normalised and gated, the residual stream included."""

    @classmethod
    def of(cls, block: nn.Module) -> "_Layer":
        own, cross, network = cast(nn.ModuleList, block.layer)
        return cls(
            own.get_submodule("layer_norm"),
            cast("T5Attention", own.get_submodule("SelfAttention")),
            cross.get_submodule("layer_norm"),
            cast("T5Attention", cross.get_submodule("EncDecAttention")),
            network,
        )


def attend_own(
    queries: Float[Tensor, "users heads beams head"],
    keys: Float[Tensor, "users heads beams codes head"],
    values: Float[Tensor, "users heads beams codes head"],
    bias: Float[Tensor, "1 heads 1 codes"],
) -> Float[Tensor, "users heads beams head"]:
    """Return the attention of each beam over its own codes, unscaled as T5's is."""
    scores = (queries[..., None, :] * keys).sum(dim=-1) + bias
    return (scores.softmax(dim=-1)[..., None] * values).sum(dim=-2)


def _shared(attention: "T5Attention", states: Float[Tensor, "users time width"]) -> KeyValue:
    keys, values = _heads(states, attention, attention.k, attention.v)
    return keys.contiguous(), values.contiguous()


def _heads(
    x: Float[Tensor, "users any width"], attention: "T5Attention", *projections: nn.Module
) -> list[Float[Tensor, "users heads any head"]]:
    return [
        projection(x).unflatten(-1, (attention.n_heads, -1)).transpose(1, 2)
        for projection in projections
    ]


def _joined(
    y: Float[Tensor, "users heads beams head"], attention: "T5Attention"
) -> Float[Tensor, "users beams width"]:
    out: Tensor = attention.o(y.transpose(1, 2).flatten(2))
    return out
