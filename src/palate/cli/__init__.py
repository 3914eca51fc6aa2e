"""The command line: one thin function per verb.

Everything heavy is imported inside the verb that needs it.
"""

import sys

import typer

# In the order of the help page.
# isort: off
from palate.cli import making
from palate.cli import judging
from palate.cli import asking
from palate.cli import wording
from palate.cli import sensitivity
from palate.cli import service

# isort: on
from palate.cli.application import app
from palate.errors import PalateError

__all__ = ["app", "asking", "judging", "main", "making", "sensitivity", "service", "wording"]


def main() -> None:
    """Run the command line; an error a user can mend is two lines and exit code 2."""
    try:
        app()
    except PalateError as error:
        typer.echo(f"error: {error.message}", err=True)
        if error.hint:
            typer.echo(f"hint: {error.hint}", err=True)
        sys.exit(2)
