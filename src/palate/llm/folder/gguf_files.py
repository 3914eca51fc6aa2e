"""GGUF files, which must be converted before a model is read from a folder."""

import shlex
from pathlib import Path

from palate.errors import ConfigError


def gguf_file(path: Path) -> Path | None:
    """Return the GGUF file that ``path`` is, or the one in the folder ``path``; None without one.

    A folder that also holds safetensors is read as it is.

    Raises:
        ConfigError: when a folder holds several.
    """
    if path.is_file():
        return path if path.suffix == ".gguf" else None
    if not path.is_dir() or any(path.glob("*.safetensors")):
        return None
    found = sorted(path.glob("*.gguf"))
    if len(found) > 1:
        raise ConfigError(
            f"{str(path)!r} holds several GGUF files: {', '.join(each.name for each in found)}.",
            hint="Give the path of one of them.",
        )
    return found[0] if found else None


def check_converted(path: Path | str) -> None:
    """Refuse a GGUF file, or a folder with one, in place of a folder of weights.

    Raises:
        ConfigError: with the command that converts it.
    """
    found = gguf_file(Path(path))
    if found is None:
        return
    target = found.with_suffix("")
    raise ConfigError(
        f"{str(found)!r} is a GGUF file, which has to be converted once.",
        hint=f"Run: palate backbone get {shlex.quote(str(found))} {shlex.quote(str(target))} "
        "and give that folder.",
    )
