"""Public data sets by name: fetched once, checked, and kept in a folder of the user's.

Where there is no network the error names the file to fetch by hand and the folder to put it in; a
file that lies there already is used. MovieLens archives are checked against their SHA-256 or MD5;
the publisher of the Amazon reviews gives no checksums, so their content is checked against the
published counts.
"""

import hashlib
import logging
import os
import shutil
import urllib.error
import urllib.request
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

from palate.data.sources.amazon import read_amazon
from palate.data.sources.movielens import read_movielens
from palate.data.sources.read import Source, SourceFile
from palate.errors import DataError

logger = logging.getLogger(__name__)

_GROUPLENS = "https://files.grouplens.org/datasets/movielens/"
_AMAZON = "https://snap.stanford.edu/data/amazon/productGraph/categoryFiles/"
_TIMEOUT_SECONDS = 30
_CHUNK_BYTES = 2**20


@dataclass(frozen=True)
class RemoteFile:
    """A file to fetch, and the checksum it must have where its publisher gives one."""

    url: str
    checksum: str = ""
    """``sha256:...`` or ``md5:...``; empty where none is published."""

    @property
    def name(self) -> str:
        """The file's own name."""
        return self.url.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Counts:
    """Published size of a data set."""

    users: int
    items: int
    events: int


@dataclass(frozen=True)
class PublicSet:
    """A data set that has a name."""

    files: tuple[RemoteFile, ...]
    """A MovieLens archive, or Amazon reviews and metadata."""
    counts: Counts | None = None


def _movielens(name: str, checksum: str) -> PublicSet:
    return PublicSet((RemoteFile(f"{_GROUPLENS}{name}.zip", checksum),))


def _amazon(category: str, users: int, items: int, events: int) -> PublicSet:
    files = (
        RemoteFile(f"{_AMAZON}reviews_{category}_5.json.gz"),
        RemoteFile(f"{_AMAZON}meta_{category}.json.gz"),
    )
    return PublicSet(files, Counts(users, items, events))


PUBLIC_SETS: dict[str, PublicSet] = {
    "ml-100k": _movielens(
        "ml-100k", "sha256:50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229"
    ),
    "ml-1m": _movielens(
        "ml-1m", "sha256:a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20"
    ),
    "ml-10m": _movielens("ml-10m", "md5:ce571fd55effeba0271552578f2648bd"),
    "ml-20m": _movielens("ml-20m", "md5:cd245b17a1ae2cc31bb14903e1204af3"),
    "ml-25m": _movielens("ml-25m", "md5:6b51fb2759a8657d3bfcbfc42b592ada"),
    "ml-latest-small": _movielens(
        "ml-latest-small",
        "sha256:696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436",
    ),
    "amazon-2014-beauty": _amazon("Beauty", 22_363, 12_101, 198_502),
    "amazon-2014-sports": _amazon("Sports_and_Outdoors", 35_598, 18_357, 296_337),
    "amazon-2014-toys": _amazon("Toys_and_Games", 19_412, 11_924, 167_597),
    "amazon-2014-instruments": _amazon("Musical_Instruments", 1_429, 900, 10_261),
    "amazon-2014-office": _amazon("Office_Products", 4_905, 2_420, 53_258),
    "amazon-2014-games": _amazon("Video_Games", 24_303, 10_672, 231_780),
    "amazon-2014-clothing": _amazon("Clothing_Shoes_and_Jewelry", 39_387, 23_033, 278_677),
}
"""Every name that ``palate prepare`` knows."""


def cache_folder() -> Path:
    """Return where fetched files are kept: ``$PALATE_DATA``, else below the user's cache."""
    if named := os.environ.get("PALATE_DATA"):
        return Path(named)
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "palate"


def read_public(name: str, cache: Path | None = None) -> Source:
    """Fetch a public set unless it is there already, check it and read it.

    Raises:
        DataError: when a file cannot be fetched, or is not what was published.
    """
    known = PUBLIC_SETS[name]
    folder = cache or cache_folder()
    missing = [file.name for file in known.files if not (folder / file.name).is_file()]
    wanted_by = f"{name!r} (which needs {' and '.join(missing)})" if missing else repr(name)
    files = [fetch(file, folder, wanted_by=wanted_by) for file in known.files]
    if files[0].suffix == ".zip":
        source = read_movielens(_unpacked(files[0], folder / name))
    else:
        source = read_amazon(files[0], files[1])
    if known.counts is not None:
        _check_counts(source.events, known.counts)
    return replace(source, name=name)


def fetch(file: RemoteFile, folder: Path, *, wanted_by: str) -> Path:
    """Return the path of ``file`` in ``folder``, fetching it when it is not there.

    Raises:
        DataError: when it cannot be fetched, or its checksum differs.
    """
    path = folder / file.name
    if not path.is_file():
        _download(file, path, wanted_by)
    _check_sum(path, file)
    return path


def _download(file: RemoteFile, path: Path, wanted_by: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.part")
    logger.info("Fetching %s", file.url)
    try:
        with (
            urllib.request.urlopen(file.url, timeout=_TIMEOUT_SECONDS) as answer,
            partial.open("wb") as target,
        ):
            shutil.copyfileobj(answer, target, _CHUNK_BYTES)
        os.replace(partial, path)
    except (urllib.error.URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        raise DataError(
            f"{file.name!r} for {wanted_by} could not be fetched from {file.url} ({reason}).",
            hint=f"Fetch it by hand, put it in {str(path.parent)!r} and run the command again.",
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def _check_sum(path: Path, file: RemoteFile) -> None:
    if not file.checksum:
        return
    algorithm, expected = file.checksum.split(":")
    with path.open("rb") as content:
        found = hashlib.file_digest(content, algorithm).hexdigest()
    if found != expected:
        raise DataError(
            f"{str(path)!r} is not the published file: its {algorithm} is {found}, not {expected}.",
            hint=f"Remove it and run the command again, or fetch it from {file.url}.",
        )


def _unpacked(archive: Path, folder: Path) -> Path:
    """Unpack the tables of an archive flat into ``folder``; names inside are no paths."""
    if any(folder.glob("*")):
        return folder
    partial = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    with zipfile.ZipFile(archive) as packed:
        for member in packed.infolist():
            name = Path(member.filename).name
            if name in _MEMBERS:
                with packed.open(member) as content, (partial / name).open("wb") as target:
                    shutil.copyfileobj(content, target, _CHUNK_BYTES)
    os.replace(partial, folder)
    return folder


_MEMBERS = frozenset(
    {
        *("u.data", "u.item", "u.user", "ratings.dat", "movies.dat", "users.dat"),
        *("ratings.csv", "movies.csv", "tags.csv"),
    }
)


def _check_counts(events: SourceFile, published: Counts) -> None:
    table = events.table
    found = Counts(table["user_id"].n_unique(), table["item_id"].n_unique(), table.height)
    if found != published:
        raise DataError(
            f"{str(events.path)!r} is not the published file: it holds {found}, not {published}.",
            hint="Remove it and run the command again.",
        )
