"""Who is erased through one process is forgotten by the others on the same store."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from memory_store import MemoryStore

from palate.inference.engine import Engine
from palate.serving.histories import Histories
from palate.serving.schemas import ExplainBody, RecommendBody
from palate.serving.service import Service
from palate.serving.startup import open_service
from palate.serving.store import Event, Store
from palate.serving.telemetry import RequestContext


def event(item_id: str, user_id: str = "ann") -> Event:
    return Event(user_id, item_id, "view", None, 2e9)


def test_only_who_was_erased_is_forgotten(engine: Engine, memory_store: MemoryStore) -> None:
    histories = Histories(memory_store, engine)
    for user in ("ann", "bob"):
        memory_store.events.append(event(engine.catalogue.view(3).item_id, user))
        assert len(histories.of(user)) == 1
    memory_store.events = []
    histories.forget_all_of({"ann"})
    assert histories.known("ann") is None
    assert histories.known("bob") is not None
    assert len(histories.of("ann")) == 0


def test_who_is_erased_while_being_read_is_read_again(
    engine: Engine, memory_store: MemoryStore
) -> None:
    class Erasing(MemoryStore):
        def history(self, user_id: str, limit: int = 200) -> list:
            found = memory_store.history(user_id, limit)
            if memory_store.events:  # erased after it was looked up, before it is kept
                memory_store.events = []
                histories.forget_all_of({"ann"})
            return list(found)

    memory_store.events = [event(engine.catalogue.view(3).item_id)]
    histories = Histories(Erasing(), engine)
    assert len(histories.of("ann")) == 0


async def _why(service: Service, item_id: str) -> list:
    body = ExplainBody(item_id=item_id, user_id="u1")
    context = RequestContext(request_id="", client="", started=0.0, route="test")
    return json_of(await service.answering.explain(context, body))["why"]


async def _listed(service: Service) -> list[str]:
    context = RequestContext(request_id="", client="", started=0.0, route="test")
    body = RecommendBody(user_id="u1", n=40)
    answer = json_of(await service.answering.recommend(context, body))
    return [item["item_id"] for item in answer["items"]]


def json_of(response: object) -> dict:
    return orjson.loads(response.body)  # type: ignore[attr-defined]


@pytest.fixture
def both(model_folders: Path, address: str) -> Callable[[], Service]:
    """Open services on one store, as processes of their own would."""
    return lambda: open_service({model_folders / "urm": 1.0}, address)


def test_a_second_service_forgets_within_a_look(both: Callable[[], Service]) -> None:
    async def talk() -> None:
        here, there = both(), both()
        async with here.running(), there.running():
            item = (await _listed(there))[0]
            assert await _why(there, item)
            before = await _listed(there)
            erased = await here.erase("u1")
            assert erased["training_events"]
            async with asyncio.timeout(30):
                while await _why(there, item):
                    await asyncio.sleep(0.1)
            assert await _listed(there) == await _listed(here) != before
            assert there.pool.models[0].histories.known("u1") is not None
            assert len(there.pool.models[0].histories.known("u1")) == 0

    asyncio.run(talk())


def test_answers_under_way_leave_nothing_behind(
    model_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("palate.serving.erasure._LONGEST_ANSWER", 0.0)
    # The erasures are followed here, step by step, and not beside it.
    monkeypatch.setattr("palate.serving.service.repeat", never)
    store = Store.open(f"sqlite:///{tmp_path}/x.db")
    service = open_service({model_folders / "urm": 1.0}, f"sqlite:///{tmp_path}/x.db")

    async def talk() -> None:
        async with service.running():
            store.erase_user("u1")
            await service.erasures.follow()
            await _listed(service)
            assert service.main.cache.entries > 0, "as by an answer that was under way"
            await service.erasures.follow()
            assert service.main.cache.entries == 0

    asyncio.run(talk())
    store.close()
