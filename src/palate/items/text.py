"""Text encoders with one interface: texts in, one vector per item out.

The default, :class:`TfidfSvdEncoder`, is fitted on the catalogue and needs no download.
"""

import json
import logging
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, PositiveInt
from safetensors.numpy import load_file, save_file
from scipy import sparse

from palate.errors import ArtifactError, ConfigError
from palate.items.vectors import ItemVectors, Progress

_logger = logging.getLogger(__name__)

MAX_FEATURES = 32_768
MAX_FIT_TEXTS = 200_000
_BATCH = 4_096
_TINY_CATALOGUE = 200
"""Below this many texts, words of only one text are kept too; few would remain otherwise."""
# In scripts without spaces every character is a word.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_\u3040-\u30ff\u3400-\u9fff]+")
_JSON = "text_encoder.json"
_TENSORS = "text_encoder.safetensors"


@runtime_checkable
class TextEncoder(Protocol):
    """Anything that turns texts into vectors of one width."""

    @property
    def dim(self) -> int:
        """Width of the vectors."""
        ...

    @property
    def fingerprint(self) -> str:
        """Identifies the encoder: equal fingerprints give equal vectors."""
        ...

    def encode(self, texts: Sequence[str], *, progress: Progress | None = None) -> ItemVectors:
        """Return one vector per text; an empty text has none."""
        ...

    def save(self, folder: Path) -> None:
        """Write the files that :func:`load_text_encoder` reads."""
        ...


class TextEncoderConfig(BaseModel):
    """Choice and width of the text encoder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["auto", "tfidf-svd", "static", "minilm", "transformers"] = "tfidf-svd"
    """With ``auto``, training tries ``tfidf-svd``, ``static`` where a path is given and ``minilm``
    where it is installed, each raw and whitened, and takes what is best on the validation part."""
    dim: PositiveInt = 256
    """Width of ``tfidf-svd``; the other models have a fixed width."""
    path: str | None = None
    """Folder of the table, for ``static``; name or folder of the model, for ``transformers``."""
    int8: bool = False
    """Whether ``minilm`` multiplies 8-bit integers: faster, and its vectors are rounded."""

    @property
    def given_path(self) -> str:
        """The path of a kind that needs one.

        Raises:
            ConfigError: when none was given.
        """
        if self.path is None:
            raise ConfigError(
                f"The text encoder {self.kind!r} needs a model and none was given.",
                hint="Set items.text.path to its folder"
                f"{' or name' if self.kind == 'transformers' else ''}.",
            )
        return self.path


def fit_text_encoder(config: TextEncoderConfig, texts: Sequence[str], *, seed: int) -> TextEncoder:
    """Return the encoder that ``config`` describes; ``tfidf-svd`` is fitted on ``texts``.

    ``auto`` is ``tfidf-svd`` here, where there is nothing to choose by.

    Raises:
        ConfigError: when ``static`` or ``transformers`` is chosen without a path, or the path
            holds no model.
        MissingExtraError: when the package behind the encoder is not installed.
    """
    match config.kind:
        case "tfidf-svd" | "auto":
            return TfidfSvdEncoder.fit(texts, dim=config.dim, rng=np.random.default_rng(seed))
        case "minilm":
            from palate.items.minilm import MiniLmEncoder

            return MiniLmEncoder.installed(int8=config.int8)
        case "static":
            from palate.items.static_text import StaticTextEncoder

            return StaticTextEncoder.open(config.given_path)
        case "transformers":
            from palate.items.transformers_text import TransformersTextEncoder

            return TransformersTextEncoder.open(config.given_path)


def load_text_encoder(folder: Path) -> TextEncoder:
    """Load what an encoder's ``save`` wrote; pretrained weights are loaded on first use.

    Raises:
        ArtifactError: when the folder holds no text encoder.
    """
    try:
        stored = json.loads((folder / _JSON).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"No text encoder in {str(folder)!r}: {error}.", hint="Make the folder again."
        ) from error
    match stored.get("kind"):
        case "tfidf-svd":
            return TfidfSvdEncoder.load(folder, stored["words"])
        case "minilm":
            from palate.items.minilm import MiniLmEncoder

            return MiniLmEncoder(bool(stored.get("int8", False)))
        case "static":
            from palate.items.static_text import StaticTextEncoder

            return StaticTextEncoder.load(folder)
        case "transformers":
            from palate.items.transformers_text import TransformersTextEncoder

            return TransformersTextEncoder(
                path=stored["path"], dim=stored["dim"], fingerprint=stored["fingerprint"]
            )
        case kind:
            raise ArtifactError(
                f"The text encoder in {str(folder)!r} is of an unknown kind, {kind!r}.",
                hint="Upgrade with: pip install -U palate",
            )


def save_description(folder: Path, description: dict[str, object]) -> None:
    """Write the JSON from which :func:`load_text_encoder` restores an encoder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _JSON).write_text(
        json.dumps(description, ensure_ascii=False) + "\n", encoding="utf-8"
    )


@dataclass(frozen=True, eq=False)
class TfidfSvdEncoder:
    """Latent semantic analysis: TF-IDF weighted word counts, projected on their main directions.

    A text with counts ``c_w`` becomes ``x_w = (1 + ln c_w) · idf_w`` with
    ``idf_w = 1 + ln((1 + N) / (1 + df_w))``, is scaled to unit length, projected on the first
    ``dim`` right singular vectors of the matrix of all texts, and scaled to ``sqrt(dim)``
    (Deerwester et al., 1990; randomised decomposition of Halko et al., 2011).
    """

    words: tuple[str, ...]
    idf: Float[np.ndarray, " words"]
    components: Float[np.ndarray, "words dim"]
    """Kept as float16, so that a loaded encoder gives exactly the same vectors."""

    @classmethod
    def fit(cls, texts: Sequence[str], *, dim: int, rng: np.random.Generator) -> "TfidfSvdEncoder":
        """Learn words and directions from ``texts`` (from a random 200,000 if there are more).

        With few texts or words there are fewer directions than requested; see ``dim`` of the
        result.
        """
        if len(texts) > MAX_FIT_TEXTS:
            chosen = np.sort(rng.choice(len(texts), MAX_FIT_TEXTS, replace=False))
            texts = [texts[i] for i in chosen]
        counted = [_count_words(text) for text in texts]
        words, document_counts = _choose_words(counted)
        if not words:
            _logger.warning("no item has any text: every text vector is absent")
            return cls(words=(), idf=np.zeros(0, np.float32), components=np.zeros((0, 1), "f2"))
        idf = (1 + np.log((1 + len(texts)) / (1 + document_counts))).astype(np.float32)
        weighted = _weigh(counted, {word: column for column, word in enumerate(words)}, idf)
        components = right_singular_vectors(weighted, dim, rng)
        return cls(words=words, idf=idf, components=components.astype(np.float16))

    @classmethod
    def load(cls, folder: Path, words: Sequence[str]) -> "TfidfSvdEncoder":
        """Read what :meth:`save` wrote.

        Raises:
            ArtifactError: when the tensors do not match the words.
        """
        try:
            tensors = load_file(folder / _TENSORS)
        except OSError as error:
            raise ArtifactError(
                f"No weights of the text encoder in {str(folder)!r}.", hint="Make the folder again."
            ) from error
        if len(tensors["idf"]) != len(words):
            raise ArtifactError(
                f"The text encoder in {str(folder)!r} has {len(words):,} words and "
                f"{len(tensors['idf']):,} weights.",
                hint="Make the folder again.",
            )
        return cls(words=tuple(words), idf=tensors["idf"], components=tensors["components"])

    def save(self, folder: Path) -> None:
        """Write the words as JSON and the numbers as safetensors."""
        save_description(folder, {"kind": "tfidf-svd", "words": self.words})
        save_file({"idf": self.idf, "components": self.components}, folder / _TENSORS)

    @property
    def dim(self) -> int:
        """Number of directions kept."""
        return int(self.components.shape[1])

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the words and numbers."""
        digest = sha256("\n".join(self.words).encode())
        digest.update(self.idf.tobytes())
        digest.update(self.components.tobytes())
        return f"tfidf-svd-{digest.hexdigest()[:16]}"

    @cached_property
    def _column_of(self) -> dict[str, int]:
        return {word: column for column, word in enumerate(self.words)}

    def encode(self, texts: Sequence[str], *, progress: Progress | None = None) -> ItemVectors:
        """Return one vector per text; a text without a known word has none."""
        raw = np.zeros((len(texts), self.dim), dtype=np.float32)
        components = self.components.astype(np.float32)
        for start in range(0, len(texts), _BATCH):
            counted = [_count_words(text) for text in texts[start : start + _BATCH]]
            weighted = _weigh(counted, self._column_of, self.idf)
            raw[start : start + len(counted)] = weighted @ components
            if progress is not None:
                progress(start + len(counted), len(texts))
        return ItemVectors.normalised(raw)


def right_singular_vectors(
    matrix: sparse.csr_array, dim: int, rng: np.random.Generator
) -> Float[np.ndarray, "columns dim"]:
    """Return the first ``dim`` right singular vectors, or fewer if the rank is smaller.

    Randomised range finder with power iterations: ``Q = orth((A A')^q A Ω)``, then the exact
    decomposition of the small ``Q' A`` (Halko, Martinsson and Tropp, 2011, algorithms 4.4 and 5.1),
    here with 10 extra columns and q = 4.
    """
    width = min(dim + 10, *matrix.shape)
    basis = matrix @ rng.standard_normal((matrix.shape[1], width)).astype(np.float32)
    for _ in range(4):
        basis, _ = np.linalg.qr(matrix @ (matrix.T @ np.linalg.qr(basis)[0]))
    basis, _ = np.linalg.qr(basis)
    # The R factor of the tall transpose is only width x width, so that its SVD is cheap.
    projected = matrix.T @ basis
    _, sizes, rotation = np.linalg.svd(np.linalg.qr(projected)[1], full_matrices=False)
    rank = max(1, int((sizes > 1e-4 * sizes[0]).sum()))
    keep = min(dim, rank)
    vectors = projected @ rotation[:keep].T / np.maximum(sizes[:keep], 1e-12)
    largest = np.abs(vectors).argmax(axis=0)
    return np.asarray(vectors * np.sign(vectors[largest, np.arange(keep)]), dtype=np.float32)


def _count_words(text: str) -> Counter[str]:
    return Counter(_WORD.findall(text.lower()))


def _choose_words(counted: Sequence[Counter[str]]) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the vocabulary, most frequent words first, and the number of texts with each word.

    A word must be in two texts, in a tiny catalogue in one.
    """
    in_texts: Counter[str] = Counter()
    for counts in counted:
        in_texts.update(counts.keys())
    least = 1 if len(counted) < _TINY_CATALOGUE else 2
    chosen = sorted((-n, word) for word, n in in_texts.items() if n >= least)[:MAX_FEATURES]
    return tuple(word for _, word in chosen), np.array([-n for n, _ in chosen], dtype=np.float64)


def _weigh(
    counted: Sequence[Counter[str]],
    column_of: dict[str, int],
    idf: Float[np.ndarray, " words"],
) -> sparse.csr_array:
    """Return the TF-IDF rows, each of unit length or empty."""
    columns: list[int] = []
    counts: list[int] = []
    lengths = np.zeros(len(counted) + 1, dtype=np.int64)
    for row, words in enumerate(counted):
        for word, count in words.items():
            column = column_of.get(word)
            if column is not None:
                columns.append(column)
                counts.append(count)
        lengths[row + 1] = len(columns)
    places = np.asarray(columns, dtype=np.int64)
    values = (1 + np.log(np.asarray(counts, dtype=np.float32))) * idf[places]
    rows = np.repeat(np.arange(len(counted)), np.diff(lengths))
    norms = np.sqrt(np.bincount(rows, weights=values**2, minlength=len(counted)))
    values = (values / norms[rows]).astype(np.float32)
    return sparse.csr_array((values, places, lengths), shape=(len(counted), len(idf)))
