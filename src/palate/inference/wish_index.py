"""Wish index: reads wishes in the terms of the current catalogue, and weighs its items by them."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from palate.inference.catalogue_state import CatalogueState
from palate.inference.item_encoder import catalog_of, trained_views
from palate.inference.item_view import ItemView
from palate.inference.model_folder import TrainedModel
from palate.language.wishes.reading import Reading, read_wish
from palate.language.wishes.terms import Described, Terms, attributes_of
from palate.language.wishes.wish import banned, coverage, has_words, unmet
from palate.training.system import Steering

_UNMET = 1_000.0
"""Spreads by which an item falls for each condition it fails: behind all that fail fewer."""
_TOP = 10
"""The spread of scores is from the median to the tenth best."""
_LEAST_ITEMS = 4
"""A word of fewer items says little of what else is like them."""
_FARTHEST = 4.0
"""Standard deviations beyond which likeness counts no more."""
_LEAST_MEANING = 3.0
"""Standard deviations by which words must be like some item to mean anything."""


@dataclass(frozen=True, eq=False)
class WishIndex:
    """The terms of one catalogue state, and the vectors by which its items resemble words."""

    terms: Terms
    texts: Float[np.ndarray, "items dim"] | None
    """Text vectors of unit length, zero where absent; None without a text encoder."""
    outputs: Float[np.ndarray, "items width"] | None
    """Output vectors of unit length, in which behaviour shows; None without vectors."""

    def read(self, text: str) -> Reading:
        """Return what a text asks for."""
        return read_wish(text, self.terms)

    def allowed(
        self, reading: Reading, history: Int[np.ndarray, " events"]
    ) -> Bool[np.ndarray, " items"]:
        """Return the items that meet all conditions of a wish and have all its words."""
        wish, terms = reading.wish, self.terms
        met = (unmet(wish, terms, history) == 0) & ~banned(wish, terms)
        return np.asarray(met & has_words(wish, terms))

    def steered(
        self,
        scores: Float[np.ndarray, " items"],
        reading: Reading,
        history: Int[np.ndarray, " events"],
        meant: Float[np.ndarray, " dim"] | None,
        weights: Steering,
        among: Bool[np.ndarray, " items"],
    ) -> Float[np.ndarray, " items"]:
        r"""Return a user's scores, moved to where a wish says.

        .. math:: s'_i = s_i + \sigma (w_c c_i + w_m z_i + w_t t_i - 1000 u_i)

        ``\sigma`` is how far the tenth best score is above the median one, ``c`` the share of the
        wish's words that an item has, ``z`` and ``t`` how like it is to the words and the items
        named, by text and by behaviour, in standard deviations, and ``u`` the number of conditions
        it fails. What a wish says no to has the score ``-inf``.

        Args:
            scores: of every item, for one user.
            reading: what is wished for.
            history: rows of the user's items.
            meant: text vector of the wish, if there is one.
            weights: chosen on the validation split.
            among: the items that may be answered.
        """
        wish, terms = reading.wish, self.terms
        spread = np.float32(_spread(scores[among]))
        moved = np.zeros(len(scores), dtype=np.float32)
        if wish.words:
            moved += np.float32(weights.words) * coverage(wish.words, terms)
        moved += np.float32(weights.meaning) * self._by_text(meant, wish.like)
        moved += np.float32(weights.behaviour) * self._by_behaviour(wish.words, wish.like)
        moved -= np.float32(_UNMET) * unmet(wish, terms, history).astype(np.float32)
        result = np.asarray(scores + spread * moved)
        result[banned(wish, terms)] = -np.inf
        return result

    def means_something(self, meant: Float[np.ndarray, " dim"] | None) -> bool:
        """Return whether some items stand out as like a text vector."""
        return bool(self._by_text(meant, ()).max(initial=0.0) >= _LEAST_MEANING)

    def _by_text(
        self, meant: Float[np.ndarray, " dim"] | None, like: Sequence[int]
    ) -> Float[np.ndarray, " items"]:
        if self.texts is None:
            return np.zeros(len(self.terms), dtype=np.float32)
        wanted = [self.texts[row] for row in like]
        if meant is not None and np.linalg.norm(meant) > 0:
            wanted.append(meant / np.linalg.norm(meant))
        return self._likeness(self.texts, wanted)

    def _by_behaviour(
        self, words: Sequence[str], like: Sequence[int]
    ) -> Float[np.ndarray, " items"]:
        """Return how like each item is to those that have the words, in the model's own space."""
        if self.outputs is None:
            return np.zeros(len(self.terms), dtype=np.float32)
        wanted = [self.outputs[row] for row in like]
        for word in words:
            rows = np.flatnonzero(self.terms.with_word(word))
            if len(rows) >= _LEAST_ITEMS:
                wanted.append(self.outputs[rows].mean(axis=0) - self._centre)
        return self._likeness(self.outputs, wanted)

    @cached_property
    def _centre(self) -> Float[np.ndarray, " width"]:
        assert self.outputs is not None
        return np.asarray(self.outputs.mean(axis=0))

    def _likeness(
        self, vectors: Float[np.ndarray, "items dim"], wanted: Sequence[Float[np.ndarray, " dim"]]
    ) -> Float[np.ndarray, " items"]:
        """Return the mean likeness to some vectors, in standard deviations over the catalogue."""
        total = np.zeros(len(vectors), dtype=np.float32)
        for one in wanted:
            found = vectors @ one.astype(np.float32)
            deviation = float(found.std())
            if deviation > 0:
                scaled = (found - found.mean()) / np.float32(deviation)
                total += np.clip(scaled, -_FARTHEST, _FARTHEST)
        return total / np.float32(max(len(wanted), 1))


class WishIndexes:
    """Keeps the wish index of the current catalogue state; thread-safe."""

    def __init__(self, trained: TrainedModel) -> None:
        """Take a trained system; the index is built when the first wish comes."""
        self._trained = trained
        self._lock = threading.Lock()
        self._kept: tuple[CatalogueState, WishIndex] | None = None
        self._first: Sequence[ItemView] | None = None

    def at(self, state: CatalogueState) -> WishIndex:
        """Return the index of a catalogue state."""
        with self._lock:
            if self._kept is None or self._kept[0] is not state:
                self._kept = (state, self._made(state))
            return self._kept[1]

    def vector(self, text: str) -> Float[np.ndarray, " dim"] | None:
        """Return the text vector of some words; None without words or a text encoder."""
        model = self._trained.language_model
        if model is None or not text:
            return None
        vectors = model.encoders.query_vectors([text])
        return None if vectors is None else np.asarray(vectors[0])

    def _made(self, state: CatalogueState) -> WishIndex:
        outputs = None
        if state.vectors is not None:
            outputs = _unit(np.ascontiguousarray(state.outputs_DI.T))
        return WishIndex(Terms.of(self._described(state)), self._texts(state), outputs)

    def _described(self, state: CatalogueState) -> list[Described]:
        known = self._attributes
        return [
            Described(
                view.title or "",
                view.brand or "",
                view.categories,
                view.price,
                view.description or "",
                known[row] if row < len(known) else (),
            )
            for row, view in enumerate(state.views)
        ]

    @cached_property
    def _attributes(self) -> list[tuple[tuple[str, str], ...]]:
        return attributes_of(self._trained.dataset.catalog.table)

    def _texts(self, state: CatalogueState) -> Float[np.ndarray, "items dim"] | None:
        """Return the text vectors of all items; those of changed items are encoded anew."""
        model = self._trained.language_model
        if model is None or model.encoders.text is None or "text" not in model.features.vectors:
            return None
        known = model.features.vectors["text"].values
        if self._first is None:
            self._first = trained_views(self._trained.dataset.catalog)
        changed = [
            row
            for row, view in enumerate(state.views)
            if row >= len(known) or view.content != self._first[row].content
        ]
        texts = np.zeros((len(state), known.shape[1]), dtype=np.float32)
        texts[: len(known)] = known
        if changed:
            views = [state.views[row] for row in changed]
            texts[changed] = model.encoders.text.encode(catalog_of(views).texts()).values
        return _unit(texts)


def _unit(vectors: Float[np.ndarray, "items dim"]) -> Float[np.ndarray, "items dim"]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-9), dtype=np.float32)


def _spread(scores: Float[np.ndarray, " items"]) -> float:
    """Return how far the tenth best score is above the median; 1 where they are equal."""
    if not len(scores):
        return 1.0
    place = max(0, len(scores) - _TOP)
    top = float(np.partition(scores, place)[place])
    spread = top - float(np.median(scores))
    return spread if spread > 0 else float(scores.max() - scores.min()) or 1.0
