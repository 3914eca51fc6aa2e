"""The most frequent routes, which skip most of FastAPI's work.

They take only the request and check its body themselves. For each request FastAPI would need longer
to match such a route and to resolve its parameters than the answer takes.
"""

from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class LeanRoute(APIRoute):
    """A route that calls its dependencies, then its endpoint, each with the request alone.

    The OpenAPI document describes it like any other route.
    """

    def get_route_handler(self) -> Handler:
        """Return the handler of a request."""
        first = [one.dependency for one in self.dependencies if one.dependency is not None]
        endpoint = self.endpoint

        async def handled(request: Request) -> Response:
            for dependency in first:
                await dependency(request)
            answer: Response = await endpoint(request)
            return answer

        return handled


class Lane:
    """The ASGI layer before the router: it answers lean routes and passes on everything else.

    Other methods of the same path are passed on too, so that the router refuses them.
    """

    def __init__(self, app: ASGIApp, *, routes: Iterable[BaseRoute]) -> None:
        """Wrap ``app``, which has ``routes``; those with a parameter in their path are not lean."""
        self._app = app
        self._lean: dict[tuple[str, str], tuple[LeanRoute, Handler]] = {
            (method, route.path): (route, route.get_route_handler())
            for route in routes
            if isinstance(route, LeanRoute) and not route.param_convertors
            for method in route.methods or ()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request of a lean route; pass any other to the router."""
        lean = scope["type"] == "http" and self._lean.get((scope["method"], scope["path"]))
        if not lean:
            await self._app(scope, receive, send)
            return
        scope["route"], handled = lean
        response = await handled(Request(scope, receive, send))
        await response(scope, receive, send)
