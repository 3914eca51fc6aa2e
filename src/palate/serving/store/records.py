"""What the store keeps, as plain values. Each checks itself, so that whatever exists can be stored.

Items are :class:`palate.data.item_record.ItemRecord`; what may be stored at all is said in
:mod:`palate.data.field_checks`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar, get_args

from palate.data.field_checks import (
    Attributes,
    check_attributes,
    check_id,
    check_ids,
    check_number,
    check_time,
)

Mode = Literal["accumulate", "overwrite"]
"""Keep every event, or let an event replace the last of its user, item and type."""
Outcome = Literal["stored", "duplicate", "overwritten"]
"""What became of an event: ``overwritten`` means that it is stored and replaced an older one."""
Scope = Literal["read", "write", "admin"]
"""What an API key may do."""
SCOPES: frozenset[Scope] = frozenset(get_args(Scope))

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Event:
    """Somebody did something with an item.

    Raises:
        DataError: when a field cannot be stored.
    """

    user_id: str
    item_id: str
    event_type: str
    value: float | None
    timestamp: float
    """Unix seconds."""
    idempotency_key: str | None = None
    """Of two events of a user with the same key, only the first is ever stored."""
    recommendation_id: str | None = None
    """The answer that showed the item."""

    def __post_init__(self) -> None:
        """Refuse what no database could keep."""
        check_id("user_id", self.user_id)
        check_id("item_id", self.item_id)
        check_id("event_type", self.event_type)
        if self.idempotency_key is not None:
            check_id("idempotency_key", self.idempotency_key)
        if self.recommendation_id is not None:
            check_id("recommendation_id", self.recommendation_id)
        if self.value is not None:
            check_number("value", self.value)
        check_time("timestamp", self.timestamp)


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as the store holds it."""

    sequence: int
    """Its place in the order of commits: a larger one never becomes visible first."""
    event: Event
    received_at: float
    """Unix seconds."""


@dataclass(frozen=True, slots=True)
class UserRecord:
    """What is known of a user besides their events.

    Raises:
        DataError: when a field cannot be stored.
    """

    user_id: str
    attributes: Attributes = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what no database could keep."""
        check_id("user_id", self.user_id)
        check_attributes(self.attributes)


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Some of a long list, and where it goes on."""

    rows: Sequence[Row]
    next_cursor: str | None
    """What to ask with for the rows that follow; None at the end."""


@dataclass(frozen=True, slots=True)
class Erased:
    """What was removed when a user was erased."""

    events: int
    recommendations: int
    profile: bool
    """Whether there was a record of the user."""
    idempotency_keys: int
    """How many of the events carried one; a late repetition would now count as new."""


@dataclass(frozen=True, slots=True)
class RecommendationRecord:
    """An answer that was given: what was shown to whom by which model.

    Raises:
        DataError: when a field cannot be stored.
    """

    recommendation_id: str
    user_id: str | None
    model_version: str
    item_ids: Sequence[str]
    created_at: float
    """Unix seconds."""
    route: str
    fallback: str | None = None

    def __post_init__(self) -> None:
        """Refuse what no database could keep."""
        for name in ("recommendation_id", "model_version", "route"):
            check_id(name, getattr(self, name))
        for name in ("user_id", "fallback"):
            if getattr(self, name) is not None:
                check_id(name, getattr(self, name))
        check_ids("item_ids", self.item_ids)
        check_time("created_at", self.created_at)


@dataclass(frozen=True, slots=True)
class ClickThrough:
    """How often the answers of one model version were followed."""

    model_version: str
    shown: int
    """Answers given."""
    clicked: int
    """Answers of which at least one item was acted on."""
    clicks: int
    """Items acted on, each once per answer."""

    @property
    def rate(self) -> float:
        """The share of answers that were followed."""
        return self.clicked / self.shown if self.shown else 0.0


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as its owner may see it: the secret is not in it, and not in the store."""

    key_id: str
    name: str
    scopes: frozenset[Scope]
    created_at: float
    revoked_at: float | None = None

    @property
    def is_live(self) -> bool:
        """Tell whether the key still opens anything."""
        return self.revoked_at is None


@dataclass(frozen=True, slots=True)
class Counts:
    """How much the store holds."""

    users: int
    items: int
    events: int
