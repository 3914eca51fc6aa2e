"""Questions for a language model, and which of them it can answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from palate.errors import ConfigError, NotTrainedError
from palate.language.prompts import SLOTS
from palate.language.tasks import NextItem
from palate.language.text_tasks import NextTitle
from palate.training.chosen_tasks import BY_ITEMS
from palate.training.recipe import Form
from palate.training.system import LanguageModelSystem

_RECIPE_WITH: Mapping[Form, str] = {
    "set": "urm",
    "codes": "tiger",
    "hybrid": "urm-codes",
    "titles": "palate",
}


@dataclass(frozen=True)
class Ask:
    """What is asked of the model, beside the history."""

    family: str = "next-item"
    """Family of prompts; its first wording is used unless ``prompt`` is given."""
    prompt: str | None = None
    """Free text read in place of the wording."""
    slots: dict[str, str] = field(default_factory=dict)
    """Values of the wording's slots."""
    context: str = ""
    """Words read before the history: a query, a category."""
    wording: int = 0
    """Which of the seen wordings."""
    form: Form | None = None
    """In which form to answer; None is the model's usual one."""


def check_ask(parts: LanguageModelSystem, ask: Ask) -> None:
    """Refuse what a model cannot answer with items.

    Raises:
        NotTrainedError: when it was not trained on the family of prompts, or to answer in the form.
        ConfigError: when the slots are not those of the family.
    """
    if not parts.forms:
        raise words_alone()
    if ask.form is not None and ask.form not in parts.forms:
        raise NotTrainedError(
            f"This model was not trained to answer in the form {ask.form!r}; "
            f"it answers as {', '.join(parts.forms)}.",
            hint="Train one that can: palate train DATASET MODEL "
            f"--recipe {_RECIPE_WITH[ask.form]}",
        )
    answered = [family for family in parts.tasks if family in BY_ITEMS]
    if (ask.form or parts.forms[0]) == "titles":
        answered = [NextItem.name, NextTitle.name]
    if ask.prompt is None and ask.family not in answered:
        raise NotTrainedError(
            f"This model was not trained to answer {ask.family!r} with items; "
            f"it answers {', '.join(answered)}.",
            hint="Train one that can: palate train DATASET MODEL --recipe urm",
        )
    if ask.prompt is None and set(ask.slots) != SLOTS[ask.family]:
        raise ConfigError(
            f"{ask.family!r} has the slots {sorted(SLOTS[ask.family])}; "
            f"{sorted(ask.slots)} were given.",
            hint='Write Ask(family="objective", slots={"event": "purchase"}).',
        )


def words_alone() -> NotTrainedError:
    """Return the refusal of a model that finds no items."""
    return NotTrainedError(
        "This model answers in words alone: it recommends no items by itself.",
        hint="Let it rank items that are given: palate rank MODEL --user ID --items ID,ID,...",
    )
