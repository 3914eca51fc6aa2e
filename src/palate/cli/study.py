"""What is learned about a dataset or a trained model: index, prompts, sensitivity."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from palate.cli.application import (
    DeviceName,
    Json,
    Model,
    PrecisionName,
    app,
    check_file,
    check_folder,
    load,
)
from palate.errors import ConfigError
from palate.terminal.progress import progress_bar
from palate.terminal.tables import show, show_wordings
from palate.terminal.words import say, say_json

if TYPE_CHECKING:
    from palate.recommender.recommender import Recommender


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
    seed: Annotated[
        int,
        typer.Option(
            min=0, help="The same seed gives the same codes with as many threads on one machine."
        ),
    ] = 0,
    out: Annotated[Path | None, typer.Option(help="The codes folder to write.")] = None,
    as_json: Json = False,
) -> None:
    """Give every item a code of a few levels, and say how healthy the codes are."""
    check_folder(out, "codes")
    from dataclasses import asdict

    from palate.studies.index_health import index_config, index_report, load_source

    config = index_config(kind, set_ or [])
    with progress_bar("Encoding", err=as_json) as progress:
        made = index_report(
            load_source(source), config, seed=seed, modality=vectors, progress=progress
        )
    if out is not None:
        made.save(out, made_by=f"index {source} --kind {kind} --seed {seed}")
    if as_json:
        say_json(asdict(made.health))
        return
    show(*made.tables)
    for warning in made.warnings:
        say(f"warning: {warning}")
    say(
        "Nothing was written; give --out CODES to keep the codes."
        if out is None
        else f"Codes written to {out}, with the plots in {out / 'health.html'}."
    )


@app.command()
def prompts(
    model: Annotated[
        Path | None, typer.Argument(help="A model folder: its prompts, asked of its users.")
    ] = None,
    family: Annotated[str | None, typer.Option(help="Show this family alone.")] = None,
    user: Annotated[str | None, typer.Option(help="Whom to ask them of.")] = None,
    file: Annotated[
        Path | None, typer.Option(help="Your own wordings: check and show them.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show the prompts: every wording, and one asked in full of a real user."""
    from palate.language.prompts import load_prompts
    from palate.language.tasks import checked_family
    from palate.studies.shown_prompts import show_families, with_example_prompts

    if family is not None:
        checked_family(family)
    if user is not None and model is None:
        raise ConfigError(
            f"Nobody knows {user!r} without a model.", hint="palate prompts MODEL --user ID"
        )
    loaded = None if model is None else load(model)
    if loaded is not None and loaded.trained.prompted is not None:
        _show_asked(loaded, user, as_json=as_json)
        return
    known = load_prompts(file) if file is not None or loaded is None else loaded.prompts
    shown = show_families(known, family)
    if loaded is not None:
        system = loaded.trained.language_model
        text = None if system is None else system.prompt_text
        shown = with_example_prompts(shown, loaded.dataset, user, text)
    if as_json:
        say_json(
            {
                each.family: {
                    "description": each.description,
                    "seen": each.wordings.seen,
                    "unseen": each.wordings.unseen,
                    "slots": each.slots,
                    "user_id": each.user_id or None,
                    "rendered": each.rendered or None,
                }
                for each in shown
            }
        )
        return
    show_wordings(shown, None if loaded is None else loaded.tasks)


def _show_asked(loaded: "Recommender", user: str | None, *, as_json: bool) -> None:
    """Show what a prompted model would ask for one list; nothing is asked."""
    from palate.inference.request import Request

    somebody = user or str(loaded.dataset.interactions.users.ids[0])
    asked = loaded.engine.prompts(Request(loaded.history(somebody)))
    if as_json:
        say_json({"user_id": somebody, "prompts": [each.as_dict() for each in asked]})
        return
    say(f"For a list of {somebody} it asks {len(asked)} prompts:")
    for number, each in enumerate(asked, start=1):
        said = "".join(f"\n{message.role}: {message.content}\n" for message in each.messages)
        say(f"\n--- {number}{said}")


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
    device: DeviceName = "auto",
    precision: PrecisionName = "auto",
) -> None:
    """Measure how answers move with the wording, and with the objective asked for."""
    check_file(plot)
    from palate.inference.request import Request
    from palate.language.tasks import slots_of
    from palate.storage import write_whole
    from palate.studies.prompt_search import search_prompt
    from palate.studies.sensitivity import measure_sensitivity, plain_families
    from palate.studies.sensitivity_tables import heat_map, search_table, sensitivity_tables

    loaded = load(model, device, precision)
    with progress_bar("Asking in many words", err=as_json) as progress:
        found = measure_sensitivity(loaded, split, progress=progress)
    better = None
    if search:
        family = next((name for name in plain_families(loaded) if not slots_of(name)), "next-item")
        with progress_bar("Looking for a better wording", err=as_json) as progress:
            better = search_prompt(loaded, Request(family=family), steps=search, progress=progress)
    if as_json:
        say_json(found.to_json() | ({} if better is None else {"search": better.to_json()}))
    else:
        show(*sensitivity_tables(loaded.name, found))
        show(*([] if better is None else [search_table(better)]))
    if plot is not None:
        write_whole(plot, heat_map(found))
