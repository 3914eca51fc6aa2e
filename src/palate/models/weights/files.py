"""The files of a model that are taken over: weights that are no programs, settings, a tokenizer.

Nothing else is read or copied: a pickle, a Python file or a link out of a folder never gets in.
"""

import json
import re
import shutil
from collections.abc import Iterable
from hashlib import file_digest
from pathlib import Path
from typing import Protocol, runtime_checkable

from palate.errors import ArtifactError

WEIGHTS = "model.safetensors"

MAX_WEIGHTS_BYTES = 64 * 2**30
MAX_TEXT_BYTES = 64 * 2**20
"""The largest tokenizers have 35 MB."""

_BLOCK = 2**20

TAKEN = (
    *("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"),
    *("special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt", "vocab.txt"),
    *("chat_template.jinja", "chat_template.json", "tokenizer.model", "spiece.model"),
    *("sentencepiece.bpe.model", "model.safetensors.index.json", "LICENSE", "LICENSE.txt"),
)
"""Names of the files that may lie beside the weights."""

_OF_WEIGHTS = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors")


@runtime_checkable
class Readable(Protocol):
    """A stream of bytes."""

    def read(self, most: int, /) -> bytes:
        """Return at most so many bytes; none at the end."""
        ...


def is_taken(name: str) -> bool:
    """Return whether a file of this name, directly in a model's folder, is taken over."""
    return name in TAKEN or _OF_WEIGHTS.fullmatch(name) is not None


def most_bytes(name: str) -> int:
    """Return how large a file of this name may be."""
    return MAX_WEIGHTS_BYTES if name.endswith((".safetensors", ".gguf")) else MAX_TEXT_BYTES


def sha256_of(path: Path) -> str:
    """Return the whole SHA-256 of a file."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def check_sha256(path: Path, expected: str, what: str) -> None:
    """Check that a file is the known one.

    Raises:
        ArtifactError: when it has another hash.
    """
    found = sha256_of(path)
    if found != expected:
        raise ArtifactError(
            f"{what} has the SHA-256 {found}; the known one has {expected}.",
            hint="It is damaged or another one: nothing of it is used. Fetch it again; a file that "
            "you trust is taken when its path is given in place of the name.",
        )


def copy_bounded(source: Readable, target: Path, most: int) -> None:
    """Copy a stream into a new file.

    Raises:
        ArtifactError: when it has more than ``most`` bytes, whatever it said of its size.
    """
    left = most
    with target.open("xb") as out:
        while block := source.read(_BLOCK):
            left -= len(block)
            if left < 0:
                raise ArtifactError(
                    f"{target.name!r} has more than {most:,} bytes.",
                    hint="Take a model whose files are smaller.",
                )
            out.write(block)


def copy_model(source: Path, folder: Path) -> None:
    """Copy the files of a model that are taken over from one folder into another.

    Raises:
        ArtifactError: when a file is too large, or there is no whole model.
    """
    names = sorted(entry.name for entry in source.iterdir() if entry.is_file())
    for name in filter(is_taken, names):
        size = (source / name).stat().st_size
        if size > most_bytes(name):
            raise ArtifactError(
                f"{str(source / name)!r} has {size:,} bytes, more than {most_bytes(name):,}.",
                hint="Take a model whose files are smaller.",
            )
        shutil.copyfile(source / name, folder / name)
    check_model(folder, names, str(source))


def check_model(folder: Path, found: Iterable[str], source: str) -> None:
    """Check that a folder holds a whole model: settings, a tokenizer, weights that can be read.

    Args:
        folder: the folder with what was taken over.
        found: names of everything that was there to take.
        source: what a person calls the place it came from.

    Raises:
        ArtifactError: when something is missing or damaged.
    """
    weights = sorted(path for path in folder.iterdir() if _OF_WEIGHTS.fullmatch(path.name))
    if not weights:
        pickles = [name for name in found if name.endswith((".bin", ".pt", ".pth", ".ckpt"))]
        more = f" ({pickles[0]} may hold a program, and is never opened)" if pickles else ""
        raise ArtifactError(
            f"{source} holds no weights as safetensors{more}.",
            hint="Take a model that is published as safetensors or GGUF.",
        )
    _check_settings(folder / "config.json", source)
    if not any((folder / name).is_file() for name in ("tokenizer.json", "spiece.model")):
        raise ArtifactError(
            f"{source} holds no tokenizer.json.",
            hint="Download the tokenizer of the model into the same folder.",
        )
    for path in weights:
        _check_weights(path)


def _check_settings(path: Path, source: str) -> None:
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"{source} holds no config.json that can be read: {error}.",
            hint="Download the model again, whole.",
        ) from error
    if not isinstance(settings, dict) or "model_type" not in settings:
        raise ArtifactError(
            f"The config.json of {source} does not say of which kind the model is.",
            hint="Take a model that transformers can read.",
        )


def _check_weights(path: Path) -> None:
    """Read the header of a file of weights, which says where each tensor lies."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as opened:
            opened.keys()
    except (SafetensorError, OSError) as error:
        raise ArtifactError(
            f"The weights {path.name!r} are damaged: {error}.", hint="Fetch the model again."
        ) from error
