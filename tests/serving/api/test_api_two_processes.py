"""Two servers of their own processes on one store: who is erased by one is forgotten by both."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "bench"))

from service import Client, Server, start_palate

pytestmark = pytest.mark.slow


@contextmanager
def _server(model: Path, folder: Path, name: str) -> Iterator[Server]:
    server = start_palate(model, f"sqlite:///{folder}/palate.db", folder / f"{name}.log")
    try:
        yield server
    finally:
        server.process.terminate()
        server.process.wait(timeout=60)


def _why(client: Client, item_id: str) -> list:
    reply = client.ask("POST", "/v1/explain", {"user_id": "u1", "item_id": item_id})
    assert reply.status == 200, reply.body
    return reply.json()["why"]  # type: ignore[return-value]


def _listed(client: Client) -> list[str]:
    found = client.ask("POST", "/v1/recommend", {"user_id": "u1", "n": 20}).json()["items"]
    return [item["item_id"] for item in found]  # type: ignore[attr-defined]


def test_the_other_process_neither_recommends_nor_explains_from_what_was_erased(
    model_folders: Path, tmp_path: Path
) -> None:
    model = model_folders / "urm"
    with _server(model, tmp_path, "here") as one, _server(model, tmp_path, "there") as other:
        here, there = one.client(), other.client()
        before = _listed(there)
        here.ask("POST", "/v1/feedback", {"user_id": "u1", "item_id": before[0]})
        assert _why(there, before[1])
        erased = here.ask("DELETE", "/v1/users/u1").json()["erased"]
        assert (erased["events"], erased["profile"]) == (1, True)  # type: ignore[index]
        until = time.monotonic() + 30
        while _why(there, before[1]) and time.monotonic() < until:
            time.sleep(0.2)
        assert _why(there, before[1]) == []
        assert _listed(there) == _listed(here) != before
        # The answers that the other gave before are not recorded after: nothing comes back.
        time.sleep(1.5)
        exported = there.ask("GET", "/v1/users/u1/export").json()
        assert (
            exported["recommendations"] == exported["events"] == exported["training_events"] == []
        )
