"""An engine answers as the trained model does, one or many, while items come and go."""

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from palate import Dataset, Recommender
from palate.data.item_record import DeletedItem, ItemRecord
from palate.errors import ArtifactError, ConfigError, NotTrainedError, UnknownItemError
from palate.inference.engine import Answer, Engine, Request
from palate.inference.filters import ItemFilter
from palate.inference.prompt_runner import PromptRunner
from palate.ranking import rank_scored, top_rankings
from palate.training.system import LanguageModelSystem
from palate.types import History


def histories_of(shop: Dataset, count: int = 12) -> list[History]:
    return [shop.interactions.history(user) for user in range(count)]


def same(one: Sequence[Answer], two: Sequence[Answer]) -> None:
    for first, second in zip(one, two, strict=True):
        assert_array_equal(first.rows, second.rows)
        assert_allclose(first.scores, second.scores, atol=1e-4)
        assert first.fallback == second.fallback


@pytest.mark.parametrize("name", ["urm", "itemknn", "popularity"])
def test_it_answers_as_the_trained_system_does(
    name: str, model_folders: Path, live_shop: Dataset
) -> None:
    engine = Engine.load(model_folders / name)
    histories = histories_of(live_shop)
    answers = engine.answer([Request(history, 8) for history in histories])
    system = engine.trained.system
    score = PromptRunner(system).score if isinstance(system, LanguageModelSystem) else system.score
    for answer, ranking in zip(answers, rank_scored(score, histories, 8), strict=True):
        assert_array_equal(answer.rows, ranking.item_rows)
        assert_allclose(answer.scores, ranking.scores, atol=1e-4)
        assert answer.fallback is None
        assert answer.version == engine.version
    assert_allclose(
        engine.scores([Request(history) for history in histories]), score(histories), atol=1e-4
    )


@pytest.mark.parametrize("name", ["urm", "itemknn"])
def test_many_requests_at_once_equal_single_ones(
    name: str, model_folders: Path, live_shop: Dataset
) -> None:
    together, alone = (Engine.load(model_folders / name) for _ in range(2))
    questions = [
        Request(history, n, filter=wanted, exclude_seen=seen, diversity=diversity)
        for history in histories_of(live_shop, 5)
        for n, wanted, seen, diversity in (
            (3, None, True, 0.0),
            (7, ItemFilter(price_max=60.0), False, 0.0),
            (5, None, True, 0.4),
        )
    ]
    same(together.answer(questions), [alone.answer([question])[0] for question in questions])


def test_requests_with_different_wordings_do_not_affect_each_other(
    engine: Engine, live_shop: Dataset
) -> None:
    histories = histories_of(live_shop, 4)
    questions = [
        question
        for history in histories
        for question in (
            Request(history, 5),
            Request(history, 5, family="search", context="oak lamp"),
            Request(history, 5, family="search", context=engine.catalogue.view(3).title or ""),
            Request(history, 5, family="objective", slots={"event": "purchase"}),
            Request(history, 5, prompt="something calm"),
        )
    ]
    together = engine.answer(questions)
    engine.forget_user_states()
    same(together, [engine.answer([question])[0] for question in questions])


def test_text_requests_use_the_prompts_of_the_engine(engine: Engine, live_shop: Dataset) -> None:
    """The prior speaks of the next item alone: any other answer is the engine's to the digit."""
    history = live_shop.interactions.history(1)
    title = engine.catalogue.view(7).title or ""
    (answer,) = engine.answer(
        [Request(history, 5, family="search", context=title, exclude_seen=False)]
    )
    runner = PromptRunner(engine.trained.system, Request(family="search", context=title))
    (ranking,) = top_rankings(runner.score([history]), 5)
    assert_array_equal(answer.rows, ranking.item_rows)
    assert_allclose(answer.scores, ranking.scores, atol=1e-4)


def test_requests_with_one_wording_share_one_pass(
    engine: Engine, live_shop: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = []
    model = engine.trained.system.model
    read = model.user_vectors
    monkeypatch.setattr(
        model, "user_vectors", lambda batch, table: passes.append(1) or read(batch, table)
    )
    questions = [
        Request(history, 3, family="search", context=f"lamp {place}")
        for place, history in enumerate(histories_of(live_shop))
    ]
    engine.answer(questions)
    assert len(passes) == 1
    engine.answer(questions)
    assert len(passes) == 1, "all were read before"
    assert engine.cache.hits == engine.cache.misses == len(questions)


def test_cached_user_states_are_answered_without_a_pass(engine: Engine, live_shop: Dataset) -> None:
    first, second = histories_of(live_shop, 2)
    (answer,) = engine.answer([Request(first, 4)])
    known = engine.answer_known([Request(second, 4), Request(first, 4)])
    assert known[0] is None
    assert known[1] is not None
    same([known[1]], [answer])
    longer = first.extended(second)
    assert engine.answer_known([Request(longer, 4)]) == [None], "an event changes it"


def test_the_cache_stays_within_its_bytes(model_folders: Path, live_shop: Dataset) -> None:
    engine = Engine.load(model_folders / "urm", cache_bytes=5_000)
    engine.answer([Request(history, 3) for history in histories_of(live_shop, 40)])
    assert 0 < engine.cache.num_bytes <= 5_000
    assert 0 < engine.cache.entries < 40


def test_lists_have_no_seen_items_and_no_duplicates(engine: Engine, live_shop: Dataset) -> None:
    for history in histories_of(live_shop):
        (answer,) = engine.answer([Request(history, 40)])
        assert len(set(answer.rows.tolist())) == len(answer.rows)
        assert not np.isin(answer.rows, history.item_rows).any()
        assert len(answer.rows) == 40 - len(set(history.item_rows.tolist()))
        assert (np.diff(answer.scores) <= 0).all()


def test_filters_hold_in_every_list(engine: Engine, nobody: History) -> None:
    brand = next(view.brand for view in engine.catalogue.views(range(40)) if view.brand)
    wanted = ItemFilter(brands=(brand.upper(),), price_min=0.0)
    (answer,) = engine.answer([Request(nobody, 40, filter=wanted)])
    assert {view.item_id for view in engine.catalogue.views(answer.rows)} == {
        view.item_id for view in engine.catalogue.views(range(40)) if view.brand == brand
    }
    (nothing,) = engine.answer([Request(nobody, 5, filter=ItemFilter(brands=("no such",)))])
    assert len(nothing.rows) == 0


def test_candidates_are_ranked_as_in_the_whole_list(engine: Engine, live_shop: Dataset) -> None:
    history = live_shop.interactions.history(3)
    asked = np.asarray([5, 11, 2, 30, 11])
    (ranked,) = engine.answer([Request(history, 9, candidates=asked, exclude_seen=False)])
    (whole,) = engine.answer([Request(history, 40, exclude_seen=False)])
    expected = [row for row in whole.rows.tolist() if row in asked]
    assert ranked.rows.tolist() == expected
    assert_allclose(ranked.scores, whole.scores[np.isin(whole.rows, asked)], atol=1e-4)


def test_diversity_spreads_the_list(engine: Engine, live_shop: Dataset) -> None:
    history = live_shop.interactions.history(2)
    plain, spread = engine.answer([Request(history, 6, diversity=d) for d in (0.0, 0.9)])
    assert plain.rows[0] == spread.rows[0]
    assert set(plain.rows.tolist()) != set(spread.rows.tolist())
    unit = engine.trained.system.model.catalogue().detach().numpy()

    def likeness(rows: np.ndarray) -> float:
        return float(np.triu(unit[rows] @ unit[rows].T, 1).sum())

    assert likeness(spread.rows) < likeness(plain.rows)


def test_a_new_user_is_answered_by_the_cold_start_task(engine: Engine, nobody: History) -> None:
    next_item, cold, objective = engine.answer(
        [
            Request(nobody, 5),
            Request(nobody, 5, family="cold-start"),
            Request(nobody, 5, family="objective", slots={"event": "purchase"}),
        ]
    )
    assert_array_equal(next_item.rows, cold.rows)
    assert (next_item.fallback, cold.fallback) == ("cold-start", None), "an empty guess is told"
    assert objective.fallback == "cold-start", "another question than the one that was asked"


def test_without_the_task_popular_items_are_the_named_fallback(
    model_folders: Path, live_shop: Dataset, nobody: History
) -> None:
    engine = Engine.load(model_folders / "itemknn")
    (answer,) = engine.answer([Request(nobody, 5)])
    assert answer.fallback == "popular"
    best = np.argsort(-live_shop.train_counts, kind="stable")[:5]
    assert_array_equal(
        np.sort(live_shop.train_counts[answer.rows]), np.sort(live_shop.train_counts[best])
    )
    popular = Engine.load(model_folders / "popularity")
    assert popular.answer([Request(nobody, 5)])[0].fallback == "popular"
    assert popular.answer([Request(_just([3]), 5)])[0].fallback is None, "it is what it does"


def test_a_new_item_can_be_recommended_at_once_by_its_title(engine: Engine) -> None:
    old = engine.catalogue.view(3)
    before = engine.trained.system.model.num_items
    changed = engine.catalogue.update([ItemRecord("fresh", title=old.title, brand=old.brand)])
    row = engine.catalogue.row_of("fresh")
    assert (changed, row, len(engine.catalogue)) == (1, 40, 41)
    (found,) = engine.answer([Request(_just([3]), 40, exclude_seen=True)])
    assert row in found.rows
    (found,) = engine.answer([Request(_just([]), 5, family="search", context=old.title or "")])
    assert row in found.rows, "it says the same as an item that answers these words"
    assert engine.trained.system.model.num_items == before
    assert engine.catalogue.item("fresh").title == old.title


def test_a_new_item_is_encoded_like_one_without_its_id(engine: Engine) -> None:
    """Its vectors are those that training showed for the same content with the ID left out."""
    model, view = engine.trained.system.model, engine.catalogue.view(9)
    engine.catalogue.update([_record(engine, 9, "twin")])
    import torch

    with torch.inference_mode():
        table = model.items(torch.tensor([9 + model.num_items]))
    row = engine.catalogue.row_of("twin")
    outputs = engine.catalogue.state.outputs_DI[:, row]
    assert_allclose(outputs, table.outputs[0].numpy(), atol=1e-5)
    assert_allclose(
        engine.catalogue.state.vectors.tokens[row].numpy(), table.tokens[0].numpy(), atol=1e-5
    )
    assert engine.catalogue.view(row).content == view.content


def test_an_item_sent_again_unchanged_keeps_its_vectors(engine: Engine) -> None:
    before = engine.catalogue.state
    engine.catalogue.update([_record(engine, 4)])
    assert engine.catalogue.state.vectors is before.vectors
    assert engine.catalogue.state.edition == before.edition


def test_a_changed_item_keeps_its_id_and_is_encoded_again(
    engine: Engine, live_shop: Dataset
) -> None:
    history = _just([4, 6])
    (before,) = engine.answer([Request(history, 5)])
    engine.catalogue.update(
        [ItemRecord(engine.catalogue.view(4).item_id, title="something else entirely")]
    )
    assert (
        engine.catalogue.item(engine.catalogue.view(4).item_id).title == "something else entirely"
    )
    (after,) = engine.answer([Request(history, 5)])
    assert not np.array_equal(before.scores, after.scores), "the history reads differently"
    engine.catalogue.update([ItemRecord(**_fields(live_shop, 4))])
    (again,) = engine.answer([Request(history, 5)])
    same([again], [before])


def test_a_new_item_in_a_history_is_read(engine: Engine) -> None:
    engine.catalogue.update([_record(engine, 5, "five again")])
    new, old, other = (
        engine.answer([Request(_just([row]), 10, exclude_seen=False)])[0]
        for row in (engine.catalogue.row_of("five again"), 5, 17)
    )
    overlap = len(set(new.rows.tolist()) & set(old.rows.tolist()))
    assert overlap > len(set(new.rows.tolist()) & set(other.rows.tolist()))
    assert new.fallback is None


@pytest.mark.parametrize("name", ["urm", "itemknn"])
def test_deleted_and_sold_out_items_vanish_and_come_back(
    name: str, model_folders: Path, nobody: History
) -> None:
    engine = Engine.load(model_folders / name)

    def shown(wanted: ItemFilter | None = None) -> set[int]:
        question = Request(nobody, 40, filter=wanted)
        return set(engine.answer([question])[0].rows.tolist())

    gone, sold_out = engine.catalogue.view(0), engine.catalogue.view(1)
    engine.catalogue.update(
        [
            DeletedItem(gone.item_id, 1),
            ItemRecord(sold_out.item_id, title=sold_out.title, in_stock=False),
        ]
    )
    assert {0, 1} & shown() == set()
    assert {0, 1} & shown(ItemFilter(in_stock=False)) == {1}
    with pytest.raises(UnknownItemError, match="deleted"):
        engine.catalogue.item(gone.item_id)
    assert engine.catalogue.view(engine.catalogue.row_of(gone.item_id)).title == gone.title, (
        "a history may hold it"
    )
    engine.catalogue.update([ItemRecord(x.item_id, title=x.title) for x in (gone, sold_out)])
    assert {0, 1} <= shown()
    assert engine.catalogue.update([DeletedItem("never heard of", 5)]) == 0


def test_the_last_change_of_an_item_counts(engine: Engine) -> None:
    engine.catalogue.update([ItemRecord("a", title="oak lamp"), DeletedItem("a", 2)])
    with pytest.raises(UnknownItemError):
        engine.catalogue.item("a")
    engine.catalogue.update([DeletedItem("a", 3), ItemRecord("a", title="oak table")])
    assert engine.catalogue.item("a").title == "oak table"


def test_items_without_known_words_are_not_recommended(engine: Engine, nobody: History) -> None:
    engine.catalogue.update([ItemRecord("blank"), ItemRecord("noise", title="zzyzx qwrtp")])
    (answer,) = engine.answer([Request(nobody, 50)])
    assert not set(answer.rows.tolist()) & {
        engine.catalogue.row_of("blank"),
        engine.catalogue.row_of("noise"),
    }
    assert engine.describe()["items_unreadable"] == 2
    (ignored,) = engine.answer([Request(_just([engine.catalogue.row_of("blank")]), 50)])
    assert_array_equal(ignored.rows, answer.rows)


def test_a_baseline_does_not_show_new_items_and_says_so(model_folders: Path) -> None:
    engine = Engine.load(model_folders / "itemknn")
    engine.catalogue.update([ItemRecord("fresh", title="oak lamp")])
    (answer,) = engine.answer([Request(_just([2]), 60)])
    assert engine.catalogue.row_of("fresh") not in answer.rows
    assert engine.describe()["new_items"]["answered"] is False
    (only_new,) = engine.answer([Request(_just([engine.catalogue.row_of("fresh")]), 5)])
    assert only_new.fallback == "popular"
    with pytest.raises(NotTrainedError, match="fresh"):
        engine.similar(engine.catalogue.row_of("fresh"), 3)


def test_answers_never_see_a_change_in_part(engine: Engine) -> None:
    """Readers ask without pause while items come and go; each answer fits one state."""
    failures: list[BaseException] = []
    stop = threading.Event()

    def ask() -> None:
        try:
            while not stop.is_set():
                (answer,) = engine.answer([Request(_just([1, 2]), 30)])
                engine.catalogue.views(answer.rows)
                assert len(answer.rows) == 30
        except BaseException as error:
            failures.append(error)
            raise

    readers = [threading.Thread(target=ask) for _ in range(2)]
    for reader in readers:
        reader.start()
    for turn in range(15):
        engine.catalogue.update([ItemRecord(f"new {turn}", title="oak lamp")])
        engine.catalogue.update([DeletedItem(f"new {turn}", turn)])
    stop.set()
    for reader in readers:
        reader.join()
    assert failures == []


def test_reasons_are_those_of_the_recommender(engine: Engine, model_folders: Path) -> None:
    recommender = Recommender.load(model_folders / "urm")
    history = recommender.history("u1")
    (answer,) = engine.answer([Request(history, 3)])
    together = engine.reasons(Request(history), answer.rows.tolist(), 3)
    for row, reasons in zip(answer.rows.tolist(), together, strict=True):
        expected = recommender.engine.why(history, row, 3)
        assert [reason.event for reason in reasons] == [reason.event for reason in expected]
        assert_allclose([r.weight for r in reasons], [r.weight for r in expected], atol=1e-4)
        alone = engine.why(history, row, 3)
        assert [reason.event for reason in alone] == [reason.event for reason in reasons]


def test_fallback_answers_have_no_reasons(
    model_folders: Path, nobody: History, engine: Engine
) -> None:
    assert engine.why(nobody, 3) == []
    assert Engine.load(model_folders / "popularity").why(_just([1, 2]), 3) == []


@pytest.mark.parametrize("name", ["urm", "itemknn"])
def test_similar_items_are_others_that_may_be_shown(name: str, model_folders: Path) -> None:
    engine = Engine.load(model_folders / name)
    engine.catalogue.update([DeletedItem(engine.catalogue.view(8).item_id, 1)])
    answer = engine.similar(3, 40)
    assert not {3, 8} & set(answer.rows.tolist())
    assert (np.diff(answer.scores) <= 0).all()
    assert len(answer.rows) == 38


def test_an_identical_item_is_the_most_similar(engine: Engine) -> None:
    engine.catalogue.update([_record(engine, 9, "twin"), _record(engine, 9, "other twin")])
    assert engine.similar(engine.catalogue.row_of("twin"), 1).rows.tolist() == [
        engine.catalogue.row_of("other twin")
    ]
    engine.catalogue.update([ItemRecord("blank")])
    with pytest.raises(NotTrainedError):
        engine.similar(engine.catalogue.row_of("blank"), 1)


@pytest.mark.parametrize(
    ("name", "question", "message"),
    [
        ("itemknn", {"family": "search"}, "urm"),
        ("itemknn", {"prompt": "calm", "steer": False}, "reads no words"),
        ("urm", {"form": "codes"}, "not trained to answer in the form 'codes'"),
    ],
)
def test_untrained_requests_are_refused_with_a_hint(
    name: str, question: dict[str, Any], message: str, model_folders: Path, nobody: History
) -> None:
    engine = Engine.load(model_folders / name)
    with pytest.raises(NotTrainedError, match=message):
        engine.answer([Request(nobody, 3), Request(nobody, 3, **question)])


def test_an_unknown_family_is_refused_with_the_nearest_name(
    engine: Engine, nobody: History
) -> None:
    with pytest.raises(ConfigError) as found:
        engine.answer([Request(nobody, 3, family="rate")])
    assert "Did you mean 'rating'" in found.value.hint
    with pytest.raises(ConfigError) as found:
        engine.answer([Request(nobody, 3, family="ranking")])
    assert "It is called 'yes-no' now" in found.value.hint


@pytest.mark.parametrize("slots", [{}, {"event": "adopt"}, {"event": "view", "more": "x"}])
def test_slots_must_be_those_of_the_data(
    slots: dict[str, str], engine: Engine, nobody: History
) -> None:
    with pytest.raises(ConfigError, match="purchase"):
        engine.check(Request(nobody, family="objective", slots=slots))


@pytest.mark.parametrize("name", ["urm", "itemknn"])
def test_it_describes_itself_as_json(name: str, model_folders: Path) -> None:
    engine = Engine.load(model_folders / name)
    described = json.loads(json.dumps(engine.describe()))
    assert described["version"] == engine.version
    assert described["items"] == 40
    assert [task["family"] for task in described["tasks"]] == list(engine.tasks)
    impossible = {entry["what"]: entry["recipes"] for entry in described["cannot"]}
    assert ("search" in impossible) == (name == "itemknn")
    if name == "itemknn":
        assert "urm" in impossible["search"]


@pytest.mark.parametrize(
    "file", ["manifest.json", "weights.safetensors", "features.safetensors", "recipe.json"]
)
def test_a_damaged_folder_is_refused(file: str, model_folders: Path, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "model"
    shutil.copytree(model_folders / "urm", folder)
    content = (folder / file).read_bytes()
    (folder / file).write_bytes(content[: len(content) // 2])
    with pytest.raises(ArtifactError):
        Engine.load(folder)
    (folder / file).unlink()
    with pytest.raises(ArtifactError):
        Engine.load(folder)


def test_the_version_names_the_content(model_folders: Path) -> None:
    one, other = Engine.load(model_folders / "urm"), Engine.load(model_folders / "itemknn")
    assert one.version == Engine.load(model_folders / "urm").version != other.version


def test_unknown_item_ids_are_listed_separately(engine: Engine) -> None:
    ids = [engine.catalogue.view(5).item_id, "nope", engine.catalogue.view(2).item_id]
    rows, missing = engine.catalogue.rows_of(ids)
    assert (rows.tolist(), missing) == ([5, 2], ["nope"])
    with pytest.raises(UnknownItemError, match="nope"):
        engine.catalogue.row_of("nope")
    assert engine.catalogue.image(ids[0]) is None
    assert list(engine.catalogue.listed(38)) == [38, 39]


def _just(rows: list[int]) -> History:
    return History(item_rows=np.asarray(rows, dtype=np.int64))


def _record(engine: Engine, row: int, item_id: str | None = None) -> ItemRecord:
    view = engine.catalogue.view(row)
    return ItemRecord(
        item_id or view.item_id,
        title=view.title,
        description=view.description,
        brand=view.brand,
        categories=view.categories,
        price=view.price,
    )


def _fields(shop: Dataset, row: int) -> dict[str, object]:
    fields = shop.catalog.table.row(row, named=True)
    names = ("item_id", "title", "description", "brand", "price")
    return {name: fields[name] for name in names} | {"categories": tuple(fields["categories"])}
