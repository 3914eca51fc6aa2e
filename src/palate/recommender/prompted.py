"""A prompted model in place of a trained one: checked before its base is fitted, made after."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from palate.data.dataset import Cases, Dataset
from palate.errors import ConfigError
from palate.evaluation.metrics import hit_matrix, ndcg, pad
from palate.inference.engine import Engine
from palate.inference.model_folder import TrainedModel
from palate.inference.prompting.reranker import Reranker
from palate.inference.prompting.texts import load_prompt_texts
from palate.inference.request import Request
from palate.llm.budget import Limits, Prices
from palate.llm.cache import Cached
from palate.llm.place import SpeakerPlace
from palate.llm.speaker import Speaker
from palate.models.baselines import Baseline
from palate.training.prompting import PromptingConfig, SpendingConfig
from palate.training.recipe import Recipe
from palate.training.system import LanguageModelSystem, PromptedSystem, System


def checked_speaker(
    recipe: Recipe, llm: str | Speaker | None, model: str, name: str
) -> Speaker | SpeakerPlace | None:
    """Return who is asked by a recipe without training; None for any other recipe.

    Raises:
        ConfigError: when such a recipe has nobody to ask, another has somebody, or there is nobody
            at the place that was given.
        MissingExtraError: when a package is missing that the speaker needs.
    """
    settings = recipe.prompting
    if settings is None:
        if llm is not None:
            raise ConfigError(
                f"The recipe {name!r} asks no other language model: --llm has no effect.",
                hint='Recipes that ask one are listed under "Prompting" by: palate recipes',
            )
        return None
    if llm is None:
        raise ConfigError(
            f"The recipe {name!r} trains no language model: it asks one, and none was given.",
            hint="Add --llm URL --llm-model NAME for an endpoint (https://host/v1), --llm FOLDER "
            "for weights that transformers reads, or --llm shuffle to see what chance reaches.",
        )
    if not isinstance(llm, str):
        return llm
    where = llm if "://" in llm or not Path(llm).is_dir() else str(Path(llm).resolve())
    place = SpeakerPlace(where, model, *_limits(settings.spending))
    place.opened()  # refuses a place where nobody is; asks nothing
    return place


def check_prompting(
    recipe: Recipe, dataset: Dataset, prompts: Path | None
) -> dict[str, str] | None:
    """Return the texts of the prompts of a recipe without training; None for any other.

    Raises:
        ConfigError: when a text is missing or wrong, or the items have no titles to speak of.
    """
    settings = recipe.prompting
    if settings is None:
        return None
    texts = load_prompt_texts(prompts)
    if settings.role and settings.role not in texts:
        raise ConfigError(
            f"There is no prompt {settings.role!r} to say who is asked.",
            hint=f"Prompts: {', '.join(texts)}; or one of your own: --prompts FILE.",
        )
    if not dataset.catalog.table["title"].is_not_null().any():
        raise ConfigError(
            f"No item of {dataset.name!r} has a title: a language model would know nothing of it.",
            hint="Prepare the data with a title for each item, or train a recipe on ids: sasrec.",
        )
    return texts


def prompted_system(
    base: System,
    named: tuple[str, Recipe],
    settings: PromptingConfig,
    prompts: Mapping[str, str],
    speaker: Speaker | SpeakerPlace,
) -> PromptedSystem:
    """Return the system that asks ``speaker`` about the lists of ``base``.

    Args:
        base: what was trained.
        named: the name and the recipe of the base.
        settings: the settings of the prompts.
        prompts: their texts.
        speaker: who is asked.
    """
    assert isinstance(base, Baseline | LanguageModelSystem), "a base is trained"
    place = speaker if isinstance(speaker, SpeakerPlace) else SpeakerPlace(speaker.name)
    given = None if isinstance(speaker, SpeakerPlace) else speaker
    return PromptedSystem(base, *named, settings, prompts, place, given)


def tuned(trained: TrainedModel, seed: int) -> TrainedModel:
    """Return the model with the weight of its base that is best on some validation users.

    What a model says does not depend on that weight: it is asked once, and its replies are
    remembered while the weights are tried. Their NDCG@10 is kept among the choices; of equal
    weights the one nearest to the base is chosen.
    """
    prompted, settings = trained.prompted, trained.recipe.prompting
    assert prompted is not None
    assert settings is not None
    cases = trained.dataset.cases("valid").sample(
        settings.tuning_users, np.random.default_rng(seed)
    )
    if not settings.tuning_users or not len(cases):
        return trained
    name, values = ("gamma", _GAMMAS) if settings.form == "say" else ("mix", _MIXES)
    with TemporaryDirectory() as replies:
        asking = replace(prompted, given=Cached(prompted.speaker, Path(replies)))
        engine, gains = Engine(replace(trained, system=asking)), dict[float, float]()
        for value in values:
            tried = settings.model_copy(update={name: value})
            engine.prompting = Reranker(replace(asking, settings=tried), trained.dataset)
            gains[value] = _gain(engine, cases)
    best = max(values, key=gains.__getitem__)
    # It is chosen, and so from now on a setting like any other.
    chosen = settings.model_copy(update={name: best, "tuning_users": 0})
    return replace(
        trained,
        recipe=trained.recipe.model_copy(update={"prompting": chosen}),
        system=replace(prompted, settings=chosen),
        choices={**trained.choices, f"prompting.{name}": {f"{v:g}": gains[v] for v in values}},
    )


def _gain(engine: Engine, cases: Cases) -> float:
    answers = engine.answer([Request(history) for history in cases.histories])
    targets = pad([np.unique(rows) for rows in cases.targets])
    hits = hit_matrix(pad([answer.rows for answer in answers]), targets)
    return float(ndcg(hits, (targets >= 0).sum(axis=1), 10).mean())


_MIXES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
_GAMMAS = (99.0, 20.0, 5.0, 2.0, 0.99, 0.5, 0.25, 0.0)
"""Those of BIGRec's two ranges."""


def _limits(spending: SpendingConfig) -> tuple[Limits, Prices]:
    told = spending.model_dump()
    prices = Prices(told.pop("price_in"), told.pop("price_out"))
    return Limits(**told), prices
