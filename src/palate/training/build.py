"""Builds everything that a training run needs, from a dataset and a recipe."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
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
from palate.items.vectors import ItemVectors, Progress, side_by_side
from palate.language.entities import EntityTrie
from palate.language.item_format import ItemFormat, title_words
from palate.language.prompt_text import BETWEEN_TOKENS
from palate.language.prompts import load_prompts
from palate.language.queries import QueryPool, make_queries
from palate.language.tasks import prompt_families
from palate.language.tasks.material import Material
from palate.language.tasks.rating import rating_levels
from palate.language.tasks.task import Task, Wordings
from palate.language.tasks.yes_no import NO, YES
from palate.language.text.plain import rating_words
from palate.language.text.reviews import Reviews, read_reviews
from palate.language.tokenizer import Tokenizer
from palate.models.backbones.tokenizer import backbone_tokenizer
from palate.models.language_model import RecommendationModel
from palate.models.model_config import ModelConfig
from palate.models.trainable_state import merged
from palate.training.batches import Curriculum, Mixture
from palate.training.chosen_tasks import chosen_tasks
from palate.training.config import CodesConfig
from palate.training.recipe import Recipe, StagePlan
from palate.training.system import LanguageModelSystem, Start
from palate.training.warm_start import nearest_codes, warm_start, warm_start_rows
from palate.types import History

_logger = logging.getLogger(__name__)


def item_format_of(
    stage: StagePlan, dataset: Dataset, tokenizer: Tokenizer, index: ItemIndex | None
) -> ItemFormat:
    """Return the format in which a stage writes the items of a history."""
    item_parts = stage.model.item_format
    return ItemFormat(
        item_parts,
        index.codes.num_levels if index is not None else 0,
        _titles(dataset, stage.model, tokenizer) if "title" in item_parts else None,
        stage.model.entity_positions,
        BETWEEN_TOKENS if stage.model.prompts_in_text else 0,
    )


def _titles(
    dataset: Dataset, model: ModelConfig, tokenizer: Tokenizer
) -> Int[np.ndarray, "items words"]:
    return title_words(
        dataset.catalog.titles(), tokenizer, model.max_title_words, inline=model.prompts_in_text
    )


def _warn_of_cut_titles(dataset: Dataset, model: ModelConfig, tokenizer: Tokenizer) -> None:
    """Say how many titles are longer than what is read of them, if more than one in a hundred."""
    most = model.max_title_words
    longer = title_words(
        dataset.catalog.titles(), tokenizer, most + 1, inline=model.prompts_in_text
    )
    cut = int((longer[:, most:] >= 0).sum())
    if cut > len(longer) / 100:
        _logger.warning(
            "%s of %s titles are longer than model.title_words = %s, and are cut in prompts",
            f"{cut:,}",
            f"{len(longer):,}",
            most,
        )


def entities_of(recipe: Recipe, dataset: Dataset, tokenizer: Tokenizer) -> EntityTrie | None:
    """Return the entities of the catalogue if the recipe gives entities positions of their own."""
    if not recipe.model.entity_positions:
        return None
    return EntityTrie.of_titles(dataset.catalog.titles(), tokenizer)


def build_system(  # noqa: PLR0913 - what to learn, and what to begin with
    dataset: Dataset,
    recipe: Recipe,
    *,
    seed: int,
    start: Start | None = None,
    behaviour: ItemVectors | None = None,
    prompts: Mapping[str, Wordings] | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> tuple[LanguageModelSystem, list[Mixture]]:
    """Fit encoders, tokenizer and codes, make a fresh model and a mixture of tasks for each stage.

    Args:
        dataset: what to learn from.
        recipe: what to build.
        seed: seed of all random draws.
        start: a trained model whose encoders, tokenizer and weights are taken over.
        behaviour: item vectors of the recipe's teacher, in place of those of co-occurrence.
        prompts: wordings of every family, in place of those of the package.
        cache: where encoded vectors are kept.
        progress: called with the number of encoded items and the total.
    """
    catalog, sequences = dataset.catalog, dataset.sequences
    encoders = (
        start.system.encoders if start else ItemEncoders.fit(catalog, recipe.items, seed=seed)
    )
    features = item_features(
        catalog, sequences, encoders, recipe.items, seed=seed, cache=cache, progress=progress
    )
    if behaviour is not None:
        features = replace(features, vectors={**features.vectors, "behaviour": behaviour})
    prompts = prompts or load_prompts()
    reviews = read_reviews(dataset) if recipe.generates_text else None
    tokenizer = _tokenizer(recipe, start.system if start else None)
    if tokenizer is None:
        tokenizer = Tokenizer.train(_words(dataset, prompts, reviews, recipe))
    index = _index(dataset, recipe.codes, features, seed) if recipe.codes is not None else None
    features = _as_read(features, recipe, dataset, tokenizer, index)
    ratings = levels_of(dataset) if recipe.generates_text else ()
    torch.manual_seed(seed)
    model = RecommendationModel(
        recipe.model,
        features,
        vocabulary_size=len(tokenizer),
        num_event_types=len(dataset.interactions.event_types),
        num_ratings=len(ratings),
        codes=index.codes if index is not None else None,
        answers=recipe.answers,
        generates_text=recipe.generates_text,
        entities=entities_of(recipe, dataset, tokenizer),
    )
    if recipe.codes is not None and recipe.codes.informed_init:
        _initialise_codes(model)
    if start is not None:
        _warm_start(model, index, start)
    system = LanguageModelSystem(
        recipe=recipe,
        model=model,
        features=features,
        encoders=encoders,
        tokenizer=tokenizer,
        prompts=prompts,
        tasks=(),
        item_format=item_format_of(recipe.resolved_stages[-1], dataset, tokenizer, index),
        index=index,
        ratings=ratings,
        event_types=tuple(dataset.interactions.event_types),
    )
    if system.item_format.titles is not None:
        _warn_of_cut_titles(dataset, recipe.model, tokenizer)
    mixtures = [_mixture(system, each, dataset, reviews, seed) for each in recipe.resolved_stages]
    names = dict.fromkeys(task.wording_family for mixture in mixtures for task in mixture.tasks)
    return replace(system, tasks=tuple(names)), mixtures


def _mixture(
    system: LanguageModelSystem,
    stage: StagePlan,
    dataset: Dataset,
    reviews: Reviews | None,
    seed: int,
) -> Mixture:
    """Return the tasks of a stage with the sequences and prompts that it is trained on."""
    pool = make_queries(dataset.catalog, stage.tasks.queries_per_item, seed=seed)
    tasks, shares = chosen_tasks(Material(dataset, pool, reviews, system.ratings), stage.tasks)
    item_format = item_format_of(stage, dataset, system.tokenizer, system.index)
    own = _own_formats(system, stage, dataset, tasks)
    slots = _slots(stage, system.index)
    vectors = _query_vectors(system.encoders, pool, tasks)
    return Mixture(
        sequences=_some_users(dataset.sequences, stage.training.num_users, seed),
        tasks=tasks,
        shares=shares,
        prompts=system.prompts,
        batch_builder=system.batch_builder(vectors, item_format),
        tokens_per_batch=stage.training.tokens_per_batch,
        token_costs=[
            task.token_cost(own.get(n, item_format), slots) for n, task in enumerate(tasks)
        ],
        seed=seed,
        curriculum=_curriculum(system, stage, dataset, vectors),
        own_formats=own,
        one_prefix=stage.model.bidirectional_rows,
    )


def _curriculum(
    system: LanguageModelSystem, stage: StagePlan, dataset: Dataset, vectors: np.ndarray | None
) -> Curriculum | None:
    """Return the easier prompts at the start of a stage; None if the stage has none."""
    if stage.curriculum is None:
        return None
    easier = stage.with_item_format(stage.curriculum)
    item_format = item_format_of(easier, dataset, system.tokenizer, system.index)
    return Curriculum(system.batch_builder(vectors, item_format), stage.training.epochs)


def _some_users(sequences: Sequence[History], num_users: int, seed: int) -> Sequence[History]:
    if not 0 < num_users < len(sequences):
        return sequences
    drawn = np.random.default_rng([seed, num_users]).permutation(len(sequences))[:num_users]
    return [sequences[user] for user in drawn]


def _own_formats(
    system: LanguageModelSystem, stage: StagePlan, dataset: Dataset, tasks: Sequence[Task]
) -> dict[int, ItemFormat]:
    """Return the item formats, by number of the task, of tasks that do not use the stage's own."""
    return {
        number: item_format_of(
            stage.with_item_format(task.history_format), dataset, system.tokenizer, system.index
        )
        for number, task in enumerate(tasks)
        if task.history_format
    }


def _tokenizer(recipe: Recipe, start: LanguageModelSystem | None) -> Tokenizer | None:
    """Return the tokenizer of the backbone, or of the model to start from, if any."""
    if recipe.model.backbone is not None:
        return backbone_tokenizer(recipe.model.backbone.path)
    return None if start is None else start.tokenizer


def _as_read(
    features: ItemFeatures,
    recipe: Recipe,
    dataset: Dataset,
    tokenizer: Tokenizer,
    index: ItemIndex | None,
) -> ItemFeatures:
    """Add the codes and the title words that item tokens are made of."""
    if recipe.model.fusion.title_reader is not None or recipe.model.items_from_titles:
        features = replace(features, words=_titles(dataset, recipe.model, tokenizer))
    codes = codes_read(recipe, index, features.vectors)
    if codes is None or index is None or index.quantiser is None:
        return features
    return replace(features, codes=codes, num_codes=sum(index.quantiser.sizes))


def codes_read(
    recipe: Recipe, index: ItemIndex | None, vectors: Mapping[str, ItemVectors]
) -> Int[np.ndarray, "items levels"] | None:
    """Return the codes that item tokens are made of, or None if the recipe uses none for them."""
    if not recipe.model.fusion.use_codes or recipe.codes is None:
        return None
    assert index is not None
    assert index.quantiser is not None
    return numbered_codes(index.quantiser, vectors[recipe.codes.vectors].values)


@torch.no_grad()
def _initialise_codes(model: RecommendationModel) -> None:
    """Initialise the codes from the untrained item tokens."""
    if model.codes is not None:
        model.train(mode=False)
        rows = torch.arange(model.num_items, device=model.queries.device)
        parts = [model.items(part).tokens for part in rows.split(65_536)]
        model.codes.informed_init(torch.cat(parts))
        model.train()


def _warm_start(model: RecommendationModel, index: ItemIndex | None, start: Start) -> None:
    known, known_index = start.system.model, start.system.index
    of_items, knew = model.fusion.id, known.fusion.id
    if start.rows is not None and of_items is not None and knew is not None:
        warm_start_rows(of_items.weight, knew.weight, start.rows)
    if known.tuning.kind not in ("full", "frozen") and known.tuning != model.tuning:
        known = merged(known)
    same_events = known.events.num_embeddings == model.events.num_embeddings
    carried = warm_start(model, known.state_dict(), same_events=same_events)
    if any(name.startswith("decoder.") for name in carried):
        ours, theirs = model.config.backbone, known.config.backbone
        same = ours is not None and theirs is not None and ours.path == theirs.path
        model.borrowed = model.borrowed and known.borrowed and same
    table, trained = model.fusion.code, known.fusion.code
    if table is None or trained is None or index is None or known_index is None:
        return
    if index.quantiser is not None and known_index.quantiser is not None:
        nearest = nearest_codes(index.quantiser, known_index.quantiser)
        warm_start_rows(table.weight, trained.weight, nearest)


def _slots(stage: StagePlan, index: ItemIndex | None) -> int:
    """Return the number of tokens that answers take at each prediction."""
    if not stage.by_items:
        return 0
    of_sets = stage.model.num_queries if "set" in stage.answers else 0
    return of_sets + (index.codes.num_levels if index and "codes" in stage.answers else 0)


def _index(dataset: Dataset, config: CodesConfig, features: ItemFeatures, seed: int) -> ItemIndex:
    """Index the catalogue; of the events only those of the training part are read."""
    aligned = config.index.kind == "rqvae" and config.index.alignment > 0
    known = dict(features.vectors)
    if aligned or "behaviour" in config.vectors:
        known["behaviour"] = behaviour_vectors(
            dataset.sequences, len(dataset.catalog), BehaviourConfig(), seed=seed
        )
    wanted = [known[kind] for kind in config.vectors.split("+") if kind in known]
    vectors = side_by_side(wanted) if wanted else None
    behaviour = known["behaviour"] if aligned else None
    material = IndexMaterial(dataset.catalog, dataset.sequences, vectors, behaviour)
    return fit_index(config.index, material, rng=np.random.default_rng(seed))


def _words(
    dataset: Dataset, prompts: Mapping[str, Wordings], reviews: Reviews | None, recipe: Recipe
) -> list[str]:
    """Return the tokenizer's training texts.

    Wordings and one-word answers are repeated three times, so that their words become tokens.
    """
    wordings = [w for family in _families_read(recipe) for w in prompts[family].seen]
    texts = [*dataset.catalog.texts(("title", "brand", "categories")), *(wordings * 3)]
    if recipe.generates_text:
        texts += [YES, NO, *(rating_words(level) for level in levels_of(dataset))] * 3
        texts += [] if reviews is None else [*reviews.texts, *reviews.titles]
    return texts


def _families_read(recipe: Recipe) -> list[str]:
    """Return the families whose wordings the tokenizer is trained on.

    A model that generates text gets all of them. One that answers with items alone gets those that
    items answer, since any of them may be requested; of pre-training only what it is trained on.
    """
    trained = {
        task for each in recipe.resolved_stages for task, x in each.tasks.shares.items() if x
    }
    return [
        name
        for name, family in prompt_families().items()
        if recipe.generates_text
        or (family.answered_with == "items" and (not family.pretraining or family in trained))
    ]


def levels_of(dataset: Dataset) -> tuple[float, ...]:
    """Return the distinct ratings of the training events."""
    ratings = dataset.interactions.ratings
    if ratings is None:
        return ()
    return rating_levels(ratings[dataset.split.parts == Part.TRAIN])


def _query_vectors(
    encoders: ItemEncoders, pool: QueryPool, tasks: Sequence[Task]
) -> np.ndarray | None:
    used = any(task.uses_queries for task in tasks)
    return encoders.query_vectors(pool.texts) if used and pool.texts else None
