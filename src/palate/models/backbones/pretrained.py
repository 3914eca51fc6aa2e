"""What all pre-trained models of ``transformers`` share: words and their scale, sizes, the head."""

from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from palate.models.backbone import Backbone

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_SAMPLED_WORDS = 4096


class PretrainedBackbone(Backbone):
    """A whole model of ``transformers`` with its language-model head, which takes embeddings.

    It can be saved, merged and exported as it is. Inputs are scaled to a root mean square (RMS) of
    about 1 whatever the model was trained with (see :func:`embedding_scale_of`): item embeddings
    then have the same RMS as word embeddings.
    """

    embedding_scale: Tensor

    def __init__(self, model: "PreTrainedModel") -> None:
        """Wrap a model that ``transformers`` opened."""
        super().__init__()
        self.model = model
        self.register_buffer("embedding_scale", embedding_scale_of(model))

    @property
    def width(self) -> int:
        """Width of a token."""
        return int(self.model.config.hidden_size)

    @property
    def num_layers(self) -> int:
        """Number of layers; those of the encoder where there is one."""
        return int(self.model.config.num_hidden_layers)

    @property
    def num_heads(self) -> int:
        """Number of query heads; keys and values may have fewer."""
        return int(self.model.config.num_attention_heads)

    @property
    def words(self) -> Float[Tensor, "vocabulary width"]:
        """The table of word embeddings."""
        return cast(Tensor, self.model.get_input_embeddings().weight)

    @property
    def word_rms(self) -> float:
        """Root mean square of its word embeddings as it reads them; about 1."""
        table = self.words.detach().float() / self.embedding_scale
        return float(table.square().mean().sqrt())

    @property
    def num_words(self) -> int:
        """Size of the vocabulary."""
        return len(self.words)

    @property
    def word_table(self) -> "PretrainedBackbone":
        """The words it was pre-trained with."""
        return self

    @property
    def inner(self) -> nn.Module:
        """The model of ``transformers``."""
        return self.model

    def embed(self, tokens: Int[Tensor, "*any"]) -> Float[Tensor, "*any width"]:
        """Return the scaled embeddings of ``tokens``."""
        embedded: Tensor = self.model.get_input_embeddings()(tokens)
        return embedded / self.embedding_scale

    def word_logits(self, hidden: Float[Tensor, "*any width"]) -> Float[Tensor, "*any vocabulary"]:
        """Return the logit of every word after each state, by the model's own head."""
        head = head_of(self.model)
        logits: Tensor = head(hidden.to(head.weight.dtype))
        return logits.to(hidden.dtype)

    def save_architecture(self, folder: Path) -> None:
        """Write the ``config.json`` of the model."""
        self.model.config.save_pretrained(folder)


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
