"""How much a model listens: sensitivity."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from palate.cli.application import Json, Model, app, load, write_text
from palate.terminal import progress_bar, show


@app.command()
def sensitivity(
    model: Model,
    split: Annotated[
        Literal["valid", "test"], typer.Option(help="Which part to predict.")
    ] = "test",
    search: Annotated[
        int, typer.Option(min=0, help="Edits to try in search of a better wording.")
    ] = 0,
    plot: Annotated[
        Path | None, typer.Option(help="Write the objective x prompt matrix here, as SVG.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure how answers move with the wording, and with the objective asked for."""
    from palate.inference.ask import Ask
    from palate.language.prompts import SLOTS
    from palate.studies.prompt_search import search_prompt
    from palate.studies.sensitivity import measure_sensitivity, plain_families
    from palate.studies.sensitivity_tables import heat_map, search_table, sensitivity_tables

    loaded = load(model)
    with progress_bar("Asking in many words") as progress:
        found = measure_sensitivity(loaded, split, progress=progress)
    better = None
    if search:
        family = next((name for name in plain_families(loaded) if not SLOTS[name]), "next-item")
        with progress_bar("Looking for a better wording") as progress:
            better = search_prompt(loaded, Ask(family), steps=search, progress=progress)
    if plot is not None:
        write_text(plot, heat_map(found))
    if as_json:
        said = found.to_json() | ({} if better is None else {"search": better.to_json()})
        typer.echo(json.dumps(said, indent=2))
        return
    show(
        *sensitivity_tables(loaded.name, found), *([] if better is None else [search_table(better)])
    )
