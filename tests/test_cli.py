"""Each verb on a tiny shop, from raw tables to a report. A mistake is two lines and exit code 2."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from shutil import copytree

import pytest
from safetensors import safe_open

from palate import cli
from palate.simulation.world import World

SETTINGS = (
    "items.text.dim=16",
    "items.behaviour.dim=8",
    "model.decoder.width=16",
    "model.decoder.layers=1",
    "training.epochs=2",
    "training.tokens_per_batch=2048",
)
ITEM, *OTHERS = ("i0e1d", "i1785", "i1bf8")
"""Items of the simulated shop of seed 2."""
SETS = [word for setting in SETTINGS for word in ("--set", setting)]


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str


Palate = Callable[..., Done]


@pytest.fixture
def palate(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Palate:
    """The function that runs a command line as the shell would."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["palate", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        out, err = capsys.readouterr()
        return Done(int(stopped.value.code or 0), out, err)

    return run


def _quietly(*words: object) -> None:
    """Run a command for a fixture."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["palate", *map(str, words)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        assert not stopped.value.code


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Raw tables, the dataset made from them, and two models trained on it."""
    at = tmp_path_factory.mktemp("shop")
    world = World(num_users=60, num_items=30, events_per_user=8, seed=2, pictures=False)
    world.write_source(at / "source")
    _quietly("prepare", at / "source", at / "shop", "--name", "tiny")
    _quietly("train", at / "shop", at / "model", "--recipe", "urm-small", "--seed", 1, *SETS)
    _quietly("train", at / "shop", at / "popular", "--recipe", "popularity")
    return at


@pytest.fixture(scope="module")
def speaker(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that answers in words, trained on somebody's own wordings too."""
    at = tmp_path_factory.mktemp("speaker")
    (at / "own.toml").write_text('[rating]\nadd = ["how many stars"]\n')
    words = ("--recipe", "palate", "--prompts", at / "own.toml", *SETS)
    _quietly("train", folder / "shop", at / "model", *words)
    return at / "model"


def _epoch(checkpoint: Path) -> int:
    """Return how many epochs a training had done when it last saved its state."""
    if not checkpoint.is_file():
        return 0
    with safe_open(checkpoint, "np") as file:
        return int(json.loads(file.metadata()["progress"])["epoch"])


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*.safetensors")}


def test_help_lists_the_verbs(palate: Palate) -> None:
    done = palate("--help")
    assert done.code == 0
    for verb in ("prepare", "train", "evaluate", "compare", "recommend", "search", "report"):
        assert verb in done.out
    assert "recipes" in done.out
    assert "demo" in done.out


def test_prepare_reports_and_says_what_comes_next(folder: Path, palate: Palate) -> None:
    done = palate("prepare", folder / "source", folder / "again", "--k-core", 2)
    assert done.code == 0, done.err
    assert "60" in done.out
    assert f"palate train {folder / 'again'}" in done.out.replace("\n", "")
    assert (folder / "again" / "report.md").is_file()


def test_train_leaves_a_model_and_no_litter(folder: Path) -> None:
    assert (folder / "model" / "weights.safetensors").is_file()
    assert not (folder / "model.training").exists()
    assert json.loads((folder / "model" / "manifest.json").read_text())["seed"] == 1


def test_train_takes_raw_tables_too(folder: Path, palate: Palate) -> None:
    done = palate("train", folder / "source", folder / "direct", "--recipe", "popularity")
    assert done.code == 0, done.err
    assert "preparing it" in done.out
    assert (folder / "direct.dataset" / "manifest.json").is_file()


def test_the_same_seed_gives_the_same_model(folder: Path, palate: Palate) -> None:
    words = ("train", folder / "shop", folder / "twin", "--recipe", "urm-small", "--seed", 1)
    done = palate(*words, *SETS)
    assert done.code == 0, done.err
    assert "Epoch 2/2" in done.out
    assert _files(folder / "twin") == _files(folder / "model")


@pytest.mark.parametrize("split", ["test", "valid"])
def test_evaluate_writes_the_promised_figures(folder: Path, palate: Palate, split: str) -> None:
    file = folder / f"{split}.json"
    done = palate("evaluate", folder / "model", "--split", split, "--json", file)
    assert done.code == 0, done.err
    assert "leak" in done.out.lower()
    found = json.loads(file.read_text())
    assert found["dataset"] == "tiny"
    assert found["split"]
    assert found["users"] == 60
    for how in ("masked", "unmasked"):
        for metric in ("recall", "ndcg"):
            assert 0 <= found[how][f"{metric}@5"] <= found[how][f"{metric}@10"] <= 1
    assert found["leak_probe"]


def test_compare_sets_models_side_by_side(folder: Path, palate: Palate) -> None:
    done = palate("compare", folder / "model", folder / "popular")
    assert done.code == 0, done.err
    assert "urm-small" in done.out
    assert "popularity" in done.out
    alone = palate("compare", folder / "model")
    assert alone.code == 2
    assert "two models or more" in alone.err


def test_a_model_that_learned_from_everything_is_not_evaluated(
    folder: Path, palate: Palate
) -> None:
    words = ("train", folder / "shop", folder / "live", "--recipe", "popularity", "--fit", "all")
    done = palate(*words)
    assert done.code == 0, done.err
    assert "can no longer be evaluated" in done.out
    for verb in (("evaluate",), ("compare", folder / "popular")):
        done = palate(*verb, folder / "live")
        assert done.code == 2
        assert "error: This model learned from the test events (fit 'all')" in done.err
        assert "hint: Judge a model that has not seen them" in done.err


def test_a_refit_is_evaluated_on_test_alone_and_marked(folder: Path, palate: Palate) -> None:
    words = ("--recipe", "urm-small", "--seed", 1, "--fit", "valid", *SETS)
    done = palate("train", folder / "shop", folder / "refit", *words)
    assert done.code == 0, done.err
    assert "only test can be evaluated" in done.out
    done = palate("evaluate", folder / "refit", "--json", folder / "refit.json")
    assert done.code == 0, done.err
    assert "urm-small (refit)" in done.out
    assert json.loads((folder / "refit.json").read_text())["fit"] == "valid"
    assert palate("evaluate", folder / "refit", "--split", "valid").code == 2


def test_recommend_prints_json(folder: Path, palate: Palate) -> None:
    done = palate("recommend", folder / "model", "--user", "u1", "-n", 4, "--json")
    assert done.code == 0, done.err
    rows = json.loads(done.out)
    assert len(rows) == 4
    assert set(rows[0]) == {"item_id", "title", "categories", "score", "because"}
    assert [row["score"] for row in rows] == sorted((row["score"] for row in rows), reverse=True)


@pytest.mark.parametrize("model", ["model", "popular"])
def test_recommend_prints_a_table(folder: Path, palate: Palate, model: str) -> None:
    done = palate("recommend", folder / model, "--user", "u1", "-n", 3)
    assert done.code == 0, done.err
    for heading in ("Title", "Categories", "Score", "Because of"):
        assert heading in done.out


def test_recommend_to_somebody_new(folder: Path, palate: Palate) -> None:
    found = palate("recommend", folder / "model", "--user", "u1", "-n", 3, "--json")
    ids = [row["item_id"] for row in json.loads(found.out)]
    new = palate("recommend", folder / "model", "--history", ",".join(ids), "--json")
    assert new.code == 0, new.err
    assert not {row["item_id"] for row in json.loads(new.out)} & set(ids)
    more = palate("recommend", folder / "model", "--user", "u1", "--history", ids[0], "--json")
    assert more.code == 0, more.err
    assert ids[0] not in {row["item_id"] for row in json.loads(more.out)}


def test_recommend_keeps_to_filters(folder: Path, palate: Palate) -> None:
    words = ("recommend", folder / "model", "--user", "u1", "-n", 30, "--json", "--include-seen")
    everything = json.loads(palate(*words).out)
    assert len(everything) == 30
    best = [row["item_id"] for row in everything]
    done = palate(*words, "--filter", "price<40", "--exclude", ",".join(best[:2]))
    assert done.code == 0, done.err
    cheap = [row["item_id"] for row in json.loads(done.out)]
    assert cheap
    assert not set(cheap) & set(best[:2])
    dear = palate(*words, "--filter", "price>=40")
    assert not set(cheap) & {row["item_id"] for row in json.loads(dear.out)}
    both = palate(*words, "--filter", "price<40", "--filter", "price>=40")
    assert both.code == 2


def test_somebody_new_is_told_what_was_answered_instead(folder: Path, palate: Palate) -> None:
    for model, fallback in (("model", "cold-start"), ("popular", "popular")):
        done = palate("recommend", folder / model, "--history", "", "-n", 2, "--json")
        assert done.code == 0, done.err
        assert [row["fallback"] for row in json.loads(done.out)] == [fallback] * 2
        assert done.err.startswith(f"fallback {fallback}: ")


def test_without_search_titles_are_compared(folder: Path, palate: Palate) -> None:
    first = json.loads(palate("recommend", folder / "popular", "--user", "u1", "--json").out)[0]
    done = palate("search", folder / "popular", first["title"], "--json")
    assert first["item_id"] in {row["item_id"] for row in json.loads(done.out)}
    assert done.err.startswith("fallback titles: ")


def test_recommend_reads_a_prompt(folder: Path, palate: Palate) -> None:
    words = ("recommend", folder / "model", "--user", "u1", "--json")
    plain, asked = palate(*words), palate(*words, "--prompt", "find items for this query")
    assert asked.code == 0, asked.err
    assert json.loads(plain.out) != json.loads(asked.out)


def test_search_finds_items(folder: Path, palate: Palate) -> None:
    done = palate("search", folder / "model", "camp stove", "-n", 2, "--json")
    assert done.code == 0, done.err
    assert len(json.loads(done.out)) == 2
    table = palate("search", folder / "model", "camp [bold]stove", "--user", "u1")
    assert table.code == 0, table.err
    assert "camp [bold]stove" in table.out


def test_report_is_one_page(folder: Path, palate: Palate) -> None:
    page = folder / "page.html"
    done = palate("report", folder / "model", folder / "popular", "--out", page)
    assert done.code == 0, done.err
    assert page.read_text().lstrip().lower().startswith("<!doctype html>")


@pytest.mark.parametrize("source", ["shop", "model"])
def test_index_tells_how_healthy_codes_are(folder: Path, palate: Palate, source: str) -> None:
    out = folder / f"codes of {source}"
    small = ("--set", "levels=2", "--set", "size=8")
    done = palate("index", folder / source, *small, "--out", out)
    assert done.code == 0, done.err
    assert "collide" in done.out
    assert (out / "health.html").is_file()
    assert f"Codes written to {out}" in " ".join(done.out.split())
    coarse = palate("index", folder / source, "--set", "size=16")
    assert "--set size=4" in coarse.out
    assert "Nothing was written" in coarse.out
    figures = palate("index", folder / source, *small, "--json")
    assert json.loads(figures.out)["items"] == 30


def test_recipes_are_listed(palate: Palate) -> None:
    listed = json.loads(palate("recipes", "--json").out)
    assert {"urm", "urm-small", "popularity", "itemknn", "ease"} <= set(listed)
    assert "sasrec" in palate("recipes").out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("evaluate", "nowhere"), "nowhere"),
        (("prepare", "nowhere", "made"), "nowhere"),
        (("train", "nowhere", "made"), "nowhere"),
        (("train", "shop", "made", "--recipe", "umr"), "umr"),
        (("train", "shop", "made", "--set", "training.epoch=3"), "training.epoch"),
        (("train", "shop", "made", "--set", "training.epochs"), "no '='"),
        (("train", "shop", "shop", "--recipe", "popularity"), "shop"),
        (("evaluate", "shop"), "holds a dataset, not a model"),
        (("evaluate", "popular", "--json", "no/such/folder.json"), "folder.json"),
        (("recommend", "model", "--user", "nobody"), "nobody"),
        (("recommend", "model", "--history", "nothing"), "nothing"),
        (("recommend", "model"), "needs somebody"),
        (("recommend", "popular", "--user", "u1", "--prompt", "x"), "reads no words"),
        (("recommend", "model", "--user", "u1", "--filter", "colour=red"), "price<20"),
        (("recommend", "model", "--user", "u1", "--filter", "brand=Nobody"), "There are: "),
        (("recommend", "model", "--user", "u1", "--filter", "price<cheap"), "price<20"),
        (("recommend", "model", "--user", "u1", "--exclude", "nothing"), "nothing"),
        (("recommend", "model", "--user", "u1", "--task", "objective"), "purchase"),
        (("recommend", "model", "--user", "u1", "--task", "direct", "--prompt", "x"), "one of"),
        (("rate", "popular", "--user", "u1", "--item", ITEM), "says no words"),
        (("rate", "model", "--user", "u1", "--item", ITEM), "not trained to answer in words"),
        (("rate", "model", "--user", "u1", "--item", "nothing"), "nothing"),
        (("rate", "model", "--item", ITEM), "needs somebody"),
        (("explain", "model", "--user", "nobody", "--item", ITEM), "nobody"),
        (("summarise", "model", "--text", " "), "nothing to summarise"),
        (("rank", "model", "--user", "u1", "--items", ","), "nothing to rank"),
        (("rank", "model", "--user", "u1", "--items", f"{ITEM},nothing"), "nothing"),
        (("prompts", "--family", "poems"), "poems"),
        (("prompts", "--user", "u1"), "without a model"),
        (("prompts", "--file", "no/such.toml"), "such.toml"),
        (("train", "shop", "made", "--prompts", "no/such.toml"), "such.toml"),
        (("evaluate", "popular", "--task", "rating"), "says no words"),
        (("report", "popular", "--out", "shop"), "shop"),
        (("prepare", "source", "made", "--column", "user_id"), "no '='"),
        (("index", "nowhere"), "nowhere"),
        (("index", "shop", "--kind", "kmeans"), "kmeans"),
        (("index", "shop", "--set", "codes=8"), "codes"),
        (("index", "shop", "--set", "size=0"), "size"),
        (("index", "shop", "--kind", "random", "--out", "shop"), "will not be overwritten"),
        (("index", "shop", "--kind", "random", "--out", "popular/recipe.json/codes"), "written"),
    ],
)
def test_a_mistake_is_two_lines_and_exit_code_2(
    folder: Path, palate: Palate, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(folder)
    before = sorted(path.name for path in folder.iterdir())
    done = palate(*words)
    assert done.code == 2
    first, *rest = done.err.strip().splitlines()
    assert first.startswith("error: ")
    assert said in done.err
    assert any(line.startswith("hint: ") for line in rest)
    assert "Traceback" not in done.err
    assert sorted(path.name for path in folder.iterdir()) == before, "nothing half written"


def test_rate_gives_a_number_and_a_chance_of_each_level(speaker: Path, palate: Palate) -> None:
    found = json.loads(palate("rate", speaker, "--user", "u1", "--item", ITEM, "--json").out)
    assert found["item_id"] == ITEM
    assert 1 <= found["rating"] <= 5
    assert sum(found["chances"].values()) == pytest.approx(1, abs=1e-3)
    done = palate("rate", speaker, "--history", ",".join(OTHERS), "--item", ITEM)
    assert done.code == 0, done.err
    assert "most likely" in done.out


def test_explain_says_a_sentence_and_what_it_left_out(speaker: Path, palate: Palate) -> None:
    words = ("explain", speaker, "--user", "u1", "--item", ITEM, "--aspect", "colour")
    found = json.loads(palate(*words, "--json").out)
    told = {"explanation", "written", "invented", "mended", "quoted"}
    assert set(found) == {"item_id", "title", *told}
    assert palate(*words).out.strip() == found["explanation"] != ""


def test_summarise_says_a_title(speaker: Path, palate: Palate) -> None:
    words = ("summarise", speaker, "--text", "The lamp is warm. It shines all night.")
    found = json.loads(palate(*words, "--json").out)
    assert palate(*words).out.strip() == found["summary"] != ""


def test_rank_puts_each_item_in_its_place(folder: Path, speaker: Path, palate: Palate) -> None:
    for model in (speaker, folder / "popular"):
        words = ("rank", model, "--user", "u1", "--items", ",".join([ITEM, *OTHERS, ITEM]))
        found = json.loads(palate(*words, "--json").out)
        assert sorted(row["item_id"] for row in found) == [ITEM, *OTHERS]
        scores = [row["score"] for row in found]
        assert scores == sorted(scores, reverse=True)
    assert "chance" in palate("rank", speaker, "--user", "u1", "--items", ITEM).out


def test_prompts_are_shown_as_they_are_asked(
    folder: Path, speaker: Path, palate: Palate, tmp_path: Path
) -> None:
    plain = json.loads(palate("prompts", "--json").out)
    assert plain["rating"]["rendered"] is None
    found = json.loads(palate("prompts", speaker, "--user", "u1", "--json").out)
    assert "how many stars" in found["rating"]["seen"]
    assert found["rating"]["user_id"] == "u1"
    assert "answer: " in found["rating"]["rendered"]
    done = palate("prompts", folder / "model", "--family", "summary")
    assert "not trained on" in done.out
    assert "unseen" in done.out
    own = tmp_path / "own.toml"
    own.write_text('[summary]\nseen = ["say it [bold]shortly"]\n')
    assert "say it [bold]shortly" in palate("prompts", "--file", own, "--family", "summary").out


def test_sensitivity_is_told_written_and_drawn(
    speaker: Path, palate: Palate, tmp_path: Path
) -> None:
    plot = tmp_path / "matrix.svg"
    done = palate("sensitivity", speaker, "--split", "valid", "--search", 2, "--plot", plot)
    assert done.code == 0, done.err
    assert "asked for" in done.out
    assert "The best of 2 edited wordings" in done.out
    assert plot.read_text().startswith("<svg")
    found = json.loads(palate("sensitivity", speaker, "--split", "valid", "--json").out)
    assert len(found["ndcg@10"]) == len(found["objectives"]) > 1
    assert "search" not in found


def test_recommend_by_titles_names_items_that_exist(speaker: Path, palate: Palate) -> None:
    words = ("recommend", speaker, "--user", "u1", "-n", 3, "--form", "titles", "--json")
    found = json.loads(palate(*words).out)
    assert len(found) == 3
    assert all(row["title"] and row["score"] < 0 for row in found)


def test_evaluate_judges_what_is_said(speaker: Path, palate: Palate, tmp_path: Path) -> None:
    done = palate("evaluate", speaker, "--task", "rating", "--json", tmp_path / "rating.json")
    assert done.code == 0, done.err
    assert "user and item bias" in done.out
    figures = json.loads((tmp_path / "rating.json").read_text())["figures"]
    assert set(figures["model"]) == {"rmse", "mae"}


def test_a_damaged_model_is_refused(folder: Path, palate: Palate) -> None:
    copytree(folder / "model", folder / "damaged")
    weights = folder / "damaged" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    done = palate("recommend", folder / "damaged", "--user", "u1")
    assert done.code == 2
    assert "weights.safetensors" in done.err
    assert "hint: " in done.err


def test_an_unknown_option_is_a_usage_error(palate: Palate) -> None:
    assert palate("recipes", "--nonsense").code == 2
    assert palate("cook").code == 2


def test_ctrl_c_says_that_the_work_is_kept(
    folder: Path, palate: Palate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("palate.recommender.recommender.Recommender.train", interrupted)
    done = palate("train", folder / "shop", folder / "stopped", "--recipe", "urm-small")
    assert done.code == 130
    assert "the same command continues" in done.err


def test_demo_runs_from_nothing(tmp_path: Path, palate: Palate) -> None:
    done = palate("demo", "--folder", tmp_path / "demo", "--users", 20)
    assert done.code == 0, done.err
    assert "oracle" in done.out
    assert (tmp_path / "demo" / "report.html").is_file()


@pytest.mark.slow
def test_a_killed_training_goes_on_where_it_was(folder: Path, palate: Palate) -> None:
    more = ("--set", "training.checkpoint_seconds=0.01", "--set", "training.epochs=8")
    words = ["--recipe", "urm-small", *SETS, *more]
    killed = ["train", str(folder / "shop"), str(folder / "killed"), *words]
    command = [sys.executable, "-c", "from palate.cli import main; main()", *killed]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    checkpoint = folder / "killed.training" / "checkpoint.safetensors"
    deadline = time.monotonic() + 120
    while _epoch(checkpoint) < 2 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert process.poll() is None, "it must be in the middle of its work"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert _epoch(checkpoint) >= 2
    assert not (folder / "killed").exists()
    done, whole = palate(*killed), palate("train", folder / "shop", folder / "whole", *words)
    assert done.code == whole.code == 0, done.err + whole.err
    assert "Epoch 1/8" in whole.out
    assert "Epoch 1/8" not in done.out, "that was done before"
    assert _files(folder / "killed") == _files(folder / "whole")
    assert not (folder / "killed.training").exists()
