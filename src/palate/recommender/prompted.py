"""A prompted model in place of a trained one: checked before its base is fitted, made after."""

from collections.abc import Mapping
from pathlib import Path

from palate.data.dataset import Dataset
from palate.errors import ConfigError
from palate.inference.prompting.texts import load_prompt_texts
from palate.llm.budget import Limits, Prices
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


def _limits(spending: SpendingConfig) -> tuple[Limits, Prices]:
    told = spending.model_dump()
    prices = Prices(told.pop("price_in"), told.pop("price_out"))
    return Limits(**told), prices
