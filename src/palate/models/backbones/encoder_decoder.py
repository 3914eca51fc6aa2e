"""Wrapper of any encoder-decoder of ``transformers``: it encodes the history, then decodes answers.

Shape suffixes: B rows, T tokens of the context, S slots, D width.
"""

from typing import TYPE_CHECKING, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from palate.models.backbones.causal import additive, embedding_scale_of, head_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class EncoderDecoderBackbone(nn.Module):
    """An encoder-decoder that takes embeddings of a context, and of slots that attend to it.

    ``model`` is the whole model with its language-model head. Inputs are scaled as in
    :class:`palate.models.backbones.causal.CausalBackbone`.
    """

    embedding_scale: Tensor

    def __init__(self, model: "PreTrainedModel") -> None:
        """Wrap a model made by ``AutoModelForSeq2SeqLM``."""
        super().__init__()
        self.model = model
        self.register_buffer("embedding_scale", embedding_scale_of(model))

    @property
    def width(self) -> int:
        """Width of a token."""
        return int(self.model.config.hidden_size)

    @property
    def num_layers(self) -> int:
        """Number of layers of the encoder."""
        return int(self.model.config.num_hidden_layers)

    @property
    def num_heads(self) -> int:
        """Number of attention heads."""
        return int(self.model.config.num_attention_heads)

    @property
    def words(self) -> Float[Tensor, "vocabulary width"]:
        """The table of word embeddings, which encoder and decoder share."""
        return cast(Tensor, self.model.get_input_embeddings().weight)

    @property
    def decoder(self) -> nn.Module:
        """The decoder."""
        return cast(nn.Module, self.model.get_decoder())  # type: ignore[no-untyped-call]

    @property
    def start(self) -> int:
        """The token before the first word of an answer."""
        config = self.model.config
        return int(
            config.pad_token_id
            if config.decoder_start_token_id is None
            else config.decoder_start_token_id
        )

    def embed(self, tokens: Int[Tensor, "*any"]) -> Float[Tensor, "*any width"]:
        """Return the scaled embeddings of ``tokens``."""
        embedded: Tensor = self.model.get_input_embeddings()(tokens)
        return embedded / self.embedding_scale

    def word_logits(self, hidden: Float[Tensor, "*any width"]) -> Float[Tensor, "*any vocabulary"]:
        """Return the logit of every word after each slot, by the model's own head."""
        head = head_of(self.model)
        # A T5 whose head is its table of embeddings divides by the root of the width.
        scaled = getattr(self.model.config, "scale_decoder_outputs", False)
        states = hidden * self.width**-0.5 if scaled else hidden
        logits: Tensor = head(states.to(head.weight.dtype))
        bias: Tensor | None = getattr(self.model, "final_logits_bias", None)  # BART
        return (logits if bias is None else logits + bias[0]).to(hidden.dtype)

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

    def _scaled(self, x: Float[Tensor, "rows any width"]) -> Float[Tensor, "rows any width"]:
        return (x * self.embedding_scale).to(self.words.dtype)
