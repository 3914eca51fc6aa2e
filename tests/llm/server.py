"""An endpoint on this machine that speaks Chat Completions from a script and misbehaves on demand.

A script is a function from the body of a request and its number to what is served. :func:`obeying`
is one that keeps to the bindings it is told to know; the others are faults.
"""

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from types import TracebackType
from typing import Any

from palate.llm.endpoint.endpoint import Endpoint

Body = Mapping[str, Any]


@dataclass(frozen=True)
class Served:
    """One response."""

    status: int
    content: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    """Seconds before anything is sent."""
    drip: float = 0.0
    """Seconds between two bytes."""
    is_cut: bool = False
    """Whether the line breaks in the middle."""


Script = Callable[[Body, int], Served]
Start = Callable[..., tuple["ChatServer", Endpoint]]
"""Starts a server with a script, and gives it and an endpoint that asks it."""


class ChatServer:
    """The endpoint, while it is entered."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.asked: list[Body] = []
        """The bodies of all requests, in order."""
        self.headers: list[Mapping[str, str]] = []
        self.at_once = 0
        """The most requests that were under way at the same time."""
        self._under_way = 0
        self._lock = Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    def prompts(self) -> list[str]:
        """Return the last message of each request."""
        return [body["messages"][-1]["content"] for body in self.asked]

    def __enter__(self) -> "ChatServer":
        self._thread = Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Be gone."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def serve(self, body: Body, headers: Mapping[str, str]) -> Served:
        with self._lock:
            number = len(self.asked)
            self.asked.append(body)
            self.headers.append(headers)
            self._under_way += 1
            self.at_once = max(self.at_once, self._under_way)
        try:
            served = self.script(body, number)
            time.sleep(served.delay)
            return served
        finally:
            with self._lock:
                self._under_way -= 1

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                headers = {name.lower(): value for name, value in self.headers.items()}
                served = server.serve(body, headers)
                try:
                    self._send(served)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True  # the client has gone

            def _send(self, served: Served) -> None:
                self.send_response(served.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(served.content)))
                for name, value in served.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                content = served.content[: len(served.content) // 2 if served.is_cut else None]
                if served.drip:
                    for byte in content:
                        self.wfile.write(bytes([byte]))
                        time.sleep(served.drip)
                else:
                    self.wfile.write(content)
                self.close_connection = served.is_cut

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler


# --- what is served -----------------------------------------------------------------------------


def message(
    content: object, *, finish: str = "stop", usage: object = "counted", **more: object
) -> Served:
    """A reply of one choice; ``more`` stands in its message."""
    spoken = {"role": "assistant", "content": content, **more}
    body: dict[str, Any] = {"choices": [{"index": 0, "message": spoken, "finish_reason": finish}]}
    if usage is not None:
        written = len(str(content).split()) if content else 0
        counted = {"prompt_tokens": 7, "completion_tokens": written, "total_tokens": 7 + written}
        body["usage"] = counted if usage == "counted" else usage
    return Served(200, json.dumps(body).encode())


def tool_call(name: str, arguments: object, **more: object) -> Served:
    function = {"name": name, "arguments": json.dumps(arguments)}
    call = {"id": "1", "type": "function", "function": function}
    return message(None, finish="tool_calls", tool_calls=[call], **more)


def fault(status: int, words: str = "no", *, param: str = "", **headers: str) -> Served:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = {"error": {"message": words, "type": "fault", "param": param or None, "code": None}}
    return Served(status, json.dumps(body).encode(), named)


def raw(text: str) -> Served:
    return Served(200, text.encode())


def refusal(words: str = "I will not.") -> Served:
    return message(None, refusal=words)


def huge(size: int) -> Served:
    return message("word " * (size // 5))


def with_logprobs(first: Mapping[str, float]) -> Served:
    best = [{"token": token, "logprob": value, "bytes": None} for token, value in first.items()]
    chosen = max(best, key=lambda each: each["logprob"])  # type: ignore[arg-type, return-value]
    served = json.loads(message(chosen["token"]).content)
    served["choices"][0]["logprobs"] = {"content": [{**chosen, "top_logprobs": best}]}
    return Served(200, json.dumps(served).encode())


def slow(served: Served, seconds: float) -> Served:
    return replace(served, delay=seconds)


def in_turn(*served: Served) -> Script:
    """Serve one after the other, and the last for ever."""
    return lambda body, number: served[min(number, len(served) - 1)]


# --- an endpoint that keeps to its bindings -----------------------------------------------------


def binding_of(body: Body) -> str:
    """Return how a request wants its answer bound."""
    kind = body.get("response_format", {}).get("type")
    if kind == "json_schema":
        return "json_schema"
    if kind == "json_object":
        return "json_object"
    if "grammar" in body:
        return "grammar"
    return "tool" if "tools" in body else "none"


def options_of(body: Body) -> list[Any]:
    """Return the first choices that a request allows; empty where it allows any."""
    found = re.search(r'"enum": \[(.*?)\]', json.dumps(_schema_of(body)))
    return json.loads(f"[{found[1]}]") if found else re.findall(r'"(\w+)"', body.get("grammar", ""))


def obeying(
    *bindings: str,
    refused: Mapping[str, int] | None = None,
    pick: Callable[[Body, list[Any]], Any] = lambda body, options: options[0],
    plain: Callable[[Body], str] = lambda body: "yes",
) -> Script:
    """Serve as an endpoint that knows ``bindings``, refuses some, and ignores the rest."""

    def script(body: Body, number: int) -> Served:
        binding = binding_of(body)
        if binding in (refused or {}):
            return fault((refused or {})[binding], f"{binding} is not known")
        if binding not in bindings:
            return message(plain(body))
        value = pick(body, options_of(body))
        if binding == "grammar" and "{" not in body["grammar"]:
            return message(value)
        if binding == "tool":
            return tool_call("answer", {"answer": value})
        return message(json.dumps({"answer": value}))

    return script


def _schema_of(body: Body) -> Body:
    wanted = body.get("response_format", {})
    if "tools" in body:
        return body["tools"][0]["function"]["parameters"]
    return wanted.get("schema") or wanted.get("json_schema", {}).get("schema", {})
