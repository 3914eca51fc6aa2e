"""Any text model of ``transformers`` as a text encoder: mean of its last hidden states.

Models are read from disk only; a name is looked up among the models already downloaded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from palate.errors import ArtifactError, ConfigError, MissingExtraError
from palate.items.minilm import encode_in_batches
from palate.items.text import save_description
from palate.items.vectors import ItemVectors, Progress

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_MAX_TOKENS = 512


@dataclass(frozen=True, eq=False)
class TransformersTextEncoder:
    """A pretrained text model called ``path``, loaded on first use."""

    path: str
    dim: int
    fingerprint: str

    @classmethod
    def open(cls, path: str) -> "TransformersTextEncoder":
        """Load the model called ``path``: a folder, or the name of a downloaded model.

        Raises:
            MissingExtraError: when ``transformers`` is not installed.
            ConfigError: when there is no such model.
        """
        tokenizer, model = _open(path)
        encoder = cls(
            path=path,
            dim=model.config.get_text_config().hidden_size,
            fingerprint=weights_hash(model),
        )
        # Keep the loaded model, which the cached property below would load a second time.
        encoder.__dict__["_parts"] = (tokenizer, model)
        return encoder

    @cached_property
    def _parts(self) -> "tuple[PreTrainedTokenizerBase, PreTrainedModel]":
        tokenizer, model = _open(self.path)
        check_same_weights(self.path, self.fingerprint, model)
        return tokenizer, model

    def encode(self, texts: Sequence[str], *, progress: Progress | None = None) -> ItemVectors:
        """Return one vector per text.

        Raises:
            MissingExtraError: when ``transformers`` is not installed.
            ConfigError: when the model is no longer there.
            ArtifactError: when the model changed since this encoder was created.
        """
        tokenizer, model = self._parts
        present = np.array([bool(text.strip()) for text in texts], dtype=bool)
        known_limit = getattr(model.config, "max_position_embeddings", _MAX_TOKENS)
        limit = min(_MAX_TOKENS, tokenizer.model_max_length, known_limit)
        there = [text for text in texts if text.strip()]
        token_lists: list[Sequence[int]] = [[] for _ in texts]
        if there:
            encoded = tokenizer(there, truncation=True, max_length=limit)["input_ids"]
            for row, tokens in zip(np.flatnonzero(present), encoded, strict=True):
                token_lists[row] = tokens

        def hidden_states(tokens: Tensor, mask: Tensor) -> Tensor:
            states = model(input_ids=tokens, attention_mask=mask.long()).last_hidden_state
            return torch.as_tensor(states)

        pad = tokenizer.pad_token_id or 0
        raw = encode_in_batches(token_lists, hidden_states, self.dim, pad=pad, progress=progress)
        return ItemVectors.normalised(raw, present)

    def save(self, folder: Path) -> None:
        """Write the path and the fingerprint; the weights stay where they are."""
        save_description(
            folder,
            {
                "kind": "transformers",
                "path": self.path,
                "dim": self.dim,
                "fingerprint": self.fingerprint,
            },
        )


def weights_hash(model: torch.nn.Module) -> str:
    """Return a hash of all weights of ``model``."""
    digest = sha256(type(model).__name__.encode())
    for name, weight in sorted(model.state_dict().items()):
        digest.update(f"{name}{tuple(weight.shape)}".encode())
        digest.update(weight.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return f"transformers-{digest.hexdigest()[:16]}"


def check_same_weights(path: str, fingerprint: str, model: torch.nn.Module) -> None:
    """Check that the model called ``path`` is the one that made the stored vectors.

    Raises:
        ArtifactError: when its weights have changed.
    """
    found = weights_hash(model)
    if found != fingerprint:
        raise ArtifactError(
            f"The model {path!r} changed: it is {found} now and was {fingerprint}.",
            hint="Put the old model back, or encode and train again.",
        )


def no_such_model(path: str, error: Exception) -> ConfigError:
    """Return the error for a model that is not on this machine."""
    first_line = str(error).strip().split("\n")[0]
    return ConfigError(
        f"The model {path!r} cannot be opened: {first_line}",
        hint="Give the folder of a model that transformers can read, or download it beforehand.",
    )


def _open(path: str) -> "tuple[PreTrainedTokenizerBase, PreTrainedModel]":
    if find_spec("transformers") is None:
        raise MissingExtraError("transformers", "hf")
    from transformers import AutoModel, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
        model = AutoModel.from_pretrained(path, local_files_only=True)
    except (OSError, ValueError) as error:
        raise no_such_model(path, error) from error
    encoder = model.get_encoder() if model.config.is_encoder_decoder else model
    return tokenizer, encoder.train(mode=False)
