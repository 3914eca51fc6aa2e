"""Recipes in the terminal: a list with one line each, or a single one in full."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, get_args

from palate.config import to_toml
from palate.terminal.tables import show
from palate.terminal.words import say

if TYPE_CHECKING:
    from palate.training.recipe import Recipe

_HEADINGS = {
    "baselines": "Baselines",
    "set": "Answers as a set: one pass over the whole catalogue",
    "codes": "Answers in codes: an item is said code by code",
    "words": "Answers in words",
    "pre-training": "Pre-training on behaviour, on text, on other shops",
    "tuning": "Tuning: a language model is shown what people chose",
    "prompting": "Prompting without training: a ready language model is asked (--llm URL|FOLDER)",
}


def recipe_facts(recipe: "Recipe") -> dict[str, object]:
    """Return the descriptive keys of a recipe, for programs."""
    return {
        "title": recipe.title,
        "paradigm": recipe.paradigm,
        "paper": recipe.paper,
        "summary": recipe.summary,
        "made_of": recipe.made_of,
        "measured": recipe.measured,
    }


def recipe_settings(recipe: "Recipe") -> dict[str, object]:
    """Return every setting of a recipe, including those with their default values."""
    from palate.training.recipe import LANGUAGE_MODEL_PARTS

    about = {"title", "paradigm", "paper", "summary", "measured"}
    absent = frozenset() if recipe.learns_language else LANGUAGE_MODEL_PARTS
    kinds = {"baseline": recipe.baseline, "prompting": recipe.prompting}
    absent |= {name for name, settings in kinds.items() if settings is None}
    return recipe.model_dump(mode="json", exclude=about | absent)


def show_recipes(recipes: "Mapping[str, Recipe]") -> None:
    """Print the names of recipes by group, with a line on each."""
    from rich.markup import escape
    from rich.table import Table

    from palate.training.recipe import Paradigm

    for paradigm in get_args(Paradigm):
        found = {name: each for name, each in recipes.items() if each.paradigm == paradigm}
        show(f"[bold]{escape(_HEADINGS[paradigm])}[/bold]")
        table = Table(box=None, show_header=False, pad_edge=False, expand=True)
        table.add_column(no_wrap=True, width=2 + max(map(len, recipes)))
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        for name, recipe in found.items():
            table.add_row(escape(f"  {name}"), escape(recipe.summary))
        show(table, "")
    say("More of one: palate recipes NAME")
    say("To train it: palate train DATASET MODEL --recipe NAME")


def show_recipe(name: str, recipe: "Recipe") -> None:
    """Print a recipe in full: its description, its parts and every setting."""
    from rich.markup import escape
    from rich.table import Table

    show(f"[bold]{escape(name)}[/bold]: {escape(recipe.title)}", escape(recipe.summary), "")
    table = Table(box=None, show_header=False, pad_edge=False)
    for key, value in (
        ("Paper", recipe.paper),
        ("Made of", recipe.made_of),
        ("Measured", recipe.measured),
        ("Cost", _cost(recipe)),
    ):
        table.add_row(key, escape(value or "-"))
    show(table, "", "Every setting, as --set takes it:", "")
    say(to_toml(recipe_settings(recipe)).rstrip())


def _cost(recipe: "Recipe") -> str:
    """Return the cost of training in words; the time depends on the data and is printed then."""
    if recipe.baseline is not None:
        return "seconds to minutes: it counts, or factorises one matrix"
    if recipe.prompting is not None:
        return f"that of {recipe.prompting.base}; then prompts for every list that is asked for"
    trainings = [stage.training for stage in recipe.resolved_stages]
    epochs = " + ".join(str(training.epochs) for training in trainings)
    tokens = max(training.tokens_per_batch for training in trainings)
    taught = f", after its teacher {recipe.teacher}" if recipe.teacher else ""
    return (
        f"at most {epochs} epochs in batches of {tokens:,} tokens{taught}; "
        "time and memory are printed after the first steps"
    )
