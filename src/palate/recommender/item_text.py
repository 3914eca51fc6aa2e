"""Which encoder reads the items' texts, and whether its vectors are whitened: validation chooses.

Before anything is trained, each way to read texts recommends by itself: what is nearest to the last
items of a history. The figure takes seconds once the texts are encoded, and no training event is
learned from.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from palate.data.dataset import Cases, Dataset
from palate.errors import MissingExtraError
from palate.evaluation.metrics import ndcg
from palate.items.encoders import ItemEncoders, ItemsConfig
from palate.items.text import TextEncoderConfig, fit_text_encoder
from palate.items.vectors import ItemVectors, Progress
from palate.models.adaptor import Whitening
from palate.training.recipe import Recipe
from palate.types import History

SLOWEST = 50_000
"""Texts of a catalogue that a network is tried on: with more it would take an hour of a core."""

_SCORES = 400_000_000
"""Scores of an item for a user that one way is tried on; users are sampled to keep to it."""

_LEAST_USERS = 1_000
_CUTOFF = 10
_RECENT = 5
_DECAY = 0.7
_BLOCK = 512


@dataclass(frozen=True)
class Reading:
    """A way to read the items' texts."""

    text: TextEncoderConfig
    whiten: bool

    def __str__(self) -> str:
        """Return its name."""
        return f"{self.text.kind}, whitened" if self.whiten else self.text.kind

    def of(self, recipe: Recipe) -> Recipe:
        """Return the recipe that reads texts this way."""
        items = recipe.items.model_copy(update={"text": self.text})
        fusion = recipe.model.fusion.model_copy(update={"whiten": self.whiten})
        model = recipe.model.model_copy(update={"fusion": fusion})
        return recipe.model_copy(update={"items": items, "model": model})


@dataclass(frozen=True)
class TextChoice:
    """The way that was chosen, what was tried, and what could not be."""

    chosen: Reading
    tried: Mapping[str, float]
    """Validation NDCG@10 of what is nearest, by the name of the reading."""
    left_out: tuple[str, ...] = ()
    """What was not tried, each with the reason."""

    def __str__(self) -> str:
        """Return what a person should know."""
        figures = ", ".join(f"{name} {value:.4f}" for name, value in self.tried.items())
        compared = f" (validation NDCG@10 of what is nearest: {figures})" if figures else ""
        return " ".join([f"Item texts are read by {self.chosen}{compared}.", *self.left_out])

    @property
    def facts(self) -> dict[str, object]:
        """The choice in JSON values."""
        return {
            "chosen": str(self.chosen),
            "tried": dict(self.tried),
            "left_out": list(self.left_out),
        }


def choose_text(
    dataset: Dataset,
    recipe: Recipe,
    *,
    seed: int,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> TextChoice:
    """Compare the encoders that are there, raw and whitened, on the validation part.

    Each is judged by the mean NDCG@10, over all items but those of the history, of two untrained
    questions: what has the largest cosine with the last item, and with the decayed sum of the last
    five. Of those within one standard error of the best the first is chosen: the encoder that costs
    least, raw before whitened (the rule of Breiman et al., 1984; the error is that of the paired
    difference).

    Args:
        dataset: its catalogue is encoded, its validation part asks.
        recipe: ``items.text.path``, where it is given, names a table of token vectors to be tried.
        seed: of the draws.
        cache: where encoded vectors are kept.
        progress: called with the number of encoded items and the total.
    """
    config = recipe.items.text
    plain = Reading(TextEncoderConfig(kind="tfidf-svd", dim=config.dim), whiten=False)
    texts, cases = dataset.catalog.texts(), asked_cases(dataset, seed)
    if "text" not in recipe.items.modalities or not any(texts):
        return TextChoice(plain, {})
    if not len(cases):
        return TextChoice(plain, {}, ("There are no validation events to choose another by.",))
    gains: dict[Reading, Float[np.ndarray, " users"]] = {}
    left_out = []
    for kind in _kinds(config):
        if kind.kind == "minilm" and len(texts) > SLOWEST:
            left_out.append(f"minilm was not tried on {len(texts):,} texts: it takes hours.")
            continue
        try:
            vectors = _encoded(dataset, kind, seed, cache, progress)
        except MissingExtraError as error:
            left_out.append(f"{kind.kind} was not tried: {error.message} {error.hint}.")
            continue
        for whiten, read in ((False, vectors), (True, whitened(vectors))):
            gains[Reading(kind, whiten)] = nearest_gains(read, cases)
    best = cheapest_of_the_best(list(gains.values()))
    tried = {str(reading): float(gain.mean()) for reading, gain in gains.items()}
    return TextChoice(list(gains)[best], tried, tuple(left_out))


def nearest_gains(vectors: ItemVectors, cases: Cases) -> Float[np.ndarray, " users"]:
    """Return the NDCG@10 of each user when the nearest items are recommended.

    The mean of two lists: nearest to the last item, and to the decayed sum of the last five. Items
    of the history are left out; the first target counts, and stands behind all that are as near.
    """
    lengths = np.linalg.norm(vectors.values, axis=1, keepdims=True)
    unit = np.where(vectors.present[:, None], vectors.values / np.maximum(lengths, 1e-9), 0)
    gains = []
    for start in range(0, len(cases), _BLOCK):
        histories = cases.histories[start : start + _BLOCK]
        wanted = np.asarray([targets[0] for targets in cases.targets[start : start + _BLOCK]])
        asked = [_places(q, unit, histories, wanted) for q in _queries(unit, histories)]
        gains.append(np.mean([_gain(places) for places in asked], axis=0))
    return np.concatenate(gains) if gains else np.zeros(0)


def asked_cases(dataset: Dataset, seed: int) -> Cases:
    """Return the users of the validation part that ways to read texts are compared on."""
    most = max(_LEAST_USERS, _SCORES // max(1, len(dataset.catalog)))
    cases = dataset.cases("valid")
    asked = [place for place, history in enumerate(cases.histories) if len(history)]
    known = Cases([cases.histories[x] for x in asked], [cases.targets[x] for x in asked])
    return known.sample(most, np.random.default_rng(seed))


def whitened(vectors: ItemVectors) -> ItemVectors:
    """Return the vectors as a model with ``model.fusion.whiten`` reads them, scaled anew."""
    values = torch.from_numpy(vectors.values)
    made = Whitening(values[torch.from_numpy(vectors.present)])(values).numpy()
    return ItemVectors.normalised(np.where(vectors.present[:, None], made, 0), vectors.present)


def cheapest_of_the_best(gains: Sequence[Float[np.ndarray, " users"]]) -> int:
    """Return the first that is at most one standard error of the difference below the best."""
    best = max(gains, key=lambda gain: float(gain.mean()))
    for place, gain in enumerate(gains):
        behind = best - gain
        error = behind.std(ddof=1) / len(behind) ** 0.5 if len(behind) > 1 else 0.0
        if behind.mean() <= error:
            return place
    raise AssertionError("the best is within any error of itself")


def _kinds(config: TextEncoderConfig) -> Iterator[TextEncoderConfig]:
    """Yield the encoders to be tried, the one that costs least first."""
    yield config.model_copy(update={"kind": "tfidf-svd", "path": None})
    if config.path is not None:
        yield config.model_copy(update={"kind": "static"})
    yield config.model_copy(update={"kind": "minilm", "path": None})


def _encoded(
    dataset: Dataset,
    config: TextEncoderConfig,
    seed: int,
    cache: Path | None,
    progress: Progress | None,
) -> ItemVectors:
    encoder = fit_text_encoder(config, dataset.catalog.texts(), seed=seed)
    only = ItemsConfig(modalities=("text",))
    encoders = ItemEncoders(text=encoder, image=None, attributes=None)
    return encoders.content(dataset.catalog, only, cache=cache, progress=progress)["text"]


def _queries(
    unit: Float[np.ndarray, "items dim"], histories: Sequence[History]
) -> tuple[Float[np.ndarray, "users dim"], Float[np.ndarray, "users dim"]]:
    """Return the vector of each user's last item, and the decayed sum of the last few."""
    last = np.stack([unit[history.item_rows[-1]] for history in histories])
    recent = [unit[history.item_rows[-_RECENT:]] for history in histories]
    decayed = [_DECAY ** np.arange(len(rows))[::-1] @ rows for rows in recent]
    return last, np.stack(decayed).astype(unit.dtype)


def _places(
    queries: Float[np.ndarray, "users dim"],
    unit: Float[np.ndarray, "items dim"],
    histories: Sequence[History],
    wanted: np.ndarray,
) -> np.ndarray:
    """Return the place of each target, from 0; the last of all where there is nothing to ask by."""
    scores = queries @ unit.T
    for user, history in enumerate(histories):
        scores[user, history.item_rows] = -np.inf
    own = scores[np.arange(len(wanted)), wanted]
    places = (scores >= own[:, None]).sum(axis=1) - 1
    asked = np.abs(queries).max(axis=1) > 0
    return np.asarray(np.where(asked & (own > -np.inf), places, len(unit) + _CUTOFF))


def _gain(places: np.ndarray) -> Float[np.ndarray, " users"]:
    hits = places[:, None] == np.arange(_CUTOFF)
    return ndcg(hits, np.ones(len(hits), dtype=np.int64), _CUTOFF)
