"""Key-value cache of a causal model of ``transformers``: a shared past, and its own tokens.

This file imports ``transformers``; it is imported only where such a model is used.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer

from palate.models.attention_layout import KeyValue


class LayerPast(DynamicLayer):  # type: ignore[no-untyped-call]
    """Keys and values of one layer; those of new tokens are kept beside the past, not added to it.

    A layer may therefore run twice, as gradient checkpointing does in the backward pass; a cache
    that grows would then hold every token twice.
    """

    def __init__(self, past: KeyValue | None = None) -> None:
        """Keep the ``past``, of batch size 1 where all rows share it."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.past = past
        self.own: KeyValue | None = None

    def update(
        self,
        key_states: Float[Tensor, "batch heads time head"],
        value_states: Float[Tensor, "batch heads time head"],
        *_: object,
        **__: object,
    ) -> KeyValue:
        """Keep the keys and values of the new tokens, and return past and new ones together."""
        self.own = (key_states, value_states)
        return self.own if self.past is None else joined(self.past, self.own)

    def get_seq_length(self) -> int:
        """Return the number of tokens in the past."""
        return 0 if self.past is None else self.past[0].shape[2]


def cache_after(past: Sequence[KeyValue] | None, num_layers: int) -> Cache:
    """Return a cache that starts with ``past``."""
    pasts: Sequence[KeyValue | None] = past or [None] * num_layers
    return Cache(layers=[LayerPast(one) for one in pasts])


def own_of(cache: Cache) -> list[KeyValue]:
    """Return every layer's keys and values of the new tokens."""
    found = [layer.own for layer in cache.layers if isinstance(layer, LayerPast)]
    return [own for own in found if own is not None]


def joined(before: KeyValue, after: KeyValue) -> KeyValue:
    """Join two pieces of a cache; a ``before`` of batch size 1 is shared by all rows."""
    rows = len(after[0])
    keys, values = (
        torch.cat([shared.expand(rows, -1, -1, -1).to(own.dtype), own], dim=2)
        for shared, own in zip(before, after, strict=True)
    )
    return keys, values
