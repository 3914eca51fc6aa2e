"""Guessing columns by their usual names, and overriding the guess."""

from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from palate.data.columns import (
    check_overrides,
    kind_of_table,
    map_columns,
    overrides_of,
    tidy_names,
)
from palate.data.sources.read import SourceFile, Table
from palate.data.values.times import holds_times
from palate.errors import ConfigError, DataError


def file(*columns: str) -> SourceFile:
    return SourceFile(Path("x.csv"), pl.DataFrame({name: ["1"] for name in columns}))


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (
            ("userId", "movieId", "rating", "timestamp"),
            ("userId", "movieId", "rating", "timestamp"),
        ),
        (
            ("reviewerID", "asin", "overall", "unixReviewTime", "reviewTime"),
            ("reviewerID", "asin", "overall", "unixReviewTime"),
        ),
        (("uid", "Product ID", "STARS", "Date"), ("uid", "Product ID", "STARS", "Date")),
        (("user_id", "asin", "parent_asin"), ("user_id", "parent_asin", None, None)),
    ],
)
def test_usual_names(columns: tuple[str, ...], expected: tuple[str | None, ...]) -> None:
    found = map_columns(file(*columns), "events").columns
    fields = ("user_id", "item_id", "rating", "timestamp")
    assert tuple(found.get(field) for field in fields) == expected


def test_a_guess_passes_over_columns_of_another_kind() -> None:
    table = pl.DataFrame(
        {
            "user": ["a"],
            "item": ["b"],
            "event": [{"type": "view"}],
            "stars": [[1, 2]],
            "position": [b"x"],
        }
    )
    mapping = map_columns(SourceFile(Path("x.parquet"), table), "events")
    assert mapping.columns == {"user_id": "user", "item_id": "item"}
    assert mapping.others == ("event", "stars", "position")
    with pytest.raises(DataError, match=r"'stars' holds lists, which is no rating"):
        map_columns(SourceFile(Path("x.parquet"), table), "events", {"rating": "stars"})


def test_a_data_frame_has_no_lines() -> None:
    frame = SourceFile(Path("events"), pl.DataFrame({"who": ["a"]}), in_memory=True)
    with pytest.raises(DataError, match="The events have no column for the user") as caught:
        map_columns(frame, "events")
    assert "columns=" in caught.value.hint


def test_an_override_takes_its_column_first() -> None:
    mapping = map_columns(
        file("buyer", "item", "score"), "events", {"user_id": "buyer", "timestamp": "score"}
    )
    assert mapping.columns == {"user_id": "buyer", "item_id": "item", "timestamp": "score"}


def test_an_empty_override_leaves_the_field_out() -> None:
    mapping = map_columns(file("user", "item", "time"), "events", {"timestamp": ""})
    assert "timestamp" not in mapping
    assert mapping.others == ()


def test_a_missing_column_lists_what_is_there() -> None:
    with pytest.raises(DataError, match="no column for the user among: who, item") as caught:
        map_columns(file("who", "item"), "events")
    assert "--column user_id=COLUMN" in caught.value.hint


def test_overrides_are_checked() -> None:
    with pytest.raises(ConfigError, match="no field 'usr'"):
        check_overrides({"usr": "x"}, {"events": file("x")})
    with pytest.raises(ConfigError, match=r"no field 'items\.rating'"):
        check_overrides({"items.rating": "x"}, {"events": file("x")})
    with pytest.raises(DataError, match="no column 'y'"):
        check_overrides({"user_id": "y"}, {"events": file("x")})
    tables: dict[Table, SourceFile] = {"events": file("x"), "items": file("y")}
    check_overrides({"user_id": "y", "events.user_id": "x", "items.item_id": ""}, tables)
    with pytest.raises(DataError, match="no column 'y'"):
        check_overrides({"events.user_id": "y"}, tables)


def test_an_error_over_many_columns_is_short() -> None:
    many = file(*(f"column {number}" for number in range(5_000)))
    for broken in (
        lambda: map_columns(many, "events"),
        lambda: check_overrides({"user_id": "y"}, {"events": many}),
    ):
        with pytest.raises(DataError) as caught:
            broken()
        assert len(str(caught.value)) < 1_000


def test_what_is_said_of_one_table_goes_before_what_is_said_of_all() -> None:
    overrides = {"item_id": "sku", "items.item_id": "code", "events.user_id": "who"}
    assert overrides_of(overrides, "items") == {"item_id": "code"}
    assert overrides_of(overrides, "events") == {"item_id": "sku", "user_id": "who"}
    mapping = map_columns(file("sku", "code"), "items", overrides)
    assert mapping.columns["item_id"] == "code"


@pytest.mark.parametrize("empty", [None, "", " ", "NA"])
def test_an_empty_column_is_passed_over(empty: str | None) -> None:
    table = {"user_id": [empty], "customer_id": ["u"], "item": ["i"], "timestamp": [empty]}
    source = SourceFile(Path("x.csv"), pl.DataFrame(table | {"date": ["2024-01-01"]}))
    mapping = map_columns(source, "events")
    assert mapping.columns["user_id"] == "customer_id"
    assert mapping.columns["timestamp"] == "date"
    assert 'timestamp: column "date" ("timestamp" is empty)' in mapping.words(source)


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        ({"t_dat": "2024-01-01"}, "t_dat"),
        ({"order_date": "2024-01-01", "quantity": "2"}, "order_date"),
        ({"createdAt": "2024-01-01"}, "createdAt"),
        ({"Purchase Time": "1704110400"}, "Purchase Time"),
        ({"time": "14:06", "date": "2024-01-01"}, "date"),
        ({"order": datetime(2024, 1, 1)}, "order"),
        ({"watch_time": "12"}, None),
        ({"release_date": "2024-01-01"}, None),
        ({"birthDate": "2024-01-01"}, None),
        ({"day": "Monday"}, None),
    ],
)
def test_times_under_other_names(columns: dict[str, object], found: str | None) -> None:
    table = pl.DataFrame({"user": ["u"], "item": ["i"]} | {n: [x] for n, x in columns.items()})
    mapping = map_columns(SourceFile(Path("x.csv"), table), "events", {}, holds_times)
    assert mapping.columns.get("timestamp") == found


def test_names_of_columns_are_tidied() -> None:
    tidy = tidy_names(file(" user_id", "\ufeffitem_id\u00a0", "rating"))
    assert tidy.table.columns == ["user_id", "item_id", "rating"]
    clash = file("a", " a")
    assert tidy_names(clash) is clash


def test_types_behind_names_are_no_part_of_them() -> None:
    tidy = tidy_names(file("item_id:token", "title:token_seq", "price:float"))
    assert tidy.table.columns == ["item_id", "title", "price"]
    assert tidy.sequences == {"title"}
    assert tidy_names(file("a:token", "b")).table.columns == ["a:token", "b"]


@pytest.mark.parametrize(
    ("columns", "kind"),
    [
        (("user_id:token", "item_id:token"), "events"),
        (("Email", "Lineitem sku", "Created at"), "events"),
        (("Handle", "Title", "Variant SKU"), "items"),
        (("id", "title", "price"), "items"),
        (("customer_id", "age"), "users"),
        (("id", "age"), None),
        (("a", "b"), None),
    ],
)
def test_tables_are_told_apart_by_their_columns(columns: tuple[str, ...], kind: str | None) -> None:
    assert kind_of_table(columns) == kind


def test_a_first_row_that_is_data_is_no_header() -> None:
    path = Path("x.csv")
    for names, cells in ((("7", "8"), ("5", "6")), (("u1", "i1"), ("u2", "i1"))):
        table = pl.DataFrame(dict(zip(names, ([cell] for cell in cells), strict=True)))
        with pytest.raises(DataError, match=r"no column for the user.*no header line") as caught:
            map_columns(SourceFile(path, table, lambda: iter([2])), "events")
        assert caught.value.hint.endswith("--header user_id,item_id")
