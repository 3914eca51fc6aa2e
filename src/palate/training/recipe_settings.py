"""A recipe: all settings of one system, their checks, and what follows from them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, model_validator

from palate.config import deep_merged
from palate.items.encoders import ItemsConfig
from palate.language.tasks.blanks import BlankFilling
from palate.language.tasks.cold_start import ColdStart
from palate.language.tasks.from_titles import NextFromTitles
from palate.language.tasks.next_title import NextTitle
from palate.models.backbones.tuning import TuningConfig
from palate.models.baselines import BaselineConfig
from palate.models.device import Precision
from palate.models.model_config import ModelConfig
from palate.training.config import CodesConfig, PriorConfig, Stage, TasksConfig, TrainingConfig
from palate.training.prompting import PromptingConfig
from palate.training.stage_plan import Answer, StagePlan

Form = Literal["set", "codes", "hybrid", "titles"]
"""How a model answers: by user vectors, by generated codes, by both, or by titles."""

Paradigm = Literal["baselines", "set", "codes", "words", "pre-training", "tuning", "prompting"]
"""The group of a recipe in a list of recipes: how it answers, or what it studies."""

LEARNED_CODES = ("residual-kmeans", "rqvae", "product")
"""Kinds of index that are learned from vectors."""

LANGUAGE_MODEL_PARTS = frozenset(
    {"answers", "items", "model", "codes", "tasks", "training", "teacher", "stages", "prior"}
)
"""Keys that only a language model has that learns."""

DESCRIPTIVE = frozenset({"title", "paradigm", "summary", "paper", "measured"})
"""Keys that only people read."""


class Recipe(BaseModel):
    """One system: a baseline, the parts of a language model, or how a ready one is prompted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    paradigm: Paradigm | None = None
    summary: str = ""
    paper: str = ""
    measured: str = ""
    """Its result and the data, in a line; ``docs/results.md`` has the command."""
    baseline: BaselineConfig | None = None
    prompting: PromptingConfig | None = None
    """How a language model that has read is asked about the list of another recipe."""
    answers: tuple[Answer, ...] = ("set",)
    """What a language model answers in, its usual way first: the items nearest to user vectors
    (``set``), an item's ``codes`` generated one after the other, an item's title (``titles``), or
    other words (``text``). With ``set`` and ``codes`` it answers in a *hybrid* of both too."""
    items: ItemsConfig = ItemsConfig()
    model: ModelConfig = ModelConfig()
    codes: CodesConfig | None = None
    tasks: TasksConfig = TasksConfig()
    training: TrainingConfig = TrainingConfig()
    teacher: str = ""
    """Name of the recipe of a recommender that is trained first, and whose item vectors are the
    behaviour vectors of this one (LLaRA, CoLLM); none means that they come from co-occurrence."""
    stages: tuple[Stage, ...] = ()
    """Stages of training that differ; none means a single one with the recipe's settings."""
    prior: PriorConfig | None = None

    @model_validator(mode="before")
    @classmethod
    def _stages_over_the_recipe(cls, given: object) -> object:
        """Lay the tables of each stage over those of the recipe."""
        stages = given.get("stages") if isinstance(given, Mapping) else None
        if not isinstance(given, Mapping) or not isinstance(stages, list | tuple):
            return given
        below = {key: given.get(key, {}) for key in ("tasks", "training")}
        whole = [_laid_over(below, stage) for stage in stages]
        return {**given, "stages": whole}

    @model_validator(mode="after")
    def _check_baseline_or_parts(self) -> "Recipe":
        parts = LANGUAGE_MODEL_PARTS & self.model_fields_set
        if self.baseline is not None and self.prompting is not None:
            raise ValueError("a recipe has either [baseline] or [prompting]")
        if not self.learns_language and parts:
            kind = "baseline" if self.prompting is None else "recipe without training"
            raise ValueError(f"a {kind} has no {', '.join(sorted(parts))}")
        return self

    @model_validator(mode="after")
    def _check_stage_names(self) -> "Recipe":
        names = [stage.name for stage in self.stages if stage.name]
        if len(set(names)) < len(names):
            raise ValueError(f"two stages have the same name: {', '.join(names)}")
        return self

    @model_validator(mode="after")
    def _check_cold_start(self) -> "Recipe":
        cold_start = any(stage.tasks.share(ColdStart) for stage in self.resolved_stages)
        if self.model.num_queries == 0 and cold_start:
            raise ValueError(
                "tasks.cold_start needs model.num_queries of 1 or more: without query tokens "
                "the last event is read, and a new user has none"
            )
        return self

    @model_validator(mode="after")
    def _check_codes(self) -> "Recipe":
        fusion = self.model.fusion
        wanted = "codes" in self.model.item_format or fusion.use_codes or "codes" in self.answers
        if self.codes is None and wanted:
            raise ValueError(
                "'codes' among answers or in model.item_format, and model.fusion.use_codes, need "
                "[codes]"
            )
        if fusion.use_codes and (self.codes is None or self.codes.index.kind not in LEARNED_CODES):
            raise ValueError(
                f"model.fusion.use_codes needs codes.index of {', '.join(LEARNED_CODES)}"
            )
        if fusion.use_codes and self.codes and self.codes.vectors == "text+behaviour":
            raise ValueError("model.fusion.use_codes needs codes.vectors of one kind")
        if "hybrid" in self.forms and not self.model.num_queries:
            raise ValueError("answers in both forms need model.num_queries of 1 or more")
        return self

    @model_validator(mode="after")
    def _check_titles(self) -> "Recipe":
        if (
            any(each.tasks.share(NextFromTitles) for each in self.resolved_stages)
            and "title" not in self.model.item_format
        ):
            raise ValueError("tasks.from_titles needs 'title' in model.item_format")
        if self.model.copies and "title" not in self.model.item_format:
            raise ValueError(
                "model.copies needs 'title' in model.item_format: titles are what is copied"
            )
        return self

    @model_validator(mode="after")
    def _check_teacher(self) -> "Recipe":
        if self.teacher and "behaviour" not in self.items.modalities:
            raise ValueError("teacher needs 'behaviour' among items.modalities")
        return self

    @model_validator(mode="after")
    def _check_bidirectional_rows(self) -> "Recipe":
        if not self.model.bidirectional_rows:
            return self
        if not self.model.num_queries:
            raise ValueError(
                "model.bidirectional_rows needs model.num_queries of 1 or more: the state of an "
                "event would know the events after it"
            )
        trainings = [each.training for each in self.resolved_stages]
        if any(each.target_contrast + each.user_contrast for each in trainings):
            raise ValueError("model.bidirectional_rows has no target_contrast and no user_contrast")
        return self

    @model_validator(mode="after")
    def _check_blanks(self) -> "Recipe":
        if any(
            stage.tasks.share(BlankFilling) and "title" not in stage.model.item_format
            for stage in self.resolved_stages
        ):
            raise ValueError("tasks.blanks needs 'title' among what the model (or stage) reads")
        return self

    @model_validator(mode="after")
    def _check_item_formats(self) -> "Recipe":
        for stage in self.stages:
            unknown = {*(stage.item_format or ()), *(stage.curriculum or ())} - set(
                self.model.item_format
            )
            if unknown:
                raise ValueError(
                    f"a stage reads {', '.join(sorted(unknown))}, model.item_format does not"
                )
        return self

    @model_validator(mode="after")
    def _check_answers(self) -> "Recipe":
        if not self.learns_language:
            return self
        if len(set(self.answers)) < len(self.answers):
            raise ValueError("answers names something twice")
        tasks = [stage.tasks for stage in self.resolved_stages]
        by_items, in_words = any(t.by_items for t in tasks), any(t.in_words for t in tasks)
        if not by_items and not in_words:
            raise ValueError("a recipe needs a task: give one of [tasks] a share, as next_item = 1")
        self._check_answer_kinds(("set", "codes"), by_items, "by items")
        self._check_answer_kinds(("text", "titles"), in_words, "in words")
        if "titles" in self.answers and not any(each.share(NextTitle) for each in tasks):
            raise ValueError("answers has 'titles', which needs tasks.next_title")
        return self

    def _check_answer_kinds(self, ways: tuple[Answer, ...], trained: bool, answered: str) -> None:
        named = [repr(each) for each in self.answers if each in ways]
        if named and not trained:
            raise ValueError(
                f"answers has {' and '.join(named)}, but no task is answered {answered}"
            )
        if trained and not named:
            neither = " nor ".join(map(repr, ways))
            raise ValueError(f"a task is answered {answered}, but answers has neither {neither}")

    @property
    def resolved_stages(self) -> tuple[StagePlan, ...]:
        """The stages in their order, with every setting worked out; those skipped are left out."""
        pretrained = self.model.backbone is not None
        stages = self.stages or (Stage(tasks=self.tasks, training=self.training),)
        return tuple(
            StagePlan(
                answers=self.answers,
                model=self.model.model_copy(
                    update={"item_format": stage.item_format or self.model.item_format}
                ),
                tasks=stage.tasks,
                training=stage.training,
                name=stage.name,
                title=stage.title,
                curriculum=stage.curriculum,
                number=number,
            )
            for number, stage in enumerate(stages)
            if not (stage.without_backbone and pretrained)
        )

    def alone(self, stage: StagePlan) -> "Recipe":
        """Return the recipe with one of its stages and no other."""
        update = {"model": stage.model, "tasks": stage.tasks, "training": stage.training}
        return self.model_copy(update={**update, "stages": ()})

    @property
    def decisive(self) -> dict[str, object]:
        """The settings that decide what training does, without those that only people read."""
        only_read = {each: True for each in DESCRIPTIVE}
        of_stages = {"__all__": {"name", "title"}}
        return self.model_dump(mode="json", exclude={**only_read, "stages": of_stages})

    def in_precision(self, precision: Precision) -> "Recipe":
        """Return the recipe with a backbone in float32 where that precision was asked for."""
        backbone = self.model.backbone
        if precision != "float32" or backbone is None:
            return self
        backbone = backbone.model_copy(update={"dtype": precision})
        model = self.model.model_copy(update={"backbone": backbone})
        return self.model_copy(update={"model": model})

    @property
    def learns_language(self) -> bool:
        """Whether it trains a language model."""
        return self.baseline is None and self.prompting is None

    @property
    def untuned(self) -> "Recipe":
        """The recipe of the same model without tuning, as it is once an update is merged."""
        plain = {"training": self.training.model_copy(update={"tuning": None})}
        stages = tuple(
            stage.model_copy(
                update={"training": stage.training.model_copy(update={"tuning": None})}
            )
            for stage in self.stages
        )
        backbone = self.model.backbone
        if backbone is not None:
            backbone = backbone.model_copy(update={"tuning": TuningConfig()})
        model = self.model.model_copy(update={"backbone": backbone})
        return self.model_copy(update={**plain, "model": model, "stages": stages})

    @property
    def generates_text(self) -> bool:
        """Whether any stage trains a task that is answered in words."""
        return any(stage.tasks.in_words for stage in self.resolved_stages)

    @property
    def by_items(self) -> bool:
        """Whether it answers with items, as a set or by codes; titles count as words."""
        return bool({"set", "codes"}.intersection(self.forms))

    @property
    def by_items_alone(self) -> bool:
        """Whether it finds items by itself: a baseline, or a model that answers with them."""
        return self.baseline is not None or bool(self.forms)

    @property
    def max_history(self) -> int:
        """Events read for an answer with items: as many as in the last stage with such a task."""
        stages = [stage.tasks for stage in self.resolved_stages]
        return ([tasks for tasks in stages if tasks.by_items] or stages)[-1].max_history

    @property
    def made_of(self) -> str:
        """One line about its parts, for people."""
        if self.baseline is not None:
            return f"baseline {self.baseline.kind}"
        if self.prompting is not None:
            return self.prompting.made_of
        fusion, parts = self.model.fusion, []
        content = [name for name in self.items.modalities if name not in fusion.leaves_out]
        known = (["ID"] if fusion.use_id else []) + content
        known += ["codes"] if fusion.use_codes else []
        known += ["title, word by word"] if fusion.title_reader is not None else []
        whole = "item" in self.model.item_format or "set" in self.forms
        parts.append("reads " + " + ".join(self.model.item_format))
        parts += ["items of " + ", ".join(known)] if whole else []
        parts += [f"codes by {self.codes.index.kind}"] if self.codes is not None else []
        parts.append(
            "answers as "
            + ", ".join((*self.forms, *(each for each in self.answers if each == "text")))
        )
        decoder, backbone = self.model.decoder, self.model.backbone
        parts.append(
            f"{decoder.layers} layers of {decoder.width}"
            if backbone is None
            else f"backbone {Path(backbone.path).name}"
        )
        tunings = [each.training.tuning for each in self.resolved_stages if each.training.tuning]
        tunings += [backbone.tuning] if backbone is not None and not tunings else []
        parts += [f"tuned by {', '.join(each.kind for each in tunings)}"] if tunings else []
        parts += [f"taught by {self.teacher}"] if self.teacher else []
        parts += [f"prior {self.prior.baseline.kind}"] if self.prior is not None else []
        return "; ".join(parts)

    @property
    def forms(self) -> tuple[Form, ...]:
        """How a model of this recipe answers with items, its usual way first."""
        forms: list[Form] = [each for each in self.answers if each != "text"]
        if {"set", "codes"} <= set(forms):
            forms.insert(max(forms.index("set"), forms.index("codes")) + 1, "hybrid")
        return tuple(forms)


def _laid_over(below: Mapping[str, object], stage: object) -> object:
    """Return a stage with its tables laid over those ``below``; other values stay as they are."""
    tables = _table(stage)
    if tables is None:
        return stage
    merged: dict[str, object] = {}
    for key, under in below.items():
        over, known = _table(tables.get(key, {})), _table(under)
        if over is None or known is None:
            merged[key] = tables.get(key, under)
        else:
            merged[key] = deep_merged(known, over)
    return tables | merged


def _table(given: object) -> dict[str, object] | None:
    """Return the keys that are given of a table, from a file or from Python."""
    if isinstance(given, BaseModel):
        return given.model_dump(exclude_unset=True)
    return dict(given) if isinstance(given, Mapping) else None
