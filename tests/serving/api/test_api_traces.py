"""Traces are an extra, asked for by a variable of OpenTelemetry."""

from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient

from palate.errors import ConfigError
from palate.serving.telemetry import trace


def test_a_request_leaves_a_span(
    make_client: Callable[..., TestClient], capfd: pytest.CaptureFixture[str]
) -> None:
    client = make_client()
    client.app.middleware_stack = None
    provider = trace(client.app, "console")
    assert client.post("/v1/recommend", json={"user_id": "u1"}).status_code == 200
    provider.shutdown()
    written = capfd.readouterr().err
    assert "/v1/recommend" in written
    assert "the-first-key" not in written


def test_an_unknown_exporter_is_refused(client: TestClient) -> None:
    with pytest.raises(ConfigError, match="smoke"):
        trace(client.app, "smoke")
