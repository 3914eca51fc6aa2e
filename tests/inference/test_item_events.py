"""Events with ids become a history; unknown items are dropped and named."""

import numpy as np
import pytest

from palate import Dataset, Recommender
from palate.inference.engine import Engine
from palate.inference.item_events import ItemEvent, unknown_items
from palate.inference.request import Request
from palate.simulation.world import World


@pytest.fixture(scope="module")
def shop() -> Dataset:
    return World(num_users=40, num_items=20, events_per_user=6, seed=3, pictures=False).dataset()


@pytest.fixture(scope="module")
def engine(shop: Dataset) -> Engine:
    return Recommender.train(shop, "popularity").engine


def _ids(engine: Engine, *rows: int) -> list[str]:
    return [view.item_id for view in engine.catalogue.views(rows)]


@pytest.mark.parametrize("event_type", ["purchase", "never seen", None])
def test_a_session_is_a_history_without_a_user(engine: Engine, event_type: str | None) -> None:
    second, ninth = _ids(engine, 2, 9)
    events = [ItemEvent(item, event_type, None, 2e9) for item in (second, "unknown", ninth)]
    history, missing = engine.history_of(events)
    assert missing == ["unknown"]
    assert history.item_rows.tolist() == [2, 9]
    assert history.user_row is None
    assert history.event_types is not None
    types = engine.dataset.interactions.event_types
    assert (
        history.event_types.tolist() == [types.index(event_type) if event_type in types else -1] * 2
    )
    assert len(engine.answer([Request(history, 4)])[0].rows) == 4


def test_a_history_goes_on_where_the_earlier_one_ends(engine: Engine) -> None:
    earlier = engine.dataset.history("u1")
    (third,) = _ids(engine, 3)
    whole, missing = engine.history_of([ItemEvent(third)], earlier)
    assert missing == []
    assert whole.item_rows.tolist() == [*earlier.item_rows.tolist(), 3]
    assert whole.user_row == earlier.user_row
    assert whole.timestamps is not None
    assert whole.timestamps[-1] == -1, "a time that is not given is unknown, not 1970"
    assert engine.history_of([ItemEvent("unknown")], earlier) == (earlier, ["unknown"])


def test_ratings_that_float32_cannot_hold_are_clipped(engine: Engine) -> None:
    (third,) = _ids(engine, 3)
    history, _ = engine.history_of([ItemEvent(third, "rating", 1e300), ItemEvent(third)])
    assert history.ratings is not None
    assert np.isfinite(history.ratings[0])
    assert np.isnan(history.ratings[1])


def test_a_message_names_the_first_few_unknown_items() -> None:
    assert unknown_items(["a", "b", "a"]).endswith("not in the catalogue: 'a', 'b'.")
    assert unknown_items([str(n) for n in range(7)]).endswith("'4' and 2 more.")
