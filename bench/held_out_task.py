"""Instruction tuning on all families in words but one: does it help to answer that one?

    .venv/bin/python bench/held_out_task.py --model FOLDER --data DATASET [--held-out yes-no]

``FOLDER`` is a causal model of ``transformers``, ``DATASET`` a prepared data set with ratings and
titles. The model is tuned by LoRA, for one epoch, on those of rating, yes or no, one of five and
the next title that are not held out, each asked of the same few users. Before and after, it is
asked the held-out family about the same held-out events: mean probability of a word of the true
answer, and for yes or no also the AUC and the mass of both answers together.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from palate.data.dataset import Dataset
from palate.evaluation.answer_metrics import auc
from palate.inference.prompt_runner import PromptRunner
from palate.inference.texts import Question, TextEngine
from palate.language.held_out import held_out_events, held_out_examples
from palate.language.queries import make_queries
from palate.language.tasks import judged_families
from palate.language.tasks.material import Material
from palate.language.tasks.task import Example, Task
from palate.language.tasks.yes_no import NO, YES
from palate.training.build import build_system
from palate.training.config import TasksConfig
from palate.training.loop import Report, Run, train
from palate.training.recipe import Recipe
from palate.training.system import LanguageModelSystem

console = Console()
SHARES = {"rating": 1, "next_title": 1, "choice": 1, "yes_no": 1}
LIKED = 3.0


@dataclass(frozen=True)
class Answers:
    """How the held-out family is answered."""

    word: float
    """Mean probability of a word of the true answer, in the geometric sense."""
    area: float
    """AUC of *yes*; NaN for another family."""
    mass: float
    """Probability that the answer begins with one of the possible ones."""


def asked(dataset: Dataset, family: str, count: int, seed: int) -> tuple[Task, list[Example]]:
    """Return the held-out family and its questions about test events."""
    settings = TasksConfig(max_history=6, like_above=LIKED)
    task = judged_families()[family].offered(
        Material(dataset, make_queries(dataset.catalog, 1, seed=seed), None, levels(dataset)),
        settings,
    )
    assert task is not None
    events = held_out_events(dataset, "test")
    rng = np.random.default_rng(seed)
    drawn = [events[place] for place in rng.permutation(len(events))[: 4 * count]]
    return task, [example for _, example in held_out_examples(task, drawn, None, rng)][:count]


def levels(dataset: Dataset) -> tuple[float, ...]:
    """Return the rating levels of the data."""
    ratings = dataset.interactions.ratings
    return () if ratings is None else tuple(np.unique(ratings[~np.isnan(ratings)]).tolist())


def answers(system: LanguageModelSystem, task: Task, examples: Sequence[Example]) -> Answers:
    """Ask every wording-independent question once, in the first wording."""
    wording = system.prompts[task.wording_family].seen[0]
    question = Question(wording, list(examples), task.frame)
    engine = TextEngine(PromptRunner(system))
    word = float(np.exp(engine.log_likelihood(question)))
    if task.name != "yes-no":
        return Answers(word, float("nan"), float("nan"))
    labels = np.asarray([example.target_texts[0] == YES for example in examples])
    chances = engine.choose(question, [YES, NO])
    mass = [float(np.exp(first_words(engine, question, each)).mean()) for each in (YES, NO)]
    return Answers(word, auc(chances[:, 0], labels), sum(mass))


def first_words(engine: TextEngine, question: Question, option: str) -> np.ndarray:
    """Return the log-probability of an answer's first word, without what ends the answer."""
    first = engine.runner.system.tokenizer.encode(option)[0]
    found = []
    for example in question.examples:
        batch = engine.batch_builder.batch(question.instruction, [example], question.frame)
        with torch.inference_mode():
            states, _ = engine.runner.system.model(batch, users=False, target_ids=batch.target_ids)
            logits = engine.runner.system.model.word_logits(states.words[:, 0])
        found.append(logits.log_softmax(dim=-1)[:, first].numpy())
    return np.concatenate(found)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--model", type=Path, required=True)
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument(
        "--held-out", default="yes-no", choices=[name.replace("_", "-") for name in SHARES]
    )
    arguments.add_argument("--users", type=int, default=80)
    arguments.add_argument("--events", type=int, default=200)
    arguments.add_argument("--seed", type=int, default=0)
    given = arguments.parse_args()
    dataset = Dataset.load(given.data)
    trained = {
        name: share for name, share in SHARES.items() if name != given.held_out.replace("-", "_")
    }
    backbone = {"path": str(given.model), "tuning": {"kind": "lora", "rank": 8, "alpha": 16}}
    training = {"tokens_per_batch": 1024, "num_users": given.users, "epochs": 1}
    recipe = Recipe.model_validate(
        {
            "title": "instruction tuning",
            "answers": ["text"],
            "items": {"modalities": []},
            "model": {"backbone": backbone, "item_format": ["title"]},
            "tasks": {**trained, "max_history": 6, "candidates": 5, "like_above": LIKED},
            "training": {**training, "learning_rate": 1e-3},
        }
    )
    system, mixtures = build_system(dataset, recipe, seed=given.seed)
    task, examples = asked(dataset, given.held_out, given.events, given.seed)
    untuned = answers(system, task, examples)
    console.print(f"untuned: {untuned}")
    started = time.process_time()

    def report(at: Report) -> None:
        console.print(f"step {at.step}/{at.steps} loss {at.loss:.3f}")

    run = Run(mixtures[-1], recipe.resolved_stages[-1].training, None, "held-out", report=report)
    train(system.model, run)
    spent = time.process_time() - started
    tuned = answers(system, task, examples)
    shown = Table(title=f"{given.held_out}, never trained; {len(examples)} test events")
    for heading in ("", "chance of a true word", "AUC", "mass of yes and no"):
        shown.add_column(heading)
    for name, found in (("untuned", untuned), ("tuned on the others", tuned)):
        shown.add_row(name, f"{found.word:.4f}", f"{found.area:.3f}", f"{found.mass:.3f}")
    console.print(shown)
    console.print(f"held-out task: {tuned.word / untuned.word:.2f} times, {spent:.0f} CPU seconds")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
