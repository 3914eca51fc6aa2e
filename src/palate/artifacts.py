"""Folders that stages leave behind: written whole or not at all, each with a manifest.

A folder holds safetensors, Parquet and JSON only; nothing is ever unpickled. ``manifest.json``
names the kind of the folder, the versions that wrote it, the hash of each file and the hash of
each input, so that a damaged folder or a stale mix of them is an error that says what to rebuild.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from palate.errors import ArtifactError

FORMAT = 1
"""Layout version of every folder; raised when an old folder can no longer be read."""

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Manifest:
    """What made a folder, from what, and what must be in it."""

    kind: str
    """``dataset``, ``vectors``, ``codes`` or ``model``."""
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
    _check_replaceable(folder, manifest.kind)
    temporary = _beside(folder)
    try:
        yield temporary
        _write_manifest(temporary, manifest)
        _swap(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def read_manifest(folder: Path, kind: str) -> Manifest:
    """Read and check the manifest of ``folder``.

    Raises:
        ArtifactError: when the folder is missing, of another kind or newer, or lacks a file.
    """
    manifest = _parse_manifest(folder, kind)
    if manifest.format > FORMAT:
        raise ArtifactError(
            f"{str(folder)!r} has format {manifest.format}; "
            f"this version of Palate reads up to {FORMAT}.",
            hint="Upgrade with: pip install -U palate",
        )
    missing = [name for name in manifest.files if not (folder / name).is_file()]
    if missing:
        raise ArtifactError(
            f"{str(folder)!r} is damaged: {', '.join(missing)} missing.",
            hint="Make the folder again.",
        )
    return manifest


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


_HOW_TO_MAKE = {
    "dataset": "Make one with: palate prepare SOURCE DATASET",
    "model": "Make one with: palate train DATASET MODEL",
    "codes": "Make some with: palate index DATASET --out CODES",
}


def _parse_manifest(folder: Path, kind: str) -> Manifest:
    """Read the manifest of a folder of ``kind``, whatever state the rest of the folder is in."""
    path = folder / MANIFEST
    if not path.is_file():
        raise ArtifactError(
            f"No {kind} in {str(folder)!r}: there is no {MANIFEST}.",
            hint=_HOW_TO_MAKE.get(kind, ""),
        )
    try:
        manifest = Manifest(**json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise ArtifactError(
            f"The manifest {str(path)!r} cannot be read: {error}.", hint="Make the folder again."
        ) from error
    if manifest.kind != kind:
        raise ArtifactError(
            f"{str(folder)!r} holds {_named(manifest.kind)}, not {_named(kind)}.",
            hint=_HOW_TO_MAKE.get(kind, ""),
        )
    return manifest


def _beside(folder: Path) -> Path:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise ArtifactError(
            f"{str(folder)!r} cannot be written: {error.strerror}.",
            hint="Choose another folder, or mend the rights of the one it lies in.",
        ) from error


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
    if any(folder.iterdir()):
        try:
            _parse_manifest(folder, kind)  # a damaged folder may be made again
        except ArtifactError as error:
            raise ArtifactError(
                f"{str(folder)!r} exists and is not {_named(kind)} made by Palate: "
                "it will not be overwritten.",
                hint="Choose another folder or remove it first.",
            ) from error


def _write_manifest(folder: Path, manifest: Manifest) -> None:
    files = {
        str(p.relative_to(folder)): hash_file(p) for p in sorted(folder.rglob("*")) if p.is_file()
    }
    complete = asdict(manifest) | {"files": files, "versions": _versions()}
    (folder / MANIFEST).write_text(json.dumps(complete, indent=2, sort_keys=True) + "\n")


def _swap(temporary: Path, folder: Path) -> None:
    """Put ``temporary`` in the place of ``folder``; it is missing only between two renames."""
    temporary.chmod(0o755)
    if folder.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old.", dir=folder.parent))
        os.replace(folder, old)
        os.replace(temporary, folder)
        shutil.rmtree(old)
    else:
        os.replace(temporary, folder)


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for package in ("palate", "numpy", "polars", "torch", "tokenizers", "scikit-learn"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
