"""Wrapper that gives any causal model of ``transformers`` the interface of our decoder.

Shape suffixes: B batch, T tokens, D width.
"""

from typing import TYPE_CHECKING, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from palate.models.decoder import KeyValue

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_SAMPLED_WORDS = 4096


class CausalBackbone(nn.Module):
    """A causal model that takes embeddings, as :class:`palate.models.decoder.Decoder` does.

    ``model`` is the whole model with its language-model head: it can be saved, merged and exported
    as it is. Inputs are scaled to a root mean square (RMS) of about 1 whatever the model was
    trained with (see :func:`embedding_scale_of`): item embeddings then have the same RMS as word
    embeddings.
    """

    embedding_scale: Tensor

    def __init__(self, model: "PreTrainedModel") -> None:
        """Wrap a model made by ``AutoModelForCausalLM``."""
        super().__init__()
        self.model = model
        self.register_buffer("embedding_scale", embedding_scale_of(model))

    @property
    def width(self) -> int:
        """Width of a token."""
        return int(self.model.config.hidden_size)

    @property
    def num_layers(self) -> int:
        """Number of layers, which is the number of entries of a key-value cache."""
        return int(self.model.config.num_hidden_layers)

    @property
    def num_heads(self) -> int:
        """Number of query heads; keys and values may have fewer."""
        return int(self.model.config.num_attention_heads)

    @property
    def words(self) -> Float[Tensor, "vocabulary width"]:
        """The table of word embeddings."""
        return cast(Tensor, self.model.get_input_embeddings().weight)

    def embed(self, tokens: Int[Tensor, "*any"]) -> Float[Tensor, "*any width"]:
        """Return the scaled embeddings of ``tokens``."""
        embedded: Tensor = self.model.get_input_embeddings()(tokens)
        return embedded / self.embedding_scale

    def word_logits(self, hidden: Float[Tensor, "*any width"]) -> Float[Tensor, "*any vocabulary"]:
        """Return the logit of every word after each state, by the model's own head."""
        head = head_of(self.model)
        logits: Tensor = head(hidden.to(head.weight.dtype))
        return logits.to(hidden.dtype)

    def forward(
        self,
        x: Float[Tensor, "batch time width"],
        positions: Int[Tensor, "#batch time"],
        *,
        mask: Bool[Tensor, "#batch 1 time key"] | None = None,
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


def head_of(model: "PreTrainedModel") -> nn.Linear:
    """Return the language-model head."""
    return cast(nn.Linear, model.get_output_embeddings())  # type: ignore[no-untyped-call]


@torch.no_grad()
def embedding_scale_of(model: "PreTrainedModel") -> Float[Tensor, ""]:
    """Return the root mean square (RMS) of a model's word embeddings.

    It is rounded to a power of two: dividing and multiplying by that is exact.
    """
    embed = model.get_input_embeddings()
    table = cast(Tensor, embed.weight)
    sample = torch.arange(0, len(table), max(1, len(table) // _SAMPLED_WORDS), device=table.device)
    root: Tensor = embed(sample).float().square().mean().sqrt()
    return torch.exp2(root.clamp(min=1e-6).log2().round())


def additive(
    mask: Bool[Tensor, "#batch 1 query key"], dtype: torch.dtype
) -> Float[Tensor, "#batch 1 query key"]:
    """Return the additive form of a mask: 0 where attention is allowed, else the least number.

    Every attention implementation of ``transformers`` takes this form; not all take booleans.
    """
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(
        ~mask, torch.finfo(dtype).min
    )
