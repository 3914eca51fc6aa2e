"""How good a model is: evaluate, compare, report."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from palate.cli.application import Model, app, load, write_text
from palate.errors import ConfigError
from palate.terminal import progress_bar, show

if TYPE_CHECKING:
    from palate.data.split import PartName
    from palate.evaluation.result import Evaluation
    from palate.recommender.recommender import Recommender


@app.command()
def evaluate(
    model: Model,
    task: Annotated[
        str,
        typer.Option(
            metavar="items|FAMILY",
            help="What to judge: items by full ranking, or a family of prompts that it answers in "
            "words, such as rating or explanation.",
        ),
    ] = "items",
    split: Annotated[
        Literal["valid", "test"], typer.Option(help="Which part to predict.")
    ] = "test",
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the figures here.")
    ] = None,
) -> None:
    """Judge a model by full ranking over the whole catalogue, or by what it says, with --task."""
    from palate.evaluation.report.tables import evaluation_tables

    loaded = load(model)
    if task != "items":
        _evaluate_task(loaded, task, split, json_file)
        return
    with progress_bar("Evaluating") as progress:
        result = loaded.evaluate(split, progress=progress)
    if json_file is not None:
        write_text(json_file, json.dumps(result.to_json(), indent=2) + "\n")
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

    from palate.evaluation.report.tables import HEADLINE, comparison_table

    if len(models) < 2:
        raise ConfigError("compare needs two models or more.", hint="palate compare MODEL MODEL...")
    results: dict[str, Evaluation] = {}
    for folder in models:
        loaded = load(folder)
        with progress_bar(f"Evaluating {folder.name}") as progress:
            results[_unique(loaded.name, folder, results)] = loaded.evaluate(
                split, progress=progress
            )
    show(comparison_table(results, HEADLINE, np.random.default_rng(0)))


@app.command()
def report(
    models: Annotated[list[Path], typer.Argument(help="One or more model folders.")],
    out: Annotated[Path, typer.Option(help="The HTML page to write.")] = Path("report.html"),
    split: Annotated[
        Literal["valid", "test"], typer.Option(help="Which part to predict.")
    ] = "test",
) -> None:
    """Write one self-contained HTML page about one or more models."""
    from palate.evaluation.report.page import write_report
    from palate.studies.report_entries import report_entry

    if out.is_dir():
        raise ConfigError(f"{str(out)!r} is a folder.", hint="Give a file: --out report.html")
    entries = []
    for folder in models:
        loaded = load(folder)
        with progress_bar(f"Evaluating {folder.name}") as progress:
            entries.append(report_entry(loaded, split, progress=progress))
    write_report(entries, out)
    typer.echo(f"Report written to {out}.")


def _evaluate_task(
    loaded: "Recommender",
    task: str,
    split: "PartName",
    json_file: Path | None,
) -> None:
    from palate.evaluation.task_result import task_tables
    from palate.language.tasks import judged_families
    from palate.studies.task_evaluation import evaluate_task

    # Scripts say the old names of families.
    renamed = {family.formerly: name for name, family in judged_families().items()}
    result = evaluate_task(loaded, renamed.get(task, task), split)
    if json_file is not None:
        write_text(json_file, json.dumps(result.to_json(), indent=2, ensure_ascii=False) + "\n")
    show(*task_tables(loaded.name, result))


def _unique(name: str, folder: Path, taken: Collection[str]) -> str:
    return f"{name} ({folder.name})" if name in taken else name
