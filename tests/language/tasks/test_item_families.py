"""What each task asks and what answers it, known by reasoning.

The item of event ``k`` is item ``k`` wherever that helps: then *later* can be read off the numbers.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palate.language.queries import QueryPool
from palate.language.tasks import slots_of
from palate.language.tasks.category import Category
from palate.language.tasks.cold_start import ColdStart
from palate.language.tasks.direct import Direct
from palate.language.tasks.next_item import NextItem
from palate.language.tasks.objective import Objective
from palate.language.tasks.scenario import Scenario
from palate.language.tasks.search import Search
from palate.language.tasks.task import Example, Task
from palate.simulation.world import World
from palate.types import History

SHOP = World(num_users=20, num_items=20, events_per_user=4, seed=2, pictures=False).dataset()
EVENTS = ("buy", "view")
PLACES = ("home", "mail")
NUM_ITEMS = 40
CATEGORIES = [[f"c{row % 3}", f"d{row % 5}"] if row % 7 else [] for row in range(NUM_ITEMS)]
POOL = QueryPool(
    [f"query {item}" for item in range(NUM_ITEMS - 1)],
    np.asarray([*range(NUM_ITEMS), NUM_ITEMS - 1]),
)
"""One query for each item but the last."""


def _history(length: int, **more: object) -> History:
    return History(item_rows=np.arange(length), **more)


def _tasks(max_history: int) -> list[Task]:
    return [
        NextItem(max_history),
        Objective(max_history, EVENTS, (0.5, 0.5)),
        Scenario(max_history, PLACES),
        Category(max_history, CATEGORIES),
        Search(max_history, POOL),
        Direct(max_history),
        ColdStart(),
    ]


def _pairs(example: Example) -> dict[int, list[int]]:
    """Return the targets by cut."""
    return {
        int(cut): [int(t) for t in targets if t >= 0]
        for cut, targets in zip(example.prefix_lengths, example.targets, strict=True)
    }


def _made(task: Task, history: History, rng: np.random.Generator, tries: int = 60) -> list[Example]:
    found = (task.example(history, task.slots(rng), rng) for _ in range(tries))
    return [example for example in found if example is not None]


def test_next_item_predicts_after_every_event(rng: np.random.Generator) -> None:
    example = NextItem(10).example(_history(4), {}, rng)
    assert example is not None
    assert example.history.item_rows.tolist() == [0, 1, 2]
    assert _pairs(example) == {1: [1], 2: [2], 3: [3]}


def test_next_item_reads_a_window_of_a_long_history(rng: np.random.Generator) -> None:
    examples = _made(NextItem(3), _history(6), rng)
    assert {tuple(e.history.item_rows.tolist()) for e in examples} == {
        (0, 1, 2),
        (1, 2, 3),
        (2, 3, 4),
    }
    for example in examples:
        first = int(example.history.item_rows[0])
        assert _pairs(example) == {1: [first + 1], 2: [first + 2], 3: [first + 3]}


def test_objective_is_the_first_later_event_of_its_type(rng: np.random.Generator) -> None:
    # Events:  buy view view buy view
    history = _history(5, event_types=np.asarray([0, 1, 1, 0, 1]))
    task = Objective(10, EVENTS, (0.5, 0.5))
    buys = task.example(history, {"event": "buy"}, rng)
    assert buys is not None
    assert buys.history.item_rows.tolist() == [0, 1, 2]
    assert _pairs(buys) == {1: [3], 2: [3], 3: [3]}
    views = task.example(history, {"event": "view"}, rng)
    assert views is not None
    assert _pairs(views) == {1: [1], 2: [2], 3: [4], 4: [4]}


def test_objective_offers_nothing_without_such_an_event(rng: np.random.Generator) -> None:
    task = Objective(10, EVENTS, (0.5, 0.5))
    first_only = _history(3, event_types=np.asarray([0, 1, 1]))
    assert task.example(first_only, {"event": "buy"}, rng) is None
    assert task.example(_history(3), {"event": "buy"}, rng) is None


def test_objective_is_drawn_by_its_chances(rng: np.random.Generator) -> None:
    task = Objective(10, EVENTS, (0.0, 1.0))
    assert {task.slots(rng)["event"] for _ in range(20)} == {"view"}


def test_scenario_is_the_first_later_event_there(rng: np.random.Generator) -> None:
    history = _history(4, scenarios=np.asarray([0, -1, 1, 0]))
    task = Scenario(10, PLACES)
    home = task.example(history, {"scenario": "home"}, rng)
    mail = task.example(history, {"scenario": "mail"}, rng)
    assert home is not None
    assert mail is not None
    assert _pairs(home) == {1: [3], 2: [3], 3: [3]}
    assert _pairs(mail) == {1: [2], 2: [2]}
    assert task.example(_history(4), {"scenario": "home"}, rng) is None


def test_category_is_named_in_words_and_answered_by_its_next_item(
    rng: np.random.Generator,
) -> None:
    task = Category(10, [["lamp"], ["chair"], ["lamp", "oak"], ["chair"]])
    found = {example.context: _pairs(example) for example in _made(task, _history(4), rng)}
    assert found == {
        "lamp": {1: [2], 2: [2]},
        "oak": {1: [2], 2: [2]},
        "chair": {1: [1], 2: [3], 3: [3]},
    }


def test_category_offers_nothing_where_items_have_none(rng: np.random.Generator) -> None:
    assert not _made(Category(10, [[], []]), _history(2), rng)


def test_the_query_of_a_search_is_one_of_its_target(rng: np.random.Generator) -> None:
    examples = _made(Search(3, POOL), _history(8), rng, 200)
    for example in examples:
        ((cut, (target,)),) = _pairs(example).items()
        assert example.context == f"query {target}"
        assert example.query == target
        assert cut == len(example.history) <= 3
        expected = np.arange(max(0, target - 3), target) if cut else []
        assert example.history.item_rows.tolist() == list(expected)
    with_history = sum(len(e.history) > 0 for e in examples) / len(examples)
    assert 0.25 < with_history < 0.6, "half are asked by somebody, some of these in the beginning"
    strangers = {int(e.targets[0, 0]) for e in examples if not len(e.history)}
    assert max(strangers) > 8, "any item of the catalogue can be searched for"


def test_search_leaves_out_items_without_queries(rng: np.random.Generator) -> None:
    nothing = QueryPool([], np.zeros(3, np.int64))
    assert not _made(Search(3, nothing), _history(2), rng)


def test_direct_shows_a_set_and_takes_any_later_item(rng: np.random.Generator) -> None:
    orders = set()
    for example in _made(Direct(10, num_targets=2), _history(4), rng, 200):
        ((cut, targets),) = _pairs(example).items()
        shown = example.history.item_rows.tolist()
        assert sorted(shown) == list(range(cut))
        assert len(targets) == min(2, 4 - cut)
        assert set(targets) <= set(range(cut, 4))
        orders.add(tuple(shown))
    assert {(0, 1, 2), (2, 1, 0), (1, 0)} <= orders, "the order is shuffled away"


def test_cold_start_begins_without_events(rng: np.random.Generator) -> None:
    examples = _made(ColdStart(), _history(5), rng)
    for example in examples:
        rows = example.history.item_rows.tolist()
        first = rows[0]
        assert rows == [first, first + 1]
        assert _pairs(example) == {0: [first], 1: [first + 1], 2: [first + 2]}
    assert {example.without_id for example in examples} == {True, False}
    (single,) = _made(ColdStart(), _history(1), rng, 1)
    assert _pairs(single) == {0: [0]}


@pytest.mark.parametrize("length", [0, 1])
def test_histories_that_are_too_short_have_no_example(
    length: int, rng: np.random.Generator
) -> None:
    history = _history(
        length, event_types=np.zeros(length, np.int64), scenarios=np.zeros(length, np.int64)
    )
    for task in _tasks(5):
        if not isinstance(task, Search | ColdStart):
            assert not _made(task, history, rng, 5), task.name
    assert not _made(ColdStart(), _history(0), rng, 5)


@given(
    length=st.integers(0, 30),
    max_history=st.integers(1, 12),
    seed=st.integers(0, 1_000),
)
def test_the_target_is_never_visible(length: int, max_history: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    history = _history(
        length, event_types=rng.integers(0, 2, length), scenarios=rng.integers(-1, 2, length)
    )
    for task in _tasks(max_history):
        for example in _made(task, history, rng, 5):
            assert len(example.history) <= task.max_history
            assert len(example.prefix_lengths) == len(example.targets) > 0
            assert example.prefix_lengths.min() >= 0
            assert example.prefix_lengths.max() <= len(example.history)
            for cut, targets in _pairs(example).items():
                assert targets, "every prediction has an answer"
                seen = example.history.item_rows[:cut]
                assert all((seen < target).all() for target in targets), task.name


@given(seed=st.integers(0, 1_000))
def test_same_generator_same_example(seed: int) -> None:
    history = _history(20, event_types=np.arange(20) % 2, scenarios=np.arange(20) % 2)
    for task in _tasks(6):
        one, two = (_made(task, history, np.random.default_rng(seed), 3) for _ in range(2))
        assert [(_pairs(e), e.context, e.without_id) for e in one] == [
            (_pairs(e), e.context, e.without_id) for e in two
        ]


def test_every_task_has_a_family_of_prompts_with_its_slots(rng: np.random.Generator) -> None:
    for task in _tasks(5):
        assert isinstance(task, Task)
        assert set(task.slots(rng)) == slots_of(task.name)
        assert set(task.slot_choices(SHOP)) == slots_of(task.name)
