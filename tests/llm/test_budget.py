"""A budget is never overspent, whatever is under way."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from server import Start, fault, in_turn, message, slow

from palate.llm.budget import Budget, Budgeted, Limits, OverBudgetError, Prices
from palate.llm.cache import Cached
from palate.llm.reply import NoReplyError, Outcome, Reply, Usage
from palate.llm.request import SpeakerRequest, ask
from palate.llm.scripted import Scripted
from palate.llm.speaker import Lanes, in_lanes


@dataclass(frozen=True)
class Costly:
    """A speaker that may cost ``most`` and does cost what it is told."""

    most: Usage
    costs: Sequence[int]
    lanes: Lanes
    name: str = "costly"
    asked: list[int] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)

    def cost_limit(self, request: SpeakerRequest) -> Usage:
        return self.most

    def reply(self, request: SpeakerRequest) -> Reply:
        number = int(request.messages[0].content)
        with self.lock:
            self.asked.append(number)
        time.sleep(0.001)
        usage = Usage(1, self.costs[number % len(self.costs)], 1)
        if number % 7 == 3:
            raise NoReplyError("lost", usage=usage)
        return Reply("done", usage=usage)

    def replies(self, requests: Sequence[SpeakerRequest]) -> list[Outcome]:
        return in_lanes(self._batch, requests, self.lanes)

    def _batch(self, requests: Sequence[SpeakerRequest]) -> list[Outcome]:
        found: list[Outcome] = []
        for request in requests:
            try:
                found.append(self.reply(request))
            except NoReplyError as error:
                found.append(error)
        return found


@given(
    limit=st.integers(0, 300),
    costs=st.lists(st.integers(0, 20), min_size=1, max_size=5),
    batch=st.integers(1, 4),
    concurrency=st.integers(1, 4),
)
def test_no_limit_is_ever_passed(
    limit: int, costs: list[int], batch: int, concurrency: int
) -> None:
    speaker = Costly(Usage(1, 20, 1), costs, Lanes(batch, concurrency))
    budget = Budget(Limits(tokens_in=limit))
    outcomes = Budgeted(speaker, budget).replies([ask(str(number)) for number in range(30)])
    assert len(outcomes) == 30
    assert budget.spent.tokens_in <= limit
    assert budget.spent.tokens_in == sum(costs[number % len(costs)] for number in speaker.asked)
    refused = sum(isinstance(each, OverBudgetError) for each in outcomes)
    assert refused + len(speaker.asked) == 30
    if refused:
        assert limit - budget.spent.tokens_in < 20, "what there was room for was asked"


def test_a_refused_request_is_not_sent_and_says_what_is_left() -> None:
    script = Scripted(["one", "two", "three"])
    speaker = Budgeted(script, Budget(Limits(calls=2)))
    outcomes = speaker.replies([ask("a"), ask("b"), ask("c")])
    assert [isinstance(each, Reply) for each in outcomes] == [True, True, False]
    assert len(script.asked) == 2
    with pytest.raises(
        OverBudgetError, match="2 calls does not allow another request: 2 are spent"
    ):
        speaker.reply(ask("d"))


def test_money_is_counted_by_the_prices() -> None:
    budget = Budget(Limits(money=3e-6), Prices(tokens_in=1.0, tokens_out=2.0))
    speaker = Budgeted(Costly(Usage(1, 1, 1), [1], Lanes()), budget)
    speaker.reply(ask("0"))
    assert budget.money == pytest.approx(3e-6)
    with pytest.raises(OverBudgetError, match="of money"):
        speaker.reply(ask("1"))


def test_time_ends_and_bounds_what_is_under_way() -> None:
    now = [100.0]
    budget = Budget(Limits(seconds=5.0), clock=lambda: now[0])
    script = Scripted(lambda request: str(request.timeout))
    speaker = Budgeted(script, budget)
    assert speaker.reply(ask("a")).text == "5.0"
    now[0] = 104.0
    assert speaker.reply(ask("b")).text == "1.0"
    now[0] = 105.0
    with pytest.raises(OverBudgetError, match="5 seconds is over"):
        speaker.reply(ask("c"))


def test_a_slow_endpoint_does_not_pass_the_time(start: Start) -> None:
    _, endpoint = start(in_turn(slow(message("late"), 3.0)))
    began = time.monotonic()
    with pytest.raises(NoReplyError):
        Budgeted(endpoint, Budget(Limits(seconds=0.3))).reply(ask("Now?"))
    assert time.monotonic() - began < 2


def test_what_was_lost_on_the_way_is_counted(start: Start) -> None:
    _, endpoint = start(in_turn(message(None)))
    budget = Budget(Limits(calls=10))
    with pytest.raises(NoReplyError):
        Budgeted(endpoint, budget).reply(ask("Now?"))
    assert budget.spent.calls == 2


def test_what_was_refused_costs_nothing(start: Start) -> None:
    _, endpoint = start(in_turn(fault(400)))
    budget = Budget(Limits(calls=10))
    with pytest.raises(NoReplyError):
        Budgeted(endpoint, budget).reply(ask("Now?"))
    assert budget.spent == Usage()


def test_an_error_of_ours_counts_all_that_was_set_aside() -> None:
    def broken(request: SpeakerRequest) -> str:
        raise RuntimeError("a fault")

    budget = Budget(Limits(calls=3))
    with pytest.raises(RuntimeError):
        Budgeted(Scripted(broken), budget).reply(ask("a"))
    assert budget.spent.calls == 1
    assert budget.set_aside(Usage(calls=2)), "nothing stays set aside"


def test_one_budget_serves_many_speakers() -> None:
    budget = Budget(Limits(calls=2))
    one, other = (Budgeted(Scripted(["a", "b"]), budget) for _ in range(2))
    one.reply(ask("a"))
    other.reply(ask("b"))
    with pytest.raises(OverBudgetError):
        one.reply(ask("c"))


def test_what_is_remembered_needs_no_budget(tmp_path: Path) -> None:
    budget = Budget(Limits(calls=1))
    speaker = Budgeted(Cached(Scripted(["a"]), tmp_path), budget)
    assert speaker.reply(ask("a")).source == "live"
    assert speaker.reply(ask("a")).source == "cache"
    assert budget.spent.calls == 1
