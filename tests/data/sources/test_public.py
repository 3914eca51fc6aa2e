"""Public sets: fetched once, checked; without a network the error says what to do by hand."""

import gzip
import hashlib
import zipfile
from pathlib import Path

import pytest

from palate.data.sources import public
from palate.data.sources.public import Counts, PublicSet, RemoteFile, fetch, read_public
from palate.errors import DataError

NOWHERE = "file:///nowhere/at/all/"


def archive(folder: Path) -> Path:
    path = folder / "tiny.zip"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("tiny/u.data", "1\t2\t3\t881250949\n2\t2\t4\t881250950\n")
        packed.writestr("tiny/../../u.item", "2|Heat &amp; Dust (1983)|01-Jan-1983||" + "|0" * 19)
        packed.writestr("tiny/README", "no table")
    return path


def test_no_network_names_the_file_and_the_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'set\.zip' for tiny could not be fetched") as caught:
        fetch(RemoteFile(f"{NOWHERE}set.zip"), tmp_path, wanted_by="tiny")
    assert f"put it in {str(tmp_path)!r}" in caught.value.hint
    assert not list(tmp_path.iterdir())


def test_a_file_put_there_by_hand_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = hashlib.sha256(archive(tmp_path).read_bytes()).hexdigest()
    tiny = PublicSet((RemoteFile(f"{NOWHERE}tiny.zip", f"sha256:{digest}"),))
    monkeypatch.setitem(public.PUBLIC_SETS, "tiny", tiny)
    for _ in range(2):
        source = read_public("tiny", tmp_path)
        assert source.name == "tiny"
        assert source.events.table["item_id"].to_list() == ["2", "2"]
        assert source.items is not None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny", "tiny.zip"]
    assert sorted(path.name for path in (tmp_path / "tiny").iterdir()) == ["u.data", "u.item"]


def test_a_file_is_fetched_from_its_address(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    there = archive(tmp_path / "far")
    fetched = fetch(RemoteFile(there.as_uri()), tmp_path / "near", wanted_by="tiny")
    assert fetched.read_bytes() == there.read_bytes()


def test_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    archive(tmp_path)
    with pytest.raises(DataError, match="is not the published file: its md5 is"):
        fetch(RemoteFile(f"{NOWHERE}tiny.zip", "md5:00"), tmp_path, wanted_by="tiny")


def test_amazon_is_checked_by_its_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = '{"reviewerID":"u","asin":"i","overall":5.0,"unixReviewTime":1}\n'
    (tmp_path / "reviews_Tiny_5.json.gz").write_bytes(gzip.compress(line.encode()))
    (tmp_path / "meta_Tiny.json.gz").write_bytes(gzip.compress(b"{'asin': 'i'}\n"))
    files = (
        RemoteFile(f"{NOWHERE}reviews_Tiny_5.json.gz"),
        RemoteFile(f"{NOWHERE}meta_Tiny.json.gz"),
    )
    monkeypatch.setitem(public.PUBLIC_SETS, "tiny", PublicSet(files, Counts(1, 1, 1)))
    assert read_public("tiny", tmp_path).items is not None
    monkeypatch.setitem(public.PUBLIC_SETS, "tiny", PublicSet(files, Counts(2, 1, 1)))
    with pytest.raises(DataError, match=r"holds Counts\(users=1, items=1, events=1\), not"):
        read_public("tiny", tmp_path)


def test_the_folder_can_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PALATE_DATA", str(tmp_path))
    assert public.cache_folder() == tmp_path
    monkeypatch.delenv("PALATE_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert public.cache_folder() == tmp_path / "palate"
