"""From a request for items to the bytes of its answer.

The hot path, a known user without ``explain``, does as little as it can: one look-up of the
history, one request to the batcher, one join of bytes written before.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import orjson
from starlette.responses import Response

from palate.errors import ConfigError, NotTrainedError
from palate.inference.engine import Engine
from palate.inference.filters import ItemFilter
from palate.inference.request import NOBODY, Answer, Reason, Request
from palate.serving.histories import history_of
from palate.serving.id_generator import IdGenerator
from palate.serving.overload import Overloaded
from palate.serving.pool import ModelPool, Served
from palate.serving.recorder import Given, Recorder
from palate.serving.rendering import Renderer
from palate.serving.schemas import (
    Asked,
    ExplainBody,
    FilterBody,
    RankBody,
    RateBody,
    RecommendBody,
    SearchBody,
    SessionEvent,
    SimilarQuery,
)
from palate.serving.store import Event
from palate.serving.telemetry import RequestContext
from palate.types import History

Result = TypeVar("Result")

_REASONS = 3
_MOST_ASIDE = 64
"""Explanations and the like that may wait; they share one thread, beside that of the batches."""
_HEADERS = {"content-type": "application/json"}


class Answering:
    """Answers every kind of request for items."""

    def __init__(self, pool: ModelPool, recorder: Recorder) -> None:
        """Ask the models of ``pool`` and remember what was answered in ``recorder``."""
        self._pool, self._recorder = pool, recorder
        self._renderers: dict[str, Renderer] = {}
        self._numbering = IdGenerator()
        self._aside = ThreadPoolExecutor(1, thread_name_prefix="palate-aside")
        self._num_aside = 0

    def close(self) -> None:
        """End the thread."""
        self._aside.shutdown(cancel_futures=True)

    async def recommend(self, visit: RequestContext, body: RecommendBody) -> Response:
        """Answer with the best items of the catalogue."""
        served = self._chosen(body.user_id, body.model)
        visit.model = served.engine.version
        history, missing = await self._history(served, body.user_id, body.history)
        exclude, unknown = served.engine.catalogue.rows_of(body.exclude)
        request = _request(
            body,
            history,
            n=body.n,
            exclude=exclude,
            filter=_filter(body.filter),
            exclude_seen=body.exclude_seen,
            diversity=body.diversity,
        )
        found = await served.batcher.ask(request)
        whys = await self._whys(served, request, found) if body.explain else None
        return self._answer(visit, served, request, found, whys, [*missing, *unknown])

    async def rank(self, visit: RequestContext, body: RankBody) -> Response:
        """Answer with the candidates in order."""
        served = self._chosen(body.user_id, body.model)
        visit.model = served.engine.version
        history, missing = await self._history(served, body.user_id, body.history)
        rows, unknown = served.engine.catalogue.rows_of(body.candidates)
        request = _request(
            body,
            history,
            n=body.n or len(body.candidates),
            candidates=rows,
            exclude_seen=False,
        )
        found = await served.batcher.ask(request)
        whys = await self._whys(served, request, found) if body.explain else None
        return self._answer(visit, served, request, found, whys, [*missing, *unknown])

    async def search(self, visit: RequestContext, body: SearchBody) -> Response:
        """Answer with items by words; by their titles where the model was not taught to search."""
        served = self._chosen(body.user_id, body.model)
        visit.model = served.engine.version
        history = await self._stored(served, body.user_id)
        engine = served.engine
        plain = Request(history, body.n, filter=_filter(body.filter), user_id=body.user_id)
        if "search" in engine.tasks:
            request = engine.searching(body.query, plain)
        else:
            request = await self.aside(engine.searching, body.query, plain)
        found = await served.batcher.ask(request)
        return self._answer(visit, served, request, found, None, [])

    async def similar(self, visit: RequestContext, item_id: str, asked: SimilarQuery) -> Response:
        """Answer with the nearest items of an item."""
        served = self._chosen(None, asked.model)
        visit.model = served.engine.version
        engine = served.engine
        engine.catalogue.item(item_id)
        found = await self.aside(engine.similar, engine.catalogue.row_of(item_id), asked.n)
        return self._answer(visit, served, Request(), found, None, [])

    async def explain(self, visit: RequestContext, body: ExplainBody) -> Response:
        """Answer with the events that weighed most for one item, and in words where asked to."""
        served = self._chosen(body.user_id, body.model)
        visit.model = served.engine.version
        engine = served.engine
        if body.form == "text":
            _check_text(engine)
        history, missing = await self._history(served, body.user_id, body.history)
        row = engine.catalogue.row_of(body.item_id)
        request = Request(history)
        said = (
            await self.aside(engine.explain, history, row, body.aspect or "")
            if body.form == "text"
            else None
        )
        (reasons,) = await self.aside(engine.reasons, request, [row], body.n)
        told = {
            "item_id": body.item_id,
            "why": _told(served, history, reasons),
            "text": None if said is None else said.text,
            "mended": None if said is None else said.was_edited,
            "quoted": None if said is None else said.quoted,
        }
        return _single(visit, engine, told, None if said is None else said.fallback, missing)

    async def rate(self, visit: RequestContext, body: RateBody) -> Response:
        """Answer with the rating that somebody would give an item."""
        served = self._chosen(body.user_id, body.model)
        visit.model = served.engine.version
        engine = served.engine
        engine.capabilities.check_words("rating")
        history, missing = await self._history(served, body.user_id, body.history)
        engine.catalogue.item(body.item_id)
        rated = await self.aside(engine.rate, history, engine.catalogue.row_of(body.item_id))
        told = {
            "item_id": body.item_id,
            "rating": round(rated.value, 4),
            "likeliest": rated.likeliest,
            "chances": rated.by_level,
        }
        return _single(visit, engine, told, None, missing)

    async def aside(self, function: Callable[..., Result], *arguments: object) -> Result:
        """Return what a longer computation gives, done in a thread of its own.

        Raises:
            Overloaded: when too many wait for it.
        """
        if self._num_aside >= _MOST_ASIDE:
            raise Overloaded("Too many explanations are being computed.")
        self._num_aside += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._aside, function, *arguments)
        finally:
            self._num_aside -= 1

    @property
    def num_aside(self) -> int:
        """How many wait for the thread."""
        return self._num_aside

    def forget(self, version: str) -> None:
        """Drop what is kept of a model that is no longer loaded."""
        self._renderers.pop(version, None)

    def _chosen(self, user_id: str | None, model: str | None) -> Served:
        """Return the model that answers: the one asked for, or the user's by the shares."""
        if model is None:
            return self._pool.choose(user_id)
        named = [one for one in self._pool.models if one.engine.name == model]
        return named[0] if len(named) == 1 else self._pool.of_version(model)

    async def _stored(self, served: Served, user_id: str | None) -> History:
        """Return what is stored of a user; only somebody not asked about lately costs a read."""
        if user_id is None:
            return NOBODY
        known = served.histories.known(user_id)
        return await asyncio.to_thread(served.histories.of, user_id) if known is None else known

    async def _history(
        self,
        served: Served,
        user_id: str | None,
        told: Sequence[str | SessionEvent] | None,
    ) -> tuple[History, list[str]]:
        """Return what the asker did, first what is stored, and the ids nobody knows."""
        stored = await self._stored(served, user_id)
        if not told:
            return stored, []
        ids = [one if isinstance(one, str) else one.item_id for one in told]
        rows, missing = served.engine.catalogue.rows_of(ids)
        if not len(stored) and all(isinstance(one, str) for one in told):
            return History(item_rows=rows), missing
        session = history_of(served.engine, [_session_event(one) for one in told])
        return stored.extended(session) if len(stored) else session, missing

    async def _whys(
        self, served: Served, request: Request, found: Answer
    ) -> list[list[Mapping[str, object]]]:
        reasons = await self.aside(served.engine.reasons, request, found.rows.tolist(), _REASONS)
        return [_told(served, request.history, one) for one in reasons]

    def _renderer(self, served: Served) -> Renderer:
        version = served.engine.version
        renderer = self._renderers.get(version)
        if renderer is None or renderer.changes != served.changes:
            renderer = self._renderers[version] = Renderer(served.engine, served.changes)
        return renderer

    def _answer(
        self,
        visit: RequestContext,
        served: Served,
        request: Request,
        found: Answer,
        whys: Sequence[Sequence[Mapping[str, object]]] | None,
        missing: Sequence[str],
    ) -> Response:
        """Write the answer, and remember that it was given."""
        recommendation_id = self._numbering.next()
        items = self._renderer(served).items(found.rows, found.scores, whys)
        visit.fallback = found.fallback or ""
        self._recorder.add(
            Given(
                recommendation_id,
                request.user_id,
                served.engine,
                found.rows,
                time.time(),
                visit.route,
                found.fallback,
            )
        )
        return Response(
            b'{"recommendation_id":"%b","model_version":"%b","took_ms":%.3f,"fallback":%b,'
            b'"items":%b,"missing_ids":%b}'
            % (
                recommendation_id.encode(),
                found.version.encode(),
                _took_ms(visit),
                orjson.dumps(found.fallback),
                items,
                orjson.dumps(missing) if missing else b"[]",
            ),
            headers=_HEADERS,
        )


def _session_event(told: str | SessionEvent) -> Event:
    """Return an event that is not stored; a type that is not told counts as an unknown one."""
    if isinstance(told, str):
        told = SessionEvent(item_id=told)
    kind = told.event_type or "unknown"
    return Event("session", told.item_id, kind, told.value, told.timestamp or 0.0)


def _request(body: Asked, history: History, **more: object) -> Request:
    """Return the request that the shared fields of a request put."""
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


def _told(
    served: Served, history: History, reasons: Sequence[Reason]
) -> list[Mapping[str, object]]:
    """Return reasons with the names of their events' items."""
    views = served.engine.catalogue.views(
        [int(history.item_rows[reason.event]) for reason in reasons]
    )
    return [
        {
            "item_id": view.item_id,
            "title": view.title or view.item_id,
            "weight": round(reason.weight, 4),
        }
        for view, reason in zip(views, reasons, strict=True)
    ]


def _check_text(engine: Engine) -> None:
    """Refuse a text of a model that writes none; its measured reasons are there all the same.

    Raises:
        NotTrainedError: naming the recipes that can.
    """
    try:
        engine.capabilities.check_words("explanation")
    except NotTrainedError as error:
        raise NotTrainedError(
            error.message, hint=f'Ask with form "events" for the measured reasons. {error.hint}'
        ) from None


def _single(
    visit: RequestContext,
    engine: Engine,
    told: Mapping[str, object],
    fallback: str | None,
    missing: Sequence[str],
) -> Response:
    """Return what is told of one item, with what every answer carries."""
    visit.fallback = fallback or ""
    more = {"model_version": engine.version, "took_ms": _took_ms(visit), "fallback": fallback}
    return _json({**told, **more, "missing_ids": missing})


def _took_ms(visit: RequestContext) -> float:
    return round(1e3 * (time.perf_counter() - visit.started), 3)


def _json(value: object) -> Response:
    return Response(orjson.dumps(value), headers=_HEADERS)
