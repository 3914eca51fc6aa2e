"""The command line: one thin function per verb.

Everything heavy is imported inside the verb that needs it.
"""

import os
import sys

# In the order of the help page.
# isort: off
from palate.cli import data
from palate.cli import train
from palate.cli import evaluate
from palate.cli import ask
from palate.cli import study
from palate.cli import serve
from palate.cli import backbone

# isort: on
from palate.cli.application import app
from palate.errors import PalateError
from palate.terminal.words import open_streams, say_error

__all__ = ["app", "ask", "backbone", "data", "evaluate", "main", "serve", "study", "train"]


def main() -> None:
    """Run the command line; an error a user can mend is two lines and exit code 2."""
    _use_utf8()
    open_streams()
    try:
        app()
    except PalateError as error:
        say_error(error.message, error.hint)
        sys.exit(2)
    except Exception as error:
        from palate.storage import refusal

        number = refusal(error)
        if number is None:
            raise
        _say_refusal(error, number)
        sys.exit(2)


def _use_utf8() -> None:
    """Start again in UTF-8 mode where Python takes names of files for ASCII (``LC_ALL=C``).

    The libraries that write Parquet and weights take no name that Python could not decode.
    """
    is_ascii = sys.getfilesystemencoding().lower() in {"ascii", "us-ascii"}
    if is_ascii and os.environ.get("PYTHONUTF8") != "1":
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _say_refusal(error: Exception, number: int) -> None:
    """Say what the system refused: a full disk, a missing right, a file that is not there."""
    from palate.storage import refused

    name = getattr(error, "filename", None)
    told = refused(os.fsdecode(name or ""), number, "used")
    unnamed = f"A file, or the output, cannot be used: {os.strerror(number)}."
    say_error(told.message if name is not None else unnamed, told.hint)
