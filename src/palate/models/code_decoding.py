"""Attention of the compact decoder while it generates: beams over one shared history.

The beams of a user are tokens of one row. Each sees the history, whose keys and values are kept
once per user, the codes its beam chose before, and itself. So nothing of the history is copied when
beams are chosen anew; only the keys and values of the codes, at most one per level, follow their
beams.

Shape suffixes: U users, K beams, L codes so far, H heads, E width of a head.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from palate.models.attention_layout import KeyValue


class OwnCodes:
    """Keys and values, of all layers, of the codes that each beam chose: what it alone sees.

    Mutable: :meth:`follow` puts the beams in a new order, all layers in one copy, with room for one
    code more; :meth:`put` fills it in for a layer.
    """

    def __init__(self, shared: Sequence[KeyValue]) -> None:
        """Start with one beam per user, and no codes."""
        keys = shared[0][0]
        users, heads, _, width = keys.shape
        self.kept = keys.new_empty(users, 1, 0, len(shared), 2, heads, width)

    @property
    def length(self) -> int:
        """Codes per beam."""
        return self.kept.shape[2]

    def follow(self, parents: Int[Tensor, "users beams"]) -> None:
        """Let each new beam have what its parent had."""
        users, old, length, *rest = self.kept.shape
        first = torch.arange(0, users * old, old, device=parents.device)[:, None]
        kept = self.kept.new_empty(users, parents.shape[1], length + 1, *rest)
        if length:
            of_parents = self.kept.flatten(0, 1).index_select(0, (parents + first).flatten())
            kept[:, :, :length] = of_parents.view(users, -1, length, *rest)
        self.kept = kept

    def put(
        self,
        layer: int,
        keys: Float[Tensor, "users heads beams head"],
        values: Float[Tensor, "users heads beams head"],
    ) -> tuple[
        Float[Tensor, "users heads beams codes head"], Float[Tensor, "users heads beams codes head"]
    ]:
        """Keep those of the newest code, and return those of all codes of the layer."""
        self.kept[:, :, -1, layer, 0] = keys.transpose(1, 2)
        self.kept[:, :, -1, layer, 1] = values.transpose(1, 2)
        whole_UHKLE = self.kept[:, :, :, layer].permute(3, 0, 4, 1, 2, 5)
        return whole_UHKLE[0], whole_UHKLE[1]


def attend(
    queries: Float[Tensor, "users heads beams head"],
    shared: KeyValue,
    bias: Float[Tensor, "users 1 1 time"] | None,
    own: tuple[
        Float[Tensor, "users heads beams codes head"], Float[Tensor, "users heads beams codes head"]
    ],
) -> Float[Tensor, "users heads beams head"]:
    """Return the attention of each beam over what all see and what it alone sees.

    Both parts join in one softmax. The shared part is one matrix product per user and head, the
    own part a few products per beam: the work grows with K (T + L), not with K (T + K L) as a mask
    over the codes of all beams would make it.
    """
    keys, values = shared
    own_keys, own_values = own
    time = keys.shape[2]
    scores = queries @ keys.transpose(2, 3)
    if bias is not None:
        scores = scores + bias
    scores_own = (queries[..., None, :] * own_keys).sum(dim=-1)
    weights = torch.cat([scores, scores_own], dim=-1).softmax(dim=-1)
    from_shared = weights[..., :time] @ values
    return from_shared + (weights[..., time:, None] * own_values).sum(dim=-2)


def hiding(visible: Bool[Tensor, "users time"]) -> Float[Tensor, "users 1 1 time"] | None:
    """Return what is added to scores so that padding is not seen; None where there is none."""
    if bool(visible.all()):
        return None
    hidden = torch.zeros(visible.shape, device=visible.device)
    return hidden.masked_fill_(~visible, -torch.inf)[:, None, None]
