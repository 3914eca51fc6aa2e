"""From tables to a dataset folder: prepare, join."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from palate.cli.application import app, check_folder, pairs
from palate.errors import ConfigError
from palate.terminal.progress import progress_bar
from palate.terminal.tables import show_markdown
from palate.terminal.words import say


@app.command()
def prepare(
    source: Annotated[
        str, typer.Argument(help="A table, a folder of tables, or the name of a public set.")
    ],
    dataset: Annotated[Path, typer.Argument(help="The dataset folder to write.")],
    name: Annotated[str | None, typer.Option(help="What to call the dataset.")] = None,
    column: Annotated[
        list[str] | None, typer.Option(help="Where a guess is wrong: --column user_id=buyer.")
    ] = None,
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
    check_folder(dataset, "dataset")
    from palate.artifacts import kind_of
    from palate.data.prepare import options_of
    from palate.data.prepare import prepare as run

    if (kind := kind_of(source)) is not None:
        raise ConfigError(
            f"{source!r} was made by Palate already: it holds a {kind}.",
            hint=f"Train on it with: palate train {source} MODEL"
            if kind == "dataset"
            else "Give the tables that it was made from.",
        )
    chosen = {
        "name": name,
        "columns": pairs(column or [], "--column"),
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
        made = run(source, dataset, options_of(chosen), progress=progress.stage)
    show_markdown(made.report)
    say(f"Dataset written to {dataset}. Next: palate train {dataset} MODEL")


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
    say(f"Dataset written to {out}. Next: palate train {out} MODEL")
