"""A folder is written whole or not at all; damaged and foreign folders are recognised."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from palate import artifacts, storage
from palate.artifacts import (
    Manifest,
    check_folder_target,
    hash_file,
    hash_text,
    read_manifest,
    understanding,
    verify,
    writing,
)
from palate.errors import ArtifactError

MODEL = Manifest(kind="model", name="toy", made_by="a test", seed=3, settings={"width": 8})


def test_reads_back_what_made_it(tmp_path: Path) -> None:
    folder = _write(tmp_path / "model", "weights")
    manifest = read_manifest(folder, "model")
    assert (manifest.name, manifest.made_by, manifest.seed) == ("toy", "a test", 3)
    assert manifest.settings == {"width": 8}
    assert set(manifest.files) == {"weights.txt", "part/more.txt"}
    assert manifest.versions["palate"]
    verify(folder, manifest)


def test_same_content_same_hash(tmp_path: Path) -> None:
    one, two, other = (
        read_manifest(_write(tmp_path / name, text), "model").content_hash
        for name, text in (("a", "same"), ("b", "same"), ("c", "different"))
    )
    assert one == two != other


def test_hashes_are_sha256() -> None:
    # The digest of "abc" in FIPS 180-2, appendix B.1, shortened.
    assert hash_text("abc") == "ba7816bf8f01cfea"


def test_file_and_text_hash_alike(tmp_path: Path) -> None:
    (tmp_path / "abc").write_text("abc")
    assert hash_file(tmp_path / "abc") == hash_text("abc")


def test_a_new_folder_replaces_the_old_one(tmp_path: Path) -> None:
    _write(tmp_path / "model", "old")
    with writing(tmp_path / "model", MODEL) as folder:
        (folder / "other.txt").write_text("new")
    assert _names(tmp_path / "model") == {"manifest.json", "other.txt"}
    assert _names(tmp_path) == {"model"}, "nothing else is left behind"


def test_an_empty_folder_may_be_filled(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    _write(tmp_path / "model", "new")
    read_manifest(tmp_path / "model", "model")


def test_folders_above_are_made(tmp_path: Path) -> None:
    _write(tmp_path / "runs" / "first" / "model", "new")
    read_manifest(tmp_path / "runs" / "first" / "model", "model")


def test_a_failure_leaves_the_old_state(tmp_path: Path) -> None:
    _write(tmp_path / "model", "old")
    with pytest.raises(RuntimeError, match="half way"):
        _fail_half_way(tmp_path / "model")
    assert (tmp_path / "model" / "weights.txt").read_text() == "old"
    assert _names(tmp_path) == {"model"}


def test_a_failed_first_write_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="half way"):
        _fail_half_way(tmp_path / "model")
    assert _names(tmp_path) == set()


def test_a_kill_leaves_the_old_state(tmp_path: Path) -> None:
    folder = _write(tmp_path / "model", "old")
    program = (
        "import os, signal; from pathlib import Path; from palate.artifacts import *\n"
        f"with writing(Path({str(folder)!r}), Manifest('model', 'toy', 'a test')) as new:\n"
        "    (new / 'weights.txt').write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program])
    assert killed.returncode == -signal.SIGKILL
    verify(folder, read_manifest(folder, "model"))
    assert (folder / "weights.txt").read_text() == "old"
    _write(folder, "new")
    assert (folder / "weights.txt").read_text() == "new"


def test_a_missing_folder_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="No dataset in") as caught:
        read_manifest(tmp_path / "nothing", "dataset")
    assert "palate prepare" in caught.value.hint


def test_another_kind_is_refused(tmp_path: Path) -> None:
    _write(tmp_path / "model", "weights")
    with pytest.raises(ArtifactError, match="holds a model, not a dataset"):
        read_manifest(tmp_path / "model", "dataset")


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    _write(tmp_path / "model", "weights")
    _edit_manifest(tmp_path / "model", format=99)
    with pytest.raises(ArtifactError, match="format 99") as caught:
        read_manifest(tmp_path / "model", "model")
    assert "-U palate" in caught.value.hint


def test_a_manifest_that_says_more_is_of_a_later_version(tmp_path: Path) -> None:
    _write(tmp_path / "model", "weights")
    _edit_manifest(tmp_path / "model", privacy={"epsilon": 3})
    with pytest.raises(ArtifactError, match="later version of Palate: it says privacy") as caught:
        read_manifest(tmp_path / "model", "model")
    assert "-U palate" in caught.value.hint
    with pytest.raises(ArtifactError, match="later version"):
        check_folder_target(tmp_path / "model", "model")


@pytest.mark.parametrize(
    ("theirs", "said", "hint"),
    [
        ("9.0.1", "made by Palate 9.0.1, and this version, 0.10, cannot read it", "-U palate"),
        ("0.9.12", "made by Palate 0.9.12", "Make the folder again"),
        ("0.10", "damaged", ""),
    ],
)
def test_a_folder_of_an_incompatible_version_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, theirs: str, said: str, hint: str
) -> None:
    monkeypatch.setattr(artifacts, "_versions", lambda: {"palate": "0.10"})
    folder = _write(tmp_path / "model", "weights")
    _edit_manifest(folder, versions={"palate": theirs})
    manifest = read_manifest(folder, "model")
    with pytest.raises(ArtifactError, match=said) as caught, understanding(folder, manifest):
        raise ArtifactError("The weights are damaged.")
    assert hint in caught.value.hint


def test_the_error_about_a_folder_of_another_kind_has_a_hint(tmp_path: Path) -> None:
    _write(tmp_path / "model", "weights")
    _write(tmp_path / "model" / "dataset", "events")
    with pytest.raises(ArtifactError) as caught:
        read_manifest(tmp_path / "model", "dataset")
    assert str(tmp_path / "model" / "dataset") in caught.value.hint
    _edit_manifest(tmp_path / "model", kind="dataset")
    with pytest.raises(ArtifactError) as caught:
        read_manifest(tmp_path / "model", "model")
    assert f"palate train {tmp_path / 'model'} MODEL" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "said"), [("file", "it is a file"), ("folder", "no manifest"), ("none", "no such")]
)
def test_the_error_names_what_is_there_instead(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ArtifactError, match=said):
        read_manifest(tmp_path / name, "model")


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", '{"kind": "model"}', '{"what": 1}'])
def test_a_broken_manifest_is_one_clear_error(tmp_path: Path, text: str) -> None:
    _write(tmp_path / "model", "weights")
    (tmp_path / "model" / "manifest.json").write_text(text)
    with pytest.raises(ArtifactError, match="cannot be read"):
        read_manifest(tmp_path / "model", "model")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    _write(tmp_path / "model", "weights")
    (tmp_path / "model" / "weights.txt").unlink()
    with pytest.raises(ArtifactError, match=r"weights\.txt missing"):
        read_manifest(tmp_path / "model", "model")


def test_a_changed_file_is_named(tmp_path: Path) -> None:
    folder = _write(tmp_path / "model", "weights")
    (folder / "weights.txt").write_text("weighty")
    with pytest.raises(ArtifactError, match=r"weights\.txt' does not match"):
        verify(folder, read_manifest(folder, "model"))


def test_a_damaged_folder_can_be_made_again(tmp_path: Path) -> None:
    folder = _write(tmp_path / "model", "weights")
    (folder / "weights.txt").unlink()
    _write(folder, "again")
    verify(folder, read_manifest(folder, "model"))


@pytest.mark.parametrize("kind", ["a folder of letters", "a dataset"])
def test_files_of_others_are_not_overwritten(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "letter.txt").write_text("dear")
    if kind == "a dataset":
        _write(tmp_path / "other", "weights")
        os.replace(tmp_path / "other" / "manifest.json", folder / "manifest.json")
        _edit_manifest(folder, kind="dataset")
    with pytest.raises(ArtifactError, match="will not be overwritten"):
        _write(folder, "new")
    assert (folder / "letter.txt").read_text() == "dear"


def test_what_lies_beside_the_content_is_not_lost(tmp_path: Path) -> None:
    folder = _write(tmp_path / "model", "weights")
    (folder / "notes.md").write_text("dear")
    with pytest.raises(ArtifactError, match=r"also holds notes\.md"):
        _write(folder, "new")
    assert (folder / "notes.md").read_text() == "dear"


@pytest.mark.parametrize("name", ["file", "file/model", "letters", "x" * 300])
def test_a_folder_that_cannot_be_written_is_refused_before_the_work(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / "file").write_text("dear")
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "letter.txt").write_text("dear")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ArtifactError):
        check_folder_target(tmp_path / name, "model")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_full_disk_is_one_error_that_names_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(artifacts, "_write_manifest", full)
    with pytest.raises(ArtifactError, match="model' cannot be written: No space left") as caught:
        _write_within(tmp_path / "new" / "model")
    assert "Free some space" in caught.value.hint
    assert _names(tmp_path) == set()


def test_a_folder_that_cannot_be_moved_leaves_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _write(tmp_path / "model", "old")
    monkeypatch.setattr(storage, "is_mount", lambda place: place == folder)
    _write(folder, "new")
    verify(folder, read_manifest(folder, "model"))
    assert (folder / "weights.txt").read_text() == "new"
    assert _names(tmp_path) == {"model"}
    assert _names(folder) == {"manifest.json", "weights.txt", "part"}


def test_a_file_is_not_a_folder(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("dear")
    with pytest.raises(ArtifactError, match="is a file"):
        _write(tmp_path / "model", "new")


def _write(folder: Path, text: str) -> Path:
    with writing(folder, MODEL) as temporary:
        (temporary / "weights.txt").write_text(text)
        (temporary / "part").mkdir()
        (temporary / "part" / "more.txt").write_text("more")
    return folder


def _write_within(folder: Path) -> None:
    """Write a folder in a folder, as a model holds its data."""
    with writing(folder, MODEL) as temporary, writing(temporary / "dataset", MODEL):
        pass


def _fail_half_way(folder: Path) -> None:
    with writing(folder, MODEL) as temporary:
        (temporary / "weights.txt").write_text("half")
        raise RuntimeError("half way")


def _edit_manifest(folder: Path, **changes: object) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ArtifactError, match="cannot be written"),
        writing(tmp_path / "file" / "codes", Manifest(kind="codes", name="x", made_by="test")),
    ):
        raise AssertionError("nothing is to be filled")
