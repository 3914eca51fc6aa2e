"""The lane: a lean route is answered without the router, and everything else goes on to it."""

import asyncio

import pytest
from fastapi import APIRouter, Depends, Request, Response

from palate.serving.problems import Forbidden
from palate.serving.routes.lean import Lane, LeanRoute

router = APIRouter(prefix="/v1", route_class=LeanRoute)


async def _admitted(request: Request) -> None:
    if (b"x-api-key", b"wrong") in request.scope["headers"]:
        raise Forbidden("No.")


@router.post("/lean", dependencies=[Depends(_admitted)])
async def lean(request: Request) -> Response:
    return Response(request.scope["route"].path)


@router.post("/lean/{item_id}")
async def of_an_item(request: Request) -> Response:
    raise AssertionError


async def usual(request: Request) -> Response:
    raise AssertionError


router.add_api_route(
    "/usual", usual, methods=["POST"], route_class_override=APIRouter().route_class
)


def _body(method: str, path: str, key: bytes = b"right") -> bytes:
    """Return what a lane answers, or a router behind it that takes whatever comes."""
    sent: list[dict] = []

    async def receive() -> dict:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": [(b"x-api-key", key)]}
    asyncio.run(Lane(Response("router"), routes=router.routes)(scope, receive, send))
    return sent[1]["body"]


def test_a_lean_route_is_answered_without_the_router() -> None:
    assert _body("POST", "/v1/lean") == b"/v1/lean"


def test_its_dependencies_come_first() -> None:
    with pytest.raises(Forbidden):
        _body("POST", "/v1/lean", b"wrong")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/lean"),
        ("POST", "/v1/lean/"),
        ("POST", "/v1/lean/i1"),
        ("POST", "/v1/lean/{item_id}"),
        ("POST", "/v1/usual"),
        ("POST", "/v2"),
    ],
)
def test_everything_else_goes_on_to_the_router(method: str, path: str) -> None:
    assert _body(method, path) == b"router"
