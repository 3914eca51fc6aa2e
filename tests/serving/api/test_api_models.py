"""Models come and go while questions are answered."""

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from palate.errors import ArtifactError, ConfigError
from palate.serving.app import ServeSettings, create_app


def test_what_a_model_can_and_cannot_answer_is_told(
    make_client: Callable[..., TestClient],
) -> None:
    (described,) = make_client(models={"popularity": 1.0}).get("/v1/models").json()["models"]
    assert described["share"] == 1.0
    assert {"tasks", "forms", "cannot", "version"} <= set(described)
    assert all(lack["recipes"] for lack in described["cannot"])


def test_a_model_is_swapped_without_a_refusal(client: TestClient, model_folders: Path) -> None:
    before = client.get("/v1/models").json()["models"][0]["version"]
    body = {"folder": str(model_folders / "itemknn"), "swap": True}
    assert client.post("/v1/models", json=body).status_code == 201
    (model,) = client.get("/v1/models").json()["models"]
    assert model["version"] != before
    answer = client.post("/v1/recommend", json={"user_id": "u1"}).json()
    assert answer["model_version"] == model["version"]


def test_a_model_is_loaded_beside_given_another_share_and_removed(
    client: TestClient, model_folders: Path
) -> None:
    body = {"folder": str(model_folders / "itemknn"), "share": 0.25}
    version = client.post("/v1/models", json=body).json()["loaded"]
    assert [m["share"] for m in client.get("/v1/models").json()["models"]] == [1.0, 0.25]
    assert client.put(f"/v1/models/{version}", json={"share": 3}).status_code == 200
    assert client.get("/v1/models").json()["models"][1]["share"] == 3
    assert client.delete(f"/v1/models/{version}").json() == {"removed": version}
    (only,) = client.get("/v1/models").json()["models"]
    assert client.delete(f"/v1/models/{only['version']}").status_code == 400


@pytest.mark.parametrize("folder", ["/nowhere", "/", "x" * 4_000, "/etc/passwd"])
def test_a_folder_that_is_no_model_changes_nothing(client: TestClient, folder: str) -> None:
    response = client.post("/v1/models", json={"folder": folder, "swap": True})
    assert response.status_code == 409
    assert response.json()["error"]["hint"]
    assert client.post("/v1/recommend", json={}).status_code == 200


def test_a_damaged_model_folder_refuses_to_start(model_folders: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model_folders / "urm", folder)
    weights = folder / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(ArtifactError, match=r"weights\.safetensors"):
        create_app(ServeSettings(models={folder: 1.0}, db=f"sqlite:///{tmp_path}/x.db"))


def test_a_store_that_cannot_be_used_refuses_to_start(model_folders: Path) -> None:
    with pytest.raises(ConfigError):
        create_app(ServeSettings(models={model_folders / "urm": 1.0}, db="mysql://x/y"))


def test_no_question_is_lost_while_models_are_swapped(
    make_client: Callable[..., TestClient], model_folders: Path
) -> None:
    client = make_client()
    app, statuses, versions = client.app, [], set()

    async def asked(method: str, path: str, body: dict) -> tuple[int, dict]:
        raw, sent = json.dumps(body).encode(), []

        async def receive() -> dict:
            return {"type": "http.request", "body": raw, "more_body": False}

        async def send(message: dict) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(b"x-api-key", b"the-first-key")],
            "client": ("1.2.3.4", 5),
        }
        await app(scope, receive, send)
        return sent[0]["status"], json.loads(sent[1]["body"])

    async def ask(stop: asyncio.Event) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            body = {"user_id": f"u{number % 60}", "n": 3}
            status, answer = await asked("POST", "/v1/recommend", body)
            statuses.append(status)
            versions.add(answer.get("model_version"))

    async def run() -> None:
        stop = asyncio.Event()
        asking = [asyncio.create_task(ask(stop)) for _ in range(8)]
        for name in ("itemknn", "urm", "popularity"):
            body = {"folder": str(model_folders / name), "swap": True}
            status, _ = await asked("POST", "/v1/models", body)
            assert status == 201
            await asyncio.sleep(0.1)  # for the new one to be asked
        stop.set()
        await asyncio.gather(*asking)

    client.portal.call(run)
    assert set(statuses) == {200}
    assert len(versions) >= 3
