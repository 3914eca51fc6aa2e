"""From a dataset and a recipe to everything a run needs, built in the same way every time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from palate.data.dataset import Dataset
from palate.items.encoders import ItemEncoders, item_features
from palate.items.features import ItemFeatures
from palate.items.vectors import Progress
from palate.language.prompts import Wordings, load_prompts
from palate.language.queries import QueryPool, make_queries
from palate.language.stream import Writer
from palate.language.tasks import (
    Category,
    ColdStart,
    Direct,
    NextItem,
    Objective,
    Scenario,
    Search,
    Task,
)
from palate.language.tokenizer import Tokenizer
from palate.models.baselines import Baseline
from palate.models.language_model import RecommendationModel
from palate.training.batches import Mixture
from palate.training.recipe import Recipe, TasksConfig

_SEARCH_HISTORY = 10
"""Events read before a query: enough to know the taste, short enough for a batch of many."""


@dataclass(frozen=True)
class Prior:
    """What co-occurrence alone says of the next item, and how much it counts.

    The answer is the log-linear mixture ``logit(u, i) + weight * baseline(u, i)``: a few counts
    tell a rare pair of items better than vectors that were learned from them.
    """

    baseline: Baseline
    weight: float
    """Logits per unit of the baseline's score, chosen on the validation part."""


@dataclass(frozen=True)
class Parts:
    """A language model with all that is needed to ask it something."""

    recipe: Recipe
    model: RecommendationModel
    features: ItemFeatures
    encoders: ItemEncoders
    tokenizer: Tokenizer
    prompts: Mapping[str, Wordings]
    tasks: tuple[str, ...]
    """Families of prompts it was trained on."""
    prior: Prior | None = None


def build_parts(
    dataset: Dataset,
    recipe: Recipe,
    *,
    seed: int,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> tuple[Parts, Mixture]:
    """Fit encoders and tokenizer, make a fresh model and the mixture of tasks it is to learn."""
    catalog, sequences = dataset.catalog, dataset.sequences
    encoders = ItemEncoders.fit(catalog, recipe.items, seed=seed)
    features = item_features(
        catalog, sequences, encoders, recipe.items, seed=seed, cache=cache, progress=progress
    )
    prompts = load_prompts()
    tokenizer = Tokenizer.train(_words(dataset, prompts))
    pool = make_queries(catalog, recipe.tasks.queries_per_item, seed=seed)
    tasks, shares = _tasks(dataset, recipe.tasks, pool)
    torch.manual_seed(seed)
    model = RecommendationModel(
        recipe.model,
        features,
        vocabulary_size=len(tokenizer),
        num_event_types=len(dataset.interactions.event_types),
    )
    mixture = Mixture(
        sequences=sequences,
        tasks=tasks,
        shares=shares,
        prompts=prompts,
        writer=Writer(tokenizer, _query_vectors(encoders, pool, tasks)),
        tokens_per_batch=recipe.training.tokens_per_batch,
        num_queries=recipe.model.num_queries,
        seed=seed,
    )
    names = tuple(task.name for task in tasks)
    return Parts(recipe, model, features, encoders, tokenizer, prompts, names), mixture


def _words(dataset: Dataset, prompts: Mapping[str, Wordings]) -> list[str]:
    """Return the tokenizer's training texts; wordings thrice, so that their words stay whole."""
    wordings = [w for family in prompts.values() for w in family.seen]
    return [*dataset.catalog.texts(("title", "brand", "categories")), *(wordings * 3)]


def _query_vectors(
    encoders: ItemEncoders, pool: QueryPool, tasks: Sequence[Task]
) -> np.ndarray | None:
    asked = any(isinstance(task, Search) for task in tasks)
    return encoders.query_vectors(pool.texts) if asked and pool.texts else None


def _tasks(
    dataset: Dataset, config: TasksConfig, pool: QueryPool
) -> tuple[list[Task], list[float]]:
    """Return the tasks that have a share and for which the data holds something."""
    events = dataset.interactions
    length = config.max_history
    categories = [list(found or []) for found in dataset.catalog.table["categories"].to_list()]
    counts = np.bincount(events.event_codes, minlength=len(events.event_types)) ** 0.5
    several_events, scenarios = len(events.event_types) > 1, events.scenarios
    offered: list[tuple[Task, float, bool]] = [
        (NextItem(length), config.next_item, True),
        (
            Objective(length, events.event_types, tuple(counts / counts.sum())),
            config.objective,
            several_events,
        ),
        (Scenario(length, scenarios), config.scenario, bool(scenarios)),
        (Category(length, categories), config.category, any(categories)),
        (Search(_SEARCH_HISTORY, pool), config.search, bool(pool.texts)),
        (Direct(length), config.direct, True),
        (ColdStart(), config.cold_start, True),
    ]
    chosen = [(task, share) for task, share, possible in offered if possible and share > 0]
    return [task for task, _ in chosen], [share for _, share in chosen]
