"""A dataset built by hand: what it offers can be written down, and it survives its folder."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from palate.data.catalog import Catalog
from palate.data.dataset import Dataset
from palate.data.interactions import Interactions
from palate.data.split import Part, Split
from palate.data.vocabulary import Vocabulary
from palate.errors import ArtifactError, UnknownUserError

#          anna ------------------  bert -----------------  carl
ITEMS = [0, 1, 2, 3, 0, 3, 1, 2, 4]
PARTS = [
    *(Part.TRAIN, Part.TRAIN, Part.VALID, Part.TEST),
    *(Part.TRAIN, Part.TRAIN, Part.VALID, Part.TEST),
    Part.CONTEXT,
]


@pytest.fixture
def shop() -> Dataset:
    table = pl.DataFrame(
        {
            "item_id": ["i0", "i1", "i2", "i3", "i4"],
            "title": ["Lamp", "Chair", None, "Table", "Vase"],
            "description": ["Warm light.", None, None, "Oak.", None],
            "brand": ["Lux", None, None, None, None],
            "categories": [["light"], ["seat", "wood"], [], ["wood"], []],
            "price": [9.5, 20.0, None, 99.0, 1.0],
            "image": [b"png", None, None, None, None],
        }
    )
    interactions = Interactions(
        users=Vocabulary(["anna", "bert", "carl"], unknown=UnknownUserError),
        offsets=np.array([0, 4, 8, 9]),
        item_rows=np.array(ITEMS),
        event_codes=np.array([0, 0, 1, 0, 0, 1, 1, 0, 0]),
        event_types=("purchase", "view"),
        ratings=np.array([5, np.nan, 3, 4, 1, 2, np.nan, 5, 4], dtype=np.float32),
        timestamps=np.array([1, 2, 3, 4, 1, 1, -1, 9, 5]),
        scenario_codes=np.array([0, 1, -1, 0, 0, 0, 1, 1, -1]),
        scenarios=("home", "search"),
        extra=pl.DataFrame({"review": [f"text {event}" for event in range(9)]}),
    )
    return Dataset(
        name="shop",
        catalog=Catalog(vocabulary=Vocabulary(table["item_id"].to_list()), table=table),
        interactions=interactions,
        split=Split(parts=np.array(PARTS), description="by hand"),
        users=pl.DataFrame({"user_id": ["anna", "bert", "carl"], "age": [30, 40, None]}),
        report="# Shop\n",
    )


@pytest.fixture
def bare(shop: Dataset) -> Dataset:
    """The least a dataset can hold: no ratings, times, scenarios, extra columns or demographics."""
    least = {
        "ratings": None,
        "timestamps": None,
        "scenario_codes": None,
        "scenarios": (),
        "extra": None,
    }
    return replace(shop, interactions=replace(shop.interactions, **least), users=None)


def test_sequences_hold_training_events_only(shop: Dataset) -> None:
    assert [history.item_rows.tolist() for history in shop.sequences] == [[0, 1], [0, 3]]
    assert [history.user_row for history in shop.sequences] == [0, 1]
    assert shop.sequences[1].event_types.tolist() == [0, 1]


def test_cases_are_asked_with_all_that_came_before(shop: Dataset) -> None:
    test = shop.cases("test")
    assert [history.item_rows.tolist() for history in test.histories] == [[0, 1, 2], [0, 3, 1]]
    assert [targets.tolist() for targets in test.targets] == [[3], [2]]
    assert len(test) == 2
    valid = shop.cases("valid")
    assert [history.item_rows.tolist() for history in valid.histories] == [[0, 1], [0, 3]]
    assert [targets.tolist() for targets in valid.targets] == [[2], [1]]


def test_a_sample_of_cases_keeps_histories_with_their_targets(shop: Dataset) -> None:
    cases = shop.cases("test")
    assert cases.sample(2, np.random.default_rng(0)) is cases
    drawn = [cases.sample(1, np.random.default_rng(seed)) for seed in range(20)]
    pairs = {(one.histories[0].user_row, int(one.targets[0][0])) for one in drawn}
    assert pairs == {(0, 3), (1, 2)}


def test_no_case_holds_its_own_target(shop: Dataset) -> None:
    for part in ("valid", "test"):
        cases = shop.cases(part)
        for history, targets in zip(cases.histories, cases.targets, strict=True):
            user = shop.interactions.item_rows[
                slice(*shop.interactions.offsets[history.user_row : history.user_row + 2])
            ].tolist()
            assert user[: len(history) + len(targets)] == [*history.item_rows, *targets]


def test_a_part_that_is_not_there_has_no_cases(shop: Dataset) -> None:
    only_train = replace(shop, split=Split(parts=np.zeros(9, dtype=int), description="none"))
    assert len(only_train.cases("test")) == 0
    assert [len(history) for history in only_train.sequences] == [4, 4, 1]
    nothing = replace(shop, split=Split(parts=np.full(9, Part.CONTEXT), description="none"))
    assert nothing.sequences == []


def test_several_targets_stay_together(shop: Dataset) -> None:
    parts = np.array([Part.TRAIN] * 2 + [Part.TEST] * 2 + [Part.TRAIN] * 5)
    cases = replace(shop, split=Split(parts=parts, description="time cut")).cases("test")
    assert [targets.tolist() for targets in cases.targets] == [[2, 3]]


def test_train_counts_count_training_events(shop: Dataset) -> None:
    assert shop.train_counts.tolist() == [2, 1, 0, 1, 0]


def test_history_is_everything_a_user_did(shop: Dataset) -> None:
    history = shop.history("bert")
    assert history.item_rows.tolist() == [0, 3, 1, 2]
    assert history.timestamps.tolist() == [1, 1, -1, 9]
    with pytest.raises(UnknownUserError, match="'Bert'"):
        shop.history("Bert")


def test_texts_join_what_is_there(shop: Dataset) -> None:
    texts = shop.catalog.texts(("title", "brand", "categories"))
    assert texts == ["Lamp . Lux . light", "Chair . seat wood", "", "Table . wood", "Vase"]


def test_titles_fall_back_to_the_id(shop: Dataset) -> None:
    assert shop.catalog.titles() == ["Lamp", "Chair", "i2", "Table", "Vase"]


@pytest.mark.parametrize("which", ["shop", "bare"])
def test_survives_its_folder(which: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    saved: Dataset = request.getfixturevalue(which)
    saved.save(tmp_path / "shop")
    loaded = Dataset.load(tmp_path / "shop")
    assert (loaded.name, loaded.report, loaded.split.description) == (
        *("shop", "# Shop\n", "by hand"),
    )
    assert loaded.catalog.table.equals(saved.catalog.table, null_equal=True)
    assert loaded.split.parts.tolist() == PARTS
    assert (loaded.users is None) == (saved.users is None)
    _assert_same_events(loaded.interactions, saved.interactions)


def test_the_same_dataset_has_the_same_hash(shop: Dataset, tmp_path: Path) -> None:
    from palate.artifacts import read_manifest

    shop.save(tmp_path / "one")
    Dataset.load(tmp_path / "one").save(tmp_path / "two")
    one, two = (read_manifest(tmp_path / name, "dataset") for name in ("one", "two"))
    assert one.content_hash == two.content_hash


def test_a_new_dataset_replaces_the_old_one(shop: Dataset, bare: Dataset, tmp_path: Path) -> None:
    shop.save(tmp_path / "shop")
    bare.renamed("other").save(tmp_path / "shop")
    loaded = Dataset.load(tmp_path / "shop")
    assert loaded.name == "other"
    assert loaded.users is None, "nothing of the old dataset is left"


def test_a_failed_write_leaves_the_old_one(
    shop: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.save(tmp_path / "shop")
    monkeypatch.setattr(Split, "write", _fill_the_disk)
    with pytest.raises(OSError, match="No space"):
        shop.renamed("broken").save(tmp_path / "shop")
    assert Dataset.load(tmp_path / "shop").name == "shop"
    assert [path.name for path in tmp_path.iterdir()] == ["shop"]


def _fill_the_disk(_split: Split, _folder: Path) -> None:
    raise OSError("No space left on device")


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def _remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("file", ["catalog.parquet", "interactions.parquet", "split.parquet"])
@pytest.mark.parametrize("damage", [_cut, _remove])
def test_a_damaged_folder_is_told(
    shop: Dataset, tmp_path: Path, file: str, damage: Callable[[Path], None]
) -> None:
    shop.save(tmp_path / "shop")
    damage(tmp_path / "shop" / file)
    with pytest.raises(ArtifactError, match=file):
        Dataset.load(tmp_path / "shop")
    shop.save(tmp_path / "shop")
    assert len(Dataset.load(tmp_path / "shop").interactions) == 9


def test_a_folder_without_a_manifest_is_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="No dataset in"):
        Dataset.load(tmp_path)


def _assert_same_events(one: Interactions, two: Interactions) -> None:
    assert one.users.ids.tolist() == two.users.ids.tolist()
    assert one.offsets.tolist() == two.offsets.tolist()
    assert one.event_types == two.event_types
    assert one.scenarios == two.scenarios
    for name in ("item_rows", "event_codes", "ratings", "timestamps", "scenario_codes"):
        mine, theirs = getattr(one, name), getattr(two, name)
        assert (mine is None) == (theirs is None), name
        assert mine is None or np.array_equal(mine, theirs, equal_nan=mine.dtype.kind == "f"), name
    if two.extra is not None:
        assert one.extra.equals(two.extra)
