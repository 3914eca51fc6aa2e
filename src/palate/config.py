"""Settings: TOML into typed, checked objects; a misspelt key is an error everywhere."""

import copy
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeGuard, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from palate.errors import ConfigError

Settings = TypeVar("Settings", bound=BaseModel)


def parse_toml(text: str, name: str) -> dict[str, object]:
    """Return the tables of a TOML text.

    Raises:
        ConfigError: when it is not TOML.
    """
    try:
        # Editors of Windows put a byte order mark first, which TOML does not know.
        return tomllib.loads(text.removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"{name} is not valid TOML: {error}.", hint="Mend the line it names."
        ) from error


def to_toml(tables: Mapping[str, object]) -> str:
    """Return tables as TOML, one dotted key in a line, as ``--set`` takes them; None is left out.

    A list of tables comes last, each under its name in double brackets.
    """
    lines = list(_flat(tables, ""))
    for name, value in tables.items():
        for table in value if _is_list_of_tables(value) else ():
            lines += ["", f"[[{name}]]", *_flat(table, "")]
    return "\n".join(lines) + "\n"


def deep_merged(below: Mapping[str, object], above: Mapping[str, object]) -> dict[str, object]:
    """Return the tables of ``above`` laid over those of ``below``, key by key at every depth.

    A value or a list replaces what is below it. So does a table that names another ``kind``: the
    settings of one kind mean nothing to another.
    """
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        if isinstance(under, Mapping) and isinstance(value, Mapping):
            another = {"kind"} <= under.keys() & value.keys() and under["kind"] != value["kind"]
            merged[key] = deep_merged({} if another else under, value)
        else:
            merged[key] = value
    return merged


@dataclass(frozen=True)
class Override:
    """A setting given on its own: ``training.epochs=3``."""

    path: tuple[str, ...]
    value: object
    """As TOML reads it; words that are no TOML are text."""

    @classmethod
    def read(cls, text: str) -> "Override":
        """Read ``a.b=value``.

        Raises:
            ConfigError: when there is no ``=``.
        """
        path, separator, value = text.partition("=")
        if not separator:
            raise ConfigError(f"--set {text!r} has no '='.", hint="Write --set training.epochs=3")
        return cls(tuple(path.strip().split(".")), _value(value.strip()))

    @property
    def key(self) -> str:
        """The path as it is written."""
        return ".".join(self.path)

    def applied(self, tables: Mapping[str, object]) -> dict[str, object]:
        """Return ``tables`` with the value at the end of the path.

        In a list of tables, a table is found by its number from 0 or by its ``name``.

        Raises:
            ConfigError: when the path goes through something that is no table.
        """
        changed: dict[str, object] = copy.deepcopy(dict(tables))
        table: dict[str, object] | list[object] = changed
        *parents, last = self.path
        for parent in parents:
            inner = (
                self._of_list(table, parent)
                if isinstance(table, list)
                else table.setdefault(parent, {})
            )
            if not isinstance(inner, dict | list):
                raise ConfigError(f"--set {self.key!r}: {parent!r} is a value, not a table.")
            table = inner
        if isinstance(table, list):
            raise ConfigError(
                f"--set {self.key!r}: {last!r} is one of a list, not a setting.",
                hint=f"Go on to a setting of it: --set {self.key}.KEY=VALUE",
            )
        table[last] = self.value
        return changed

    def _of_list(self, tables: Sequence[object], wanted: str) -> object:
        names = [str(each.get("name", "")) if isinstance(each, dict) else "" for each in tables]
        if wanted in names:
            return tables[names.index(wanted)]
        if wanted.isdecimal() and int(wanted) < len(tables):
            return tables[int(wanted)]
        known = [name or str(number) for number, name in enumerate(names)]
        raise ConfigError(
            f"--set {self.key!r}: there is no {wanted!r} in the list.",
            hint=f"There are: {', '.join(known)}.",
        )


def with_overrides(tables: Mapping[str, object], overrides: Sequence[str]) -> dict[str, object]:
    """Return ``tables`` with each ``a.b=value`` applied in turn.

    Raises:
        ConfigError: when an override has no ``=``, or goes through something that is not a table.
    """
    changed = dict(tables)
    for override in overrides:
        changed = Override.read(override).applied(changed)
    return changed


def checked(
    kind: type[Settings],
    tables: Mapping[str, object],
    name: str,
    renamed: Mapping[str, str] | None = None,
) -> Settings:
    """Return ``tables`` as a ``kind``.

    Args:
        kind: what they are to be.
        tables: the settings.
        name: what a person calls them.
        renamed: what keys of earlier versions are called now, by their path without the numbers of
            lists.

    Raises:
        ConfigError: naming each key that is unknown or has a wrong value.
    """
    try:
        return kind.model_validate(tables)
    except ValidationError as error:
        wrong = "; ".join(
            ": ".join(filter(None, (_path(one["loc"]), _said(one, renamed or {}))))
            for one in error.errors()
        )
        raise ConfigError(
            f"{name} cannot be used: {wrong}.",
            hint="Mend the settings it names; a misspelt name is an error too.",
        ) from error


def _flat(tables: Mapping[str, object], above: str) -> Iterator[str]:
    for key, value in tables.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{key}.")
        elif value is not None and not _is_list_of_tables(value):
            # Numbers, texts, truth values and lists of them are written alike in JSON.
            yield f"{above}{key} = {json.dumps(value, ensure_ascii=False)}"


def _is_list_of_tables(value: object) -> TypeGuard[Sequence[Mapping[str, object]]]:
    return isinstance(value, list) and bool(value) and isinstance(value[0], Mapping)


def _path(keys: Sequence[int | str]) -> str:
    """Return where a value stands; empty for settings that are wrong together."""
    return ".".join(map(str, keys))


def _said(error: ErrorDetails, renamed: Mapping[str, str]) -> str:
    if error["type"] != "extra_forbidden":
        return error["msg"].removeprefix("Value error, ")
    known_as = renamed.get(_path([part for part in error["loc"] if isinstance(part, str)]))
    return "there is no such setting" + (f"; write {known_as}" if known_as else "")


def _value(text: str) -> object:
    if text.lower() in ("none", "null"):
        return None
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
