"""The public face takes and returns ids."""

import datetime as dt
import os
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose

from palate import Recommender
from palate.errors import ConfigError, PalateError, UnknownItemError, UnknownUserError
from palate.recommender.lists import ItemList, ItemLists


def _ids(model: Recommender, user: str) -> list[str]:
    rows = model.history(user).item_rows
    return [str(item_id) for item_id in model.dataset.catalog.vocabulary.ids[rows]]


def test_a_user_gets_items_by_id_with_title_score_and_rank(speaker: Recommender) -> None:
    found = speaker.recommend("u1", n=5)
    assert isinstance(found, ItemList)
    assert [item.rank for item in found] == [1, 2, 3, 4, 5]
    assert found.user_id == "u1"
    known = set(speaker.dataset.catalog.vocabulary.ids.tolist())
    assert set(found.item_ids) <= known - set(_ids(speaker, "u1"))
    scores = [item.score for item in found]
    assert scores == sorted(scores, reverse=True)
    titles = dict(
        zip(speaker.dataset.catalog.vocabulary.ids, speaker.dataset.catalog.titles(), strict=True)
    )
    assert all(item.title == titles[item.item_id] for item in found)


def test_ids_are_those_of_the_rows_inside(speaker: Recommender) -> None:
    (ranking,) = speaker.by_rows.recommend([speaker.history("u2")], 5)
    found = speaker.recommend("u2", n=5)
    ids = speaker.dataset.catalog.vocabulary.ids[ranking.item_rows]
    assert found.item_ids == [str(item_id) for item_id in ids]
    assert_allclose([item.score for item in found], ranking.scores, rtol=1e-5)


def test_many_users_get_a_list_each_in_their_order(speaker: Recommender) -> None:
    lists = speaker.recommend(["u3", "u1"], n=2)
    assert isinstance(lists, ItemLists)
    assert [one.user_id for one in lists] == ["u3", "u1"]
    assert lists[1].item_ids == speaker.recommend("u1", n=2).item_ids


def test_a_history_of_ids_is_served_like_the_user_who_has_it(speaker: Recommender) -> None:
    ids = _ids(speaker, "u1")
    lists = speaker.recommend(histories=[ids, ids[:2]], n=3)
    assert len(lists) == 2
    assert lists[0].item_ids == speaker.recommend(history=ids, n=3).item_ids


def test_events_carry_type_rating_and_time(speaker: Recommender) -> None:
    first, second = _ids(speaker, "u1")[:2]
    kind = speaker.dataset.interactions.event_types[-1]
    noon = dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC)
    plain = speaker.recommend(history=[first, second], n=30)
    told = speaker.recommend(
        history=[(first, kind, 1.0, 1_700_000_000), (second, kind, None, noon)], n=30
    )
    assert set(plain.item_ids) == set(told.item_ids)
    assert [item.score for item in plain] != [item.score for item in told]


def test_reasons_are_items_of_the_history(speaker: Recommender) -> None:
    found = speaker.recommend("u1", n=3, reasons=2)
    history = set(_ids(speaker, "u1"))
    reasons = [reason for item in found for reason in item.reasons]
    assert reasons
    assert {reason.item_id for reason in reasons} <= history
    best = found[0]
    assert speaker.why("u1", best.item_id, 2) == best.reasons


def test_the_answer_for_an_unknown_user_names_its_fallback(speaker: Recommender) -> None:
    assert speaker.recommend(history=[], n=3).fallback in ("cold-start", "popular")
    assert speaker.recommend("u1", n=3).fallback is None


def test_frames_hold_what_the_list_holds(speaker: Recommender) -> None:
    found = speaker.recommend(["u1", "u2"], n=2)
    frame = found.to_polars()
    assert frame.columns == ["user_id", "rank", "item_id", "title", "score"]
    assert frame["user_id"].to_list() == ["u1", "u1", "u2", "u2"]
    assert frame["rank"].to_list() == [1, 2, 1, 2]
    pandas = pytest.importorskip("pandas")
    other = found.to_pandas()
    assert isinstance(other, pandas.DataFrame)
    assert other.to_dict("list") == frame.to_dict(as_series=False)
    empty = ItemList(()).to_polars()
    assert empty.schema == pl.Schema(frame.schema)


def test_a_notebook_shows_a_table_with_escaped_markup(speaker: Recommender) -> None:
    from palate.recommender.lists import RankedItem

    evil = ItemList((RankedItem("i<1>", "<script>alert(1)</script>", 0.5, 1),), fallback="popular")
    shown = evil._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown
    assert "popular" in shown
    assert "user_id" not in shown
    assert "<td>u1</td>" in speaker.recommend(["u1"], n=1)._repr_html_()


def test_every_other_request_takes_ids_too(speaker: Recommender) -> None:
    first, second = _ids(speaker, "u1")[:2]
    row = int(speaker.history("u1").item_rows[0])
    assert speaker.rate("u1", first).value == speaker.engine.rate(speaker.history("u1"), row).value
    assert speaker.explain("u1", first).text
    ranked = speaker.rank("u1", [first, second])
    assert set(ranked.item_ids) == {first, second}
    assert len(speaker.search("lamp", 3, user="u1")) == 3
    assert first not in speaker.similar(first, 3).item_ids
    assert speaker.profile("u1")
    assert speaker.rate(None, first, history=[second]).levels == speaker.rate("u1", first).levels


def test_unknown_items_of_a_history_are_named_and_left_out(speaker: Recommender) -> None:
    first, second = _ids(speaker, "u1")[:2]
    expected = speaker.recommend(history=[first, second], n=3)
    with pytest.warns(UserWarning, match="'gone'"):
        mixed = speaker.recommend(history=[first, "gone", (second, None)], n=3)
    assert expected.missing_ids == ()
    assert mixed.missing_ids == ("gone",)
    assert mixed.item_ids == expected.item_ids
    with pytest.warns(UserWarning, match="'gone'"):
        several = speaker.recommend(histories=[[first, second], ["gone"]], n=3)
    assert [one.missing_ids for one in several] == [(), ("gone",)]
    assert several[1].item_ids == speaker.recommend(history=[], n=3).item_ids
    with pytest.warns(UserWarning, match="'gone'"):
        rated = speaker.rate(None, first, history=["gone", second])
    assert rated.value == speaker.rate(None, first, history=[second]).value


@pytest.mark.parametrize(
    ("kind", "ask"),
    [
        (UnknownUserError, lambda m: m.recommend("nobody at all")),
        (UnknownItemError, lambda m: m.recommend("u1", candidates=["no such item"])),
        (UnknownItemError, lambda m: m.rate("u1", "no such item")),
        (ConfigError, lambda m: m.recommend()),
        (ConfigError, lambda m: m.recommend("u1", n=0)),
        (ConfigError, lambda m: m.recommend(["u1"], history=["i1"])),
        (ConfigError, lambda m: m.recommend("u1", histories=[["i1"]])),
        (ConfigError, lambda m: m.recommend(history="i1")),
        (ConfigError, lambda m: m.recommend("u1", candidates="i1")),
        (ConfigError, lambda m: m.recommend("u1", filters=["brand"])),
    ],
)
def test_simple_mistakes_have_a_plain_error_message(
    speaker: Recommender, kind: type[PalateError], ask: Callable[[Recommender], object]
) -> None:
    with pytest.raises(kind) as caught:
        ask(speaker)
    assert caught.value.message
    assert caught.value.hint


MISTAKES = """
from palate import PalateError, Recommender, World
shop = World(num_users=20, num_items=12, seed=0, pictures=False).dataset()
model = Recommender.train(shop, "popularity")
item = model.recommend("u1", n=1)[0].item_id
wrong = {
    "a number as a user": lambda: model.recommend(7),
    "numbers as users": lambda: model.recommend([1, 2]),
    "a text as a length": lambda: model.recommend("u1", n="ten"),
    "half an item": lambda: model.recommend("u1", n=2.5),
    "numbers as items": lambda: model.recommend(history=[7]),
    "an event that begins with no id": lambda: model.recommend(history=[(None, "view")]),
    "an event of another type": lambda: model.recommend(history=[(item, "no such event")]),
    "a time without a zone": lambda: model.recommend(
        history=[(item, None, None, __import__("datetime").datetime(2024, 1, 1))]
    ),
    "numbers to exclude": lambda: model.recommend("u1", exclude=[1]),
    "a truth as a length": lambda: model.recommend("u1", n=True),
    "a text as a time": lambda: model.recommend(history=[(item, None, None, "yesterday")]),
    "milliseconds as a time": lambda: model.recommend(history=[(item, None, None, 17e11)]),
    "a word as a rating": lambda: model.recommend(history=[(item, None, "good")]),
    "a mapping as a history": lambda: model.recommend(history={"i1": 1}),
    "a large diversity": lambda: model.recommend("u1", diversity=2),
    "a text as diversity": lambda: model.recommend("u1", diversity="much"),
    "a negative number of reasons": lambda: model.recommend("u1", reasons=-1),
    "a list as an item": lambda: model.similar([item]),
    "a number as a search": lambda: model.search(5),
    "no such part": lambda: model.evaluate("tests"),
    "no part": lambda: model.evaluate(None),
    "a folder as a dataset": lambda: Recommender.train("shop", "popularity"),
    "no recipe": lambda: Recommender.train(shop, None),
    "a text as a seed": lambda: Recommender.train(shop, "popularity", seed="a"),
}
for name, ask in wrong.items():
    try:
        ask()
    except PalateError as error:
        assert error.message and error.hint, name
    else:
        raise SystemExit(f"{name}: no error")
print("told")
"""


def test_values_of_a_wrong_type_have_a_plain_error_message() -> None:
    """Types are not checked in a user's own program, so this one runs without that."""
    environment = os.environ | {"PALATE_TYPECHECK": "0"}
    done = subprocess.run(
        [sys.executable, "-c", MISTAKES], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "told\n"


def test_a_request_can_be_set_for_all_methods(speaker: Recommender) -> None:
    from palate.inference.request import Request

    asked = speaker.asking(Request(family="objective", slots={"event": "purchase"}))
    assert len(asked.recommend("u1", n=3)) == 3
    assert np.isfinite([item.score for item in asked.recommend("u1", n=3)]).all()


@pytest.mark.parametrize(
    "column",
    [list, tuple, np.asarray, pl.Series, lambda ids: pytest.importorskip("pandas").Series(ids)],
)
def test_ids_may_be_a_column_of_a_frame(
    speaker: Recommender, column: Callable[[list[str]], list[str]]
) -> None:
    users, items = ["u1", "u2"], _ids(speaker, "u1")
    assert [each.user_id for each in speaker.recommend(column(users), n=1)] == users
    assert speaker.recommend(history=column(items)) == speaker.recommend(history=items)
    assert set(speaker.rank("u1", column(items[:2])).item_ids) == set(items[:2])


def test_a_time_may_be_text_with_a_zone(speaker: Recommender) -> None:
    (item,) = _ids(speaker, "u1")[:1]
    as_text = [(item, None, None, "2024-01-31T12:00:00+00:00")]
    as_number = [(item, None, float("nan"), 1_706_702_400)]
    assert speaker.recommend(history=as_text) == speaker.recommend(history=as_number)
