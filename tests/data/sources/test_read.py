"""Reading of tables: every fault names its file and line."""

import gzip
import json
from datetime import time, timedelta
from pathlib import Path

import polars as pl
import pytest

from palate.data.sources.delimited import Delimited
from palate.data.sources.read import FileForm, read_delimited, read_file, read_json
from palate.errors import ConfigError, DataError


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
        ("a.csv", b"a,b\r1,x\r"),
        ("a.csv", b"a,b\n1,x\r"),
        ("a.csv", b"a,b\r1,x\n"),
        ("a.csv", b"a,b\r\r\n1,x\r\r\n"),
        ("a.csv", "a,b\n1,x\n".encode("utf-16")),
        ("a.csv", "a,b\n1,x\n".encode("utf-16-le")),
        ("a.csv", "a,b\r1,x\r".encode("utf-16-be")),
        ("a.csv", "a,b\n1,x\n".encode("utf-32")),
        ("a.csv.gz", gzip.compress(b"\xef\xbb\xbfa,b\r1,x", mtime=0)),
        ("a.csv", b"\n\n  \na,b\n1,x\n"),
        ("a.csv", b"\xef\xbb\xbfsep=;\r\na;b\r\n1;x\r\n"),
        ("a.csv", b'"sep=\t"\na\tb\n1\tx\n'),
        ("a.csv", b"SEP=|\na|b\n1|x\n"),
        ("a.dat", b"a::b\n1::x\n"),
        ("a.csv", b'a, "b"\n"1", "x"\n'),
        ("a.jsonl", b'\xef\xbb\xbf{"a":"1","b":"x"}\n'),
        ("a.json", b'\xef\xbb\xbf[{"a":"1","b":"x"}]'),
        ("a.jsonl", '{"a":"1","b":"x"}\n'.encode("utf-16")),
        ("a.json", b'[\n  {\n    "a": "1",\n    "b": "x"\n  }\n]\n'),
        ("a.json", b'{"a": {"0": "1"}, "b": {"0": "x"}}'),
        ("a.json", b'{\n "a": {\n  "0": "1"\n },\n "b": {\n  "0": "x"\n }\n}'),
        ("a.json", b'{"0": {"a": "1", "b": "x"}}'),
        ("a.json", b'{"columns": ["a", "b"], "index": [0], "data": [["1", "x"]]}'),
        ("a.json", b'{"schema": {"fields": []}, "data": [{"a": "1", "b": "x"}]}'),
        ("a.json", b'{"a": ["1"], "b": ["x"]}'),
        ("a.json", b'{"total": 1, "results": [{"a": "1", "b": "x"}]}'),
        ("a.json", b'{"a": "1", "b": "x"}'),
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
        ("a.csv.gz", b"a,b\n1,2\n", "not a whole gzip file"),
        ("a.csv.gz", gzip.compress(b"a,b\n1,2\n" * 99, mtime=0)[:-12], "not a whole gzip file"),
        ("a.jsonl", b'{"a":1}\n{"a":\n', "line 2: not a JSON object"),
        ("a.jsonl", b'{"a":1}\n{"a":NaM}\n', "line 2: not a JSON object"),
        ("a.jsonl", b'{"a":1}\n{"a":"\xff"}\n', "line 2: not UTF-8"),
        ("a.csv", "a,b\n1,2\n".encode("utf-16")[:-1], "not utf-16 text"),
        ("a.csv", b"a,b\r1,2\r3,\xff\r", "line 3: not UTF-8"),
        ("a.csv", b"a,b\r1,2\r3\r", "line 3: 1 fields where the header has 2"),
        ("a.csv", b"sep=;\na;b\n1;2\n3\n", "line 4: 1 fields where the header has 2"),
        ("a.csv", b"a::b\n1::2\n3\n", "line 3: 1 fields where the header has 2"),
        ("a.csv", b'a,b\n1,"x \\"y\\", z\n3,4\n', "line 2: a quote is opened and never closed"),
        ("a.csv", b"7,7,4,1600000000\n4,6,5,1600030800\n", "line 1: there is no header line"),
        ("a.json", b"[1, 2]", "no table can be made of this JSON"),
        ("a.json", b"[[1, 2]]", "name the columns with --header"),
        ("a.json", b"[]", "has no rows"),
        ("a.json", b'{"a": [1, 2], "b": [1]}', "no table can be made of this JSON"),
        ("a.json", b'[{"a": 1},\n{"a": }]', "line 2: not JSON"),
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


def test_text_in_another_encoding_is_read_when_it_is_named(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", "a,b\n1,\u00e9\u20ac\n".encode("cp1252"))
    assert read_file(path, FileForm("cp1252")).table["b"].to_list() == ["\u00e9\u20ac"]
    with pytest.raises(DataError, match="line 2: not UTF-8 text") as caught:
        read_file(path)
    assert "--encoding" in caught.value.hint
    for unknown in ("klingon", "rot13", "base64"):
        with pytest.raises(ConfigError, match="no text encoding"):
            read_file(path, FileForm(unknown))


def test_columns_of_json_keep_their_rows_together(tmp_path: Path) -> None:
    path = put(tmp_path, "a.json", '{"a": {"x": 1, "y": 2}, "b": {"y": "two", "x": "one"}}')
    assert read_file(path).table.rows() == [(1, "one"), (2, "two")]
    frame = {"user_id": {str(n): f"u{n}" for n in range(20)}, "rating": {"3": 5, "0": 4}}
    table = read_file(put(tmp_path, "a.json", json.dumps(frame))).table
    assert table.columns == ["user_id", "rating"]
    assert table.row(3) == ("u3", 5)


def test_unlike_values_of_json_become_text(tmp_path: Path) -> None:
    path = put(tmp_path, "a.json", '[{"a": 1, "b": 1.5}, {"a": "x", "b": null}]')
    assert read_file(path).table.rows() == [("1", 1.5), ("x", None)]


def test_a_document_may_be_one_long_line(tmp_path: Path) -> None:
    rows = [{"user": f"u{number}", "item": number} for number in range(500)]
    columns = {"user": {str(n): "u" for n in range(500)}, "item": {str(n): n for n in range(500)}}
    for value in (rows, columns):
        path = put(tmp_path, "a.json", json.dumps(value))
        assert read_file(path, max_line_bytes=1_000).table.height == 500


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('"she said \\"hi\\" twice",2', 'she said "hi" twice'),
        ('"12\\" disc, new",2', '12" disc, new'),
        ('"a \\"b, c\\" d",2', 'a "b, c" d'),
        ('"two\nlines \\"q\\"",2', 'two\nlines "q"'),
    ],
)
def test_quotes_behind_a_backslash_are_text(tmp_path: Path, text: str, wanted: str) -> None:
    path = put(tmp_path, "a.csv", f"t,n\nplain,1\n{text}\nlast,3\n")
    file = read_file(path)
    assert file.table.rows() == [("plain", "1"), (wanted, "2"), ("last", "3")]
    assert file.where(2).endswith(f"line {4 + text.count(chr(10))}")


def test_a_backslash_at_the_end_of_a_quoted_text_is_one(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", 't,n\n"C:\\",1\n"D:\\",2\n')
    assert read_file(path).table["t"].to_list() == ["C:\\", "D:\\"]


def test_null_of_databases_survives_beside_backslashes(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", 't,n\n"a \\"b, c\\"",\\N\n\\N,2\n')
    assert read_file(path).table.rows() == [('a "b, c"', "NULL"), ("NULL", "2")]


def test_digits_that_a_spreadsheet_shall_keep(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", 'a,b\n="0012",x\n="00,13",y\n')
    assert read_file(path).table["a"].to_list() == ["0012", "00,13"]


@pytest.mark.parametrize("content", ["1;x\n2;y\n", "\n1;x\n2;y\n", "A;B\n1;x\n2;y\n"])
def test_names_for_a_file_without_a_header(tmp_path: Path, content: str) -> None:
    path = put(tmp_path, "a.csv", content)
    file = read_file(path, FileForm(header=("a", "b")))
    assert file.table.rows(named=True) == [{"a": "1", "b": "x"}, {"a": "2", "b": "y"}]
    assert file.where(1).endswith(f"line {content.count(chr(10))}")
    with pytest.raises(DataError, match="2 fields, but --header names 3"):
        read_file(path, FileForm(header=("a", "b", "c")))


def test_names_for_rows_of_json(tmp_path: Path) -> None:
    path = put(tmp_path, "a.json", '[["1", "x"], ["2", "y"]]')
    assert read_file(path, FileForm(header=("a", "b"))).table.rows() == [("1", "x"), ("2", "y")]


def test_names_for_a_file_that_has_some_are_refused(tmp_path: Path) -> None:
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "a.parquet")
    put(tmp_path, "a.jsonl", '{"a": 1}\n')
    for name in ("a.parquet", "a.jsonl"):
        with pytest.raises(DataError, match="has names of its own"):
            read_file(tmp_path / name, FileForm(header=("b",)))


def test_folder_and_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a folder"):
        read_file(tmp_path)
    with pytest.raises(DataError, match="There is no file"):
        read_file(tmp_path / "nothing.csv")


@pytest.mark.parametrize("read", [read_delimited, read_json])
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


def test_nan_in_json_lines_is_null(tmp_path: Path) -> None:
    path = put(tmp_path, "a.jsonl", b'{"a": "x", "b": NaN}\n\n{"a": "NaN", "b": 2.5}\n')
    file = read_file(path)
    assert file.table.to_dicts() == [{"a": "x", "b": None}, {"a": "NaN", "b": 2.5}]
    assert file.where(1).endswith("line 3")


def test_a_carriage_return_ends_the_header_of_mixed_line_ends(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", b"a,b\r1,2\r3,4\n5,6\n")
    assert read_file(path).table["a"].to_list() == ["1", "3", "5"]
