"""Settings of RQ-VAE, in a file of their own so that they can be imported without torch."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, NonNegativeFloat, PositiveFloat, PositiveInt


class RqVaeConfig(BaseModel):
    """Settings of :class:`palate.items.codes.rqvae.RqVae`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["rqvae"] = "rqvae"
    unique: Literal["digit", "sinkhorn", "own-token"] = "digit"
    """How the codes of items are made unique."""
    levels: PositiveInt = 3
    size: PositiveInt = 256
    hidden: tuple[PositiveInt, ...] = (512, 256, 128)
    latent: PositiveInt = 32
    commitment: NonNegativeFloat = 0.25
    epochs: PositiveInt = 200
    batch: PositiveInt = 1_024
    learning_rate: PositiveFloat = 1e-3
    weight_decay: NonNegativeFloat = 1e-4
    alignment: NonNegativeFloat = 0.0
    """Weight of the alignment with behaviour vectors; 0 leaves it out."""
    diversity: NonNegativeFloat = 0.0
    """Weight of the diversity of the codes; 0 leaves it out."""
    clusters: PositiveInt = 10
    """Clusters of codes for the diversity term."""
