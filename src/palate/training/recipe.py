"""Recipes: every system of the literature as a short TOML file over one set of parts."""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from palate.config import checked, parse_toml, with_overrides
from palate.errors import ConfigError
from palate.items.codes.index import IndexConfig
from palate.items.encoders import ItemsConfig
from palate.language.spelling import Way
from palate.models.backbones.tuning import TuningConfig
from palate.models.baselines import BaselineConfig
from palate.models.language_model import ModelConfig


class TasksConfig(BaseModel):
    """What is asked in training: the share of each task; 1 is one pass over all users per epoch."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    next_item: float = Field(default=1.0, ge=0)
    from_titles: float = Field(default=0.0, ge=0)
    """The next item after a history told in titles alone, whatever the model reads otherwise
    (LC-Rec's asymmetric prediction); needs ``title`` in ``model.reads``."""
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
    vectors: Literal["text", "image", "behaviour"] = "text"
    """What learned codes are learned from."""
    settle: bool = True
    """Let codes start as what their items have in common, instead of at random."""
    beams: int = Field(default=50, ge=1)
    """Beams of a search, at least as many as items asked for."""
    blend_weights: tuple[float, ...] = (0.0, 0.25, 0.5, 1.0, 2.0)
    """Weights of the codes in hybrid answers tried on the validation part; the best is kept."""


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
    num_negatives: int = Field(default=2048, ge=1)
    """Negatives shared by a batch; at least the catalogue's size means the full softmax."""
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
    reads: tuple[Way, ...] | None = None
    """How the items of a history are spelled, of the ways in ``model.reads``."""
    easier: tuple[Way, ...] | None = None
    """How they are spelled at first: the share of batches spelled so falls from all to none over
    the stage (the curriculum of LLaRA, arXiv 2312.02445)."""


class PriorConfig(BaseModel):
    """A baseline whose score is added to the model's logits when the next item is asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    baseline: BaselineConfig
    weights: tuple[float, ...] = (0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 14.0, 20.0)
    """Weights tried on the validation part; the best is kept."""


Form = Literal["set", "codes", "hybrid"]
"""How a model answers: by user vectors, by codes said one after the other, or by both."""

_LEARNED = ("residual-kmeans", "rqvae", "product")

LANGUAGE_MODEL_PARTS = frozenset(
    {"items", "model", "codes", "tasks", "training", "teacher", "stages", "prior"}
)
"""What a baseline does not have."""


class Recipe(BaseModel):
    """One system: what it is, and either a baseline or the parts of a language model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    summary: str = ""
    paper: str = ""
    measured: str = ""
    """What it reached, on what, in a line; ``docs/results.md`` has the command."""
    baseline: BaselineConfig | None = None
    items: ItemsConfig = ItemsConfig()
    model: ModelConfig = ModelConfig()
    codes: CodesConfig | None = None
    tasks: TasksConfig = TasksConfig()
    training: TrainingConfig = TrainingConfig()
    teacher: str = ""
    """Name of the recipe of a recommender that is trained first, and whose item vectors are the
    behaviour vectors of this one (LLaRA, CoLLM); none means that they come from co-occurrence."""
    stages: tuple[Stage, ...] = ()
    """Stretches of training that differ; none means one, as the recipe says."""
    prior: PriorConfig | None = None

    @model_validator(mode="after")
    def _one_or_the_other(self) -> "Recipe":
        parts = LANGUAGE_MODEL_PARTS & self.model_fields_set
        if self.baseline is not None and parts:
            raise ValueError(f"a baseline has no {', '.join(sorted(parts))}")
        return self

    @model_validator(mode="after")
    def _an_event_to_read(self) -> "Recipe":
        if self.model.num_queries == 0 and self.tasks.cold_start > 0:
            raise ValueError(
                "tasks.cold_start needs model.num_queries of 1 or more: without query tokens "
                "the last event is read, and a new user has none"
            )
        return self

    @model_validator(mode="after")
    def _codes_where_they_are_needed(self) -> "Recipe":
        fusion, training = self.model.fusion, self.training
        wanted = "codes" in self.model.reads or fusion.use_codes or not training.set_weight
        if self.codes is None and wanted:
            raise ValueError(
                "model.reads of 'codes', model.fusion.use_codes and training.set_weight of 0 "
                "need [codes]"
            )
        if fusion.use_codes and (self.codes is None or self.codes.index.kind not in _LEARNED):
            raise ValueError(f"model.fusion.use_codes needs codes.index of {', '.join(_LEARNED)}")
        if "codes" in self.forms and "set" in self.forms and not self.model.num_queries:
            raise ValueError("answers in both forms need model.num_queries of 1 or more")
        if not self.forms and not self.says_words:
            raise ValueError(
                "a recipe needs a task, and one answered by items needs training.set_weight or "
                "training.code_weight"
            )
        return self

    @model_validator(mode="after")
    def _titles_where_they_are_needed(self) -> "Recipe":
        if any(each.tasks.from_titles for each in self.in_turn) and "title" not in self.model.reads:
            raise ValueError("tasks.from_titles needs 'title' in model.reads")
        return self

    @model_validator(mode="after")
    def _a_teacher_is_heard(self) -> "Recipe":
        if self.teacher and "behaviour" not in self.items.modalities:
            raise ValueError("teacher needs 'behaviour' among items.modalities")
        return self

    @model_validator(mode="after")
    def _rows_read_both_ways(self) -> "Recipe":
        if not self.model.bidirectional_rows:
            return self
        if not self.model.num_queries:
            raise ValueError(
                "model.bidirectional_rows needs model.num_queries of 1 or more: the state of an "
                "event would know the events after it"
            )
        trainings = [each.training for each in self.in_turn]
        if any(each.target_contrast + each.user_contrast for each in trainings):
            raise ValueError("model.bidirectional_rows has no target_contrast and no user_contrast")
        return self

    @model_validator(mode="after")
    def _blanks_are_said_in_words(self) -> "Recipe":
        if any(each.tasks.blanks and "title" not in each.model.reads for each in self.in_turn):
            raise ValueError("tasks.blanks needs 'title' among what the model (or stage) reads")
        return self

    @model_validator(mode="after")
    def _stages_read_what_the_model_reads(self) -> "Recipe":
        for stage in self.stages:
            unknown = {*(stage.reads or ()), *(stage.easier or ())} - set(self.model.reads)
            if unknown:
                raise ValueError(
                    f"a stage reads {', '.join(sorted(unknown))}, model.reads does not"
                )
        return self

    @property
    def in_turn(self) -> tuple["Recipe", ...]:
        """The recipe of each stage, in the order in which they are run."""
        return tuple(
            self.model_copy(
                update={
                    "stages": (stage,),
                    "tasks": stage.tasks or self.tasks,
                    "training": stage.training or self.training,
                    "model": self.model.model_copy(
                        update={"reads": stage.reads or self.model.reads}
                    ),
                }
            )
            for stage in self._run or (Stage(),)
        )

    @property
    def _run(self) -> list[Stage]:
        pretrained = self.model.backbone is not None
        return [stage for stage in self.stages if not (stage.without_backbone and pretrained)]

    @property
    def untuned(self) -> "Recipe":
        """The recipe of the same model with plain weights."""
        plain = {"tuning": None}
        stages = tuple(
            stage.model_copy(
                update={"training": stage.training and stage.training.model_copy(update=plain)}
            )
            for stage in self.stages
        )
        backbone = self.model.backbone
        if backbone is not None:
            backbone = backbone.model_copy(update={"tuning": TuningConfig()})
        return self.model_copy(
            update={
                "model": self.model.model_copy(update={"backbone": backbone}),
                "training": self.training.model_copy(update=plain),
                "stages": stages,
            }
        )

    @property
    def says_words(self) -> bool:
        """Whether any stage trains a task that is answered in words."""
        return any(recipe.tasks.in_words for recipe in self.in_turn)

    @property
    def made_of(self) -> str:
        """What a person wants to know of its parts, in a line."""
        if self.baseline is not None:
            return f"baseline {self.baseline.kind}"
        fusion, parts = self.model.fusion, []
        content = [name for name in self.items.modalities if name not in fusion.leaves_out]
        known = (["ID"] if fusion.use_id else []) + content
        known += ["codes"] if fusion.use_codes else []
        known += ["title, word by word"] if fusion.title_reader is not None else []
        whole = "item" in self.model.reads or "set" in self.forms
        parts.append("reads " + " + ".join(self.model.reads))
        parts += ["items of " + ", ".join(known)] if whole else []
        parts += [f"codes by {self.codes.index.kind}"] if self.codes is not None else []
        parts.append(
            "answers as " + ", ".join((*self.forms, *(["text"] if self.says_words else [])))
        )
        decoder, backbone = self.model.decoder, self.model.backbone
        parts.append(
            f"{decoder.layers} layers of {decoder.width}"
            if backbone is None
            else f"backbone {Path(backbone.path).name}"
        )
        tunings = [each.training.tuning for each in self.in_turn if each.training.tuning]
        tunings += [backbone.tuning] if backbone is not None and not tunings else []
        parts += [f"tuned by {', '.join(each.kind for each in tunings)}"] if tunings else []
        parts += [f"taught by {self.teacher}"] if self.teacher else []
        parts += [f"prior {self.prior.baseline.kind}"] if self.prior is not None else []
        return "; ".join(parts)

    @property
    def forms(self) -> tuple[Form, ...]:
        """How a model of this recipe answers with items, its usual way first."""
        asked = any(recipe.tasks.by_items for recipe in self.in_turn)
        says_codes = asked and self.codes is not None and self.training.code_weight > 0
        says_sets = asked and self.training.set_weight > 0
        forms: dict[Form, bool] = {
            "set": says_sets,
            "codes": says_codes,
            "hybrid": says_sets and says_codes,
        }
        return tuple(form for form, said in forms.items() if said)


def recipe_names() -> list[str]:
    """Return the names of the recipes in the package."""
    return sorted(
        file.name.removesuffix(".toml")
        for file in files("palate.recipes").iterdir()
        if file.name.endswith(".toml")
    )


def load_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """Return the recipe called ``name``, or the one in the TOML file of that path.

    Raises:
        ConfigError: when there is no such recipe, or it cannot be used.
    """
    if name.endswith(".toml"):
        path = Path(name)
        if not path.is_file():
            raise ConfigError(f"No recipe file {name!r}.", hint="Give a path to a TOML file.")
        text = _text(path)
    elif name in recipe_names():
        text = files("palate.recipes").joinpath(f"{name}.toml").read_text()
    else:
        raise ConfigError(
            f"Unknown recipe {name!r}.",
            hint=f"Recipes: {', '.join(recipe_names())}; or a path to a TOML file.",
        )
    tables = with_overrides(parse_toml(text, f"Recipe {name!r}"), overrides)
    return checked(Recipe, tables, f"Recipe {name!r}")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"The recipe {str(path)!r} cannot be read: {error}.", hint="Write it as TOML in UTF-8."
        ) from error
