"""Telemetry: metrics, one log line per request, and traces."""

import asyncio
import io
import json
import logging
import os
import secrets
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import orjson
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from palate.errors import ConfigError, MissingExtraError
from palate.serving.store.records import ClickThrough

if TYPE_CHECKING:
    from fastapi import FastAPI
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_RECENT = 20_000
"""Number of requests kept for the percentiles and charts of the operator's page."""


UNMATCHED = "unmatched"
"""Route of a request that no route matched."""


@dataclass(slots=True)
class RequestContext:
    """The context of one request; routes fill in fields for the log and the metrics."""

    request_id: str
    client: str
    started: float
    """On the performance counter, in seconds."""
    route: str = UNMATCHED
    model: str = ""
    key_id: str = ""
    fallback: str = ""
    status: int = 0

    @property
    def took_ms(self) -> float:
        """Milliseconds since the request arrived."""
        return 1e3 * (time.perf_counter() - self.started)


def new_id() -> str:
    """Return an id for a request or an answer: 96 random bits, which never repeat in practice."""
    while True:
        # Taking one from a deque is atomic, so that threads never share an id.
        try:
            return _unused_ids.popleft()
        except IndexError:
            # One call of the system for many ids: it takes longer than all else here.
            block = secrets.token_bytes(12 * 256)
            _unused_ids.extend(block[at : at + 12].hex() for at in range(0, len(block), 12))


_unused_ids: deque[str] = deque()
os.register_at_fork(after_in_child=_unused_ids.clear)


class _Finished(NamedTuple):
    """The fields of a request that the operator's page needs."""

    at: float
    route: str
    seconds: float
    by_model: bool
    by_fallback: bool


@dataclass(frozen=True)
class Gauges:
    """Functions that read the values of other objects when metrics are scraped."""

    queue: Callable[[], int] = lambda: 0
    """Number of requests that wait for a forward pass."""
    caches: Callable[[], tuple[int, int]] = lambda: (0, 0)
    """Hits and misses of the user-state cache."""
    models: Callable[[], Sequence[Mapping[str, str]]] = tuple
    """Name, version and share of each loaded model."""
    clicks: Callable[[], Sequence[ClickThrough]] = tuple


class Metrics(Collector):
    """Counts requests, for Prometheus and for the operator's page."""

    def __init__(self) -> None:
        """Start all counts at zero."""
        self.gauges = Gauges()
        self.in_flight = 0
        # The percentiles of the operator's page are exact, unlike those of a histogram.
        self._recent: deque[_Finished] = deque(maxlen=_RECENT)
        own = self._registry = CollectorRegistry(auto_describe=False)
        self._latency = Histogram(
            "palate_request_seconds",
            "Time to answer.",
            ["route", "model"],
            buckets=_BUCKETS,
            registry=own,
        )
        self._requests = Counter(
            "palate_requests", "Requests answered.", ["route", "status"], registry=own
        )
        self._fallbacks = Counter(
            "palate_fallbacks", "Answers given by a fallback.", ["model", "fallback"], registry=own
        )
        self.events = Counter("palate_feedback_events", "Events acknowledged.", registry=own)
        in_flight = Gauge("palate_requests_in_flight", "Requests being answered.", registry=own)
        in_flight.set_function(lambda: self.in_flight)
        queue = Gauge("palate_queue_length", "Requests that wait for a model.", registry=own)
        queue.set_function(lambda: self.gauges.queue())
        own.register(self)
        self._series: dict[tuple[str, str, int], tuple[Histogram, Counter]] = {}
        """Series by route, model and status: as many as are exposed."""
        ProcessCollector(registry=own)

    def add(self, context: RequestContext, seconds: float) -> None:
        """Count one answered request."""
        key = (context.route, context.model, context.status)
        series = self._series.get(key)
        if series is None:
            # Looking up two series by their labels takes longer than counting in them.
            latency = self._latency.labels(context.route, context.model)
            series = latency, self._requests.labels(context.route, context.status)
            self._series[key] = series
        series[0].observe(seconds)
        series[1].inc()
        if context.fallback:
            self._fallbacks.labels(context.model, context.fallback).inc()
        self._recent.append(
            _Finished(
                time.time(), context.route, seconds, bool(context.model), bool(context.fallback)
            )
        )

    def forget_model(self, version: str) -> None:
        """Drop the series of a model that is not loaded any more."""
        self._latency.remove_by_labels({"model": version})
        self._series.clear()

    def exposition(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Return the metrics of :class:`Gauges`, for each loaded model."""
        hits, misses = self.gauges.caches()
        yield CounterMetricFamily(
            "palate_cache_hits", "User states found in the cache.", value=hits
        )
        yield CounterMetricFamily("palate_cache_misses", "User states computed.", value=misses)
        info = InfoMetricFamily("palate_model", "Loaded models.", labels=["version"])
        for one in self.gauges.models():
            info.add_metric([one["version"]], {"name": one["name"], "share": one["share"]})
        yield info
        shown = GaugeMetricFamily(
            "palate_recommendations_shown", "Answers recorded.", labels=["model"]
        )
        rate = GaugeMetricFamily(
            "palate_click_through_rate", "Share of answers that were clicked.", labels=["model"]
        )
        for clicks in self.gauges.clicks():
            shown.add_metric([clicks.model_version], clicks.shown)
            rate.add_metric([clicks.model_version], clicks.rate)
        yield shown
        yield rate

    def summary(self, *, minutes: int = 60) -> dict[str, object]:
        """Return the figures of the operator's page, by route and by minute."""
        now = time.time()
        recent = [one for one in self._recent if one.at > now - 60 * minutes]
        routes = {one.route for one in recent}
        answered = [(int(labels["status"]), count) for labels, count in _totals(self._requests)]
        return {
            "routes": [
                {"route": route, **_percentiles([one for one in recent if one.route == route])}
                for route in sorted(routes)
            ],
            "minutes": _by_minute(recent, now, minutes),
            "requests": sum(count for _, count in answered),
            "fallbacks": sum(count for _, count in _totals(self._fallbacks)),
            "refused": sum(count for status, count in answered if status >= 400),
            "busy": sum(count for status, count in answered if status == 503),
            "events_acknowledged": sum(count for _, count in _totals(self.events)),
        }


def _totals(counter: Counter) -> list[tuple[Mapping[str, str], int]]:
    """Return the labels and the value of each series of a counter."""
    samples = (sample for family in counter.collect() for sample in family.samples)
    return [(x.labels, int(x.value)) for x in samples if x.name.endswith("_total")]


def _percentiles(requests: Sequence[_Finished]) -> dict[str, object]:
    if not requests:
        return {"requests": 0, "p50_ms": None, "p95_ms": None, "p99_ms": None, "fallbacks": 0}
    seconds = np.asarray([one.seconds for one in requests])
    p50, p95, p99 = (round(1e3 * float(x), 3) for x in np.percentile(seconds, [50, 95, 99]))
    return {
        "requests": len(requests),
        "p50_ms": p50,
        "p95_ms": p95,
        "p99_ms": p99,
        "fallbacks": sum(one.by_fallback for one in requests),
    }


def _by_minute(requests: Sequence[_Finished], now: float, minutes: int) -> list[dict[str, object]]:
    """Return one row per minute of answers by a model, the newest last."""
    last = int(now // 60)
    parts: dict[int, list[_Finished]] = {}
    for one in requests:
        if one.by_model:
            parts.setdefault(int(one.at // 60), []).append(one)
    return [
        {"minute": 60 * minute, **_percentiles(parts.get(minute, []))}
        for minute in range(last - minutes + 1, last + 1)
    ]


class RequestLog:
    """One JSON line per request; lines are written together a few times a second.

    A line has no body, key, path or query, so that ids of users stay out of the log.
    """

    def __init__(self, stream: io.TextIOBase | None = None, *, every: float = 0.25) -> None:
        """Write to ``stream`` (standard error if None) every ``every`` seconds at most."""
        self._stream, self._every = stream, every
        self._lines: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def add(self, context: RequestContext, seconds: float, method: str) -> None:
        """Add a line about an answered request."""
        self._lines.append(
            orjson.dumps(
                {
                    "time": round(time.time(), 3),
                    "event": "request",
                    "request_id": context.request_id,
                    "method": method,
                    "route": context.route,
                    "status": context.status,
                    "took_ms": round(1e3 * seconds, 3),
                    "model": context.model,
                    "fallback": context.fallback,
                    "key": context.key_id,
                    "client": context.client,
                }
            )
        )
        if self._timer is None and not self._closed:
            self._timer = asyncio.get_running_loop().call_later(self._every, self._later)

    def _later(self) -> None:
        # In a thread: a full pipe must not block the event loop.
        self._timer = None
        asyncio.get_running_loop().run_in_executor(None, self.flush)

    def close(self) -> None:
        """Write the waiting lines, before the event loop ends."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self.flush()

    def flush(self) -> None:
        """Write the waiting lines."""
        lines, self._lines = self._lines, []
        if lines:
            stream = self._stream or sys.stderr
            stream.write(b"\n".join([*lines, b""]).decode())
            stream.flush()


class JsonLines(logging.Formatter):
    """Formats every other log record as a JSON line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, object] = {
            "time": round(record.created, 3),
            "event": "log",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def log_as_json(level: int = logging.INFO) -> None:
    """Send all logging to standard error, as JSON lines."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)


def trace(app: "FastAPI", exporter: str) -> "TracerProvider":
    """Give every request a span of OpenTelemetry; return the provider of the spans.

    Args:
        app: the application.
        exporter: ``console`` prints spans; ``otlp`` sends them to the address in OpenTelemetry's
            own variables.

    Raises:
        ConfigError: when there is no such exporter.
        MissingExtraError: when OpenTelemetry, or the package of the exporter, is not installed.
    """
    try:
        from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError:
        raise MissingExtraError("opentelemetry-instrumentation-fastapi", "otel") from None
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(_exporter(exporter)))
    FastAPIInstrumentor.instrument_app(
        app, tracer_provider=provider, excluded_urls="health,metrics"
    )
    return provider


def _exporter(name: str) -> "SpanExporter":
    if name == "console":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        return ConsoleSpanExporter(out=sys.stderr)
    if name != "otlp":
        raise ConfigError(
            f"OTEL_TRACES_EXPORTER is {name!r}.", hint="It may be console, otlp or none."
        )
    try:
        module = import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    except ModuleNotFoundError:
        raise MissingExtraError("opentelemetry-exporter-otlp-proto-http", "otel") from None
    exporter: SpanExporter = module.OTLPSpanExporter()
    return exporter
