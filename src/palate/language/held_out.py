"""Held-out events and the prompts of text tasks about them, with the true answers."""

from collections.abc import Iterator, Sequence

import numpy as np

from palate.data.dataset import Dataset
from palate.data.split import Part, PartName
from palate.language.tasks.task import Example, HeldOut, Task
from palate.language.text.reviews import Reviews


def held_out_events(dataset: Dataset, part: PartName) -> list[HeldOut]:
    """Return every event of a part held out, with all that its user did before the part began.

    Raises:
        ConfigError: when the part was moved into training.
    """
    dataset.split.check_held_out(part)
    interactions = dataset.interactions
    places = np.flatnonzero(dataset.split.parts == Part.named(part))
    users = interactions.user_rows[places]
    starts = np.flatnonzero(np.diff(users, prepend=-1))
    firsts = np.repeat(places[starts], np.diff(starts, append=len(places)))
    return [
        HeldOut(
            interactions.history(user, slice(int(interactions.offsets[user]), first)),
            interactions.history(user, slice(place, place + 1)),
        )
        for user, first, place in zip(users.tolist(), firsts.tolist(), places.tolist(), strict=True)
    ]


def held_out_examples(
    task: Task, events: Sequence[HeldOut], reviews: Reviews | None, rng: np.random.Generator
) -> Iterator[tuple[HeldOut, Example]]:
    """Yield each event with the prompt of ``task`` and the true answer, where there is one.

    Args:
        task: a task that is answered in words.
        events: of the part held out.
        reviews: of that part, where it has reviews.
        rng: draws candidates and negatives.
    """
    for event in events:
        example = task.held_out(event, reviews, rng)
        if example is not None:
            yield event, example
