"""What a model folder holds of a prompted model beside its base: prompts and speaker, no key."""

import json
from pathlib import Path

from palate.errors import ArtifactError, ConfigError
from palate.llm.place import SpeakerPlace
from palate.models.baselines import Baseline
from palate.training.prompting import PromptingConfig
from palate.training.recipe import Recipe
from palate.training.system import LanguageModelSystem, PromptedSystem, System

_FILE = "prompting.json"


def check_kept(system: PromptedSystem | None) -> None:
    """Refuse to write a system whose speaker nobody could open again.

    Raises:
        ConfigError: when the speaker was given as an object.
    """
    if system is not None and system.given is not None:
        raise ConfigError(
            f"The speaker {system.given.name!r} is an object and cannot be kept in a folder.",
            hint='Give the place of one: Recommender.train(dataset, "llmrank", llm="URL or folder"'
            ").",
        )


def save_prompting(folder: Path, system: PromptedSystem) -> None:
    """Write the prompts, the place of the speaker and the name of the base."""
    told = {
        "base": system.base_name,
        "speaker": system.place.as_dict(),
        "prompts": dict(system.prompts),
    }
    text = json.dumps(told, indent=2, ensure_ascii=False)
    (folder / _FILE).write_text(text + "\n", encoding="utf-8")


def load_prompting(
    folder: Path, settings: PromptingConfig, recipe: Recipe, base: System
) -> PromptedSystem:
    """Return the system that :func:`save_prompting` wrote; its speaker is opened when it is asked.

    Raises:
        ArtifactError: when the file is missing or damaged.
    """
    assert isinstance(base, Baseline | LanguageModelSystem), "a base is trained"
    try:
        told = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        place = SpeakerPlace.from_dict(told["speaker"])
        prompts = {str(name): str(text) for name, text in told["prompts"].items()}
        name = str(told["base"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ArtifactError(
            f"{str(folder)!r} does not say how its language model is prompted: {error}.",
            hint="Make it again with: palate train DATASET MODEL --recipe NAME --llm URL|FOLDER",
        ) from error
    return PromptedSystem(base, name, recipe, settings, prompts, place)
