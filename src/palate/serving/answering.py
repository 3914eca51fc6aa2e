"""Answers requests for items: from the checked body of a request to the bytes of its response.

The hot path, a known user without ``explain``, does as little as possible: it looks the history up,
sends one request to the batcher, and joins bytes that were made before.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import orjson
from starlette.responses import Response

from palate.errors import ConfigError
from palate.inference.engine import Engine
from palate.inference.filters import ItemFilter
from palate.inference.item_events import ItemEvent
from palate.inference.printed.statements import as_json
from palate.inference.request import NOBODY, Answer, Reason, Request
from palate.serving.overload import Overloaded
from palate.serving.pool import ModelPool, Served
from palate.serving.recorder import GivenAnswer, Recorder
from palate.serving.rendering import JSON_HEADERS, Renderer, json_response
from palate.serving.schemas import (
    ExplainBody,
    FilterBody,
    ItemsBody,
    RankBody,
    RateBody,
    RecommendBody,
    SearchBody,
    SessionEvent,
    SimilarQuery,
)
from palate.serving.telemetry import RequestContext, new_id
from palate.types import History

Result = TypeVar("Result")

_REASONS = 3
_MOST_SLOW = 64
"""Number of explanations and the like that may wait; they share one thread."""


@dataclass(frozen=True, slots=True)
class _Somebody:
    """For whom a request is: the model that answers, and the history in its rows."""

    served: Served
    history: History
    missing_ids: Sequence[str]
    """Items of the session that the model's catalogue does not hold."""


class Answering:
    """Answers every kind of request for items."""

    def __init__(self, pool: ModelPool, recorder: Recorder) -> None:
        """Ask the models of ``pool``, and have ``recorder`` record the answers."""
        self._pool, self._recorder = pool, recorder
        self._renderers: dict[str, Renderer] = {}
        self._slow = ThreadPoolExecutor(1, thread_name_prefix="palate-slow")
        self.num_slow = 0
        """Number of computations that run or wait in the thread of :meth:`run_slow`."""

    def close(self) -> None:
        """End the thread of slow computations."""
        self._slow.shutdown(cancel_futures=True)

    async def recommend(self, context: RequestContext, body: RecommendBody) -> Response:
        """Answer with the best items of the catalogue."""
        somebody = await self._somebody(context, body.user_id, body.model, body.history)
        exclude, unknown = somebody.served.engine.catalogue.rows_of(body.exclude)
        request = _request(
            body,
            somebody.history,
            n=body.n,
            exclude=exclude,
            filter=_filter(body.filter),
            exclude_seen=body.exclude_seen,
            diversity=body.diversity,
        )
        return await self._list(context, somebody, request, unknown, explain=body.explain)

    async def rank(self, context: RequestContext, body: RankBody) -> Response:
        """Answer with the candidates in order."""
        somebody = await self._somebody(context, body.user_id, body.model, body.history)
        rows, unknown = somebody.served.engine.catalogue.rows_of(body.candidates)
        n = body.n or len(body.candidates)
        request = _request(body, somebody.history, n=n, candidates=rows, exclude_seen=False)
        if body.is_plain and somebody.served.engine.ranks_in_words:
            return await self._ranked_in_words(context, somebody, request, unknown, body)
        return await self._list(context, somebody, request, unknown, explain=body.explain)

    async def _ranked_in_words(
        self,
        context: RequestContext,
        somebody: _Somebody,
        request: Request,
        unknown: Sequence[str],
        body: RankBody,
    ) -> Response:
        """Answer with the candidates by the probability of *yes*, or of their choice."""
        engine, rows = somebody.served.engine, request.candidates
        assert rows is not None
        readable = engine.can_read(rows)
        items = engine.catalogue.state.views
        unknown = [*unknown, *(items[row].item_id for row in rows[~readable].tolist())]
        ranking = await self.run_slow(engine.rank, request.history, rows[readable])
        answer = Answer(ranking.item_rows[: request.n], ranking.scores[: request.n], engine.version)
        reasons = await self._reasons(somebody, request, answer) if body.explain else None
        return self._response(context, somebody, request, answer, reasons, unknown)

    async def search(self, context: RequestContext, body: SearchBody) -> Response:
        """Answer with items by words; by titles if the model was not trained to search."""
        somebody = await self._somebody(context, body.user_id, body.model)
        engine = somebody.served.engine
        plain = Request(somebody.history, body.n, filter=_filter(body.filter), user_id=body.user_id)
        if "search" in engine.tasks:
            request = engine.searching(body.query, plain)
        else:
            request = await self.run_slow(engine.searching, body.query, plain)
        return await self._list(context, somebody, request)

    async def similar(self, context: RequestContext, item_id: str, query: SimilarQuery) -> Response:
        """Answer with the items nearest to one item."""
        somebody = await self._somebody(context, None, query.model)
        engine = somebody.served.engine
        engine.catalogue.item(item_id)
        row = engine.catalogue.row_of(item_id)
        answer = await self.run_slow(engine.similar, row, query.n)
        return self._response(context, somebody, Request(), answer, None)

    async def explain(self, context: RequestContext, body: ExplainBody) -> Response:
        """Answer with the most important events for one item, and with a text if requested."""
        somebody = await self._somebody(context, body.user_id, body.model, body.history)
        engine, history = somebody.served.engine, somebody.history
        row, text = engine.catalogue.row_of(body.item_id), None
        if body.form == "text":
            text = await self.run_slow(engine.explain, history, row, body.aspect or "")
        (reasons,) = await self.run_slow(engine.reasons, Request(history), [row], body.n)
        fields = {
            "item_id": body.item_id,
            "why": _reason_fields(engine, history, reasons),
            "text": None if text is None else text.text,
            "mended": None if text is None else text.was_edited,
            "quoted": None if text is None else text.quoted,
            "statements": None if text is None else [as_json(each) for each in text.statements],
        }
        return _single(context, somebody, fields, None if text is None else text.fallback)

    async def rate(self, context: RequestContext, body: RateBody) -> Response:
        """Answer with the rating that a user would give an item."""
        somebody = await self._somebody(context, body.user_id, body.model, body.history)
        engine = somebody.served.engine
        engine.capabilities.check_words("rating")
        engine.catalogue.item(body.item_id)
        row = engine.catalogue.row_of(body.item_id)
        rated = await self.run_slow(engine.rate, somebody.history, row)
        fields = {
            "item_id": body.item_id,
            "rating": round(rated.value, 4),
            "likeliest": rated.likeliest,
            "chances": rated.by_level,
        }
        return _single(context, somebody, fields, None)

    async def run_slow(self, function: Callable[..., Result], *arguments: object) -> Result:
        """Return the result of a slow computation, done in a thread beside that of the batches.

        Raises:
            Overloaded: when too many computations wait.
        """
        if self.num_slow >= _MOST_SLOW:
            raise Overloaded("Too many explanations are being computed.")
        self.num_slow += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._slow, function, *arguments)
        finally:
            self.num_slow -= 1

    def forget(self, version: str) -> None:
        """Drop the rendered items of a model that is not loaded any more."""
        self._renderers.pop(version, None)

    async def _somebody(
        self,
        context: RequestContext,
        user_id: str | None,
        model: str | None,
        session: Sequence[str | SessionEvent] | None = None,
    ) -> _Somebody:
        """Choose the model; return it with the stored history, followed by the session."""
        served = self._pool.choose(user_id) if model is None else self._named(model)
        context.model = served.engine.version
        stored = NOBODY
        if user_id is not None:
            known = served.histories.known(user_id)
            # Only a user who was not seen lately costs a read of the store.
            if known is None:
                known = await asyncio.to_thread(served.histories.of, user_id)
            stored = known
        if not session:
            return _Somebody(served, stored, [])
        events = [_item_event(event) for event in session]
        return _Somebody(served, *served.engine.history_of(events, stored))

    def _named(self, model: str) -> Served:
        """Return the loaded model of a name or a version."""
        named = [one for one in self._pool.models if one.engine.name == model]
        return named[0] if len(named) == 1 else self._pool.of_version(model)

    async def _list(
        self,
        context: RequestContext,
        somebody: _Somebody,
        request: Request,
        unknown: Sequence[str] = (),
        *,
        explain: bool = False,
    ) -> Response:
        """Answer a request with a list of items, with the reasons of each if requested."""
        answer = await somebody.served.batcher.ask(request)
        reasons = await self._reasons(somebody, request, answer) if explain else None
        return self._response(context, somebody, request, answer, reasons, unknown)

    async def _reasons(
        self, somebody: _Somebody, request: Request, answer: Answer
    ) -> list[list[Mapping[str, object]]]:
        """Return the most important events of the history for each item of an answer."""
        engine = somebody.served.engine
        each = await self.run_slow(engine.reasons, request, answer.rows.tolist(), _REASONS)
        return [_reason_fields(engine, request.history, one) for one in each]

    def _renderer(self, served: Served) -> Renderer:
        version = served.engine.version
        renderer = self._renderers.get(version)
        if renderer is None or renderer.changes != served.changes:
            renderer = self._renderers[version] = Renderer(served.engine, served.changes)
        return renderer

    def _response(
        self,
        context: RequestContext,
        somebody: _Somebody,
        request: Request,
        answer: Answer,
        reasons: Sequence[Sequence[Mapping[str, object]]] | None,
        unknown: Sequence[str] = (),
    ) -> Response:
        """Write the response, and record the answer."""
        recommendation_id = new_id()
        served, missing = somebody.served, [*somebody.missing_ids, *unknown]
        items = self._renderer(served).items(answer.rows, answer.scores, reasons)
        context.fallback = answer.fallback or ""
        self._recorder.add(
            GivenAnswer(
                recommendation_id,
                request.user_id,
                served.engine,
                answer.rows,
                time.time(),
                context.route,
                answer.fallback,
            )
        )
        return Response(
            b'{"recommendation_id":"%b","model_version":"%b","took_ms":%.3f,"fallback":%b,'
            b'"items":%b,"missing_ids":%b}'
            % (
                recommendation_id.encode(),
                answer.version.encode(),
                context.took_ms,
                orjson.dumps(answer.fallback),
                items,
                orjson.dumps(missing),
            ),
            headers=JSON_HEADERS,
        )


def _item_event(event: str | SessionEvent) -> ItemEvent:
    if isinstance(event, str):
        return ItemEvent(event)
    return ItemEvent(event.item_id, event.event_type, event.value, event.timestamp)


def _request(body: ItemsBody, history: History, **more: object) -> Request:
    """Return the engine's request for the fields that several bodies share."""
    if body.prompt is not None and (body.task is not None or body.slots):
        raise ConfigError("Both a task and a free prompt were given.", hint="Give one of the two.")
    return Request(
        user_id=body.user_id,
        history=history,
        family=body.task or "next-item",
        prompt=body.prompt,
        slots=body.slots,
        context=body.context,
        form=body.form,
        **more,  # type: ignore[arg-type]
    )


def _filter(body: FilterBody | None) -> ItemFilter | None:
    if body is None:
        return None
    return ItemFilter(
        categories=tuple(body.categories),
        brands=tuple(body.brands),
        price_min=body.price_min,
        price_max=body.price_max,
        in_stock=body.in_stock,
    )


def _reason_fields(
    engine: Engine, history: History, reasons: Sequence[Reason]
) -> list[Mapping[str, object]]:
    """Return reasons with the items of their events."""
    views = engine.catalogue.views([int(history.item_rows[reason.event]) for reason in reasons])
    return [
        {
            "item_id": view.item_id,
            "title": view.title or view.item_id,
            "weight": round(reason.weight, 4),
        }
        for view, reason in zip(views, reasons, strict=True)
    ]


def _single(
    context: RequestContext,
    somebody: _Somebody,
    fields: Mapping[str, object],
    fallback: str | None,
) -> Response:
    """Return the response about one item, with the fields that every response has."""
    context.fallback = fallback or ""
    return json_response(
        {
            **fields,
            "model_version": somebody.served.engine.version,
            "took_ms": round(context.took_ms, 3),
            "fallback": fallback,
            "missing_ids": somebody.missing_ids,
        }
    )
