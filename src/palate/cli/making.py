"""From tables to a model: prepare, train, index, recipes, demo."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from palate.cli.application import Json, app, load, pairs
from palate.terminal import progress_bar, show, show_markdown, training_progress

if TYPE_CHECKING:
    from palate.data.dataset import Dataset


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
    from palate.config import checked
    from palate.data.prepare import PrepareOptions
    from palate.data.prepare import prepare as run

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
    options = checked(PrepareOptions, chosen, "The options of prepare")
    made = run(source, dataset, options)
    show_markdown(made.report)
    typer.echo(f"Dataset written to {dataset}. Next: palate train {dataset} MODEL")


@app.command()
def join(
    datasets: Annotated[list[Path], typer.Argument(help="Dataset folders of several shops.")],
    out: Annotated[Path, typer.Option(help="The dataset folder to write.")],
    name: Annotated[str | None, typer.Option(help="What to call the whole.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Draws the order of the items.")] = 0,
) -> None:
    """Make one dataset of several: shops that a model is pre-trained on together."""
    from palate.data.dataset import Dataset
    from palate.data.joining import joined

    made = joined([Dataset.load(folder) for folder in datasets], name=name, seed=seed)
    made.save(out, made_by=f"join {' '.join(map(str, datasets))} --seed {seed}")
    show_markdown(made.report)
    typer.echo(f"Dataset written to {out}. Next: palate train {out} MODEL")


@app.command()
def train(
    dataset: Annotated[
        str, typer.Argument(help="A dataset folder; or anything `palate prepare` takes.")
    ],
    model: Annotated[Path, typer.Argument(help="The model folder to write.")],
    recipe: Annotated[str, typer.Option(help="A recipe's name, or a TOML file.")] = "urm",
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same model.")] = 0,
    start: Annotated[
        Path | None, typer.Option(help="A model to start from, of this data or of other.")
    ] = None,
    prompts: Annotated[
        Path | None, typer.Option(help="A TOML file of your own wordings to train on.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Override a setting: --set training.epochs=5.")
    ] = None,
) -> None:
    """Train a recipe; a killed run continues when the same command is given again."""
    from dataclasses import replace
    from shutil import rmtree

    from palate.recommender.recommender import Recommender
    from palate.training.recipe import load_recipe

    chosen = load_recipe(recipe, set_ or [])
    data = _dataset(dataset, model)
    work = model.with_name(f"{model.name}.training")
    try:
        with training_progress() as bar:
            trained = Recommender.train(
                data,
                chosen,
                seed=seed,
                start=load(start) if start is not None else None,
                prompts=prompts,
                folder=work,
                report=bar.report,
                encoding=bar.encoding,
            )
    except KeyboardInterrupt:
        typer.echo(
            "\nStopped. The last checkpoint is kept: the same command continues from it.", err=True
        )
        raise typer.Exit(130) from None
    name = Path(recipe).stem if recipe.endswith(".toml") else recipe
    trained = Recommender(replace(trained.trained, name=name))
    trained.save(model, made_by=f"train {dataset} --recipe {recipe} --seed {seed}")
    rmtree(work, ignore_errors=True)
    typer.echo(f"Model written to {model}. Next: palate evaluate {model}")


@app.command()
def index(
    source: Annotated[Path, typer.Argument(help="A dataset folder or a model folder.")],
    kind: Annotated[
        str, typer.Option(help="residual-kmeans, rqvae, product, collaborative, semantic, ...")
    ] = "residual-kmeans",
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Override a setting: --set levels=4.")
    ] = None,
    vectors: Annotated[
        Literal["text", "image", "behaviour"], typer.Option(help="What codes are learned from.")
    ] = "text",
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same codes.")] = 0,
    out: Annotated[Path | None, typer.Option(help="The codes folder to write.")] = None,
    as_json: Json = False,
) -> None:
    """Give every item a code of a few levels, and say how healthy the codes are."""
    from dataclasses import asdict

    from palate.studies.index_health import index_config, index_report, load_source

    config = index_config(kind, set_ or [])
    with progress_bar("Encoding") as progress:
        made = index_report(
            load_source(source), config, seed=seed, modality=vectors, progress=progress
        )
    if out is not None:
        made.save(out, made_by=f"index {source} --kind {kind} --seed {seed}")
    if as_json:
        typer.echo(json.dumps(asdict(made.health), indent=2))
        return
    show(*made.tables)
    for warning in made.warnings:
        typer.echo(f"warning: {warning}")
    typer.echo(
        "Nothing was written; give --out CODES to keep the codes."
        if out is None
        else f"Codes written to {out}, with the plots in {out / 'health.html'}."
    )


@app.command()
def recipes(as_json: Json = False) -> None:
    """List the recipes."""
    from rich.table import Table

    from palate.training.recipe import load_recipe, recipe_names

    found = {name: load_recipe(name) for name in recipe_names()}
    if as_json:
        rows = {
            name: {
                "title": recipe.title,
                "paper": recipe.paper,
                "summary": recipe.summary,
                "made_of": recipe.made_of,
                "measured": recipe.measured,
            }
            for name, recipe in found.items()
        }
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    table = Table(
        "Recipe", "What it is", "Made of", "Measured", "Paper", title="Recipes", show_lines=True
    )
    for name, recipe in found.items():
        about = f"{recipe.title}. {recipe.summary}"
        table.add_row(name, about, recipe.made_of, recipe.measured or "-", recipe.paper)
    show(table)


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Where everything is written.")] = Path("demo"),
    users: Annotated[int, typer.Option(min=20, help="Users of the simulated shop.")] = 1500,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Simulate a shop, train, compare with baselines and the best possible, recommend, report."""
    from palate.studies.demo import run_demo

    with training_progress() as bar:
        run_demo(folder, num_users=users, seed=seed, say=typer.echo, show=show, training=bar.report)


def _dataset(source: str, model: Path) -> "Dataset":
    """Load a dataset folder, or prepare one beside the model from anything else."""
    from palate.artifacts import MANIFEST
    from palate.data.dataset import Dataset
    from palate.data.prepare import prepare as run

    if (Path(source) / MANIFEST).is_file():
        return Dataset.load(source)
    folder = model.with_name(f"{model.name}.dataset")
    typer.echo(f"{source} is not a dataset folder yet: preparing it as {folder}.")
    return run(source, folder)
