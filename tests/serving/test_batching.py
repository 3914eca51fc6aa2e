"""The batcher: quick when idle, together when busy, bounded, on time, and fair to who stays."""

import asyncio
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from palate.errors import ConfigError, NotTrainedError
from palate.inference.engine import Answer, Engine, Request
from palate.serving.batching import Batcher, BatchingLimits
from palate.serving.overload import Overloaded
from palate.types import History

NOBODY = History(item_rows=np.zeros(0, dtype=np.int64))


class SlowModel:
    """Answers when it is let; a prompt of ``bad`` cannot be answered, ``known`` needs no pass."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.may_answer = threading.Event()
        self.work = 1

    def check(self, question: Request) -> None:
        if question.prompt == "unfit":
            raise ConfigError("unfit")

    def answer(self, questions: Sequence[Request]) -> list[Answer]:
        self.batches.append(len(questions))
        assert self.may_answer.wait(10)
        if any(question.prompt == "bad" for question in questions):
            raise NotTrainedError("bad")
        return [self._answer(question) for question in questions]

    def answer_known(self, questions: Sequence[Request]) -> list[Answer | None]:
        if any(question.prompt == "broken" for question in questions):
            raise ConfigError("broken")
        return [self._answer(q) if q.prompt == "known" else None for q in questions]

    def _answer(self, question: Request) -> Answer:
        return Answer(np.arange(question.n), np.zeros(question.n), "v", None)


def ask(n: int = 1, prompt: str | None = None) -> Request:
    return Request(NOBODY, n, prompt=prompt)


async def settled() -> None:
    """Let everything that can happen at once happen."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_each_gets_its_own_answer_and_what_gathers_is_read_together() -> None:
    async def main() -> None:
        model = SlowModel()
        batcher = Batcher(model, BatchingLimits(max_batch=8))
        first = asyncio.create_task(batcher.ask(ask(1)))
        await settled()
        others = [asyncio.create_task(batcher.ask(ask(n))) for n in range(2, 14)]
        await settled()
        assert model.batches == [1], "an idle thread starts at once"
        assert batcher.waiting == 12
        model.may_answer.set()
        answers = await asyncio.gather(first, *others)
        assert [len(answer.rows) for answer in answers] == list(range(1, 14))
        assert model.batches == [1, 8, 4]
        assert batcher.waiting == 0
        await batcher.close()

    asyncio.run(main())


def test_what_needs_no_pass_does_not_wait_for_one() -> None:
    async def main() -> None:
        model = SlowModel()
        batcher = Batcher(model)
        slow = asyncio.create_task(batcher.ask(ask()))
        await settled()
        answer = await asyncio.wait_for(batcher.ask(ask(4, "known")), 1)
        assert len(answer.rows) == 4
        assert not slow.done()
        model.work = 10**9
        large = asyncio.create_task(batcher.ask(ask(4, "known")))
        await settled()
        assert not large.done(), "too much work for the event loop goes to the thread"
        model.may_answer.set()
        await asyncio.gather(slow, large)
        await batcher.close()

    asyncio.run(main())


def test_a_full_queue_refuses_and_recovers() -> None:
    async def main() -> None:
        model = SlowModel()
        batcher = Batcher(model, BatchingLimits(max_batch=2, max_waiting=3))
        asked = [asyncio.create_task(batcher.ask(ask())) for _ in range(1)]
        await settled()
        asked += [asyncio.create_task(batcher.ask(ask())) for _ in range(10)]
        await settled()
        refused = [task for task in asked if task.done()]
        assert len(refused) == 7
        assert all(isinstance(task.exception(), Overloaded) for task in refused)
        model.may_answer.set()
        served = await asyncio.gather(*(task for task in asked if task not in refused))
        assert len(served) == 4
        assert len((await batcher.ask(ask(2))).rows) == 2
        await batcher.close()

    asyncio.run(main())


def test_who_hangs_up_leaves_the_queue() -> None:
    async def main() -> None:
        model = SlowModel()
        batcher = Batcher(model, BatchingLimits(max_waiting=5))
        first = asyncio.create_task(batcher.ask(ask()))
        await settled()
        for _ in range(20):
            gone = asyncio.create_task(batcher.ask(ask()))
            await settled()
            gone.cancel()
            await settled()
            assert gone.cancelled()
        assert batcher.waiting == 0
        model.may_answer.set()
        await first
        assert model.batches == [1]
        await batcher.close()

    asyncio.run(main())


def test_who_waits_too_long_is_told() -> None:
    async def main() -> None:
        model = SlowModel()
        batcher = Batcher(model, BatchingLimits(deadline=0.05))
        started = time.monotonic()
        with pytest.raises(Overloaded, match=r"0\.05 s"):
            await batcher.ask(ask())
        assert time.monotonic() - started < 1
        queued = asyncio.create_task(batcher.ask(ask()))
        with pytest.raises(Overloaded):
            await queued
        assert batcher.waiting == 0
        model.may_answer.set()
        await batcher.close()
        patient = Batcher(model)
        assert len((await patient.ask(ask(3))).rows) == 3
        await patient.close()

    asyncio.run(main())


def test_one_bad_question_fails_alone() -> None:
    async def main() -> None:
        model = SlowModel()
        model.may_answer.set()
        batcher = Batcher(model)
        good, bad, fine = await asyncio.gather(
            *(batcher.ask(ask(2, prompt)) for prompt in (None, "bad", None)),
            return_exceptions=True,
        )
        assert isinstance(bad, NotTrainedError)
        assert isinstance(good, Answer)
        assert isinstance(fine, Answer)
        with pytest.raises(ConfigError, match="unfit"):
            await batcher.ask(ask(1, "unfit"))
        await batcher.close()

    asyncio.run(main())


def test_a_mistake_on_the_loop_reaches_everybody_who_waits() -> None:
    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        batcher = Batcher(SlowModel())
        results = await asyncio.gather(
            *(batcher.ask(ask(1, p)) for p in ("known", "broken")), return_exceptions=True
        )
        assert all(isinstance(result, ConfigError) for result in results)
        await batcher.close()

    asyncio.run(main())


def test_closing_answers_those_who_wait() -> None:
    async def main() -> None:
        model = SlowModel()
        batcher = Batcher(model, BatchingLimits(max_batch=1))
        asked = [asyncio.create_task(batcher.ask(ask())) for _ in range(3)]
        await settled()
        closing = asyncio.create_task(batcher.close())
        await settled()
        late = asyncio.create_task(batcher.ask(ask()))
        await settled()
        assert not closing.done()
        model.may_answer.set()
        assert len(await asyncio.gather(*asked, late)) == 4
        await asyncio.wait_for(closing, 5)
        assert len((await batcher.ask(ask(2))).rows) == 2, "a swap must lose nobody"
        await batcher.close()

    asyncio.run(main())


def test_a_real_model_answers_as_it_does_alone(model_folders: Path) -> None:
    engine, alone = (Engine.load(model_folders / "urm") for _ in range(2))
    interactions = engine.dataset.interactions
    questions = [Request(interactions.history(user % 40), 7) for user in range(200)]

    async def main() -> list[Answer]:
        batcher = Batcher(engine)
        answers = await asyncio.gather(*(batcher.ask(question) for question in questions))
        await batcher.close()
        return answers

    answers = asyncio.run(main())
    for answer, question in zip(answers, questions, strict=True):
        assert_array_equal(answer.rows, alone.answer([question])[0].rows)
