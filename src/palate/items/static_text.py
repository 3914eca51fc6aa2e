"""A table of token vectors as a text encoder: the vector of a text is the mean of its tokens'.

No network is run, so that a processor core encodes thousands of texts a second and a new item or a
query takes less than a millisecond (Arora et al., 2017; the tables of Model2Vec, 2024, are of this
kind).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from scipy import sparse
from tokenizers import Tokenizer

from palate.errors import ArtifactError, ConfigError
from palate.items.text import save_description
from palate.items.vectors import ItemVectors, Progress

MAX_CHARACTERS = 20_000
"""More of a text is not read."""

_MAX_TABLE = 2**31
_MAX_TOKENIZER = 2**27
"""Largest files, in bytes."""

_BATCH = 4_096
_READABLE = ("float16", "float32")
_UNHEARD_OF = "qxzj \u2621\U0010fffd"
_TOKENIZER = "tokenizer.json"
_TABLE = "model.safetensors"


@dataclass(frozen=True)
class TokenTable:
    """A vector for each token of a tokenizer, and how much a token counts."""

    tokenizer: Tokenizer
    vectors: Float[np.ndarray, "tokens dim"]
    """As it was stored: float16 or float32."""
    weights: Float[np.ndarray, " tokens"]
    """float32; 0 for control tokens, which are not part of a text."""

    def __post_init__(self) -> None:
        """Check that each token has a vector.

        Raises:
            ConfigError: when there are fewer vectors than tokens, or values that are not finite.
        """
        tokens = max(self.tokenizer.get_vocab().values(), default=-1) + 1
        if len(self.vectors) < tokens:
            raise ConfigError(
                f"The tokenizer has {tokens:,} tokens and the table {len(self.vectors):,} vectors.",
                hint="Give a folder whose tokenizer and table belong together.",
            )
        if not (np.isfinite(self.vectors).all() and np.isfinite(self.weights).all()):
            raise ConfigError(
                "The table of token vectors holds values that are not finite.",
                hint="Make the table again.",
            )

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the tokens of each text; at most 20,000 characters of it are read."""
        cut = [text[:MAX_CHARACTERS].encode(errors="replace").decode() for text in texts]
        encoded = self.tokenizer.encode_batch_fast(cut, add_special_tokens=False)
        return [one.ids for one in encoded]

    def save(self, folder: Path) -> None:
        """Write the files that :func:`read_table` reads."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _TOKENIZER).write_text(self.tokenizer.to_str(), encoding="utf-8")
        tensors = {"embeddings": self.vectors, "weights": self.weights}
        save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, folder / _TABLE)


def read_table(folder: Path) -> TokenTable:
    """Read a tokenizer in JSON and a table in safetensors, whatever their names.

    ``tokenizer.json``, or else the one JSON file with *tokenizer* in its name;
    ``model.safetensors``, or else the one safetensors file. Of its tensors the one with two
    dimensions is the table; those called ``weights`` (of each token) and ``mapping`` (of each
    token to its row of the table) are read where they are there.

    Raises:
        ConfigError: when the folder does not hold exactly that, or a file is too large.
    """
    if not folder.is_dir():
        raise ConfigError(
            f"No table of token vectors in {str(folder)!r}: there is no such folder.",
            hint="Give a folder with tokenizer.json and model.safetensors.",
        )
    tokenizer = _tokenizer(_only_file(folder, _TOKENIZER, "*tokenizer*.json", _MAX_TOKENIZER))
    path = _only_file(folder, _TABLE, "*.safetensors", _MAX_TABLE)
    tensors = _tensors(path)
    vectors = _table(tensors, path)
    if "mapping" in tensors:
        mapping = tensors["mapping"].astype(np.int64)
        vectors = vectors[_checked_mapping(mapping, len(vectors), path)]
    weights = np.ones(len(vectors), np.float32)
    if tensors.get("weights", vectors).shape == weights.shape:
        weights = tensors["weights"].astype(np.float32)
    weights[[token for token in _control_tokens(tokenizer) if token < len(weights)]] = 0
    return TokenTable(tokenizer, vectors, weights)


@dataclass(frozen=True, eq=False)
class StaticTextEncoder:
    """``v = sum_t w_t e_t / sum_t w_t`` over the tokens of a text, scaled to ``sqrt(dim)``."""

    table: TokenTable

    @classmethod
    def open(cls, folder: Path | str) -> "StaticTextEncoder":
        """Read the table in ``folder`` (see :func:`read_table`).

        Raises:
            ConfigError: when there is none.
        """
        return cls(read_table(Path(folder)))

    @classmethod
    def load(cls, folder: Path) -> "StaticTextEncoder":
        """Read what :meth:`save` wrote.

        Raises:
            ArtifactError: when the files are missing or damaged.
        """
        try:
            return cls.open(folder)
        except ConfigError as error:
            raise ArtifactError(error.message, hint="Make the folder again.") from error

    def save(self, folder: Path) -> None:
        """Write the table itself, so that the folder needs no other."""
        save_description(folder, {"kind": "static"})
        self.table.save(folder)

    @property
    def dim(self) -> int:
        """Width of a token's vector."""
        return int(self.table.vectors.shape[1])

    @cached_property
    def fingerprint(self) -> str:
        """Hash of tokenizer, vectors and weights."""
        digest = sha256(self.table.tokenizer.to_str().encode())
        for array in (self.table.vectors, self.table.weights):
            digest.update(np.ascontiguousarray(array).tobytes())
        return f"static-{digest.hexdigest()[:16]}"

    @cached_property
    def _weighted(self) -> Float[np.ndarray, "tokens dim"]:
        vectors = self.table.vectors.astype(np.float32)
        return np.asarray(vectors * self.table.weights[:, None], dtype=np.float32)

    def encode(self, texts: Sequence[str], *, progress: Progress | None = None) -> ItemVectors:
        """Return one vector per text; a text without a token that counts has none."""
        raw = np.zeros((len(texts), self.dim), dtype=np.float32)
        for start in range(0, len(texts), _BATCH):
            tokens = self.table.tokens(texts[start : start + _BATCH])
            raw[start : start + len(tokens)] = self._means(tokens)
            if progress is not None:
                progress(start + len(tokens), len(texts))
        return ItemVectors.normalised(raw)

    def _means(self, tokens: Sequence[Sequence[int]]) -> Float[np.ndarray, "texts dim"]:
        counts, table = token_counts(tokens, len(self._weighted)), self._weighted
        totals = counts @ self.table.weights
        means = (counts @ table) / np.maximum(totals, 1e-9)[:, None]
        return np.asarray(np.where(totals[:, None] > 0, means, 0), dtype=np.float32)


def token_counts(tokens: Sequence[Sequence[int]], size: int) -> sparse.csr_array:
    """Return how often each text holds each of ``size`` tokens."""
    lengths = np.fromiter((len(each) for each in tokens), np.int64, len(tokens))
    ends = np.concatenate([[0], lengths.cumsum()])
    flat = np.fromiter((token for each in tokens for token in each), np.int64, int(ends[-1]))
    return sparse.csr_array((np.ones(len(flat), np.float32), flat, ends), (len(tokens), size))


def _only_file(folder: Path, usual: str, pattern: str, most: int) -> Path:
    """Return the file with the usual name, or else the only one that fits ``pattern``."""
    found = [folder / usual] if (folder / usual).is_file() else sorted(folder.glob(pattern))
    if len(found) != 1:
        names = ", ".join(path.name for path in found[:5]) or "none"
        raise ConfigError(
            f"No table of token vectors in {str(folder)!r}: {usual} or one file {pattern} was "
            f"wanted, there is {names}.",
            hint="Give a folder with tokenizer.json and model.safetensors.",
        )
    size = found[0].stat().st_size
    if size > most:
        raise ConfigError(
            f"{str(found[0])!r} has {size / 2**20:,.0f} MB; {most / 2**20:,.0f} are read at most.",
            hint="Give a smaller table: fewer tokens, fewer dimensions or float16.",
        )
    return found[0]


def _tokenizer(path: Path) -> Tokenizer:
    try:
        made = Tokenizer.from_file(str(path))
        made.encode(_UNHEARD_OF)  # some have no token for what they do not know, and stop there
    except Exception as error:  # the library raises nothing more exact
        raise ConfigError(
            f"The tokenizer {str(path)!r} cannot be read: {error}.",
            hint="Give the JSON file that the library tokenizers writes.",
        ) from error
    made.no_truncation()
    made.no_padding()
    return made


def _tensors(path: Path) -> dict[str, np.ndarray]:
    try:
        return load_file(path)
    except (OSError, SafetensorError, KeyError, TypeError) as error:
        raise ConfigError(
            f"The table {str(path)!r} cannot be read: {error}.",
            hint="Store it as float16 or float32 in safetensors.",
        ) from error


def _table(tensors: Mapping[str, np.ndarray], path: Path) -> Float[np.ndarray, "tokens dim"]:
    """Return the only tensor of two dimensions, if its type is one of a table."""
    tables = [each for each in tensors.values() if each.ndim == 2]
    if len(tables) != 1:
        raise ConfigError(
            f"{str(path)!r} holds {len(tables)} tables of two dimensions; one was wanted.",
            hint="Give a table of token vectors, not a whole model.",
        )
    if tables[0].dtype.name not in _READABLE or not tables[0].size:
        rows, dim = tables[0].shape
        raise ConfigError(
            f"The table in {str(path)!r} has {rows:,} x {dim:,} values of type "
            f"{tables[0].dtype}; {' and '.join(_READABLE)} can be read.",
            hint="Store the table as float16 or float32.",
        )
    return tables[0]


def _checked_mapping(
    mapping: Int[np.ndarray, " tokens"], rows: int, path: Path
) -> Int[np.ndarray, " tokens"]:
    if len(mapping) and not 0 <= mapping.min() <= mapping.max() < rows:
        raise ConfigError(
            f"The mapping in {str(path)!r} names rows beyond the {rows:,} of its table.",
            hint="Make the table again.",
        )
    return mapping


def _control_tokens(tokenizer: Tokenizer) -> list[int]:
    """Return the special tokens and the one for unknown text: they say nothing of a text."""
    special = [n for n, each in tokenizer.get_added_tokens_decoder().items() if each.special]
    model = json.loads(tokenizer.to_str())["model"]
    named, numbered = model.get("unk_token"), model.get("unk_id")
    unknown = tokenizer.token_to_id(named) if isinstance(named, str) else numbered
    return special if unknown is None else [*special, int(unknown)]
