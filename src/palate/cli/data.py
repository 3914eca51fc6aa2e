"""From tables to a dataset folder: prepare, join."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from palate.cli.application import app, check_folder, in_shell, listed, pairs
from palate.errors import ConfigError
from palate.terminal.progress import progress_bar
from palate.terminal.tables import show_markdown
from palate.terminal.words import say

if TYPE_CHECKING:
    from palate.data.sources.open import AnySource


@app.command()
def prepare(
    source: Annotated[
        str,
        typer.Argument(
            help="A table, a folder of tables, or the name of a public set; left out where"
            " --events names the files."
        ),
    ],
    dataset: Annotated[Path | None, typer.Argument(help="The dataset folder to write.")] = None,
    name: Annotated[str | None, typer.Option(help="What to call the dataset.")] = None,
    events: Annotated[
        list[str] | None,
        typer.Option(help="The table of events, whatever it is called; several are one table."),
    ] = None,
    items: Annotated[list[str] | None, typer.Option(help="The table of items.")] = None,
    users: Annotated[list[str] | None, typer.Option(help="The table of users.")] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            help="Where a guess is wrong: --column user_id=buyer; of one table:"
            " --column items.title=name; an empty name leaves it out."
        ),
    ] = None,
    header: Annotated[
        list[str] | None,
        typer.Option(
            help="Names of all columns, in their order, of a file without a header line: --header"
            " user_id,item_id; of another table: --header items=id,title."
        ),
    ] = None,
    encoding: Annotated[
        str | None, typer.Option(help="Of text that is not UTF-8: --encoding cp1252.")
    ] = None,
    decimal: Annotated[
        Literal[",", "."] | None,
        typer.Option(help="The decimal mark of prices such as 1,299; judged by the column else."),
    ] = None,
    time_format: Annotated[
        str | None,
        typer.Option(help="How times are written: '%d.%m.%Y %H:%M', milliseconds, excel."),
    ] = None,
    null: Annotated[
        list[str] | None,
        typer.Option(
            help="A word that means nothing is known, beside NA, NULL, None and their like; an"
            " empty word takes these away."
        ),
    ] = None,
    drop_incomplete: Annotated[
        bool, typer.Option(help="Leave out rows without a user, an item or a time.")
    ] = False,
    split: Annotated[
        Literal["leave-last-out", "time", "users", "cold-items"],
        typer.Option(help="What is held out."),
    ] = "leave-last-out",
    valid_fraction: Annotated[float, typer.Option(help="Share held out to choose by.")] = 0.1,
    test_fraction: Annotated[float, typer.Option(help="Share held out to report on.")] = 0.1,
    k_core: Annotated[int, typer.Option(help="Keep users and items with so many events.")] = 0,
    min_rating: Annotated[float | None, typer.Option(help="Drop events rated lower.")] = None,
    duplicates: Annotated[
        Literal["keep", "first", "last"], typer.Option(help="Of the same user, item and event.")
    ] = "keep",
    allow_missing_items: Annotated[
        bool, typer.Option(help="Keep events whose item has no row.")
    ] = False,
    keep_untouched_items: Annotated[
        bool, typer.Option(help="Keep items without an event.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Draws rows and what is held out.")] = 0,
) -> None:
    """Turn raw tables into a dataset folder."""
    from palate.artifacts import kind_of
    from palate.data.prepare import options_of
    from palate.data.prepare import prepare as run

    if (kind := kind_of(source)) is not None and dataset is not None:
        raise ConfigError(
            f"{source!r} was made by Palate already: it holds a {kind}.",
            hint=f"Train on it with: palate train {source} MODEL"
            if kind == "dataset"
            else "Give the tables that it was made from.",
        )
    named = {"events": events, "items": items, "users": users}
    tables = {table: files for table, files in named.items() if files}
    place, target = _places(source, dataset, tables)
    check_folder(target, "dataset")
    chosen = {
        "name": name,
        "columns": pairs(column or [], "--column"),
        "header": _headers(header or []),
        "encoding": encoding,
        "decimal": decimal,
        "time_format": time_format,
        "null": null or [],
        "drop_incomplete": drop_incomplete,
        "split": split,
        "valid_fraction": valid_fraction,
        "test_fraction": test_fraction,
        "k_core": k_core,
        "min_rating": min_rating,
        "duplicates": duplicates,
        "allow_missing_items": allow_missing_items,
        "keep_untouched_items": keep_untouched_items,
        "seed": seed,
    }
    with progress_bar("Preparing") as progress:
        made = run(place, target, options_of(chosen), progress=progress.stage)
    show_markdown(made.report)
    say(f"Dataset written to {target}. Next: palate train {target} MODEL")


def _places(
    source: str, dataset: Path | None, tables: dict[str, list[str]]
) -> "tuple[AnySource, Path]":
    """Return what to prepare and where to write it.

    Where the tables are named, the one place given is where to write; of two, the first is the
    folder that they lie in.
    """
    if not tables:
        if dataset is None:
            raise ConfigError(
                "The dataset folder to write is missing.", hint="palate prepare SOURCE DATASET"
            )
        return source, dataset
    if "events" not in tables:
        raise ConfigError(
            "--items and --users need --events beside them.",
            hint="palate prepare DATASET --events FILE --items FILE",
        )
    folder = Path(source) if dataset is not None else None
    found = {table: [_in_folder(folder, file) for file in files] for table, files in tables.items()}
    return found, Path(source) if dataset is None else dataset


def _in_folder(folder: Path | None, file: str) -> Path:
    return Path(file) if folder is None or not (folder / file).exists() else folder / file


def _headers(options: list[str]) -> dict[str, list[str]]:
    """Return the names of columns by table: ``item_id,title`` of the items where that is said."""
    found = {}
    for option in options:
        table, separator, names = option.rpartition("=")
        found[table if separator else "events"] = listed(names)
    return found


@app.command()
def join(
    datasets: Annotated[list[Path], typer.Argument(help="Dataset folders of several shops.")],
    out: Annotated[Path, typer.Option(help="The dataset folder to write.")],
    name: Annotated[str | None, typer.Option(help="What to call the whole.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Draws the order of the items.")] = 0,
) -> None:
    """Make one dataset of several: shops that a model is pre-trained on together."""
    check_folder(out, "dataset")
    from palate.data.dataset import Dataset
    from palate.data.joining import joined

    with progress_bar("Joining"):
        made = joined([Dataset.load(folder) for folder in datasets], name=name, seed=seed)
        made.save(out, made_by=f"join {' '.join(map(str, datasets))} --seed {seed}")
    show_markdown(made.report)
    say(f"Dataset written to {out}. Next: palate train {in_shell(out)} MODEL")
