"""From a dataset and a recipe to everything a run needs, built in the same way every time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int

from palate.data.dataset import Dataset
from palate.items.behaviour import BehaviourConfig, behaviour_vectors
from palate.items.codes.index import IndexMaterial, ItemIndex, fit_index
from palate.items.codes.quantiser import numbered_codes
from palate.items.encoders import ItemEncoders, item_features
from palate.items.features import ItemFeatures
from palate.items.vectors import ItemVectors, Progress
from palate.language.prompts import Wordings, load_prompts
from palate.language.queries import QueryPool, make_queries
from palate.language.spelling import Spelling, title_words
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
from palate.training.recipe import CodesConfig, Form, Recipe, TasksConfig
from palate.training.transfer import carry_codes, carry_over, nearest_codes

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
class Blend:
    """How the two forms of answer join in a hybrid one.

    ``score(u, i) = set(u, i) + weight * log p(codes of i | u)`` over the candidates that either
    form finds (LIGER, arXiv 2411.18814, with weight 0, reranks by the set's score alone).
    """

    weight: float
    """Chosen on the validation part; 0 where that was not done."""


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
    spelling: Spelling = field(default_factory=Spelling)
    """How the items of a history are written."""
    blend: Blend = Blend(0.0)
    """What a hybrid answer is made of."""
    index: ItemIndex | None = None
    """The codes of the catalogue, where the recipe has codes."""

    @property
    def forms(self) -> tuple[Form, ...]:
        """What it can answer in; the first is its usual way."""
        return self.recipe.forms


def spelling_of(
    recipe: Recipe, dataset: Dataset, tokenizer: Tokenizer, index: ItemIndex | None
) -> Spelling:
    """Return how the recipe writes the items of a history."""
    ways = recipe.model.reads
    return Spelling(
        ways,
        index.codes.num_levels if index is not None else 0,
        title_words(dataset.catalog.titles(), tokenizer) if "title" in ways else None,
    )


def build_parts(
    dataset: Dataset,
    recipe: Recipe,
    *,
    seed: int,
    start: Parts | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> tuple[Parts, Mixture]:
    """Fit encoders, tokenizer and codes, make a fresh model and the mixture of tasks to learn.

    Args:
        dataset: what to learn from.
        recipe: what to build.
        seed: of all that is drawn.
        start: a model of other data, whose encoders, tokenizer and weights are taken over; what
            belongs to its items alone begins anew.
        cache: where encoded vectors are kept.
        progress: told how many items are encoded, of how many.
    """
    catalog, sequences = dataset.catalog, dataset.sequences
    encoders = start.encoders if start else ItemEncoders.fit(catalog, recipe.items, seed=seed)
    features = item_features(
        catalog, sequences, encoders, recipe.items, seed=seed, cache=cache, progress=progress
    )
    prompts = load_prompts()
    tokenizer = start.tokenizer if start else Tokenizer.train(_words(dataset, prompts))
    pool = make_queries(catalog, recipe.tasks.queries_per_item, seed=seed)
    tasks, shares = _tasks(dataset, recipe.tasks, pool)
    index = _index(dataset, recipe.codes, features, seed) if recipe.codes is not None else None
    features = _as_read(features, recipe, dataset, tokenizer, index)
    spelling = spelling_of(recipe, dataset, tokenizer, index)
    torch.manual_seed(seed)
    model = RecommendationModel(
        recipe.model,
        features,
        vocabulary_size=len(tokenizer),
        num_event_types=len(dataset.interactions.event_types),
        codes=index.codes if index is not None else None,
    )
    if recipe.codes is not None and recipe.codes.settle:
        model.settle_codes()
    if start is not None:
        _carry_over(model, index, start)
    mixture = Mixture(
        sequences=sequences,
        tasks=tasks,
        shares=shares,
        prompts=prompts,
        writer=Writer(tokenizer, _query_vectors(encoders, pool, tasks), spelling),
        tokens_per_batch=recipe.training.tokens_per_batch,
        places=spelling.places + _slots(recipe, index),
        seed=seed,
    )
    names = tuple(task.name for task in tasks)
    parts = Parts(
        recipe, model, features, encoders, tokenizer, prompts, names, spelling=spelling, index=index
    )
    return parts, mixture


def _as_read(
    features: ItemFeatures,
    recipe: Recipe,
    dataset: Dataset,
    tokenizer: Tokenizer,
    index: ItemIndex | None,
) -> ItemFeatures:
    """Add the codes and the words that item tokens are made of."""
    if recipe.model.fusion.title_reader is not None:
        features = replace(features, words=title_words(dataset.catalog.titles(), tokenizer))
    codes = codes_read(recipe, index, features.vectors)
    if codes is None or index is None or index.quantiser is None:
        return features
    return replace(features, codes=codes, num_codes=sum(index.quantiser.sizes))


def codes_read(
    recipe: Recipe, index: ItemIndex | None, vectors: Mapping[str, ItemVectors]
) -> Int[np.ndarray, "items levels"] | None:
    """Return the codes that item tokens are made of; None where the recipe makes them of none."""
    if not recipe.model.fusion.use_codes or recipe.codes is None:
        return None
    assert index is not None
    assert index.quantiser is not None
    return numbered_codes(index.quantiser, vectors[recipe.codes.vectors].values)


def _carry_over(model: RecommendationModel, index: ItemIndex | None, start: Parts) -> None:
    known = start.model
    same_events = known.events.num_embeddings == model.events.num_embeddings
    carry_over(model, known.state_dict(), same_events=same_events)
    ours, theirs = model.fusion.code, known.fusion.code
    if ours is None or theirs is None or index is None or start.index is None:
        return
    if index.quantiser is not None and start.index.quantiser is not None:
        nearest = nearest_codes(index.quantiser, start.index.quantiser)
        carry_codes(ours.weight, theirs.weight, nearest)


def _slots(recipe: Recipe, index: ItemIndex | None) -> int:
    """Return the places that answers take at each probe."""
    of_sets = recipe.model.num_queries if "set" in recipe.forms else 0
    return of_sets + (index.codes.num_levels if index and "codes" in recipe.forms else 0)


def _index(dataset: Dataset, config: CodesConfig, features: ItemFeatures, seed: int) -> ItemIndex:
    """Index the catalogue; of the events only those of the training part are read."""
    aligned = config.index.kind == "rqvae" and config.index.alignment > 0
    behaviour = (
        behaviour_vectors(dataset.sequences, len(dataset.catalog), BehaviourConfig(), seed=seed)
        if aligned or config.vectors == "behaviour"
        else None
    )
    vectors = behaviour if config.vectors == "behaviour" else features.vectors.get(config.vectors)
    material = IndexMaterial(dataset.catalog, dataset.sequences, vectors, behaviour)
    return fit_index(config.index, material, rng=np.random.default_rng(seed))


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
