"""A service that cannot start says why in one sentence, soon, and leaves nothing behind."""

import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from palate.errors import ArtifactError, ConfigError, PalateError
from palate.serving import mcp, server
from palate.serving.app import ServeSettings
from palate.serving.startup import open_service


def served(model: Path, db: str) -> None:
    server.serve(ServeSettings(models={model: 1.0}, db=db, port=0))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to start from."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    # The test's own logging stays as it is.
    monkeypatch.setattr(server, "log_as_json", lambda: None)
    monkeypatch.setattr(mcp, "log_as_json", lambda: None)
    return folder


@pytest.mark.parametrize("start", [served, mcp.run_mcp], ids=["serve", "mcp"])
@pytest.mark.parametrize(
    ("what", "error", "said"),
    [
        ("nowhere", ArtifactError, "No model in"),
        ("dataset", ArtifactError, "holds a dataset, not a model"),
        ("damaged", ArtifactError, "does not match its manifest"),
        ("untrue", ArtifactError, "cannot be read"),
    ],
)
def test_a_folder_that_is_no_model_leaves_no_database(
    start: Callable[[Path, str], None],
    what: str,
    error: type[PalateError],
    said: str,
    model_folders: Path,
    here: Path,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "model"
    if what == "dataset":
        folder = model_folders / "urm" / "dataset"
    elif what != "nowhere":
        shutil.copytree(model_folders / "urm", folder)
        name = "weights.safetensors" if what == "damaged" else "manifest.json"
        content = bytearray((folder / name).read_bytes())
        content[len(content) // 2] ^= 1
        (folder / name).write_bytes(content if what == "damaged" else b"{")
    with pytest.raises(error, match=said) as raised:
        start(folder, "sqlite:///palate.db")
    assert raised.value.hint
    assert not list(here.iterdir())


@pytest.mark.parametrize("start", [served, mcp.run_mcp], ids=["serve", "mcp"])
@pytest.mark.parametrize(
    ("db", "said"),
    [
        ("mysql://root:secret@x/y", "mysql"),
        ("garbage", "cannot be read"),
        ("sqlite:////nowhere/at/all.db", "no folder"),
        ("sqlite:////proc/x.db", "unable to open"),
        ("sqlite:////etc", "is a folder"),
        ("postgresql://u:secret@127.0.0.1:1/db", "postgresql://u:"),
    ],
)
def test_a_database_that_cannot_be_used_is_named_without_its_password(
    start: Callable[[Path, str], None], db: str, said: str, model_folders: Path, here: Path
) -> None:
    with pytest.raises(ConfigError, match=said) as raised:
        start(model_folders / "popularity", db)
    assert raised.value.hint
    assert "secret" not in raised.value.message + raised.value.hint
    assert not list(here.iterdir())


def test_a_port_in_use_is_told_before_a_model_is_read(here: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match="already in use") as raised:
            server.serve(ServeSettings(models={here / "nowhere": 1.0}, port=port))
    assert "--port" in raised.value.hint
    assert not list(here.iterdir())


@pytest.mark.parametrize("host", ["192.0.2.7", "2001:db8::7", "nowhere.invalid"])
def test_an_address_of_another_machine_is_refused(host: str, here: Path) -> None:
    settings = ServeSettings(models={here: 1.0}, host=host, port=0, first_key="k" * 20)
    with pytest.raises(ConfigError, match="Nothing can listen"):
        server.serve(settings)


def test_days_that_make_no_sense_are_refused(model_folders: Path, here: Path) -> None:
    models = {model_folders / "popularity": 1.0}
    with pytest.raises(ConfigError, match="days"):
        open_service(models, "sqlite:///x.db", days_kept=0.0)
