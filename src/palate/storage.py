"""Atomic writing of files and folders, and the errors of the system in plain words.

Most targets are written beside their place and moved there. Some cannot be moved: a device or a
pipe is written directly; a mounted folder, the working directory, and a folder whose parent is
read-only keep their place, and their content is exchanged.
"""

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from palate.errors import ArtifactError, PalateError

_RUST_ERROR = re.compile(r"\(os error (\d+)\)")
"""The system's error number in messages of polars, safetensors and tokenizers."""

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_RIGHT = (errno.EACCES, errno.EPERM, errno.EROFS)
_NO_SUCH_PLACE = (errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP)
_IN_USE = (errno.EBUSY, errno.EXDEV)


def refusal(error: BaseException) -> int | None:
    """Return the number of the system's error behind ``error``; None where there is none.

    Libraries written in Rust have it in their message; our own errors hold it as their cause.
    """
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    found = _RUST_ERROR.search(str(error))
    if found is not None:
        return int(found.group(1))
    if isinstance(error, PalateError) and error.__cause__ is not None:
        return refusal(error.__cause__)
    return None


def refused(path: Path | str, number: int, done: str = "written") -> ArtifactError:
    """Return the error that says why ``path`` cannot be written, or read, and what to do."""
    if number in _NO_SPACE:
        hint = "Free some space, or choose a place on another disk."
    elif number in _NO_RIGHT:
        hint = "Choose another place, or change who may use this one."
    elif number in _NO_SUCH_PLACE:
        hint = "Choose another name."
    else:
        hint = "Choose another place."
    return ArtifactError(f"{str(path)!r} cannot be {done}: {os.strerror(number)}.", hint=hint)


@contextmanager
def saving(path: Path | str) -> Iterator[None]:
    """Turn any refusal of the system while ``path`` is written into one error that names it.

    Raises:
        ArtifactError: when the disk is full, the place may not be written, and so on.
    """
    try:
        yield
    except Exception as error:
        number = refusal(error)
        if number is None or (isinstance(error, PalateError) and number == errno.ENOENT):
            raise
        raise refused(path, number) from error


def real(path: Path | str) -> Path:
    """Return the path without links, ``.`` and ``..``; it need not exist."""
    return Path(os.path.realpath(path))


# --- files --------------------------------------------------------------------------------------


@contextmanager
def whole_file(path: Path | str) -> Iterator[Path]:
    """Yield a file to fill; it replaces ``path`` on success and is removed on failure.

    Raises:
        ArtifactError: when the file cannot be written.
    """
    path = Path(path)
    with saving(path):
        if _keeps_its_place(path):
            yield path
            return
        place = real(path)
        with new_parents(place):
            descriptor, name = tempfile.mkstemp(prefix=f".{place.name[:40]}.", dir=place.parent)
            os.close(descriptor)
            temporary = Path(name)
            try:
                yield temporary
                temporary.chmod(place.stat().st_mode if place.exists() else 0o666 & ~_umask())
                os.replace(temporary, place)
            finally:
                temporary.unlink(missing_ok=True)


def write_whole(path: Path | str, content: str | bytes) -> None:
    """Write a file atomically: whole or not at all.

    Raises:
        ArtifactError: when the file cannot be written.
    """
    # A text may hold half a surrogate pair, which no encoding has.
    data = content.encode("utf-8", "replace") if isinstance(content, str) else content
    with whole_file(path) as file:
        file.write_bytes(data)


def check_file_target(path: Path | str) -> None:
    """Check that ``path`` can be written, before the work that fills it.

    Raises:
        ArtifactError: when it is a folder, or cannot be written.
    """
    path = Path(path)
    with saving(path):
        if path.is_dir():
            raise ArtifactError(f"{str(path)!r} is a folder.", hint="Give the name of a file.")
        if _keeps_its_place(path):
            if not os.access(path, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            return
        place = real(path)
        try_to_write(place.parent)
        with suppress(FileNotFoundError):
            place.stat()  # a name may be too long


def _keeps_its_place(path: Path) -> bool:
    """Return whether a file is written in place: a device, a pipe, or one not to be replaced."""
    if path.is_relative_to("/dev"):
        return True
    if not path.exists():
        return False
    place = real(path)
    return not path.is_file() or is_mount(place) or not os.access(place.parent, os.W_OK)


def _umask() -> int:
    now = os.umask(0)
    os.umask(now)
    return now


# --- folders ------------------------------------------------------------------------------------


def try_to_write(folder: Path) -> None:
    """Create and remove a file in ``folder``, or in its nearest parent that exists.

    Raises:
        OSError: when the system refuses.
    """
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    os.rmdir(tempfile.mkdtemp(prefix=".palate.", dir=folder))


@contextmanager
def new_parents(place: Path) -> Iterator[None]:
    """Create the parents of ``place``; on failure the new ones are removed again."""
    missing = [each for each in place.parents if not each.exists()]
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for each in missing:
            with suppress(OSError):  # somebody may have put something there meanwhile
                each.rmdir()
        raise


def is_mount(path: Path) -> bool:
    """Return whether a file system is mounted at ``path``, or a folder of the same disk is."""
    if os.path.ismount(path):
        return True
    with suppress(OSError, UnicodeDecodeError):  # Linux alone has this file
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
        return str(path) in {line.split()[4].replace("\\040", " ") for line in lines}
    return False


def stays_in_place(folder: Path) -> bool:
    """Return whether ``folder`` cannot be moved, so that its content is exchanged instead."""
    return folder.is_dir() and (
        is_mount(folder)
        or Path.cwd().is_relative_to(folder)
        or any(map(_is_foreign, folder.iterdir()))
        or not os.access(folder.parent, os.W_OK)
    )


def content(folder: Path) -> list[Path]:
    """Return the content of a folder, without files of the system and of unfinished work."""
    return sorted(entry for entry in folder.iterdir() if not _is_foreign(entry))


def _is_foreign(entry: Path) -> bool:
    return entry.name.startswith(".") or entry.name == "lost+found"


def working_place(folder: Path | str, purpose: str) -> Path:
    """Return the place of unfinished work for ``folder``: ``NAME.PURPOSE`` beside it.

    Inside a folder that keeps its place it is ``.PURPOSE``, since its parent may belong to others.
    """
    folder = Path(folder)
    place = real(folder)
    if stays_in_place(place):
        return place / f".{purpose}"
    # As it was written, which people recognise, unless that is no name or leads elsewhere.
    plain = folder.name not in ("", "..") and not folder.is_symlink()
    beside = folder if plain else place
    return beside.with_name(f"{beside.name}.{purpose}")


@contextmanager
def whole_folder(folder: Path, last: str, finish: Callable[[Path], None]) -> Iterator[Path]:
    """Yield a folder to fill; its content replaces that of ``folder`` on success.

    Args:
        folder: the folder to write; links and ``..`` in it are followed.
        last: the name of the file by which the folder is known.
        finish: called with the filled folder, before it takes its place.
    """
    place = real(folder)
    stays = stays_in_place(place)
    with new_parents(place):
        inside = place if stays else place.parent
        temporary = Path(tempfile.mkdtemp(prefix=f".{place.name[:40]}.", dir=inside))
        try:
            yield temporary
            finish(temporary)
            if stays:
                _exchange(temporary, place, last)
            else:
                _swap(temporary, place, last)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _swap(temporary: Path, folder: Path, last: str) -> None:
    """Put ``temporary`` in the place of ``folder``; it is missing only between two renames."""
    temporary.chmod(0o755)
    if not folder.exists():
        os.replace(temporary, folder)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{folder.name[:40]}.old.", dir=folder.parent))
    try:
        os.replace(folder, old)
    except OSError as error:
        os.rmdir(old)
        if error.errno not in _IN_USE:
            raise
        _exchange(temporary, folder, last)  # something holds the folder where it is
        return
    try:
        os.replace(temporary, folder)
    except OSError:
        os.replace(old, folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _exchange(temporary: Path, folder: Path, last: str) -> None:
    """Move the content of ``temporary`` into ``folder``, and what was there out.

    The file ``last`` comes first: whatever happens then, the folder is a damaged one of its kind,
    which may be made again. When the system refuses, the old content is put back.
    """
    old = Path(tempfile.mkdtemp(prefix=".old.", dir=folder))
    moved: list[tuple[Path, Path]] = []

    def move(source: Path, target: Path) -> None:
        shutil.move(source, target)
        moved.append((source, target))

    before = content(folder)
    new = content(temporary)
    try:
        for entry in sorted(before, key=lambda entry: entry.name != last):
            move(entry, old / entry.name)
            if entry.name == last:
                move(temporary / last, folder / last)
        for entry in sorted(new, key=lambda entry: entry.name != last):
            if entry.exists():
                move(entry, folder / entry.name)
    except BaseException:  # an interrupt too
        for source, target in reversed(moved):
            shutil.move(target, source)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)
