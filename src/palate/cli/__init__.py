"""The command line: one thin function per verb.

Everything heavy is imported inside the verb that needs it.
"""

import sys

import typer

# In the order of the help page.
# isort: off
from palate.cli import data
from palate.cli import train
from palate.cli import evaluate
from palate.cli import ask
from palate.cli import study
from palate.cli import serve

# isort: on
from palate.cli.application import app
from palate.errors import PalateError

__all__ = ["app", "ask", "data", "evaluate", "main", "serve", "study", "train"]


def main() -> None:
    """Run the command line; an error a user can mend is two lines and exit code 2."""
    try:
        app()
    except PalateError as error:
        typer.echo(f"error: {error.message}", err=True)
        if error.hint:
            typer.echo(f"hint: {error.hint}", err=True)
        sys.exit(2)
