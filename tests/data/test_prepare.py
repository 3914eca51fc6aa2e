"""The whole way from files to a dataset folder."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from palate.data.dataset import Dataset
from palate.data.prepare import PrepareOptions, prepare
from palate.data.split import Part, PartName
from palate.errors import DataError, PalateError

EVENTS = """user_id,item_id,event_type,rating,timestamp,scenario
anna,lamp,view,,3,home
anna,chair,rating,4,1,
bert,lamp,rating,5,2,search
anna,table,rating,2,2,home
bert,chair,view,,1,home
bert,table,view,,3,search
carl,lamp,view,,1,home
"""
ITEMS = """item_id,title,price,categories,brand
lamp,Lamp &amp; Shade,"$1,200",Light|Home,Lux
chair,Chair,n/a,,
table,Chair,5,Wood,
vase,Vase,1,,
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "interactions.csv").write_text(EVENTS)
    (folder / "items.csv").write_text(ITEMS)
    (folder / "users.csv").write_text("user_id,age\nbert,30\nanna,20\nzoe,9\n")
    return folder


def prepared(source: Path, **options: object) -> Dataset:
    return prepare(source, source.parent / "out", PrepareOptions.model_validate(options))


def items_of(dataset: Dataset, user: str) -> list[str]:
    return [str(dataset.catalog.vocabulary.ids[row]) for row in dataset.history(user).item_rows]


def test_events_are_in_time_order_with_all_they_carry(source: Path) -> None:
    shop = prepared(source)
    assert shop.name == "shop"
    assert items_of(shop, "anna") == ["chair", "table", "lamp"]
    events = shop.interactions
    assert events.event_types == ("rating", "view")
    assert events.scenarios == ("home", "search")
    history = shop.history("anna")
    assert history.ratings is not None
    assert history.timestamps is not None
    assert np.array_equal(history.ratings, [4, 2, np.nan], equal_nan=True)
    assert history.timestamps.tolist() == [1, 2, 3]


def test_items_are_those_that_events_mention(source: Path) -> None:
    shop = prepared(source)
    table = {row["item_id"]: row for row in shop.catalog.table.iter_rows(named=True)}
    assert set(table) == {"lamp", "chair", "table"}
    assert table["lamp"]["title"] == "Lamp & Shade"
    assert table["lamp"]["price"] == 1200
    assert table["lamp"]["categories"] == ["Light", "Home"]
    assert table["chair"]["categories"] == []
    assert len(prepared(source, keep_untouched_items=True).catalog) == 4


def test_users_are_in_row_order(source: Path) -> None:
    users = prepared(source).users
    assert users is not None
    assert dict(users.select("user_id", "age").iter_rows()) == {
        "anna": "20",
        "bert": "30",
        "carl": None,
    }


def test_the_folder_holds_the_same_dataset(source: Path) -> None:
    made = prepared(source)
    read = Dataset.load(source.parent / "out")
    assert read.interactions.frame().equals(made.interactions.frame())
    assert read.catalog.table.equals(made.catalog.table)
    assert (read.split.parts == made.split.parts).all()
    assert read.report == made.report


def test_the_seed_alone_decides_the_rows(source: Path) -> None:
    first, again, other = (prepared(source, seed=seed).catalog.vocabulary.ids for seed in (1, 1, 5))
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()


def test_the_order_of_the_file_does_not_matter_where_there_are_times(source: Path) -> None:
    straight = prepared(source)
    header, *rows = EVENTS.splitlines()
    (source / "interactions.csv").write_text("\n".join([header, *rows[::-1]]))
    assert prepared(source).interactions.frame().equals(straight.interactions.frame())


def test_both_ways_of_sorting_agree(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_one_key = prepared(source).interactions.frame()
    monkeypatch.setattr("palate.data.event_table._LARGEST_KEY", 0)
    assert prepared(source).interactions.frame().equals(by_one_key)


def test_without_times_the_file_gives_the_order(source: Path) -> None:
    shop = prepared(source, columns={"timestamp": ""})
    assert items_of(shop, "anna") == ["lamp", "chair", "table"]
    assert shop.interactions.timestamps is None
    assert "the order of the file is taken" in shop.report


def test_a_position_goes_before_the_time(source: Path) -> None:
    text = "user,item,time,position\na,lamp,5,1\na,chair,,0\nb,lamp,1,0\nb,table,1,\na,table,1,2\n"
    (source / "interactions.csv").write_text(text)
    shop = prepared(source)
    assert items_of(shop, "a") == ["chair", "lamp", "table"]
    assert "| no position in the user's history | 1 |" in shop.report


def test_a_position_on_a_page_is_no_order(source: Path) -> None:
    text = "user_id,item_id,timestamp,position\na,lamp,5,1\na,chair,3,1\na,table,4,1\nb,lamp,1,1\n"
    (source / "interactions.csv").write_text(text)
    shop = prepared(source)
    assert items_of(shop, "a") == ["chair", "table", "lamp"]
    assert shop.interactions.extra is not None
    assert shop.interactions.extra.columns == ["position"]


def test_filters_are_reported(source: Path) -> None:
    shop = prepared(source, k_core=2)
    assert set(shop.interactions.users.ids) == {"anna", "bert"}
    assert "| outside the 2-core | 1 |" in shop.report
    with pytest.raises(DataError, match="Only 0 user left after filtering"):
        prepared(source, k_core=9)


def test_the_report_tells_what_a_person_must_know(source: Path) -> None:
    text = EVENTS.replace("anna,table,rating,2,2", "anna,table,rating,2,1")
    (source / "interactions.csv").write_text(text)
    report = prepared(source).report
    for words in (
        "| users | 3 |",
        "| events of type view | 4 |",
        '"user_id"',
        "taken as an order",
        "1 pairs of consecutive events (25%) have the same time",
        "2 items share their title",
        "1 prices are no number",
        "1 users have no row in users.csv",
        "text cut at '|'",
        "Leave last out",
    ):
        assert words in report


def test_numbering_leaks_are_reported_and_left_out(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    order = rng.permutation(np.repeat(np.arange(150), 4))
    _, first = np.unique(order, return_index=True)
    number = np.argsort(np.argsort(first))[order]
    events = {
        "user": rng.integers(0, 40, 600),
        "item": number,
        "item_idx": number,
        "time": [7] * 600,
    }
    pl.DataFrame(events).write_csv(tmp_path / "events.csv")
    shop = prepared(tmp_path / "events.csv")
    assert "of the item ids are the largest so far plus one" in shop.report
    assert shop.interactions.extra is None
    assert "leaks order): item_idx" in shop.report


def test_items_described_in_the_events(tmp_path: Path) -> None:
    text = "user,item,title,note\na,1,One,x\na,2,Two,y\na,3,,z\nb,1,One,w\n"
    (tmp_path / "events.csv").write_text(text)
    shop = prepared(tmp_path / "events.csv")
    titles = dict(shop.catalog.table.select("item_id", "title").iter_rows())
    assert titles == {"1": "One", "2": "Two", "3": None}
    assert shop.interactions.extra is not None
    assert shop.interactions.extra.columns == ["note"]


def test_columns_with_names_of_ours_are_kept_under_others(tmp_path: Path) -> None:
    text = "user_id,item_id,user,order,item_row\na,1,x,9,r\na,2,x,8,s\na,3,x,7,r\nb,1,y,6,t\n"
    (tmp_path / "events.csv").write_text(text)
    extra = prepared(tmp_path / "events.csv").interactions.extra
    assert extra is not None
    assert extra.columns == ["user_given", "order_given", "item_row_given"]


def test_pictures_beside_the_table(source: Path) -> None:
    (source / "lamp.png").write_bytes(b"png")
    items = "item_id,image\nlamp,lamp.png\nchair,chair.png\ntable,http://there/t.png\n"
    (source / "items.csv").write_text(items)
    shop = prepared(source)
    pictures = dict(shop.catalog.table.select("item_id", "image").iter_rows())
    assert pictures == {"lamp": b"png", "chair": None, "table": None}
    assert "1 pictures named in items.csv are not there" in shop.report


def test_an_item_without_a_row(source: Path) -> None:
    with (source / "interactions.csv").open("a") as file:
        file.write("anna,sofa,view,,9,home\n")
    with pytest.raises(
        DataError, match=r"interactions.csv', line 9: item 'sofa' has no row"
    ) as caught:
        prepared(source)
    assert "--allow-missing-items" in caught.value.hint
    shop = prepared(source, allow_missing_items=True)
    assert "sofa" in shop.catalog.vocabulary
    assert "1 items (1 events) have no row" in shop.report


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("user_id,thing\na,b\n", "line 1: no column for the item among: user_id, thing"),
        ("a,b,5.0,1318896000\na,c,4.0,1318896001\n", "line 1: no column for the user"),
        ("user,item,time\na,b,1\na,c,noon\n", "line 3: the time in 'time' cannot be read: 'noon'"),
        ("user,item,rating\na,b,1\na,c,inf\n", "line 3: the rating in 'rating' is not a number"),
        ("user,item\na,b\n,c\n", "line 3: no user"),
        ("user,item\na,b\na,c\na,d\n", "Only 1 user: at least two"),
        ("user,item\na,b\nc,b\n", "Only 1 item: at least two"),
        ("user,item\na,b\nc,d\n", "leaves no event for valid and test"),
    ],
)
def test_a_bad_source_leaves_nothing_behind(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "events.csv").write_text(text)
    with pytest.raises(DataError) as caught:
        prepared(tmp_path / "events.csv")
    assert says in caught.value.message
    assert caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["events.csv"]


def test_too_many_kinds_of_events(tmp_path: Path) -> None:
    rows = "".join(f"u{n % 9},i{n % 5},kind {n}\n" for n in range(200))
    (tmp_path / "events.csv").write_text(f"user,item,type\n{rows}")
    shop = prepared(tmp_path / "events.csv")
    assert shop.interactions.event_types == ("interaction",)
    with pytest.raises(DataError, match="200 different values, too many for event_type"):
        prepared(tmp_path / "events.csv", columns={"event_type": "type"})


def test_an_unknown_source_lists_the_public_sets(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no public set of that name") as caught:
        prepare("ml-2m", tmp_path / "out")
    assert "ml-1m" in caught.value.hint


def test_another_folder_is_not_overwritten(source: Path) -> None:
    (source.parent / "out").mkdir()
    (source.parent / "out" / "thesis.txt").write_text("precious")
    with pytest.raises(PalateError, match="will not be overwritten"):
        prepared(source)
    assert (source.parent / "out" / "thesis.txt").read_text() == "precious"


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "users", "items", "events"),
    [
        # Published counts; ML-1M as in the benchmark, without items of under five ratings.
        ("amazon14_beauty", 22_363, 12_101, 198_502),
        ("amazon14_sports", 35_598, 18_357, 296_337),
        ("amazon14_instruments_reviews", 1_429, 900, 10_261),
        ("ml-1m", 6_040, 3_416, 999_611),
        ("ml-100k", 943, 1_682, 100_000),
        ("ml-latest-small", 671, 9_066, 100_004),
    ],
)
def test_real_data(
    shared_data: Path, tmp_path: Path, name: str, users: int, items: int, events: int
) -> None:
    data = prepare(shared_data / name, tmp_path / "out")
    found = (data.interactions.num_users, len(data.catalog), len(data.interactions))
    assert found == (users, items, events)
    published = pl.read_parquet(shared_data / name / "interactions.parquet").drop_nulls("position")
    parts: tuple[PartName, ...] = ("valid", "test")
    for part in parts:
        rows = published.filter(pl.col("split") == part)
        wanted = dict(rows.select("user_id", "item_id").iter_rows())
        places = np.flatnonzero(data.split.parts == Part.named(part))
        got_users = data.interactions.users.ids[data.interactions.user_rows[places]].tolist()
        got_items = data.catalog.vocabulary.ids[data.interactions.item_rows[places]].tolist()
        assert dict(zip(got_users, got_items, strict=True)) == wanted
    assert data.split.count(Part.TEST) == users
