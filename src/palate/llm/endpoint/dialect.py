"""What an endpoint was found to understand, kept on disk for each URL and model."""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal, cast, get_args

from palate.llm.reply import Binding
from palate.storage import write_whole

FormBinding = Literal["json_schema", "json_object", "grammar", "tool", "text"]
"""How an endpoint can be made to keep to a form."""

BINDINGS: tuple[FormBinding, ...] = get_args(FormBinding)
"""The strongest first."""


@dataclass(frozen=True)
class Dialect:
    """The part of the protocol that an endpoint understands."""

    binding: FormBinding = "text"
    """The strongest that it obeyed."""
    without: tuple[str, ...] = ()
    """Fields of a request that it refuses, such as ``temperature``."""
    length_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    found: Mapping[str, str] | None = None
    """What came of each binding that was tried."""
    scores: str = ""
    """``trusted`` after the check of its log-probabilities, why not, or empty before the check."""

    @property
    def is_probed(self) -> bool:
        """Whether bindings were tried at all."""
        return self.found is not None

    def __str__(self) -> str:
        """Say it in words."""
        tried = "; ".join(f"{name}: {result}" for name, result in (self.found or {}).items())
        parts = [f"answers are bound by {self.binding}", tried and f"({tried})"]
        if self.without:
            parts.append(f"without {', '.join(self.without)}")
        if self.scores:
            parts.append(f"log-probabilities: {self.scores}")
        return " ".join(filter(None, parts))


def weaker(binding: Binding) -> FormBinding | None:
    """Return the binding to try after one that was refused; None after the last."""
    after = BINDINGS[BINDINGS.index(binding) + 1 :] if binding in BINDINGS else ()
    return after[0] if after else None


def default_folder() -> Path:
    """Return where dialects are kept: in the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "palate" / "endpoints"


def read_dialect(folder: Path, url: str, model: str) -> Dialect | None:
    """Return what was found earlier; None where nothing was, or it cannot be read."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        fields = json.loads(_file(folder, url, model).read_text(encoding="utf-8"))
        if fields.pop("url") == url and fields.pop("model") == model:
            fields["without"] = tuple(fields["without"])
            dialect = Dialect(**fields)
            return dialect if dialect.binding in BINDINGS else None
    return None


def write_dialect(folder: Path, url: str, model: str, dialect: Dialect) -> None:
    """Keep what was found.

    Raises:
        ArtifactError: when the folder cannot be written.
    """
    fields = cast(dict[str, object], asdict(dialect)) | {"url": url, "model": model}
    write_whole(_file(folder, url, model), json.dumps(fields, indent=2, sort_keys=True) + "\n")


def _file(folder: Path, url: str, model: str) -> Path:
    return folder / f"{sha256(f'{url} {model}'.encode()).hexdigest()[:24]}.json"
