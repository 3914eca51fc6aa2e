"""Recipes: every system of the literature as a short TOML file over one set of parts."""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, model_validator

from palate.config import checked, parse_toml, with_overrides
from palate.errors import ConfigError
from palate.items.encoders import ItemsConfig
from palate.language.tasks.blanks import BlankFilling
from palate.language.tasks.cold_start import ColdStart
from palate.language.tasks.from_titles import NextFromTitles
from palate.language.tasks.next_title import NextTitle
from palate.models.backbones.tuning import TuningConfig
from palate.models.baselines import BaselineConfig
from palate.models.model_config import ModelConfig
from palate.training.config import CodesConfig, PriorConfig, Stage, TasksConfig, TrainingConfig

Form = Literal["set", "codes", "hybrid", "titles"]
"""How a model answers: by user vectors, by codes said one after the other, both, or titles."""

Paradigm = Literal["baselines", "set", "codes", "words", "pre-training", "tuning"]
"""Where a recipe stands in a list of them: by how it answers, or by what it is about."""

_LEARNED = ("residual-kmeans", "rqvae", "product")

LANGUAGE_MODEL_PARTS = frozenset(
    {"items", "model", "codes", "tasks", "training", "teacher", "stages", "prior"}
)
"""What a baseline does not have."""


class Recipe(BaseModel):
    """One system: what it is, and either a baseline or the parts of a language model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    paradigm: Paradigm | None = None
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
        if self.model.num_queries == 0 and self.tasks.share(ColdStart) > 0:
            raise ValueError(
                "tasks.cold_start needs model.num_queries of 1 or more: without query tokens "
                "the last event is read, and a new user has none"
            )
        return self

    @model_validator(mode="after")
    def _codes_where_they_are_needed(self) -> "Recipe":
        fusion, training = self.model.fusion, self.training
        wanted = "codes" in self.model.item_format or fusion.use_codes or not training.set_weight
        if self.codes is None and wanted:
            raise ValueError(
                "model.item_format of 'codes', model.fusion.use_codes and training.set_weight of 0 "
                "need [codes]"
            )
        if fusion.use_codes and (self.codes is None or self.codes.index.kind not in _LEARNED):
            raise ValueError(f"model.fusion.use_codes needs codes.index of {', '.join(_LEARNED)}")
        if fusion.use_codes and self.codes and self.codes.vectors == "text+behaviour":
            raise ValueError("model.fusion.use_codes needs codes.vectors of one kind")
        if "codes" in self.forms and "set" in self.forms and not self.model.num_queries:
            raise ValueError("answers in both forms need model.num_queries of 1 or more")
        if not self.by_items and not self.says_words:
            raise ValueError(
                "a recipe needs a task, and one answered by items needs training.set_weight or "
                "training.code_weight"
            )
        return self

    @model_validator(mode="after")
    def _titles_where_they_are_needed(self) -> "Recipe":
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
        trainings = [each.training for each in self.resolved_stages]
        if any(each.target_contrast + each.user_contrast for each in trainings):
            raise ValueError("model.bidirectional_rows has no target_contrast and no user_contrast")
        return self

    @model_validator(mode="after")
    def _blanks_are_said_in_words(self) -> "Recipe":
        if any(
            each.tasks.share(BlankFilling) and "title" not in each.model.item_format
            for each in self.resolved_stages
        ):
            raise ValueError("tasks.blanks needs 'title' among what the model (or stage) reads")
        return self

    @model_validator(mode="after")
    def _stages_read_what_the_model_reads(self) -> "Recipe":
        for stage in self.stages:
            unknown = {*(stage.item_format or ()), *(stage.curriculum or ())} - set(
                self.model.item_format
            )
            if unknown:
                raise ValueError(
                    f"a stage reads {', '.join(sorted(unknown))}, model.item_format does not"
                )
        return self

    @property
    def resolved_stages(self) -> tuple["Recipe", ...]:
        """The recipe of each stage, in the order in which they are run."""
        return tuple(
            self.model_copy(
                update={
                    "stages": (stage,),
                    "tasks": stage.tasks or self.tasks,
                    "training": stage.training or self.training,
                    "model": self.model.model_copy(
                        update={"item_format": stage.item_format or self.model.item_format}
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
        return any(recipe.tasks.in_words for recipe in self.resolved_stages)

    @property
    def by_items(self) -> bool:
        """Whether it answers with items as such, in a set or in codes; a title is words."""
        return bool({"set", "codes"}.intersection(self.forms))

    @property
    def max_history(self) -> int:
        """Events read for an answer with items: what the last stage with such a task was taught."""
        stages = [recipe.tasks for recipe in self.resolved_stages]
        return ([tasks for tasks in stages if tasks.by_items] or stages)[-1].max_history

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
        whole = "item" in self.model.item_format or "set" in self.forms
        parts.append("reads " + " + ".join(self.model.item_format))
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
        tunings = [each.training.tuning for each in self.resolved_stages if each.training.tuning]
        tunings += [backbone.tuning] if backbone is not None and not tunings else []
        parts += [f"tuned by {', '.join(each.kind for each in tunings)}"] if tunings else []
        parts += [f"taught by {self.teacher}"] if self.teacher else []
        parts += [f"prior {self.prior.baseline.kind}"] if self.prior is not None else []
        return "; ".join(parts)

    @property
    def forms(self) -> tuple[Form, ...]:
        """How a model of this recipe answers with items, its usual way first."""
        asked = any(recipe.tasks.by_items for recipe in self.resolved_stages)
        says_codes = asked and self.codes is not None and self.training.code_weight > 0
        says_sets = asked and self.training.set_weight > 0
        forms: dict[Form, bool] = {
            "set": says_sets,
            "codes": says_codes,
            "hybrid": says_sets and says_codes,
            "titles": any(recipe.tasks.share(NextTitle) for recipe in self.resolved_stages),
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
