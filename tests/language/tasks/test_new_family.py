"""A family of prompts is one class and one entry in ``FAMILIES``: all else follows.

The family below stands in this file alone, and is entered once, by the fixture.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from palate import Dataset, Recommender
from palate.cli import app
from palate.errors import ConfigError
from palate.evaluation.task_result import task_tables
from palate.inference.capabilities import recipes_that_answer
from palate.language import tasks
from palate.language.prompts import load_prompts
from palate.language.tasks.asking import asking, most_common, random_window, some
from palate.language.tasks.material import Material
from palate.language.tasks.task import Example, HeldOut, Slots, Task, TaskSettings, Wordings
from palate.language.text.reviews import Reviews
from palate.studies.shown_prompts import show_families, with_example_prompts
from palate.studies.task_evaluation import evaluate_task
from palate.training.recipe import load_recipe
from palate.types import History


@dataclass(frozen=True)
class NextBrand(Task):
    """The brand of the next item."""

    name = "next-brand"
    description = "The brand of the next item."
    answered_with = "words"
    wordings = Wordings(("which brand comes next", "name the next brand"), ("what brand follows",))
    to_do = "name brands"
    shown_by = "brands"
    judged_by = "text"
    title = "names brands"

    max_history: int
    brands: Sequence[str]

    @classmethod
    def offered(cls, material: Material, settings: TaskSettings) -> "NextBrand | None":
        """Needs brands."""
        brands = material.facts.brands
        return cls(settings.max_history, brands) if any(brands) else None

    def ask(self, history: History) -> Example:
        """Ask for the brand of what comes next."""
        seen = history.last(self.max_history)
        return asking(seen, [len(seen)])

    def example(self, history: History, slots: Slots, rng: np.random.Generator) -> Example | None:
        """One event of a window is asked for."""
        window = random_window(history, self.max_history, rng)
        branded = [place for place, row in enumerate(window.item_rows) if self.brands[row]]
        places = some(branded, 1, rng)
        if len(places) == 0:
            return None
        prompt = self.ask(window.take(slice(0, int(places[0]))))
        return replace(prompt, target_texts=[self.brands[window.item_rows[places[0]]]])

    def held_out(
        self, event: HeldOut, reviews: Reviews | None, rng: np.random.Generator
    ) -> Example | None:
        """Ask for the brand of the event."""
        brand = self.brands[event.item_row]
        return replace(self.ask(event.before), target_texts=[brand]) if brand else None

    def plain_answers(
        self, material: Material, events: Sequence[HeldOut], examples: Sequence[Example]
    ) -> Mapping[str, Sequence[str]]:
        """The commonest brand of the catalogue."""
        return {"most common": [most_common(filter(None, self.brands))] * len(examples)}

    def judged_parts(self, text: str) -> Mapping[str, str]:
        """All of it."""
        return {"exact": text}


@pytest.fixture(scope="module")
def entered() -> Iterator[type[NextBrand]]:
    """The family, entered in the one list."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasks, "FAMILIES", (*tasks.FAMILIES, NextBrand))
        yield NextBrand


@pytest.fixture(scope="module")
def brander(entered: type[NextBrand], tiny_shop: Dataset) -> Recommender:
    """A model trained on it."""
    small = ("model.decoder.width=16", "model.decoder.layers=1", "training.epochs=1")
    small = (*small, 'answers=["set", "text"]')
    recipe = load_recipe("sasrec", (*small, "tasks.next_brand=2", "tasks.max_history=8"))
    assert recipe.tasks.share(entered) == 2
    assert recipe.generates_text
    return Recommender.train(tiny_shop, recipe, seed=1)


def test_the_family_is_trained(brander: Recommender) -> None:
    assert brander.tasks == ("next-item", "next-brand")


def test_the_family_is_evaluated(brander: Recommender) -> None:
    result = evaluate_task(brander, "next-brand", most=10)
    assert result.num_answers > 0
    assert {"model", "most common"} == set(result.figures)
    assert {"rouge_1", "exact"} <= set(result.figures["model"])
    assert "tiny names brands" in str(task_tables("tiny", result)[0].title)


def test_the_family_can_be_requested(brander: Recommender, tiny_shop: Dataset) -> None:
    task = brander.answers.task(NextBrand)
    said = brander.answers.generate(task, [task.ask(tiny_shop.sequences[0])])
    assert len(said) == 1


def test_the_family_can_be_requested_and_evaluated_with_a_saved_model(
    brander: Recommender, tmp_path: Path
) -> None:
    brander.save(tmp_path / "model")
    figures = tmp_path / "figures.json"
    command = ["evaluate", str(tmp_path / "model"), "--task", "next-brand", "--json", str(figures)]
    outcome = CliRunner().invoke(app, command)
    assert outcome.exit_code == 0, outcome.output
    assert json.loads(figures.read_text())["family"] == "next-brand"


def test_the_prompts_of_the_family_are_shown_and_can_be_changed(
    entered: type[NextBrand], tiny_shop: Dataset, tmp_path: Path
) -> None:
    own = tmp_path / "own.toml"
    own.write_text('[next-brand]\nadd = ["brand please"]\n')
    prompts = load_prompts(own)
    assert prompts["next-brand"].seen == (*entered.wordings.seen, "brand please")
    (shown,) = with_example_prompts(show_families(prompts, "next-brand"), tiny_shop)
    assert shown.description == entered.description
    assert shown.rendered.startswith("which brand comes next")


def test_the_service_reports_that_no_recipe_has_the_family(entered: type[NextBrand]) -> None:
    assert recipes_that_answer("next-brand") == []
    assert recipes_that_answer("rating")


@pytest.mark.usefixtures("entered")
def test_the_error_about_a_misspelt_name_has_the_right_one() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'next_brand'"):
        load_recipe("sasrec", ["tasks.nxt_brand=1"])
