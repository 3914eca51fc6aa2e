"""What answers: a baseline, a trained language model with all it needs, or a prompted one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int

from palate.evaluation.calibration import Calibration, LevelCalibration
from palate.evaluation.rating_baselines import ItemBiases
from palate.items.codes.index import ItemIndex
from palate.items.encoders import ItemEncoders
from palate.items.features import ItemFeatures
from palate.language.batch import BatchBuilder
from palate.language.item_format import ItemFormat
from palate.language.prompt_text import PromptText
from palate.language.tasks.task import Wordings
from palate.language.tokenizer import Tokenizer
from palate.llm.place import SpeakerPlace
from palate.llm.speaker import Speaker
from palate.models.baselines import Baseline
from palate.models.device import Device
from palate.models.language_model import RecommendationModel
from palate.training.prompting import PromptingConfig
from palate.training.recipe import Form, Recipe


@runtime_checkable
class System(Protocol):
    """A system, whether it was trained or is prompted: what it knows and can answer."""

    @property
    def kind(self) -> Literal["language model", "baseline", "prompted model"]:
        """What it is, for people to read."""
        ...

    @property
    def tasks(self) -> tuple[str, ...]:
        """Families of prompts that it answers."""
        ...

    @property
    def forms(self) -> tuple[Form, ...]:
        """Forms of its lists of items, the default one first."""
        ...

    @property
    def num_items(self) -> int:
        """Number of items that it was trained on."""
        ...

    @property
    def item_vectors(self) -> Float[np.ndarray, "items width"] | None:
        """Item vectors whose products with user vectors are the scores; None without vectors."""
        ...

    @property
    def work_per_item(self) -> int:
        """Multiplications for the score of one item, for an encoded user."""
        ...

    @property
    def is_personal(self) -> bool:
        """Whether its scores depend on the history."""
        ...

    @property
    def reads_words(self) -> bool:
        """Whether a free-text prompt changes the answer."""
        ...

    @property
    def reads_new_items(self) -> bool:
        """Whether it can recommend an item that was not in the training catalogue."""
        ...

    @property
    def max_history(self) -> int | None:
        """Number of newest events that it reads; None means all."""
        ...

    @property
    def ratings(self) -> tuple[float, ...]:
        """Rating levels of the events that it reads; empty where it reads none."""
        ...


@dataclass(frozen=True)
class Prior:
    """A baseline that is mixed into next-item scores, and its weight.

    The score is the log-linear mixture ``logit(u, i) + weight * baseline(u, i)``: for rare pairs of
    items, co-occurrence counts are better evidence than learned vectors.
    """

    baseline: Baseline
    weight: float
    """Logits per unit of the baseline's score, tuned on the validation split."""


@dataclass(frozen=True)
class Blend:
    """How the set scores and the code scores are combined in hybrid answers.

    ``score(u, i) = set(u, i) + weight * log p(codes of i | u)`` over the candidates that either
    form finds (with weight 0 it is LIGER, arXiv 2411.18814, which reranks by the set score).
    """

    weight: float
    """Weight tuned on the validation split; 0 if it was not tuned."""
    new_item_boost: float = 0.0
    """Score bonus for items unseen in training, tuned on the validation split. Its upper limit is
    the bonus that gives such items exposure in proportion to their share of the catalogue."""


@dataclass(frozen=True)
class RatingPrior:
    """A bias model of ratings, and the calibration that mixes it into rating probabilities.

    Like and dislike are treated as a rating of two levels.
    """

    biases: ItemBiases
    calibration: LevelCalibration
    """Fitted on the validation split."""


@dataclass(frozen=True)
class LanguageModelSystem:
    """A language model with everything that is needed to query it."""

    recipe: Recipe
    model: RecommendationModel
    features: ItemFeatures
    encoders: ItemEncoders
    tokenizer: Tokenizer
    prompts: Mapping[str, Wordings]
    tasks: tuple[str, ...]
    """Task families that the model was trained on."""
    prior: Prior | None = None
    item_format: ItemFormat = field(default_factory=ItemFormat)
    """How the items of a history are formatted in prompts."""
    blend: Blend = Blend(0.0)
    """Weights of hybrid answers."""
    index: ItemIndex | None = None
    """The codes of the catalogue, if the recipe has codes."""
    ratings: tuple[float, ...] = ()
    """Rating levels of the events in prompts; empty if prompts do not contain ratings."""
    event_types: tuple[str, ...] = ()
    """Names of the kinds of events of the data."""
    calibration: Calibration = field(default_factory=Calibration)
    """Calibrates the probability of *yes*."""
    like_prior: RatingPrior | None = None
    """Calibrates the probabilities of *no* and *yes* where they mean disliked and liked."""
    rating_prior: RatingPrior | None = None
    """Calibrates the probabilities of rating levels."""

    def on(self, device: Device) -> "LanguageModelSystem":
        """Move the model to a device, in place, and set its inference precision."""
        self.model.to(device.where)
        if device.precision == "float32":
            self.model.float()  # the weights of a backbone may be in bfloat16
        self.model.answers_in_bfloat16 = device.answers_in_bfloat16
        return self

    def batch_builder(
        self,
        query_vectors: Float[np.ndarray, "queries dim"] | None = None,
        item_format: ItemFormat | None = None,
    ) -> BatchBuilder:
        """Return the builder of its batches, with an item format of its own if one is given."""
        return BatchBuilder(
            self.tokenizer,
            query_vectors,
            self.item_format if item_format is None else item_format,
            self.ratings,
            self.prompt_text,
            shares_heads=self._shares_heads,
        )

    @property
    def _shares_heads(self) -> bool:
        model = self.recipe.model
        return model.prompts_in_text and model.read_words and not model.bidirectional_rows

    @property
    def prompt_text(self) -> PromptText | None:
        """The writer of its prompts where they are text; None where they are a lean stream."""
        if not self.recipe.model.prompts_in_text:
            return None
        return PromptText(self.tokenizer, self.event_types, self.ratings)

    @property
    def kind(self) -> Literal["language model"]:
        """What it is, for people to read."""
        return "language model"

    @property
    def forms(self) -> tuple[Form, ...]:
        """The forms of answer that the model supports, the default one first."""
        return self.recipe.forms

    @property
    def num_items(self) -> int:
        """Number of items that it was trained on."""
        return len(self.features)

    @property
    def item_vectors(self) -> Float[np.ndarray, "items width"]:
        """Output vectors of the catalogue."""
        self.model.train(mode=False)
        with torch.inference_mode():
            vectors: np.ndarray = self.model.catalogue().float().cpu().numpy()
        return vectors

    @property
    def work_per_item(self) -> int:
        """Multiplications for the score of one item: a product with each user vector."""
        return self.model.width * max(self.model.config.num_queries, 1)

    @property
    def is_personal(self) -> bool:
        """Whether its scores depend on the history."""
        return True

    @property
    def reads_words(self) -> bool:
        """Whether a free-text prompt changes the answer."""
        return self.recipe.model.read_words

    @property
    def reads_new_items(self) -> bool:
        """Whether new items have vectors: by their text or their attributes."""
        return self.encoders.text is not None or self.encoders.attributes is not None

    @property
    def max_history(self) -> int:
        """Number of newest events that a prompt holds."""
        return self.recipe.max_history


@dataclass(frozen=True)
class PromptedSystem:
    """A language model that was not trained here, asked about the lists of a trained base."""

    base: "Baseline | LanguageModelSystem"
    base_name: str
    base_recipe: Recipe
    settings: PromptingConfig
    prompts: Mapping[str, str]
    """The texts of the prompts by name (:mod:`palate.inference.prompting.texts`)."""
    place: SpeakerPlace
    """Where the speaker is; its name alone where it was given as an object."""
    given: Speaker | None = field(default=None, repr=False)
    """A speaker that was given as an object; it cannot be saved."""
    tasks: tuple[str, ...] = ("next-item", "summary")
    """Families of prompts that it answers; what else is wanted of a list can be said in words."""
    forms: tuple[Literal["set"], ...] = ("set",)
    reads_words: bool = True
    is_personal: bool = True

    @cached_property
    def speaker(self) -> Speaker:
        """Who is asked, opened when it is first needed.

        Raises:
            ConfigError: when it is not there any more.
            MissingExtraError: when a package is missing that it needs.
        """
        return self.given or self.place.opened()

    def on(self, device: Device) -> "PromptedSystem":
        """Move its base to a device."""
        if isinstance(self.base, LanguageModelSystem):
            self.base.on(device)
        return self

    @property
    def kind(self) -> Literal["prompted model"]:
        """What it is, for people to read."""
        return "prompted model"

    @property
    def num_items(self) -> int:
        """Number of items that its base was trained on."""
        return self.base.num_items

    @property
    def item_vectors(self) -> Float[np.ndarray, "items width"] | None:
        """Item vectors of its base."""
        return self.base.item_vectors

    @property
    def work_per_item(self) -> int:
        """Multiplications of its base for the score of one item."""
        return self.base.work_per_item

    @property
    def reads_new_items(self) -> bool:
        """Whether its base can find an item that was not in the training catalogue."""
        return self.base.reads_new_items

    @property
    def max_history(self) -> int | None:
        """Number of newest events that its base reads; the prompt may show fewer."""
        return self.base.max_history

    @property
    def ratings(self) -> tuple[float, ...]:
        """Rating levels of the events that its base reads."""
        return self.base.ratings


@dataclass(frozen=True)
class Start:
    """A trained model to start training from."""

    system: LanguageModelSystem
    rows: Int[np.ndarray, " items"] | None = None
    """Row of each item in the trained model, -1 for new items (see
    :func:`palate.training.warm_start.known_items`); only known items keep their embeddings."""
