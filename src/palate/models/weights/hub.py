"""Weights from the hub: the wanted files of one revision, by the hub's own client.

The client keeps what it downloads in a cache of its own, so that a download which was broken off
goes on where it was, and a model that is there already needs no network.
"""

import hashlib
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, cast

from palate.errors import ArtifactError, MissingExtraError
from palate.models.weights.bars import without_bars
from palate.models.weights.files import (
    check_sha256,
    copy_model,
    is_taken,
    most_bytes,
)
from palate.models.weights.named import NamedModel

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoSibling


def fetch_from_hub(model: NamedModel, folder: Path) -> None:
    """Download a model's files of its revision into ``folder``, each checked.

    A file of weights is compared with the SHA-256 that the hub states for the revision, any other
    with the name of its content in git. Without a network the files in the hub's cache are taken.

    Raises:
        MissingExtraError: when the hub's client is not installed.
        ArtifactError: when the hub cannot be reached and the cache does not have the model, or a
            file is not what it should be.
    """
    if find_spec("huggingface_hub") is None:
        raise MissingExtraError("huggingface_hub", "hf")
    from huggingface_hub.errors import HfHubHTTPError

    # Its bases are what the client's own HTTP package raises, whichever that is, and OSError.
    failures = cast(tuple[type[Exception], ...], (*HfHubHTTPError.__bases__, ValueError))
    stated: list[RepoSibling] = []
    try:
        stated = _stated(model)
        with without_bars():
            found = _downloaded(model, [file.rfilename for file in stated])
    except failures as error:
        found = _in_cache(model, error)
    copy_model(found, folder)
    for file in stated:
        _check_stated(folder / file.rfilename, file)


def _stated(model: NamedModel) -> "list[RepoSibling]":
    """Return what the hub states of the wanted files; what is too large is refused."""
    from huggingface_hub import HfApi

    info = HfApi().model_info(model.hub, revision=model.revision, files_metadata=True)
    wanted = [file for file in info.siblings or [] if is_taken(file.rfilename)]
    for file in wanted:
        if (file.size or 0) > most_bytes(file.rfilename):
            raise ArtifactError(
                f"{file.rfilename!r} of {model.hub!r} has {file.size:,} bytes, which is not what "
                "such a file should have.",
                hint="Look at the model's page on the hub.",
            )
    return wanted


def _downloaded(model: NamedModel, names: Sequence[str]) -> Path:
    """Download files into the client's cache and return the folder of the revision there."""
    from huggingface_hub import hf_hub_download

    places = [hf_hub_download(model.hub, name, revision=model.revision) for name in names]
    if not places:
        raise ArtifactError(
            f"The hub has no weights of {model.hub!r} as safetensors.",
            hint="Look at the model's page on the hub.",
        )
    return Path(places[0]).parent


def _in_cache(model: NamedModel, why: Exception) -> Path:
    """Return the folder of the revision in the client's cache, or raise why nothing was fetched."""
    from huggingface_hub import snapshot_download

    try:
        found = snapshot_download(model.hub, revision=model.revision, local_files_only=True)
        return Path(found)
    except (OSError, ValueError):
        first_line = str(why).strip().split("\n")[0] or type(why).__name__
        raise ArtifactError(
            f"{model.hub!r} cannot be fetched from the hub: {first_line}",
            hint=f"Where the hub can be reached: hf download {model.hub} --revision "
            f"{model.revision} --local-dir {model.name}. Bring that folder here, and give its "
            "path with --from.",
        ) from why


def _check_stated(path: Path, stated: "RepoSibling") -> None:
    """Compare a file with what the hub states of it."""
    if stated.lfs is not None:
        check_sha256(path, stated.lfs.sha256, f"{path.name!r} of the hub")
    elif stated.blob_id is not None and _git_name(path) != stated.blob_id:
        raise ArtifactError(
            f"{path.name!r} is not what the hub states.", hint="Fetch the model again."
        )


def _git_name(path: Path) -> str:
    """Return the name of a file's content in git, which the hub knows it by."""
    data = path.read_bytes()
    named = hashlib.sha1(b"blob %d\0" % len(data), usedforsecurity=False)
    named.update(data)
    return named.hexdigest()
