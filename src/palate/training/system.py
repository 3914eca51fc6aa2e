"""What a trained language model is made of, and what is mixed into its answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int

from palate.evaluation.calibration import Calibration, LevelCalibration
from palate.evaluation.rating_baselines import ItemBiases
from palate.items.codes.index import ItemIndex
from palate.items.encoders import ItemEncoders
from palate.items.features import ItemFeatures
from palate.language.item_format import ItemFormat
from palate.language.tasks.task import Wordings
from palate.language.tokenizer import Tokenizer
from palate.models.baselines import Baseline
from palate.models.device import Device
from palate.models.language_model import RecommendationModel
from palate.training.recipe import Form, Recipe


@dataclass(frozen=True)
class Prior:
    """What co-occurrence alone says of the next item, and how much it counts.

    The answer is the log-linear mixture ``logit(u, i) + weight * baseline(u, i)``: a few counts
    tell a rare pair of items better than vectors that were learned from them.
    """

    baseline: Baseline
    weight: float
    """Logits per unit of the baseline's score, chosen on the validation part."""


@dataclass(frozen=True)
class Blend:
    """How the two forms of answer join in a hybrid one.

    ``score(u, i) = set(u, i) + weight * log p(codes of i | u)`` over the candidates that either
    form finds (LIGER, arXiv 2411.18814, with weight 0, reranks by the set's score alone).
    """

    weight: float
    """Chosen on the validation part; 0 where that was not done."""
    new_item_boost: float = 0.0
    """Added to the set's score of an item that training never saw: as much as is best on the
    validation part, at most what gives such items the share of the lists that they have of the
    catalogue."""


@dataclass(frozen=True)
class RatingPrior:
    """What biases alone say of a rating, and how the chances of its levels are drawn to that.

    Liked or not is a rating of two levels.
    """

    biases: ItemBiases
    calibration: LevelCalibration
    """Fitted on the valid part."""


@dataclass(frozen=True)
class LanguageModelSystem:
    """A language model with all that is needed to ask it something."""

    recipe: Recipe
    model: RecommendationModel
    features: ItemFeatures
    encoders: ItemEncoders
    tokenizer: Tokenizer
    prompts: Mapping[str, Wordings]
    tasks: tuple[str, ...]
    """Families of prompts it was trained on."""
    prior: Prior | None = None
    item_format: ItemFormat = field(default_factory=ItemFormat)
    """How the items of a history are written."""
    blend: Blend = Blend(0.0)
    """What a hybrid answer is made of."""
    index: ItemIndex | None = None
    """The codes of the catalogue, where the recipe has codes."""
    ratings: tuple[float, ...] = ()
    """Levels of rating that events are shown with; none where they are not shown."""
    calibration: Calibration = field(default_factory=Calibration)
    """What makes the chance of *yes* a frequency."""
    like_prior: RatingPrior | None = None
    """The same of *no* and *yes*, where they mean disliked and liked."""
    rating_prior: RatingPrior | None = None
    """What makes the chances of ratings frequencies."""

    def on(self, device: Device) -> "LanguageModelSystem":
        """Bring the model to a device, in place, and let it answer in that precision."""
        self.model.to(device.where)
        self.model.answers_in_bfloat16 = device.answers_in_bfloat16
        return self

    @property
    def forms(self) -> tuple[Form, ...]:
        """What it can answer in; the first is its usual way."""
        return self.recipe.forms


@dataclass(frozen=True)
class Start:
    """A trained model to begin with."""

    parts: LanguageModelSystem
    rows: Int[np.ndarray, " items"] | None = None
    """The row that it knew each item by, -1 where it did not (see
    :func:`palate.training.warm_start.known_items`): only these keep their embeddings."""
