"""The compact backbone: a decoder of the Llama architecture, small enough to train on two cores.

With the same weights it returns the same hidden states as ``LlamaModel`` of ``transformers``;
:mod:`palate.models.llama_export` writes it in that format.

Shape suffixes: B batch, T tokens, D width, H heads, E width of a head, F width of the feed-forward
layer.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from pydantic import BaseModel, ConfigDict, model_validator
from torch import Tensor, nn

from palate.models.attention_layout import KeyValue
from palate.models.backbone import CausalReader
from palate.models.code_decoding import OwnCodes, attend, hiding
from palate.models.outputs import Prefix

NORM_EPSILON = 1e-6

RESIDUAL_STD = 0.01
"""Standard deviation of fresh weights that write to the residual stream. It is small, so that a
fresh decoder passes its input on almost unchanged (as in Radford et al. 2019)."""


class DecoderConfig(BaseModel):
    """Size of the decoder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int = 128
    layers: int = 2
    heads: int = 4
    mlp_width: int = 0
    """Width of the feed-forward layer; 0 means 8/3 of ``width``, rounded to a multiple of 32."""
    dropout: float = 0.2
    rope_theta: float = 10_000.0

    @model_validator(mode="after")
    def _heads_divide_width(self) -> "DecoderConfig":
        if self.width % (2 * self.heads):
            raise ValueError(
                f"width {self.width} must be a multiple of 2 x heads ({2 * self.heads})"
            )
        return self

    @property
    def hidden(self) -> int:
        """Resolved width of the feed-forward layer."""
        return self.mlp_width or max(32, int(self.width * 8 / 3) // 32 * 32)


class RMSNorm(nn.Module):
    """Root-mean-square normalisation with a learned gain (Zhang & Sennrich 2019)."""

    def __init__(self, width: int) -> None:
        """Start with a gain of one."""
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
        """Return ``x / rms(x) * weight``."""
        return F.rms_norm(x, (x.shape[-1],), self.weight, NORM_EPSILON)


class Attention(nn.Module):
    """Multi-head attention with rotary positions (Su et al. 2021)."""

    def __init__(self, config: DecoderConfig) -> None:
        """Create one fused projection for queries, keys and values."""
        super().__init__()
        self.heads = config.heads
        self.qkv = nn.Linear(config.width, 3 * config.width, bias=False)
        self.out = nn.Linear(config.width, config.width, bias=False)

    def forward(
        self,
        x_BTD: Float[Tensor, "batch time width"],
        rotation: tuple[Float[Tensor, "*any #time head"], Float[Tensor, "*any #time head"]],
        mask: Bool[Tensor, "#batch 1 _ key"] | None,
        past: KeyValue | None,
        answer_from: int,
    ) -> tuple[Float[Tensor, "batch query width"], KeyValue]:
        """Attend from the tokens ``answer_from`` on; ``mask`` is True where that is allowed."""
        q, *own = self.project(x_BTD, rotation)
        k, v = own
        if past is not None:
            k = torch.cat([past[0].expand(len(k), -1, -1, -1), k], dim=2)
            v = torch.cat([past[1].expand(len(v), -1, -1, -1), v], dim=2)
        if answer_from:
            q = q[:, :, answer_from:]
            mask = (_causal(k) if mask is None else mask)[:, :, answer_from:]
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
        return self.out(y.transpose(1, 2).flatten(2)), (own[0], own[1])

    def project(
        self,
        x_BTD: Float[Tensor, "batch time width"],
        rotation: tuple[Float[Tensor, "*any #time head"], Float[Tensor, "*any #time head"]],
    ) -> tuple[
        Float[Tensor, "batch heads time head"],
        Float[Tensor, "batch heads time head"],
        Float[Tensor, "batch heads time head"],
    ]:
        """Return queries and keys, rotated to their positions, and values."""
        B, T, _ = x_BTD.shape
        qkv = self.qkv(x_BTD).view(B, T, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k = _rotate(qkv[:2], rotation)
        return q, k, qkv[2]


class Block(nn.Module):
    """One layer: attention, then a gated network (SwiGLU), each on a normalised residual stream."""

    def __init__(self, config: DecoderConfig) -> None:
        """Create the attention and the gated network."""
        super().__init__()
        self.attention_norm = RMSNorm(config.width)
        self.attention = Attention(config)
        self.mlp_norm = RMSNorm(config.width)
        self.gate_up = nn.Linear(config.width, 2 * config.hidden, bias=False)
        self.down = nn.Linear(config.hidden, config.width, bias=False)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        x: Float[Tensor, "batch time width"],
        rotation: tuple[Float[Tensor, "*any #time head"], Float[Tensor, "*any #time head"]],
        mask: Bool[Tensor, "#batch 1 _ key"] | None,
        past: KeyValue | None,
        answer_from: int,
    ) -> tuple[Float[Tensor, "batch query width"], KeyValue]:
        """Return the residual stream of the tokens ``answer_from`` on, and the keys and values."""
        attended, own = self.attention(self.attention_norm(x), rotation, mask, past, answer_from)
        return self.gated(x[:, answer_from:] + self.dropout(attended)), own

    def gated(self, x: Float[Tensor, "batch time width"]) -> Float[Tensor, "batch time width"]:
        """Return the residual stream after the gated network."""
        gate, up = self.gate_up(self.mlp_norm(x)).chunk(2, dim=-1)
        added: Tensor = self.dropout(self.down(F.silu(gate) * up))
        return x + added


class Decoder(CausalReader):
    """A stack of blocks over embeddings, whether of words or of items."""

    def __init__(self, config: DecoderConfig) -> None:
        """Stack ``config.layers`` blocks with fresh weights."""
        super().__init__()
        self.config = config
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = RMSNorm(config.width)
        for block in self.blocks:
            assert isinstance(block, Block)
            for last in (block.attention.out, block.down):
                nn.init.normal_(last.weight, std=RESIDUAL_STD)

    @property
    def width(self) -> int:
        """Width of a token."""
        return self.config.width

    def forward(
        self,
        x: Float[Tensor, "batch time width"],
        positions: Int[Tensor, "#batch time"],
        *,
        mask: Bool[Tensor, "#batch 1 time key"] | None = None,
        past: list[KeyValue] | None = None,
        answer_from: int = 0,
    ) -> tuple[Float[Tensor, "batch query width"], list[KeyValue]]:
        """Return hidden states, keys and values (see :class:`CausalReader`).

        The last layer skips the tokens before ``answer_from``.
        """
        rotation = rotary(positions, self.config)
        keys_values = []
        for depth, block in enumerate(self.blocks):
            skip = answer_from if depth == len(self.blocks) - 1 else 0
            x, own = block(x, rotation, mask, past[depth] if past else None, skip)
            keys_values.append(own)
        return self.norm(x), keys_values

    def continue_from(self, prefix: Prefix) -> "BeamCache":
        """Return the decoding state after the prompts of ``prefix``."""
        return BeamCache(self, prefix.past, prefix.visible, prefix.positions)


def rotary(
    positions: Int[Tensor, "#batch time"], config: DecoderConfig
) -> tuple[Float[Tensor, "#batch 1 time head"], Float[Tensor, "#batch 1 time head"]]:
    """Return the factors that rotate each pair of dimensions by ``position * theta^(-2 i / E)``.

    Dimension ``i`` of the first half is paired with ``i`` of the second. The first result (``cos``)
    multiplies the vector, the second (``-sin, sin``) the vector with its halves swapped.
    """
    head = config.width // config.heads
    exponent = torch.arange(0, head, 2, device=positions.device, dtype=torch.float32) / head
    angle = positions[:, None, :, None].float() * (config.rope_theta**-exponent)
    cosine, sine = angle.cos(), angle.sin()
    return torch.cat([cosine, cosine], dim=-1), torch.cat([-sine, sine], dim=-1)


def _causal(keys: Float[Tensor, "batch heads time head"]) -> Bool[Tensor, "1 1 time time"]:
    time = keys.shape[2]
    return torch.ones(1, 1, time, time, dtype=torch.bool, device=keys.device).tril()


def _rotate(
    x: Float[Tensor, "*batch heads time head"],
    rotation: tuple[Float[Tensor, "*any #time head"], Float[Tensor, "*any #time head"]],
) -> Float[Tensor, "*batch heads time head"]:
    straight, across = rotation
    return x * straight.to(x.dtype) + x.roll(x.shape[-1] // 2, -1) * across.to(x.dtype)


class BeamCache:
    """What the beams of some users have read so far, and how they read on.

    Mutable: :meth:`step` puts in the keys and values of the codes it is given.
    """

    def __init__(
        self,
        decoder: Decoder,
        past: Sequence[KeyValue],
        visible: Bool[Tensor, "users time"],
        positions: Int[Tensor, " users"],
    ) -> None:
        """Start after the history.

        Args:
            decoder: the backbone that read the history.
            past: keys and values of the history, one pair per layer.
            visible: False where a token of the history is padding.
            positions: rotary position of each user's next token.
        """
        self.decoder = decoder
        self.positions = positions
        self.shared = [(keys.contiguous(), values.contiguous()) for keys, values in past]
        self.own = OwnCodes(self.shared)
        self.bias = hiding(visible)

    def step(
        self, x: Float[Tensor, "users beams width"], parents: Int[Tensor, "users beams"]
    ) -> Float[Tensor, "users beams width"]:
        """Return the hidden state after one more code per beam.

        Args:
            x: embeddings of the codes.
            parents: which beam of the step before each of them extends.
        """
        rotation = rotary(self.positions[:, None], self.decoder.config)
        self.positions = self.positions + 1
        self.own.follow(parents)
        for depth, block in enumerate(self.decoder.blocks):
            assert isinstance(block, Block)
            attention = block.attention
            q, k, v = attention.project(block.attention_norm(x), rotation)
            own = self.own.put(depth, k, v)
            y = attend(q * q.shape[-1] ** -0.5, self.shared[depth], self.bias, own)
            x = block.gated(x + attention.out(y.transpose(1, 2).flatten(2)))
        hidden: Tensor = self.decoder.norm(x)
        return hidden
