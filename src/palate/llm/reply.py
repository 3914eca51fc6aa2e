"""What a speaker answers, what that cost, and the error where it did not."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, cast

from palate.errors import PalateError

Binding = Literal[
    "json_schema", "json_object", "grammar", "tool", "text", "scores", "script", "none"
]
"""What held the answer to its form, the strongest first; ``none`` where none was asked for."""

Finish = Literal["stop", "length", "refusal"]
"""Why the answer ends: it was complete, the tokens were used up, or the model refused."""


@dataclass(frozen=True)
class Usage:
    """What was spent."""

    calls: int = 0
    """Prompts that were answered, or that may have been before the line broke."""
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    is_estimate: bool = False
    """True where somebody did not count; the tokens are then an upper bound, in bytes."""

    def __add__(self, other: "Usage") -> "Usage":
        """Return the sum."""
        return Usage(
            self.calls + other.calls,
            self.tokens_in + other.tokens_in,
            self.tokens_out + other.tokens_out,
            self.seconds + other.seconds,
            self.is_estimate or other.is_estimate,
        )


@dataclass(frozen=True)
class ChoiceScores:
    """How probable each choice of a request is as the answer."""

    logprobs: tuple[float, ...]
    """Natural log-probability of all tokens of each choice; minus infinity where it is unknown."""
    tokens: tuple[int, ...]
    """How many tokens that was."""

    @property
    def per_token(self) -> tuple[float, ...]:
        """Mean log-probability of a token, which does not favour short choices."""
        return tuple(p / n for p, n in zip(self.logprobs, self.tokens, strict=True))

    @property
    def best(self) -> int:
        """The place of the most probable choice, the first of several."""
        return max(range(len(self.logprobs)), key=lambda place: self.logprobs[place])


@dataclass(frozen=True)
class Reply:
    """One answer."""

    text: str
    """As the model wrote it."""
    value: object = None
    """The chosen choice, or the JSON value; None where the answer fits neither, or needed not."""
    binding: Binding = "none"
    finish: Finish = "stop"
    usage: Usage = field(default_factory=Usage)
    """What this reply cost now: nothing where it was remembered."""
    notes: tuple[str, ...] = ()
    """Every retry, fallback and repair on the way, in words, in order."""
    source: Literal["live", "cache", "record"] = "live"
    scores: ChoiceScores | None = None
    """Of a scored request; None where the speaker cannot say, for which a note gives the reason."""

    def remembered(self, source: Literal["cache", "record"]) -> "Reply":
        """Return the reply as it is given again, at no cost."""
        return replace(self, usage=Usage(), source=source)

    def as_dict(self) -> dict[str, object]:
        """Return the fields as plain values of JSON."""
        return {**asdict(self), "notes": list(self.notes)}

    @classmethod
    def from_dict(cls, fields: Mapping[str, object]) -> "Reply":
        """Return the reply that :meth:`as_dict` wrote.

        Raises:
            TypeError: when a field is unknown or missing.
        """
        found = dict(fields)
        usage = Usage(**cast(dict[str, Any], found.pop("usage", {})))
        notes = tuple(cast(list[str], found.pop("notes", ())))
        held = cast(dict[str, list[Any]] | None, found.pop("scores", None))
        scores = ChoiceScores(tuple(held["logprobs"]), tuple(held["tokens"])) if held else None
        return cls(usage=usage, notes=notes, scores=scores, **cast(dict[str, Any], found))


class NoReplyError(PalateError):
    """A speaker gave no reply; ``usage`` is what the attempt cost."""

    def __init__(self, message: str, *, hint: str = "", usage: Usage | None = None) -> None:
        """Keep what was spent, so that a budget can count it."""
        super().__init__(message, hint=hint)
        self.usage = usage or Usage()


Outcome = Reply | NoReplyError
"""What stands at the place of a request: its reply, or why there is none."""


def reply_of(outcome: Outcome) -> Reply:
    """Return the reply.

    Raises:
        NoReplyError: when there is none.
    """
    if isinstance(outcome, NoReplyError):
        raise outcome
    return outcome
