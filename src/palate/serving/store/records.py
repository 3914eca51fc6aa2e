"""What the store keeps, as plain values. Each checks itself, so that whatever exists can be stored.

Ids are compared byte by byte. They may hold anything a person can read, but no control characters
(PostgreSQL cannot store NUL), no lone surrogates (UTF-8 cannot) and no more than
:data:`MAX_ID_BYTES` bytes (an index must hold two of them).
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar, get_args

from palate.errors import DataError

MAX_ID_BYTES = 512
"""Longest id, in bytes of UTF-8."""
MAX_TEXT_LENGTH = 100_000
"""Longest title or description, in characters."""
MAX_ATTRIBUTES_LENGTH = 200_000
"""Longest set of attributes or categories of one thing, in characters of JSON."""
LAST_SECOND = 253_402_300_799
"""The end of the year 9999: a larger time is one in milliseconds."""

Mode = Literal["accumulate", "overwrite"]
"""Keep every event, or let an event replace the last of its user, item and type."""
Outcome = Literal["stored", "duplicate", "overwritten"]
"""What became of an event: ``overwritten`` means that it is stored and replaced an older one."""
Scope = Literal["read", "write", "admin"]
"""What an API key may do."""
SCOPES: frozenset[Scope] = frozenset(get_args(Scope))

AttributeValue = str | float | int | bool | None
Attributes = Mapping[str, AttributeValue]

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
            _check_number("value", self.value)
        _check_time("timestamp", self.timestamp)


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as the store holds it."""

    sequence: int
    """Its place in the order of commits: a larger one never becomes visible first."""
    event: Event
    received_at: float
    """Unix seconds."""


@dataclass(frozen=True, slots=True)
class ItemRecord:
    """An item that was added or changed through the API.

    Raises:
        DataError: when a field cannot be stored.
    """

    item_id: str
    title: str | None = None
    description: str | None = None
    brand: str | None = None
    categories: tuple[str, ...] = ()
    price: float | None = None
    in_stock: bool = True
    attributes: Attributes = field(default_factory=dict)
    updated: int = 0
    """Number of the change that made it so; counted over all items, given by the store."""

    def __post_init__(self) -> None:
        """Refuse what no database could keep."""
        check_id("item_id", self.item_id)
        for name in ("title", "description", "brand"):
            text = getattr(self, name)
            if text is not None:
                _check_text(name, text)
        for category in self.categories:
            _check_text("categories", category)
        _check_size("categories", list(self.categories))
        if self.price is not None:
            _check_number("price", self.price)
        _check_attributes(self.attributes)


@dataclass(frozen=True, slots=True)
class DeletedItem:
    """An item that was deleted by the change ``updated``."""

    item_id: str
    updated: int


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
        _check_attributes(self.attributes)


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
        _check_ids("item_ids", self.item_ids)
        _check_time("created_at", self.created_at)


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


def check_id(name: str, value: str) -> None:
    """Refuse an id that cannot be stored or indexed.

    Raises:
        DataError: when it is no text, empty, too long, or holds what cannot be stored.
    """
    # The common case at the cost of one call; no character takes more than four bytes.
    if isinstance(value, str) and value.isprintable() and 0 < len(value) <= MAX_ID_BYTES // 4:
        return
    _check_characters(name, value)
    if not value:
        raise DataError(f"{name!r} is empty.", hint="Give an id of at least one character.")
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise DataError(
            f"{name!r} holds a control character: {_shown(value)}.", hint="Leave it out of the id."
        )
    if len(value.encode()) > MAX_ID_BYTES:
        raise DataError(
            f"{name!r} has {len(value.encode()):,} bytes: {_shown(value)}.",
            hint=f"Ids may have up to {MAX_ID_BYTES} bytes of UTF-8.",
        )


def _check_ids(name: str, values: Sequence[str]) -> None:
    # The common case at the cost of a few calls, however long the list: a service checks tens of
    # thousands of ids a second here, and answers nobody meanwhile.
    if (
        set(map(type, values)) == {str}
        and all(values)
        and "".join(values).isprintable()
        and max(map(len, values)) <= MAX_ID_BYTES // 4
    ):
        return
    for value in values:
        check_id(name, value)


def _check_text(name: str, value: str) -> None:
    _check_characters(name, value)
    if len(value) > MAX_TEXT_LENGTH:
        raise DataError(
            f"{name!r} has {len(value):,} characters.",
            hint=f"Texts may have up to {MAX_TEXT_LENGTH:,}.",
        )


def _check_characters(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise DataError(
            f"{name!r} is {type(value).__name__}, not text.", hint="Give it as a string."
        )
    if "\0" in value:
        raise DataError(f"{name!r} holds a NUL character: {_shown(value)}.", hint="Leave it out.")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{name!r} holds half a surrogate pair: {_shown(value)}.",
            hint="Send whole characters as UTF-8.",
        ) from error


def _check_number(name: str, value: object) -> None:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
        return
    if isinstance(value, float) and math.isfinite(value):
        return
    raise DataError(
        f"{name!r} is {_shown(value)}, not a finite number.",
        hint="Give a finite number of at most 64 bits, or leave it out.",
    )


def _check_time(name: str, value: float) -> None:
    _check_number(name, value)
    if not 0 <= value <= LAST_SECOND:
        raise DataError(
            f"{name!r} is {_shown(value)}, not a time since 1970 in seconds.",
            hint="Give Unix seconds, such as 1700000000.",
        )


def _check_attributes(attributes: Attributes) -> None:
    for name, value in attributes.items():
        _check_text("attributes", name)
        if isinstance(value, str):
            _check_text(name, value)
        elif value is not None and not isinstance(value, bool):
            _check_number(name, value)
    _check_size("attributes", dict(attributes))


def _check_size(name: str, value: list[str] | dict[str, AttributeValue]) -> None:
    length = len(json.dumps(value, ensure_ascii=False)) if value else 0
    if length > MAX_ATTRIBUTES_LENGTH:
        raise DataError(
            f"{name!r} takes {length:,} characters of JSON.",
            hint=f"It may take up to {MAX_ATTRIBUTES_LENGTH:,}.",
        )


def _shown(value: object) -> str:
    """Return ``value`` so that it can be printed anywhere, shortened."""
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
