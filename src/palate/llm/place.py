"""Where a speaker is, and what it may cost: all that is kept of it, and never its key."""

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from palate.llm.budget import Budget, Budgeted, Limits, Prices
from palate.llm.cache import Cached
from palate.llm.controls import CONTROLS
from palate.llm.open import open_speaker
from palate.llm.speaker import Speaker


def default_replies() -> Path:
    """Return where replies are kept, in the user's cache, so that nothing is asked twice."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "palate" / "replies"


@dataclass(frozen=True)
class SpeakerPlace:
    """The place of a speaker, its budget and its prices."""

    where: str
    """A URL, a folder, or the name of a control."""
    model: str = ""
    """The name of the model at an endpoint."""
    limits: Limits = field(default_factory=Limits)
    prices: Prices = field(default_factory=Prices)

    @property
    def is_control(self) -> bool:
        """Whether it is a speaker without an opinion, which costs nothing."""
        return self.where in CONTROLS

    def opened(self, replies: Path | None = None) -> Speaker:
        """Return the speaker within its budget; its replies are remembered in ``replies``.

        Raises:
            ConfigError: when there is no such place.
            MissingExtraError: when a package is missing that it needs.
        """
        speaker = open_speaker(self.where, model=self.model)
        if self.is_control:
            return speaker
        budget = Budget(self.limits, self.prices)
        return Cached(Budgeted(speaker, budget), replies or default_replies())

    def as_dict(self) -> dict[str, object]:
        """Return the fields as plain values of JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, object]) -> "SpeakerPlace":
        """Return the place that :meth:`as_dict` wrote.

        Raises:
            TypeError: when a field is unknown or missing.
        """
        limits, prices = fields.get("limits"), fields.get("prices")
        return cls(
            where=str(fields["where"]),
            model=str(fields.get("model", "")),
            limits=Limits(**(limits if isinstance(limits, dict) else {})),
            prices=Prices(**(prices if isinstance(prices, dict) else {})),
        )
