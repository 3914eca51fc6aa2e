"""A folder of tables: found by name, joined with image vectors."""

import gzip
from pathlib import Path

import polars as pl
import pytest

from palate.data.sources.bundle import IMAGE_VECTOR, read_bundle
from palate.errors import DataError


def test_tables_of_any_format(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text("user,item\nu,i\n")
    (tmp_path / "products.jsonl").write_text('{"id": "i"}\n')
    pl.DataFrame({"user": ["u"]}).write_parquet(tmp_path / "Users.parquet")
    (tmp_path / "README.md").write_text("words")
    source = read_bundle(tmp_path)
    assert [file.path.name for file in source.files] == [
        "events.csv",
        "products.jsonl",
        "Users.parquet",
    ]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".json", ".parquet", ".csv.gz"])
def test_brackets_in_names_are_no_pattern(tmp_path: Path, suffix: str) -> None:
    folder = tmp_path / "shop [2024] *"
    folder.mkdir()
    path = folder / f"events[1]{suffix}"
    table = pl.DataFrame({"user": ["u", "v"], "item": ["i", "j"]})
    match suffix:
        case ".parquet":
            table.write_parquet(path)
        case ".jsonl":
            table.write_ndjson(path)
        case ".json":
            table.write_json(path)
        case _:
            text = table.write_csv(separator="\t" if suffix == ".tsv" else ",").encode()
            path.write_bytes(gzip.compress(text) if suffix == ".csv.gz" else text)
    (folder / "meta[1].csv").write_text("item_id,title\ni,One\n")
    source = read_bundle(folder)
    assert source.events.table.rows() == [("u", "i"), ("v", "j")]
    assert source.items is not None


def test_one_table_of_any_name(tmp_path: Path) -> None:
    (tmp_path / "export.tsv").write_text("user\titem\nu\ti\n")
    assert read_bundle(tmp_path).events.path.name == "export.tsv"


@pytest.mark.parametrize("with_items", [True, False])
def test_image_vectors(tmp_path: Path, with_items: bool) -> None:
    (tmp_path / "events.csv").write_text("user_id,item_id\nu,1\nu,2\n")
    if with_items:
        (tmp_path / "items.csv").write_text("item_id,title\n2,B\n1,A\n")
    vectors = pl.DataFrame({"item_id": [1], "image_feature": [[0.5, 1.0]]})
    vectors.write_parquet(tmp_path / "image_features.parquet")
    items = read_bundle(tmp_path).items
    assert items is not None
    assert items.table[IMAGE_VECTOR].to_list() == ([None] if with_items else []) + [[0.5, 1.0]]


def test_no_table_and_two_tables(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="it holds nothing"):
        read_bundle(tmp_path)
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("one,two\nu,i\n")
    with pytest.raises(DataError, match=r"it holds a\.csv, b\.csv") as caught:
        read_bundle(tmp_path)
    assert "--events FILE --items FILE" in caught.value.hint
    for name in ("events.csv", "events.tsv"):
        (tmp_path / name).write_text("user,item\nu,i\n")
    with pytest.raises(DataError, match="which one is meant"):
        read_bundle(tmp_path)


def test_users_and_items_in_two_tables_are_to_be_joined(tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text("order_id,user_id,eval_set\n1,u,prior\n")
    (tmp_path / "order_products.csv").write_text("order_id,product_id\n1,p\n")
    (tmp_path / "products.csv").write_text("product_id,product_name\np,Milk\n")
    with pytest.raises(DataError, match=r"user stands in 'orders.csv', the item in 'order_pr") as e:
        read_bundle(tmp_path)
    assert "lines.join(orders, on='order_id')" in e.value.hint
    (tmp_path / "orders.csv").write_text("customer,user_id\n1,u\n")
    with pytest.raises(DataError, match="No table of events") as nothing_shared:
        read_bundle(tmp_path)
    assert "join" not in nothing_shared.value.hint
