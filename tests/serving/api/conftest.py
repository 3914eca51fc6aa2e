"""The application over a real store and a small trained model, asked through its whole stack."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from palate.serving.app import ServeSettings, create_app
from palate.serving.limits import Limits
from palate.serving.telemetry import RequestLog

KEY = "the-first-key"


@pytest.fixture
def log() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def make_client(
    model_folders: Path, tmp_path: Path, log: io.StringIO
) -> Iterator[Callable[..., TestClient]]:
    """Start an application: ``make_client(key=None, models={"urm": 1.0}, db="sqlite:///x.db")``."""
    opened: list[TestClient] = []

    def make(
        key: str | None = KEY,
        models: dict[str, float] | None = None,
        limits: Limits | None = None,
        db: str | None = None,
    ) -> TestClient:
        folders = {model_folders / name: x for name, x in (models or {"urm": 1.0}).items()}
        settings = ServeSettings(
            models=folders,
            db=db or f"sqlite:///{tmp_path}/{len(opened)}.db",
            first_key=key,
            limits=limits or Limits(),
        )
        client = TestClient(
            create_app(settings, log=RequestLog(log)),
            base_url="http://localhost",
            headers={} if key is None else {"X-API-Key": key},
            raise_server_exceptions=False,
        )
        client.__enter__()
        opened.append(client)
        return client

    yield make
    for client in opened:
        client.__exit__(None, None, None)


@pytest.fixture
def client(make_client: Callable[..., TestClient]) -> TestClient:
    """The application with one model, asked with the first admin key."""
    return make_client()
