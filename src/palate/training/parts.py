"""From a dataset and a recipe to everything a run needs, built in the same way every time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int

from palate.data.dataset import Dataset
from palate.data.split import Part
from palate.items.behaviour import BehaviourConfig, behaviour_vectors
from palate.items.codes.index import IndexMaterial, ItemIndex, fit_index
from palate.items.codes.quantiser import numbered_codes
from palate.items.encoders import ItemEncoders, item_features
from palate.items.features import ItemFeatures
from palate.items.vectors import ItemVectors, Progress
from palate.language.plain_text import rating_words
from palate.language.prompts import Wordings, load_prompts
from palate.language.queries import QueryPool, make_queries
from palate.language.reviews import Reviews, read_reviews
from palate.language.spelling import Spelling, title_words
from palate.language.stream import Writer
from palate.language.tasks import Search, Task
from palate.language.text_tasks import NO, YES, rating_levels
from palate.language.tokenizer import Tokenizer
from palate.models.baselines import Baseline
from palate.models.language_model import RecommendationModel
from palate.training.batches import Mixture
from palate.training.chosen_tasks import Material, chosen_tasks, footprint
from palate.training.recipe import CodesConfig, Form, Recipe
from palate.training.transfer import carry_codes, carry_over, nearest_codes

_OF_ITEMS = (
    "next-item",
    "objective",
    "scenario",
    "category",
    "search",
    "direct",
    "cold-start",
)
"""Families whose words a model knows that answers with items alone."""


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
    ratings: tuple[float, ...] = ()
    """Levels of rating that events are shown with; none where they are not shown."""

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
) -> tuple[Parts, list[Mixture]]:
    """Fit encoders, tokenizer and codes, make a fresh model and a mixture of tasks for each stage.

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
    reviews = read_reviews(dataset) if recipe.says_words else None
    words = _words(dataset, prompts, reviews, recipe)
    tokenizer = start.tokenizer if start else Tokenizer.train(words)
    index = _index(dataset, recipe.codes, features, seed) if recipe.codes is not None else None
    features = _as_read(features, recipe, dataset, tokenizer, index)
    ratings = levels_of(dataset) if recipe.says_words else ()
    torch.manual_seed(seed)
    model = RecommendationModel(
        recipe.model,
        features,
        vocabulary_size=len(tokenizer),
        num_event_types=len(dataset.interactions.event_types),
        num_ratings=len(ratings),
        codes=index.codes if index is not None else None,
        says_words=recipe.says_words,
    )
    if recipe.codes is not None and recipe.codes.settle:
        model.settle_codes()
    if start is not None:
        _carry_over(model, index, start)
    parts = Parts(
        recipe=recipe,
        model=model,
        features=features,
        encoders=encoders,
        tokenizer=tokenizer,
        prompts=prompts,
        tasks=(),
        spelling=spelling_of(recipe, dataset, tokenizer, index),
        index=index,
        ratings=ratings,
    )
    mixtures = [_mixture(parts, each, dataset, reviews, seed) for each in recipe.in_turn]
    names = dict.fromkeys(task.name for mixture in mixtures for task in mixture.tasks)
    return replace(parts, tasks=tuple(names)), mixtures


def _mixture(
    parts: Parts, stage: Recipe, dataset: Dataset, reviews: Reviews | None, seed: int
) -> Mixture:
    """Return what a stage learns from."""
    pool = make_queries(dataset.catalog, stage.tasks.queries_per_item, seed=seed)
    tasks, shares = chosen_tasks(Material(dataset, pool, reviews, parts.ratings), stage.tasks)
    spelling = spelling_of(stage, dataset, parts.tokenizer, parts.index)
    vectors = _query_vectors(parts.encoders, pool, tasks)
    return Mixture(
        sequences=dataset.sequences,
        tasks=tasks,
        shares=shares,
        prompts=parts.prompts,
        writer=Writer(parts.tokenizer, vectors, spelling, parts.ratings),
        tokens_per_batch=stage.training.tokens_per_batch,
        footprints=[footprint(task, spelling, _slots(stage, parts.index)) for task in tasks],
        seed=seed,
    )


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


def _words(
    dataset: Dataset, prompts: Mapping[str, Wordings], reviews: Reviews | None, recipe: Recipe
) -> list[str]:
    """Return the tokenizer's training texts.

    Wordings stand there thrice, and answers of a word thrice too, so that they stay whole.
    """
    families = prompts if recipe.says_words else _OF_ITEMS
    wordings = [w for family in families for w in prompts[family].seen]
    texts = [*dataset.catalog.texts(("title", "brand", "categories")), *(wordings * 3)]
    if recipe.says_words:
        texts += [YES, NO, *(rating_words(level) for level in levels_of(dataset))] * 3
        texts += [] if reviews is None else [*reviews.texts, *reviews.titles]
    return texts


def levels_of(dataset: Dataset) -> tuple[float, ...]:
    """Return the ratings that training events carry."""
    ratings = dataset.interactions.ratings
    if ratings is None:
        return ()
    return rating_levels(ratings[dataset.split.parts == Part.TRAIN])


def _query_vectors(
    encoders: ItemEncoders, pool: QueryPool, tasks: Sequence[Task]
) -> np.ndarray | None:
    asked = any(isinstance(task, Search) for task in tasks)
    return encoders.query_vectors(pool.texts) if asked and pool.texts else None
