"""The application and the options that several verbs share."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from palate.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from palate.recommender.recommender import Recommender
    from palate.types import History

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Palate: one language model for every recommendation task.",
)

Model = Annotated[Path, typer.Argument(help="A model folder, from `palate train`.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
Count = Annotated[int, typer.Option("-n", min=1, help="Number of items.")]


def load(folder: Path) -> "Recommender":
    """Read a model folder."""
    from palate.recommender.recommender import Recommender

    return Recommender.load(folder)


def somebody(loaded: "Recommender", user: str | None, history: str | None) -> "History":
    """Return the history of a known user, of somebody new, or of a known user who did more."""
    ids = listed(history or "")
    if user is None and history is None:
        raise ConfigError(
            "This needs somebody to answer for.",
            hint="Give --user ID, or --history ID,ID,... (--history '' for somebody new).",
        )
    return loaded.history_of(ids, after=None if user is None else loaded.history(user))


def listed(ids: str) -> list[str]:
    """Return the ids of a list with commas."""
    return [stripped for item_id in ids.split(",") if (stripped := item_id.strip())]


def pairs(options: Sequence[str], name: str, example: str = "user_id=buyer") -> dict[str, str]:
    """Return what options such as ``--column user_id=buyer`` say, by key."""
    found = {}
    for option in options:
        key, separator, value = option.partition("=")
        if not separator:
            raise ConfigError(f"{name} {option!r} has no '='.", hint=f"Write {name} {example}")
        found[key] = value
    return found


def write_text(path: Path, text: str) -> None:
    """Write a text file, or say why it cannot be written."""
    try:
        path.write_text(text)
    except OSError as error:
        raise ConfigError(
            f"{str(path)!r} cannot be written: {error.strerror}.", hint="Choose another file."
        ) from error


def print_json(value: object) -> None:
    """Print a value as JSON, with letters of every language as they are."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def check_extra(package: str, extra: str) -> None:
    """Raise the pip command for an extra that is not installed."""
    from importlib.util import find_spec

    if find_spec(package) is None:
        raise MissingExtraError(package, extra)
