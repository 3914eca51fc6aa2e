"""Guessing columns by their usual names, and overriding the guess."""

from pathlib import Path

import polars as pl
import pytest

from palate.data.columns import check_overrides, map_columns
from palate.data.sources.read import SourceFile
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
    with pytest.raises(DataError, match=r"'stars' holds List\(Int64\), which is no rating"):
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
        check_overrides({"usr": "x"}, [file("x")])
    with pytest.raises(DataError, match="no column 'y'"):
        check_overrides({"user_id": "y"}, [file("x")])
