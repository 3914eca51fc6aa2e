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
        ConfigError: when the file cannot be read, names an unknown family, or uses a slot that its family lacks.
    """
    prompts = _checked(tomllib.loads(files("palate.language").joinpath("prompts.toml").read_text()))
    if path is not None:
        try:
            prompts |= _checked(tomllib.loads(path.read_text()))
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(
                f"The prompts in {str(path)!r} cannot be read: {error}.", hint="Write them as TOML."
            ) from error
    return prompts


def _checked(tables: Mapping[str, Mapping[str, list[str]]]) -> dict[str, Wordings]:
    prompts = {}
    for family, table in tables.items():
        if family not in SLOTS:
            raise ConfigError(
                f"Unknown prompt family {family!r}.", hint=f"The families are {', '.join(SLOTS)}."
            )
        wordings = Wordings(tuple(table.get("seen", ())), tuple(table.get("unseen", ())))
        if not wordings.seen:
            raise ConfigError(
                f"Prompt family {family!r} has no wording.", hint="Add a list `seen`."
            )
        for wording in wordings.seen + wordings.unseen:
            _check_slots(family, wording)
        prompts[family] = wordings
    return prompts


def _check_slots(family: str, wording: str) -> None:
    used = {name for _, name, _, _ in string.Formatter().parse(wording) if name is not None}
    if used != SLOTS[family]:
        wanted = ", ".join(sorted(SLOTS[family])) or "none"
        raise ConfigError(
            f"The {family!r} wording {wording!r} uses the slots {sorted(used)}; it must use {wanted}.",
            hint="Slots are written {like_this}.",
        )
