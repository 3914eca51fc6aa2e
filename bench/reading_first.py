"""What reading the catalogue and its reviews first is worth to each task in words.

    .venv/bin/python bench/reading_first.py --data DATASET [--users 300] [--model FOLDER]

The recipe ``reading-first`` is trained three times for each seed, on the same users: without the
reading, with it, and without it for as many more epochs of the tasks as cost the same time. Each
model is asked the same held-out questions of every family: mean probability of a word of the true
answer. ``FOLDER`` is a pre-trained model; by default the compact one learns.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from palate.data.dataset import Dataset
from palate.inference.prompt_runner import PromptRunner
from palate.inference.texts import Question, TextEngine
from palate.language.held_out import held_out_events, held_out_examples
from palate.language.text.reviews import read_held_out, read_reviews
from palate.training.batches import Mixture
from palate.training.build import build_system
from palate.training.loop import Run, train
from palate.training.recipe import load_recipe
from palate.training.system import LanguageModelSystem

console = Console()
EVENTS = 400


def chances(system: LanguageModelSystem, mixture: Mixture, dataset: Dataset) -> dict[str, float]:
    """Return the mean probability of a word of the true answer, by family, on test events."""
    rng, known = np.random.default_rng(0), read_reviews(dataset)
    reviews = None if known is None else read_held_out(dataset, "test", known)
    events = held_out_events(dataset, "test")
    drawn = [events[place] for place in rng.permutation(len(events))[:EVENTS]]
    engine, found = TextEngine(PromptRunner(system)), {}
    for task in mixture.tasks:
        examples = [one for _, one in held_out_examples(task, drawn, reviews, rng)]
        if examples:
            wording = system.prompts[task.wording_family].seen[0]
            question = Question(wording, examples, task.frame)
            found[task.name] = float(np.exp(engine.log_likelihood(question)))
    return found


def learned(
    dataset: Dataset, arguments: argparse.Namespace, seed: int, reading: int, asking: int
) -> tuple[dict[str, float], float]:
    """Train for so many epochs of both stages; return the chances and the CPU seconds."""
    more = [] if arguments.model is None else [f"model.backbone.path={arguments.model}"]
    recipe = load_recipe(
        "reading-first",
        [
            *more,
            f"training.num_users={arguments.users}",
            f"stages.reading.training.epochs={max(reading, 1)}",
            f"stages.asking.training.epochs={asking}",
        ],
    )
    system, mixtures = build_system(dataset, recipe, seed=seed)
    started = time.process_time()
    for stage, mixture in zip(recipe.resolved_stages, mixtures, strict=True):
        if stage.name == "asking" or reading:
            train(system.model, Run(mixture, stage.training, None, stage.name))
    spent = time.process_time() - started
    return chances(system, mixtures[-1], dataset), spent


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--data", type=Path, required=True)
    given.add_argument("--model", type=Path)
    given.add_argument("--users", type=int, default=300)
    given.add_argument("--seeds", type=int, default=2)
    given.add_argument("--reading", type=int, default=3)
    given.add_argument("--asking", type=int, default=6)
    given.add_argument("--longer", type=int, default=9, help="epochs that cost as much as both")
    arguments = given.parse_args()
    dataset = Dataset.load(arguments.data)
    arms = {
        "tasks alone": (0, arguments.asking),
        "reading first": (arguments.reading, arguments.asking),
        "tasks, longer": (0, arguments.longer),
    }
    table = Table(title=f"{arguments.data.name}, {arguments.users} users, {arguments.seeds} seeds")
    for number, (name, (reading, asking)) in enumerate(arms.items()):
        runs = [learned(dataset, arguments, s, reading, asking) for s in range(arguments.seeds)]
        families = list(runs[0][0])
        if not number:
            for heading in ("", *families, "CPU s"):
                table.add_column(heading)
        cells = [" ".join(f"{found[family]:.4f}" for found, _ in runs) for family in families]
        table.add_row(name, *cells, f"{np.mean([spent for _, spent in runs]):.0f}")
        console.print(name, dict(zip(families, cells, strict=True)))
    console.print(table)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
