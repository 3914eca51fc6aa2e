"""The catalogue of wordings: prompts are data, checked when loaded."""

import string
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from palate.errors import ConfigError

SLOTS: Mapping[str, frozenset[str]] = {
    "next-item": frozenset(),
    "objective": frozenset({"event"}),
    "scenario": frozenset({"scenario"}),
    "category": frozenset(),
    "search": frozenset(),
    "direct": frozenset(),
    "cold-start": frozenset(),
}
"""The families of prompts and the slots each may use."""


@dataclass(frozen=True)
class Wordings:
    """The ways to say one task."""

    seen: tuple[str, ...]
    """Trained on."""
    unseen: tuple[str, ...] = ()
    """Never trained on: for measuring how answers move with the wording."""


def load_prompts(path: Path | None = None) -> dict[str, Wordings]:
    """Return the wordings of every family, a user's own file replacing the families it names.

    Raises:
        ConfigError: when the file cannot be read, names an unknown family, or uses a slot that its
            family lacks.
    """
    prompts = _checked(tomllib.loads(files("palate.language").joinpath("prompts.toml").read_text()))
    if path is None:
        return prompts
    try:
        own = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(
            f"The prompts in {str(path)!r} cannot be read: {error}.",
            hint="Write them as TOML in UTF-8.",
        ) from error
    return prompts | _checked(own)


def _checked(tables: Mapping[str, object]) -> dict[str, Wordings]:
    prompts = {}
    for family, table in tables.items():
        if family not in SLOTS:
            raise ConfigError(
                f"Unknown prompt family {family!r}.", hint=f"The families are {', '.join(SLOTS)}."
            )
        wordings = Wordings(_texts(family, table, "seen"), _texts(family, table, "unseen"))
        if not wordings.seen:
            raise ConfigError(
                f"Prompt family {family!r} has no wording.", hint="Add a list `seen`."
            )
        for wording in wordings.seen + wordings.unseen:
            _check_slots(family, wording)
        prompts[family] = wordings
    return prompts


def _texts(family: str, table: object, name: str) -> tuple[str, ...]:
    found = table.get(name, []) if isinstance(table, dict) else None
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise ConfigError(
            f"Prompt family {family!r} needs a table whose {name!r} is a list of texts.",
            hint=f'Write [{family}] and below it: {name} = ["..."]',
        )
    return tuple(found)


def _check_slots(family: str, wording: str) -> None:
    wanted = ", ".join(sorted(SLOTS[family])) or "none"
    try:
        used = {name for _, name, _, _ in string.Formatter().parse(wording) if name is not None}
    except ValueError as error:
        raise ConfigError(
            f"The {family!r} wording {wording!r} has a broken slot: {error}.",
            hint="Slots are written {like_this}; a brace that is none is doubled.",
        ) from error
    if used != SLOTS[family]:
        raise ConfigError(
            f"The {family!r} wording {wording!r} uses the slots {sorted(used)}; "
            f"it must use {wanted}.",
            hint="Slots are written {like_this}.",
        )
