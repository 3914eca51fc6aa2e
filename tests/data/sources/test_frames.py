"""Data frames are read as the same tables in files are, and mistakes are told plainly."""

import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.testing import assert_array_equal

from palate.data.dataset import Dataset
from palate.data.option_names import in_python
from palate.data.prepare import PrepareOptions, prepare
from palate.data.sources.frames import read_frames
from palate.errors import ConfigError, DataError, PalateError

HOURS = [datetime(2024, 1, 1, hour, 30) for hour in (5, 3, 4, 1, 2, 3, 9, 8)]
EVENTS: dict[str, list[object]] = {
    "user_id": ["anna", "anna", "bert", "anna", "bert", "bert", "carl", "carl"],
    "item_id": [11, 12, 11, 13, 12, 13, 11, 12],
    "rating": [4.0, None, 5.0, 2.5, None, 1.0, 3.0, 2.0],
    "timestamp": list(HOURS),
    "event_type": ["view", "buy", "buy", "view", "view", "buy", "view", "buy"],
}
ITEMS: dict[str, list[object]] = {
    "item_id": [11, 12, 13, 14],
    "title": ["Lamp &amp; Shade", "Chair", "Table", "Vase"],
    "price": [12.5, None, 80.0, 1.0],
    "categories": [["Light", "Home"], ["Wood"], [], None],
}
USERS: dict[str, list[object]] = {"user_id": ["bert", "anna", "carl"], "age": [30, 20, 40]}

Make = Callable[[dict[str, list[object]]], object]


class Capsule:
    """A frame of some other library, known by Arrow's interface alone."""

    def __init__(self, columns: dict[str, list[object]]) -> None:
        self._table = pa.table(columns)

    @property
    def columns(self) -> list[str]:
        return list(self._table.column_names)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)


MAKERS: dict[str, Make] = {
    "pandas": pd.DataFrame,
    "pandas with an index": lambda columns: pd.DataFrame(columns).set_index(
        pd.Index(range(100, 100 + len(next(iter(columns.values())))), name="row")
    ),
    "pandas backed by Arrow": lambda columns: pd.DataFrame(columns).convert_dtypes(
        dtype_backend="pyarrow"
    ),
    "pandas of nullable types": lambda columns: pd.DataFrame(columns).convert_dtypes(),
    "pandas of objects": lambda columns: pd.DataFrame(columns, dtype=object),
    "polars": lambda columns: pl.DataFrame(columns, strict=False),
    "polars, lazy": lambda columns: pl.LazyFrame(columns, strict=False),
    "pyarrow": pa.table,
    "pyarrow batch": pa.RecordBatch.from_pydict,
    "another library": Capsule,
}


@pytest.fixture(scope="module")
def as_files(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """What ``palate prepare`` makes of the same tables as CSV."""
    folder = tmp_path_factory.mktemp("shop")
    events, items = pl.DataFrame(EVENTS, strict=False), pl.DataFrame(ITEMS, strict=False)
    events.write_csv(folder / "events.csv", datetime_format="%Y-%m-%dT%H:%M:%S")
    joined = items.with_columns(pl.col("categories").list.join("|"))
    joined.write_csv(folder / "items.csv")
    pl.DataFrame(USERS).write_csv(folder / "users.csv")
    return prepare(folder, folder / "out", PrepareOptions(name="shop"))


def _assert_same(one: Dataset, two: Dataset) -> None:
    assert one.catalog.vocabulary.ids.tolist() == two.catalog.vocabulary.ids.tolist()
    assert one.catalog.table.equals(two.catalog.table)
    first, second = one.interactions, two.interactions
    assert first.users.ids.tolist() == second.users.ids.tolist()
    assert first.event_types == second.event_types
    for name in ("offsets", "item_rows", "event_codes", "timestamps", "ratings"):
        assert_array_equal(getattr(first, name), getattr(second, name), name)
    assert_array_equal(one.split.parts, two.split.parts)
    assert one.split.description == two.split.description


@pytest.mark.parametrize("maker", MAKERS)
def test_frames_make_the_dataset_that_files_make(as_files: Dataset, maker: str) -> None:
    make = MAKERS[maker]
    made = Dataset.from_frames(make(EVENTS), make(ITEMS), make(USERS), name="shop")
    _assert_same(made, as_files)
    assert made.users is not None
    assert made.users["user_id"].to_list() == made.interactions.users.ids.tolist()
    ages = dict(zip(made.users["user_id"], made.users["age"].cast(int), strict=True))
    assert ages == {"bert": 30, "anna": 20, "carl": 40}


def test_a_frame_of_pandas_is_read_without_pyarrow(
    as_files: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = [pd.DataFrame(columns) for columns in (EVENTS, ITEMS)]
    for name in [name for name in sys.modules if name.split(".")[0] == "pyarrow"]:
        monkeypatch.setitem(sys.modules, name, None)
    _assert_same(Dataset.from_frames(*frames, name="shop"), as_files)


def test_the_report_is_that_of_prepare(as_files: Dataset) -> None:
    made = Dataset.from_frames(pd.DataFrame(EVENTS), pd.DataFrame(ITEMS), name="shop")

    def section(report: str, heading: str) -> str:
        return report.split(f"## {heading}")[1].split("## ")[0]

    for heading in ("Counts", "Split", "Dropped"):
        assert section(made.report, heading) == in_python(section(as_files.report, heading))
    assert 'user_id: column "user_id"' in made.report
    assert "Source: data frames." in made.report


TIMES: dict[str, Callable[[], object]] = {
    "datetimes": lambda: pd.Series(HOURS),
    "of seconds": lambda: pd.Series(np.array(HOURS, dtype="datetime64[s]")),
    "of nanoseconds": lambda: pd.Series(np.array(HOURS, dtype="datetime64[ns]")),
    "in UTC": lambda: pd.Series(HOURS).dt.tz_localize("UTC"),
    "in another zone": lambda: pd.Series(HOURS).dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo"),
    "objects": lambda: pd.Series(HOURS, dtype=object),
    "objects with a zone": lambda: pd.Series([h.replace(tzinfo=UTC) for h in HOURS], dtype=object),
    "text": lambda: pd.Series([h.isoformat() for h in HOURS]),
    "text with a zone": lambda: pd.Series([f"{h.isoformat()}Z" for h in HOURS]),
    "numbers": lambda: pd.Series([int(h.replace(tzinfo=UTC).timestamp()) for h in HOURS]),
    "milliseconds": lambda: pd.Series([h.replace(tzinfo=UTC).timestamp() * 1e3 for h in HOURS]),
    "categories": lambda: pd.Series([h.isoformat() for h in HOURS]).astype("category"),
    "backed by Arrow": lambda: pd.Series(HOURS).astype("timestamp[us][pyarrow]"),
    "with a zone, backed by Arrow": lambda: (
        pd.Series(HOURS)
        .dt.tz_localize("UTC")
        .dt.tz_convert("Asia/Tokyo")
        .astype("timestamp[us, tz=Asia/Tokyo][pyarrow]")
    ),
}


@pytest.mark.parametrize("kind", TIMES)
@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_times_of_every_kind_are_the_same_points(
    as_files: Dataset, kind: str, library: str
) -> None:
    frame = pd.DataFrame(EVENTS).assign(timestamp=TIMES[kind]())
    events: object = frame
    if library == "polars":
        events = pl.from_pandas(frame)
    if library == "pyarrow":
        events = pa.Table.from_pandas(frame)
    made = Dataset.from_frames(events, pd.DataFrame(ITEMS), name="shop")
    _assert_same(made, as_files)


@pytest.mark.parametrize(
    "ids",
    [
        pd.Series([11, 12, 11, 13, 12, 13, 11, 12], dtype="float64"),
        pd.Series([11, 12, 11, 13, 12, 13, 11, 12], dtype="Int64"),
        pd.Series([11, 12, 11, 13, 12, 13, 11, 12], dtype="uint8"),
        pd.Series([11, 12, 11, 13, 12, 13, 11, 12], dtype=object),
        pd.Series([11.0, 12, 11, 13.0, 12, 13, 11, 12], dtype=object),
        pd.Series([Decimal(11), 12, 11, 13, 12, 13, 11, 12], dtype=object),
        pd.Series(["11", 12, "11", 13, 12, 13, 11, "12"], dtype=object),
        pd.Series([11, 12, 11, 13, 12, 13, 11, 12]).astype("category"),
        pd.Series(["11", "12", "11", "13", "12", "13", "11", "12"]).astype("category"),
        pl.Series(["11", "12", "11", "13", "12", "13", "11", "12"], dtype=pl.Categorical),
        pl.Series(
            ["11", "12", "11", "13", "12", "13", "11", "12"], dtype=pl.Enum(["11", "12", "13"])
        ),
        pa.array(["11", "12", "11", "13", "12", "13", "11", "12"]).dictionary_encode(),
    ],
)
def test_ids_of_every_kind_are_the_same_ids(as_files: Dataset, ids: object) -> None:
    events: object
    if isinstance(ids, pd.Series):
        events = pd.DataFrame(EVENTS).assign(item_id=ids)
    elif isinstance(ids, pl.Series):
        events = pl.DataFrame(EVENTS, strict=False).with_columns(ids.alias("item_id"))
    else:
        events = pa.table({**EVENTS, "item_id": ids})
    _assert_same(Dataset.from_frames(events, pd.DataFrame(ITEMS), name="shop"), as_files)


@pytest.mark.parametrize("dtype", ["float64", "Int64", object])
@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_a_missing_id_names_its_row(dtype: object, library: str) -> None:
    ids = pd.Series([11, 12, None, 13, 12, 13, 11, 12], dtype=dtype)
    frame = pd.DataFrame(EVENTS).assign(item_id=ids)
    make = {"pandas": lambda x: x, "polars": pl.from_pandas, "pyarrow": pa.Table.from_pandas}
    with pytest.raises(DataError, match=r"'events', row 3: no item_id"):
        Dataset.from_frames(make[library](frame))


@pytest.mark.parametrize("missing", [np.nan, None, pd.NA, pd.NaT])
def test_no_rating_is_no_rating(missing: object) -> None:
    ratings = pd.Series([4, missing, 5, 2.5, missing, 1, 3, 2], dtype=object)
    made = Dataset.from_frames(pd.DataFrame(EVENTS).assign(rating=ratings))
    assert made.interactions.ratings is not None
    assert np.isnan(made.interactions.ratings).sum() == 2


def test_nan_of_polars_and_pyarrow_is_no_rating() -> None:
    ratings = [4.0, np.nan, 5.0, 2.5, np.nan, 1.0, 3.0, 2.0]
    for events in (
        pl.DataFrame({**EVENTS, "rating": ratings}),
        pa.table({**EVENTS, "rating": ratings}),
    ):
        made = Dataset.from_frames(events)
        assert made.interactions.ratings is not None
        assert np.isnan(made.interactions.ratings).sum() == 2


@pytest.mark.parametrize(
    "cells",
    [
        [["Light", "Home"], ["Wood"], [], None],
        [("Light", "Home"), ("Wood",), (), None],
        [np.array(["Light", "Home"]), np.array(["Wood"]), np.array([], dtype=str), None],
        ["Light|Home", "Wood", None, None],
    ],
)
def test_lists_in_cells_are_lists(as_files: Dataset, cells: list[object]) -> None:
    items = pd.DataFrame(ITEMS).assign(categories=pd.Series(cells, dtype=object))
    made = Dataset.from_frames(pd.DataFrame(EVENTS), items)
    assert made.catalog.table["categories"].equals(as_files.catalog.table["categories"])


def test_columns_are_guessed_and_named_as_in_prepare() -> None:
    events = pd.DataFrame({"buyer": list("aaabbb"), "sku": [1, 2, 3, 1, 2, 3]})
    made = Dataset.from_frames(events, columns={"user_id": "buyer"}, split="leave-last-out")
    assert made.interactions.num_users == 2
    assert sorted(made.catalog.vocabulary.ids) == ["1", "2", "3"]


def test_options_are_those_of_prepare() -> None:
    events = pd.DataFrame(EVENTS)
    made = Dataset.from_frames(events, min_rating=2.0, duplicates="last", seed=3, name="mine")
    assert made.name == "mine"
    _assert_same(made, Dataset.from_frames(events.drop(index=5), seed=3, name="mine"))
    assert "| rated below 2 | 1 |" in made.report
    with pytest.raises(ConfigError, match="k_cor: there is no such setting"):
        Dataset.from_frames(events, k_cor=5)
    with pytest.raises(ConfigError, match="split"):
        Dataset.from_frames(events, split="sideways")


def test_prepare_reads_files_into_memory(as_files: Dataset, tmp_path: Path) -> None:
    events = pl.DataFrame(EVENTS, strict=False)
    events.write_parquet(tmp_path / "events.parquet")
    made = Dataset.prepare(tmp_path / "events.parquet", seed=0)
    assert_array_equal(made.split.parts, as_files.split.parts)
    assert made.name == "events"
    assert list(tmp_path.iterdir()) == [tmp_path / "events.parquet"]
    with pytest.raises(ConfigError, match="k_cor"):
        Dataset.prepare(tmp_path / "events.parquet", k_cor=5)
    with pytest.raises(DataError, match="no file or folder"):
        Dataset.prepare(tmp_path / "nothing.csv")


@pytest.mark.parametrize(
    ("events", "says", "hint"),
    [
        (None, "There are no events", "frame of pandas"),
        ([{"user_id": "a", "item_id": "b"}], "but a list", "DataFrame"),
        ({"user_id": ["a"], "item_id": ["b"]}, "but a dict", "DataFrame"),
        ("events.csv", "but a str", "Dataset.prepare('events.csv')"),
        (Path("events.csv"), "but a PosixPath", "Dataset.prepare"),
        (pd.Series([1, 2]), "but a Series", ""),
        (pl.Series([1, 2]), "but a Series", ""),
        (pa.chunked_array([[1, 2]]), "but a ChunkedArray", ""),
        (np.zeros((3, 2)), "but a ndarray", ""),
        (3, "but a int", ""),
        (pd.DataFrame, "but a type", ""),
        (pd.DataFrame(EVENTS).groupby("user_id"), "but a DataFrameGroupBy", ""),
        (pd.DataFrame(), "no rows", ""),
        (pd.DataFrame(EVENTS).head(0), "no rows", "at least one row"),
        (pl.DataFrame(), "no rows", ""),
        (pl.DataFrame(EVENTS, strict=False).head(0), "no rows", ""),
        (pa.table(EVENTS).slice(0, 0), "no rows", ""),
        (pd.DataFrame({"user_id": ["a"], "thing": ["b"]}), "no column for the item", "columns="),
        (pd.DataFrame(EVENTS).set_index("user_id"), "no column for the user", "reset_index"),
        (pd.DataFrame(np.zeros((3, 2))), "no column for the user; there are: 0, 1", "columns="),
        (pl.DataFrame({"a": [1], "b": [2]}), "no column for the user", "columns="),
        (pd.DataFrame([[1, 2, 3]], columns=["user_id", "item_id", "item_id"]), "one name", "own"),
        (pd.DataFrame([[1, 2, 3]], columns=["user_id", "1", 1]), "one name", "own"),
        (pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]), "one name", "own"),
        (pd.DataFrame({("a", "b"): [1], ("a", "c"): [2]}), "several levels", "join"),
        (pd.DataFrame({"user_id": ["a"], "item_id": ["b"]}), "Only 1 user", ""),
    ],
)
def test_a_mistake_is_told_and_what_to_do(events: object, says: str, hint: str) -> None:
    with pytest.raises(PalateError, match=says.replace("(", r"\(")) as caught:
        Dataset.from_frames(events)
    assert caught.value.hint
    assert hint in caught.value.hint


def test_items_and_users_are_checked_alike() -> None:
    events = pd.DataFrame(EVENTS)
    with pytest.raises(DataError, match="The items are no data frame but a list"):
        Dataset.from_frames(events, [1, 2])
    with pytest.raises(DataError, match="The users have no rows"):
        Dataset.from_frames(events, users=pd.DataFrame(USERS).head(0))
    with pytest.raises(DataError, match="The items have no column for the item"):
        Dataset.from_frames(events, pd.DataFrame({"title": ["Lamp"]}))


ODD: dict[str, list[object]] = {
    "booleans": [True, False] * 4,
    "times of day": [time(hour) for hour in range(8)],
    "durations": [timedelta(hours=hour) for hour in range(8)],
    "dates": [date(2024, 1, 1 + day) for day in range(8)],
    "decimals": [Decimal("1.5")] * 8,
    "bytes": [b"\x00\xff"] * 8,
    "lists": [["a", 1], ["b"]] * 4,
    "objects": [{"a": 1}, {"b": "x"}] * 4,
    "nothing": [None] * 8,
    "endless": [np.inf, -np.inf] * 4,
    "large numbers": [2**70, 1] * 4,
    "mixed": [1, "a", 2.5, None, b"x", date(2024, 1, 1), ["a"], {"a": 1}],
    "complex": [1j] * 8,
    "periods": list(pd.period_range("2024-01", periods=8, freq="M")),
    "sets": [{"a"}] * 8,
    "controls": ["a\x00b", "\x1b[31m"] * 4,
}
_NOT_OF_POLARS = {"mixed", "complex", "periods", "sets", "large numbers", "lists", "objects"}


@pytest.mark.parametrize(("kind", "library"), list(product(ODD, ["pandas", "polars"])))
@pytest.mark.parametrize("field", ["user_id", "item_id", "rating", "timestamp", "event_type"])
def test_odd_values_are_read_or_refused_plainly(kind: str, library: str, field: str) -> None:
    columns = EVENTS | {field: ODD[kind]}
    frame: object = pd.DataFrame({name: pd.Series(cells) for name, cells in columns.items()})
    if library == "polars":
        frame = pl.DataFrame(
            [
                pl.Series(
                    name,
                    cells,
                    dtype=pl.Object if kind in _NOT_OF_POLARS and name == field else None,
                    strict=False,
                )
                for name, cells in columns.items()
            ]
        )
    _assert_read_or_refused(frame)


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("field", ["title", "price", "categories", "image", "brand", "colour"])
def test_odd_items_are_read_or_refused_plainly(kind: str, field: str) -> None:
    items = pd.DataFrame({"item_id": range(11, 19), field: pd.Series(ODD[kind])})
    _assert_read_or_refused(pd.DataFrame(EVENTS), items)


def _assert_read_or_refused(*frames: object) -> None:
    """Nothing but a plain error may come of it."""
    try:
        events = len(Dataset.from_frames(*frames).interactions)
    except PalateError as error:
        events = len(error.hint)
    assert events


def test_reading_leaves_the_frame_alone() -> None:
    frame = pd.DataFrame(EVENTS)
    before = frame.copy(deep=True)
    read_frames(frame)
    pd.testing.assert_frame_equal(frame, before)
