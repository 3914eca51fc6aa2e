"""Endpoints on this machine, and nothing kept in the user's own cache."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from server import ChatServer, Script, Start

from palate.llm.endpoint.endpoint import Endpoint
from palate.llm.endpoint.patience import Patience


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a server with a script, and give it and an endpoint that asks it."""
    pytest.importorskip("openai", reason="needs the extra 'llm'")
    with ExitStack() as running:

        def started(script: Script, **settings: object) -> tuple[ChatServer, Endpoint]:
            server = running.enter_context(ChatServer(script))
            settings.setdefault("dialects", tmp_path / "dialects")
            settings.setdefault("patience", Patience(timeout=10.0, total=20.0, retries=2))
            return server, Endpoint(server.url, "toy", **settings)

        yield started
