"""What a speaker is asked: messages, the form of the answer, and how it is drawn."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Literal

from palate.errors import ConfigError
from palate.llm.answer_schema import check_schema

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True)
class Message:
    """One message of a prompt. Foreign text in it goes through :func:`palate.llm.untrusted`."""

    role: Role
    content: str


@dataclass(frozen=True)
class Sampling:
    """How words are drawn; the default takes the most probable one each time."""

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    """Two requests that differ in nothing else get different samples, also from a cache."""


@dataclass(frozen=True)
class SpeakerRequest:
    """A prompt and what its answer must look like; equal requests have equal keys.

    Raises:
        ConfigError: when there is no message, the schema cannot be bound everywhere, the choices
            are empty or repeat, or both a schema and choices are given.
    """

    messages: tuple[Message, ...]
    schema: Mapping[str, object] | None = None
    """The JSON Schema of the answer, in the subset of :mod:`palate.llm.answer_schema`."""
    choices: tuple[str, ...] = ()
    """The only answers allowed; empty for any text."""
    scored: bool = False
    """Whether the probability of each choice is wanted with the answer."""
    form_is_told: bool = False
    """Whether the messages say already what form the answer has; else it is said after them."""
    max_tokens: int = 256
    sampling: Sampling = field(default_factory=Sampling)
    timeout: float | None = None
    """Seconds the reply may take, all retries included; it is no part of the key."""

    def __post_init__(self) -> None:
        """Refuse what no speaker could answer."""
        if not self.messages:
            raise ConfigError("A request to a language model has no messages.")
        if self.max_tokens < 1:
            raise ConfigError(f"max_tokens is {self.max_tokens}.", hint="Allow at least one token.")
        if self.schema is not None and self.choices:
            raise ConfigError("A request has both a schema and choices.", hint="Give one of them.")
        if len(set(self.choices)) != len(self.choices) or "" in self.choices:
            raise ConfigError(
                f"The choices {list(self.choices)!r} repeat one another or hold an empty text.",
                hint="Give each answer once.",
            )
        if self.scored and not self.choices:
            raise ConfigError("A request wants scores and has no choices.", hint="Give choices.")
        if self.schema is not None:
            check_schema(self.schema)

    @property
    def is_bound(self) -> bool:
        """Whether the answer must be one of the choices or fit the schema."""
        return self.schema is not None or bool(self.choices)

    @property
    def canonical(self) -> str:
        """The request as JSON with sorted keys: everything that can change the answer."""
        return _canonical(self.as_dict())

    @property
    def key(self) -> str:
        """The SHA-256 of :attr:`canonical`."""
        return key_of(self.as_dict())

    def as_dict(self) -> dict[str, object]:
        """Return the fields of the key as plain values of JSON."""
        return {
            "messages": [asdict(message) for message in self.messages],
            "schema": self.schema,
            "choices": list(self.choices),
            "scored": self.scored,
            "form_is_told": self.form_is_told,
            "max_tokens": self.max_tokens,
            "sampling": asdict(self.sampling),
        }


def key_of(fields: Mapping[str, object]) -> str:
    """Return the key of the request that has these fields."""
    return sha256(_canonical(fields).encode()).hexdigest()


def _canonical(fields: Mapping[str, object]) -> str:
    return json.dumps(fields, sort_keys=True, separators=(",", ":"))


def ask(text: str, *, system: str = "", choices: Sequence[str] = ()) -> SpeakerRequest:
    """Return the request of one question, perhaps after a system message.

    >>> ask("Is water wet?", choices=["yes", "no"]).choices
    ('yes', 'no')
    """
    before = (Message("system", system),) if system else ()
    return SpeakerRequest((*before, Message("user", text)), choices=tuple(choices))
