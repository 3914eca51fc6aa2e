"""Files and folders are written whole anywhere, and refusals of the system become errors."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from palate import storage
from palate.errors import ArtifactError, DataError
from palate.storage import (
    check_file_target,
    refusal,
    refused,
    saving,
    whole_file,
    whole_folder,
    working_place,
    write_whole,
)

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class _RustError(Exception):
    """What polars, safetensors and tokenizers raise: words alone."""


def _caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (FULL, errno.ENOSPC),
        (_RustError("I/O error: No space left on device (os error 28)"), errno.ENOSPC),
        (OSError("Permission denied (os error 13)"), errno.EACCES),
        (_caused(ArtifactError("not written"), FULL), errno.ENOSPC),
        (_caused(ValueError("else"), FULL), None),
        (ValueError("os error"), None),
    ],
)
def test_the_errors_of_the_system_are_found(error: Exception, number: int | None) -> None:
    assert refusal(error) == number


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.ENOSPC, "Free some space"),
        (errno.EROFS, "change who may use"),
        (errno.ENAMETOOLONG, "another name"),
        (errno.EIO, "another place"),
    ],
)
def test_a_refusal_has_a_hint(number: int, hint: str) -> None:
    told = refused("there/x", number)
    assert "'there/x' cannot be written" in told.message
    assert os.strerror(number) in told.message
    assert hint in told.hint


def test_errors_of_the_user_pass_through() -> None:
    with pytest.raises(DataError, match="a bad table"), saving("x"):
        raise DataError("a bad table")
    with pytest.raises(ZeroDivisionError), saving("x"):
        raise ZeroDivisionError


def test_a_file_appears_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deep" / "a.txt"
    write_whole(path, "déjà \ud800")
    assert path.read_bytes() == "déjà ?".encode()
    assert [each.name for each in path.parent.iterdir()] == ["a.txt"]


def test_a_failure_leaves_the_file_before_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ArtifactError, match="No space left"):
        _fill_half(path)
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["a.txt"]


def _fill_half(path: Path) -> None:
    with whole_file(path) as file:
        file.write_text("half")
        raise FULL


def test_a_failure_leaves_no_new_folders(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError), whole_file(tmp_path / "new" / "deep" / "a.txt"):
        raise FULL
    assert list(tmp_path.iterdir()) == []


def test_rights_of_a_file_stay_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_whole(path, "old")
    assert path.stat().st_mode & 0o777 == 0o666 & ~storage._umask()
    path.chmod(0o640)
    write_whole(path, "new")
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_link_to_a_file_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "a.txt").symlink_to(tmp_path / "real" / "b.txt")
    write_whole(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").is_symlink()
    assert (tmp_path / "real" / "b.txt").read_text() == "new"


def test_a_device_stays_a_device() -> None:
    check_file_target("/dev/null")
    write_whole("/dev/null", "gone")
    assert not Path("/dev/null").is_file()
    with pytest.raises(ArtifactError, match="No space left"):
        write_whole("/dev/full", "too much")


def test_a_file_that_cannot_be_replaced_is_written_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    before = path.stat().st_ino
    monkeypatch.setattr(storage, "is_mount", lambda place: place == path)
    write_whole(path, "new")
    assert (path.read_text(), path.stat().st_ino) == ("new", before)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("folder", "is a folder"),
        ("file/a.txt", "Not a directory"),
        ("x" * 300, "File name too long"),
        ("loop", "Too many levels"),
    ],
)
def test_a_file_that_cannot_be_written_is_refused_before_the_work(
    tmp_path: Path, name: str, said: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ArtifactError, match=said):
        check_file_target(tmp_path / name)
    assert sorted(tmp_path.iterdir()) == before


def test_a_file_that_can_be_written_leaves_nothing_when_it_is_checked(tmp_path: Path) -> None:
    check_file_target(tmp_path / "new" / "deep" / "a.txt")
    assert list(tmp_path.iterdir()) == []


# --- folders ------------------------------------------------------------------------------------

Keep = Callable[[Path, pytest.MonkeyPatch], None]


def _mounted(folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(storage, "is_mount", lambda place: place == folder)


def _stood_in(folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.chdir(folder)


def _shared(folder: Path, patch: pytest.MonkeyPatch) -> None:
    (folder / "lost+found").mkdir()


def _in_a_closed_folder(folder: Path, patch: pytest.MonkeyPatch) -> None:
    ours = os.access
    patch.setattr(
        storage.os, "access", lambda path, mode: path != folder.parent and ours(path, mode)
    )


def _held(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Nothing tells beforehand that the folder cannot be moved."""
    ours = os.replace

    def replace(source: Path, target: Path) -> None:
        if source == folder:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        ours(source, target)

    patch.setattr(storage.os, "replace", replace)


KEPT = pytest.mark.parametrize("keep", [_mounted, _stood_in, _shared, _in_a_closed_folder, _held])


@KEPT
@pytest.mark.parametrize("before", [{}, {"known": "old", "gone": "old"}], ids=["empty", "full"])
def test_a_folder_that_keeps_its_place_gets_other_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: Keep, before: dict[str, str]
) -> None:
    folder = _folder(tmp_path / "model", before)
    keep(folder, monkeypatch)
    inode = folder.stat().st_ino
    _fill(folder, {"known": "new", "more": "new"})
    assert _content(folder) == {"known": "new", "more": "new"}
    assert folder.stat().st_ino == inode
    assert [each.name for each in tmp_path.iterdir()] == ["model"]


@KEPT
def test_a_folder_that_keeps_its_place_is_as_before_when_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: Keep
) -> None:
    folder = _folder(tmp_path / "model", {"known": "old", "gone": "old"})
    keep(folder, monkeypatch)
    ours = shutil.move

    def move(source: Path, target: Path) -> None:
        if Path(source).name == "more" and Path(target).parent == folder:
            raise FULL
        ours(source, target)

    monkeypatch.setattr(storage.shutil, "move", move)
    with pytest.raises(OSError, match="No space left"):
        _fill(folder, {"known": "new", "more": "new"})
    assert _content(folder) == {"known": "old", "gone": "old"}
    assert [each.name for each in tmp_path.iterdir()] == ["model"]


def test_the_file_that_names_a_folder_changes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At no moment is there content without it: a killed run leaves what may be made again."""
    folder = _folder(tmp_path / "model", {"known": "old", "a": "old"})
    _mounted(folder, monkeypatch)
    ours, seen = shutil.move, []

    def move(source: Path, target: Path) -> None:
        ours(source, target)
        seen.append(set(_content(folder)))

    monkeypatch.setattr(storage.shutil, "move", move)
    _fill(folder, {"a": "new", "known": "new"})
    assert all("known" in content for content in seen[1:])


def test_a_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for text in ("old", "new"):
        _fill(tmp_path / "link", {"known": text})
    assert (tmp_path / "link").is_symlink()
    assert _content(tmp_path / "real") == {"known": "new"}


def test_a_swap_that_fails_half_way_puts_the_old_folder_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _folder(tmp_path / "model", {"known": "old"})
    ours = os.replace

    def replace(source: Path, target: Path) -> None:
        if target == folder and ".old." not in Path(source).name:
            raise FULL
        ours(source, target)

    monkeypatch.setattr(storage.os, "replace", replace)
    with pytest.raises(OSError, match="No space left"):
        _fill(folder, {"known": "new"})
    assert _content(folder) == {"known": "old"}
    assert [each.name for each in tmp_path.iterdir()] == ["model"]


def test_work_is_kept_beside_a_folder_or_hidden_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _folder(tmp_path / "model", {})
    assert working_place(tmp_path / "model/", "training") == tmp_path / "model.training"
    assert working_place(tmp_path / "not" / "yet", "x") == tmp_path / "not" / "yet.x"
    _mounted(folder, monkeypatch)
    place = working_place(folder, "training")
    assert place == folder / ".training"
    place.mkdir()
    _fill(folder, {"known": "new"})
    assert place.is_dir(), "unfinished work is no content"


def test_a_mount_of_the_same_disk_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    line = "36 35 98:0 /mnt1 /a\\040b rw,noatime master:1 - ext3 /dev/root rw\n"
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: line)
    assert storage.is_mount(Path("/a b"))
    assert not storage.is_mount(Path("/a"))


def _folder(folder: Path, files: dict[str, str]) -> Path:
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def _fill(folder: Path, files: dict[str, str]) -> None:
    with whole_folder(folder, "known", lambda _: None) as temporary:
        for name, text in files.items():
            (temporary / name).write_text(text)


def _content(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in storage.content(folder)}
