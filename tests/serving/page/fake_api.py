"""A small stand-in for the API that the pages talk to: the same routes, a few dozen items.

It recommends what shares a category with the history, so that a click changes the next answer, and
it can be told to refuse. Run it to look at the pages: ``python tests/serving/page/fake_api.py``.
"""

import asyncio
import json
import socket
import struct
import threading
import time
import zlib
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from palate.serving.documentation import openapi_of
from palate.serving.page import page_files, swagger_files
from palate.serving.routes import items, recommendations, users

HOSTILE = "<img src=x onerror=\"document.title='taken'\">"
LONG = "The unabridged and finally complete chronicle of " + "everything that ever happened " * 9
ARABIC = "ألف ليلة وليلة: حكايات شهرزاد"
HEBREW = "סיפורים מירושלים"
EMOJI = "🍋🌶️ Zest! 🥘✨"
UNBROKEN = "Donaudampfschifffahrtsgesellschaftskapitänsmütze" * 2

_TITLES = {
    "Drama": [
        "The Lighthouse Keeper's Winter",
        "A Quiet Room in Lisbon",
        "Salt",
        "The Last Ferry Home",
        "Ordinary Weather",
        "Letters to Nobody",
    ],
    "Comedy": [
        "Two Forks, One Plate",
        "The Understudy",
        "My Cousin Bought a Zeppelin",
        "Monday, Again",
        "Love in the Time of Parking Tickets",
    ],
    "Science fiction": [
        "Orbit Nine",
        "The Glass Meridian",
        "Signal Lost",
        "A Garden on Europa",
        "Zero Day at Kepler Station",
        "Tides of Static",
    ],
    "Thriller": [
        "The Eleventh Key",
        "Cold Ink",
        "No Witness",
        "Nightfall on Route 66",
        "The Cartographer's Lie",
    ],
    "Documentary": [
        "Honey",
        "The Weavers of Oaxaca",
        "How Rivers Think",
        "A Short History of Blue",
        "Tracks in the Snow",
    ],
    "Animation": [
        "Pip and the Paper Moon",
        "The Cloud Bakery",
        "Fox, Owl, Kettle",
        "Robots Dream Twice",
        "The Smallest Giant",
    ],
    "Romance": [
        "Before the Chestnuts Fall",
        "Sundays with Ines",
        "The Distance Between Two Cafés",
        "Once More, with Cello",
    ],
    "Music": [
        "Kind of Amber",
        "Live at the Old Tannery",
        "Nocturnes for a Broken Piano",
        "Brass & Bone",
    ],
    "Family": [
        "Grandmother's Atlas",
        "The Dog Who Knew Tuesday",
        "Seven Umbrellas",
        "Camp Nowhere",
    ],
}
_BRANDS = ["Northlight", "Casa Azul", "Petrel & Sons", "Studio Kite", "Halcyon"]


def catalogue() -> list[dict[str, Any]]:
    """Plain titles, then the ones a page must survive."""
    pairs = [(title, kind) for kind, titles in _TITLES.items() for title in titles]
    hard = [(HOSTILE, "Thriller"), (LONG, "Drama"), (ARABIC, "Family"), (HEBREW, "Romance")]
    hard += [(EMOJI, "Comedy"), (UNBROKEN, "Music"), ("x", HOSTILE), ("</script><script>1", "")]
    pairs = [*pairs[:9], *hard, *pairs[9:]]
    return [
        {
            "item_id": f"i/{at}" if at == 3 else f"i{at}",
            "title": title,
            "brand": _BRANDS[at * 7 % 5] if at % 6 else None,
            "categories": [category] if category else [],
            "price": round(4 + (at * 37 % 90) / 2 - 0.01, 2) if at % 7 else None,
            "description": f"{title}. Slow in the best sense, and kind to everybody in it.",
            "in_stock": at % 9 != 5,
            "has_image": at == 2,
        }
        for at, (title, category) in enumerate(pairs)
    ]


def _picture() -> bytes:
    """A gradient of 40 by 58 points as PNG."""
    rows = b"".join(
        b"\0" + bytes(v for x in range(40) for v in (230 - y, 150 - 2 * y + x, 60 + y * 2))
        for y in range(58)
    )
    parts = [(b"IHDR", struct.pack(">2I5B", 40, 58, 8, 2, 0, 0, 0))]
    parts += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


_MODELS = [
    {
        "name": "films",
        "version": "5b1f0c9ad2e47781",
        "share": 0.8,
        "tasks": [{"family": "next-item"}, {"family": "search"}],
    },
    {
        "name": "films-wide",
        "version": "c27e91d05fa3b664",
        "share": 0.2,
        "tasks": [{"family": "next-item"}],
    },
]


@dataclass
class Shop:
    """What the stand-in knows, what it was asked, and what it shall refuse."""

    items: list[dict[str, Any]] = field(default_factory=catalogue)
    models: list[dict[str, Any]] = field(default_factory=lambda: list(_MODELS))
    past: dict[str, list[str]] = field(default_factory=dict)
    asked: list[tuple[str, str, object]] = field(default_factory=list)
    refuse: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """Path prefix -> statuses to answer with, one after the other, before it works again."""
    key: str | None = None
    delay: float = 0.0
    events: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rows = {str(item["item_id"]): item for item in self.items}
        if not self.past:
            ids = list(self.rows)
            self.past = {
                "ada": [ids[0], ids[20], ids[21], ids[3], ids[22], ids[41]],
                "blaise": [ids[26], ids[30], ids[9]],
                HOSTILE: [ids[9]],
                **{f"user{at}": [ids[at], ids[at + 5]] for at in range(40)},
            }

    def bodies(self, path: str) -> list[dict[str, Any]]:
        """What was posted to a path, oldest first."""
        return [body for _, asked, body in self.asked if asked == path and isinstance(body, dict)]

    def ranked(self, past: list[str], salt: str) -> list[tuple[dict[str, Any], list[str]]]:
        """Items by how many of the latest events share their category; ties by a salted hash."""
        recent = list(dict.fromkeys(reversed(past)))[:12]

        def reasons(item: dict[str, Any]) -> list[str]:
            wanted = set(item["categories"])
            return [
                i for i in recent if i in self.rows and wanted & set(self.rows[i]["categories"])
            ]

        def order(item: dict[str, Any]) -> tuple[float, int]:
            near = sum(1 / (1 + recent.index(i)) for i in reasons(item))
            return -near, sum(map(ord, f"{item['item_id']}{salt}")) * 7919 % 101

        return [(item, reasons(item)) for item in sorted(self.items, key=order)]


def _reasons(shop: Shop, because: list[str]) -> list[dict[str, Any]]:
    return [
        {"item_id": i, "title": shop.rows[i]["title"], "weight": round(1 / (1 + at), 3)}
        for at, i in enumerate(because[:3])
    ]


def _passes(item: dict[str, Any], wanted: dict[str, Any]) -> bool:
    price = item["price"]
    low, high = wanted.get("price_min"), wanted.get("price_max")
    categories, brands = wanted.get("categories"), wanted.get("brands")
    return (
        (not categories or bool(set(categories) & set(item["categories"])))
        and (not brands or item["brand"] in brands)
        and (low is None or (price is not None and price >= low))
        and (high is None or (price is not None and price <= high))
        and (not wanted.get("in_stock") or bool(item["in_stock"]))
    )


Answering = Callable[[Request], Awaitable[Response]]


class FakeApi:
    """The routes that the pages need, and the pages themselves."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.files = {**page_files(), **swagger_files()}

    def application(self) -> Starlette:
        routes = [
            ("/v1/models", self.models, "GET"),
            ("/v1/items", self.items, "GET"),
            ("/v1/items/facets", self.facets, "GET"),
            ("/v1/items/{item:path}/similar", self.similar, "GET"),
            ("/v1/items/{item:path}/image", self.image, "GET"),
            ("/v1/items/{item:path}", self.item, "GET"),
            ("/v1/recommend", self.recommend, "POST"),
            ("/v1/search", self.search, "POST"),
            ("/v1/explain", self.explain, "POST"),
            ("/v1/feedback", self.feedback, "POST"),
            ("/v1/users", self.users, "GET"),
            ("/v1/users/{user:path}/history", self.history, "GET"),
            ("/v1/users/{user:path}/export", self.export, "GET"),
            ("/v1/users/{user:path}", self.erase, "DELETE"),
            ("/v1/operator/summary", self.summary, "GET"),
            ("/v1/operator/events", self.events, "GET"),
        ]
        guarded = [Route(path, self.guarded(act), methods=[how]) for path, act, how in routes]
        open_to_all = [Route(path, self.page) for path in self.files]
        open_to_all.append(Route("/openapi.json", self.document))
        return Starlette(routes=[*open_to_all, *guarded])

    def guarded(self, act: Answering) -> Answering:
        async def answer(request: Request) -> Response:
            return await self.refused(request) or await act(request)

        return answer

    async def refused(self, request: Request) -> Response | None:
        shop, path = self.shop, request.url.path
        request.state.body = await request.json() if request.method == "POST" else None
        shop.asked.append((request.method, path, request.state.body))
        if shop.delay:
            await asyncio.sleep(shop.delay)
        for prefix, statuses in shop.refuse.items():
            if path.startswith(prefix) and statuses:
                return _refusal(statuses.pop(0))
        if shop.key is not None and request.headers.get("x-api-key") != shop.key:
            return _refusal(401)
        return None

    async def page(self, request: Request) -> Response:
        file = self.files[request.url.path]
        headers = {**file.headers, "ETag": file.etag, "Cache-Control": "no-cache"}
        return Response(file.body, media_type=file.media_type, headers=headers)

    async def document(self, _: Request) -> Response:
        app = FastAPI()
        for part in (recommendations, items, users):
            app.include_router(part.router)
        return JSONResponse(openapi_of(app))

    async def models(self, _: Request) -> Response:
        return JSONResponse({"open": self.shop.key is None, "models": self.shop.models})

    async def items(self, request: Request) -> Response:
        words = request.query_params.get("q", "").lower()
        found = [item for item in self.shop.items if words in str(item["title"]).lower()]
        start = int(request.query_params.get("cursor", "0"))
        limit = min(int(request.query_params.get("limit", "24")), 36)
        more = str(start + limit) if start + limit < len(found) else None
        return JSONResponse({"items": found[start : start + limit], "next_cursor": more})

    async def facets(self, _: Request) -> Response:
        kinds = Counter(kind for item in self.shop.items for kind in item["categories"])
        brands = Counter(item["brand"] for item in self.shop.items if item["brand"])
        prices = [item["price"] for item in self.shop.items if item["price"] is not None]
        told = {
            name: [{"name": label, "count": count} for label, count in counts.most_common()]
            for name, counts in (("categories", kinds), ("brands", brands))
        }
        price = {"min": min(prices), "max": max(prices), "count": len(prices)} if prices else None
        return JSONResponse({"items": len(self.shop.items), **told, "price": price})

    async def item(self, request: Request) -> Response:
        item = self.shop.rows.get(request.path_params["item"])
        return JSONResponse(item) if item else _refusal(404)

    async def similar(self, request: Request) -> Response:
        item = request.path_params["item"]
        near = [other for other, _ in self.shop.ranked([item], "near")]
        return JSONResponse({"items": [one for one in near if one["item_id"] != item][:12]})

    async def image(self, _: Request) -> Response:
        return Response(_picture(), media_type="image/png")

    async def recommend(self, request: Request) -> Response:
        shop, body = self.shop, request.state.body
        words = body.get("prompt", "")
        if "unanswerable" in words:
            return _refusal(422)
        past = body.get("history") or shop.past.get(body.get("user_id", ""), [])
        model = str(body.get("model") or shop.models[0]["version"])
        ranked = shop.ranked(past, model + words)
        shown = [
            {**item, "score": 1.0, "why": _reasons(shop, because)}
            for item, because in (ranked[::-1] if words else ranked)
            if item["item_id"] not in past and _passes(item, body.get("filter") or {})
        ]
        told = {"recommendation_id": f"r{len(shop.asked)}", "model_version": model}
        told |= {"took_ms": 11.4, "fallback": None if past else "popular", "missing_ids": []}
        return JSONResponse(told | {"items": shown[: body["n"]]})

    async def search(self, request: Request) -> Response:
        words = request.state.body["query"].lower()
        if {"family": "search"} not in self.shop.models[0]["tasks"]:
            return _refusal(422)
        kind = "Documentary" if "nature" in words else "Comedy"
        found = [one for one in self.shop.items if kind in one["categories"]]
        return JSONResponse({"items": found[:8]})

    async def explain(self, request: Request) -> Response:
        if not self.shop.models[0].get("answers_in_words"):
            return _refusal(422)
        told = {"item_id": request.state.body["item_id"], "why": [], "text": HOSTILE}
        return JSONResponse(told | {"mended": True, "quoted": True, "fallback": None})

    async def feedback(self, request: Request) -> Response:
        shop, body = self.shop, request.state.body
        shop.past.setdefault(body["user_id"], []).append(body["item_id"])
        shop.events.append({**body, "sequence": len(shop.events) + 1, "received_at": time.time()})
        return JSONResponse({"accepted": 1, "stored": 1})

    async def users(self, request: Request) -> Response:
        start = request.query_params.get("q", "")
        found = [{"user_id": user} for user in self.shop.past if user.startswith(start)]
        return JSONResponse({"users": found, "next_cursor": None})

    async def history(self, request: Request) -> Response:
        past = self.shop.past.get(request.path_params["user"], [])
        told = [{"item_id": one, "event_type": "view", "timestamp": 1.7e9} for one in past]
        return JSONResponse({"events": told})

    async def export(self, request: Request) -> Response:
        user = request.path_params["user"]
        return JSONResponse({"user_id": user, "events": self.shop.past.get(user, [])})

    async def erase(self, request: Request) -> Response:
        user = request.path_params["user"]
        gone = len(self.shop.past.pop(user, []))
        erased = {"events": gone, "recommendations": 3, "profile": gone > 0}
        return JSONResponse({"user_id": user, "erased": erased})

    async def summary(self, _: Request) -> Response:
        return JSONResponse(_summary(self.shop))

    async def events(self, _: Request) -> Response:
        return StreamingResponse(_stream(self.shop), media_type="text/event-stream")


_REFUSALS = {
    401: "This needs a key; none came.",
    403: "This needs a key with the scope 'admin'; yours lacks it.",
    404: "There is no such item.",
    422: "This model was not trained to follow free words.",
    503: "The queue is full.",
}


def _refusal(status: int) -> Response:
    hint = "Train with the recipe 'all-tasks'." if status == 422 else ""
    error = {"message": _REFUSALS.get(status, "Broken."), "hint": hint, "request_id": "q1"}
    headers = {"Retry-After": "1"} if status == 503 else {}
    return JSONResponse({"error": error}, status_code=status, headers=headers)


def _summary(shop: Shop) -> dict[str, Any]:
    now = int(time.time() // 60)
    minutes = [
        {
            "minute": 60 * (now - 59 + at),
            "requests": (at * 31) % 90 + 20 if at not in {12, 13} else 0,
            "p50_ms": 9 + (at * 13) % 5 if at not in {12, 13} else None,
            "p95_ms": 18 + (at * 29) % 12 if at not in {12, 13} else None,
            "p99_ms": 27 + (at * 47) % 31 + 40 * (at == 34) if at not in {12, 13} else None,
            "fallbacks": (at * 7) % 9 if at not in {12, 13} else 0,
        }
        for at in range(60)
    ]
    routes = Counter(path for _, path, _ in shop.asked)
    return {
        "open": shop.key is None,
        "counts": {
            "users": len(shop.past),
            "items": len(shop.items),
            "events": 1204 + len(shop.events),
        },
        "minutes": minutes,
        "routes": [
            {"route": route, "requests": n, "p50_ms": 9.1, "p95_ms": 18.4, "p99_ms": 31.2}
            for route, n in routes.most_common(6)
        ],
        "models": [{**model, "cannot": [], "shown": 5200, "clicked": 431} for model in shop.models],
        "health": [
            {"name": "Titles", "state": "ok", "text": "0 of 52 items have none."},
            {"name": "Prices", "state": "warn", "text": "8 of 52 items have none."},
        ],
        "answers_not_recorded": 0,
        "refused": 3,
        "queue_length": 0,
        "cache": {"hits": 930, "misses": 70},
    }


async def _stream(shop: Shop) -> AsyncIterator[bytes]:
    yield b": hello\n\n"
    told = 0
    if not shop.events:
        for at, (user, past) in enumerate(list(shop.past.items())[:8]):
            stored = {"sequence": at + 1, "user_id": user, "item_id": past[0], "event_type": "view"}
            shop.events.append({**stored, "timestamp": time.time(), "received_at": time.time()})
    while True:
        while told < len(shop.events):
            yield b"data: " + json.dumps(shop.events[told]).encode() + b"\n\n"
            told += 1
        await asyncio.sleep(0.05)


@contextmanager
def serving(shop: Shop) -> Iterator[str]:
    """Serve on a free port of this machine; gives the address."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        FakeApi(shop).application(), log_level="error", lifespan="off", ws="none"
    )
    config.timeout_graceful_shutdown = 1
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started:
        assert thread.is_alive()
        assert time.monotonic() < deadline, "the stand-in does not start"
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=5)
        listening.close()


if __name__ == "__main__":
    with serving(Shop()) as address:
        input(f"{address}  (Enter ends it)\n")
