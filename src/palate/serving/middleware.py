"""The outermost layer, around every request and response.

It gives the request an id, bounds the number of requests at a time, adds security headers, counts
and logs requests, and turns every error into the common form of a refusal. It is pure ASGI, because
a layer that wraps requests and responses in objects would cost more than a recommendation.
"""

import logging
import re
import time
from typing import TYPE_CHECKING
from urllib.parse import unquote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from palate.errors import PalateError
from palate.serving.limits import ClientGoneError, Limits
from palate.serving.overload import Overloaded
from palate.serving.problems import BadRequest, problem, problem_response
from palate.serving.telemetry import UNMATCHED, Metrics, RequestContext, RequestLog, new_id

if TYPE_CHECKING:
    from starlette.requests import Request

_logger = logging.getLogger(__name__)

CONTEXT = "palate.context"
"""Key of the :class:`RequestContext` in the ASGI scope."""

SLASH = "\x00"
"""Replaces a slash inside an id during routing: ``/v1/items/a%2Fb`` means the id ``a/b``."""

_MOST_PARAMETERS = 20
"""Number of parameters of a query; no route has half as many."""
_STREAMS = frozenset({"/v1/operator/events"})

_SANE_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_GONE = 499
"""Status in the log for a client that hung up and gets no response."""

_PUBLIC = [
    (b"x-content-type-options", b"nosniff"),
    # Responses of the API are data: a browser that shows one as a page must not run any of it.
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
]
_PRIVATE = [*_PUBLIC, (b"cache-control", b"no-store")]
_USUAL = 2
"""Most responses have only two headers, length and type, which are not among those above."""


class Middleware:
    """The ASGI layer around the whole application."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, log: RequestLog, limits: Limits) -> None:
        """Wrap ``app``."""
        self._app, self._metrics, self._log, self._limits = app, metrics, log, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            else:
                await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        method, scope = scope["method"], _with_get(scope)
        client = scope.get("client")
        context = RequestContext(
            _request_id(scope["headers"]), client[0] if client else "", started
        )
        scope[CONTEXT] = context
        sender = _Sender(send, context, private=scope["path"].startswith("/v1/"))
        self._metrics.in_flight += 1
        try:
            await self._respond(scope, receive, sender)
        finally:
            self._metrics.in_flight -= 1
            if context.route == UNMATCHED:
                context.route = getattr(scope.get("route"), "path", UNMATCHED)
            seconds = time.perf_counter() - started
            self._metrics.add(context, seconds)
            self._log.add(context, seconds, method)

    async def _respond(self, scope: Scope, receive: Receive, sender: "_Sender") -> None:
        request_id = sender.context.request_id
        try:
            if self._metrics.in_flight > self._limits.in_flight and _is_bounded(scope["path"]):
                raise Overloaded("Too many requests are being answered.")
            _check_query(scope)
            _read_slashes(scope)
            await self._app(scope, receive, sender)
        except PalateError as error:
            if sender.context.status == 0:
                await problem(error, request_id)(scope, receive, sender)
        except ClientGoneError:
            sender.context.status = _GONE
        # The outermost layer catches every unforeseen error: the client gets one message, and the
        # log the details. Cancellation is not an error and passes.
        except Exception as error:
            _logger.error("request %s failed", request_id, exc_info=error)
            if sender.context.status:
                raise
            await problem_response(
                500,
                "The service made a mistake; the request is not to blame.",
                hint="The log has the details under this request id.",
                request_id=request_id,
            )(scope, receive, sender)


class _Sender:
    """ASGI's ``send``, which adds the headers of every response."""

    __slots__ = ("_private", "_send", "context")

    def __init__(self, send: Send, context: RequestContext, *, private: bool) -> None:
        self._send, self.context, self._private = send, context, private

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.context.status = message["status"]
            headers = message["headers"]
            added = _PRIVATE if self._private else _PUBLIC
            if len(headers) > _USUAL:
                own = {name for name, _ in headers}
                added = [header for header in added if header[0] not in own]
            request_id = (b"x-request-id", self.context.request_id.encode())
            message["headers"] = [*headers, *added, request_id]
        await self._send(message)


def context_of(request: "Request") -> RequestContext:
    """Return the context of a request, with its route."""
    context: RequestContext = request.scope[CONTEXT]
    if context.route == UNMATCHED:
        context.route = getattr(request.scope.get("route"), "path", UNMATCHED)
    return context


def _request_id(headers: list[tuple[bytes, bytes]]) -> str:
    for name, value in headers:
        if name == b"x-request-id" and _SANE_ID.fullmatch(value):
            return value.decode()
    return new_id()


def _is_bounded(path: str) -> bool:
    """Tell whether a route is refused under overload; monitoring never is."""
    return not path.startswith(("/health", "/metrics"))


def _with_get(scope: Scope) -> Scope:
    """Return the scope of a GET in place of a HEAD; the server then sends no body.

    Streams are excluded, because they have no end.
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
    """Treat an encoded slash as part of an id, not as the end of one."""
    raw = scope.get("raw_path") or b""
    if b"%" not in raw:
        return
    if b"%00" in raw:
        raise BadRequest("The path holds a NUL character.", hint="Leave it out.")
    if b"%2f" in raw.lower():
        parts = raw.decode("ascii", "replace").split("/")
        scope["path"] = "/".join(unquote(part).replace("/", SLASH) for part in parts)
