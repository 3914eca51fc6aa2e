"""Reading of tables: every fault names its file and line."""

import gzip
from datetime import time, timedelta
from pathlib import Path

import polars as pl
import pytest

from palate.data.sources.read import Delimited, read_delimited, read_file, read_json_lines
from palate.errors import DataError


def put(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("separator", [",", "\t", ";", "|"])
def test_separator_is_seen_in_the_header(tmp_path: Path, separator: str) -> None:
    text = "user,item\nu,001\n".replace(",", separator)
    file = read_file(put(tmp_path, "a.csv", text))
    assert file.table.rows() == [("u", "001")]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b"\xef\xbb\xbfa,b\r\n1,x\r\n"),
        ("a.csv", b"a , b\n\n1,x\n\n"),
        ("a.csv", b",a,b\n0,1,x\n"),
        ("a.csv.gz", gzip.compress(b"a,b\n1,x\n", mtime=0)),
        ("a.jsonl", b'{"a":"1","b":"x"}\n\n'),
        ("a.json", b'[{"a":"1","b":"x"}]'),
        ("a.jsonl.gz", gzip.compress(b'{"a":"1","b":"x"}\n', mtime=0)),
    ],
)
def test_the_same_table_in_every_dress(tmp_path: Path, name: str, content: bytes) -> None:
    table = read_file(put(tmp_path, name, content)).table
    assert table.columns == ["a", "b"]
    assert table.rows() == [("1", "x")]


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pl.DataFrame({"a": [1, 2]}).write_parquet(path)
    assert read_file(path).where(1) == f"{str(path)!r}, row 2"


def test_parquet_of_rarer_types_is_read_as_text_and_numbers(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pl.DataFrame(
        {
            "kind": pl.Series(["view", None], dtype=pl.Categorical),
            "rating": [4.0, float("nan")],
            "price": pl.Series(["1.50", None]).cast(pl.Decimal(6, 2)),
            "length": [timedelta(hours=1), None],
            "hour": [time(1), None],
        }
    ).write_parquet(path)
    table = read_file(path).table
    assert table.rows()[0] == ("view", 4.0, 1.5, "1:00:00", "01:00:00")
    assert table.rows()[1] == (None,) * 5


def test_lines_are_counted_through_quoted_newlines_and_blank_lines(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", 'a,b\n1,"two\nlines"\n\n2,x\n')
    file = read_file(path)
    assert file.table["b"].to_list() == ["two\nlines", "x"]
    assert [file.where(row) for row in (0, 1)] == [f"{str(path)!r}, line {n}" for n in (2, 5)]


def test_lines_of_json_skip_blank_ones(tmp_path: Path) -> None:
    path = put(tmp_path, "a.jsonl", '{"a":1}\n\n{"a":2}\n')
    assert read_file(path).where(1).endswith("line 3")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv", b"a,b\n", "header but no rows"),
        ("a.csv", b"a,b\n1,2\n3,\xff\n", "line 3: not UTF-8"),
        ("a.csv", b"a,b\n1,2\n3,\xc3", "line 3: not UTF-8"),
        ("a.csv", b"a,b\n1,2\n3\n", "line 3: 1 fields where the header has 2"),
        ("a.csv", b"a,b\n1,2\n3,4,5\n", "line 3: 3 fields where the header has 2"),
        ("a.csv", b'a,b\n1,"x"\n3,4,5\n', "line 3: 3 fields where the header has 2"),
        ("a.csv", b'a,b\n1,2\n3,"x\n4,5\n', "line 3: a quote is opened and never closed"),
        ("a.csv", b'a,b,c\n1,12" disc,3\n2,5,6\n4,13" disc,3\n', "line 2: a quote in the middle"),
        ("a.csv", b"a,b,a\n1,2,3\n", "line 1: the column 'a' stands there twice"),
        ("a.csv", b"user item rating\nu i 3\n", "line 1: only one column"),
        ("a.csv", b"PK\x03\x04 and so on", "a zip archive or a spreadsheet"),
        ("a.csv", "a,b\n1,2\n".encode("utf-16"), "UTF-16"),
        ("a.csv.gz", b"a,b\n1,2\n", "not a whole gzip file"),
        ("a.csv.gz", gzip.compress(b"a,b\n1,2\n" * 99, mtime=0)[:-12], "not a whole gzip file"),
        ("a.jsonl", b'{"a":1}\n{"a":\n', "line 2: not a JSON object"),
        ("a.jsonl", b'{"a":1}\n{"a":NaN}\n', "line 2: not a JSON object"),
        ("a.jsonl", b'{"a":1}\n{"a":"\xff"}\n', "line 2: not UTF-8"),
        ("a.parquet", b"PAR1 but no more", "not a whole Parquet file"),
        ("a.doc", b"words", "ending in '.doc' is not known"),
    ],
)
def test_faults_name_file_and_line(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    path = put(tmp_path, name, content)
    with pytest.raises(DataError) as caught:
        read_file(path)
    assert says in caught.value.message
    assert str(path) in caught.value.message
    assert caught.value.hint


def test_folder_and_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a folder"):
        read_file(tmp_path)
    with pytest.raises(DataError, match="There is no file"):
        read_file(tmp_path / "nothing.csv")


@pytest.mark.parametrize("read", [read_delimited, read_json_lines])
@pytest.mark.parametrize("before", [0, 1, 700])
def test_an_endless_line_is_found_before_it_is_read(
    tmp_path: Path, read: object, before: int
) -> None:
    path = put(tmp_path, "a.csv", b"a,b\n" * before + b"x" * 5000 + b"\n1,2\n")
    with pytest.raises(DataError, match=rf"line {before + 1}: longer than 1,000 bytes"):
        read(path, max_line_bytes=1000)  # type: ignore[operator]


def test_an_endless_line_is_found_across_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("palate.data.sources.scan._CHUNK_BYTES", 64)
    path = put(tmp_path, "a.csv", b"a,b\n" * 50 + b"x" * 1001 + b"\n1,2\n")
    with pytest.raises(DataError, match="line 51: longer"):
        read_file(path, max_line_bytes=1000)
    fine = put(tmp_path, "b.csv", "a,b\n" + ("é,ü" + "x" * 90 + "\n") * 50)
    assert read_file(fine, max_line_bytes=1000).table.height == 50


def test_a_file_without_header(tmp_path: Path) -> None:
    path = put(tmp_path, "u.data", "1\t2\n3\t4\n")
    file = read_delimited(path, Delimited("\t", columns=("x", "y"), quoted=False))
    assert file.table.rows() == [("1", "2"), ("3", "4")]
    assert file.where(1).endswith("line 2")


def test_loose_quotes_in_a_tab_file_are_text(tmp_path: Path) -> None:
    path = put(tmp_path, "a.tsv", 'a\tb\n1\t12" disc\n2\t"odd\n3\tx\n')
    assert read_file(path).table["b"].to_list() == ['12" disc', '"odd', "x"]
