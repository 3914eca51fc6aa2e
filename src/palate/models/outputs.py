"""Outputs of the forward pass: states at the predictions, or prompts ready to be answered."""

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor

from palate.models.attention_layout import KeyValue
from palate.models.text_head import Copied


@dataclass(frozen=True)
class States:
    """Hidden states at the predictions of a batch, row by row, without padding predictions."""

    users: Float[Tensor, "predictions queries width"] | None
    """User vectors, if requested."""
    codes: Float[Tensor, "predictions levels width"] | None = None
    """State before each code of the target items, if requested."""
    words: Float[Tensor, "predictions words width"] | None = None
    """State before each word of the target texts, if requested."""
    rows: Float[Tensor, "batch time width"] | None = None
    """State of each token of the rows, if requested."""
    copied: Copied | None = None
    """Words that the answers may copy, in a model that copies."""


@dataclass(frozen=True)
class Prefix:
    """Prompts that were read once, ready to generate codes or words after them."""

    past: list[KeyValue]
    """Keys and values, a pair per layer."""
    visible: Bool[Tensor, "batch time"]
    """False where a token of a prompt is padding."""
    positions: Int[Tensor, " batch"]
    """Position of the first token of the answer."""
    context_state: Float[Tensor, "batch width"]
    """Embedding that the answer starts from: the last event's, or the only candidate's."""
    states: Float[Tensor, "batch time width"] | None = None
    """States of the prompts of an encoder-decoder, which has no ``past``."""
    candidates: Float[Tensor, "batch candidates width"] | None = None
    """State of each token of the candidates; None for an encoder-decoder."""
    copied: Copied | None = None
    """Words that a text answer may copy, in a model that copies."""
