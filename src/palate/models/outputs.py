"""Outputs of the forward pass: states at the predictions, or prompts ready to be answered."""

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor

from palate.models.decoder import KeyValue
from palate.models.text_head import Copied


@dataclass(frozen=True)
class States:
    """What stands at the predictions of a batch, row by row, padding left out."""

    users: Float[Tensor, "predictions queries width"] | None
    """User vectors, where asked for."""
    codes: Float[Tensor, "predictions levels width"] | None = None
    """State before each code of the target items, where there are such."""
    words: Float[Tensor, "predictions words width"] | None = None
    """State before each word of the replies, where there are such."""
    rows: Float[Tensor, "batch time width"] | None = None
    """State of each token of the rows, where kept."""
    copied: Copied | None = None
    """What the words may copy, in a model that copies."""


@dataclass(frozen=True)
class Prefix:
    """Prompts once read, to be answered in codes or in words."""

    past: list[KeyValue]
    """Keys and values, a pair per layer."""
    visible: Bool[Tensor, "batch time"]
    positions: Int[Tensor, " batch"]
    """Position of the first place of the answer."""
    carried: Float[Tensor, "batch width"]
    """What each prompt ended with."""
    states: Float[Tensor, "batch time width"] | None = None
    """What an encoder made of it; it leaves no past."""
    candidates: Float[Tensor, "batch candidates width"] | None = None
    """State of each place of the items asked about; an encoder leaves none."""
    copied: Copied | None = None
    """What an answer in words may copy, in a model that copies."""
