"""Capabilities: what a trained system can answer, and which recipes could answer the rest."""

from collections.abc import Collection, Mapping
from functools import cache, cached_property
from typing import get_args

from palate.errors import ConfigError, NotTrainedError
from palate.inference.model_folder import TrainedModel
from palate.inference.request import Request
from palate.language.tasks import answered_with_items, checked_family, prompt_families, slots_of
from palate.language.tasks.next_item import NextItem
from palate.language.tasks.next_title import NextTitle
from palate.training.recipe import Form, Recipe, load_recipe, recipe_names

_WORDS_NEED = "urm"
"""Recipe suggested to users who want free-text prompts."""

FORMS: tuple[Form, ...] = get_args(Form)
"""Forms of answers with items: vectors, codes, hybrid, titles."""

PRINTED = ("explanation", "summary", "profile")
"""Families that every model answers in print, by what is chosen from data, trained or not."""


class Capabilities:
    """Checks requests before they are answered; it never reads a history."""

    def __init__(self, trained: TrainedModel, forms: Collection[str] = FORMS) -> None:
        """Read the capabilities of a system.

        Args:
            trained: the system with its dataset.
            forms: forms that are allowed; others are refused even if it was trained on them.
        """
        self._trained, self._system = trained, trained.system
        trained_on = trained.system.tasks
        self.tasks: tuple[str, ...] = tuple(x for x in trained_on if answered_with_items(x))
        """Families answered with items."""
        self.in_words: tuple[str, ...] = tuple(x for x in trained_on if not answered_with_items(x))
        """Families answered with text."""
        self._offered = tuple(form for form in FORMS if form in forms)
        self.forms: tuple[Form, ...] = tuple(x for x in self._system.forms if x in self._offered)
        """Forms in which it answers with items, the default first."""

    @property
    def reads_words(self) -> bool:
        """Whether the model itself reads a prompt in free words."""
        return self._system.reads_words

    @property
    def follows_wishes(self) -> bool:
        """Whether a prompt in free words changes the answer: wishes move the list of any model."""
        return self.reads_words or bool(self.forms)

    @property
    def reads_new_items(self) -> bool:
        """Whether it can recommend an item that was not in the training catalogue."""
        return self._system.reads_new_items

    @property
    def compares_items(self) -> bool:
        """Whether it can compute the similarity of two items."""
        return "set" in self.forms and self._system.is_personal

    def check(self, request: Request, *, steered: bool = False) -> None:
        """Refuse a request that cannot be answered with items.

        Args:
            request: what is asked.
            steered: whether its prompt is a wish, which any system that recommends can follow.

        Raises:
            NotTrainedError: naming the recipes that can.
            ConfigError: when slots are missing or have values that are not in the data.
        """
        if request.form is not None and request.form not in self.forms:
            raise self._other_form(request.form)
        self.check_recommends()
        if request.prompt is not None:
            if not (steered or self.reads_words):
                raise NotTrainedError(
                    f"{self._name!r} reads no words.",
                    hint=f"Train one that does: palate train DATASET MODEL --recipe {_WORDS_NEED}",
                )
            return
        self._check_family(request)
        if request.slots or slots_of(request.family):
            self._check_slots(request)

    def _check_family(self, request: Request) -> None:
        answered: tuple[str, ...] = self.tasks
        if (request.form or self.forms[0]) == "titles":
            answered = (NextItem.name, NextTitle.name)
        if request.family in answered:
            return
        if request.family in self.in_words:
            raise NotTrainedError(
                f"{self._name!r} answers {request.family!r} in words, not with items.",
                hint="Ask for a rating or an explanation by itself: palate rate, palate explain, "
                "POST /v1/rate, POST /v1/explain. "
                f"For items ask one of: {', '.join(answered)}.",
            )
        checked_family(request.family)
        raise NotTrainedError(
            f"{self._name!r} was not trained to answer {request.family!r} with items; "
            f"it answers {', '.join(answered)}.",
            hint=_how_to_get(recipes_that_answer(request.family)),
        )

    def check_recommends(self) -> None:
        """Refuse a model that cannot recommend items.

        Raises:
            NotTrainedError: with a hint at what the model can do.
        """
        if not self.forms:
            raise NotTrainedError(
                f"{self._name!r} answers in words alone: it recommends no items by itself.",
                hint="Let it rank items that are given: palate rank MODEL --user ID "
                "--items ID,ID,...",
            )

    @property
    def wordless(self) -> NotTrainedError:
        """The error of a system that answers no family with text, or single texts alone."""
        but = f" but {', '.join(self.in_words)}, of one text at a time" if self.in_words else ""
        return NotTrainedError(
            f"The {self._system.kind} {self._name!r} gives no text answers{but}.",
            hint="Train a model that does: palate train DATASET MODEL --recipe palate",
        )

    def check_words(self, family: str) -> None:
        """Refuse a text family that the model was not trained on.

        Raises:
            NotTrainedError: naming the recipes that can.
        """
        if family in self.in_words:
            return
        known = prompt_families()[family]
        to_do, shown_by = known.to_do, known.shown_by
        refusal = f"The {self._system.kind} {self._name!r} was not trained to {to_do}."
        if not self.in_words:
            refusal = f"{str(self.wordless.message).rstrip('.')}: it cannot {to_do}."
        raise NotTrainedError(
            f"{refusal} It answers {', '.join((*self.tasks, *self.in_words))}.",
            hint=f"It takes data with {shown_by}. {_how_to_get(recipes_that_answer(family))}",
        )

    def describe(self) -> dict[str, object]:
        """Return the capabilities as JSON values."""
        trained = self._trained
        return {
            "recipe": trained.recipe.title,
            "kind": self._system.kind,
            "dataset": trained.dataset.name,
            "forms": list(self.forms),
            "tasks": [{"family": family, "slots": self._choices(family)} for family in self.tasks],
            "answers_in_words": [*self.in_words, *(x for x in PRINTED if x not in self.in_words)],
            "free_text": self.follows_wishes,
            "new_items": {
                "answered": self.reads_new_items,
                "explanation": "A new item is read by its text, brand, categories and price."
                if self.reads_new_items
                else "It knows items by what was done with them in training: a new item is shown "
                "only after training again.",
            },
            "new_users": "cold-start" if "cold-start" in self.tasks else "popular",
            "events": list(trained.dataset.interactions.event_types),
            "max_history": self._system.max_history,
            "cannot": self._cannot,
        }

    @cached_property
    def _cannot(self) -> list[dict[str, object]]:
        able = {*self.tasks, *self.in_words, *PRINTED}
        missing = [family for family in prompt_families() if family not in able]
        found: list[dict[str, object]] = [
            {"what": family, "recipes": recipes_that_answer(family)} for family in missing
        ]
        found += [
            {"what": f"form {form}", "recipes": recipes_of_form(form)}
            for form in self._offered
            if form not in self.forms
        ]
        for what, can in (("free_text", self.follows_wishes), ("new_items", self.reads_new_items)):
            if not can:
                found.append({"what": what, "recipes": [_WORDS_NEED]})
        return found

    @property
    def _name(self) -> str:
        return self._trained.name

    def _choices(self, family: str) -> dict[str, list[str]]:
        known = prompt_families().get(family)
        choices = {} if known is None else known.slot_choices(self._trained.dataset)
        return {slot: list(values) for slot, values in sorted(choices.items())}

    def _other_form(self, form: str) -> NotTrainedError:
        """Return the error for a form in which the model does not answer."""
        answered = ", ".join(self.forms) or "words alone"
        if form in self._system.forms:
            return NotTrainedError(
                f"{self._name!r} is not asked in the form {form!r} here; it answers in: "
                f"{answered}.",
                hint=f"Ask for it on the command line: palate recommend MODEL --form {form}",
            )
        return NotTrainedError(
            f"{self._name!r} was not trained to answer in the form {form!r}; "
            f"it answers in: {answered}.",
            hint=_how_to_get(recipes_of_form(form)),
        )

    def _check_slots(self, request: Request) -> None:
        choices = self._choices(request.family)
        if set(request.slots) != set(choices):
            raise ConfigError(
                f"{request.family!r} has the slots {sorted(choices)}; "
                f"{sorted(request.slots)} were given.",
                hint=f"Give one of each: {choices}.",
            )
        for slot, value in request.slots.items():
            if value not in choices[slot]:
                raise ConfigError(
                    f"There is no {slot} {value!r} in what {self._name!r} was trained on.",
                    hint=f"There are: {', '.join(choices[slot])}.",
                )


def recipes_that_answer(family: str) -> list[str]:
    """Return the recipes of the package that train a family of prompts, the most general first."""
    if family not in prompt_families():
        return []
    found = [name for name, recipe in _recipes().items() if family in _families(recipe)]
    return sorted(found, key=lambda name: (-len(_families(_recipes()[name])), name))


def recipes_of_form(form: str) -> list[str]:
    """Return the recipes of the package whose language model answers in a form."""
    return [name for name, recipe in _recipes().items() if form in recipe.forms]


@cache
def _recipes() -> Mapping[str, Recipe]:
    """Return the recipes of the package that train a language model."""
    recipes = {name: load_recipe(name) for name in recipe_names()}
    return {name: recipe for name, recipe in recipes.items() if recipe.learns_language}


def _families(recipe: Recipe) -> list[str]:
    """Return the families of prompts that any stage of a recipe trains."""
    return [
        name
        for name, family in prompt_families().items()
        if any(stage.tasks.share(family) > 0 for stage in recipe.resolved_stages)
    ]


def _how_to_get(recipes: list[str]) -> str:
    if not recipes:
        return "No recipe of this version trains it."
    return (
        f"Train one that can ({', '.join(recipes)}): "
        f"palate train DATASET MODEL --recipe {recipes[0]}"
    )
