"""The service as tools of an assistant: the Model Context Protocol on standard input and output.

Every tool calls the same service as HTTP, so that both check, answer and refuse alike.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import orjson
from pydantic import BaseModel, Field, ValidationError
from starlette.responses import Response

from palate import __version__
from palate.errors import MissingExtraError, PalateError
from palate.inference.engine import Device
from palate.serving.problems import NotFound, invalid
from palate.serving.routes.feedback import event_of
from palate.serving.schemas import (
    EventBody,
    ExplainBody,
    FilterBody,
    RankBody,
    RateBody,
    RecommendBody,
    SearchBody,
)
from palate.serving.service import Service
from palate.serving.startup import open_service
from palate.serving.telemetry import RequestContext, log_as_json

try:
    from mcp.server import MCPServer
    from mcp.server.mcpserver.exceptions import ToolError
except ModuleNotFoundError:
    raise MissingExtraError("mcp", "mcp") from None

Body = TypeVar("Body", bound=BaseModel)
Result = TypeVar("Result")

Reply = dict[str, Any]
"""JSON fields, which the assistant reads as text."""

_ABOUT = (
    "Recommends items of one shop to its users. Call `recommend` with a user id, or with the ids "
    "of items somebody liked; `search` finds item ids by words. Store what people chose with "
    "`record_feedback`: it changes the next recommendation."
)

UserId = Annotated[str | None, Field(description="A user of the shop, if known.")]
Liked = Annotated[list[str] | None, Field(description="Ids of items somebody chose, oldest first.")]
Count = Annotated[int, Field(ge=1, le=100, description="How many items.")]
Prompted = Annotated[
    str | None, Field(description="What is wanted, in words; not every model reads them.")
]
Task = Annotated[str | None, Field(description="A family of prompts that the model answers.")]
Slots = Annotated[dict[str, str] | None, Field(description="Values of the slots of the task.")]
Form = Annotated[str | None, Field(description="A form of answer that the model has.")]
ItemIds = Annotated[list[str] | None, Field(description="Ids of items.")]
ItemId = Annotated[str, Field(description="An item's id, as the other tools give it.")]


def run_mcp(model: Path, db: str, device: Device | None = None) -> None:
    """Serve one model folder to an assistant until its input ends.

    None as ``device`` means a GPU if there is one.

    Raises:
        ArtifactError: when the folder is damaged.
        ConfigError: when the store cannot be used.
    """
    log_as_json()  # to standard error, since standard output belongs to the protocol
    mcp_server(open_service({model: 1.0}, db, device=device)).run()


def mcp_server(service: Service) -> MCPServer[None]:
    """Return the tools of a service."""

    @asynccontextmanager
    async def running(_: MCPServer[None]) -> AsyncIterator[None]:
        async with service.running():
            yield

    server: MCPServer[None] = MCPServer(
        "palate", title="Palate", version=__version__, instructions=_ABOUT, lifespan=running
    )
    _add_lists(server, service)
    _add_explanation(server, service)
    _add_records(server, service)
    return server


def _add_lists(server: MCPServer[None], service: Service) -> None:
    """Add the tools that return lists of items."""
    answering = service.answering

    @server.tool()
    async def recommend(  # noqa: PLR0913 - one argument per field of the request
        user_id: UserId = None,
        history: Liked = None,
        n: Count = 10,
        prompt: Prompted = None,
        explain: Annotated[bool, Field(description="Say why, by events of the history.")] = True,
        filter: Annotated[FilterBody | None, Field(description="Which items may be given.")] = None,
        exclude: ItemIds = None,
        exclude_seen: bool = True,
        diversity: Annotated[float, Field(ge=0, le=1)] = 0.0,
        task: Task = None,
        slots: Slots = None,
        form: Form = None,
    ) -> Reply:
        """Recommend items to a user, or to anybody by the items they chose so far.

        `missing_ids` names items of the history that the shop does not have.
        """
        fields: dict[str, object] = {"user_id": user_id, "history": history, "n": n}
        fields["prompt"] = prompt
        fields |= {"explain": explain, "filter": filter, "exclude": exclude}
        fields |= {"exclude_seen": exclude_seen, "diversity": diversity}
        body = _checked(RecommendBody, fields | {"task": task, "slots": slots, "form": form})
        return await _reply(answering.recommend(_context("recommend"), body))

    @server.tool()
    async def rank(  # noqa: PLR0913 - as above
        candidates: Annotated[list[str], Field(description="Ids of the items to order.")],
        user_id: UserId = None,
        history: Liked = None,
        prompt: Prompted = None,
        explain: bool = False,
        task: Task = None,
        slots: Slots = None,
        form: Form = None,
    ) -> Reply:
        """Order given items for a user, or for anybody by the items they chose so far."""
        fields: dict[str, object] = {"user_id": user_id, "history": history}
        fields["candidates"] = candidates
        fields |= {"prompt": prompt, "explain": explain}
        body = _checked(RankBody, fields | {"task": task, "slots": slots, "form": form})
        return await _reply(answering.rank(_context("rank"), body))

    @server.tool()
    async def search(
        query: Annotated[str, Field(description="What to look for, in words.")],
        user_id: UserId = None,
        n: Count = 10,
    ) -> Reply:
        """Find items by words, personalised for a user if one is given."""
        body = _checked(SearchBody, {"query": query, "user_id": user_id, "n": n})
        return await _reply(answering.search(_context("search"), body))


def _add_explanation(server: MCPServer[None], service: Service) -> None:
    """Add the tools about one item: how it would be rated, and why it is recommended."""

    @server.tool()
    async def rate(item_id: ItemId, user_id: UserId = None, history: Liked = None) -> Reply:
        """Predict the rating that a user would give an item; not every model was trained to."""
        body = _checked(RateBody, {"item_id": item_id, "user_id": user_id, "history": history})
        return await _reply(service.answering.rate(_context("rate"), body))

    @server.tool()
    async def explain(
        item_id: ItemId,
        user_id: UserId = None,
        history: Liked = None,
        aspect: Annotated[
            str | None,
            Field(description="The aspect that the text is about, in a word."),
        ] = None,
    ) -> Reply:
        """Name the most important events for an item, and explain it in words."""
        fields = {"item_id": item_id, "user_id": user_id, "history": history, "aspect": aspect}
        fields["form"] = "text"
        body = _checked(ExplainBody, fields)
        return await _reply(service.answering.explain(_context("explain"), body))


def _add_records(server: MCPServer[None], service: Service) -> None:
    """Add the tools that read an item and store an event."""

    @server.tool()
    async def item_details(item_id: ItemId) -> Reply:
        """Return all fields of an item."""
        return await _or_tool_error(_item(service, item_id))

    @server.tool()
    async def record_feedback(
        user_id: Annotated[str, Field(description="The user who did it.")],
        item_id: ItemId,
        event_type: Annotated[str, Field(description="view, click, purchase, ...")] = "click",
        recommendation_id: Annotated[
            str | None, Field(description="The id of the answer that showed the item.")
        ] = None,
    ) -> Reply:
        """Store an event of a user with an item; it changes the next recommendation."""
        fields = {"user_id": user_id, "item_id": item_id, "event_type": event_type}
        body = _checked(EventBody, fields | {"recommendation_id": recommendation_id})
        return await _or_tool_error(_stored(service, body))


async def _item(service: Service, item_id: str) -> Reply:
    item = await asyncio.to_thread(service.listing.item, item_id)
    if item is None:
        raise NotFound(f"There is no item {item_id[:100]!r}.", hint="Find one with search.")
    return item


async def _stored(service: Service, body: EventBody) -> Reply:
    (outcome,) = await service.feedback([event_of(body, time.time())], "accumulate")
    return {"outcome": outcome, "missing_ids": service.missing({body.item_id})}


def _context(tool: str) -> RequestContext:
    return RequestContext(
        request_id="", client="mcp", started=time.perf_counter(), route=f"mcp:{tool}"
    )


def _checked(kind: type[Body], fields: Mapping[str, object]) -> Body:
    """Return the arguments of a tool, validated by the rules of a request."""
    try:
        return kind.model_validate({name: x for name, x in fields.items() if x is not None})
    except ValidationError as error:
        raise _refusal(invalid(error)) from None


async def _reply(answer: Awaitable[Response]) -> Reply:
    response = await _or_tool_error(answer)
    reply: Reply = orjson.loads(response.body)
    return reply


async def _or_tool_error(work: Awaitable[Result]) -> Result:
    """Return the result of some work; a refusal becomes an error that the assistant can read."""
    try:
        return await work
    except PalateError as error:
        raise _refusal(error) from error


def _refusal(error: PalateError) -> ToolError:
    return ToolError(f"{error.message} {error.hint}".strip())
