"""Answer sheet: prompts about held-out events with the true answers, to evaluate text answers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Int

from palate.data.dataset import Dataset
from palate.data.split import PartName
from palate.errors import DataError, NotTrainedError
from palate.inference.text_answers import TextAnswers
from palate.language.held_out import held_out_events, held_out_examples
from palate.language.tasks.task import Example, HeldOut, Task
from palate.language.text.reviews import Reviews, read_held_out
from palate.recommender.recommender import Recommender

SEED = 0
"""Seed of all sampling, the same for every model."""


@dataclass(frozen=True)
class Sheet:
    """The prompts of one task about held-out events, with the true answers."""

    recommender: Recommender
    task: Task
    wording: str
    events: Sequence[HeldOut]
    examples: Sequence[Example]
    """One per event, with the true answers."""
    reviews: Reviews | None
    """Reviews of the part."""

    @property
    def answers(self) -> TextAnswers:
        """Text answers of the model."""
        return self.recommender.answers

    @property
    def dataset(self) -> Dataset:
        """The dataset of the model."""
        return self.recommender.dataset

    @cached_property
    def unanswered(self) -> list[Example]:
        """The prompts without the true answers."""
        return [replace(example, target_texts=()) for example in self.examples]

    @cached_property
    def target_texts(self) -> list[str]:
        """The true answers, one per prediction."""
        return [text for example in self.examples for text in example.target_texts]

    @cached_property
    def candidates(self) -> list[Int[np.ndarray, " candidates"]]:
        """The candidates of each prompt."""
        rows = [e.candidates.ravel() for e in self.examples if e.candidates is not None]
        return [row[row >= 0] for row in rows]

    @property
    def titles(self) -> Sequence[str]:
        """Title of every item; empty where it has none."""
        return self.answers.material.titles

    def generate(self) -> list[str]:
        """Return the generated answer to each prompt."""
        return self.answers.generate(self.task, self.unanswered, self.wording)


def sheet_of(
    recommender: Recommender,
    family: str,
    part: PartName,
    wording: str | None,
    most: int | None,
) -> Sheet:
    """Return the prompts of one family about at most ``most`` held-out events.

    Raises:
        NotTrainedError: when the model was not trained on the family.
        DataError: when the part has no events for this family.
    """
    answers, dataset = recommender.answers, recommender.dataset
    if family not in answers.tasks:
        raise NotTrainedError(
            f"This model was not trained on {family!r}; it answers {', '.join(recommender.tasks)}.",
            hint="Train one that can, from data that shows how: "
            "palate train DATASET MODEL --recipe palate",
        )
    rng, task = np.random.default_rng(SEED), answers.tasks[family]
    events = held_out_events(dataset, part)
    if most is not None:
        events = [events[place] for place in np.sort(rng.permutation(len(events))[:most])]
    known = answers.reviews
    reviews = None if known is None else read_held_out(dataset, part, known)
    pairs = list(held_out_examples(task, events, reviews, rng))
    if not pairs:
        raise DataError(
            f"The {part} part of {dataset.name!r} holds nothing to judge {family!r} by.",
            hint="Judge by data whose held-out events have it: ratings, titles or reviews.",
        )
    return Sheet(
        recommender=recommender,
        task=task,
        wording=wording or answers.question(task, ()).instruction,
        events=[event for event, _ in pairs],
        examples=[example for _, example in pairs],
        reviews=reviews,
    )
