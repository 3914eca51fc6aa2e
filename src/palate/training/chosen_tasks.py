"""Which tasks a recipe asks for, of those for which the data holds something."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from palate.data.dataset import Dataset
from palate.language.batch import MAX_CONTEXT_TOKENS
from palate.language.behaviour_tasks import MaskedBehaviour, NextBehaviours
from palate.language.blanks import BlankFilling
from palate.language.item_format import MAX_TITLE_WORDS, ItemFormat
from palate.language.queries import QueryPool
from palate.language.review_tasks import Explanation, Preference, Summary
from palate.language.tasks import (
    Category,
    ColdStart,
    Direct,
    NextFromTitles,
    NextItem,
    Objective,
    Scenario,
    Search,
    Task,
)
from palate.language.text.facts import Facts
from palate.language.text.reviews import Reviews
from palate.language.text_tasks import (
    Choice,
    NextTitle,
    Profile,
    Ranking,
    Rating,
    Title,
    plain_titles,
)
from palate.training.batches import TokenCost
from palate.training.config import TasksConfig

BY_ITEMS = frozenset(
    {
        *("next-item", "objective", "scenario", "category", "search", "direct", "cold-start"),
        *("masked", "next-behaviours"),
    }
)
"""Families of prompts that items answer; words answer the others."""

_SEARCH_HISTORY = 10
"""Events read before a query: enough to know the taste, short enough for a batch of many."""

_SENTENCE_WORDS = 24
"""Of a reply in a sentence, roughly."""

Offered = tuple[Task, float]
"""A task and its share."""


@dataclass(frozen=True)
class Material:
    """What tasks are made from."""

    dataset: Dataset
    queries: QueryPool
    reviews: Reviews | None
    """Of training events alone."""
    levels: tuple[float, ...]
    """Ratings there are."""

    @cached_property
    def titles(self) -> list[str]:
        """Title of every item."""
        return plain_titles(self.dataset.catalog)


def chosen_tasks(material: Material, config: TasksConfig) -> tuple[list[Task], list[float]]:
    """Return the tasks that have a share and for which there is material, and their shares."""
    offered = [
        *_answered_by_items(material, config),
        *_answered_in_words(material, config),
        *_about_reviews(material.reviews, config),
    ]
    chosen = [(task, share) for task, share in offered if share > 0]
    return [task for task, _ in chosen], [share for _, share in chosen]


def _answered_by_items(material: Material, config: TasksConfig) -> list[Offered]:
    events, length = material.dataset.interactions, config.max_history
    catalog = material.dataset.catalog
    categories = [list(found or []) for found in catalog.table["categories"].to_list()]
    counts = np.bincount(events.event_codes, minlength=len(events.event_types)) ** 0.5
    chances = tuple(counts / counts.sum())
    several_events = len(events.event_types) > 1
    offered: list[tuple[Task, float, bool]] = [
        (NextItem(length), config.next_item, True),
        (NextFromTitles(length), config.from_titles, any(material.titles)),
        (Objective(length, events.event_types, chances), config.objective, several_events),
        (Scenario(length, events.scenarios), config.scenario, bool(events.scenarios)),
        (Category(length, categories), config.category, any(categories)),
        (Search(_SEARCH_HISTORY, material.queries), config.search, bool(material.queries.texts)),
        (Direct(length), config.direct, True),
        (ColdStart(), config.cold_start, True),
        (MaskedBehaviour(length), config.masked, True),
        (NextBehaviours(length), config.next_behaviours, True),
    ]
    return [(task, share) for task, share, possible in offered if possible]


def _answered_in_words(material: Material, config: TasksConfig) -> list[Offered]:
    length, titles = config.max_history, material.titles
    rated, titled = len(material.levels) > 1, any(titles)
    facts = Facts.of(material.dataset.catalog)
    offered: list[tuple[Task, float, bool]] = [
        (Rating(length, material.levels), config.rating, rated),
        (
            Ranking(length, len(titles), config.like_above),
            config.ranking,
            rated or config.like_above is None,
        ),
        (Choice(titles, min(10, length), config.candidates), config.choice, titled),
        (Title(titles), config.title, titled),
        (NextTitle(length, titles), config.next_title, titled),
        (Profile(length, facts), config.profile, any(facts.categories) or any(facts.brands)),
        (BlankFilling(length, material.reviews), config.blanks, True),
    ]
    return [(task, share) for task, share, possible in offered if possible]


def _about_reviews(reviews: Reviews | None, config: TasksConfig) -> list[Offered]:
    if reviews is None:
        return []
    return [
        (Explanation(config.max_history, reviews), config.explanation),
        (Summary(reviews), config.summary),
        (Preference(reviews), config.preference),
    ]


def token_cost(task: Task, item_format: ItemFormat, slots: int) -> TokenCost:
    """Return the places that an example of ``task`` takes.

    Args:
        task: what is asked.
        item_format: how items are written.
        slots: places at each prediction that items answer.
    """
    item, title, sentence = item_format.places, MAX_TITLE_WORDS + 2, _SENTENCE_WORDS
    match task:
        case Rating() | Ranking():
            return TokenCost(2 * item + 2)
        case Choice():
            return TokenCost(item, task.max_predictions * (task.num_candidates * item + title))
        case Title():
            return TokenCost(0, task.items_per_example * (item + title))
        case NextTitle():
            return TokenCost(item, task.max_predictions * title)
        case Profile():
            return TokenCost(item, task.max_predictions * sentence)
        case BlankFilling():
            row = 0 if task.reviews is None else MAX_CONTEXT_TOKENS
            return TokenCost(item + MAX_TITLE_WORDS, row + title)
        case Explanation():
            return TokenCost(item, item + sentence)
        case Summary() | Preference():
            return TokenCost(0, MAX_CONTEXT_TOKENS + sentence)
    return TokenCost(item + slots)
