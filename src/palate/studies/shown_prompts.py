"""Prompts for people: each family with its wordings, and one rendered example."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from palate.data.dataset import Dataset
from palate.language.prompt_text import PromptText
from palate.language.prompts import answer_of, render
from palate.language.queries import make_queries
from palate.language.tasks import prompt_families
from palate.language.tasks.material import Material
from palate.language.tasks.task import Task, TaskSettings, Wordings
from palate.language.text.reviews import read_reviews
from palate.training.build import levels_of
from palate.types import History

_SETTINGS = TaskSettings(max_history=6, candidates=5)
"""Few events and candidates: enough to see how a prompt is made."""
_MOST_USERS = 50
"""Maximum number of users tried for an example where no user is given."""
_TRIES = 5


@dataclass(frozen=True)
class ShownFamily:
    """The wordings of one family."""

    family: str
    description: str
    """One sentence about the question."""
    wordings: Wordings
    slots: tuple[str, ...]
    """The slots of the wordings."""
    rendered: str = ""
    """The first wording rendered for a real user; empty where no example is possible."""
    user_id: str = ""
    """The id of that user."""


def show_families(prompts: Mapping[str, Wordings], family: str | None = None) -> list[ShownFamily]:
    """Return all families with their wordings, or only ``family``."""
    return [
        ShownFamily(name, known.description, prompts[name], tuple(sorted(known.slot_names)))
        for name, known in prompt_families().items()
        if name in prompts and family in (None, name)
    ]


def with_example_prompts(
    shown: Sequence[ShownFamily],
    dataset: Dataset,
    user_id: str | None = None,
    text: PromptText | None = None,
) -> list[ShownFamily]:
    """Return the families, each with one prompt rendered for a user of ``dataset``.

    Without ``user_id`` each family uses the first user with a possible example. With ``text`` the
    prompts are those of a pre-trained model, word by word; else each input stands in a line.

    Raises:
        UnknownUserError: when the user is not in the dataset.
    """
    histories = dataset.sequences[:_MOST_USERS] if user_id is None else [dataset.history(user_id)]
    tasks = {task.name: task for task in _every_task(dataset)}
    return [
        _with_example_prompt(each, tasks[each.family], dataset, histories, text)
        if each.family in tasks
        else each
        for each in shown
    ]


def _with_example_prompt(
    shown: ShownFamily,
    task: Task,
    dataset: Dataset,
    histories: Iterable[History],
    text: PromptText | None,
) -> ShownFamily:
    rng = np.random.default_rng(0)
    for history in histories:
        for _ in range(_TRIES):
            slots = task.slots(rng)
            example = task.example(history, slots, rng)
            if example is not None:
                rendered = render(shown.wordings.seen[0], slots, example, dataset.catalog)
                if text is not None and example.hidden is None and example.gap is None:
                    wording = shown.wordings.seen[0].format(**slots)
                    titles = dataset.catalog.titles()
                    message = text.message(wording, example, task.frame, titles)
                    answer = answer_of(example, titles)
                    rendered = f"{message}\nanswer: {answer}"
                user = dataset.interactions.users.ids[history.user_row or 0]
                return replace(shown, rendered=rendered, user_id=str(user))
    return shown


def _every_task(dataset: Dataset) -> list[Task]:
    """Return every task that is possible with the data."""
    queries = make_queries(dataset.catalog, 1, seed=0)
    material = Material(dataset, queries, read_reviews(dataset), levels_of(dataset))
    offered = [family.offered(material, _SETTINGS) for family in prompt_families().values()]
    return [task for task in offered if task is not None]
