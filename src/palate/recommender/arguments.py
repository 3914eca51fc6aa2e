"""Arguments of the Python interface, checked: what was wanted, what came, how to write it."""

from collections.abc import Sequence
from numbers import Integral
from pathlib import Path
from typing import TypeGuard

from palate.data.dataset import Dataset
from palate.errors import ConfigError
from palate.training.recipe import Recipe, load_recipe


def are_ids(given: object) -> TypeGuard[Sequence[str]]:
    """Tell whether these are ids and nothing else."""
    if isinstance(given, str) or not isinstance(given, Sequence):
        return False
    return all(isinstance(each, str) for each in given)


def _is_whole(number: object) -> bool:
    return isinstance(number, Integral) and not isinstance(number, bool)


def positive_length(n: int) -> int:
    """Return the length of a list, which is a whole number above 0.

    Raises:
        ConfigError: when it is something else.
    """
    if not _is_whole(n) or n < 1:
        raise ConfigError(f"A list has a length of 1 or more; {n!r} was given.", hint="Write n=10.")
    return int(n)


def checked_diversity(diversity: float) -> float:
    """Return a diversity from 0 to 1.

    Raises:
        ConfigError: when it is something else.
    """
    if isinstance(diversity, (int, float)) and 0 <= diversity <= 1:
        return diversity
    raise ConfigError(
        f"Diversity is a number from 0 to 1; {diversity!r} was given.", hint="Write diversity=0.3."
    )


def checked_reasons(reasons: int) -> int:
    """Return a number of reasons, 0 or more.

    Raises:
        ConfigError: when it is something else.
    """
    if _is_whole(reasons) and reasons >= 0:
        return int(reasons)
    raise ConfigError(
        f"The number of reasons is 0 or more; {reasons!r} was given.", hint="Write reasons=2."
    )


def checked_seed(seed: int) -> int:
    """Return a seed, a whole number of 0 or more.

    Raises:
        ConfigError: when it is something else.
    """
    if _is_whole(seed) and seed >= 0:
        return int(seed)
    raise ConfigError(
        f"A seed is a whole number of 0 or more; {seed!r} was given.", hint="Write seed=0."
    )


def checked_dataset(dataset: Dataset) -> Dataset:
    """Return what a model learns from, if it is a dataset.

    Raises:
        ConfigError: when it is something else.
    """
    if isinstance(dataset, Dataset):
        return dataset
    raise ConfigError(
        f"A model learns from a Dataset; {type(dataset).__name__} was given.",
        hint="Make one with Dataset.from_frames(events, items) or Dataset.prepare(path), or read"
        " a dataset folder with Dataset.load(folder).",
    )


def loaded_recipe(recipe: str | Recipe) -> Recipe:
    """Return a recipe by its name, its file, or as it is.

    Raises:
        ConfigError: when it is something else.
    """
    if isinstance(recipe, (str, Path)):
        return load_recipe(str(recipe))
    if isinstance(recipe, Recipe):
        return recipe
    raise ConfigError(
        f"A recipe is a name or the path of a TOML file; {type(recipe).__name__} was given.",
        hint='Write Recommender.train(dataset, "urm-small"); palate recipes lists the names.',
    )
