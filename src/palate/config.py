"""Settings: TOML into typed, checked objects; a misspelt key is an error everywhere."""

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeGuard, TypeVar

from pydantic import BaseModel, ValidationError

from palate.errors import ConfigError

Settings = TypeVar("Settings", bound=BaseModel)


def parse_toml(text: str, name: str) -> dict[str, object]:
    """Return the tables of a TOML text.

    Raises:
        ConfigError: when it is not TOML.
    """
    try:
        return tomllib.loads(text)
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


def with_overrides(tables: Mapping[str, object], overrides: Sequence[str]) -> dict[str, object]:
    """Return ``tables`` with each ``a.b=value`` applied; a value is read as TOML, else as text.

    Raises:
        ConfigError: when an override has no ``=``, or goes through something that is not a table.
    """
    changed: dict[str, object] = json.loads(json.dumps(tables))
    for override in overrides:
        path, separator, value = override.partition("=")
        if not separator:
            raise ConfigError(
                f"--set {override!r} has no '='.", hint="Write --set training.epochs=3"
            )
        table = changed
        *parents, last = path.strip().split(".")
        for parent in parents:
            inner = table.setdefault(parent, {})
            if not isinstance(inner, dict):
                raise ConfigError(f"--set {override!r}: {parent!r} is a value, not a table.")
            table = inner
        table[last] = _value(value.strip())
    return changed


def checked(kind: type[Settings], tables: Mapping[str, object], name: str) -> Settings:
    """Return ``tables`` as a ``kind``.

    Raises:
        ConfigError: naming each key that is unknown or has a wrong value.
    """
    try:
        return kind.model_validate(tables)
    except ValidationError as error:
        wrong = "; ".join(
            ": ".join(filter(None, (_path(one["loc"]), _said(one["type"], one["msg"]))))
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


def _said(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "there is no such setting"
    return message.removeprefix("Value error, ")


def _value(text: str) -> object:
    if text.lower() in ("none", "null"):
        return None
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
