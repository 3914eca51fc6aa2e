"""Beside every figure of a prompted model stand its base and chance."""

import json
from math import log2
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from palate import Dataset, Recommender
from palate.cli import app
from palate.errors import ConfigError
from palate.evaluation.protocol import evaluate
from palate.studies.prompted_evaluation import ShuffledHead, beside
from palate.studies.report_entries import report_entry
from palate.training.recipe import load_recipe


def test_the_base_is_the_figure_of_the_undecided(tiny_shop: Dataset) -> None:
    model = Recommender.train(tiny_shop, "zero-shot", llm="identity")
    own = model.evaluate(users=20).masked
    found = beside(model, users=20)
    assert {name: own[name] for name in found.base if name != "auc"} == pytest.approx(
        {name: value for name, value in found.base.items() if name != "auc"}
    )
    assert found.record["counts"]["lists"] == 40  # type: ignore[index]


def test_chance_is_the_mean_of_a_random_order(tiny_shop: Dataset) -> None:
    model = Recommender.train(tiny_shop, "zero-shot", llm="shuffle")
    found = beside(model)
    # Whatever the base finds in its first twenty stands anywhere among them.
    expected = found.base["recall@20"] * np.mean(
        [1 / log2(rank + 1) if rank <= 10 else 0.0 for rank in range(1, 21)]
    )
    assert found.chance["recall@20"] == pytest.approx(found.base["recall@20"])
    assert found.chance["ndcg@10"] == pytest.approx(expected, rel=0.25)


def test_only_the_head_is_shuffled(tiny_shop: Dataset) -> None:
    base = Recommender.train(tiny_shop, "itemknn").by_rows
    histories = tiny_shop.sequences[:3]
    shuffled = ShuffledHead(base, 5, np.random.default_rng(0))
    for plain, drawn in zip(
        base.recommend(histories, 12), shuffled.recommend(histories, 12), strict=True
    ):
        assert sorted(plain.item_rows[:5]) == sorted(drawn.item_rows[:5])
        assert plain.item_rows[5:].tolist() == drawn.item_rows[5:].tolist()


def test_a_trained_model_has_nothing_beside_it(tiny_shop: Dataset) -> None:
    with pytest.raises(ConfigError, match="asks no language model"):
        beside(Recommender.train(tiny_shop, "itemknn"))


def test_the_same_users_are_judged_for_every_model(tiny_shop: Dataset) -> None:
    one, other = (
        evaluate(Recommender.train(tiny_shop, name).by_rows, tiny_shop, users=9)
        for name in ("itemknn", "popularity")
    )
    assert one.users == 9
    assert one.cases == other.cases
    assert one.user_rows.tolist() == other.user_rows.tolist()
    assert evaluate(Recommender.train(tiny_shop, "itemknn").by_rows, tiny_shop).users > 9


def test_the_command_line_trains_and_judges(tiny_shop: Dataset, tmp_path: Path) -> None:
    tiny_shop.save(tmp_path / "shop")
    run = CliRunner()
    train = ["train", str(tmp_path / "shop"), str(tmp_path / "model"), "--recipe", "zero-shot"]
    refused = run.invoke(app, train)
    assert isinstance(refused.exception, ConfigError)
    assert "none was given" in str(refused.exception)
    made = run.invoke(app, [*train, "--llm", "shuffle"])
    assert made.exit_code == 0, made.output
    assert "Training the base, itemknn; the language model is not trained." in made.output
    judged = run.invoke(
        app,
        ["evaluate", str(tmp_path / "model"), "--users", "8", "--json", str(tmp_path / "e.json")],
    )
    assert judged.exit_code == 0, judged.output
    assert "beside its base and chance" in judged.output
    assert "What became of the questions" in judged.output
    told = json.loads((tmp_path / "e.json").read_text())
    assert told["users"] == 8
    assert set(told["prompting"]) == {"base", "chance", "record"}
    assert told["prompting"]["record"]["counts"]["questions read by letters"] == 16


def test_the_command_line_shows_what_would_be_asked(tiny_shop: Dataset, tmp_path: Path) -> None:
    Recommender.train(tiny_shop, "llmrank", llm="shuffle").save(tmp_path / "model")
    shown = CliRunner().invoke(app, ["prompts", str(tmp_path / "model"), "--user", "u3"])
    assert shown.exit_code == 0, shown.output
    assert "For a list of u3 it asks 3 prompts:" in shown.output
    assert "Note that the last choice was" in shown.output
    told = CliRunner().invoke(app, ["prompts", str(tmp_path / "model"), "--user", "u3", "--json"])
    asked = json.loads(told.output)["prompts"]
    assert [each["scored"] for each in asked] == [True] * 3


def test_a_report_names_who_was_asked_with_base_and_chance(tiny_shop: Dataset) -> None:
    recipe = load_recipe("d3", ["prompting.base=itemknn", "prompting.tuning_users=5"])
    entry = report_entry(Recommender.train(tiny_shop, recipe, llm="shuffle"))
    assert entry.facts["Asked"] == "shuffle"
    assert {"Its base, itemknn", "Chance"} <= set(entry.facts)
    assert "ndcg@10 0." in entry.facts["Chance"]
    assert not entry.curve
