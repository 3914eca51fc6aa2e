"""From a dataset to a model: train, recipes, demo."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from palate.cli.application import (
    DeviceName,
    Json,
    PrecisionName,
    app,
    check_folder,
    in_shell,
    load,
)
from palate.errors import PalateError
from palate.terminal.progress import progress_bar, training_progress
from palate.terminal.tables import show
from palate.terminal.words import say, say_json

if TYPE_CHECKING:
    from palate.data.dataset import Dataset
    from palate.models.device import Device
    from palate.training.recipe import Recipe


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
    seed: Annotated[
        int,
        typer.Option(
            min=0,
            help="The same seed gives the same model on the same machine; with another number of "
            "threads, sums are rounded otherwise and the model differs a little.",
        ),
    ] = 0,
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
    llm: Annotated[
        str | None,
        typer.Option(
            metavar="URL|FOLDER",
            help="Who is asked by a recipe without training: an endpoint (its key is read from "
            "PALATE_LLM_KEY), a folder of weights, or a control: identity, shuffle.",
        ),
    ] = None,
    llm_model: Annotated[
        str, typer.Option(metavar="NAME", help="The name of the model at the endpoint.")
    ] = "",
    device: DeviceName = "auto",
    precision: PrecisionName = "auto",
) -> None:
    """Train a recipe; a killed run continues when the same command is given again."""
    check_folder(model, "model")
    from palate.models.device import choose_device
    from palate.recommender.recommender import Recommender
    from palate.storage import working_place
    from palate.training.recipe import load_recipe

    on = choose_device(device, precision)
    chosen = load_recipe(recipe, set_ or [])
    # Its weights are copied, so it need not stand on the device too.
    beginning = load(start, "cpu") if start is not None else None
    data = _dataset(dataset, model)
    work = working_place(model, "training")
    if chosen.prompting is None:
        say(_where(on, counts=chosen.baseline is not None))
        if chosen.model.backbone is not None:
            say(_how_borrowed(chosen))
    else:
        say(f"Training the base, {chosen.prompting.base}; the language model is not trained.")
    with _resumable(work):
        with training_progress() as bar:
            trained = Recommender.train(
                data,
                chosen,
                seed=seed,
                fit=fit,
                start=beginning,
                prompts=prompts,
                folder=work,
                report=bar.report,
                encoding=bar.encoding,
                status=bar.status,
                device=device,
                precision=precision,
                llm=llm,
                llm_model=llm_model,
            )
        name = Path(recipe).stem if recipe.endswith(".toml") else recipe
        more = "" if fit == "train" else f" --fit {fit}"
        made_by = f"train {dataset} --recipe {recipe} --seed {seed}{more}"
        Recommender(replace(trained.trained, name=name)).save(model, made_by=made_by)
    rmtree(work, ignore_errors=True)
    say(f"Model written to {model}. {_AFTER[fit].format(model=in_shell(model))}")


@app.command("tune-text")
def tune_text(
    dataset: Annotated[Path, typer.Argument(help="A dataset folder.")],
    folder: Annotated[Path, typer.Argument(help="The folder of the text encoder to write.")],
    start: Annotated[
        str,
        typer.Option(
            help="catalogue (its own words), minilm (distilled from it), or the folder of a table."
        ),
    ] = "catalogue",
    loss: Annotated[
        Literal["in-batch", "triplet"], typer.Option(help="What else is in a batch, or one of it.")
    ] = "in-batch",
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Override a setting: --set window=3.")
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            min=0, help="The same seed gives the same vectors with as many threads on one machine."
        ),
    ] = 0,
) -> None:
    """Tune a text encoder on what follows what in a shop; recipes read it as items.text.path.

    It learns from training events alone, and a killed run continues when the same command is given
    again.
    """
    check_folder(folder, "text-encoder")
    from palate.config import checked, with_overrides
    from palate.data.dataset import Dataset
    from palate.recommender.tuned_text import tune_text as tuned_on
    from palate.storage import working_place
    from palate.training.text_pairs import TextTuning

    tables = with_overrides({"loss": loss}, set_ or [])
    config = checked(TextTuning, tables, "The settings of the text encoder")
    data, work = Dataset.load(dataset), working_place(folder, "training")
    with _resumable(work), training_progress() as bar:
        tuned = tuned_on(data, config, start=start, seed=seed, folder=work, report=bar.report)
    tuned.save(folder, made_by=f"tune-text {dataset} --start {start} --loss {loss} --seed {seed}")
    rmtree(work, ignore_errors=True)
    if tuned.before is not None and tuned.after is not None:
        say(f"NDCG@10 of what is nearest, valid: {tuned.before:.4f} before, {tuned.after:.4f} now.")
    say(
        f"Text encoder written to {folder}. Next: palate train {in_shell(dataset)} MODEL "
        f"--set items.text.kind=auto --set items.text.path={in_shell(folder)}"
    )


@app.command()
def recipes(
    name: Annotated[
        str | None, typer.Argument(help="Show everything of this recipe, or of a TOML file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the recipes, or show one of them whole."""
    from palate.terminal.recipes import recipe_facts, recipe_settings, show_recipe, show_recipes
    from palate.training.recipe import load_recipe, recipe_names

    if name is not None:
        found = load_recipe(name)
        if as_json:
            say_json(recipe_facts(found) | {"settings": recipe_settings(found)})
        else:
            show_recipe(name, found)
        return
    every = {name: load_recipe(name) for name in recipe_names()}
    if as_json:
        say_json({name: recipe_facts(recipe) for name, recipe in every.items()})
    else:
        show_recipes(every)


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Where everything is written.")] = Path("demo"),
    users: Annotated[int, typer.Option(min=20, help="Users of the simulated shop.")] = 1500,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Simulate a shop, train, compare with baselines and the best possible, recommend, report."""
    from palate.studies.demo import run_demo

    with training_progress() as bar:
        run_demo(folder, num_users=users, seed=seed, echo=say, show=show, training=bar.report)


def _where(on: "Device", *, counts: bool) -> str:
    """Return the line that says device and precision."""
    line = f"Training on {on.training}"
    if on.is_slowed_by_bfloat16:
        line += ", which is slower than float32 here"
    if counts and on.where.type != "cpu":
        line += "; what a baseline counts, it counts on the processor"
    return f"{line}."


def _how_borrowed(recipe: "Recipe") -> str:
    """Return the line that says how a pre-trained model is trained."""
    training = recipe.resolved_stages[-1].training
    step = f"{training.tokens_per_batch:,} tokens"
    step += f" x {training.accumulate}" if training.accumulate > 1 else ""
    judged = f", validated on {training.validate_on:,}" if training.validate_on else ""
    return (
        f"Pre-trained model: steps of {step}, at most {training.epochs} epochs{judged}; "
        "--set training.KEY=VALUE changes that."
    )


@contextmanager
def _resumable(work: Path) -> Iterator[None]:
    """Say of a run that stops what is kept of it, and leave nothing that is of no use."""
    kept = "The last checkpoint is kept: the same command continues from it."
    try:
        yield
    except KeyboardInterrupt:
        say(f"\nStopped. {kept}" if _has_checkpoint(work) else "\nStopped.", err=True)
        raise typer.Exit(130) from None
    except Exception as error:
        if not _has_checkpoint(work):
            rmtree(work, ignore_errors=True)
        elif isinstance(error, PalateError):
            error.hint = f"{error.hint} {kept}".strip()
        raise


def _has_checkpoint(work: Path) -> bool:
    return any(work.rglob("checkpoint.*"))


def _dataset(source: str, model: Path) -> "Dataset":
    """Load a dataset folder, or prepare one beside the model from anything else."""
    from palate.artifacts import MANIFEST
    from palate.data.dataset import Dataset
    from palate.data.prepare import prepare
    from palate.storage import working_place

    if (Path(source) / MANIFEST).is_file():
        return Dataset.load(source)
    folder = working_place(model, "dataset")
    say(f"{source} is not a dataset folder yet: preparing it as {folder}.")
    with progress_bar("Preparing") as progress:
        return prepare(source, folder, progress=progress.stage)
