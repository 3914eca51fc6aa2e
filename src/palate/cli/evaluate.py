"""How good a model is: evaluate, compare, report."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from palate.cli.application import (
    DeviceName,
    Model,
    PrecisionName,
    app,
    check_device,
    check_file,
    load,
)
from palate.errors import ConfigError
from palate.terminal.progress import progress_bar
from palate.terminal.tables import show
from palate.terminal.words import say

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
    protocol: Annotated[
        Literal["paper", "printed"],
        typer.Option(
            help="How explanations are judged: as papers do, the model's own words by ROUGE and "
            "BLEU; or as they are printed, by truth, reasons and complaints."
        ),
    ] = "paper",
    users: Annotated[
        int | None,
        typer.Option(min=1, help="Judge items by at most so many users, the same for all models."),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the figures here.")
    ] = None,
    device: DeviceName = "auto",
    precision: PrecisionName = "auto",
) -> None:
    """Judge a model by full ranking over the whole catalogue, or by what it says, with --task."""
    check_file(json_file)
    if protocol == "printed" and task != "explanation":
        raise ConfigError(
            f"The protocol 'printed' judges explanations, not {task!r}.",
            hint="Write: palate evaluate MODEL --task explanation --protocol printed",
        )
    from palate.evaluation.report.tables import evaluation_tables

    loaded = load(model, device, precision)
    if protocol == "printed":
        _evaluate_printed(loaded, split, json_file)
        return
    if task != "items":
        _evaluate_task(loaded, task, split, json_file)
        return
    with progress_bar("Evaluating") as progress:
        result = loaded.evaluate(split, users=users, progress=progress)
    show(*evaluation_tables(loaded.name, result))
    _write_figures(result.to_json() | _beside(loaded, result, split, users), json_file)


@app.command()
def compare(
    models: Annotated[
        list[Path], typer.Argument(help="Two or more model folders; the first is the reference.")
    ],
    split: Annotated[
        Literal["valid", "test"], typer.Option(help="Which part to predict.")
    ] = "test",
    device: DeviceName = "auto",
    precision: PrecisionName = "auto",
) -> None:
    """Compare models on the same users, with paired significance."""
    import numpy as np

    from palate.evaluation.report.tables import HEADLINE, comparison_table

    if len(models) < 2:
        raise ConfigError("compare needs two models or more.", hint="palate compare MODEL MODEL...")
    check_device(device, precision)
    results: dict[str, Evaluation] = {}
    for name, folder in _told_apart(models).items():
        loaded = load(folder, device, precision)
        with progress_bar(f"Evaluating {name}") as progress:
            results[name] = loaded.evaluate(split, progress=progress)
    show(comparison_table(results, HEADLINE, np.random.default_rng(0)))


@app.command()
def report(
    models: Annotated[list[Path], typer.Argument(help="One or more model folders.")],
    out: Annotated[Path, typer.Option(help="The HTML page to write.")] = Path("report.html"),
    split: Annotated[
        Literal["valid", "test"], typer.Option(help="Which part to predict.")
    ] = "test",
    device: DeviceName = "auto",
    precision: PrecisionName = "auto",
) -> None:
    """Write one self-contained HTML page about one or more models."""
    check_file(out)
    check_device(device, precision)
    from palate.evaluation.report.page import write_report
    from palate.studies.report_entries import report_entry

    entries = []
    for name, folder in _told_apart(models).items():
        loaded = load(folder, device, precision)
        with progress_bar(f"Evaluating {name}") as progress:
            entry = report_entry(loaded, split, progress=progress)
        entries.append(replace(entry, name=name + entry.name.removeprefix(loaded.name)))
    write_report(entries, out)
    say(f"Report written to {out}.")


def _beside(
    loaded: "Recommender", result: "Evaluation", split: "PartName", users: int | None
) -> dict[str, object]:
    """Show what stands beside the figures of a prompted model, and return it."""
    if loaded.trained.prompted is None:
        return {}
    from palate.studies.prompted_evaluation import beside, beside_tables

    found = beside(loaded, split, users=users)
    show(*beside_tables(loaded.name, result, found))
    return {"prompting": found.to_json()}


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
    with progress_bar("Evaluating"):
        result = evaluate_task(loaded, renamed.get(task, task), split)
    show(*task_tables(loaded.name, result))
    _write_figures(result.to_json(), json_file)


def _evaluate_printed(loaded: "Recommender", split: "PartName", json_file: Path | None) -> None:
    from palate.evaluation.task_result import task_tables
    from palate.studies.printed_words import MOST_EVENTS, evaluate_printed

    with progress_bar("Explaining"):
        result = evaluate_printed(loaded, split, MOST_EVENTS)
    show(*task_tables(loaded.name, result))
    _write_figures(result.to_json(), json_file)


def _write_figures(figures: dict[str, object], file: Path | None) -> None:
    """Write the figures, which are on the screen already: a full disk costs nobody the work."""
    from palate.storage import write_whole

    if file is not None:
        write_whole(file, json.dumps(figures, indent=2, ensure_ascii=False) + "\n")


def _told_apart(folders: Sequence[Path]) -> dict[str, Path]:
    """Return model folders by names that differ: of one recipe, each is named by its folder too."""
    from palate.artifacts import read_manifest
    from palate.storage import real

    places = [real(folder) for folder in folders]
    for folder, place in zip(folders, places, strict=True):
        if places.count(place) > 1:
            raise ConfigError(f"{str(folder)!r} is given twice.", hint="Name each model once.")
    names = [read_manifest(folder, "model").name for folder in folders]
    return {
        f"{name} ({_ending(place, places)})" if names.count(name) > 1 else name: folder
        for name, place, folder in zip(names, places, folders, strict=True)
    }


def _ending(place: Path, places: Sequence[Path]) -> str:
    """Return as much of the end of a path as no other of them has."""
    for length in range(1, len(place.parts)):
        ending = place.parts[-length:]
        if sum(other.parts[-length:] == ending for other in places) == 1:
            return "/".join(ending)
    return str(place)
