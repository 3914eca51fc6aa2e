"""What one client can do to the service: bodies, headers and addresses made to be expensive.

    .venv/bin/python bench/attack.py [--megabytes 60] [--model FOLDER] [--only TEXT]

Each attack is sent to a really started server, on this machine alone, while somebody else asks
`/health/live` again and again. Told are the answer, how long it took, by how much the server's
memory grew at most while it lasted, and the slowest answer of the other. The server must refuse,
stay small, and keep answering. The last line is ``attack: <number of failures>``.
"""

import argparse
import contextlib
import http.client
import io
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from measure import ROOT, console
from rich.table import Table
from service import Client, Server, palate_server, small_model

LOST = (OSError, http.client.HTTPException)

JSON = "application/json"
LINES = "application/x-ndjson"
PARQUET = "application/vnd.apache.parquet"
MB = 2**20

MOST_GROWTH_MB = 200
"""Beside the body itself nothing may take much."""
MOST_BULK, MOST_BODY = 60 * MB, 2 * MB - 100


@dataclass(frozen=True)
class Attack:
    """One request, and the statuses that are right for it."""

    method: str
    path: str
    make: Callable[[int], bytes]
    """The body, of about so many bytes."""
    media: str = JSON
    most: int = MOST_BODY
    right: tuple[int, ...] = (413, 422)


def filled(
    unit: bytes, head: bytes = b"[", tail: bytes = b"]", by: bytes = b","
) -> Callable[[int], bytes]:
    """Return what makes a body of one thing over and over."""

    def make(size: int) -> bytes:
        times = max(1, (size - len(head) - len(tail)) // len(unit + by))
        return head + (unit + by) * (times - 1) + unit + tail

    return make


def unknown_fields(size: int) -> bytes:
    return b"{" + b",".join(b'"%08d":0' % number for number in range(size // 13)) + b"}"


def rows(size: int, last: bytes, num_bytes: int = 500) -> bytes:
    """Return right rows, with one more at the end."""
    told = b'{"item_id":"i%d","title":"A lamp of oak %d","price":49.5,"description":"%s"}'
    count = min(99_999, size // (num_bytes + 70))
    return b"[" + b",".join([*(told % (n, n, b"d" * num_bytes) for n in range(count)), last]) + b"]"


def events(size: int) -> bytes:
    told = b'{"user_id":"u%d","item_id":"i%d","event_type":"view","timestamp":1700000000}'
    return b"[" + b",".join(told % (n % 300, n) for n in range(min(10_000, size // 90))) + b"]"


def unpacking(size: int) -> bytes:
    """Return a small Parquet file of texts that take a hundred times as much."""
    import polars as pl

    count = max(10, size // 3_000)
    texts = [f"{number}" + "x" * 50_000 for number in range(count)]
    file = io.BytesIO()
    pl.DataFrame({"item_id": [str(n) for n in range(count)], "description": texts}).write_parquet(
        file, compression="zstd"
    )
    return file.getvalue()


_BULK = {
    "{},{},...": filled(b"{}"),
    "0,0,...": filled(b"0"),
    "[[[[...": filled(b"", b"", b"", b"["),
    "one nested row": filled(b"[]", b'[{"item_id":"a","attributes":[', b"]}]"),
    "unknown fields": unknown_fields,
    "spaces": filled(b"", b"[", b"", b" "),
    "backslashes": filled(b"", b'["', b"", b"\\"),
}
_EVENTS = {
    "{},{},...": filled(b"{}"),
    "0,0,...": filled(b"0"),
    "events: {},{},...": filled(b"{}", b'{"events":[', b"]}"),
    "events: [],[],...": filled(b"[]", b'{"events":[', b"]}"),
    "unknown fields": unknown_fields,
    "[[[[...": filled(b"", b"", b"", b"["),
}
_ASKED = {
    "unknown fields": unknown_fields,
    "history: [],[],...": filled(b"[]", b'{"history":[', b"]}"),
    "history: 0,0,...": filled(b"0", b'{"history":[', b"]}"),
    "history: {},{},...": filled(b"{}", b'{"history":[', b"]}"),
    "slots": lambda size: b'{"slots":' + unknown_fields(size) + b"}",
    "candidates: [],[],...": filled(b"[]", b'{"candidates":[', b"]}"),
    "brands": filled(b'""', b'{"filter":{"brands":[', b"]}}"),
}


def attacks() -> Iterator[tuple[str, Attack]]:
    """Give every attack by body, each with its name."""
    for path in ("/v1/items", "/v1/users"):
        for name, make in _BULK.items():
            yield f"POST {path} {name}", Attack("POST", path, make, JSON, MOST_BULK)
        for name, unit in (("{} lines", b"{}"), ("0 lines", b"0"), ("blank lines", b"")):
            made = filled(unit, b"", b"", b"\n")
            yield f"POST {path} {name}", Attack("POST", path, made, LINES, MOST_BULK)
        yield (
            f"POST {path} Parquet that unpacks",
            Attack("POST", path, unpacking, PARQUET, MOST_BULK),
        )
    last = partial(rows, last=b"{}")
    yield (
        "POST /v1/items 99,999 right, one wrong",
        Attack("POST", "/v1/items", last, JSON, MOST_BULK),
    )
    for name, make in _EVENTS.items():
        yield f"POST /v1/feedback {name}", Attack("POST", "/v1/feedback", make)
    for verb in ("recommend", "rank", "search", "explain", "rate"):
        for name, make in _ASKED.items():
            yield f"POST /v1/{verb} {name}", Attack("POST", f"/v1/{verb}", make)
    for method, path in (("PUT", "/v1/items/a"), ("PATCH", "/v1/items/a"), ("PUT", "/v1/users/a")):
        for name in ("categories", "attributes"):
            made = filled(b"[]", b'{"%s":[' % name.encode(), b"]}")
            yield f"{method} {path} {name}", Attack(method, path, made)
        yield f"{method} {path} unknown fields", Attack(method, path, unknown_fields)
    yield "POST /v1/keys", Attack("POST", "/v1/keys", filled(b'"read"', b'{"scopes":[', b"]}"))
    yield "POST /v1/models", Attack("POST", "/v1/models", unknown_fields)
    yield "PUT /v1/models/a", Attack("PUT", "/v1/models/a", unknown_fields)
    item = b'{"item_id":"last","title":"A lamp"}'
    yield (
        "POST /v1/items all right",
        Attack("POST", "/v1/items", partial(rows, last=item), JSON, MOST_BULK, right=(200,)),
    )
    yield "POST /v1/feedback all right", Attack("POST", "/v1/feedback", events, right=(200,))


_HEAD = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n"
HEADERS: Mapping[str, tuple[bytes, bytes, tuple[int, ...]]] = {
    "one long header": (_HEAD + b"X-Long: ", b"x" * 65_536, (431, 0)),
    "many headers": (_HEAD, b"X-Many: 1\r\n" * 6_000, (431, 0)),
    "a long address": (b"GET /", b"x" * 65_536, (414, 431, 0)),
    "a long query": (b"GET /health/live?", b"a&" * 32_768, (414, 431, 0)),
    "blank lines": (b"", b"\r\n" * 32_768, (431, 0)),
    "many requests at once": (b"", (_HEAD + b"\r\n") * 1_000, (200, 0)),
    "headers behind a body": (
        b"POST /v1/items HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
        b"X-Late: 1\r\n" * 6_000,
        (401, 0),
    ),
}
"""What is sent first, what is sent then without end, and the status that is right (0: cut off)."""


@dataclass
class Watch:
    """What the server does meanwhile."""

    peak_mb: float = 0.0
    slowest_ms: float = 0.0
    answers: int = 0
    lost: int = 0


@contextmanager
def watched(server: Server) -> Iterator[Watch]:
    """Watch memory and health for as long as the block runs."""
    watch, over = Watch(server.memory_mb()), threading.Event()

    def ask() -> None:
        client = server.client(key=None, timeout=60)
        while not over.is_set():
            begun = time.perf_counter()
            try:
                fine = client.ask("GET", "/health/live").status == 200
            except LOST:
                fine = False
            watch.slowest_ms = max(watch.slowest_ms, 1e3 * (time.perf_counter() - begun))
            watch.answers += 1
            watch.lost += not fine
            over.wait(0.01)

    def weigh() -> None:
        while not over.wait(0.02):
            with contextlib.suppress(OSError, StopIteration):
                watch.peak_mb = max(watch.peak_mb, server.memory_mb())

    threads = [threading.Thread(target=work) for work in (ask, weigh)]
    for thread in threads:
        thread.start()
    try:
        yield watch
    finally:
        over.set()
        for thread in threads:
            thread.join()


@dataclass
class Outcome:
    """What came of one attack."""

    name: str
    status: int
    sent_mb: float
    seconds: float
    growth_mb: float
    slowest_ms: float
    failures: list[str] = field(default_factory=list)


def by_body(server: Server, name: str, attack: Attack, most: int) -> Outcome:
    """Send one body and return what came of it."""
    body = attack.make(min(attack.most, most))
    client = Client(server.port, timeout=600)
    with watched(server) as watch:
        before, begun = watch.peak_mb, time.perf_counter()
        try:
            reply = client.ask(
                attack.method, attack.path, body, headers={"Content-Type": attack.media}
            )
            status = reply.status
        except LOST:
            status = 0
        seconds = time.perf_counter() - begun
    growth = watch.peak_mb - before
    found = Outcome(name, status, len(body) / MB, seconds, growth, watch.slowest_ms)
    # What is right may take what it takes to store it.
    if status != 200 and growth > MOST_GROWTH_MB:
        found.failures.append(f"{name}: {growth:.0f} MB more")
    _judge(found, attack.right, watch)
    return found


def by_header(server: Server, name: str, most: int) -> Outcome:
    """Send headers without end, or until the server ends it."""
    first, rest, right = HEADERS[name]
    sent, answer = 0, b""
    with watched(server) as watch:
        before, begun = watch.peak_mb, time.perf_counter()
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as opened:
            with contextlib.suppress(OSError):
                opened.sendall(first)
                while sent < most:
                    opened.sendall(rest)
                    sent += len(rest)
            with contextlib.suppress(OSError):
                answer = opened.recv(4_096)
        seconds = time.perf_counter() - begun
    status = int(answer[9:12]) if answer[:5] == b"HTTP/" else 0
    growth = watch.peak_mb - before
    found = Outcome(f"headers: {name}", status, sent / MB, seconds, growth, watch.slowest_ms)
    if growth > MOST_GROWTH_MB / 4:
        found.failures.append(f"{found.name}: {growth:.0f} MB more")
    _judge(found, right, watch)
    return found


def together(server: Server, most: int, count: int = 8) -> Outcome:
    """Send many large bodies at once."""
    body = rows(most, b"{}")
    statuses: list[int] = []

    def send() -> None:
        try:
            client = Client(server.port, timeout=600)
            statuses.append(client.ask("POST", "/v1/items", body).status)
        except LOST:
            statuses.append(0)

    with watched(server) as watch:
        before, begun = watch.peak_mb, time.perf_counter()
        threads = [threading.Thread(target=send) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.perf_counter() - begun
    growth = watch.peak_mb - before
    name = f"{count} bodies at once"
    found = Outcome(name, max(statuses), count * len(body) / MB, seconds, growth, watch.slowest_ms)
    if growth > 4 * MOST_GROWTH_MB:
        found.failures.append(f"{name}: {growth:.0f} MB more")
    if set(statuses) - {413, 422, 503}:
        found.failures.append(f"{name}: {statuses}")
    _judge(found, (422, 503), watch)
    return found


def _judge(found: Outcome, right: tuple[int, ...], watch: Watch) -> None:
    if found.status not in right:
        found.failures.append(f"{found.name}: status {found.status}, not one of {right}")
    if watch.lost or not watch.answers:
        found.failures.append(f"{found.name}: {watch.lost} health checks without an answer")


def run(server: Server, most: int, only: str = "") -> list[Outcome]:
    """Attack a server in every way, or in those whose name holds a text."""
    found = [by_body(server, name, attack, most) for name, attack in attacks() if only in name]
    found += [by_header(server, name, 5 * most) for name in HEADERS if only in f"headers: {name}"]
    if only in "bodies at once":
        found.append(together(server, most))
    reply = server.client().ask("GET", "/health/ready")
    if reply.status != 200:
        found[-1].failures.append("not ready afterwards")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=float, default=60.0, help="of the largest bodies")
    parser.add_argument("--model", type=Path, default=None)
    parser.add_argument("--only", default="", help="attacks whose name holds this")
    options = parser.parse_args()
    model = options.model or small_model(ROOT / "runs" / "serving-model")
    with palate_server(model) as server:
        found = run(server, int(options.megabytes * MB), options.only)
    table = Table(
        "attack", "MB", "status", "s", "memory, MB", "health, slowest ms", title="Attacks"
    )
    for one in found:
        numbers = (f"{one.sent_mb:.1f}", f"{one.status}", f"{one.seconds:.2f}")
        table.add_row(one.name, *numbers, f"+{one.growth_mb:.0f}", f"{one.slowest_ms:.0f}")
    console.print(table)
    failures = [failure for one in found for failure in one.failures]
    for failure in failures:
        console.print(failure, style="red", markup=False)
    print(f"attack: {len(failures)}")


if __name__ == "__main__":
    main()
