"""Folders that are one table: parts of Spark, partitions, months."""

from pathlib import Path

import polars as pl
import pytest

from palate.data.sources.bundle import read_bundle
from palate.data.sources.folders import is_table_folder, read_table
from palate.errors import DataError


def part(path: Path, *rows: tuple[str, str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pl.DataFrame(rows, schema={"user": pl.String, "item": pl.String}, orient="row")
    if path.suffix == ".parquet":
        table.write_parquet(path)
    else:
        table.write_csv(path)
    return path


def test_parts_of_spark_are_one_table(tmp_path: Path) -> None:
    folder = tmp_path / "events.parquet"
    part(folder / "part-00001.snappy.parquet", ("u2", "i2"))
    part(folder / "part-00000.snappy.parquet", ("u1", "i1"))
    part(folder / "part-00002.snappy.parquet")
    (folder / "_SUCCESS").touch()
    (folder / ".part-00000.snappy.parquet.crc").write_bytes(b"crc")
    assert is_table_folder(folder)
    file = read_table([folder])
    assert file.table.rows() == [("u1", "i1"), ("u2", "i2")]
    assert file.where(1) == f"{str(folder / 'part-00001.snappy.parquet')!r}, row 1"
    assert file.name == "part-00000.snappy.parquet and 1 more file"


@pytest.mark.parametrize("name", ["events.csv", "events"])
def test_parts_of_text_each_with_its_header(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    first = part(folder / "part-0.csv", ("u1", "i1"), ("u2", "i2"))
    second = part(folder / "part-1.csv", ("u3", "i3"))
    (folder / "part-2.csv").touch()
    file = read_table([folder])
    assert file.table["user"].to_list() == ["u1", "u2", "u3"]
    assert [file.where(row) for row in range(3)] == [
        f"{str(first)!r}, line 2",
        f"{str(first)!r}, line 3",
        f"{str(second)!r}, line 2",
    ]
    assert read_bundle(tmp_path).events.table.height == 3


def test_partitions_become_columns_and_are_read_in_the_order_of_numbers(tmp_path: Path) -> None:
    folder = tmp_path / "clicks"
    part(folder / "year=2024" / "month=10" / "a.parquet", ("u2", "i2"))
    part(folder / "year=2024" / "month=2" / "a.parquet", ("u1", "i1"))
    part(folder / "year=__HIVE_DEFAULT_PARTITION__" / "month=a%20b" / "a.parquet", ("u3", "i3"))
    assert is_table_folder(folder)
    table = read_table([folder]).table
    assert table.rows() == [
        ("u1", "i1", "2024", "2"),
        ("u2", "i2", "2024", "10"),
        ("u3", "i3", None, "a b"),
    ]


def test_a_part_without_an_ending_is_read_as_its_folder_says(tmp_path: Path) -> None:
    folder = tmp_path / "events.tsv"
    folder.mkdir()
    (folder / "part-00000").write_text("user\titem\nu\ti\n")
    assert read_table([folder]).table.rows() == [("u", "i")]


def test_months_are_read_together(tmp_path: Path) -> None:
    part(tmp_path / "2019-Nov.csv", ("u1", "i1"))
    part(tmp_path / "2019-Dec.csv", ("u2", "i2"))
    (tmp_path / "products.csv").write_text("product_id,title\ni1,One\n")
    source = read_bundle(tmp_path)
    assert sorted(source.events.table["user"]) == ["u1", "u2"]
    assert source.items is not None
    assert "events in 2019-Dec.csv and 1 more file" in source.notes.read[0]


def test_numbered_tables_are_read_together(tmp_path: Path) -> None:
    for month in ("01", "02"):
        part(tmp_path / f"events_2024-{month}.csv", (f"u{month}", "i"))
        (tmp_path / f"items_{month}.csv").write_text(f"item_id,title\ni{month},One\n")
    source = read_bundle(tmp_path)
    assert source.events.table["user"].to_list() == ["u01", "u02"]
    assert source.items is not None
    assert source.items.table.height == 2


def test_columns_that_differ_in_case_or_are_missing_somewhere(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("User,Item\nu1,i1\n")
    (tmp_path / "b.csv").write_text("user,item,rating\nu2,i2,5\n")
    table = read_table([tmp_path / "a.csv", tmp_path / "b.csv"]).table
    assert table.rows() == [("u1", "i1", None), ("u2", "i2", "5")]


def test_a_file_with_a_header_of_its_own_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("user,item\nu1,i1\n")
    (tmp_path / "b.csv").write_text("u2,i2\nu3,i3\n")
    with pytest.raises(DataError, match=r"b.csv', line 1: its columns \(u2, i2\) are none of"):
        read_table([tmp_path / "a.csv", tmp_path / "b.csv"])


def test_tables_of_recbole_are_told_apart_by_their_endings(tmp_path: Path) -> None:
    (tmp_path / "shop.inter").write_text("user_id:token\titem_id:token\nu\ti\n")
    (tmp_path / "shop.item").write_text("item_id:token\tclass:token_seq\ni\ta b\n")
    (tmp_path / "shop.user").write_text("user_id:token\tage:float\nu\t30\n")
    source = read_bundle(tmp_path)
    assert [file.path.suffix for file in source.files] == [".inter", ".item", ".user"]


def test_tables_under_any_name_are_told_apart_by_their_columns(tmp_path: Path) -> None:
    (tmp_path / "orders_export.csv").write_text("Email,Lineitem sku\nu,i\n")
    (tmp_path / "products_export.csv").write_text("Variant SKU,Title\ni,One\n")
    (tmp_path / "people.jsonl").write_text('{"customer_id": "u", "age": 30}\n')
    (tmp_path / "weather.csv").write_text("day,rain\n1,2\n")
    source = read_bundle(tmp_path)
    assert [file.path.name for file in source.files] == [
        "orders_export.csv",
        "products_export.csv",
        "people.jsonl",
    ]
    assert "Not read: weather.csv" in source.notes.read[1]


def test_unlike_tables_of_events_are_not_guessed_between(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("user,item\nu,i\n")
    (tmp_path / "b.csv").write_text("user,item,rating\nu,i,5\n")
    with pytest.raises(DataError, match=r"their columns differ: a\.csv, b\.csv") as caught:
        read_bundle(tmp_path)
    assert caught.value.hint.endswith("--events a.csv")


def test_a_table_with_a_log_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "events"
    part(folder / "part-0.parquet", ("u", "i"))
    (folder / "_delta_log").mkdir()
    with pytest.raises(DataError, match="_delta_log"):
        read_table([folder])


def test_a_folder_of_nothing_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "events.parquet"
    folder.mkdir()
    with pytest.raises(DataError, match="no part of a table"):
        read_table([folder])
    part(folder / "part-0.parquet")
    with pytest.raises(DataError, match="no rows"):
        read_table([folder])
