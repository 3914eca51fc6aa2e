"""Sources as people have them: what is read, what is refused, and what the report says of it.

Each case is a small source with one thing that is unlike the plain one: six users with five events
each, in an order that only the times tell.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from palate.data.dataset import Dataset
from palate.data.prepare import PrepareOptions, prepare
from palate.data.sources.open import AnySource
from palate.data.split import Part
from palate.errors import ConfigError, DataError

START = 1_600_000_000
Row = tuple[str, str, int]


def rows() -> list[Row]:
    """Return user, item and time of thirty events, shuffled."""
    events = [
        (f"u{user}", f"i{(user + 3 * place) % 8}", START + 100_000 * place + 1_000 * user)
        for user in range(6)
        for place in range(5)
    ]
    order = np.random.default_rng(0).permutation(len(events))
    return [events[place] for place in order]


def write(
    folder: Path,
    header: str = "user_id,item_id,timestamp",
    cell: Callable[[Row], str] = lambda row: f"{row[0]},{row[1]},{row[2]}",
    name: str = "events.csv",
    encoding: str = "utf-8",
) -> Path:
    path = folder / name
    text = "\n".join([header, *(cell(row) for row in rows())]) + "\n"
    path.write_bytes(text.encode(encoding))
    return path


def made(source: AnySource, folder: Path, **options: object) -> Dataset:
    return prepare(source, folder / "out", PrepareOptions.model_validate(options))


def histories(dataset: Dataset) -> dict[str, list[str]]:
    ids = dataset.catalog.vocabulary.ids
    return {
        str(user): [str(ids[row]) for row in dataset.history(user).item_rows]
        for user in dataset.interactions.users.ids
    }


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    folder = tmp_path_factory.mktemp("plain")
    return histories(made(write(folder), folder))


def iso(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


READ_ALIKE = {
    "blanks around names and values": (
        "user_id, item_id , timestamp",
        lambda row: f"{row[0]} , {row[1]},\u00a0{row[2]}",
        "Blanks around 30 of 30",
    ),
    "quotes behind blanks": (
        'user_id, "item_id", "timestamp"',
        lambda row: f'{row[0]}, "{row[1]}", "{row[2]}"',
        "Unix seconds",
    ),
    "a line that tells the separator": (
        "sep=;\nuser_id;item_id;timestamp",
        lambda row: f"{row[0]};{row[1]};{row[2]}",
        "Unix seconds",
    ),
    "types behind names": (
        "user_id:token\titem_id:token\ttimestamp:float",
        lambda row: f"{row[0]}\t{row[1]}\t{row[2]}.0",
        'item_id: column "item_id"',
    ),
    "double colons": (
        "UserID::ItemID::Timestamp",
        lambda row: f"{row[0]}::{row[1]}::{row[2]}",
        "Unix seconds",
    ),
    "time under another name": (
        "t_dat,customer_id,article_id",
        lambda row: f"{iso(row[2]):%Y-%m-%d %H:%M:%S},{row[0]},{row[1]}",
        'timestamp: column "t_dat"',
    ),
    "an empty column before the time": (
        "user_id,item_id,timestamp,date",
        lambda row: f"{row[0]},{row[1]},,{iso(row[2]):%Y-%m-%d %H:%M}",
        'timestamp: column "date" ("timestamp" is empty)',
    ),
    "day and time in two columns": (
        "user_id,item_id,date,time",
        lambda row: f"{row[0]},{row[1]},{iso(row[2]):%Y-%m-%d,%H:%M:%S}",
        'the hours are taken from column "time"',
    ),
    "dates with points": (
        "user_id;item_id;timestamp",
        lambda row: f"{row[0]};{row[1]};{iso(row[2]):%d.%m.%Y %H:%M:%S}",
        "day first",
    ),
    "dates of America": (
        "user_id,item_id,timestamp",
        lambda row: f"{row[0]},{row[1]},{iso(row[2]):%m/%d/%Y %I:%M:%S %p}",
        "month first",
    ),
    "dates of Go": (
        "user_id,item_id,timestamp",
        lambda row: f"{row[0]},{row[1]},{iso(row[2]):%Y-%m-%d %H:%M:%S.123456} +0000 UTC",
        "in UTC",
    ),
    "dates of mail": (
        "user_id;item_id;timestamp",
        lambda row: f"{row[0]};{row[1]};{iso(row[2]):%a, %d %b %Y %H:%M:%S} GMT",
        "in UTC",
    ),
    "dates in fourteen digits": (
        "user_id,item_id,timestamp",
        lambda row: f"{row[0]},{row[1]},{iso(row[2]):%Y%m%d%H%M%S}",
        "%Y%m%d%H%M%S",
    ),
    "dates in twelve digits": (
        "user_id,item_id,timestamp",
        lambda row: f"{row[0]},{row[1]},{iso(row[2]):%Y%m%d%H%M}",
        "%Y%m%d%H%M",
    ),
    "days of a spreadsheet": (
        "user_id;item_id;timestamp",
        lambda row: f"{row[0]};{row[1]};{row[2] / 86_400 + 25_569:.6f}".replace(".", ","),
        "days of a spreadsheet",
    ),
    "seconds and milliseconds": (
        "user_id,item_id,timestamp",
        lambda row: f"{row[0]},{row[1]},{row[2] * (1_000 if row[1] in 'i1i2i3' else 1)}",
        "Unix milliseconds, such as",
    ),
    "digits kept by a formula": (
        "user_id,item_id,timestamp",
        lambda row: f'="{row[0]}",="{row[1]}",{row[2]}',
        '="0012" and are read as 0012',
    ),
}


@pytest.mark.parametrize(("header", "cell", "says"), READ_ALIKE.values(), ids=READ_ALIKE.keys())
def test_the_same_events_in_every_dress(
    tmp_path: Path,
    plain: dict[str, list[str]],
    header: str,
    cell: Callable[[Row], str],
    says: str,
) -> None:
    shop = made(write(tmp_path, header, cell), tmp_path)
    assert histories(shop) == plain
    assert says in shop.report
    assert shop.interactions.timestamps is not None
    assert abs(int(shop.interactions.timestamps.min()) - START) < 60


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "cp1252"])
def test_the_same_events_in_every_encoding(
    tmp_path: Path, plain: dict[str, list[str]], encoding: str
) -> None:
    path = write(tmp_path, encoding=encoding)
    assert histories(made(path, tmp_path)) == plain


def test_ids_that_became_floats_are_whole_in_every_table(tmp_path: Path) -> None:
    write(tmp_path, cell=lambda row: f"1{row[0][1:]}.0,{row[1][1:]}.0,{row[2]}")
    (tmp_path / "items.csv").write_text(
        "item_id,title\n" + "".join(f"{n},T{n}\n" for n in range(8))
    )
    pl.DataFrame({"user_id": [10.0, 11.0], "age": [30.0, float("nan")]}).write_parquet(
        tmp_path / "users.parquet"
    )
    shop = made(tmp_path, tmp_path)
    assert sorted(shop.interactions.users.ids) == ["10", "11", "12", "13", "14", "15"]
    assert sorted(shop.catalog.vocabulary.ids) == [str(n) for n in range(8)]
    assert shop.catalog.table["title"].null_count() == 0
    assert shop.users is not None
    assert shop.users.filter(pl.col("user_id") == "11")["age"].to_list() == [None]
    assert "whole numbers written with a point, such as" in shop.report


def test_a_user_that_is_nan_is_refused_with_the_row(tmp_path: Path) -> None:
    table = pl.DataFrame({"user_id": [1.0, float("nan"), 2.0], "item_id": ["a", "b", "c"]})
    table.write_parquet(tmp_path / "events.parquet")
    with pytest.raises(DataError, match="row 2: no user_id"):
        made(tmp_path / "events.parquet", tmp_path)


def test_ids_that_differ_in_zeros_are_pointed_out(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "items.csv").write_text("item_id,title\n00I5,A\n")
    (tmp_path / "events.csv").write_text("user_id,item_id\na,i5\n")
    with pytest.raises(DataError, match="item 'i5' has no row"):
        made(tmp_path, tmp_path)
    (tmp_path / "items.csv").write_text("item_id,title\n0108,A\n")
    (tmp_path / "events.csv").write_text("user_id,item_id\na,108\n")
    with pytest.raises(DataError, match="item '108' has no row") as caught:
        made(tmp_path, tmp_path)
    assert "There is a row for '0108'" in caught.value.hint


def test_items_and_users_without_events_are_counted(tmp_path: Path) -> None:
    write(tmp_path)
    items = "".join(f"i{n},T{n}\n" for n in range(11))
    (tmp_path / "items.csv").write_text(f"item_id,title\n{items}")
    users = "".join(f"u{n},{n}\n" for n in range(8))
    (tmp_path / "users.csv").write_text(f"user_id,age\n{users}")
    shop = made(tmp_path, tmp_path)
    assert "| items without an event (kept with --keep-untouched-items) | 3 |" in shop.report
    assert "| users of users.csv without an event | 2 |" in shop.report
    kept = made(tmp_path, tmp_path, keep_untouched_items=True)
    assert len(kept.catalog) == 11
    assert "3 without an event are kept" in kept.report


@pytest.mark.parametrize("word", ["NA", "None", "NULL", "\\N", "nan", "-"])
def test_words_for_nothing_in_place_of_ids(tmp_path: Path, word: str) -> None:
    path = write(
        tmp_path, cell=lambda row: f"{word if row[0] == 'u5' else row[0]},{row[1]},{row[2]}"
    )
    shop = made(path, tmp_path)
    assert sorted(shop.interactions.users.ids) == ["u0", "u1", "u2", "u3", "u4"]
    assert "| no user | 5 |" in shop.report
    assert f'5 of 30 (17%) rows of events.csv have no "user_id" but {word!r} (5)' in shop.report
    assert word in made(path, tmp_path, null=[""]).interactions.users.ids


def test_a_word_of_ones_own_means_nothing_too(tmp_path: Path) -> None:
    path = write(tmp_path, cell=lambda row: f"{row[0].replace('u5', 'guest')},{row[1]},{row[2]}")
    assert "guest" in made(path, tmp_path).interactions.users.ids
    shop = made(path, tmp_path, null=["guest"])
    assert len(shop.interactions.users) == 5
    assert "'guest' (5)" in shop.report


def test_words_for_nothing_in_ratings_times_and_titles(tmp_path: Path) -> None:
    write(
        tmp_path,
        "user_id,item_id,rating,timestamp",
        lambda row: (
            f"{row[0]},{row[1]},{'NA' if row[1] == 'i1' else 4},"
            f"{'None' if row[1] == 'i2' else row[2]}"
        ),
    )
    items = "".join(f"i{n},{'N/A' if n == 3 else f'T{n}'},-\n" for n in range(8))
    (tmp_path / "items.csv").write_text(f"item_id,title,price\n{items}")
    shop = made(tmp_path, tmp_path)
    assert shop.interactions.ratings is not None
    assert shop.interactions.timestamps is not None
    lacking = sum(row[1] == "i2" for row in rows())
    assert np.isnan(shop.interactions.ratings).sum() == sum(row[1] == "i1" for row in rows())
    assert (shop.interactions.timestamps < 0).sum() == lacking
    assert f"| events without a time | {lacking} |" in shop.report
    assert "1 of 8 (12%) values are 'N/A' (1): taken as missing" in shop.report


@pytest.mark.parametrize("filler", ["0", "253402300799", "NA", ""])
def test_events_without_a_time_come_first_and_are_never_asked_for(
    tmp_path: Path, filler: str
) -> None:
    last = {row[0]: max(other[2] for other in rows() if other[0] == row[0]) for row in rows()}
    path = write(
        tmp_path,
        cell=lambda row: f"{row[0]},{row[1]},{filler if row[2] == last[row[0]] else row[2]}",
    )
    shop = made(path, tmp_path)
    events = shop.interactions
    assert events.timestamps is not None
    assert (events.timestamps[events.offsets[:-1]] < 0).all()
    assert (events.timestamps[shop.split.parts == Part.TEST] > 0).all()
    assert "6 of 30 (20%) rows of events.csv have no time:" in shop.report
    assert "they stand before the other events of their user" in shop.report
    dropped = made(path, tmp_path, drop_incomplete=True)
    assert len(dropped.interactions) == 24
    assert "| no time | 6 |" in dropped.report


def test_no_time_at_all_is_warned_of(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "user_id,item_id,release_date",
        lambda row: f"{row[0]},{row[1]},{iso(row[2]):%Y-%m-%d}",
    )
    report = made(path, tmp_path).report
    assert "No time of the events was found: the order of the file decides" in report
    assert 'columns that hold times: "release_date"' in report
    assert "No time of the events" not in made(path, tmp_path, columns={"timestamp": ""}).report


def test_lists_and_prices_as_other_programs_write_them(tmp_path: Path) -> None:
    write(tmp_path)
    cells = "".join(f"i{n};\"['Rock', 'R&B']\";1.29{n},50 \u20ac\n" for n in range(8))
    (tmp_path / "items.csv").write_text(f"item_id;genres;price\n{cells}", encoding="utf-8")
    shop = made(tmp_path, tmp_path)
    assert shop.catalog.table["categories"].to_list() == [["Rock", "R&B"]] * 8
    assert sorted(shop.catalog.table["price"])[0] == 1290.5
    assert "Categories: Python lists." in shop.report
    assert "Prices: decimal comma, '1.290,50" in shop.report


def test_a_file_without_a_header_line(tmp_path: Path, plain: dict[str, list[str]]) -> None:
    first, *others = rows()
    text = "".join(f"{user},{item},{time}\n" for user, item, time in [first, *others])
    path = tmp_path / "ratings.csv"
    path.write_text(text)
    with pytest.raises(DataError, match="no header line") as caught:
        made(path, tmp_path)
    assert "--header user_id,item_id,timestamp" in caught.value.hint
    header = {"events": ("user_id", "item_id", "timestamp")}
    assert histories(made(path, tmp_path, header=header)) == plain


def test_two_tables_under_other_names(tmp_path: Path, plain: dict[str, list[str]]) -> None:
    orders = write(tmp_path, "buyer,thing,when", name="orders.csv")
    products = tmp_path / "products_2024.csv"
    products.write_text("code,title\n" + "".join(f"i{n},T{n}\n" for n in range(8)))
    columns = {
        "events.user_id": "buyer",
        "events.item_id": "thing",
        "timestamp": "when",
        "items.item_id": "code",
    }
    shop = made({"events": orders, "items": str(products)}, tmp_path, columns=columns)
    assert histories(shop) == plain
    assert shop.catalog.table["title"].null_count() == 0
    assert shop.name == "orders"


def test_files_of_one_table_are_named_or_found_by_a_pattern(
    tmp_path: Path, plain: dict[str, list[str]]
) -> None:
    header, *lines = write(tmp_path).read_text().splitlines()
    for number in range(3):
        text = "\n".join([header, *lines[number::3]])
        (tmp_path / f"part {number}.csv").write_text(text)
    files = [tmp_path / f"part {number}.csv" for number in range(3)]
    for events in (files, [str(tmp_path / "part *.csv")]):
        shop = made({"events": events}, tmp_path)
        assert histories(shop) == plain
        assert "3 files read together: part 0.csv, part 1.csv, part 2.csv" in shop.report
    with pytest.raises(DataError, match="no file like"):
        made({"events": str(tmp_path / "month *.csv")}, tmp_path)
    with pytest.raises(ConfigError, match="no table called 'clicks'"):
        made({"clicks": files}, tmp_path)


def test_events_that_stand_in_two_files_are_warned_of(tmp_path: Path) -> None:
    first = write(tmp_path)
    second = write(tmp_path, name="sample.csv")
    report = made({"events": [first, second]}, tmp_path).report
    assert "60 of 60 (100%) events stand in more than one of the files" in report


def test_a_folder_of_parts(tmp_path: Path, plain: dict[str, list[str]]) -> None:
    table = pl.read_csv(write(tmp_path))
    folder = tmp_path / "events.parquet"
    folder.mkdir()
    table[:10].write_parquet(folder / "part-00000.parquet")
    table[10:].write_parquet(folder / "part-00001.parquet")
    (folder / "_SUCCESS").touch()
    shop = made(folder, tmp_path)
    assert histories(shop) == plain
    assert shop.name == "events"
    manifest = (tmp_path / "out" / "manifest.json").read_text()
    assert "part-00000.parquet" in manifest
    assert "part-00001.parquet" in manifest


def test_an_error_over_much_json_is_short(tmp_path: Path) -> None:
    cells = {f"row {number}": {"a": number} for number in range(5_000)}
    many = {f"column {number}": "x" for number in range(5_000)}
    of_cells = {"user_id": cells, "item_id": 1}
    for value in (of_cells, {"a": [cells], "b": [1]}, [cells, 1], {"user_id": [cells]}, [many]):
        (tmp_path / "events.json").write_text(json.dumps(value))
        with pytest.raises(DataError) as caught:
            made(tmp_path / "events.json", tmp_path)
        assert len(str(caught.value)) < 1_000


def test_the_share_of_pairs_is_at_most_all(tmp_path: Path) -> None:
    text = "user_id,item_id,timestamp\n" + "".join(
        f"u{n % 2},i{n // 2 % 2},{n}\n" for n in range(80)
    )
    (tmp_path / "events.csv").write_text(text)
    report = made(tmp_path / "events.csv", tmp_path).report
    assert "| share of all user-item pairs | 100.0000% |" in report
    assert "| events that repeat a user-item pair | 76 (95.0%) |" in report


def test_a_user_who_may_be_everybody_is_warned_of(tmp_path: Path) -> None:
    path = write(tmp_path)
    with path.open("a") as file:
        file.writelines(f"guest,i{n % 8},{START + n}\n" for n in range(200))
    assert "User 'guest' has 87% of all events" in made(path, tmp_path).report


@pytest.mark.parametrize("column", ["user_id", "item_id"])
@pytest.mark.parametrize("bad", ["x" * 257, "a\x1b[31mb"])
def test_ids_that_nothing_else_takes_are_refused(tmp_path: Path, column: str, bad: str) -> None:
    place = ("user_id", "item_id").index(column)
    text = write(tmp_path).read_text().splitlines()
    cells = text[3].split(",")
    cells[place] = bad
    text[3] = ",".join(cells)
    path = tmp_path / "events.csv"
    path.write_text("\n".join(text))
    with pytest.raises(DataError, match=f"line 4: the {column} "):
        made(path, tmp_path)


def test_a_sequence_of_words_in_a_table_of_recbole(tmp_path: Path) -> None:
    write(
        tmp_path,
        "user_id:token\titem_id:token\ttimestamp:float",
        lambda row: "\t".join(map(str, row)),
        "s.inter",
    )
    cells = "".join(f"i{n}\tToy Story\tAnimation Children's\n" for n in range(8))
    header = "item_id:token\tmovie_title:token_seq\tgenre:token_seq\n"
    (tmp_path / "s.item").write_text(header + cells)
    table = made(tmp_path, tmp_path).catalog.table
    assert table["title"].to_list() == ["Toy Story"] * 8
    assert table["categories"].to_list() == [["Animation", "Children's"]] * 8


def test_an_id_with_decimals_in_one_table_alone_is_pointed_at(tmp_path: Path) -> None:
    write(tmp_path, cell=lambda row: f"{row[0]},{row[1][1:]},{row[2]}")
    items = "\n".join(["item_id,title", "9.5,Odd", *(f"{n}.0,T{n}" for n in range(8))])
    (tmp_path / "items.csv").write_text(items)
    with pytest.raises(DataError) as caught:
        made(tmp_path, tmp_path)
    assert "There is a row for '" in str(caught.value.hint)
