"""What the text tasks ask of events that were held out, and what was said of them in truth."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from palate.data.dataset import Dataset
from palate.data.split import Part, PartName
from palate.language.blanks import BlankFilling
from palate.language.review_tasks import Explanation, Preference, Summary, preference_words
from palate.language.tasks import Example, Task
from palate.language.text.reviews import Reviews
from palate.language.text_tasks import (
    NO,
    YES,
    Choice,
    NextTitle,
    Profile,
    Ranking,
    Rating,
    unseen_items,
)
from palate.types import History


@dataclass(frozen=True)
class HeldOut:
    """One event that a model has not seen, with the history before it."""

    before: History
    event: History
    """A single event."""

    @property
    def item_row(self) -> int:
        """The item of the event."""
        return int(self.event.item_rows[0])

    @property
    def rating(self) -> float | None:
        """Its rating; None where there is none."""
        ratings = self.event.ratings
        return None if ratings is None or np.isnan(ratings[0]) else float(ratings[0])

    @property
    def place(self) -> int:
        """Its place in the dataset."""
        assert self.event.places is not None
        return int(self.event.places[0])


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
    """Yield what ``task`` asks of each event and the true reply, where there is one.

    Args:
        task: a task that is answered in words.
        events: of the part held out.
        reviews: of that part, where it has reviews.
        rng: draws candidates and negatives.
    """
    for event in events:
        example = _example(task, event, reviews, rng)
        if example is not None:
            yield event, example


def _example(
    task: Task, event: HeldOut, reviews: Reviews | None, rng: np.random.Generator
) -> Example | None:
    before, row = event.before, event.item_row
    match task:
        case Rating():
            if event.rating is None:
                return None
            reply = task.words_of(event.rating)
            return replace(task.ask(before, np.asarray([row])), target_texts=[reply])
        case Ranking():
            return _ranking(task, event, rng)
        case Choice():
            if not task.titles[row]:
                return None
            candidates = task.candidates(before, row, rng)
            return replace(task.ask(before, candidates), target_texts=[task.titles[row]])
        case BlankFilling():
            return task.ask_last(before.extended(event.event))
        case NextTitle():
            title = task.titles[row]
            return replace(task.ask(before), target_texts=[title]) if title else None
        case Profile():
            told = task.facts.profile(before.extended(event.event).item_rows)
            return None if told is None else replace(task.ask(before), target_texts=[told])
        case Explanation() | Summary() | Preference():
            return None if reviews is None else _of_review(task, event, reviews)
    return None


def _ranking(task: Ranking, event: HeldOut, rng: np.random.Generator) -> Example | None:
    if task.threshold is None:
        others = unseen_items(event.before, 1, task.num_items, rng)
        candidates = np.concatenate([[event.item_row], others])
        return replace(
            task.ask(event.before, candidates), target_texts=[YES, NO][: len(candidates)]
        )
    if event.rating is None:
        return None
    reply = YES if event.rating > task.threshold else NO
    return replace(task.ask(event.before, np.asarray([event.item_row])), target_texts=[reply])


def _of_review(
    task: Explanation | Summary | Preference, event: HeldOut, reviews: Reviews
) -> Example | None:
    review = reviews.of(event.place)
    if review is None:
        return None
    match task:
        case Explanation():
            remark = reviews.explanation_of(event.place)
            prompt = task.ask(event.before, event.item_row)
            return None if remark is None else replace(prompt, target_texts=[remark.sentence])
        case Summary():
            written = review.text and review.title
            return replace(task.ask(review.text), target_texts=[review.title]) if written else None
        case Preference():
            judged = reviews.judgement_of(event.place)
            prompt = task.ask(review.text)
            return (
                None
                if judged is None
                else replace(prompt, target_texts=[preference_words(*judged)])
            )
