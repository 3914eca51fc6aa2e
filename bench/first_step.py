"""The first loss of a pre-trained model in our prompts, beside the same question in plain text.

    .venv/bin/python bench/first_step.py --model FOLDER [--prompts 5]

``FOLDER`` is a causal model of ``transformers`` with its tokenizer. For every family in words of
the recipe ``palate`` on the simulated shop: loss per token of the true answer in the lean stream,
in prompts in text, and as plain text through ``transformers`` alone; for yes or no also the mass of
both answers together. The last line is ``first step: <largest ratio of text to plain>``.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

from palate import World
from palate.data.dataset import Dataset
from palate.language.prompt_text import PromptText
from palate.language.tasks.task import Example, Task
from palate.language.tasks.yes_no import NO, YES, YesNo
from palate.training.batches import Mixture
from palate.training.build import build_system
from palate.training.recipe import load_recipe
from palate.training.system import LanguageModelSystem

console = Console()


@dataclass(frozen=True)
class Built:
    """One model with its prompts written in one way."""

    system: LanguageModelSystem
    mixture: Mixture

    @classmethod
    def of(cls, folder: Path, shop: Dataset, prompts: str) -> "Built":
        """Build the recipe ``palate`` over the model in ``folder``."""
        overrides = [
            f"model.backbone.path={folder}",
            f"model.prompts={prompts}",
            'model.item_format=["title"]',
            "model.title_words=40",
            "tasks.max_history=6",
        ]
        system, mixtures = build_system(shop, load_recipe("palate", overrides), seed=0)
        system.model.train(mode=False)
        return cls(system, mixtures[-1])

    def read(self, task: Task, example: Example) -> tuple[Tensor, list[int]]:
        """Return the logits of the last answer of an example, and its tokens."""
        wording = self.system.prompts[task.wording_family].seen[0]
        batch = self.mixture.batch_builder.batch(wording, [example], task.frame)
        assert batch.target_ids is not None
        with torch.inference_mode():
            states, _ = self.system.model(batch, users=False, target_ids=batch.target_ids)
            wanted = batch.target_ids[batch.prefix_lengths >= 0][-1]
            wanted = wanted[wanted >= 0]
            logits = self.system.model.word_logits(states.words[-1, : len(wanted)])
        return logits, wanted.tolist()


class Plain:
    """The same model through ``transformers`` alone."""

    def __init__(self, folder: Path) -> None:
        """Open a folder."""
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForCausalLM.from_pretrained(folder).eval()

    def read(self, message: str, wanted: list[int]) -> Tensor:
        """Return the logits of an answer to a message."""
        whole = f"{message}\nAnswer:\n"
        if self.tokenizer.chat_template:
            whole = self.tokenizer.apply_chat_template(
                [{"role": "user", "content": message}], tokenize=False, add_generation_prompt=True
            )
        tokens = self.tokenizer(whole, add_special_tokens=False).input_ids
        with torch.inference_mode():
            logits = self.model(torch.tensor([[*tokens, *wanted[:-1]]])).logits[0]
        answered: Tensor = logits[len(tokens) - 1 :]
        return answered


def loss(logits: Tensor, wanted: list[int]) -> float:
    """Return the loss per token of an answer."""
    return float(torch.nn.functional.cross_entropy(logits, torch.tensor(wanted)))


def examples_of(task: Task, mixture: Mixture, count: int) -> Iterator[Example]:
    """Yield the first ``count`` examples that users have."""
    rng = np.random.default_rng(0)
    for history in mixture.sequences:
        example = task.example(history, task.slots(rng), rng)
        if example is not None and example.target_texts:
            yield example
            count -= 1
        if not count:
            return


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--model", type=Path, required=True)
    words.add_argument("--prompts", type=int, default=5, help="of each family")
    chosen = words.parse_args()
    shop = World(num_users=120, num_items=80, seed=0).dataset()
    stream, text = (Built.of(chosen.model, shop, how) for how in ("stream", "text"))
    writer, plain = text.system.prompt_text, Plain(chosen.model)
    assert isinstance(writer, PromptText)
    table = Table("family", "stream", "text", "plain", title="Loss per token at the first step")
    yes_no = [text.system.tokenizer.encode(answer)[0] for answer in (YES, NO)]
    worst, masses = 0.0, list[list[float]]()
    for task in text.mixture.tasks:
        if task.answered_with != "words":
            continue
        wording = text.system.prompts[task.wording_family].seen[0]
        losses = []
        for example in examples_of(task, text.mixture, chosen.prompts):
            ours, wanted = text.read(task, example)
            message = writer.message(wording, example, task.frame, shop.catalog.titles())
            three = [stream.read(task, example)[0], ours, plain.read(message, wanted)]
            losses.append([loss(logits, wanted) for logits in three])
            if isinstance(task, YesNo):
                masses.append([float(logits[0].softmax(-1)[yes_no].sum()) for logits in three])
        if losses:
            means = np.mean(losses, axis=0)
            worst = max(worst, means[1] / means[2])
            table.add_row(task.name, *(f"{mean:.3f}" for mean in means))
    if masses:
        table.add_row("mass of yes and no", *(f"{mean:.2%}" for mean in np.mean(masses, axis=0)))
    console.print(table)
    print(f"first step: {worst:.3f}")


if __name__ == "__main__":
    main()
