"""A pre-trained model reads its prompts as the text that they are.

The loss of the first step, for every family in words, is the loss of the same model on the same
question, asked as plain text through ``transformers`` alone. Random weights serve as well as
trained ones: any difference in what is read changes the loss.
"""

from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from palate import Dataset
from palate.language.batch import Batch
from palate.language.tasks.task import Example, Task
from palate.training.batches import Mixture
from palate.training.build import build_system
from palate.training.recipe import load_recipe
from palate.training.system import LanguageModelSystem
from small_checkpoints import save_checkpoints

transformers = pytest.importorskip("transformers", reason="needs the extra 'hf'")

TEMPLATES = {
    "space": (
        "{% for message in messages %}<s>{{ message['role'] }}: {{ message['content'] }}</s>"
        "{% endfor %}{% if add_generation_prompt %}<s>assistant: {% endif %}"
    ),
    "lines": (
        "{% for message in messages %}<s>{{ message['role'] }}\n{{ message['content'] }}</s>\n"
        "{% endfor %}{% if add_generation_prompt %}<s>assistant\n{% endif %}"
    ),
}
SMALL = (
    'model.item_format=["title"]',
    "model.title_words=60",
    "tasks.max_history=4",
    "tasks.candidates=3",
    "items.text.dim=8",
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Small random models; those of ``TEMPLATES`` have a chat template."""
    found = save_checkpoints(tmp_path_factory.mktemp("first-step"))
    for folder in found.values():
        _make_loud(folder)
    for name, template in TEMPLATES.items():
        found[name] = tmp_path_factory.mktemp(name) / "llama"
        copytree(found["llama"], found[name])
        (found[name] / "chat_template.jinja").write_text(template, encoding="utf-8")
    return found


@pytest.mark.parametrize("kind", ["llama", "qwen2", "space", "lines", "t5"])
def test_the_first_loss_is_that_of_the_plain_prompt(
    folders: dict[str, Path], kind: str, tiny_shop: Dataset
) -> None:
    recipe = load_recipe("palate", [f"model.backbone.path={folders[kind]}", *SMALL])
    system, mixtures = build_system(tiny_shop, recipe, seed=0)
    system.model.train(mode=False)
    plain = _Plain(folders[kind], system, tiny_shop)
    families = []
    for task in mixtures[-1].tasks:
        example = _example(task, mixtures[-1])
        if task.answered_with == "words" and example is not None:
            wording = system.prompts[task.wording_family].seen[0]
            batch = mixtures[-1].batch_builder.batch(wording, [example], task.frame)
            loss, ours, wanted = _last_answer(system, batch)
            message = plain.message(wording, example, task)
            assert _tokens_read(batch) == plain.tokens(message), task.name
            wanted_loss, theirs = plain.loss(message, wanted)
            assert loss == pytest.approx(wanted_loss, rel=0.02), task.name
            # All words are as likely as in the plain prompt, "Yes" and "No" among them.
            torch.testing.assert_close(ours, theirs, atol=5e-4, rtol=0.05)
            families.append(task.name)
    assert {"rating", "yes-no", "choice", "explanation", "summary", "next-title"} <= set(families)


def _make_loud(folder: Path) -> None:
    """Give a model weights as large as after training: small ones hardly hear what they read."""
    weights = load_file(folder / "model.safetensors")
    draw = torch.Generator().manual_seed(0)
    for name, weight in weights.items():
        if weight.ndim > 1 and "embed" not in name and "shared" not in name:
            weights[name] = torch.randn(weight.shape, generator=draw) * 0.4
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def _example(task: Task, mixture: Mixture) -> Example | None:
    rng = np.random.default_rng(1)
    made = (task.example(history, task.slots(rng), rng) for history in mixture.sequences)
    return next((one for one in made if one is not None and one.target_texts), None)


def _tokens_read(batch: Batch) -> list[int]:
    """Return the tokens that the last prediction reads before its answer, in order."""
    prediction = int((batch.prefix_lengths[0] >= 0).sum()) - 1
    row = batch.token_ids[0, : int(batch.prefix_lengths[0, prediction])].tolist()
    of_candidates = torch.zeros(0, dtype=torch.long)
    if batch.candidates is not None:
        of_candidates = batch.candidates.token_ids[0, prediction]
    candidates = of_candidates[of_candidates >= 0].tolist()
    assert batch.cue is not None
    return [*batch.instruction.tolist(), *row, *candidates, *batch.cue.tolist()]


def _last_answer(system: LanguageModelSystem, batch: Batch) -> tuple[float, Tensor, list[int]]:
    """Return the loss of the last prediction, its shares of the first word, and its words."""
    with torch.inference_mode():
        states, _ = system.model(batch, users=False, target_ids=batch.target_ids)
        assert states.words is not None
        assert batch.target_ids is not None
        wanted = batch.target_ids[batch.prefix_lengths >= 0][-1]
        wanted = wanted[wanted >= 0]
        logits = system.model.word_logits(states.words[-1, : len(wanted)])
    loss = float(torch.nn.functional.cross_entropy(logits, wanted))
    return loss, logits[0].softmax(dim=-1), wanted.tolist()


class _Plain:
    """The same model, asked by ``transformers`` alone."""

    def __init__(self, folder: Path, system: LanguageModelSystem, shop: Dataset) -> None:
        self._tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        config = transformers.AutoConfig.from_pretrained(folder)
        self._two = config.is_encoder_decoder
        kind = "AutoModelForSeq2SeqLM" if self._two else "AutoModelForCausalLM"
        self._model = getattr(transformers, kind).from_pretrained(folder).eval()
        self._text, self._titles = system.prompt_text, shop.catalog.titles()
        self._start = getattr(config, "decoder_start_token_id", None)

    def message(self, wording: str, example: Example, task: Task) -> str:
        assert self._text is not None
        return self._text.message(wording, example, task.frame, self._titles)

    def tokens(self, message: str) -> list[int]:
        if self._tokenizer.chat_template:
            whole = self._tokenizer.apply_chat_template(
                [{"role": "user", "content": message}], tokenize=False, add_generation_prompt=True
            )
        else:
            whole = f"<s>{message}\nAnswer:\n"
        tokens: list[int] = self._tokenizer(whole, add_special_tokens=False).input_ids
        return tokens

    def loss(self, message: str, wanted: list[int]) -> tuple[float, Tensor]:
        with torch.inference_mode():
            logits = self._logits(self.tokens(message), wanted)
        loss = float(torch.nn.functional.cross_entropy(logits, torch.tensor(wanted)))
        return loss, logits[0].softmax(dim=-1)

    def _logits(self, tokens: list[int], wanted: list[int]) -> Tensor:
        if self._two:
            answer = torch.tensor([[self._start, *wanted[:-1]]])
            read = self._model(input_ids=torch.tensor([tokens]), decoder_input_ids=answer)
            logits: Tensor = read.logits[0]
            return logits
        read = self._model(torch.tensor([[*tokens, *wanted[:-1]]]))
        last: Tensor = read.logits[0, len(tokens) - 1 :]
        return last
