"""What every answer has, whatever happened: an id, headers, one form of refusal, a count."""

import asyncio
import io
import json

import pytest
from fastapi.testclient import TestClient

from palate.serving.limits import ClientGoneError, Limits, read_body
from palate.serving.middleware import Middleware
from palate.serving.problems import BodyTimeout, TooLarge
from palate.serving.telemetry import Metrics, RequestLog


def _answers(app: object, path: str = "/v1/x", headers: list | None = None) -> list[dict]:
    """Send one request through a door and return the messages that came out."""
    sent: list[dict] = []

    async def receive() -> dict:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "headers": headers or [],
        "client": ("1.2.3.4", 5),
    }
    metrics = Metrics()
    door = Middleware(
        app, metrics=metrics, log=RequestLog(io.StringIO()), limits=Limits(in_flight=1)
    )
    asyncio.run(door(scope, receive, send))
    assert metrics.in_flight == 0
    return sent


async def _broken(scope: dict, receive: object, send: object) -> None:
    raise RuntimeError("a secret of the inside")


async def _gone(scope: dict, receive: object, send: object) -> None:
    raise ClientGoneError


def test_a_mistake_of_ours_is_a_500_that_tells_nothing_of_the_inside(
    caplog: pytest.LogCaptureFixture,
) -> None:
    start, body = _answers(_broken)
    assert start["status"] == 500
    assert b"secret" not in body["body"]
    request_id = json.loads(body["body"])["error"]["request_id"]
    assert request_id in caplog.text


def test_nobody_is_answered_who_has_hung_up() -> None:
    assert _answers(_gone) == []


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (b"abc-1.2:3_4", True),
        (b"x" * 129, False),
        (b"a b", False),
        (b"a\r\nb", False),
        (b"", False),
    ],
)
def test_a_sane_request_id_is_echoed_and_any_other_replaced(given: bytes, kept: bool) -> None:
    start, _ = _answers(_broken, headers=[(b"x-request-id", given)])
    found = dict(start["headers"])[b"x-request-id"]
    assert (found == given) is kept
    assert found


def test_answers_cannot_be_cached_sniffed_framed_or_run(client: TestClient) -> None:
    headers = client.get("/v1/models").headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"


def test_unknown_paths_and_methods_are_refused_in_the_same_form(client: TestClient) -> None:
    for method, path, status in (("GET", "/v2", 404), ("PATCH", "/v1/feedback", 405)):
        response = client.request(method, path)
        assert response.status_code == status
        assert set(response.json()["error"]) == {"message", "hint", "request_id"}


def test_the_pages_need_no_key_and_nothing_from_elsewhere(client: TestClient) -> None:
    for path in ("/", "/docs", "/operator"):
        page = client.get(path, headers={"X-API-Key": ""})
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")
        policy = page.headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "http" not in policy
    for path in ("/", "/page/swagger-ui-bundle.js"):
        cached = client.get(path, headers={"If-None-Match": client.get(path).headers["etag"]})
        assert cached.status_code == 304


def test_requests_are_counted_by_route_and_model(client: TestClient) -> None:
    answer = client.post("/v1/recommend", json={"user_id": "u1"}).json()
    client.get("/v1/items/none")
    text = client.get("/metrics").text
    version = answer["model_version"]
    assert f'palate_request_seconds_count{{model="{version}",route="/v1/recommend"}} 1.0' in text
    assert 'palate_requests_total{route="/v1/items/{item_id}",status="404"} 1.0' in text
    assert f'palate_model_info{{name="URM, small",share="1",version="{version}"}} 1.0' in text
    for name in ("palate_queue_length", "palate_cache_hits_total", "process_resident_memory_bytes"):
        assert name in text


def test_the_operator_sees_latency_models_and_data(client: TestClient) -> None:
    client.post("/v1/recommend", json={"user_id": "u1"})
    summary = client.get("/v1/operator/summary").json()
    (route,) = [r for r in summary["routes"] if r["route"] == "/v1/recommend"]
    assert route["requests"] == 1
    assert route["p99_ms"] >= route["p50_ms"] > 0
    assert summary["minutes"][-1]["requests"] + summary["minutes"][-2]["requests"] == 1
    assert summary["models"][0]["name"] == "URM, small"
    assert {check["name"] for check in summary["health"]} >= {"Titles", "Prices"}


def test_health_is_told_without_a_key(client: TestClient) -> None:
    for path in ("/health/live", "/health/ready"):
        assert client.get(path, headers={"X-API-Key": ""}).json()["status"] == "ok"


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/", "/docs", "/v1/models"])
def test_whoever_asks_for_the_head_alone_gets_it(client: TestClient, path: str) -> None:
    whole, head = client.get(path), client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == whole.headers["content-type"]


def test_a_stream_has_no_head(client: TestClient) -> None:
    assert client.head("/v1/operator/events").status_code == 405


def test_a_query_may_not_have_any_number_of_parameters(client: TestClient) -> None:
    response = client.get("/v1/items?" + "&".join(f"a{n}=1" for n in range(3_000)))
    assert response.status_code == 400
    assert "20 parameters" in response.json()["error"]["message"]


async def _receive_from(messages: list[dict], wait: float = 0.0) -> bytes:
    async def receive() -> dict:
        await asyncio.sleep(wait)
        return messages.pop(0)

    return await read_body(receive, [], most=10, seconds=0.05, arrived=lambda _: None)


def _part(body: bytes, *, more: bool) -> dict:
    return {"type": "http.request", "body": body, "more_body": more}


def test_a_body_is_read_whole_or_not_at_all() -> None:
    parts = [_part(b"ab", more=True), _part(b"cd", more=False)]
    assert asyncio.run(_receive_from(parts)) == b"abcd"
    with pytest.raises(TooLarge):
        asyncio.run(_receive_from([_part(b"x" * 6, more=True), _part(b"x" * 6, more=True)]))
    with pytest.raises(ClientGoneError):
        asyncio.run(_receive_from([_part(b"x", more=True), {"type": "http.disconnect"}]))
    with pytest.raises(BodyTimeout):
        asyncio.run(_receive_from([_part(b"x", more=True)] * 9, wait=0.02))
