"""Every error a user can cause, as one tree.

    PalateError
    ├── ConfigError          a recipe, an option or a ``--set`` that cannot be used
    ├── DataError            a source file or table that cannot be read or is wrong
    ├── ArtifactError        a dataset, vectors or model folder that is missing, damaged or stale
    ├── NotTrainedError      a model was asked for something it was not trained to answer
    ├── UnknownItemError     an item id that the catalogue does not hold
    ├── UnknownUserError     a user id that the dataset does not hold
    └── MissingExtraError    an optional package that is not installed

A message says what was wanted and what came; ``hint`` says what to do. The command line prints both
and exits with 2.
"""

MAX_MESSAGE = 2_000
"""More characters of a message, or of a hint, nobody reads; the middle is left out."""


class PalateError(Exception):
    """Something the user can mend: ``message`` says what is wrong, ``hint`` what to do."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        """Keep the two halves apart, so that every door can print them its own way."""
        self.message = _readable(message)
        self.hint = _readable(hint)
        super().__init__(f"{self.message} {self.hint}".strip())


def _readable(text: str) -> str:
    """Return a text of bounded length, whatever somebody's data put into it."""
    if len(text) <= MAX_MESSAGE:
        return text
    end = MAX_MESSAGE // 4
    return f"{text[: MAX_MESSAGE - end]} [...] {text[-end:]}"


class ConfigError(PalateError):
    """A recipe, an option or an override that cannot be used."""


class DataError(PalateError):
    """A source file or table that cannot be read, or whose content is wrong."""


class ArtifactError(PalateError):
    """A folder made by Palate that is missing, damaged, or made from something else."""


class NotTrainedError(PalateError):
    """A model was asked for an answer it was not trained to give."""


class UnknownItemError(PalateError):
    """An item id that is not in the catalogue."""


class UnknownUserError(PalateError):
    """A user id that is not in the dataset."""


class MissingExtraError(PalateError):
    """An optional package is missing; the hint is the pip command that installs it."""

    def __init__(self, package: str, extra: str) -> None:
        """Name the ``package`` and the ``extra`` of Palate that brings it."""
        super().__init__(
            f"The package {package!r} is not installed.",
            hint=f"Install it with: pip install 'palate[{extra}]'",
        )
