"""The command line: one thin function per verb.

Everything heavy is imported inside the verb that needs it.
"""

import json
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from palate.errors import ConfigError, MissingExtraError, PalateError
from palate.terminal import progress_bar, show, show_items, show_markdown, training_progress

if TYPE_CHECKING:
    from palate.data.dataset import Dataset
    from palate.evaluation.result import Evaluation
    from palate.inference.recommender import Recommender
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


def main() -> None:
    """Run the command line; an error a user can mend is two lines and exit code 2."""
    try:
        app()
    except PalateError as error:
        typer.echo(f"error: {error.message}", err=True)
        if error.hint:
            typer.echo(f"hint: {error.hint}", err=True)
        sys.exit(2)


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
        "columns": _pairs(column or [], "--column"),
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
def train(
    dataset: Annotated[
        str, typer.Argument(help="A dataset folder; or anything `palate prepare` takes.")
    ],
    model: Annotated[Path, typer.Argument(help="The model folder to write.")],
    recipe: Annotated[str, typer.Option(help="A recipe's name, or a TOML file.")] = "urm",
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same model.")] = 0,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Override a setting: --set training.epochs=5.")
    ] = None,
) -> None:
    """Train a recipe; a killed run continues when the same command is given again."""
    from dataclasses import replace
    from shutil import rmtree

    from palate.inference.recommender import Recommender
    from palate.training.recipe import load_recipe

    chosen = load_recipe(recipe, set_ or [])
    data = _dataset(dataset, model)
    work = model.with_name(f"{model.name}.training")
    try:
        with training_progress() as bar:
            trained = Recommender.train(
                data, chosen, seed=seed, folder=work, report=bar.report, encoding=bar.encoding
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
def evaluate(
    model: Model,
    split: Annotated[
        Literal["valid", "test"], typer.Option(help="Which part to predict.")
    ] = "test",
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the figures here.")
    ] = None,
) -> None:
    """Judge a model by full ranking over the whole catalogue."""
    from palate.evaluation.tables import evaluation_tables

    loaded = _load(model)
    with progress_bar("Evaluating") as progress:
        result = loaded.evaluate(split, progress=progress)
    if json_file is not None:
        _write_text(json_file, json.dumps(result.to_json(), indent=2) + "\n")
    show(*evaluation_tables(loaded.name, result))


@app.command()
def compare(
    models: Annotated[
        list[Path], typer.Argument(help="Two or more model folders; the first is the reference.")
    ],
    split: Annotated[
        Literal["valid", "test"], typer.Option(help="Which part to predict.")
    ] = "test",
) -> None:
    """Compare models on the same users, with paired significance."""
    import numpy as np

    from palate.evaluation.tables import HEADLINE, comparison_table

    if len(models) < 2:
        raise ConfigError("compare needs two models or more.", hint="palate compare MODEL MODEL...")
    results: dict[str, Evaluation] = {}
    for folder in models:
        loaded = _load(folder)
        with progress_bar(f"Evaluating {folder.name}") as progress:
            results[_unique(loaded.name, folder, results)] = loaded.evaluate(
                split, progress=progress
            )
    show(comparison_table(results, HEADLINE, np.random.default_rng(0)))


@app.command()
def recommend(
    model: Model,
    user: Annotated[str | None, typer.Option(help="A user of the dataset.")] = None,
    n: Count = 10,
    prompt: Annotated[str | None, typer.Option(help="Say in words what is wanted.")] = None,
    history: Annotated[
        str | None, typer.Option(help="Item ids, oldest first, in place of (or after) a user's.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Recommend items to a user, or to anybody with a history, and say why."""
    loaded = _load(model)
    who = _who(loaded, user, history)
    if prompt is not None:
        from palate.inference.engine import Ask

        loaded = loaded.asking(Ask(prompt=prompt))
    ranking = loaded.recommend([who], n)[0]
    reasons = [_because(loaded, who, int(row)) for row in ranking.item_rows]
    title = f"Recommended to {user or 'somebody with this history'}"
    show_items(loaded, ranking, title, reasons, as_json=as_json)


@app.command()
def search(
    model: Model,
    words: Annotated[str, typer.Argument(help="What to look for.")],
    n: Count = 10,
    user: Annotated[str | None, typer.Option(help="Whose taste to follow.")] = None,
    as_json: Json = False,
) -> None:
    """Find items by words."""
    loaded = _load(model)
    ranking = loaded.search(words, n, loaded.history(user) if user else None)
    show_items(loaded, ranking, f"Found for “{words}”", None, as_json=as_json)


@app.command()
def report(
    models: Annotated[list[Path], typer.Argument(help="One or more model folders.")],
    out: Annotated[Path, typer.Option(help="The HTML page to write.")] = Path("report.html"),
    split: Annotated[
        Literal["valid", "test"], typer.Option(help="Which part to predict.")
    ] = "test",
) -> None:
    """Write one self-contained HTML page about one or more models."""
    from palate.evaluation.report import write_report
    from palate.inference.reporting import report_entry

    if out.is_dir():
        raise ConfigError(f"{str(out)!r} is a folder.", hint="Give a file: --out report.html")
    entries = []
    for folder in models:
        loaded = _load(folder)
        with progress_bar(f"Evaluating {folder.name}") as progress:
            entries.append(report_entry(loaded, split, progress=progress))
    write_report(entries, out)
    typer.echo(f"Report written to {out}.")


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

    from palate.inference.indexing import index_config, index_report, load_source

    config = index_config(kind, set_ or [])
    with progress_bar("Encoding") as progress:
        made = index_report(
            load_source(source), config, seed=seed, modality=vectors, progress=progress
        )
    if out is not None:
        made.save(out, made_by=f"index {source} --kind {kind} --seed {seed}")
    if as_json:
        typer.echo(json.dumps(asdict(made.health), indent=2))
    else:
        show(*made.tables)


@app.command()
def recipes(as_json: Json = False) -> None:
    """List the recipes."""
    from rich.table import Table

    from palate.training.recipe import load_recipe, recipe_names

    found = {name: load_recipe(name) for name in recipe_names()}
    if as_json:
        rows = {
            n: {"title": r.title, "paper": r.paper, "summary": r.summary} for n, r in found.items()
        }
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    table = Table("Recipe", "What it is", "Paper", title="Recipes")
    for name, recipe in found.items():
        table.add_row(name, f"{recipe.title}. {recipe.summary}", recipe.paper)
    show(table)


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Where everything is written.")] = Path("demo"),
    users: Annotated[int, typer.Option(min=20, help="Users of the simulated shop.")] = 1500,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Simulate a shop, train, compare with baselines and the best possible, recommend, report."""
    from palate.inference.demo import run_demo

    with training_progress() as bar:
        run_demo(folder, num_users=users, seed=seed, say=typer.echo, show=show, training=bar.report)


@app.command()
def serve(
    model: Model,
    db: Annotated[
        str, typer.Option(help="sqlite:///FILE, or postgresql://USER:PASSWORD@HOST/DATABASE.")
    ] = "sqlite:///palate.db",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where to listen.")] = 8000,
    host: Annotated[
        str, typer.Option(help="Which address to listen on; 0.0.0.0 is every one, with a key.")
    ] = "127.0.0.1",
    more: Annotated[
        list[str] | None,
        typer.Option("--model", help="Another model with its share: --model FOLDER=0.1"),
    ] = None,
) -> None:
    """Serve a model: an API, a store that loses nothing, and a page.

    The environment variable PALATE_API_KEY is the first admin key.
    """
    import os

    _check_extra("fastapi", "serve")
    from palate.serving.app import ServeSettings
    from palate.serving.server import serve as run

    key = os.environ.get("PALATE_API_KEY") or None
    models = _shares(model, more or [])
    run(ServeSettings(models=models, db=db, host=host, port=port, first_key=key))


@app.command()
def mcp(
    model: Model,
    db: Annotated[
        str, typer.Option(help="sqlite:///FILE, or postgresql://USER:PASSWORD@HOST/DATABASE.")
    ] = "sqlite:///palate.db",
) -> None:
    """Give a model to an assistant as tools, by the Model Context Protocol."""
    _check_extra("fastapi", "serve")
    _check_extra("mcp", "mcp")
    from palate.serving.mcp import run_mcp

    run_mcp(model, db)


def _check_extra(package: str, extra: str) -> None:
    from importlib.util import find_spec

    if find_spec(package) is None:
        raise MissingExtraError(package, extra)


def _shares(model: Path, more: Sequence[str]) -> dict[Path, float]:
    """Return each model folder with its share of the traffic; the first has what is left of 1."""
    found: dict[Path, float] = {}
    for folder, share in (
        (Path(name), share) for name, share in _pairs(more, "--model", "FOLDER=0.1").items()
    ):
        try:
            found[folder] = float(share)
        except ValueError:
            raise ConfigError(
                f"--model {folder}={share}: {share!r} is not a share.",
                hint="Write --model FOLDER=0.1",
            ) from None
    left = 1.0 - sum(found.values())
    if model in found or not all(0 <= share <= 1 for share in found.values()) or left < 0:
        raise ConfigError(
            "The shares of --model must be within 0 and 1, and leave some to the first model.",
            hint="Write: palate serve MODEL --model OTHER=0.1",
        )
    return {model: round(left, 9), **found}


def _load(folder: Path) -> "Recommender":
    from palate.inference.recommender import Recommender

    return Recommender.load(folder)


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


def _who(loaded: "Recommender", user: str | None, history: str | None) -> "History":
    """Return the history of a known user, of somebody new, or of a known user who did more."""
    ids = [item_id for item_id in (history or "").split(",") if item_id]
    if user is None and not ids:
        raise ConfigError(
            "recommend needs somebody.", hint="Give --user ID, or --history ID,ID,..."
        )
    if user is None:
        return loaded.history_of(ids)
    known = loaded.history(user)
    return known.extended(loaded.history_of(ids)) if ids else known


def _because(loaded: "Recommender", who: "History", item_row: int) -> list[dict[str, object]]:
    """Return the events an item is there because of, the weightiest first."""
    table = loaded.dataset.catalog.table.select("item_id", "title")
    found = []
    for reason in loaded.why(who, item_row):
        item_id, title = table.row(int(who.item_rows[reason.event]))
        weight = round(reason.weight, 4)
        found.append({"item_id": item_id, "title": title or item_id, "weight": weight})
    return found


def _pairs(options: Sequence[str], name: str, example: str = "user_id=buyer") -> dict[str, str]:
    found = {}
    for option in options:
        key, separator, value = option.partition("=")
        if not separator:
            raise ConfigError(f"{name} {option!r} has no '='.", hint=f"Write {name} {example}")
        found[key] = value
    return found


def _unique(name: str, folder: Path, taken: Collection[str]) -> str:
    return f"{name} ({folder.name})" if name in taken else name


def _write_text(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as error:
        raise ConfigError(
            f"{str(path)!r} cannot be written: {error.strerror}.", hint="Choose another file."
        ) from error
