"""The application and the options that several verbs share."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from palate.errors import ConfigError, MissingExtraError
from palate.terminal.words import say

if TYPE_CHECKING:
    from palate.data.vocabulary import Vocabulary
    from palate.recommender.recommender import Recommender
    from palate.types import History


class _Verbs(TyperGroup):
    """The verbs; Ctrl-C is a line and exit code 130 in each."""

    def invoke(self, ctx: Any) -> object:  # noqa: ANN401 - typer keeps this class to itself
        """Run the verb that was asked for."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            say("\nStopped.", err=True)
            raise typer.Exit(130) from None


app = typer.Typer(
    cls=_Verbs,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Palate: one language model for every recommendation task.",
)

Model = Annotated[Path, typer.Argument(help="A model folder, from `palate train`.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
Count = Annotated[int, typer.Option("-n", min=1, help="Number of items.")]
KnownUser = Annotated[str | None, typer.Option(help="A user of the dataset.")]
GivenHistory = Annotated[
    list[str] | None,
    typer.Option(
        help="Item ids with commas between them, oldest first, in place of (or after) a user's. "
        "May be given several times; an id with a comma stands alone, or in double quotes."
    ),
]
DeviceName = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="auto|cpu|cuda|cuda:N",
        help="Where to compute; auto takes a GPU where there is one.",
    ),
]
PrecisionName = Annotated[
    Literal["auto", "float32", "bfloat16"],
    typer.Option(
        "--precision",
        help="Of matrix products. auto learns in bfloat16 where that is faster, and answers in "
        "float32.",
    ),
]


def check_device(device: str, precision: Literal["auto", "float32", "bfloat16"]) -> None:
    """Refuse a device or a precision that is not there before anything is read."""
    from palate.models.device import choose_device

    choose_device(device, precision)


def load(
    folder: Path,
    device: str = "auto",
    precision: Literal["auto", "float32", "bfloat16"] = "auto",
) -> "Recommender":
    """Read a model folder onto a device; one that is not there is refused before."""
    from palate.recommender.recommender import Recommender

    return Recommender.load(folder, device=device, precision=precision)


def check_file(path: Path | None) -> None:
    """Refuse a file that cannot be written before anything heavy is loaded."""
    from palate.storage import check_file_target

    if path is not None:
        check_file_target(path)


def check_folder(path: Path | None, kind: str) -> None:
    """Refuse a folder that cannot be written, or holds something else, before the work is done."""
    from palate.artifacts import check_folder_target

    if path is not None:
        check_folder_target(path, kind)


def somebody(loaded: "Recommender", user: str | None, history: Sequence[str] | None) -> "History":
    """Return the history of a known user, of somebody new, or of a known user who did more.

    Items that are not in the catalogue are left out, and named on standard error.
    """
    from palate.inference.item_events import ItemEvent, unknown_items
    from palate.inference.request import NOBODY

    if user is None and history is None:
        raise ConfigError(
            "This needs somebody to answer for.",
            hint="Give --user ID, or --history ID,ID,... (--history '' for somebody new).",
        )
    known = NOBODY if user is None else loaded.history(user)
    ids = item_ids(history or (), loaded.dataset.catalog.vocabulary)
    whole, missing = loaded.engine.history_of([ItemEvent(item_id) for item_id in ids], known)
    if missing:
        say(unknown_items(missing), err=True)
    return whole


def item_ids(options: Sequence[str], known: "Vocabulary") -> list[str]:
    """Return the ids that options such as ``--items a,b --items c`` name.

    Whatever is an id as it stands is one, commas or not.
    """
    return [
        item_id
        for option in options
        for item_id in ([option] if option in known else listed(option))
    ]


def listed(ids: str) -> list[str]:
    """Return the ids of a list with commas; one that holds a comma itself stands in quotes."""
    import csv

    found = next(csv.reader([ids], skipinitialspace=True), [])
    return [stripped for item_id in found if (stripped := item_id.strip())]


def pairs(options: Sequence[str], name: str, example: str = "user_id=buyer") -> dict[str, str]:
    """Return what options such as ``--column user_id=buyer`` say, by key."""
    found = {}
    for option in options:
        key, separator, value = option.partition("=")
        if not separator:
            raise ConfigError(f"{name} {option!r} has no '='.", hint=f"Write {name} {example}")
        found[key] = value
    return found


def in_shell(path: Path) -> str:
    """Return a path as a shell takes it, with quotes where it needs them."""
    import shlex

    return shlex.quote(str(path))


def check_extra(package: str, extra: str) -> None:
    """Raise the pip command for an extra that is not installed."""
    from importlib.util import find_spec

    if find_spec(package) is None:
        raise MissingExtraError(package, extra)
