"""What clients send: every field typed and bounded, unknown fields refused.

These models are only read from, once per request; answers are written as plain dictionaries,
because checking one's own answer on the hot path costs more than making it.
"""

from typing import Annotated, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    StrictBool,
    StringConstraints,
    model_validator,
)

MAX_ID = 256
MAX_N = 1_000
MAX_HISTORY = 1_000
MAX_CANDIDATES = 10_000
MAX_EVENTS = 10_000
MAX_BULK_ROWS = 100_000
MAX_PROMPT = 2_000
_LATEST = 10_000_000_000.0
"""Unix seconds of the year 2286: a larger number was meant as milliseconds."""

_NO_NUL = r"^[^\x00]*$"
_NO_CONTROL = r"^[^\x00-\x1f\x7f]*$"

Id = Annotated[str, StringConstraints(min_length=1, max_length=MAX_ID, pattern=_NO_CONTROL)]
"""An id of the client's own making: 1 to 256 characters, no control character among them."""
Name = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=_NO_CONTROL)]
Label = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=_NO_NUL)]
Title = Annotated[str, StringConstraints(max_length=2_000, pattern=_NO_NUL)]
Description = Annotated[str, StringConstraints(max_length=50_000, pattern=_NO_NUL)]
Prompt = Annotated[str, StringConstraints(min_length=1, max_length=MAX_PROMPT, pattern=_NO_NUL)]
Aspect = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=_NO_NUL)]
Price = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]
UnixSeconds = Annotated[float, Field(ge=0, le=_LATEST, allow_inf_nan=False)]
Attribute = StrictBool | FiniteFloat | Description | None
Attributes = Annotated[dict[Name, Attribute], Field(max_length=200)]


class Request(BaseModel):
    """Extra fields refused, no NaN or infinity, no conversion between types."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, hide_input_in_errors=True
    )


class ItemBody(Request):
    """What the shop knows of one item; the id stands in the path or beside it."""

    title: Title | None = None
    description: Description | None = None
    brand: Label | None = None
    categories: Annotated[tuple[Label, ...], Field(max_length=100, strict=False)] = ()
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
    timestamp: UnixSeconds | AwareDatetime | None = Field(
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

    events: Annotated[list[EventBody], Field(min_length=1, max_length=MAX_EVENTS)]
    mode: Literal["accumulate", "overwrite"] = "accumulate"


class SessionEvent(Request):
    """One event of a session that is not stored."""

    item_id: Id
    event_type: Name | None = None
    value: FiniteFloat | None = None
    timestamp: UnixSeconds | None = None


class FilterBody(Request):
    """Which items may be answered."""

    categories: Annotated[list[Label], Field(max_length=100)] = Field(default_factory=list)
    brands: Annotated[list[Label], Field(max_length=100)] = Field(default_factory=list)
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
    history: Annotated[list[Id | SessionEvent], Field(max_length=MAX_HISTORY)] | None = Field(
        None, description="Item ids or events, oldest first; follows the stored history if any."
    )
    task: Name | None = Field(None, description="A family of prompts; see GET /v1/models.")
    slots: Annotated[dict[Name, Name], Field(max_length=10)] = Field(default_factory=dict)
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

    candidates: Annotated[list[Id], Field(min_length=1, max_length=MAX_CANDIDATES)]
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
    history: Annotated[list[Id | SessionEvent], Field(max_length=MAX_HISTORY)] | None = None
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
    history: Annotated[list[Id | SessionEvent], Field(max_length=MAX_HISTORY)] | None = Field(
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
    scopes: Annotated[list[Literal["read", "write", "admin"]], Field(min_length=1, max_length=3)]


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
