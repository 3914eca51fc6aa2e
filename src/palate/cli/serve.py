"""A model that others reach: serve, mcp."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from palate.cli.application import (
    DeviceName,
    Model,
    PrecisionName,
    app,
    check_extra,
    pairs,
)
from palate.errors import ConfigError


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
    keep_days: Annotated[
        float, typer.Option(min=1, help="For how long the lists that were shown are kept.")
    ] = 90,
    device: DeviceName = "auto",
    precision: PrecisionName = "auto",
) -> None:
    """Serve a model: an API, a store that loses nothing, and a page.

    The environment variable PALATE_API_KEY is the first admin key.
    """
    import os

    check_extra("fastapi", "serve")
    from palate.models.device import choose_device
    from palate.serving.app import ServeSettings
    from palate.serving.server import serve as run

    key = os.environ.get("PALATE_API_KEY") or None
    settings = ServeSettings(
        models=_shares(model, more or []),
        db=db,
        host=host,
        port=port,
        first_key=key,
        days_kept=keep_days,
        device=choose_device(device, precision),
    )
    run(settings)


@app.command()
def mcp(
    model: Model,
    db: Annotated[
        str, typer.Option(help="sqlite:///FILE, or postgresql://USER:PASSWORD@HOST/DATABASE.")
    ] = "sqlite:///palate.db",
    device: DeviceName = "auto",
    precision: PrecisionName = "auto",
) -> None:
    """Give a model to an assistant as tools, by the Model Context Protocol."""
    check_extra("fastapi", "serve")
    check_extra("mcp", "mcp")
    from palate.models.device import choose_device
    from palate.serving.mcp import run_mcp

    run_mcp(model, db, choose_device(device, precision))


def _shares(model: Path, more: Sequence[str]) -> dict[Path, float]:
    """Return each model folder with its share of the traffic; the first has what is left of 1."""
    found: dict[Path, float] = {}
    for folder, share in (
        (Path(name), share) for name, share in pairs(more, "--model", "FOLDER=0.1").items()
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
