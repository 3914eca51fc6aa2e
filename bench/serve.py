"""How fast the service answers, beside a bare route that does only the product and the selection.

    .venv/bin/python bench/serve.py --model FOLDER [--seconds 10] [--n 100]

Known users, each of whom asked once before, ask `POST /v1/recommend` over 16 and 64 connections,
from a load generator in a process of its own on the same machine; then the floor: a bare FastAPI
route that holds the same catalogue vectors and one vector set per user, and does the same product,
the same top-n and orjson, nothing else. Then freshness: from a posted event to a changed
recommendation, and from a new item to its first recommendation. The last line is
``serve: <throughput over the floor's at 16 connections>``.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.table import Table
from service import KEY, Client, Server, free_port, palate_server, start

_WARM_SECONDS = 2.0


@dataclass(frozen=True)
class Load:
    """What the generator measured."""

    requests: int
    errors: int
    seconds: float
    p50_ms: float
    p95_ms: float
    p99_ms: float

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


# --- the load generator, alone in its process -------------------------------------------------


class Connection(asyncio.Protocol):
    """Sends one prepared request after the other and times each answer."""

    def __init__(self, requests: Sequence[bytes], start: int, times: list[float]) -> None:
        """Begin with one of the requests."""
        self._requests, self._next, self._times = requests, start, times
        self._missing, self._begun, self._head = 0, 0.0, b""
        self.errors = 0
        self.recording = False
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first."""
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        """Count bytes until the answer is whole, then send the next."""
        if self._missing <= 0:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            data, self._head = self._head, b""
            at = data.index(b"content-length: ") + 16
            length = int(data[at : data.index(b"\r", at)])
            self._missing = end + 4 + length
            self.errors += not data.startswith(b"HTTP/1.1 200")
        self._missing -= len(data)
        if self._missing <= 0:
            if self.recording:
                self._times.append(time.perf_counter() - self._begun)
            self._send()

    def connection_lost(self, error: Exception | None) -> None:
        """Stop."""
        self._transport = None

    def close(self) -> None:
        """Stop."""
        if self._transport is not None:
            self._transport.close()

    def _send(self) -> None:
        if self._transport is None:
            return
        self._begun = time.perf_counter()
        self._transport.write(self._requests[self._next % len(self._requests)])
        self._next += 1


async def generate(port: int, requests: Sequence[bytes], connections: int, seconds: float) -> Load:
    """Keep every connection busy."""
    loop = asyncio.get_running_loop()
    times: list[float] = []
    opened = []
    for number in range(connections):
        start = number * len(requests) // connections
        _, connection = await loop.create_connection(
            lambda start=start: Connection(requests, start, times), "127.0.0.1", port
        )
        opened.append(connection)
    await asyncio.sleep(_WARM_SECONDS)
    for connection in opened:
        connection.recording = True
    begun = time.perf_counter()
    await asyncio.sleep(seconds)
    took = time.perf_counter() - begun
    for connection in opened:
        connection.close()
    p50, p95, p99 = np.percentile(np.asarray(times) * 1e3, [50, 95, 99])
    errors = sum(connection.errors for connection in opened)
    return Load(len(times), errors, took, float(p50), float(p95), float(p99))


def prepared(users: Sequence[str], n: int) -> list[bytes]:
    """Return one whole request per user."""
    found = []
    for user in users:
        body = json.dumps({"user_id": user, "n": n}).encode()
        head = (
            f"POST /v1/recommend HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {KEY}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        found.append(head.encode() + body)
    return found


def load(port: int, users: Path, n: int, connections: int, seconds: float) -> Load:
    """Run the generator in a process of its own."""
    command = [sys.executable, __file__, "--generate", str(port), "--users-file", str(users)]
    command += ["--n", str(n), "--connections", str(connections), "--seconds", str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return Load(**json.loads(done.stdout))


# --- the floor, alone in its process ----------------------------------------------------------


def serve_floor(model: Path, port: int) -> None:
    """Serve the bare route: the product of one user with the catalogue, and its best items."""
    import orjson
    import uvicorn
    from fastapi import FastAPI, Request, Response

    from palate.inference.prompt_runner import PromptRunner
    from palate.recommender.recommender import Recommender

    loaded = Recommender.load(model)
    runner = PromptRunner(loaded.trained.system)
    ids = [str(x) for x in loaded.dataset.interactions.users.ids]
    histories = [loaded.dataset.history(user) for user in ids]
    scale = float(runner.system.model.scale)
    users = dict(zip(ids, runner.user_vectors(histories).numpy() * scale, strict=True))
    items = runner.outputs_DI
    names = [str(x) for x in loaded.dataset.catalog.vocabulary.ids]
    app = FastAPI()

    @app.get("/health/ready")
    async def ready() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/v1/recommend")
    async def recommend(request: Request) -> Response:
        body = orjson.loads(await request.body())
        scores = (users[body["user_id"]] @ items).max(axis=0)
        best = np.argpartition(scores, -body["n"])[-body["n"] :]
        best = best[np.argsort(-scores[best])]
        found = [
            {"item_id": names[row], "score": score}
            for row, score in zip(best.tolist(), scores[best].tolist(), strict=True)
        ]
        return Response(orjson.dumps({"items": found}), media_type="application/json")

    uvicorn.run(app, host="127.0.0.1", port=port, access_log=False, log_level="warning")


# --- freshness --------------------------------------------------------------------------------


def freshness(server: Server, users: Sequence[str], rounds: int) -> tuple[list[float], list[float]]:
    """Return milliseconds from an event to a changed answer, and from a new item to its first."""
    client = server.client()
    events, items = [], []
    for number in range(rounds):
        user = users[number % len(users)]
        before = _listed(client, user)
        begun = time.perf_counter()
        _sure(client, "POST", "/v1/feedback", _event(user, before[0]))
        while _listed(client, user) == before:
            pass
        events.append(1e3 * (time.perf_counter() - begun))
    title = _title(client)
    for number in range(rounds):
        name = f"new-{number}"
        begun = time.perf_counter()
        _sure(client, "PUT", f"/v1/items/{name}", {"title": f"{title} {number}", "brand": name})
        asked = {"n": 1, "filter": {"brands": [name]}}
        while not _found(client, asked, name):
            pass
        items.append(1e3 * (time.perf_counter() - begun))
    return events, items


def _event(user: str, item: str) -> dict[str, object]:
    return {"user_id": user, "item_id": item, "event_type": "view"}


def _listed(client: Client, user: str) -> list[str]:
    answer = _sure(client, "POST", "/v1/recommend", {"user_id": user, "n": 20})
    return [item["item_id"] for item in answer["items"]]


def _found(client: Client, asked: dict[str, object], name: str) -> bool:
    answer = _sure(client, "POST", "/v1/recommend", asked)
    return name in [item["item_id"] for item in answer["items"]]


def _title(client: Client) -> str:
    return str(_sure(client, "GET", "/v1/items?limit=1")["items"][0]["title"])


def _sure(client: Client, method: str, path: str, body: object = None) -> dict:
    reply = client.ask(method, path, body)
    if reply.status >= 300:
        raise SystemExit(f"{method} {path}: {reply.status} {reply.body[:300]!r}")
    return reply.json()


def once_each(server: Server, users: Sequence[str], n: int) -> float:
    """Ask once for each user and return the seconds: a history is read by the model but once."""
    client, begun = server.client(), time.perf_counter()
    for user in users:
        _sure(client, "POST", "/v1/recommend", {"user_id": user, "n": n})
    return time.perf_counter() - begun


def all_users(server: Server, most: int) -> list[str]:
    """Return users the model knows."""
    client, users, cursor = server.client(), [], None
    while len(users) < most and cursor != "s":
        path = "/v1/users?limit=1000" + (f"&cursor={cursor}" if cursor else "")
        page = _sure(client, "GET", path)
        users += [user["user_id"] for user in page["users"]]
        cursor = page["next_cursor"]
    return users[:most]


# --- the whole --------------------------------------------------------------------------------


def main() -> None:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--model", type=Path, help="a model folder; a small one without it")
    made.add_argument("--seconds", type=float, default=10.0)
    made.add_argument("--n", type=int, default=100)
    made.add_argument("--users", type=int, default=2_000, help="who ask, in turn")
    made.add_argument("--rounds", type=int, default=200, help="of freshness")
    made.add_argument("--connections", type=int, nargs="+", default=[16, 64])
    made.add_argument("--generate", type=int, help=argparse.SUPPRESS)
    made.add_argument("--floor", type=int, help=argparse.SUPPRESS)
    made.add_argument("--users-file", type=Path, help=argparse.SUPPRESS)
    options = made.parse_args()
    if options.generate:
        requests = prepared(options.users_file.read_text(encoding="utf-8").split("\n"), options.n)
        asked = generate(options.generate, requests, options.connections[0], options.seconds)
        print(json.dumps(asdict(asyncio.run(asked))))
    elif options.floor:
        serve_floor(options.model, options.floor)
    else:
        compare(options)


def compare(options: argparse.Namespace) -> None:
    """Measure ours, then the floor, then freshness."""
    from measure import ROOT, console, machine
    from service import small_model

    model = options.model or small_model(ROOT / "runs" / "serving-model")
    table = Table(title=f"POST /v1/recommend, n = {options.n}, {machine()}")
    table.add_column("what")
    for heading in (
        "connections",
        "requests / s",
        "p50, ms",
        "p95, ms",
        "p99, ms",
        "CPU, ms",
        "bad",
    ):
        table.add_column(heading, justify="right")
    rates: dict[tuple[str, int], float] = {}
    with tempfile.TemporaryDirectory() as folder:
        names = Path(folder) / "users"
        with palate_server(model) as server:
            users = all_users(server, options.users)
            names.write_text("\n".join(users), encoding="utf-8")
            first_time = once_each(server, users, options.n)
            measured(options, "palate", server, names, table, rates)
            memory = server.memory_mb()
            events, items = freshness(server, users, options.rounds)
        port = free_port()
        command = [sys.executable, __file__, "--model", str(model), "--floor", str(port)]
        floor = start(command, port, Path(folder) / "log")
        try:
            measured(options, "bare route", floor, names, table, rates)
        finally:
            floor.kill()
    console.print(table)
    for what, times in (("an event to a changed answer", events), ("a new item to one", items)):
        p50, p99 = np.percentile(times, [50, 99])
        console.print(f"From {what}: p50 {p50:.1f} ms, p99 {p99:.1f} ms ({len(times)} times)")
    each = 1e3 * first_time / len(users)
    console.print(f"First question of a user, one after the other: {each:.1f} ms")
    console.print(f"Memory of the server under load: {memory:.0f} MB")
    first = options.connections[0]
    print(f"serve: {rates['palate', first] / rates['bare route', first]:.3f}")


def measured(
    options: argparse.Namespace,
    what: str,
    server: Server,
    names: Path,
    table: Table,
    rates: dict[tuple[str, int], float],
) -> None:
    """Add one row per number of connections."""
    for connections in options.connections:
        before = server.cpu_seconds()
        found = load(server.port, names, options.n, connections, options.seconds)
        # Warming up included: the same for both, and little disturbed by what else runs here.
        busy = 1e3 * (server.cpu_seconds() - before) / max(found.requests, 1)
        busy *= options.seconds / (options.seconds + _WARM_SECONDS)
        rates[what, connections] = found.rate
        times = [f"{x:.1f}" for x in (found.p50_ms, found.p95_ms, found.p99_ms)]
        cells = [*times, f"{busy:.2f}", str(found.errors)]
        table.add_row(what, str(connections), f"{found.rate:,.0f}", *cells)


if __name__ == "__main__":
    main()
