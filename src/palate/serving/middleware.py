"""The outermost layer: every request passes here first, and every answer last.

It gives the request an id, bounds how many are answered at once, adds the security headers, counts,
logs, and turns whatever went wrong into the one form of refusal. Pure ASGI: a layer that wraps
requests and responses in objects of its own would cost more than a recommendation does.
"""

import logging
import re
import time
from typing import TYPE_CHECKING
from urllib.parse import unquote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from palate.errors import PalateError
from palate.serving.id_generator import IdGenerator
from palate.serving.limits import ClientGoneError, Limits
from palate.serving.overload import Overloaded
from palate.serving.problems import BadRequest, problem, problem_response
from palate.serving.telemetry import UNMATCHED, Metrics, RequestContext, RequestLog

if TYPE_CHECKING:
    from starlette.requests import Request

_logger = logging.getLogger(__name__)

VISIT = "palate.visit"
"""Where the ASGI scope keeps the :class:`RequestContext`."""

SLASH = "\x00"
"""Stands for a slash inside an id until routing is over: ``/v1/items/a%2Fb`` names ``a/b``."""

_MOST_PARAMETERS = 20
"""Of a query: no route has half as many."""
_STREAMS = frozenset({"/v1/operator/events"})

_SANE_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_GONE = 499
"""What the log says of a client that hung up; nobody is there to read a status."""

_PUBLIC = [
    (b"x-content-type-options", b"nosniff"),
    # An answer of the API is data: a browser that shows it as a page must run nothing of it.
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
]
_PRIVATE = [*_PUBLIC, (b"cache-control", b"no-store")]
_USUAL = 2
"""Headers of nearly every answer, its length and type: none of those above is among them."""


class Middleware:
    """The ASGI layer around the whole application."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, log: RequestLog, limits: Limits) -> None:
        """Stand before ``app``."""
        self._app, self._metrics, self._log, self._limits = app, metrics, log, limits
        self._numbering = IdGenerator()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request in and its answer out."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            else:
                await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        method, scope = scope["method"], _with_get(scope)
        client = scope.get("client")
        visit = RequestContext(
            _request_id(scope["headers"], self._numbering), client[0] if client else "", started
        )
        scope[VISIT] = visit
        answer = _Answer(send, visit, private=scope["path"].startswith("/v1/"))
        self._metrics.in_flight += 1
        try:
            await self._answered(scope, receive, answer)
        finally:
            self._metrics.in_flight -= 1
            if visit.route == UNMATCHED:
                visit.route = getattr(scope.get("route"), "path", UNMATCHED)
            seconds = time.perf_counter() - started
            self._metrics.add(visit, seconds)
            self._log.add(visit, seconds, method)

    async def _answered(self, scope: Scope, receive: Receive, answer: "_Answer") -> None:
        request_id = answer.visit.request_id
        try:
            if self._metrics.in_flight > self._limits.in_flight and _may_wait(scope["path"]):
                raise Overloaded("Too many requests are being answered.")
            _check_query(scope)
            _read_slashes(scope)
            await self._app(scope, receive, answer)
        except PalateError as error:
            if answer.visit.status == 0:
                await problem(error, request_id)(scope, receive, answer)
        except ClientGoneError:
            answer.visit.status = _GONE
        # Nothing narrower will do at the outer door: whatever was not foreseen inside, the client
        # gets one message and the log the rest. Being cancelled is no such mistake and goes on.
        except Exception as error:
            _logger.error("request %s failed", request_id, exc_info=error)
            if answer.visit.status:
                raise
            await problem_response(
                500,
                "The service made a mistake; the request is not to blame.",
                hint="The log has the details under this request id.",
                request_id=request_id,
            )(scope, receive, answer)


class _Answer:
    """ASGI's ``send``, adding the headers that every answer has."""

    __slots__ = ("_private", "_send", "visit")

    def __init__(self, send: Send, visit: RequestContext, *, private: bool) -> None:
        self._send, self.visit, self._private = send, visit, private

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.visit.status = message["status"]
            headers = message["headers"]
            added = _PRIVATE if self._private else _PUBLIC
            if len(headers) > _USUAL:
                own = {name for name, _ in headers}
                added = [header for header in added if header[0] not in own]
            request_id = (b"x-request-id", self.visit.request_id.encode())
            message["headers"] = [*headers, *added, request_id]
        await self._send(message)


def visit_of(request: "Request") -> RequestContext:
    """Return the visit of a request, to be filled in by its route."""
    visit: RequestContext = request.scope[VISIT]
    if visit.route == UNMATCHED:
        visit.route = getattr(request.scope.get("route"), "path", UNMATCHED)
    return visit


def _request_id(headers: list[tuple[bytes, bytes]], numbering: IdGenerator) -> str:
    for name, value in headers:
        if name == b"x-request-id" and _SANE_ID.fullmatch(value):
            return value.decode()
    return numbering.next()


def _may_wait(path: str) -> bool:
    """Tell whether a route is refused under overload; whoever watches the service is let in."""
    return not path.startswith(("/health", "/metrics"))


def _with_get(scope: Scope) -> Scope:
    """Return the scope of a GET in the place of a HEAD: the server sends no body for it.

    A stream is left out, for it would go on and on.
    """
    if scope["method"] != "HEAD" or scope["path"] in _STREAMS:
        return scope
    return {**scope, "method": "GET"}


def _check_query(scope: Scope) -> None:
    if scope.get("query_string", b"").count(b"&") >= _MOST_PARAMETERS:
        raise BadRequest(
            f"The query has more than {_MOST_PARAMETERS} parameters.",
            hint="The parameters of each route are described at /docs.",
        )


def _read_slashes(scope: Scope) -> None:
    """Read an encoded slash as part of an id, not as the end of one."""
    raw = scope.get("raw_path") or b""
    if b"%" not in raw:
        return
    if b"%00" in raw:
        raise BadRequest("The path holds a NUL character.", hint="Leave it out.")
    if b"%2f" in raw.lower():
        parts = raw.decode("ascii", "replace").split("/")
        scope["path"] = "/".join(unquote(part).replace("/", SLASH) for part in parts)
