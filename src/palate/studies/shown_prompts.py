"""Prompts as a person reads them: each family with its wordings, and one of them asked in full."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from palate.data.dataset import Dataset
from palate.language.prompts import SLOTS, Wordings, render
from palate.language.queries import make_queries
from palate.language.tasks import Task
from palate.language.text.reviews import read_reviews
from palate.training.build import levels_of
from palate.training.chosen_tasks import Material, chosen_tasks
from palate.training.config import TasksConfig
from palate.types import History

_MAX_HISTORY = 6
"""Events shown: enough to see how a prompt is made."""
_CANDIDATES = 5
_MOST_USERS = 50
"""Users that a family is tried on where none is named."""
_TRIES = 5


@dataclass(frozen=True)
class ShownFamily:
    """The wordings of one family."""

    family: str
    wordings: Wordings
    slots: tuple[str, ...]
    """What the wordings leave open."""
    rendered: str = ""
    """The first wording asked of a real user; empty without a user, or where nothing can be asked
    of what is known of the user."""
    user_id: str = ""
    """Who that is."""


def show_families(prompts: Mapping[str, Wordings], family: str | None = None) -> list[ShownFamily]:
    """Return the families as they are written, or the one that is named."""
    return [
        ShownFamily(name, wordings, tuple(sorted(SLOTS[name])))
        for name, wordings in prompts.items()
        if family in (None, name)
    ]


def asked_of(
    shown: Sequence[ShownFamily], dataset: Dataset, user_id: str | None = None
) -> list[ShownFamily]:
    """Return the families with one prompt each asked of a user of ``dataset``.

    Without ``user_id`` each family is asked of the first user of whom it can be.

    Raises:
        UnknownUserError: when the dataset does not hold the user.
    """
    histories = dataset.sequences[:_MOST_USERS] if user_id is None else [dataset.history(user_id)]
    tasks = {task.name: task for task in _every_task(dataset)}
    return [
        _asked(each, tasks[each.family], dataset, histories) if each.family in tasks else each
        for each in shown
    ]


def _asked(
    shown: ShownFamily, task: Task, dataset: Dataset, histories: Iterable[History]
) -> ShownFamily:
    rng = np.random.default_rng(0)
    for history in histories:
        for _ in range(_TRIES):
            slots = task.slots(rng)
            example = task.example(history, slots, rng)
            if example is not None:
                text = render(shown.wordings.seen[0], slots, example, dataset.catalog)
                user = dataset.interactions.users.ids[history.user_row or 0]
                return ShownFamily(shown.family, shown.wordings, shown.slots, text, str(user))
    return shown


def _every_task(dataset: Dataset) -> list[Task]:
    """Return every task that the data has something for."""
    queries = make_queries(dataset.catalog, 1, seed=0)
    material = Material(dataset, queries, read_reviews(dataset), levels_of(dataset))
    return chosen_tasks(material, _ONE_OF_EACH)[0]


_ONE_OF_EACH = TasksConfig(
    next_item=1,
    objective=1,
    scenario=1,
    category=1,
    search=1,
    direct=1,
    cold_start=1,
    masked=1,
    next_behaviours=1,
    rating=1,
    ranking=1,
    choice=1,
    title=1,
    next_title=1,
    profile=1,
    explanation=1,
    summary=1,
    preference=1,
    blanks=1,
    candidates=_CANDIDATES,
    max_history=_MAX_HISTORY,
)
