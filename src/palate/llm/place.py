"""Where a speaker is, and what it may cost: all that is kept of it, and never its key."""

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from palate.errors import ConfigError
from palate.llm.budget import Budget, Budgeted, Limits, Prices
from palate.llm.cache import Cached
from palate.llm.controls import CONTROLS
from palate.llm.endpoint.connection import is_loopback
from palate.llm.open import open_speaker
from palate.llm.speaker import Speaker


def default_replies() -> Path:
    """Return where replies are kept, in the user's cache, so that nothing is asked twice."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "palate" / "replies"


ALLOWED = "PALATE_LLM_URL"
"""The environment variable that names the endpoint which a model folder may ask."""


@dataclass(frozen=True)
class SpeakerPlace:
    """The place of a speaker, its budget and its prices."""

    where: str
    """A URL, a folder, or the name of a control."""
    model: str = ""
    """The name of the model at an endpoint."""
    limits: Limits = field(default_factory=Limits)
    prices: Prices = field(default_factory=Prices)
    from_folder: bool = field(default=False, compare=False)
    """Whether a model folder names the place: who made the folder need not be who has the key."""

    @property
    def is_control(self) -> bool:
        """Whether it is a speaker without an opinion, which costs nothing."""
        return self.where in CONTROLS

    def opened(self, replies: Path | None = None) -> Speaker:
        """Return the speaker within its budget; its replies are remembered in ``replies``.

        Raises:
            ConfigError: when there is no such place, or a model folder names an endpoint elsewhere
                that the environment does not allow.
            MissingExtraError: when a package is missing that it needs.
        """
        if self.from_folder:
            _check_allowed(self.where)
        speaker = open_speaker(self.where, model=self.model)
        if self.is_control:
            return speaker
        budget = Budget(self.limits, self.prices)
        return Cached(Budgeted(speaker, budget), replies or default_replies())

    def as_dict(self) -> dict[str, object]:
        """Return the fields as plain values of JSON."""
        return {name: value for name, value in asdict(self).items() if name != "from_folder"}

    @classmethod
    def from_dict(cls, fields: dict[str, object]) -> "SpeakerPlace":
        """Return the place that :meth:`as_dict` wrote into a model folder.

        Raises:
            TypeError: when a field is unknown or missing.
        """
        limits, prices = fields.get("limits"), fields.get("prices")
        return cls(
            where=str(fields["where"]),
            model=str(fields.get("model", "")),
            limits=Limits(**(limits if isinstance(limits, dict) else {})),
            prices=Prices(**(prices if isinstance(prices, dict) else {})),
            from_folder=True,
        )


def _check_allowed(where: str) -> None:
    """Refuse an endpoint on another machine unless the environment names it.

    A model folder may come from anybody: without this, whoever made it would be sent the key, and
    the histories of the users.

    Raises:
        ConfigError: when the environment names another, or none.
    """
    if "://" not in where or is_loopback(where):
        return
    if _origin(os.environ.get(ALLOWED, "")) != _origin(where):
        raise ConfigError(
            f"The model folder asks the endpoint {where!r}: it would be sent titles, histories and"
            " the key of PALATE_LLM_KEY.",
            hint=f"If you trust it, allow it in the environment: {ALLOWED}={where}",
        )


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port
