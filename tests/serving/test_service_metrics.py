"""What is counted of requests, as Prometheus and the operator's page read it."""

import pytest

pytest.importorskip("prometheus_client", reason="palate[serve] is not installed")

from palate.serving.store import ClickThrough
from palate.serving.telemetry import Gauges, Metrics, RequestContext


def answered(metrics: Metrics, seconds: float, *, status: int = 200, **seen: str) -> None:
    visit = RequestContext("id", "client", 0.0, route="/v1/recommend", status=status, **seen)  # type: ignore[arg-type]
    metrics.add(visit, seconds)


def test_latencies_are_counted_by_bucket_and_summed() -> None:
    metrics = Metrics()
    for seconds in (0.004, 0.02, 20.0):
        answered(metrics, seconds, model="m1")
    lines = metrics.exposition().decode().splitlines()
    labels = 'model="m1",route="/v1/recommend"'
    for bound, count in (("0.0025", 0.0), ("0.005", 1.0), ("0.025", 2.0), ("10.0", 2.0)):
        assert f'palate_request_seconds_bucket{{le="{bound}",{labels}}} {count}' in lines
    assert f"palate_request_seconds_count{{{labels}}} 3.0" in lines
    assert f"palate_request_seconds_sum{{{labels}}} 20.024" in lines


def test_the_operator_reads_the_same_counts() -> None:
    metrics = Metrics()
    answered(metrics, 0.1, model="m1")
    answered(metrics, 0.3, model="m1", fallback="popular")
    answered(metrics, 0.2, status=404)
    answered(metrics, 0.2, status=503)
    metrics.events.inc(7)
    summary = metrics.summary()
    (route,) = summary["routes"]  # type: ignore[misc]
    assert (route["requests"], route["p50_ms"], route["fallbacks"]) == (4, 200.0, 1)
    counted = {"requests": 4, "fallbacks": 1, "refused": 2, "busy": 1, "events_acknowledged": 7}
    assert {name: summary[name] for name in counted} == counted
    assert all(isinstance(summary[name], int) for name in counted)


def test_what_others_hold_is_read_when_somebody_scrapes() -> None:
    metrics = Metrics()
    metrics.gauges = Gauges(
        queue=lambda: 3,
        caches=lambda: (8, 2),
        models=lambda: [{"name": "URM", "version": "m1", "share": "1"}],
        clicks=lambda: [ClickThrough("m1", shown=4, clicked=1, clicks=1)],
    )
    metrics.in_flight = 5
    lines = metrics.exposition().decode().splitlines()
    for line in (
        "palate_queue_length 3.0",
        "palate_requests_in_flight 5.0",
        "palate_cache_hits_total 8.0",
        "palate_cache_misses_total 2.0",
        'palate_model_info{name="URM",share="1",version="m1"} 1.0',
        'palate_click_through_rate{model="m1"} 0.25',
    ):
        assert line in lines


def test_a_model_that_is_gone_leaves_no_latencies() -> None:
    metrics = Metrics()
    answered(metrics, 0.1, model="m1")
    answered(metrics, 0.1, model="m2")
    metrics.forget_model("m1")
    text = metrics.exposition().decode()
    assert 'model="m1"' not in text
    assert 'palate_request_seconds_count{model="m2",route="/v1/recommend"} 1.0' in text
    metrics.forget_model("never there")
