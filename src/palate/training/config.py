"""The tables of a recipe: its tasks, how items are indexed, how the weights are trained."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from palate.items.codes.index import IndexConfig
from palate.language.item_format import ItemPart
from palate.language.tasks import names_near, shared_families
from palate.language.tasks.task import Task, TaskSettings
from palate.models.backbones.tuning import TuningConfig
from palate.models.baselines import BaselineConfig


class TasksConfig(TaskSettings):
    """The share of each task in training, and the settings that all tasks have in common.

    A share is a key of its own, named as the family with underscores: ``next_item = 1.0``. 1 is one
    pass over all users per epoch; a family that is not named is not trained. A task for which the
    data lacks what it needs is left out.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    __pydantic_extra__: dict[str, Annotated[float, Field(ge=0)]] = Field(init=False)

    @model_validator(mode="before")
    @classmethod
    def _check_families(cls, tables: object) -> object:
        if not isinstance(tables, Mapping):
            return tables
        families = shared_families()
        for name in tables:
            if name not in families and name not in TaskSettings.model_fields:
                hint = names_near(str(name), families)
                settings = ", ".join(TaskSettings.model_fields)
                raise ValueError(
                    f"there is no task {name!r}. {hint} Beside them are the settings {settings}"
                )
        return tables

    @property
    def shares(self) -> Mapping[type[Task], float]:
        """The share of every family, in their order; 0 where a family is not trained."""
        said = self.__pydantic_extra__
        return {family: said.get(name, 0.0) for name, family in shared_families().items()}

    def share(self, family: type[Task]) -> float:
        """Return the share of one family."""
        return self.shares.get(family, 0.0)

    @property
    def by_items(self) -> bool:
        """Whether any task is answered by items."""
        return any(share for f, share in self.shares.items() if f.answered_with == "items")

    @property
    def in_words(self) -> bool:
        """Whether any task is answered in words."""
        return any(share for f, share in self.shares.items() if f.answered_with == "words")


class CodesConfig(BaseModel):
    """Items as codes: how they are indexed, and how answers in codes are searched."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    index: IndexConfig
    vectors: Literal["text", "image", "behaviour", "text+behaviour"] = "text"
    """The vectors that learned codes quantise; two kinds are concatenated."""
    informed_init: bool = True
    """Initialise the embedding of a code from its items instead of at random."""
    beams: int = Field(default=50, ge=1)
    """Beams of a search; at least as many as requested items are used."""
    blend_weights: tuple[float, ...] = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0)
    """Weights of the codes in hybrid answers tried on the validation part; the best is kept."""
    boost_fractions: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)
    """Bonus of new items in hybrid answers, as a fraction of the bonus that gives them the share of
    the lists that they have of the catalogue. The best on the validation part is kept."""


class TrainingConfig(BaseModel):
    """How the weights are trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    objective: Literal["sampled-softmax", "bce"] = "sampled-softmax"
    """The loss of answers as a set."""
    set_weight: float = Field(default=1.0, gt=0)
    """Weight of answers as a set, where they are among the recipe's ``answers``."""
    code_weight: float = Field(default=1.0, gt=0)
    """Weight of answers in codes, where they are among the recipe's ``answers``."""
    text_weight: float = Field(default=1.0, gt=0)
    """Weight of answers in words, where the recipe has such tasks."""
    target_contrast: float = Field(default=0.0, ge=0, le=1)
    """Share of the loss of target texts that pulls a target read after its history towards the same
    target read alone (CALRec's L_TT)."""
    user_contrast: float = Field(default=0.0, ge=0, le=1)
    """Share that pulls the history towards the target read alone (CALRec's L_UT)."""
    contrast_temperature: float = Field(default=0.1, gt=0)
    code_temperature: float = Field(default=1.0, gt=0)
    """Divides the logits of codes in training; below 1 hard negatives weigh more."""
    frozen: tuple[str, ...] = ()
    """Parts of the model that keep their initial weights, by the beginning of their names: with
    ``decoder`` only the items are learned anew."""
    trained: tuple[str, ...] = ()
    """The only parts that are trained, named in the same way; empty means all."""
    tuning: TuningConfig | None = None
    """How the backbone is tuned from this stage on, such as by a LoRA update of the weights of an
    earlier stage or of the model to start from; None keeps the present way."""
    num_users: int = Field(default=0, ge=0)
    """Number of users to train on, drawn once (few-shot tuning); 0 means all."""
    epochs: int = Field(default=20, ge=1)
    learning_rate: float = Field(default=3e-3, gt=0)
    weight_decay: float = Field(default=0.05, ge=0)
    warmup: float = Field(default=0.03, ge=0, lt=1)
    """Share of all steps during which the learning rate rises; then it falls along a cosine to a
    twentieth."""
    tokens_per_batch: int = Field(default=4096, ge=64)
    """Token budget of a batch, query tokens included: rows times the longest row."""
    accumulate: int = Field(default=1, ge=1)
    """Batches whose gradients are averaged into one step: large steps in little memory."""
    compile: bool = False
    """Whether ``torch.compile`` compiles the backbone. It does so only on a GPU: on a CPU compiling
    takes minutes and saves less."""
    negatives: Literal["uniform", "in-batch"] = "uniform"
    """Source of the negatives. With the targets of the batch, uncorrected, the scores approach
    ``log p(i|u) - log p(i)``: the popularity of items, which does not transfer to another shop, is
    not learned (the pre-training of UniSRec, arXiv 2206.05941). Other items of the same row are not
    negatives then."""
    num_negatives: int = Field(default=2048, ge=1)
    """Uniform negatives shared by a batch; at least the catalogue's size means the full softmax."""
    clip: float = Field(default=1.0, gt=0)
    """Maximum norm of the gradient."""
    average: float = Field(default=0.0, ge=0, lt=1)
    """Decay of a running average of the weights, which is validated and kept in their place; 0 uses
    the weights themselves."""
    validate_every: int = Field(default=1, ge=1)
    """Epochs between validations."""
    validate_on: int = Field(default=0, ge=0)
    """Most users, or events of a task in words, that validations and calibrations look at; 0 means
    20,000 users, 2,000 where each needs a beam search, and 1,000 events in training."""
    patience: int = Field(default=5, ge=1)
    """Validations without improvement after which training stops."""
    checkpoint_seconds: float = Field(default=60.0, gt=0)
    """Seconds between checkpoints: the most that an interrupted run loses."""

    @field_validator("set_weight", "code_weight", mode="before")
    @classmethod
    def _check_weight(cls, weight: object) -> object:
        if isinstance(weight, int | float) and weight == 0:
            raise ValueError("a weight is above 0; what is answered in is said by answers")
        return weight

    @model_validator(mode="after")
    def _check_negatives(self) -> "TrainingConfig":
        if self.objective == "bce" and self.negatives == "in-batch":
            raise ValueError("objective 'bce' wants one negative per target: negatives 'uniform'")
        return self


class Stage(BaseModel):
    """One stage of training: its tasks, which weights change, and for how long.

    In a recipe's file each of its tables is laid over the recipe's own, key by key: what is left
    out is as in the recipe. The stages of a recipe are run one after the other, each from the
    weights of the one before it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(default="", pattern=r"^([a-z][a-z0-9-]*)?$")
    """Its name in ``--set stages.NAME.training.epochs=1``."""
    title: str = ""
    without_backbone: bool = False
    """Whether the stage is skipped if the backbone is pre-trained and already knows its subject."""
    tasks: TasksConfig = TasksConfig()
    training: TrainingConfig = TrainingConfig()
    item_format: tuple[ItemPart, ...] | None = None
    """How the items of a history are written: some of the parts in ``model.item_format``."""
    curriculum: tuple[ItemPart, ...] | None = None
    """How they are written at first: the share of batches written so falls from all to none over
    the stage (the curriculum of LLaRA, arXiv 2312.02445)."""


class PriorConfig(BaseModel):
    """A baseline whose score is added to the model's logits of the next item."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    baseline: BaselineConfig
    weights: tuple[float, ...] = (0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 14.0, 20.0)
    """Weights tried on the validation part; the best is kept."""
