"""A model and its tokenizer, read from a folder, and the text of a prompt in its own template."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch

from palate.artifacts import hash_file
from palate.errors import ConfigError, MissingExtraError
from palate.llm.folder.gguf_files import check_converted
from palate.llm.request import Message

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_CONTENT = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt")
_SPEAKERS = {"system": "System", "user": "User", "assistant": "Assistant"}


@dataclass(frozen=True, eq=False)
class Weights:
    """A causal language model in evaluation mode."""

    folder: Path
    tokenizer: "PreTrainedTokenizerBase"
    model: "PreTrainedModel"

    @classmethod
    def open(cls, folder: Path | str, *, dtype: torch.dtype = torch.float32) -> "Weights":
        """Read a model; nothing is fetched.

        Raises:
            MissingExtraError: when ``transformers`` is not installed.
            ConfigError: when there is no causal model that ``transformers`` can read.
        """
        if find_spec("transformers") is None:
            raise MissingExtraError("transformers", "hf")
        from safetensors import SafetensorError
        from transformers import AutoModelForCausalLM, AutoTokenizer

        folder = Path(folder)
        check_converted(folder)
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            model = AutoModelForCausalLM.from_pretrained(
                folder, local_files_only=True, dtype=dtype, use_safetensors=True
            )
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            first_line = str(error).strip().split("\n")[0]
            raise ConfigError(
                f"The language model in {str(folder)!r} cannot be opened: {first_line}",
                hint="Give a folder with config.json, safetensors and a tokenizer.",
            ) from error
        return cls(folder, tokenizer, model.train(mode=False))

    @cached_property
    def fingerprint(self) -> str:
        """A hash of every file that can change an answer."""
        files = sorted({file for pattern in _CONTENT for file in self.folder.glob(pattern)})
        lines = "\n".join(f"{file.name} {hash_file(file)}" for file in files)
        return sha256(f"{self.model.dtype}\n{lines}".encode()).hexdigest()[:16]

    @property
    def context(self) -> int:
        """The most tokens that the model reads and writes together."""
        limit = getattr(self.model.config, "max_position_embeddings", None) or 2048
        return min(int(limit), int(self.tokenizer.model_max_length))

    @cached_property
    def ends(self) -> frozenset[int]:
        """The tokens that end an answer."""
        generation = self.model.generation_config
        found = [self.tokenizer.eos_token_id, getattr(generation, "eos_token_id", None)]
        flat = [each for one in found for each in (one if isinstance(one, list) else [one])]
        return frozenset(each for each in flat if each is not None)

    def prompt(self, messages: Sequence[Message]) -> str:
        """Return the text of a prompt, up to where the answer begins.

        It is the model's own chat template, or a plain transcript where it has none.
        """
        if self.tokenizer.chat_template is None:
            lines = [f"{_SPEAKERS[message.role]}: {message.content}" for message in messages]
            return "\n\n".join([*lines, "Assistant: "])
        spoken = [{"role": message.role, "content": message.content} for message in messages]
        text = self.tokenizer.apply_chat_template(
            spoken, tokenize=False, add_generation_prompt=True
        )
        return cast(str, text)

    def tokens(self, text: str) -> list[int]:
        """Return the tokens of a text in which a template has put what it wants at the start."""
        special = self.tokenizer.chat_template is None
        encoded = self.tokenizer(text, add_special_tokens=special)["input_ids"]
        ids = cast(list[int], encoded)
        # Some tokenizers also put a mark at the end, after which nothing would be said.
        return ids[:-1] if special and len(ids) > 1 and ids[-1] in self.ends else ids

    def text(self, tokens: Sequence[int]) -> str:
        """Return the words of tokens, without marks."""
        return cast(str, self.tokenizer.decode(list(tokens), skip_special_tokens=True))
