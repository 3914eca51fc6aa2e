"""The tables of a recipe: what is asked, how items are indexed, how the weights are found."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from palate.items.codes.index import IndexConfig
from palate.language.item_format import ItemPart
from palate.models.backbones.tuning import TuningConfig
from palate.models.baselines import BaselineConfig


class TasksConfig(BaseModel):
    """What is asked in training: the share of each task; 1 is one pass over all users per epoch."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    next_item: float = Field(default=1.0, ge=0)
    from_titles: float = Field(default=0.0, ge=0)
    """The next item after a history told in titles alone, whatever the model reads otherwise
    (LC-Rec's asymmetric prediction); needs ``title`` in ``model.item_format``."""
    objective: float = Field(default=0.0, ge=0)
    """Left out by itself where the data has one event type."""
    scenario: float = Field(default=0.0, ge=0)
    """Left out by itself where the data has no scenarios."""
    category: float = Field(default=0.0, ge=0)
    search: float = Field(default=0.0, ge=0)
    direct: float = Field(default=0.0, ge=0)
    cold_start: float = Field(default=0.0, ge=0)
    masked: float = Field(default=0.0, ge=0)
    """One event of a window is left out and asked for (PTUM)."""
    next_behaviours: float = Field(default=0.0, ge=0)
    """The next few events, in any order (PTUM)."""
    blanks: float = Field(default=0.0, ge=0)
    """Hidden items, sentences and ends, said in their order (RecSysLLM)."""
    rating: float = Field(default=0.0, ge=0)
    """Left out by itself where the data has no ratings. This and all below answer in words."""
    ranking: float = Field(default=0.0, ge=0)
    """Yes or no to an item: the next one or another, or liked or not where ``like_above`` says."""
    choice: float = Field(default=0.0, ge=0)
    """One of some candidates, by its title."""
    title: float = Field(default=0.0, ge=0)
    """The title of an item: what its token means in words."""
    next_title: float = Field(default=0.0, ge=0)
    """The title of the next item."""
    profile: float = Field(default=0.0, ge=0)
    """What somebody likes, in a sentence."""
    explanation: float = Field(default=0.0, ge=0)
    """Why an item suits; left out by itself where the data has no reviews, as are the next two."""
    summary: float = Field(default=0.0, ge=0)
    preference: float = Field(default=0.0, ge=0)
    """What a review praises or finds fault with."""
    like_above: float | None = None
    """Ratings above it mean yes; None asks for the next item in place of the liked one."""
    candidates: int = Field(default=20, ge=2)
    """Items to choose one from."""
    max_history: int = Field(default=50, ge=1)
    """Events read at most, the newest; in training a random window of that length."""
    queries_per_item: int = Field(default=3, ge=1)

    @property
    def by_items(self) -> bool:
        """Whether any task is answered by items."""
        shares = (self.next_item, self.objective, self.scenario, self.category, self.search)
        others = (self.direct, self.cold_start, self.masked, self.next_behaviours, self.from_titles)
        return any((*shares, *others))

    @property
    def in_words(self) -> bool:
        """Whether any task is answered in words."""
        shares = (self.rating, self.ranking, self.choice, self.title, self.next_title)
        written = (self.profile, self.explanation, self.summary, self.preference, self.blanks)
        return any((*shares, *written))


class CodesConfig(BaseModel):
    """Items as codes: how they are indexed, and how answers in codes are looked for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    index: IndexConfig
    vectors: Literal["text", "image", "behaviour", "text+behaviour"] = "text"
    """What learned codes are learned from; of two, one vector after the other."""
    informed_init: bool = True
    """Let codes start as what their items have in common, instead of at random."""
    beams: int = Field(default=50, ge=1)
    """Beams of a search, at least as many as items asked for."""
    blend_weights: tuple[float, ...] = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0)
    """Weights of the codes in hybrid answers tried on the validation part; the best is kept."""
    boost_fractions: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)
    """How far new items are raised in hybrid answers: of what gives them the share of the lists
    that they have of the catalogue. The best of the validation part is kept."""


class TrainingConfig(BaseModel):
    """How the weights are found."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    objective: Literal["sampled-softmax", "bce"] = "sampled-softmax"
    """What is minimised where the answer is a set."""
    set_weight: float = Field(default=1.0, ge=0)
    """Weight of answers as a set; 0 trains none."""
    code_weight: float = Field(default=1.0, ge=0)
    """Weight of answers in codes, where the recipe has codes."""
    text_weight: float = Field(default=1.0, ge=0)
    """Weight of answers in words, where the recipe has tasks that are answered so."""
    target_contrast: float = Field(default=0.0, ge=0, le=1)
    """Share of the loss of replies that draws a reply read after its history to the same reply read
    alone (CALRec's L_TT)."""
    user_contrast: float = Field(default=0.0, ge=0, le=1)
    """Share that draws the history to the reply read alone (CALRec's L_UT)."""
    contrast_temperature: float = Field(default=0.1, gt=0)
    code_temperature: float = Field(default=1.0, gt=0)
    """Divides the logits of codes in training; below 1 hard negatives weigh more."""
    frozen: tuple[str, ...] = ()
    """Parts of the model that keep the weights they start with, by the beginning of their names:
    ``decoder`` where only the items are to be learned anew."""
    trained: tuple[str, ...] = ()
    """The only parts that learn, named alike; none means all."""
    tuning: TuningConfig | None = None
    """What of the backbone is trained from here on, such as a LoRA update of weights learned before
    (in an earlier stage, or by the model to start from); None goes on as before."""
    num_users: int = Field(default=0, ge=0)
    """Users to learn from, drawn once: few-shot tuning; 0 means all."""
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
    """Let ``torch.compile`` make the backbone faster, on a GPU alone: on a processor it takes
    minutes to begin and has not paid."""
    negatives: Literal["uniform", "in-batch"] = "uniform"
    """Where negatives come from. The targets of the batch, uncorrected, draw the scores to
    ``log p(i|u) - log p(i)``: what is popular in one shop is then not learned, which another shop
    could not use (the pre-training of UniSRec, arXiv 2206.05941). Other items of the same row are
    no negatives then."""
    num_negatives: int = Field(default=2048, ge=1)
    """Uniform negatives shared by a batch; at least the catalogue's size means the full softmax."""
    clip: float = Field(default=1.0, gt=0)
    """Largest norm of the gradient."""
    average: float = Field(default=0.0, ge=0, lt=1)
    """Decay of a running average of the weights, which is then what is validated and kept; 0 keeps
    the weights."""
    validate_every: int = Field(default=1, ge=1)
    """Epochs between validations."""
    patience: int = Field(default=5, ge=1)
    """Validations without improvement after which training stops."""
    checkpoint_seconds: float = Field(default=60.0, gt=0)
    """A kill loses at most this much work."""

    @model_validator(mode="after")
    def _negatives_that_the_objective_takes(self) -> "TrainingConfig":
        if self.objective == "bce" and self.negatives == "in-batch":
            raise ValueError("objective 'bce' wants one negative per target: negatives 'uniform'")
        return self


class Stage(BaseModel):
    """One stretch of training: what is asked, what may change, for how long.

    What is left out is as in the recipe. The stages of a recipe are run in turn, each from the
    weights that the one before it left.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str = ""
    without_backbone: bool = False
    """Left out where the backbone is pre-trained: it brings along what is learned here."""
    tasks: TasksConfig | None = None
    training: TrainingConfig | None = None
    item_format: tuple[ItemPart, ...] | None = None
    """How the items of a history are spelled, of the ways in ``model.item_format``."""
    curriculum: tuple[ItemPart, ...] | None = None
    """How they are spelled at first: the share of batches spelled so falls from all to none over
    the stage (the curriculum of LLaRA, arXiv 2312.02445)."""


class PriorConfig(BaseModel):
    """A baseline whose score is added to the model's logits when the next item is asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    baseline: BaselineConfig
    weights: tuple[float, ...] = (0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 14.0, 20.0)
    """Weights tried on the validation part; the best is kept."""
