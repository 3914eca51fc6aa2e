"""The compact backbone: a decoder of the Llama architecture, small enough to train on two cores.

With the same weights it returns the same hidden states as ``LlamaModel`` of ``transformers``;
:func:`llama_state_dict` and :func:`llama_config` export it in that format.

Shape suffixes: B batch, T tokens, D width, H heads, E width of a head, F width of the feed-forward
layer.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from pydantic import BaseModel, ConfigDict, model_validator
from safetensors.torch import save_file
from torch import Tensor, nn

NORM_EPSILON = 1e-6

RESIDUAL_STD = 0.01
"""Standard deviation of fresh weights that write to the residual stream. It is small, so that a
fresh decoder passes its input on almost unchanged (as in Radford et al. 2019)."""

KeyValue = tuple[Float[Tensor, "_ heads _ head"], Float[Tensor, "_ heads _ head"]]
"""Keys (already rotated) and values of one layer, which later tokens attend to."""


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


class Decoder(nn.Module):
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

    def forward(
        self,
        x: Float[Tensor, "batch time width"],
        positions: Int[Tensor, "#batch time"],
        *,
        mask: Bool[Tensor, "#batch 1 time key"] | None = None,
        past: list[KeyValue] | None = None,
        answer_from: int = 0,
    ) -> tuple[Float[Tensor, "batch query width"], list[KeyValue]]:
        """Return the normalised hidden states and every layer's keys and values.

        Args:
            x: embeddings of the tokens.
            positions: rotary position of each token.
            mask: True where a token (second to last axis) may attend to a key (last axis: ``past``
                first, then the tokens themselves); None means causal, without ``past``.
            past: keys and values of a prefix, of batch size 1 where all rows share it.
            answer_from: first token whose hidden state is returned; the last layer skips earlier
                ones.
        """
        rotation = rotary(positions, self.config)
        keys_values = []
        for depth, block in enumerate(self.blocks):
            skip = answer_from if depth == len(self.blocks) - 1 else 0
            x, own = block(x, rotation, mask, past[depth] if past else None, skip)
            keys_values.append(own)
        return self.norm(x), keys_values


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


def llama_config(config: DecoderConfig, vocabulary_size: int) -> dict[str, object]:
    """Return the ``config.json`` of ``transformers``' ``LlamaForCausalLM`` of the same size."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": config.width,
        "intermediate_size": config.hidden,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.heads,
        "head_dim": config.width // config.heads,
        "rms_norm_eps": NORM_EPSILON,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_theta},
        "rope_theta": config.rope_theta,
        "hidden_act": "silu",
        "vocab_size": vocabulary_size,
        "tie_word_embeddings": True,
        "max_position_embeddings": 4096,
        "torch_dtype": "float32",
    }


def llama_state_dict(
    decoder: Decoder, words: Float[Tensor, "vocabulary width"]
) -> dict[str, Tensor]:
    """Return the weights and the word embeddings under the names ``LlamaForCausalLM`` uses."""
    named = {"model.embed_tokens.weight": words, "model.norm.weight": decoder.norm.weight}
    for depth, block in enumerate(decoder.blocks):
        assert isinstance(block, Block)
        q, k, v = block.attention.qkv.weight.chunk(3)
        gate, up = block.gate_up.weight.chunk(2)
        layer: Mapping[str, Tensor] = {
            "self_attn.q_proj": q,
            "self_attn.k_proj": k,
            "self_attn.v_proj": v,
            "self_attn.o_proj": block.attention.out.weight,
            "mlp.gate_proj": gate,
            "mlp.up_proj": up,
            "mlp.down_proj": block.down.weight,
            "input_layernorm": block.attention_norm.weight,
            "post_attention_layernorm": block.mlp_norm.weight,
        }
        named |= {f"model.layers.{depth}.{name}.weight": weight for name, weight in layer.items()}
    return {name: weight.detach().contiguous().clone() for name, weight in named.items()}


def export_llama(folder: Path, decoder: Decoder, words: Float[Tensor, "vocabulary width"]) -> None:
    """Write a folder that ``AutoModelForCausalLM.from_pretrained`` of ``transformers`` loads."""
    folder.mkdir(parents=True, exist_ok=True)
    config = llama_config(decoder.config, len(words))
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    state = llama_state_dict(decoder, words)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
