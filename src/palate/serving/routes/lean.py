"""The routes asked most often: past all that FastAPI would do for them first.

They take nothing but the request and check its body themselves. To find such a route among all, and
to solve what it needs, would take FastAPI longer, for every request, than the answer takes.
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
    """Calls its dependencies, then its endpoint, each with the request alone.

    The route is described in the OpenAPI document like any other.
    """

    def get_route_handler(self) -> Handler:
        """Return what answers a request."""
        first = [one.dependency for one in self.dependencies if one.dependency is not None]
        endpoint = self.endpoint

        async def handled(request: Request) -> Response:
            for dependency in first:
                await dependency(request)
            answer: Response = await endpoint(request)
            return answer

        return handled


class Lane:
    """The ASGI layer before the router: a lean route is looked up, anything else goes on.

    Other methods of the same path go on too, so that the router alone says what is wrong with them.
    """

    def __init__(self, app: ASGIApp, *, routes: Iterable[BaseRoute]) -> None:
        """Stand before ``app``, which has ``routes``; those with an id in their path are left."""
        self._app = app
        self._lean: dict[tuple[str, str], tuple[LeanRoute, Handler]] = {
            (method, route.path): (route, route.get_route_handler())
            for route in routes
            if isinstance(route, LeanRoute) and not route.param_convertors
            for method in route.methods or ()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request of a lean route; leave any other to the router."""
        found = scope["type"] == "http" and self._lean.get((scope["method"], scope["path"]))
        if not found:
            await self._app(scope, receive, send)
            return
        scope["route"], handled = found
        response = await handled(Request(scope, receive, send))
        await response(scope, receive, send)
