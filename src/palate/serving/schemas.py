"""What clients send: every field typed and bounded, unknown fields refused.

These models are only read from, once per request; answers are written as plain dictionaries,
because checking one's own answer on the hot path costs more than making it. What is wrong costs no
more than what is right: a list ends at its first wrong element, a map or an object with too many
fields is refused before they are looked at, and every list, map and text has a bound
(:mod:`palate.serving.bounds` adds them up).
"""

from collections.abc import Collection
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    StrictBool,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from palate.data.ids import LONGEST_ID, id_fault

MAX_N = 1_000
MAX_HISTORY = 1_000
MAX_CANDIDATES = 10_000
MAX_EVENTS = 10_000
MAX_BULK_ROWS = 100_000
MAX_PROMPT = 2_000
_LATEST = 10_000_000_000.0
"""Unix seconds of the year 2286: a larger number was meant as milliseconds."""
_SHOWN = 5

_NO_NUL = r"^[^\x00]*$"
_NO_CONTROL = r"^[^\x00-\x1f\x7f]*$"


def _checked_id(text: str) -> str:
    if (fault := id_fault(text)) is not None:
        raise PydanticCustomError("id", "{fault}", {"fault": fault})
    return text


def _unix_seconds(told: object) -> object:
    """Return a point in time as Unix seconds; what is none is refused in one sentence."""
    seconds = told
    if isinstance(told, str):
        try:
            moment = datetime.fromisoformat(told)
        except ValueError:
            moment = None
        seconds = moment.timestamp() if moment is not None and moment.tzinfo is not None else None
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if told is not None and not (is_number and 0 <= seconds <= _LATEST):  # type: ignore[operator]
        raise PydanticCustomError(
            "time",
            "give seconds or ISO 8601 with a zone, as 1704067200 or 2024-01-01T00:00:00Z",
        )
    return seconds


def _at_most(most: int) -> BeforeValidator:
    """Return what refuses a map before its entries are looked at."""

    def counted(told: object) -> object:
        if isinstance(told, dict) and len(told) > most:
            raise PydanticCustomError(
                "too_many",
                "{count} entries came; {most} are taken",
                {"count": len(told), "most": most},
            )
        return told

    return BeforeValidator(counted)


Id = Annotated[
    str,
    AfterValidator(_checked_id),
    WithJsonSchema(
        {"type": "string", "minLength": 1, "maxLength": LONGEST_ID, "pattern": _NO_CONTROL}
    ),
]
"""An id of the client's own making: see :func:`palate.data.ids.id_fault`."""
Name = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=_NO_CONTROL)]
Label = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=_NO_NUL)]
Title = Annotated[str, StringConstraints(max_length=2_000, pattern=_NO_NUL)]
Description = Annotated[str, StringConstraints(max_length=50_000, pattern=_NO_NUL)]
Prompt = Annotated[str, StringConstraints(min_length=1, max_length=MAX_PROMPT, pattern=_NO_NUL)]
Aspect = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=_NO_NUL)]
Price = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]
Time = Annotated[
    float,
    BeforeValidator(_unix_seconds),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": _LATEST},
                {"type": "string", "format": "date-time"},
            ]
        }
    ),
]
"""Unix seconds, or ISO 8601 with a time zone."""
Attribute = StrictBool | FiniteFloat | Description | None
Attributes = Annotated[dict[Name, Attribute], Field(max_length=200), _at_most(200)]


class Request(BaseModel):
    """Extra fields refused, no NaN or infinity, no conversion between types."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, hide_input_in_errors=True
    )

    @model_validator(mode="before")
    @classmethod
    def _known(cls, told: Any) -> Any:  # noqa: ANN401 - whatever came
        """Refuse unknown fields together, by one message, before any field is looked at."""
        if isinstance(told, dict) and not told.keys() <= cls.model_fields.keys():
            unknown = sorted(told.keys() - cls.model_fields.keys())
            raise PydanticCustomError(
                "unknown_fields",
                "there is no field {unknown}; the fields are {known}",
                {"unknown": _listed(unknown), "known": ", ".join(cls.model_fields)},
            )
        return told


def _listed(names: Collection[str]) -> str:
    shown = ", ".join(repr(name[:50]) for name in list(names)[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN:,} more"


class ItemBody(Request):
    """What the shop knows of one item; the id stands in the path or beside it."""

    title: Title | None = None
    description: Description | None = None
    brand: Label | None = None
    categories: Annotated[
        tuple[Label, ...], Field(max_length=100, strict=False, fail_fast=True)
    ] = ()
    price: Price | None = None
    in_stock: bool = True
    attributes: Attributes = Field(default_factory=dict)


class ItemWithId(ItemBody):
    """One item of a bulk upsert."""

    item_id: Id


class UserBody(Request):
    """What is known of one user beside the events."""

    attributes: Attributes = Field(default_factory=dict)


class UserWithId(UserBody):
    """One user of a bulk upsert."""

    user_id: Id


class EventBody(Request):
    """One thing a user did."""

    user_id: Id
    item_id: Id
    event_type: Name = "view"
    value: FiniteFloat | None = Field(None, description="A rating, an amount; optional.")
    timestamp: Time | None = Field(
        None, description="Unix seconds, or ISO 8601 with a time zone; now where left out."
    )
    idempotency_key: Id | None = Field(
        None, description="The same key again changes nothing: safe to send twice."
    )
    recommendation_id: Id | None = Field(
        None, description="Of the recommendation that led here: counted as a click."
    )


class FeedbackBody(Request):
    """Many events at once, stored all together or not at all."""

    events: Annotated[list[EventBody], Field(min_length=1, max_length=MAX_EVENTS, fail_fast=True)]
    mode: Literal["accumulate", "overwrite"] = "accumulate"


class SessionEvent(Request):
    """One event of a session that is not stored."""

    item_id: Id
    event_type: Name | None = None
    value: FiniteFloat | None = None
    timestamp: Time | None = None


Session = Annotated[list[Id | SessionEvent], Field(max_length=MAX_HISTORY, fail_fast=True)]


class FilterBody(Request):
    """Which items may be answered."""

    categories: Annotated[list[Label], Field(max_length=100, fail_fast=True)] = Field(
        default_factory=list
    )
    brands: Annotated[list[Label], Field(max_length=100, fail_fast=True)] = Field(
        default_factory=list
    )
    price_min: Price | None = None
    price_max: Price | None = None
    in_stock: bool | None = Field(None, description="True: only what can be had.")

    @model_validator(mode="after")
    def _ordered(self) -> "FilterBody":
        low, high = self.price_min, self.price_max
        if low is not None and high is not None and low > high:
            raise ValueError("price_min is above price_max")
        return self


class Asked(Request):
    """Who asks, and in which words: shared by every request for items."""

    user_id: Id | None = None
    history: Session | None = Field(
        None, description="Item ids or events, oldest first; follows the stored history if any."
    )
    task: Name | None = Field(None, description="A family of prompts; see GET /v1/models.")
    slots: Annotated[dict[Name, Name], Field(max_length=10), _at_most(10)] = Field(
        default_factory=dict
    )
    context: Annotated[str, StringConstraints(max_length=MAX_PROMPT, pattern=_NO_NUL)] = ""
    prompt: Prompt | None = Field(None, description="Say in words what is wanted.")
    form: Name | None = Field(
        None, description="How the model answers; see GET /v1/models. Left out: its usual way."
    )
    explain: bool = Field(False, description="Add the events that weighed most to each item.")
    model: Label | None = Field(None, description="A loaded model by name or version.")


class RecommendBody(Asked):
    """Items from the whole catalogue."""

    n: Annotated[int, Field(ge=1, le=MAX_N)] = 10
    filter: FilterBody | None = None
    exclude_seen: bool = True
    exclude: Annotated[list[Id], Field(max_length=MAX_CANDIDATES)] = Field(
        default_factory=list, description="Items that are not to be answered."
    )
    diversity: Annotated[float, Field(ge=0, le=1)] = 0.0


class RankBody(Asked):
    """Given items, put in order."""

    candidates: Annotated[list[Id], Field(min_length=1, max_length=MAX_CANDIDATES, fail_fast=True)]
    n: Annotated[int, Field(ge=1, le=MAX_CANDIDATES)] | None = None


class SearchBody(Request):
    """Items by words, for somebody or for anybody."""

    query: Prompt
    user_id: Id | None = None
    n: Annotated[int, Field(ge=1, le=MAX_N)] = 10
    filter: FilterBody | None = None
    model: Label | None = None


class ExplainBody(Request):
    """Why this item, for this person."""

    item_id: Id
    user_id: Id | None = None
    history: Session | None = None
    n: Annotated[int, Field(ge=1, le=20)] = 3
    form: Literal["events", "text"] = Field(
        "events", description="The events that weighed most alone, or with them a text."
    )
    aspect: Aspect | None = Field(None, description="What the text is to speak of, in a word.")
    model: Label | None = None

    @model_validator(mode="after")
    def _aspect_of_a_text(self) -> "ExplainBody":
        if self.aspect is not None and self.form != "text":
            raise ValueError('aspect needs form "text"')
        return self


class RateBody(Request):
    """Which rating this person would give."""

    item_id: Id
    user_id: Id | None = None
    history: Session | None = Field(
        None, description="Item ids or events, oldest first; follows the stored history if any."
    )
    model: Label | None = None


class ModelBody(Request):
    """A model folder on the server's own disk."""

    folder: Annotated[str, StringConstraints(min_length=1, max_length=4_096, pattern=_NO_NUL)]
    share: Annotated[float, Field(ge=0, le=1_000)] = Field(
        1.0, description="Part of the traffic, against the shares of the others."
    )
    swap: bool = Field(False, description="Take the place, and the share, of a loaded model.")
    replaces: Label | None = Field(
        None, description="Version of the model to swap out; needed where there are several."
    )


class ShareBody(Request):
    """How much of the traffic a model gets."""

    share: Annotated[float, Field(ge=0, le=1_000)]


class KeyBody(Request):
    """A new key."""

    name: Name
    scopes: Annotated[
        list[Literal["read", "write", "admin"]], Field(min_length=1, max_length=3, fail_fast=True)
    ]


class Paging(Request):
    """One page of a long list."""

    model_config = ConfigDict(extra="forbid", strict=False, frozen=True)

    cursor: Annotated[str, StringConstraints(max_length=1_024, pattern=_NO_NUL)] | None = None
    limit: Annotated[int, Field(ge=1, le=1_000)] = 100


class ItemPaging(Paging):
    """One page of the items, or those whose title holds ``q``."""

    q: Annotated[str, StringConstraints(max_length=200, pattern=_NO_NUL)] | None = None


class FacetsQuery(Request):
    """How many categories and brands."""

    model_config = ConfigDict(extra="forbid", strict=False, frozen=True)

    limit: Annotated[int, Field(ge=1, le=1_000)] = 100


class SimilarQuery(Request):
    """How many neighbours of an item."""

    model_config = ConfigDict(extra="forbid", strict=False, frozen=True)

    n: Annotated[int, Field(ge=1, le=MAX_N)] = 10
    model: Label | None = None


class UserPaging(Paging):
    """One page of the users, or those whose id begins with ``q``."""

    q: Annotated[str, StringConstraints(max_length=200, pattern=_NO_NUL)] | None = None


class HistoryQuery(Request):
    """How much of a history."""

    model_config = ConfigDict(extra="forbid", strict=False, frozen=True)

    limit: Annotated[int, Field(ge=1, le=1_000)] = 200


class FollowQuery(Request):
    """Where the stream of events begins."""

    model_config = ConfigDict(extra="forbid", strict=False, frozen=True)

    after: Annotated[int, Field(ge=0, le=2**62)] | None = None
