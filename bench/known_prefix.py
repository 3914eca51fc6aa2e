"""What it saves that the instruction of a prompt is read once: yes or no, one user at a time.

    .venv/bin/python bench/known_prefix.py --model FOLDER --data DATASET [--users 20]

``FOLDER`` is a causal model of ``transformers``, ``DATASET`` a prepared data set with titles. The
same users are asked one after the other, as a service asks them: with what is the same for all of
them read anew for each, and read once. The answers must be equal. Seconds are of the processor, on
one thread, so that other work beside it counts little. The last line is ``known prefix: <times> as
fast``.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from palate.data.dataset import Dataset
from palate.inference.prompt_runner import PromptRunner
from palate.inference.texts import Question, TextEngine
from palate.language.tasks.asking import asking
from palate.language.tasks.yes_no import NO, YES, YesNo
from palate.models.known_instructions import KnownInstructions
from palate.training.build import build_system
from palate.training.recipe import load_recipe
from palate.training.system import LanguageModelSystem

console = Console()


def asked(
    system: LanguageModelSystem, questions: Sequence[Question], *, keeps: bool
) -> tuple[float, np.ndarray]:
    """Return the CPU seconds of all questions, one after the other, and the answers."""
    engine, found = TextEngine(PromptRunner(system)), []
    started = time.process_time()
    for question in questions:
        if not keeps:
            system.model.known_instructions = KnownInstructions()
        found.append(engine.choose(question, [YES, NO]))
    return time.process_time() - started, np.concatenate(found)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--model", type=Path, required=True)
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--users", type=int, default=20)
    arguments.add_argument("--history", type=int, default=5)
    given = arguments.parse_args()
    dataset = Dataset.load(given.data)
    path = f"model.backbone={{path='{given.model}', tuning={{kind='frozen'}}}}"
    recipe = load_recipe("tallrec", [path, f"tasks.max_history={given.history}"])
    system, _ = build_system(dataset, recipe, seed=0)
    system.model.train(mode=False)
    rng = np.random.default_rng(0)
    questions = [
        Question(
            YesNo.wordings.seen[0],
            [asking(history.last(given.history), [given.history], candidates=np.array([[item]]))],
            YesNo(given.history, len(dataset.catalog)).frame,
        )
        for history, item in zip(
            dataset.sequences[: given.users],
            rng.integers(len(dataset.catalog), size=given.users),
            strict=True,
        )
        if len(history) >= given.history
    ]
    batch = TextEngine(PromptRunner(system)).batch_builder.batch(
        questions[0].instruction, questions[0].examples, questions[0].frame
    )
    asked(system, questions[:2], keeps=True)  # warm-up
    (anew, one), (once, two) = (asked(system, questions, keeps=keeps) for keeps in (False, True))
    np.testing.assert_array_equal(one, two)
    words, rest = len(batch.instruction), int(batch.prefix_lengths.max())
    console.print(f"{words} tokens are the same for all, {rest} of a history of {given.history}")
    console.print(f"{len(questions)} users: {anew:.1f} s anew, {once:.1f} s once, answers equal")
    console.print(f"known prefix: {anew / once:.2f} times as fast")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
