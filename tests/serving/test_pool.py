"""Models in service: shares that stick, swaps that lose nobody, folders that are refused."""

import asyncio
import shutil
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from memory_store import MemoryStore

from palate.data.item_record import DeletedItem, ItemRecord
from palate.errors import ArtifactError, ConfigError, NotTrainedError, UnknownItemError
from palate.inference.engine import Answer, Engine, Request
from palate.serving.pool import ModelPool
from palate.serving.store.records import Event

USERS = [f"user {number}" for number in range(2_000)]


@pytest.fixture
def pool(memory_store: MemoryStore, model_folders: Path) -> ModelPool:
    pool = ModelPool(memory_store)
    pool.load(model_folders / "urm")
    return pool


def test_without_a_model_nobody_is_answered(memory_store: MemoryStore) -> None:
    with pytest.raises(NotTrainedError):
        ModelPool(memory_store).choose("u1")


def test_users_stay_with_their_model_and_shares_are_kept(
    pool: ModelPool, model_folders: Path
) -> None:
    pool.load(model_folders / "itemknn", share=3.0)
    first = [pool.choose(user).engine.version for user in USERS]
    assert first == [pool.choose(user).engine.version for user in USERS]
    share = Counter(first)[pool.models[1].engine.version] / len(USERS)
    assert share == pytest.approx(0.75, abs=0.03)
    visitors = Counter(pool.choose(None).engine.version for _ in range(400))
    assert visitors[pool.models[1].engine.version] == pytest.approx(300, abs=3)


def test_a_larger_share_moves_only_those_who_must_move(
    pool: ModelPool, model_folders: Path
) -> None:
    other = pool.load(model_folders / "itemknn", share=1.0)
    before = {user: pool.choose(user).engine.version for user in USERS}
    pool.set_share(other.engine.version, 3.0)
    after = {user: pool.choose(user).engine.version for user in USERS}
    moved = {(before[user], after[user]) for user in USERS if before[user] != after[user]}
    assert moved == {(pool.models[0].engine.version, other.engine.version)}
    pool.set_share(other.engine.version, 0.0)
    assert {pool.choose(user).engine.version for user in USERS} == {pool.models[0].engine.version}


def test_swapping_loses_no_request(pool: ModelPool, model_folders: Path) -> None:
    """Twenty users ask without pause while the model is swapped back and forth."""
    versions: Counter[str] = Counter()
    stop = threading.Event()

    async def one(user: int) -> None:
        while not stop.is_set():
            served = pool.choose(f"u{user}")
            await asyncio.sleep(0)
            history = served.histories.of(f"u{user}")
            answer: Answer = await served.batcher.ask(Request(history, 5))
            assert answer.version == served.engine.version
            assert len(answer.rows) == 5
            versions[answer.version] += 1

    async def swap() -> None:
        for name in ("itemknn", "popularity", "urm"):
            old = pool.choose(None)
            await asyncio.to_thread(pool.swap, model_folders / name)
            await old.batcher.close()
            await asyncio.sleep(0.05)
        stop.set()

    async def main() -> None:
        await asyncio.gather(swap(), *(one(user) for user in range(1, 20)))

    asyncio.run(main())
    assert len(versions) == 3
    assert len(pool.models) == 1


@pytest.mark.parametrize("damage", ["cut", "gone", "other kind"])
def test_a_damaged_folder_leaves_the_old_model_serving(
    damage: str, pool: ModelPool, model_folders: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "new"
    if damage == "cut":
        shutil.copytree(model_folders / "itemknn", folder)
        array = folder / "baseline" / "baseline.safetensors"
        array.write_bytes(array.read_bytes()[:-7])
    elif damage == "other kind":
        shutil.copytree(model_folders / "itemknn" / "dataset", folder)
    before = pool.models
    for change in (pool.swap, pool.load):
        with pytest.raises(ArtifactError):
            change(folder)
    assert pool.models == before
    assert len(pool.choose("u1").engine.answer([_question(pool)])[0].rows) == 5


def test_a_model_that_does_not_answer_is_refused(
    memory_store: MemoryStore, model_folders: Path
) -> None:
    def broken(folder: Path) -> Engine:
        engine = Engine.load(folder)
        for weight in engine.trained.system.model.parameters():
            weight.data.fill_(float("nan"))
        return Engine(engine.trained, engine.version)

    pool = ModelPool(memory_store, load=broken)
    with pytest.raises(ArtifactError, match="does not answer"):
        pool.load(model_folders / "urm")
    assert pool.models == ()


def test_the_same_model_is_loaded_once_and_the_last_one_stays(
    pool: ModelPool, model_folders: Path
) -> None:
    with pytest.raises(ConfigError, match="already"):
        pool.load(model_folders / "urm")
    with pytest.raises(ConfigError, match="only model"):
        pool.remove(pool.models[0].engine.version)
    with pytest.raises(ConfigError, match="share"):
        pool.load(model_folders / "itemknn", share=-1.0)
    other = pool.load(model_folders / "itemknn")
    with pytest.raises(ConfigError, match="which"):
        pool.swap(model_folders / "popularity")
    pool.swap(model_folders / "popularity", other.engine.version)
    assert pool.of_version(pool.models[1].engine.version).engine.name == "popularity"
    pool.remove(pool.models[1].engine.version)
    assert len(pool.models) == 1


def test_every_model_follows_the_store(
    pool: ModelPool, memory_store: MemoryStore, model_folders: Path
) -> None:
    memory_store.changes = [ItemRecord("a", title="oak lamp")]
    assert pool.sync() == 1
    assert pool.sync() == 0
    pool.load(model_folders / "itemknn")
    memory_store.changes += [DeletedItem("a", 2), ItemRecord("b", title="wool rug")]
    assert pool.sync() == 4
    for served in pool.models:
        assert served.engine.catalogue.item("b").title == "wool rug"
        with pytest.raises(UnknownItemError):
            served.engine.catalogue.item("a")


def test_events_reach_every_model_in_its_own_rows(pool: ModelPool, model_folders: Path) -> None:
    pool.load(model_folders / "itemknn")
    item_id = pool.models[0].engine.catalogue.view(7).item_id
    for served in pool.models:
        assert len(served.histories.of("new")) == 0
    pool.append(Event("new", item_id, "view", None, 2e9))
    for served in pool.models:
        assert served.histories.of("new").item_rows.tolist() == [
            served.engine.catalogue.row_of(item_id)
        ]
    pool.forget_all_of({"new"})
    assert all(served.histories.known("new") is None for served in pool.models)
    assert all(served.engine.cache.entries == 0 for served in pool.models)


def _question(pool: ModelPool) -> Request:
    rows = np.asarray([1, 2, 3])
    history = pool.models[0].engine.dataset.interactions.history(0).take(rows[:2])
    return Request(history, 5)
