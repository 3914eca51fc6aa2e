"""Schemas of the requests: every field has a type and a bound, and unknown fields are refused.

Responses have no schemas here: they are written as plain dictionaries, because validating them
would cost more than making them. A wrong request costs no more than a right one: validation of a
list ends at the first wrong element, a map or an object with too many fields is refused before its
fields are validated, and every list, map and text has a bound (:mod:`palate.serving.bounds` adds
them up).
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
"""Unix seconds of the year 2286; a larger number is probably in milliseconds."""
_NAMED = 5
"""Number of unknown fields that a message names."""

_NO_NUL = r"^[^\x00]*$"
_NO_CONTROL = r"^[^\x00-\x1f\x7f]*$"


def _checked_id(text: str) -> str:
    if (fault := id_fault(text)) is not None:
        raise PydanticCustomError("id", "{fault}", {"fault": fault})
    return text


def _unix_seconds(value: object) -> object:
    """Convert a time to Unix seconds; anything else is refused in one sentence."""
    seconds = value
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            moment = None
        seconds = moment.timestamp() if moment is not None and moment.tzinfo is not None else None
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if value is not None and not (is_number and 0 <= seconds <= _LATEST):  # type: ignore[operator]
        raise PydanticCustomError(
            "time",
            "give seconds or ISO 8601 with a zone, as 1704067200 or 2024-01-01T00:00:00Z",
        )
    return seconds


def _at_most(most: int) -> BeforeValidator:
    """Return a validator that refuses a large map before its entries are validated."""

    def counted(value: object) -> object:
        if isinstance(value, dict) and len(value) > most:
            raise PydanticCustomError(
                "too_many",
                "{count} entries came; {most} are taken",
                {"count": len(value), "most": most},
            )
        return value

    return BeforeValidator(counted)


Id = Annotated[
    str,
    AfterValidator(_checked_id),
    WithJsonSchema(
        {"type": "string", "minLength": 1, "maxLength": LONGEST_ID, "pattern": _NO_CONTROL}
    ),
]
"""An id that the client chose (see :func:`palate.data.ids.id_fault`)."""
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
Labels = Annotated[list[Label], Field(max_length=100, fail_fast=True)]
Share = Annotated[float, Field(ge=0, le=1_000)]
PageSize = Annotated[int, Field(ge=1, le=1_000)]
Attribute = StrictBool | FiniteFloat | Description | None
Attributes = Annotated[dict[Name, Attribute], Field(max_length=200), _at_most(200)]


class StrictModel(BaseModel):
    """Refuses unknown fields, NaN and infinity, and values of another type."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, hide_input_in_errors=True
    )

    @model_validator(mode="before")
    @classmethod
    def _known(cls, value: Any) -> Any:  # noqa: ANN401 - any JSON value
        """Refuse all unknown fields in one message, before any field is validated."""
        if isinstance(value, dict) and not value.keys() <= cls.model_fields.keys():
            unknown = sorted(value.keys() - cls.model_fields.keys())
            raise PydanticCustomError(
                "unknown_fields",
                "there is no field {unknown}; the fields are {known}",
                {"unknown": _listed(unknown), "known": ", ".join(cls.model_fields)},
            )
        return value


def _listed(names: Collection[str]) -> str:
    shown = ", ".join(repr(name[:50]) for name in list(names)[:_NAMED])
    return shown if len(names) <= _NAMED else f"{shown} and {len(names) - _NAMED:,} more"


class ItemBody(StrictModel):
    """An item without its id, which is in the path."""

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
    """An item of a bulk upsert."""

    item_id: Id


class UserBody(StrictModel):
    """A user without the id and the events."""

    attributes: Attributes = Field(default_factory=dict)


class UserWithId(UserBody):
    """A user of a bulk upsert."""

    user_id: Id


class EventBody(StrictModel):
    """An event of a user."""

    user_id: Id
    item_id: Id
    event_type: Name = "view"
    value: FiniteFloat | None = Field(None, description="A rating or an amount; optional.")
    timestamp: Time | None = Field(
        None, description="Unix seconds, or ISO 8601 with a time zone; by default now."
    )
    idempotency_key: Id | None = Field(
        None, description="An event with a key that was sent before is not stored again."
    )
    recommendation_id: Id | None = Field(
        None, description="Id of the recommendation that led here, which counts as clicked."
    )


class FeedbackBody(StrictModel):
    """Several events, of which all are stored or none."""

    events: Annotated[list[EventBody], Field(min_length=1, max_length=MAX_EVENTS, fail_fast=True)]
    mode: Literal["accumulate", "overwrite"] = "accumulate"


class SessionEvent(StrictModel):
    """An event of a session; it is not stored."""

    item_id: Id
    event_type: Name | None = None
    value: FiniteFloat | None = None
    timestamp: Time | None = None


Session = Annotated[list[Id | SessionEvent], Field(max_length=MAX_HISTORY, fail_fast=True)]


class FilterBody(StrictModel):
    """Conditions on the recommended items."""

    categories: Labels = Field(default_factory=list)
    brands: Labels = Field(default_factory=list)
    price_min: Price | None = None
    price_max: Price | None = None
    in_stock: bool | None = Field(None, description="True: only items in stock.")

    @model_validator(mode="after")
    def _ordered(self) -> "FilterBody":
        low, high = self.price_min, self.price_max
        if low is not None and high is not None and low > high:
            raise ValueError("price_min is above price_max")
        return self


class SomebodyBody(StrictModel):
    """For whom a request is, and which model answers it."""

    user_id: Id | None = None
    history: Session | None = Field(
        None,
        description="Item ids or events, oldest first; they follow the stored history of the user.",
    )
    model: Label | None = Field(None, description="Name or version of a loaded model.")


class ItemsBody(SomebodyBody):
    """The fields of every request for a list by a prompt."""

    task: Name | None = Field(None, description="A family of prompts; see GET /v1/models.")
    slots: Annotated[dict[Name, Name], Field(max_length=10), _at_most(10)] = Field(
        default_factory=dict
    )
    context: Annotated[str, StringConstraints(max_length=MAX_PROMPT, pattern=_NO_NUL)] = ""
    prompt: Prompt | None = Field(None, description="Say in words what is wanted.")
    form: Name | None = Field(
        None, description="The form of the answer; see GET /v1/models. By default the model's own."
    )
    explain: bool = Field(False, description="Add to each item the most important events.")

    @property
    def is_plain(self) -> bool:
        """Whether nothing is said of the prompt: the model answers in its own way."""
        return not (self.task or self.prompt or self.form or self.context)


class RecommendBody(ItemsBody):
    """A request for the best items of the catalogue."""

    n: Annotated[int, Field(ge=1, le=MAX_N)] = 10
    filter: FilterBody | None = None
    exclude_seen: bool = True
    exclude: Annotated[list[Id], Field(max_length=MAX_CANDIDATES)] = Field(
        default_factory=list, description="Ids of items to exclude."
    )
    diversity: Annotated[float, Field(ge=0, le=1)] = 0.0


class RankBody(ItemsBody):
    """A request to order given items."""

    candidates: Annotated[list[Id], Field(min_length=1, max_length=MAX_CANDIDATES, fail_fast=True)]
    n: Annotated[int, Field(ge=1, le=MAX_CANDIDATES)] | None = None


class SearchBody(StrictModel):
    """A request for items by words, for a user or for anybody."""

    query: Prompt
    user_id: Id | None = None
    n: Annotated[int, Field(ge=1, le=MAX_N)] = 10
    filter: FilterBody | None = None
    model: Label | None = None


class ExplainBody(SomebodyBody):
    """A request for the reasons of one item."""

    item_id: Id
    n: Annotated[int, Field(ge=1, le=20)] = 3
    form: Literal["events", "text"] = Field(
        "events", description="The most important events alone, or a text as well."
    )
    aspect: Aspect | None = Field(None, description="The aspect that the text is about, in a word.")

    @model_validator(mode="after")
    def _aspect_of_a_text(self) -> "ExplainBody":
        if self.aspect is not None and self.form != "text":
            raise ValueError('aspect needs form "text"')
        return self


class RateBody(SomebodyBody):
    """A request for a predicted rating."""

    item_id: Id


class ModelBody(StrictModel):
    """A model folder on the server's own disk."""

    folder: Annotated[str, StringConstraints(min_length=1, max_length=4_096, pattern=_NO_NUL)]
    share: Share = Field(1.0, description="Its weight when traffic is divided among the models.")
    swap: bool = Field(False, description="Take the place and the share of a loaded model.")
    replaces: Label | None = Field(
        None, description="Version of the model to replace; needed if there are several."
    )


class ShareBody(StrictModel):
    """The share of traffic of a model."""

    share: Share


class KeyBody(StrictModel):
    """A new key."""

    name: Name
    scopes: Annotated[
        list[Literal["read", "write", "admin"]], Field(min_length=1, max_length=3, fail_fast=True)
    ]


class Query(StrictModel):
    """Parameters of a query; their values are texts, which are converted."""

    model_config = ConfigDict(strict=False)


class Paging(Query):
    """One page of a long list; ``q`` selects items by title, or users by the start of their id."""

    cursor: Annotated[str, StringConstraints(max_length=1_024, pattern=_NO_NUL)] | None = None
    limit: PageSize = 100
    q: Annotated[str, StringConstraints(max_length=200, pattern=_NO_NUL)] | None = None


class FacetsQuery(Query):
    """The number of categories and brands."""

    limit: PageSize = 100


class SimilarQuery(Query):
    """The number of similar items, and which model answers."""

    n: Annotated[int, Field(ge=1, le=MAX_N)] = 10
    model: Label | None = None


class HistoryQuery(Query):
    """The number of newest events."""

    limit: PageSize = 200


class FollowQuery(Query):
    """The sequence number after which the stream of events begins."""

    after: Annotated[int, Field(ge=0, le=2**62)] | None = None
