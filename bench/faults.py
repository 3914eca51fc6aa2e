"""What the service does when everything goes wrong: killed, overrun, fuzzed, attacked.

    .venv/bin/python bench/faults.py [kill] [overload] [fuzz] [injection] [--model FOLDER]

``kill``: the server is ended by SIGKILL 200 times while clients post events; every acknowledged
event must be in the store, none twice. ``overload``: far more questions than it can answer, beside
clients that send or read too slowly; it must refuse with 503 and Retry-After, hold its memory, and
answer again at once. ``fuzz``: 10,000 requests made of the OpenAPI document and of rubbish; no
answer may be a 5xx but 503, and every refusal must say what is wrong. ``injection``: SQL, paths,
headers and HTML where ids and texts belong. The last line is ``faults: <number of failures>``.
"""

import argparse
import http.client
import json
import random
import socket
import string
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from measure import ROOT, console
from rich.table import Table
from service import KEY, Client, Reply, Server, palate_server, small_model, start_palate

LOST = (OSError, http.client.HTTPException)


@dataclass
class Tally:
    """What happened, and what must not have."""

    mode: str
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def check(self, holds: bool, what: str) -> None:
        """Note a failure unless something holds."""
        self.counts["checks"] += 1
        if not holds:
            self.failures.append(what)


# --- kill ---------------------------------------------------------------------------------------


def kill(model: Path, options: argparse.Namespace) -> Tally:
    """Kill the server again and again while events are posted."""
    tally = Tally("kill")
    rng = random.Random(1)
    with tempfile.TemporaryDirectory(prefix="palate-kill-") as folder:
        db, log = f"sqlite:///{folder}/palate.db", Path(folder) / "log"
        writers = [Writer(number) for number in range(4)]
        for _ in range(options.kills):
            server = start_palate(model, db, log)
            threads = [threading.Thread(target=one.run, args=(server.port,)) for one in writers]
            for thread in threads:
                thread.start()
            time.sleep(rng.uniform(0.02, 0.5))
            server.kill()
            for thread in threads:
                thread.join()
            tally.counts["kills"] += 1
        _check_store(db, writers, tally)
    return tally


class Writer:
    """A client that sends each event until it is acknowledged, whatever becomes of the server."""

    def __init__(self, number: int) -> None:
        """Write as one user."""
        self.number = number
        self.user = f"writer-{number}"
        self.sent = 0
        self.acknowledged: list[str] = []
        self._open: list[dict[str, object]] = []

    def run(self, port: int) -> None:
        """Post events until the server is gone."""
        client = Client(port, timeout=5)
        while True:
            if not self._open:
                self._open = [self._event() for _ in range(1 + self.sent % 5)]
            try:
                reply = client.ask("POST", "/v1/feedback", self._open)
            except LOST:
                return
            if reply.status == 200:
                self.acknowledged += [str(event["idempotency_key"]) for event in self._open]
                self._open = []

    def _event(self) -> dict[str, object]:
        self.sent += 1
        key = f"{self.number}-{self.sent}"
        return {
            "user_id": self.user,
            "item_id": f"item-{self.sent % 50}",
            "event_type": "view",
            "timestamp": 1_700_000_000 + self.sent,
            "idempotency_key": key,
        }


def _check_store(db: str, writers: list[Writer], tally: Tally) -> None:
    """Compare what was acknowledged with what is there."""
    from palate.serving.store import Store

    store = Store.open(db)
    for writer in writers:
        events = store.export_user(writer.user)["events"]
        assert isinstance(events, list)
        stored = Counter(str(event["idempotency_key"]) for event in events)
        lost = [key for key in writer.acknowledged if key not in stored]
        doubled = [key for key, count in stored.items() if count > 1]
        tally.counts["acknowledged"] += len(writer.acknowledged)
        tally.counts["stored"] += sum(stored.values())
        tally.counts["lost"] += len(lost)
        tally.counts["doubled"] += len(doubled)
        tally.check(not lost, f"{writer.user}: {len(lost)} acknowledged events lost: {lost[:3]}")
        tally.check(not doubled, f"{writer.user}: {len(doubled)} events doubled: {doubled[:3]}")
    store.close()


# --- overload -----------------------------------------------------------------------------------


def overload(model: Path, options: argparse.Namespace) -> Tally:
    """Ask for more than can be answered, with slow clients in between."""
    tally = Tally("overload")
    with palate_server(model) as server:
        items = _items(server)
        _hammer(server, items, 16, 2.0, Tally("warm-up"))
        before = server.memory_mb()
        slow = [Slow(server.port, kind) for kind in SLOW for _ in range(10)]
        _hammer(server, items, options.clients, options.seconds, tally)
        after = server.memory_mb()
        tally.counts["memory before, MB"] = round(before)
        tally.counts["memory after, MB"] = round(after)
        tally.check(after < before + 200, f"memory grew from {before:.0f} to {after:.0f} MB")
        begun = time.perf_counter()
        reply = server.client().ask("POST", "/v1/recommend", {"history": items[:2]})
        took = time.perf_counter() - begun
        tally.check(reply.status == 200 and took < 2, f"{reply.status} after {took:.1f} s")
        tally.check(tally.counts["status 503"] > 0, "nothing was refused: this was no overload")
        for one in slow:
            tally.check(one.was_dropped(within=40), f"a client with a slow {one.kind} was kept")
            tally.counts["slow clients"] += 1
    return tally


def _hammer(server: Server, items: list[str], clients: int, seconds: float, tally: Tally) -> None:
    until = time.monotonic() + seconds
    lock = threading.Lock()

    def ask(number: int) -> None:
        rng = random.Random(number)
        client = server.client(timeout=60)
        while time.monotonic() < until:
            body = {"history": rng.choices(items, k=40), "n": 50, "explain": rng.random() < 0.5}
            try:
                reply = client.ask("POST", "/v1/recommend", body)
            except LOST as error:
                with lock:
                    tally.failures.append(f"no answer: {error!r}")
                return
            with lock:
                tally.counts[f"status {reply.status}"] += 1
                fair = reply.status == 200 or (
                    reply.status == 503 and "retry-after" in _lower(reply.headers)
                )
                tally.check(fair, f"{reply.status} {reply.body[:100]!r}")

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


_HEAD = f"POST /v1/recommend HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {KEY}\r\n"
SLOW: Mapping[str, str] = {
    "header": "POST /v1/recommend HTTP/1.1\r\nHost: loc",
    "body": _HEAD + 'Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"n"',
    "beginning": "",
}


class Slow:
    """A client that begins a request and then says nothing."""

    def __init__(self, port: int, kind: str) -> None:
        """Begin, and stop there."""
        self.kind = kind
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.sendall(SLOW[kind].encode())

    def was_dropped(self, *, within: float) -> bool:
        """Tell whether the server ended it in time."""
        self._socket.settimeout(within)
        try:
            while self._socket.recv(4096):
                pass
        except TimeoutError:
            return False
        except OSError:
            pass
        return True


# --- fuzz ---------------------------------------------------------------------------------------


def fuzz(model: Path, options: argparse.Namespace) -> Tally:
    """Send what nobody would send."""
    tally = Tally("fuzz")
    with palate_server(model) as server:
        document = server.client(key=None).ask("GET", "/openapi.json").json()
        makers = [Fuzzer(document, random.Random(seed)) for seed in range(options.threads)]
        share = options.requests // len(makers)
        lock = threading.Lock()

        def run(maker: Fuzzer) -> None:
            client = server.client(timeout=60)
            for _ in range(share):
                sent = maker.request()
                found = _sent(client, sent)
                with lock:
                    _judge(found, sent, tally)

        threads = [threading.Thread(target=run, args=(maker,)) for maker in makers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        reply = server.client().ask("GET", "/health/ready")
        tally.check(reply.status == 200, "not ready afterwards")
        log = server.log.read_text(errors="replace", encoding="utf-8")
        tally.check("Traceback" not in log, f"a traceback in the log: {_around(log, 'Traceback')}")
        tally.check(KEY not in log, "the key stands in the log")
    return tally


@dataclass(frozen=True)
class Sent:
    """One request of the fuzzer."""

    method: str
    path: str
    body: bytes | None
    headers: Mapping[str, str]


class Fuzzer:
    """Makes requests from the document: mostly nearly right, sometimes rubbish."""

    def __init__(self, document: Mapping[str, object], rng: random.Random) -> None:
        """Read what the document allows."""
        paths = document["paths"]
        components = document["components"]
        assert isinstance(paths, dict)
        assert isinstance(components, dict)
        self._operations = [
            (method, path, operation)
            for path, item in paths.items()
            for method, operation in item.items()
            if path != "/v1/operator/events"
        ]
        self._schemas = components["schemas"]
        self._rng = rng

    def request(self) -> Sent:
        """Return the next request."""
        rng = self._rng
        method, path, operation = rng.choice(self._operations)
        for name in [part[1:-1] for part in path.split("/") if part.startswith("{")]:
            path = path.replace("{" + name + "}", quote(self._text()[:300] or "x", safe=""))
        query = [
            f"{quote(p['name'])}={quote(str(self._value(p['schema'], 0)))}"
            for p in operation.get("parameters", [])
            if p["in"] == "query" and rng.random() < 0.6
        ]
        if query:
            path += "?" + "&".join(query)
        content = operation.get("requestBody", {}).get("content", {})
        body, headers = None, {}
        if content:
            media = rng.choice(list(content))
            body = self._body(content[media]["schema"], media)
            headers["Content-Type"] = media if rng.random() < 0.95 else self._header()
        if rng.random() < 0.05:
            headers["X-Request-Id"] = self._header()
        if rng.random() < 0.03:
            method = rng.choice(["GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "HEAD"])
        return Sent(method.upper(), path, body, headers)

    def _body(self, schema: Mapping[str, object], media: str) -> bytes:
        rng = self._rng
        kind = rng.random()
        if kind < 0.1 or "parquet" in media:
            return rng.choice(
                [b"", b"PAR1", b"{", b"\xff\xfe", b"[" * 5000, b"nul"]
            ) + rng.randbytes(rng.randrange(60))
        value = self._value(schema, 0)
        if kind < 0.2:
            value = [value, self._scalar()]
        text = json.dumps(value, ensure_ascii=rng.random() < 0.5)
        if kind < 0.3 and text:
            at = rng.randrange(len(text))
            text = (
                text[:at]
                + rng.choice(["", "\x00", "NaN", "1e999", '"', "\\ud800"])
                + text[at + 1 :]
            )
        lines = 1 if media == "application/json" else rng.randrange(1, 4)
        return "\n".join([text] * lines).encode("utf-8", "surrogatepass")

    def _value(self, schema: Mapping[str, object], depth: int) -> object:
        rng = self._rng
        if rng.random() < 0.06 or depth > 5:
            return self._scalar()
        if "$ref" in schema:
            return self._value(self._schemas[str(schema["$ref"]).rpartition("/")[2]], depth)
        if "anyOf" in schema:
            return self._value(rng.choice(schema["anyOf"]), depth + 1)  # type: ignore[arg-type]
        if "enum" in schema:
            return rng.choice(schema["enum"])  # type: ignore[arg-type]
        kind = schema.get("type")
        if kind == "object":
            fields = schema.get("properties", {})
            required = schema.get("required", ())
            found = {
                name: self._value(inner, depth + 1)
                for name, inner in fields.items()  # type: ignore[attr-defined]
                if name in required or rng.random() < 0.4  # type: ignore[operator]
            }
            return found if rng.random() > 0.05 else found | {self._text()[:20]: self._scalar()}
        if kind == "array":
            inner = schema.get("items", {})
            return [self._value(inner, depth + 1) for _ in range(rng.randrange(4))]  # type: ignore[arg-type]
        return self._scalar(str(kind))

    def _scalar(self, kind: str = "") -> object:
        rng = self._rng
        numbers = [0, 1, -1, 2, 10, 1000, 2**31, 2**63, 2**64, 10**400, 0.5, -0.0, 1e308, 1e-320]
        if kind in {"integer", "number"}:
            return rng.choice(numbers)
        if kind == "boolean":
            return rng.random() < 0.5
        if kind == "string":
            return self._text()
        return rng.choice([None, True, [], {}, self._text(), rng.choice(numbers), {"a": [{}]}])

    def _text(self) -> str:
        rng = self._rng
        return (
            rng.choice(
                [
                    "u1",
                    "i1",
                    "next-item",
                    "search",
                    "set",
                    "",
                    " ",
                    "\x00",
                    "\u202e\u0000x",
                    "a/b",
                    "../../etc/passwd",
                    "' OR 1=1 --",
                    "<script>alert(1)</script>",
                    "%00",
                    "😀" * 70,
                    "é" * 300,
                    "x" * 3_000,
                    "\ud800",
                    "1e5",
                    "2024-01-01T00:00:00Z",
                    "0001-01-01T00:00:00+23:59",
                    "9999-12-31T23:59:59-23:59",
                    "".join(rng.choices(string.printable, k=rng.randrange(20))),
                ]
            )
            .encode("utf-8", "replace")
            .decode()
        )

    def _header(self) -> str:
        return "".join(self._rng.choices(string.ascii_letters + "/;=*,._- ", k=12)).strip() or "x"


def _sent(client: Client, sent: Sent) -> Reply | None:
    for _ in range(2):  # a connection that the server closed after a refusal is opened again
        try:
            return client.ask(sent.method, sent.path, sent.body, headers=sent.headers)
        except LOST:
            client.close()
    return None


def _judge(reply: Reply | None, sent: Sent, tally: Tally) -> None:
    told = f"{sent.method} {sent.path[:80]} {(sent.body or b'')[:120]!r}"
    tally.counts["requests"] += 1
    if reply is None:
        tally.failures.append(f"no answer to {told}")
        return
    tally.counts[f"status {reply.status}"] += 1
    headers = _lower(reply.headers)
    busy = reply.status == 503 and "retry-after" in headers
    tally.check(reply.status < 500 or busy, f"{reply.status} to {told}")
    if reply.status >= 400 and sent.method != "HEAD":
        tally.check(_says_why(reply), f"no message in {reply.body[:120]!r} to {told}")
    tally.check("x-request-id" in headers, f"no request id in the answer to {told}")


def _says_why(reply: Reply) -> bool:
    try:
        error = json.loads(reply.body)["error"]
        return bool(error["message"]) and "hint" in error and bool(error["request_id"])
    except (ValueError, KeyError, TypeError):
        return False


# --- injection ----------------------------------------------------------------------------------

SQL = (
    "' OR '1'='1",
    "x'; DROP TABLE events; --",
    '" UNION SELECT 1 --',
    "%' AND 1=0 --",
    "\\'; --",
)
HTML = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</script><b>", "{{7*7}}")
PATHS = (
    "/page/../app.py",
    "/page/..%2fapp.py",
    "/page/%2e%2e/app.py",
    "/page//etc/passwd",
    "/page/__init__.py",
    "/v1/items/..%2f..%2f..%2fetc%2fpasswd/image",
    "/..%5c..%5cetc/passwd",
    "//etc/passwd",
)


def injection(model: Path, options: argparse.Namespace) -> Tally:
    """Put code where ids and texts belong."""
    tally = Tally("injection")
    with palate_server(model) as server:
        client = server.client()
        items = _items(server)
        for text in (*SQL, *HTML):
            _stored_as_it_is(client, text, items[0], tally)
        for path in PATHS:
            reply = _sent(client, Sent("GET", path, None, {}))
            tally.counts["paths"] += 1
            leaked = reply is None or b"root:" in reply.body or b"import " in reply.body
            tally.check(not leaked and reply is not None and reply.status in {400, 404}, path)
        _headers(server, tally)
        for path in ("/", "/docs", "/operator"):
            reply = client.ask("GET", path)
            policy = _lower(reply.headers).get("content-security-policy", "")
            tally.check("default-src" in policy and "unsafe" not in policy, f"{path}: {policy!r}")
        tally.check(client.ask("GET", "/health/ready").status == 200, "not ready afterwards")
    return tally


def _stored_as_it_is(client: Client, text: str, item: str, tally: Tally) -> None:
    """Use a text as every kind of id and text; it must come back as it was, and harm nothing."""
    tally.counts["texts"] += 1
    path = f"/v1/items/{quote(text, safe='')}"
    put = client.ask("PUT", path, {"title": text, "brand": text, "categories": [text]})
    tally.check(put.status == 200, f"PUT {text!r}: {put.status} {put.body[:100]!r}")
    got = client.ask("GET", path)
    tally.check(got.status == 200 and got.json()["title"] == text, f"GET {text!r}")
    event = {"user_id": text, "item_id": item, "event_type": text, "idempotency_key": text}
    for expected in ("stored", "duplicates"):
        reply = client.ask("POST", "/v1/feedback", event)
        tally.check(reply.status == 200 and reply.json()[expected] == 1, f"event {text!r}")
    other = client.ask("GET", "/v1/users/nobody-else/history")
    tally.check(other.json()["events"] == [], f"{text!r} reached another user's history")
    for route, body in (
        ("recommend", {"user_id": text, "filter": {"brands": [text]}}),
        ("search", {"query": text, "user_id": text}),
        ("recommend", {"history": [text], "task": text}),
        ("recommend", {"prompt": text, "context": text}),
    ):
        reply = client.ask("POST", f"/v1/{route}", body)
        tally.check(reply.status < 500, f"{route} {text!r}: {reply.status}")
        kind = _lower(reply.headers)
        tally.check(kind["content-type"] == "application/json", f"{route}: {kind}")
        tally.check(kind["x-content-type-options"] == "nosniff", f"{route}: {kind}")
    for path in (f"/v1/items?q={quote(text)}", f"/v1/items?cursor={quote(text)}", "/v1/users"):
        reply = client.ask("GET", path)
        tally.check(reply.status in {200, 422}, f"{path}: {reply.status}")
    gone = client.ask("DELETE", f"/v1/users/{quote(text, safe='')}")
    tally.check(gone.json()["erased"]["events"] == 1, f"DELETE {text!r}: {gone.body[:100]!r}")  # type: ignore[index]


def _headers(server: Server, tally: Tally) -> None:
    """Try to smuggle headers in; http.client would refuse, so the bytes are written by hand."""
    for value in (
        b"x\r\nSet-Cookie: a=1",
        b"x\nSet-Cookie: a=1",
        b"x\rSet-Cookie: a=1",
        b"\xff\x00",
    ):
        raw = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: " + value
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as opened:
            opened.sendall(raw + b"\r\nConnection: close\r\n\r\n")
            found = b""
            while part := opened.recv(4096):
                found += part
        tally.counts["headers"] += 1
        tally.check(b"set-cookie" not in found.lower(), f"header {value!r}: {found[:200]!r}")


# --- the whole ----------------------------------------------------------------------------------


def _items(server: Server) -> list[str]:
    found = server.client().ask("GET", "/v1/items?limit=100").json()["items"]
    assert isinstance(found, list)
    return [item["item_id"] for item in found]


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _around(text: str, word: str) -> str:
    at = text.find(word)
    return text[max(0, at - 200) : at + 1500] if at >= 0 else ""


@contextmanager
def _timed(tally_of: dict[str, float], mode: str) -> Iterator[None]:
    begun = time.perf_counter()
    yield
    tally_of[mode] = time.perf_counter() - begun


def main() -> None:
    modes = {"kill": kill, "overload": overload, "fuzz": fuzz, "injection": injection}
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("modes", nargs="*", metavar="MODE", help=f"of {', '.join(modes)}; or all")
    made.add_argument("--model", type=Path, help="a model folder; a small one without it")
    made.add_argument("--kills", type=int, default=200)
    made.add_argument("--requests", type=int, default=10_000, help="of the fuzzer")
    made.add_argument("--threads", type=int, default=4, help="of the fuzzer")
    made.add_argument("--clients", type=int, default=400, help="of the overload")
    made.add_argument("--seconds", type=float, default=10.0, help="of the overload")
    options = made.parse_args()
    if unknown := set(options.modes) - set(modes):
        sys.exit(f"No such mode: {', '.join(unknown)}. There are: {', '.join(modes)}")
    model = options.model or small_model(ROOT / "runs" / "serving-model")
    table = Table("mode", "seconds", "counts", "failures", title="Faults")
    failures, seconds = 0, {}
    for mode in options.modes or modes:
        with _timed(seconds, mode):
            tally = modes[mode](model, options)
        counts = ", ".join(f"{name}: {count:,}" for name, count in sorted(tally.counts.items()))
        table.add_row(mode, f"{seconds[mode]:.0f}", counts, str(len(tally.failures)))
        for failure in tally.failures[:20]:
            console.print(f"[red]{mode}:[/red] ", end="")
            console.print(failure, markup=False)
        failures += len(tally.failures)
    console.print(table)
    print(f"faults: {failures}")


if __name__ == "__main__":
    main()
