"""Prompt families: one file each, and the one list of them.

To add a family, write its file and enter its class in ``FAMILIES``; CONTRIBUTING.md has the steps.
Its place in the list decides the order in which a recipe's tasks are drawn.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache

from palate.data.dataset import Dataset
from palate.errors import ConfigError
from palate.language.tasks.blanks import BlankFilling
from palate.language.tasks.category import Category
from palate.language.tasks.choice import Choice
from palate.language.tasks.cold_start import ColdStart
from palate.language.tasks.direct import Direct
from palate.language.tasks.explanation import Explanation
from palate.language.tasks.from_titles import NextFromTitles
from palate.language.tasks.masked import MaskedBehaviour
from palate.language.tasks.next_behaviours import NextBehaviours
from palate.language.tasks.next_item import NextItem
from palate.language.tasks.next_title import NextTitle
from palate.language.tasks.objective import Objective
from palate.language.tasks.preference import Preference
from palate.language.tasks.profile import Profile
from palate.language.tasks.rating import Rating
from palate.language.tasks.scenario import Scenario
from palate.language.tasks.search import Search
from palate.language.tasks.summary import Summary
from palate.language.tasks.task import Task
from palate.language.tasks.title import Title
from palate.language.tasks.wish import Wished
from palate.language.tasks.yes_no import YesNo

FAMILIES: tuple[type[Task], ...] = (
    NextItem,
    NextFromTitles,
    Objective,
    Scenario,
    Category,
    Search,
    Wished,
    Direct,
    ColdStart,
    MaskedBehaviour,
    NextBehaviours,
    Rating,
    YesNo,
    Choice,
    Title,
    NextTitle,
    Profile,
    BlankFilling,
    Explanation,
    Summary,
    Preference,
)


def prompt_families() -> Mapping[str, type[Task]]:
    """Return the families that have wordings of their own, by name."""
    return _with_wordings(FAMILIES)


@cache
def _with_wordings(families: tuple[type[Task], ...]) -> Mapping[str, type[Task]]:
    """Return families by name; cached, since every request looks one up."""
    return {family.name: family for family in families if family.wordings.seen}


def judged_families() -> Mapping[str, type[Task]]:
    """Return the families that can be evaluated on held-out events, by name."""
    return {family.name: family for family in FAMILIES if family.judged_by is not None}


def shared_families() -> Mapping[str, type[Task]]:
    """Return every family by its key in recipes: the name with underscores."""
    return {family.name.replace("-", "_"): family for family in FAMILIES}


def slots_of(name: str) -> frozenset[str]:
    """Return the slots of a family's wordings; empty for an unknown family."""
    family = prompt_families().get(name)
    return frozenset() if family is None else family.slot_names


def usual_slots(name: str, dataset: Dataset) -> dict[str, str]:
    """Return the default value of each slot of a family's wordings, for this data."""
    choices = prompt_families()[name].slot_choices(dataset)
    return {slot: next(iter(values), "") for slot, values in choices.items()}


def answered_with_items(name: str) -> bool:
    """Return whether a family is answered with items; the others are answered with text."""
    family = prompt_families().get(name)
    return family is not None and family.answered_with == "items"


def needs_history(name: str) -> bool:
    """Return whether a family needs at least one event in the history."""
    family = prompt_families().get(name)
    return family is not None and family.needs_history


def checked_family(name: str, families: Mapping[str, type[Task]] | None = None) -> type[Task]:
    """Return the family called ``name`` among ``families``, by default all that have wordings.

    Raises:
        ConfigError: when there is no such family; the hint lists the nearest name, and all.
    """
    known = prompt_families() if families is None else families
    if name in known:
        return known[name]
    raise ConfigError(f"Unknown prompt family {name!r}.", hint=names_near(name, known))


def names_near(name: str, families: Mapping[str, type[Task]]) -> str:
    """Return the hint for an unknown name: the nearest family, and all of them."""
    renamed = [known for known, family in families.items() if name == family.formerly]
    if renamed:
        return f"It is called {renamed[0]!r} now."
    near = get_close_matches(name, families, 1)
    meant = f"Did you mean {near[0]!r}? " if near else ""
    return f"{meant}The families are {', '.join(families)}."
