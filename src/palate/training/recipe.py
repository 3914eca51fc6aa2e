"""Recipes: every system of the literature as a short TOML file over one set of parts."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from palate.config import Override, checked, deep_merged, parse_toml
from palate.errors import ConfigError
from palate.training.borrowed import fitted_to_backbone
from palate.training.recipe_settings import LANGUAGE_MODEL_PARTS, Form, Paradigm, Recipe
from palate.training.stage_plan import Answer, StagePlan
from palate.training.unread_settings import unread_settings

__all__ = [
    "LANGUAGE_MODEL_PARTS",
    "Answer",
    "Form",
    "Paradigm",
    "Recipe",
    "StagePlan",
    "load_recipe",
    "recipe_names",
]

RENAMED = {
    "model.reads": "model.item_format",
    "model.two_positions": "model.entity_positions",
    "codes.settle": "codes.informed_init",
    "codes.raises": "codes.boost_fractions",
    "stages.reads": "item_format",
    "stages.easier": "curriculum",
}
"""Present names of keys of earlier versions, for :func:`palate.config.checked`."""

_NOT_INHERITED = ("title", "summary", "measured")
"""Keys that a recipe does not take from the one it extends, since it is another system."""

_NEEDED = {"codes": "index", "prior": "baseline"}
"""Tables that a recipe may lack, and the setting that makes one."""

_IN_EVERY_STAGE = ("tasks", "training")
"""Tables that stages have too."""


def recipe_names() -> list[str]:
    """Return the names of the recipes in the package."""
    return sorted(
        file.name.removesuffix(".toml")
        for file in files("palate.recipes").iterdir()
        if file.name.endswith(".toml")
    )


def load_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """Return the recipe called ``name``, or the one in the TOML file of that path.

    An override of ``tasks`` or ``training`` reaches every stage; ``stages.NAME.training.epochs=1``
    reaches one. An override that puts a pre-trained backbone in changes a few settings of training
    with it (see :mod:`palate.training.borrowed`).

    Raises:
        ConfigError: when there is no such recipe, it cannot be used, a stage has a setting that it
            does not read, or nothing would read an override.
    """
    tables = _tables(name)
    _check_stages(name, tables)
    given = [Override.read(text) for text in overrides]
    for override in given:
        _check_table(tables, override)
        tables = _with(tables, override)
    tables = fitted_to_backbone(tables, given)
    recipe = checked(Recipe, tables, f"Recipe {name!r}", RENAMED)
    for override in given:
        _check_effect(recipe, override)
    return recipe


def _tables(name: str, above: tuple[str, ...] = ()) -> dict[str, object]:
    """Return the tables of a recipe, laid over those of the one that it extends.

    Args:
        name: a recipe of the package, or a path.
        above: the recipes that extend it, the nearest last.
    """
    text, folder = _read(name)
    tables = parse_toml(text, f"Recipe {name!r}")
    below = tables.pop("extends", None)
    if below is None:
        return tables
    if not isinstance(below, str):
        raise ConfigError(
            f"Recipe {name!r} cannot be used: extends is {below!r}, not the name of a recipe.",
            hint='Write extends = "urm", or the path of a TOML file beside it.',
        )
    chain = (*above, name)
    extended = str(folder / below) if folder and below.endswith(".toml") else below
    if extended in chain:
        raise ConfigError(
            f"Recipe {chain[0]!r} extends itself: {' extends '.join((*chain, extended))}.",
            hint="Let one of them stand for itself.",
        )
    inherited = _tables(extended, chain)
    for key in _NOT_INHERITED:
        inherited.pop(key, None)
    return deep_merged(inherited, tables)


def _read(name: str) -> tuple[str, Path | None]:
    """Return the text of a recipe, and the folder of its file if it is not of the package."""
    if name.endswith(".toml"):
        path = Path(name)
        if not path.is_file():
            raise ConfigError(f"No recipe file {name!r}.", hint="Give a path to a TOML file.")
        return _text(path), path.parent
    if name in recipe_names():
        return files("palate.recipes").joinpath(f"{name}.toml").read_text(encoding="utf-8"), None
    raise ConfigError(
        f"Unknown recipe {name!r}.",
        hint=f"Recipes: {', '.join(recipe_names())}; or a path to a TOML file.",
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"The recipe {str(path)!r} cannot be read: {error}.", hint="Write it as TOML in UTF-8."
        ) from error


def _check_table(tables: Mapping[str, object], override: Override) -> None:
    """Refuse a setting of a table that the recipe does not have and one setting does not make."""
    table, *rest = override.path
    if table == "stages" and rest and not tables.get("stages"):
        whole = ".".join(rest[1:]) or "training.epochs"
        raise ConfigError(
            f"--set {override.key} has no effect: the recipe has no stages.",
            hint=f"Set it for the whole training: {whole}.",
        )
    needed = _NEEDED.get(table)
    if rest and needed and tables.get(table) is None and rest[0] != needed:
        raise ConfigError(
            f"--set {override.key} has no effect: the recipe has no [{table}].",
            hint=f"Leave it out, or set {table}.{needed} before it.",
        )


def _with(tables: dict[str, object], override: Override) -> dict[str, object]:
    """Return the tables with an override, which also replaces the stages' own values."""
    stages, (*parents, last) = tables.get("stages"), override.path
    if override.path[0] not in _IN_EVERY_STAGE or not isinstance(stages, list):
        return override.applied(tables)
    if not parents:  # the whole table: no stage keeps one of its own
        own = [{key: each[key] for key in each if key != last} for each in stages]
        return override.applied({**tables, "stages": own})
    holds = [_holds(stage, parents) for stage in stages]
    own = [override.applied(s) if has else s for s, has in zip(stages, holds, strict=True)]
    changed = {**tables, "stages": own}
    # A table that only some stages have, such as a tuning, is not given to the others.
    of_some = any(holds) and len(parents) > 1 and not _holds(tables, parents)
    return changed if of_some else override.applied(changed)


def _holds(table: object, path: Sequence[str]) -> bool:
    """Return whether there is a table at the end of a path."""
    for key in path:
        table = table.get(key) if isinstance(table, Mapping) else None
    return isinstance(table, Mapping)


def _check_stages(name: str, tables: Mapping[str, object]) -> None:
    """Refuse a setting in the table of a stage that the stage does not read.

    Only the stage's own table is checked: what it takes from the tables of the recipe may be for
    another stage. A value that the stage has anyway may be repeated, as the list of all settings
    does.
    """
    stages = tables.get("stages")
    if not isinstance(stages, list) or not stages:
        return
    recipe = checked(Recipe, tables, f"Recipe {name!r}", RENAMED)
    for stage in recipe.resolved_stages:
        unread, own = unread_settings(recipe, stage), stages[stage.number]
        for path in _leaves((), own):
            why = _reason(unread, path)
            if why is None or _is_repeated(recipe, tables, (stage.number, *path)):
                continue
            key = ".".join(("stages", stage.name or str(stage.number), *path))
            raise ConfigError(
                f"Recipe {name!r} cannot be used: {key} has no effect: {why}.",
                hint="Leave it out of the stage, or set what makes the stage read it.",
            )


def _is_repeated(recipe: Recipe, tables: Mapping[str, object], path: tuple[int | str, ...]) -> bool:
    """Return whether a recipe is the same without the setting of a stage at ``path``."""
    changed = copy.deepcopy(dict(tables))
    table: Any = changed["stages"]
    *parents, last = path
    for parent in parents:
        table = table[parent]
    del table[last]
    return Recipe.model_validate(changed).decisive == recipe.decisive


def _check_effect(recipe: Recipe, override: Override) -> None:
    """Refuse an override of a setting that nothing reads."""
    for path in _leaves(override.path, override.value):
        reasons = _reasons(recipe, path)
        if all(reasons):
            why = "; ".join(dict.fromkeys(map(str, reasons)))
            raise ConfigError(
                f"--set {'.'.join(path)} has no effect: {why}.",
                hint="Leave it out, or set what makes the model read it too.",
            )


def _leaves(path: tuple[str, ...], value: object) -> Iterator[tuple[str, ...]]:
    """Return the paths of the values in a value; tables in a list are numbered."""
    inner: Mapping[str, object] = {}
    if isinstance(value, Mapping):
        inner = value
    elif isinstance(value, list):
        inner = {str(n): each for n, each in enumerate(value) if isinstance(each, Mapping)}
    if not inner:
        yield path
    for key, each in inner.items():
        yield from _leaves((*path, key), each)


def _reasons(recipe: Recipe, path: tuple[str, ...]) -> list[str | None]:
    """Return, for each stage that a setting reaches, why it is not read; None where it is."""
    stages = recipe.resolved_stages
    if path[0] == "stages" and len(path) > 1:
        _, which, *rest = path
        stages = tuple(each for each in stages if which in {each.name, str(each.number)})
        if not stages:
            return ["the stage is left out where the backbone is pre-trained"]
        path = tuple(rest)
    return [_reason(unread_settings(recipe, stage), path) for stage in stages]


def _reason(unread: Mapping[str, str], path: Sequence[str]) -> str | None:
    above = [".".join(path[:length]) for length in range(1, len(path) + 1)]
    return next((unread[each] for each in above if each in unread), None)
