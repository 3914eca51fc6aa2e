"""The benchmarks on a tiny simulated shop: they measure, keep results, and evaluate tasks."""

import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bench"))

import candidates
import collaborative
import decode
import generative
import item_text
import measure
import mixture
import paradigms
import prompting
import text_encoders
import text_tasks
import transfer

from palate.data.dataset import Cases
from palate.data.split import Part
from palate.language.tasks.masked import MaskedBehaviour
from palate.language.tasks.summary import Summary
from palate.language.tasks.yes_no import YesNo
from palate.llm.controls import control
from palate.llm.scripted import Scripted
from palate.recommender.recommender import Recommender
from palate.simulation.world import World
from palate.training.recipe import load_recipe
from palate.training.system import LanguageModelSystem
from palate.types import History

SHOP = World(num_users=40, num_items=40, events_per_user=8, seed=3)
TINY = (
    "training.epochs=1",
    "model.decoder.width=16",
    "model.decoder.heads=2",
    "items.text.dim=8",
)


@pytest.fixture
def options(tmp_path: Path) -> measure.Options:
    return measure.Options(name="test", seeds=2, workers=0, runs=tmp_path)


def test_a_run_is_measured_once_and_then_remembered(options: measure.Options) -> None:
    folder = measure.world_data(options, SHOP)
    jobs = measure.seeded(options, measure.Job("popularity", folder, "popularity"))
    first = measure.measure(options, jobs)
    assert [run.seed for run in first] == [1, 2]
    assert all(run.seconds >= 0 and run.peak_gb > 0 and run.date for run in first)
    assert 0 < measure.mean(first, "masked", "recall@10") <= 1
    assert measure.measure(options, jobs) == first
    assert len(measure.results(options.runs)) == 2


def test_other_settings_are_another_run(options: measure.Options) -> None:
    folder = measure.world_data(options, SHOP)
    plain = measure.Job("item-kNN", folder, "itemknn", ("baseline.decay=1.0",))
    recent = measure.Job("item-kNN", folder, "itemknn", ("baseline.decay=0.5",))
    runs = measure.measure(options, [plain, recent])
    assert runs[0].settings != runs[1].settings


def test_a_log_line_cut_short_by_a_kill_is_skipped(options: measure.Options) -> None:
    folder = measure.world_data(options, SHOP)
    measure.measure(options, [measure.Job("popularity", folder, "popularity")])
    with (options.runs / "results.jsonl").open("a") as file:
        file.write('{"benchmark": "te')
    assert len(measure.results(options.runs)) == 1


def test_without_data_a_benchmark_says_so_and_exits_with_2(
    options: measure.Options, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PALATE_SHARED_DATA", "/nowhere")
    with pytest.raises(SystemExit) as stopped:
        measure.real_data(options, "amazon14_beauty")
    assert stopped.value.code == 2
    assert "PALATE_SHARED_DATA" in capsys.readouterr().err


def test_a_refit_is_reported_below_the_model_its_epochs_were_found_with(
    options: measure.Options,
) -> None:
    folder = measure.world_data(options, SHOP)
    job = measure.Job("urm", folder, "urm-small", TINY, seed=1)
    plain = measure.measure(options, [job])
    runs = measure.measure(options, [job], judge=measure.refitted_accuracy, train=measure.refitted)
    before, after = measure.both_fits(runs)
    assert before.found["masked"] == plain[0].found["masked"]
    assert (before.label, after.label) == ("urm", "urm (refit)")
    assert after.found["masked"] != before.found["masked"]
    assert (before.epochs, after.epochs) == (1, 1)
    assert before.seconds < after.seconds


def test_the_table_shows_both_ways_to_rank(options: measure.Options) -> None:
    folder = measure.world_data(options, SHOP)
    jobs = measure.seeded(options, measure.Job("popularity", folder, "popularity"))
    table = measure.accuracy_table("Somewhere", measure.measure(options, jobs))
    assert list(table.columns[1].cells) == ["masked", "unmasked"]
    assert "±" in str(next(iter(table.columns[2].cells)))


@pytest.mark.parametrize("task", mixture.TASKS)
def test_every_task_asks_for_the_event_that_follows(task: str) -> None:
    shop = SHOP.dataset()
    whole = shop.cases("test")
    asked = mixture.task_cases(shop, task, "test")
    assert sum(len(question.cases) for question in asked) == len(whole)
    wanted = sorted(int(rows[0]) for question in asked for rows in question.cases.targets)
    assert wanted == sorted(int(rows[0]) for rows in whole.targets)
    assert {question.ask.family for question in asked} == {task}


def test_an_objective_is_evaluated_on_users_whose_next_event_has_its_type() -> None:
    shop = SHOP.dataset()
    events = shop.interactions
    for question in mixture.task_cases(shop, "objective", "test"):
        code = events.event_types.index(question.ask.slots["event"])
        for history in question.cases.histories:
            assert history.user_row is not None
            last = int(events.offsets[history.user_row + 1]) - 1
            assert events.event_codes[last] == code


def test_direct_keeps_the_items_and_cold_start_the_newest() -> None:
    shop = SHOP.dataset()
    whole = shop.cases("test").histories
    (direct,) = mixture.task_cases(shop, "direct", "test")
    (cold,) = mixture.task_cases(shop, "cold-start", "test")
    for full, mixed, short in zip(whole, direct.cases.histories, cold.cases.histories, strict=True):
        assert sorted(mixed.item_rows) == sorted(full.item_rows)
        assert len(short) in {1, 2}
        np.testing.assert_array_equal(short.item_rows, full.item_rows[-len(short) :])


def test_an_expert_learns_and_answers_its_task_alone(options: measure.Options) -> None:
    folder = measure.world_data(options, SHOP)
    job = measure.Job(
        "objective", folder, "urm-small", (*mixture.alone("objective", full=True), *TINY)
    )
    (run,) = measure.measure(options, [job], judge=mixture.ask_all, train=mixture.train_by_own_task)
    assert set(run.found) == {"objective"}
    assert run.found["objective"]["cases"] == 40
    assert 0 <= run.found["objective"]["ndcg@10"] <= 1


def test_gains_are_the_ndcg_of_the_evaluation(options: measure.Options) -> None:
    shop = SHOP.dataset()
    model = Recommender.train(shop, load_recipe("urm-small", TINY))
    assert isinstance(model.trained.system, LanguageModelSystem)
    values = mixture.gains(model.trained.system, mixture.task_cases(shop, "next-item", "test"))
    fresh = [rows[0] not in h.item_rows for h, rows in _pairs(shop.cases("test"))]
    judged = model.evaluate("test").per_user["ndcg@10"]
    np.testing.assert_allclose(values[fresh], judged[fresh], atol=1e-9)


def test_a_model_is_evaluated_in_every_form_of_answer(options: measure.Options) -> None:
    folder = measure.world_data(options, SHOP)
    coded = (*TINY, "codes.index={kind='residual-kmeans', levels=2, size=6}", "codes.beams=50")
    jobs = [
        measure.Job("both", folder, "liger", coded),
        measure.Job("codes", folder, "tiger", coded),
    ]
    runs = measure.measure(options, jobs, judge=generative.in_every_form)
    assert {name.split(",")[0] for name in runs[0].found} == {"set", "codes", "hybrid"}
    assert {name.split(",")[0] for name in runs[1].found} == {"codes"}
    table = generative.forms_table("Somewhere", runs)
    assert table.row_count == 4 * 2


def test_a_share_of_the_users_is_trained_on_and_all_are_evaluated() -> None:
    shop = SHOP.dataset()
    few = transfer.with_users(shop, 0.5, seed=1)
    assert 0 < len(few.sequences) < len(shop.sequences)
    assert len(few.cases("test")) == len(shop.cases("test"))
    kept = {history.user_row for history in few.sequences}
    users = few.interactions.user_rows[few.split.parts == Part.VALID]
    assert set(users.tolist()) <= kept
    with_all = {history.user_row: history for history in shop.cases("test").histories}
    for history in few.cases("test").histories:
        np.testing.assert_array_equal(history.item_rows, with_all[history.user_row].item_rows)


def test_decoding_is_compared_on_equal_lists() -> None:
    codes = decode.drawn_codes(300, 16)
    assert len(codes) == 300
    with torch.inference_mode():
        # Either stops the program where generate does not find the same lists.
        assert decode.against_llama(codes, 4) > 0
        assert decode.against_t5(codes, 4) > 0


def _pairs(cases: Cases) -> list[tuple[History, np.ndarray]]:
    return list(zip(cases.histories, cases.targets, strict=True))


def test_variants_of_prompts_are_recipes() -> None:
    override = candidates.stages(3, ("title",), ("title", "item"))
    recipe = load_recipe("rsllm", [override])
    assert [stage.item_format for stage in recipe.stages] == [("title",), ("title", "item")]
    assert [stage.training.epochs for stage in recipe.stages] == [3, 3]


def test_variants_of_yes_or_no_and_of_pre_training_are_recipes() -> None:
    for name, *changed in collaborative.VARIANTS.values():
        assert load_recipe(name, changed).resolved_stages[-1].tasks.share(YesNo) > 0
    stages = {
        label: [
            stage.tasks.share(MaskedBehaviour) > 0
            for stage in load_recipe(name, changed).resolved_stages
        ]
        for label, (name, changed) in paradigms.VARIANTS.items()
    }
    assert stages[paradigms.PTUM] == [True, False]
    assert stages[paradigms.TUNED] == [False]
    plain = load_recipe(*paradigms.VARIANTS[paradigms.PLAIN])
    assert not plain.training.target_contrast + plain.training.user_contrast


def test_an_expert_learns_one_family() -> None:
    tasks = load_recipe("palate", text_tasks.alone("summary")).tasks
    assert tasks.share(Summary) > 0
    assert not tasks.by_items
    assert tasks.model_copy(update={"summary": 0}).in_words is False


def test_published_rows_keep_their_parts_and_labels() -> None:
    films = SHOP.dataset()
    ids = films.catalog.vocabulary.ids[:3].tolist()
    rows = pl.DataFrame(
        {
            "collm_uid": [7, 7, 9, 7, 7],
            "item_id": [ids[0], ids[1], ids[2], "unknown", ids[2]],
            "timestamp": [10, 20, 5, 6, 30],
            "label": [1, 0, 1, 1, 1],
            "split": ["train", "valid", "test", "train", "valid_small"],
        }
    )
    made = collaborative.of_rows(films, rows)
    assert made.interactions.users.ids.tolist() == ["user-7", "user-9"]
    assert made.split.parts.tolist() == [Part.TRAIN, Part.VALID, Part.TEST]
    assert made.interactions.ratings is not None
    assert made.interactions.ratings.tolist() == [5.0, 1.0, 5.0]
    assert films.catalog.vocabulary.ids[made.interactions.item_rows].tolist() == ids


def test_texts_are_chosen_on_the_validation_part(options: measure.Options) -> None:
    folder = measure.world_data(options, SHOP)
    texts = ("tfidf", "tfidf-whitened")
    jobs = [measure.Job(t, folder, "urm-small", (*TINY, *item_text.TEXTS[t]), 1) for t in texts]
    runs = measure.measure(options, jobs, judge=item_text.chosen_and_reported)
    assert set(runs[0].found) == {"set, masked", "set, unmasked", "set, valid"}
    assert runs[0].found != runs[1].found
    valid = {run.label: run.found["set, valid"]["ndcg@10"] for run in runs}
    assert valid[item_text.best_on_valid(runs)] == max(valid.values())
    shown = item_text.forms_table("Somewhere", runs)
    assert list(shown.columns[2].cells) == ["test, masked", "test, unmasked", "valid, masked"] * 2


def test_text_encoders_are_compared_raw_and_whitened() -> None:
    shop = SHOP.dataset()
    configs = {"tfidf-svd": text_encoders.encoders([])["tfidf-svd"]}
    lines = text_encoders.compared(shop, configs)
    assert [line.name for line in lines] == ["tfidf-svd", "tfidf-svd, whitened"]
    assert all(len(line.valid) == len(shop.cases("valid")) for line in lines)
    assert all(line.per_second > 0 and line.milliseconds > 0 for line in lines)
    assert text_encoders.table_of("Somewhere", lines).row_count == 2


def test_prompting_is_measured_beside_chance_and_the_base(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = World(num_users=40, num_items=60, events_per_user=8, seed=3).dataset()
    twenty = prompting.candidates_of(shop, 6)
    for history, rows, target in twenty:
        assert len(set(rows)) == prompting.CANDIDATES
        assert target in rows
        assert not np.isin(np.delete(rows, rows == target), history.item_rows).any()
    monkeypatch.setattr(prompting, "ASKED", ("zero-shot",))
    monkeypatch.setattr(
        prompting,
        "systems",
        lambda speaker: [("base", "itemknn", None), ("asked", "zero-shot", speaker)],
    )
    ndcg = prompting.of_twenty(shop, twenty, control("identity"))
    assert ndcg["asked"] == ndcg["base"]
    assert pytest.approx(0.2272, abs=1e-4) == prompting.CHANCE
    places = Scripted(
        lambda request: "A.", lambda request: [-float(n) for n in range(len(request.choices))]
    )
    prompting.position_curve(shop, twenty, places)
    prompting.validity(shop, twenty, places)
    assert "6 of 6 are a letter" in capsys.readouterr().out
