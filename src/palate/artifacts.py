"""Folders that stages leave behind: written whole or not at all, each with a manifest.

A folder holds safetensors, Parquet and JSON only; nothing is ever unpickled. ``manifest.json``
names the kind of the folder, the versions that wrote it, the hash of each file and the hash of
each input, so that a damaged folder or a stale mix of them is an error that says what to rebuild.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from palate.errors import ArtifactError
from palate.storage import content, real, saving, stays_in_place, try_to_write, whole_folder

FORMAT = 1
"""Layout version of every folder; raised when an old folder can no longer be read."""

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Manifest:
    """What made a folder, from what, and what must be in it."""

    kind: str
    """``dataset``, ``vectors``, ``codes``, ``text-encoder``, ``model`` or ``backbone``."""
    name: str
    """What a person calls it."""
    made_by: str
    """The stage and its settings, in one line."""
    inputs: Mapping[str, str] = field(default_factory=dict)
    """Content hash of each input by name."""
    seed: int | None = None
    settings: Mapping[str, object] = field(default_factory=dict)
    """Everything that decided the content, JSON values only."""
    files: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of each file, filled when the folder is closed."""
    versions: Mapping[str, str] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def content_hash(self) -> str:
        """One hash for the whole folder: what another stage records as its input."""
        return hash_text(json.dumps(dict(sorted(self.files.items()))))


def hash_text(text: str) -> str:
    """Return the SHA-256 of ``text``, shortened to 16 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's content, shortened to 16 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


@contextmanager
def writing(folder: Path, manifest: Manifest) -> Iterator[Path]:
    """Give a temporary folder to fill; it replaces ``folder`` on success and vanishes on failure.

    Raises:
        ArtifactError: when ``folder`` exists and is not a Palate folder of the same kind; nothing
            is overwritten then; or when nothing can be written there.
    """
    with saving(folder):
        _check_replaceable(folder, manifest.kind)

        def finish(filled: Path) -> None:
            _write_manifest(filled, manifest)

        with whole_folder(folder, MANIFEST, finish) as temporary:
            yield temporary


def kind_of(folder: Path | str) -> str | None:
    """Return what a folder that Palate made holds; None for any other folder, and for a file."""
    try:
        found = json.loads((Path(folder) / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return str(found["kind"]) if isinstance(found, dict) and "kind" in found else None


def check_folder_target(folder: Path | str, kind: str) -> None:
    """Find out whether a folder of ``kind`` could be written, before the work is done.

    Raises:
        ArtifactError: when ``folder`` holds something else, or nothing can be written there.
    """
    folder = Path(folder)
    with saving(folder):
        _check_replaceable(folder, kind)
        place = real(folder)
        with suppress(FileNotFoundError):
            place.stat()  # a name may be too long
        try_to_write(place if stays_in_place(place) else place.parent)


def read_manifest(folder: Path, kind: str) -> Manifest:
    """Read and check the manifest of ``folder``.

    Raises:
        ArtifactError: when the folder is missing, of another kind or newer, or lacks a file.
    """
    manifest = _parse_manifest(folder, kind)
    missing = [name for name in manifest.files if not (folder / name).is_file()]
    if missing:
        raise ArtifactError(
            f"{str(folder)!r} is damaged: {', '.join(missing)} missing.",
            hint="Make the folder again.",
        )
    return manifest


@contextmanager
def understanding(folder: Path, manifest: Manifest) -> Iterator[None]:
    """Say of a folder that cannot be used that another version of Palate made it, where one did.

    Raises:
        ArtifactError: in place of whatever is raised while the folder is read.
    """
    try:
        yield
    except _OtherVersionError:
        raise
    except Exception as error:
        theirs, ours = manifest.versions.get("palate", ""), _versions().get("palate", "")
        if not theirs or theirs == ours:
            raise
        later = _numbers(theirs) > _numbers(ours)
        raise _OtherVersionError(
            f"{str(folder)!r} was made by Palate {theirs}, and this version, {ours}, cannot read "
            f"it: {getattr(error, 'message', error)}",
            hint=_UPGRADE if later else "Make the folder again with this version.",
        ) from error


def verify(folder: Path, manifest: Manifest) -> None:
    """Compare each file of ``folder`` with the hash in its manifest.

    Raises:
        ArtifactError: naming the first file that differs.
    """
    for name, expected in manifest.files.items():
        if hash_file(folder / name) != expected:
            raise ArtifactError(
                f"{str(folder / name)!r} does not match its manifest.",
                hint="Make the folder again.",
            )


_UPGRADE = "Upgrade Palate: pip install -U palate"

_HOW_TO_MAKE = {
    "dataset": "Make one with: palate prepare SOURCE DATASET",
    "model": "Make one with: palate train DATASET MODEL",
    "codes": "Make some with: palate index DATASET --out CODES",
    "text-encoder": "Make one with: palate tune-text DATASET FOLDER",
    "backbone": "Get one with: palate backbone get NAME FOLDER",
}


def _parse_manifest(folder: Path, kind: str) -> Manifest:
    """Read the manifest of a folder of ``kind``, whatever state the rest of the folder is in."""
    path = folder / MANIFEST
    if not path.is_file():
        raise ArtifactError(
            f"No {kind} in {str(folder)!r}: {_what_is_there(folder)}.",
            hint=_HOW_TO_MAKE.get(kind, ""),
        )
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        _check_version(folder, found)
        manifest = Manifest(**found)
    except (ValueError, TypeError) as error:
        raise ArtifactError(
            f"The manifest {str(path)!r} cannot be read: {error}.", hint="Make the folder again."
        ) from error
    if manifest.kind != kind:
        raise ArtifactError(
            f"{str(folder)!r} holds {_named(manifest.kind)}, not {_named(kind)}.",
            hint=_where_else(folder, manifest.kind, kind),
        )
    return manifest


class _OtherVersionError(ArtifactError):
    """A folder that another version of Palate made, which this one cannot read."""


def _check_version(folder: Path, found: Mapping[str, object]) -> None:
    """Raise where a manifest holds what this version does not know.

    Raises:
        ArtifactError: saying that Palate must be upgraded.
        ValueError: when it is no manifest.
    """
    if not isinstance(found, dict) or not {"kind", "name", "made_by"} <= found.keys():
        raise ValueError("it does not say what is in the folder")
    layout = int(found.get("format", FORMAT))
    unknown = found.keys() - {field.name for field in fields(Manifest)}
    if layout > FORMAT or unknown:
        what = f"has format {layout}" if layout > FORMAT else f"says {', '.join(sorted(unknown))}"
        raise _OtherVersionError(
            f"{str(folder)!r} was made by a later version of Palate: it {what}; this version reads "
            f"formats up to {FORMAT}.",
            hint=_UPGRADE,
        )


def _what_is_there(folder: Path) -> str:
    if folder.is_file():
        return "it is a file"
    return f"there is no {MANIFEST}" if folder.is_dir() else "there is no such folder"


def _where_else(folder: Path, held: str, wanted: str) -> str:
    """Return what to do about a folder that holds another kind than was wanted."""
    if (held, wanted) == ("model", "dataset") and (folder / "dataset" / MANIFEST).is_file():
        return f"The data it was trained on is in {str(folder / 'dataset')!r}."
    if (held, wanted) == ("dataset", "model"):
        return f"Make a model of it with: palate train {folder} MODEL"
    return _HOW_TO_MAKE.get(wanted, "")


def _named(kind: str) -> str:
    return kind if kind.endswith("s") else f"a {kind}"


def _check_replaceable(folder: Path, kind: str) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ArtifactError(
            f"{str(folder)!r} is a file; {_named(kind)} would be a folder.",
            hint="Choose another name.",
        )
    found = content(folder)
    if not found:
        return
    try:
        manifest = _parse_manifest(folder, kind)  # a damaged folder may be made again
    except _OtherVersionError:
        raise
    except ArtifactError as error:
        raise ArtifactError(
            f"{str(folder)!r} exists and is not {_named(kind)} made by Palate: "
            "it will not be overwritten.",
            hint="Choose another folder or remove it first.",
        ) from error
    ours = {MANIFEST, *(Path(name).parts[0] for name in manifest.files)}
    others = [entry.name for entry in found if entry.name not in ours]
    if others:
        raise ArtifactError(
            f"{str(folder)!r} also holds {', '.join(others)}, which Palate did not write: it will "
            "not be overwritten.",
            hint="Move that away, or choose another folder.",
        )


def _write_manifest(folder: Path, manifest: Manifest) -> None:
    files = {
        str(p.relative_to(folder)): hash_file(p) for p in sorted(folder.rglob("*")) if p.is_file()
    }
    complete = asdict(manifest) | {"files": files, "versions": _versions()}
    text = json.dumps(complete, indent=2, sort_keys=True) + "\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8")


def _numbers(name: str) -> list[int]:
    """Return the numbers of a version, to be compared: ``0.10.2`` is later than ``0.9``."""
    return [int(digits) for digits in re.findall(r"\d+", name)]


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for package in ("palate", "numpy", "polars", "torch", "tokenizers", "scikit-learn"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
