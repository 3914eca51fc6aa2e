"""From a dataset to a model: train, recipes, demo."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from palate.cli.application import Json, app, load
from palate.terminal import show, training_progress

if TYPE_CHECKING:
    from palate.data.dataset import Dataset


_AFTER = {
    "train": "Next: palate evaluate {model}",
    "valid": "It learned from the valid events too: only test can be evaluated.\n"
    "Next: palate evaluate {model}",
    "all": "It learned from every event: it can no longer be evaluated on them.\n"
    "Next: palate serve {model}",
}
"""What to say of a new model."""


@app.command()
def train(
    dataset: Annotated[
        str, typer.Argument(help="A dataset folder; or anything `palate prepare` takes.")
    ],
    model: Annotated[Path, typer.Argument(help="The model folder to write.")],
    recipe: Annotated[str, typer.Option(help="A recipe's name, or a TOML file.")] = "urm",
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same model.")] = 0,
    fit: Annotated[
        Literal["train", "valid", "all"],
        typer.Option(help="What to learn from in the end: all, for a model that goes live."),
    ] = "train",
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
                fit=fit,
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
    more = "" if fit == "train" else f" --fit {fit}"
    trained.save(model, made_by=f"train {dataset} --recipe {recipe} --seed {seed}{more}")
    rmtree(work, ignore_errors=True)
    typer.echo(f"Model written to {model}. {_AFTER[fit].format(model=model)}")


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
