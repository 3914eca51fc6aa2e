"""Lists for many users come in batches; their table is written whole or not at all."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from palate import Dataset, Recommender
from palate.errors import ArtifactError, ConfigError, DataError, UnknownUserError
from palate.recommender import bulk
from palate.recommender.bulk import all_users, check_ending, lists_for, read_users, write_lists
from palate.simulation.world import World


@pytest.fixture(scope="module")
def shop() -> Dataset:
    """A simulated shop of 40 users."""
    return World(num_users=40, num_items=20, events_per_user=6, seed=3, pictures=False).dataset()


@pytest.fixture(scope="module")
def model(shop: Dataset) -> Recommender:
    """A model that needs no training to speak of."""
    return Recommender.train(shop, "itemknn")


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "_USERS_AT_ONCE", 7)


def test_all_users_get_their_items_by_rank(model: Recommender) -> None:
    users = all_users(model)
    assert users == sorted(users)
    told: list[tuple[int, int]] = []
    batches = list(lists_for(model, users, 4, progress=lambda *at: told.append(at)))
    assert [batch["user_id"].n_unique() for batch in batches] == [7, 7, 7, 7, 7, 5]
    assert told[0] == (7, 40)
    assert told[-1] == (40, 40)
    whole = pl.concat(batches)
    assert whole.columns == ["user_id", "rank", "item_id", "title", "score"]
    assert whole["rank"].to_list() == [1, 2, 3, 4] * 40
    ranking = model.by_rows.recommend([model.history("u7")], 4)[0]
    mine = whole.filter(pl.col("user_id") == "u7")
    assert mine["item_id"].to_list() == [
        str(item_id) for item_id in model.dataset.catalog.vocabulary.ids[ranking.item_rows]
    ]
    assert mine["score"].to_list() == [float(score) for score in ranking.scores]


@pytest.mark.parametrize("ending", bulk.ENDINGS)
def test_every_kind_of_table_is_read_alike(model: Recommender, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"lists [1]{ending}"
    assert write_lists(path, lists_for(model, all_users(model)[:20], 3)) == 20
    read = {".parquet": pl.read_parquet, ".csv": pl.read_csv}
    again = (
        pl.read_ndjson(path.read_bytes()) if ending == ".jsonl" else read[ending](path, glob=False)
    )
    wanted = pl.concat(lists_for(model, all_users(model)[:20], 3))
    assert_frame_equal(again, wanted)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_one_batch_is_held_at_a_time(model: Recommender, tmp_path: Path) -> None:
    alive: list[int] = []

    def watched() -> Iterator[pl.DataFrame]:
        for batch in lists_for(model, all_users(model), 2):
            parts = [path for path in tmp_path.rglob("*.parquet") if path.name[0].isdigit()]
            alive.append(len(parts))
            yield batch

    write_lists(tmp_path / "lists.parquet", watched())
    assert alive == [0, 1, 2, 3, 4, 5], "each is on disk before the next is made"


@pytest.mark.parametrize("ending", bulk.ENDINGS)
def test_a_table_is_written_whole_or_not_at_all(
    model: Recommender, tmp_path: Path, ending: str
) -> None:
    path = tmp_path / f"lists{ending}"
    path.write_text("before")

    def breaking() -> Iterator[pl.DataFrame]:
        yield from list(lists_for(model, all_users(model), 2))[:2]
        raise DataError("half way")

    with pytest.raises(DataError, match="half way"):
        write_lists(path, breaking())
    assert path.read_text() == "before"
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("ending", bulk.ENDINGS)
def test_a_table_without_users_has_all_columns(
    tmp_path: Path, model: Recommender, ending: str
) -> None:
    items = set(model.dataset.interactions.item_rows.tolist())
    everything = lists_for(model, all_users(model), 0 + len(items))
    empty = [batch.clear() for batch in everything]
    assert write_lists(tmp_path / f"lists{ending}", empty) == 0
    if ending == ".csv":
        assert (tmp_path / "lists.csv").read_text() == "user_id,rank,item_id,title,score\n"


def test_an_unknown_user_is_named_before_anything_is_done(model: Recommender) -> None:
    with pytest.raises(UnknownUserError, match="nobody"):
        next(lists_for(model, [*all_users(model), "nobody"], 2))


@pytest.mark.parametrize("name", ["lists", "lists.txt", "lists.csv.gz"])
def test_a_name_says_what_kind_of_table_it_is(name: str) -> None:
    with pytest.raises(ConfigError, match="what kind of file"):
        check_ending(Path(name))
    check_ending(Path("LISTS.CSV"))


def test_a_table_that_cannot_be_written_is_an_error(model: Recommender, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="cannot be written"):
        write_lists(tmp_path / "file" / "lists.csv", lists_for(model, ["u1"], 1))


def test_users_are_read_from_lines_and_from_tables(tmp_path: Path) -> None:
    wanted = ["u2", "007", "u 3", "é"]
    table = pl.DataFrame({"x": [1, 2, 3, 4, 5], "user_id": [*wanted, "u2"]})
    table.write_csv(tmp_path / "a.csv")
    table.write_parquet(tmp_path / "a[1].parquet")
    table.write_ndjson(tmp_path / "a.jsonl")
    text = "\ufeffu2\r\n 007\n\nu 3\né\nu2"
    (tmp_path / "a.txt").write_bytes(text.encode())
    (tmp_path / "users").write_bytes(text.encode())
    for name in ("a.csv", "a[1].parquet", "a.jsonl", "a.txt", "users"):
        assert read_users(tmp_path / name) == wanted, name


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("none.txt", None),
        ("empty.txt", b"\n \n"),
        ("latin.txt", b"\xe9\xff"),
        ("other.csv", b"id\nu1\n"),
        ("not.parquet", b"u1"),
        ("not.jsonl", b"u1\n"),
    ],
)
def test_a_file_without_users_is_an_error(tmp_path: Path, name: str, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=name):
        read_users(tmp_path / name)
