"""Each verb on a tiny shop, from raw tables to a report. A mistake is two lines and exit code 2."""

import errno
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from shutil import copytree

import pytest
from safetensors import safe_open

from palate import cli
from palate.artifacts import hash_file
from palate.simulation.world import World

SETTINGS = (
    "items.text.dim=16",
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
    for heading in ("Title", "Price", "Score"):
        assert heading in done.out


@pytest.mark.parametrize("model", ["model", "popular"])
def test_an_item_takes_two_lines_at_most(
    folder: Path, palate: Palate, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = palate("recommend", folder / model, "--user", "u1", "-n", 6)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert all(len(line) <= 80 for line in lines)
    found = json.loads(palate("recommend", folder / model, "--user", "u1", "-n", 6, "--json").out)
    places = [lines.index(next(line for line in lines if row["title"] in line)) for row in found]
    assert [after - before for before, after in pairwise(places)] == [2] * 5
    for place, row in zip(places, found, strict=True):
        assert row["item_id"] in lines[place + 1]
        reason = row["because"][0]["title"] if row["because"] else ""
        assert reason in lines[place + 1]


@pytest.fixture(scope="module")
def two_items(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of a shop in which everybody has had everything; its ids hold commas."""
    at = tmp_path_factory.mktemp("two")
    lines = [f'u{u},"a,{i}",{100 * u + i}\n' for u in range(6) for i in (0, 1, 0, 1)]
    (at / "events.csv").write_text("user_id,item_id,timestamp\n" + "".join(lines))
    _quietly("prepare", at / "events.csv", at / "shop", "--name", "two")
    _quietly("train", at / "shop", at / "model", "--recipe", "popularity")
    return at


def test_who_has_seen_everything_is_told_so(two_items: Path, palate: Palate) -> None:
    done = palate("recommend", two_items / "model", "--user", "u1")
    assert (done.code, done.err) == (0, "")
    assert done.out == "Nothing is left to recommend: u1 has seen all 2 items.\n"
    as_json = palate("recommend", two_items / "model", "--user", "u1", "--json")
    assert json.loads(as_json.out) == []
    assert "Nothing is left" in as_json.err
    out = two_items / "lists.csv"
    many = palate("recommend", two_items / "model", "--all-users", "--out", out)
    assert "Nothing is left to recommend to 6 others." in many.out


def test_a_filter_that_leaves_nothing_is_named(two_items: Path, palate: Palate) -> None:
    asked = ("recommend", two_items / "model", "--user", "u1", "--filter", "in_stock=true")
    cheap = palate(*asked, "--filter", "price<5")
    assert cheap.out == "No item fulfils the filter: in_stock=true and price<5.\n"
    seen = palate(*asked)
    assert seen.out.startswith("Nothing is left to recommend under the filter in_stock=true: all")


@pytest.mark.parametrize(
    "words", [("a,0",), ('"a,0"',), ("a,0", "a,1"), ('"a,0", "a,1"',), ('"a,0"', "a,1")]
)
def test_ids_may_hold_commas(two_items: Path, palate: Palate, words: tuple[str, ...]) -> None:
    items = [part for word in words for part in ("--items", word)]
    done = palate("rank", two_items / "model", "--user", "u1", *items, "--json")
    assert done.code == 0, done.err
    ids = {row["item_id"] for row in json.loads(done.out)}
    assert ids == ({"a,0", "a,1"} if "a,1" in "".join(words) else {"a,0"})
    history = [part for word in words for part in ("--history", word)]
    new = palate("recommend", two_items / "model", *history, "--json")
    assert {row["item_id"] for row in json.loads(new.out)} == {"a,0", "a,1"} - ids


def test_a_list_with_commas_is_still_a_list(folder: Path, palate: Palate) -> None:
    words = ("rank", folder / "popular", "--user", "u1", "--json")
    one = palate(*words, "--items", f"{ITEM}, {OTHERS[0]}", "--items", OTHERS[1])
    assert {row["item_id"] for row in json.loads(one.out)} == {ITEM, *OTHERS}


def test_lists_of_many_users_are_written(folder: Path, palate: Palate, tmp_path: Path) -> None:
    out = tmp_path / "new" / "lists.csv"
    done = palate("recommend", folder / "model", "--all-users", "-n", 2, "--out", out)
    assert done.code == 0, done.err
    assert "60 users written" in done.out
    lines = out.read_text().splitlines()
    assert lines[0] == "user_id,rank,item_id,title,score"
    assert len(lines) == 1 + 2 * 60
    alone = json.loads(palate("recommend", folder / "model", "--user", "u1", "--json").out)
    assert f"u1,1,{alone[0]['item_id']},{alone[0]['title']}," in out.read_text()
    (tmp_path / "users.txt").write_text("u3\nu1\n")
    words = ("recommend", folder / "model", "--users", tmp_path / "users.txt")
    done = palate(*words, "--prompt", "find items for this query", "--out", out)
    assert done.code == 0, done.err
    assert [line.split(",")[0] for line in out.read_text().splitlines()[1::10]] == ["u3", "u1"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--all-users",), "nowhere to write"),
        (("--out", "lists.csv"), "for many users"),
        (("--all-users", "--user", "u1", "--out", "lists.csv"), "for many users"),
        (("--all-users", "--json", "--out", "lists.csv"), "for many users"),
        (("--all-users", "--users", "u.txt", "--out", "lists.csv"), "for many users"),
        (("--all-users", "--out", "lists.xls"), "what kind of file"),
        (("--all-users", "--out", "shop"), "is a folder"),
        (("--users", "none.txt", "--out", "lists.csv"), "none.txt"),
    ],
)
def test_what_cannot_be_written_for_many_is_refused_first(
    folder: Path,
    palate: Palate,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr("palate.recommender.recommender.Recommender.load", _too_late)
    done = palate("recommend", "popular", *words)
    assert (done.code, said in done.err) == (2, True), done.err
    assert not (folder / "lists.csv").exists()


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


def test_recipes_are_listed(palate: Palate, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = json.loads(palate("recipes", "--json").out)
    assert {"urm", "urm-small", "popularity", "itemknn", "ease"} <= set(listed)
    monkeypatch.setenv("COLUMNS", "80")
    lines = palate("recipes").out.splitlines()
    assert all(len(line) <= 80 for line in lines)
    named = [line.split()[0] for line in lines if line.startswith("  ")]
    assert sorted(named) == sorted(listed), "every name whole, a line each"
    assert lines.index("Baselines") < named.index("als") + 2


def test_a_recipe_is_shown_whole(palate: Palate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    told = palate("recipes", "urm").out
    for words in ("Jiang et al. 2025", "0.1096", "epochs", "training.epochs = 16\n", "itemknn"):
        assert words in told
    assert (
        json.loads(palate("recipes", "urm", "--json").out)["settings"]["training"]["epochs"] == 16
    )
    assert "seconds to minutes" in palate("recipes", "popularity").out
    unknown = palate("recipes", "umr")
    assert unknown.code == 2
    assert "umr" in unknown.err


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
        (("evaluate", "popular", "--json", "popular/recipe.json/a.json"), "a.json"),
        (("recommend", "model", "--user", "nobody"), "nobody"),
        (("recommend", "model", "--user", "u1", "--candidates", "nothing"), "nothing"),
        (("recommend", "model"), "needs somebody"),
        (("recommend", "popular", "--user", "u1", "--prompt", "x"), "reads no words"),
        (("recommend", "model", "--user", "u1", "--filter", "colour=red"), "price<20"),
        (("recommend", "model", "--user", "u1", "--filter", "brand=Nobody"), "There are: "),
        (("recommend", "model", "--user", "u1", "--filter", "price<cheap"), "price<20"),
        (("recommend", "model", "--user", "u1", "--exclude", "nothing"), "nothing"),
        (("recommend", "model", "--user", "u1", "--task", "objective"), "purchase"),
        (("recommend", "model", "--user", "u1", "--task", "direct", "--prompt", "x"), "one of"),
        (("rate", "popular", "--user", "u1", "--item", ITEM), "gives no text answers"),
        (("rate", "model", "--user", "u1", "--item", ITEM), "gives no text answers"),
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
        (("evaluate", "popular", "--task", "rating"), "gives no text answers"),
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


def _too_late(*_: object, **__: object) -> None:
    pytest.fail("the work was begun")


TARGETS = {
    "prepare": ("prepare", "source"),
    "join": ("join", "shop", "shop", "--out"),
    "train": ("train", "shop", "--recipe", "popularity"),
    "index": ("index", "shop", "--kind", "random", "--out"),
    "tune-text": ("tune-text", "shop"),
    "evaluate": ("evaluate", "popular", "--json"),
    "report": ("report", "popular", "--out"),
    "sensitivity": ("sensitivity", "model", "--plot"),
    "recommend": ("recommend", "popular", "--all-users", "--out"),
    "demo": ("demo", "--users", 20, "--folder"),
}
"""Each verb that writes, up to the place it writes to."""


def _to(verb: str, target: object) -> tuple[object, ...]:
    words = TARGETS[verb]
    return (*words[:2], target, *words[2:]) if verb == "train" else (*words, target)


@pytest.mark.parametrize("verb", TARGETS)
@pytest.mark.parametrize("target", ["letters", "letters/dear.txt", "letters/dear.txt/x.csv"])
def test_every_verb_refuses_what_it_cannot_write_before_it_works(
    folder: Path, palate: Palate, monkeypatch: pytest.MonkeyPatch, verb: str, target: str
) -> None:
    if target == "letters" and verb == "demo":
        pytest.skip("a folder with other things in it is where a demo may be put")
    if target == "letters/dear.txt" and verb in ("evaluate", "report", "sensitivity", "recommend"):
        pytest.skip("a file may be written anew")
    monkeypatch.chdir(folder)
    Path("letters").mkdir(exist_ok=True)
    Path("letters/dear.txt").write_text("dear")
    for work in (
        "palate.recommender.recommender.Recommender.load",
        "palate.recommender.recommender.Recommender.train",
        "palate.data.dataset.Dataset.load",
        "palate.data.prepare.prepare",
        "palate.simulation.world.World.dataset",
    ):
        monkeypatch.setattr(work, _too_late)
    before = sorted(folder.rglob("*"))
    done = palate(*_to(verb, target))
    assert done.code == 2
    assert done.err.startswith("error: 'letters")
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("verb", TARGETS)
def test_a_full_disk_is_one_error_and_no_litter_in_every_verb(
    folder: Path, palate: Palate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, verb: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.chdir(folder)
    if verb == "join":
        copytree("shop", tmp_path / "other", dirs_exist_ok=True)
        manifest = tmp_path / "other" / "manifest.json"
        manifest.write_text(manifest.read_text().replace('"tiny"', '"other"'))
    monkeypatch.setattr("palate.storage.os.replace", full)
    words = [str(word) for word in _to(verb, tmp_path / "made" / "it.csv")]
    if verb == "join":
        words[2] = str(tmp_path / "other")
    done = palate(*words)
    assert done.code == 2
    *_, error, hint = done.err.strip().splitlines()
    assert error.startswith("error: ")
    assert "made/it.csv" in error
    assert "No space left on device" in error
    assert hint.startswith("hint: Free some space")
    left = {path.name for path in tmp_path.iterdir()}
    assert left <= {"other"}


def test_a_full_disk_in_training_keeps_the_last_checkpoint_or_nothing(
    folder: Path, palate: Palate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ours, left = os.replace, [2]

    def fuller(source: Path, target: Path) -> None:
        left[0] -= "checkpoint" in str(target)
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        ours(source, target)

    monkeypatch.setattr("palate.storage.os.replace", fuller)
    words = ("train", folder / "shop", tmp_path / "model", "--recipe", "urm-small", *SETS)
    more = ("--set", "training.checkpoint_seconds=1e-9")
    done = palate(*words, *more)
    assert done.code == 2
    assert "checkpoint.safetensors' cannot be written: No space left" in done.err
    assert "the same command continues" in done.err
    assert {path.name for path in tmp_path.iterdir()} == {"model.training"}
    left[0] = 0
    done = palate("train", *(folder / "shop", tmp_path / "other"), *words[3:])
    assert (done.code, "continues" in done.err) == (2, False)
    assert {path.name for path in tmp_path.iterdir()} == {"model.training"}


@pytest.mark.parametrize("target", ["link", ".", "new/deep/model/", "shop [1]*?"])
def test_a_model_may_be_written_to_any_folder(
    folder: Path, palate: Palate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, target: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("here").mkdir()
    Path("link").symlink_to("there")
    if target == ".":
        monkeypatch.chdir("here")
    for recipe in ("itemknn", "popularity"):
        done = palate("train", folder / "source", target, "--recipe", recipe)
        assert done.code == 0, done.err
        assert shlex.split(done.out)[-1] == str(Path(target)), "what is next can be pasted"
    assert palate("recommend", target, "--user", "u1").code == 0
    litter = [path for path in tmp_path.rglob(".*") if path.name != ".dataset"]
    assert not litter, litter


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("train", "popular", "made"), "popular/dataset"),
        (("evaluate", "shop"), "palate train shop MODEL"),
        (("evaluate", "source/items.parquet"), "it is a file"),
        (("prepare", "shop", "made"), "palate train shop MODEL"),
        (("prepare", "popular", "made"), "holds a model"),
        (("compare", "popular", "popular/"), "given twice"),
        (("report", "popular", "nowhere"), "no such folder"),
    ],
)
def test_a_wrong_path_says_which_is_right(
    folder: Path, palate: Palate, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(folder)
    done = palate(*words)
    assert done.code == 2
    assert said in done.err


def test_two_models_of_one_recipe_are_told_apart(
    folder: Path, palate: Palate, tmp_path: Path
) -> None:
    for name in ("a/model", "b/model"):
        copytree(folder / "popular", tmp_path / name)
    done = palate("compare", tmp_path / "a/model", tmp_path / "b/model", folder / "model")
    assert done.code == 0, done.err
    assert "popularity (a/model)" in done.out
    assert "popularity (b/model)" in done.out
    assert "urm-small (" not in done.out
    page = tmp_path / "page.html"
    palate("report", tmp_path / "a/model", folder / "popular", "--out", page)
    assert "popularity (model)" in page.read_text()
    assert "popularity (popular)" in page.read_text()


def test_a_model_of_a_later_version_asks_for_an_upgrade(
    folder: Path, palate: Palate, tmp_path: Path
) -> None:
    copytree(folder / "popular", tmp_path / "later")
    path = tmp_path / "later" / "manifest.json"
    manifest = json.loads(path.read_text())
    for changes in ({"privacy": {}}, {"format": 99}):
        path.write_text(json.dumps(manifest | changes))
        done = palate("evaluate", tmp_path / "later")
        assert (done.code, "Upgrade Palate" in done.err) == (2, True)
    recipe = tmp_path / "later" / "recipe.json"
    recipe.write_text(json.dumps(json.loads(recipe.read_text()) | {"ethics": 1}))
    hashes = manifest["files"] | {"recipe.json": hash_file(recipe)}
    versions = manifest["versions"] | {"palate": "99.0"}
    path.write_text(json.dumps(manifest | {"files": hashes, "versions": versions}))
    done = palate("evaluate", tmp_path / "later")
    assert (done.code, "Upgrade Palate" in done.err) == (2, True)
    assert "made by Palate 99.0" in done.err


@pytest.mark.parametrize("nasty", ["\x1b]0;taken\x07", "\x9b31m", "\u202e"])
def test_what_steers_a_terminal_is_shown_as_signs(
    palate: Palate, tmp_path: Path, nasty: str
) -> None:
    lines = [f"u{u}{nasty},i{i}{nasty},{9 * u + i},x\n" for u in range(4) for i in range(u, u + 3)]
    source = tmp_path / "events.csv"
    source.write_text(f"user_id,item_id,timestamp,{nasty}extra\n" + "".join(lines))
    said = []
    for words in (
        ("prepare", source, tmp_path / "shop", "--name", f"shop {nasty}"),
        ("train", tmp_path / "shop", tmp_path / "model", "--recipe", "popularity"),
        ("recommend", tmp_path / "model", "--user", f"u0{nasty}"),
        ("recommend", tmp_path / "model", "--user", f"u0{nasty}", "--json"),
        ("recommend", tmp_path / "model", "--user", nasty),
        ("search", tmp_path / "model", nasty),
        ("evaluate", tmp_path / "model"),
        ("compare", tmp_path / "model", tmp_path / nasty),
        ("prepare", tmp_path / nasty, tmp_path / "made"),
        ("prepare", source, tmp_path / "made", "--column", f"user_id={nasty}"),
    ):
        done = palate(*words)
        said.append(done.out + done.err)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", "".join(said))
    if re.search(r"[\x00-\x1f]", nasty):
        assert "control character" in said[0], "no id holds one"
    else:
        assert "i3" in said[2], "what the user has seen is left out"


@pytest.mark.parametrize("words", [("recipes",), ("recipes", "--json"), ("--help",)])
def test_a_pipe_that_is_closed_is_no_accident(words: tuple[str, ...]) -> None:
    command = [sys.executable, "-c", "from palate.cli import main; main()", *words]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode in (0, 1)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_an_output_that_is_full_is_one_error() -> None:
    program = "from palate.cli import main; main()"
    command = [sys.executable, "-c", program, "recipes", "urm-small"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert done.stderr == "error: The output cannot be written: No space left on device.\n"


def test_a_terminal_without_the_letters_is_no_accident(folder: Path) -> None:
    command = [sys.executable, "-c", "from palate.cli import main; main()"]
    command += ["recommend", str(folder / "popular"), "--user", "u1"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "COLUMNS": "30"}
    done = subprocess.run(command, capture_output=True, env=environment)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.isascii()


def test_rate_gives_a_number_and_a_chance_of_each_level(speaker: Path, palate: Palate) -> None:
    found = json.loads(palate("rate", speaker, "--user", "u1", "--item", ITEM, "--json").out)
    assert found["item_id"] == ITEM
    assert 1 <= found["rating"] <= 5
    assert sum(found["chances"].values()) == pytest.approx(1, abs=1e-3)
    done = palate("rate", speaker, "--history", ",".join(OTHERS), "--item", ITEM)
    assert done.code == 0, done.err
    assert "most likely" in done.out


def test_explain_says_sentences_and_what_they_are_made_of(
    folder: Path, speaker: Path, palate: Palate
) -> None:
    for model in (speaker, folder / "popular"):
        words = ("explain", model, "--user", "u1", "--item", ITEM, "--aspect", "colour")
        found = json.loads(palate(*words, "--json").out)
        told = {"explanation", "written", "invented", "mended", "quoted", "statements", "refused"}
        assert set(found) == {"item_id", "title", *told}
        assert palate(*words).out.strip() == found["explanation"] != ""
        assert found["statements"][0]["kind"] in {"praised", "unspoken"}
        assert not found["mended"]


def test_a_language_model_that_is_not_there_is_told_before_work(
    folder: Path, palate: Palate, tmp_path: Path
) -> None:
    words = ("explain", folder / "popular", "--user", "u1", "--item", ITEM)
    done = palate(*words, "--llm", tmp_path / "nothing")
    assert done.code == 2
    assert "neither the URL" in done.err


def test_explanations_in_print_are_judged_for_any_model(folder: Path, palate: Palate) -> None:
    done = palate("evaluate", folder / "popular", "--task", "explanation", "--protocol", "printed")
    assert done.code == 0, done.err
    assert "statement_precision" in done.out
    done = palate("evaluate", folder / "popular", "--protocol", "printed")
    assert done.code == 2
    assert "--task explanation" in done.err


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
    assert "requested" in done.out
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
    def interrupted(*_: object, folder: Path, **__: object) -> None:
        folder.mkdir()
        (folder / "checkpoint.safetensors").write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr("palate.recommender.recommender.Recommender.train", interrupted)
    done = palate("train", folder / "shop", folder / "stopped", "--recipe", "urm-small")
    assert done.code == 130
    assert "the same command continues" in done.err
    assert (folder / "stopped.training").is_dir()


@pytest.mark.parametrize("verb", ["train", "evaluate", "recommend"])
def test_ctrl_c_is_one_line_in_every_verb(
    folder: Path, palate: Palate, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    for name in ("train", "evaluate"):
        monkeypatch.setattr(f"palate.recommender.recommender.Recommender.{name}", interrupted)
    monkeypatch.setattr("palate.inference.engine.Engine.answer", interrupted)
    done = palate(
        *{
            "train": ("train", folder / "shop", folder / "halted", "--recipe", "urm-small"),
            "evaluate": ("evaluate", folder / "popular"),
            "recommend": ("recommend", folder / "popular", "--user", "u1"),
        }[verb]
    )
    assert (done.code, done.err.strip()) == (130, "Stopped.")


def test_demo_runs_from_nothing(tmp_path: Path, palate: Palate) -> None:
    done = palate("demo", "--folder", tmp_path / "demo", "--users", 20)
    assert done.code == 0, done.err
    assert "oracle" in done.out
    assert (tmp_path / "demo" / "report.html").is_file()


@pytest.mark.slow
def test_a_killed_training_goes_on_where_it_was(folder: Path, palate: Palate) -> None:
    more = ("--set", "training.checkpoint_seconds=1e-91", "--set", "training.epochs=8")
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


def test_a_text_encoder_is_tuned_and_read(folder: Path, palate: Palate, tmp_path: Path) -> None:
    words = tmp_path / "words"
    settings = ("--set", "epochs=2", "--set", "batch_size=64", "--loss", "triplet")
    tuned = palate("tune-text", folder / "shop", words, *settings)
    assert tuned.code == 0, tuned.err
    assert "NDCG@10 of what is nearest, valid: 0." in tuned.out
    assert f"items.text.path={words}" in tuned.out
    assert not words.with_name("words.training").exists()
    text = ("--set", "items.text.kind=static", "--set", f"items.text.path={words}")
    sets = [word for word in SETS if word != "items.text.dim=16"][1:]
    trained = palate("train", folder / "shop", tmp_path / "model", *text, *sets)
    assert trained.code == 0, trained.err
    mistaken = palate("tune-text", folder / "shop", words, "--set", "epoch=2")
    assert mistaken.code == 2
    assert "epoch" in mistaken.err
