"""A model as it serves: histories and words in, lists of items out, over a catalogue that changes.

Everything an answer reads of the catalogue is one unchanging :class:`CatalogueState`; an update
builds the next one and swaps a single reference, so that no answer ever sees half of a change.
"""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Int

from palate.data.dataset import Dataset
from palate.errors import NotTrainedError, UnknownItemError
from palate.inference.answers import Rated
from palate.inference.model_folder import TrainedModel
from palate.recommender.recommender import Reason
from palate.serving.abilities import Abilities
from palate.serving.catalogue import CatalogueState, ItemReader
from palate.serving.facets import Facets, facets
from palate.serving.lists import best_rows, rank, scores_of
from palate.serving.live_words import LiveWords, Wording
from palate.serving.loading import load_servable
from palate.serving.questions import Answer, Question
from palate.serving.reader import POPULAR, HistoryReader
from palate.serving.readings import CacheCounts, Reading, ReadingCache, fingerprint
from palate.serving.store.records import DeletedItem, ItemRecord
from palate.serving.views import ItemView
from palate.training.system import LanguageModelSystem
from palate.types import History

__all__ = ["Answer", "LiveModel", "Question"]

_CACHE_BYTES = 128_000_000
_MOST_REASONS = 50
"""Newest events that may be named as a reason."""


class LiveModel:
    """A trained system that answers; safe to ask from several threads while it is updated."""

    def __init__(
        self, trained: TrainedModel, version: str, *, cache_bytes: int = _CACHE_BYTES
    ) -> None:
        """Compute the catalogue's vectors once; :meth:`load` is the usual way in.

        Args:
            trained: what the model folder holds.
            version: names its content.
            cache_bytes: memory for what was made of the histories asked about last.
        """
        self.trained = trained
        self.version = version
        self.abilities = Abilities(trained)
        self._parts = trained.system if isinstance(trained.system, LanguageModelSystem) else None
        self._items = None if self._parts is None else ItemReader(self._parts)
        self._histories = HistoryReader(trained)
        self._words = (
            None
            if self._parts is None or not self.abilities.in_words
            else LiveWords(self._parts, trained.dataset, self._histories)
        )
        self._cache = ReadingCache(cache_bytes)
        self._updating = threading.Lock()
        self._state = CatalogueState.trained(trained.dataset.catalog, self._items)
        self._rows = {view.item_id: row for row, view in enumerate(self._state.views)}

    @classmethod
    def load(cls, folder: Path, *, cache_bytes: int = _CACHE_BYTES) -> "LiveModel":
        """Read a model folder.

        Raises:
            ArtifactError: when the folder is not a model, or is damaged.
            NotTrainedError: when it answers in no form that the service has.
        """
        trained, version = load_servable(folder)
        return cls(trained, version, cache_bytes=cache_bytes)

    # What it is.

    @property
    def name(self) -> str:
        """What a person calls the model."""
        return self.trained.name

    @property
    def dataset(self) -> Dataset:
        """The catalogue, the users and the split it was trained on."""
        return self.trained.dataset

    @property
    def tasks(self) -> tuple[str, ...]:
        """The families of prompts that it answers with items; a baseline the next item alone."""
        return self.abilities.tasks

    @property
    def forms(self) -> tuple[str, ...]:
        """The ways it can make an answer."""
        return self.abilities.forms

    @property
    def cache(self) -> CacheCounts:
        """How the cache of readings is doing."""
        return self._cache.counts

    def describe(self) -> dict[str, object]:
        """Return what it can and cannot answer, as JSON values."""
        state = self._state
        hidden = int((~state.readable & ~state.deleted).sum())
        return self.abilities.describe() | {
            "name": self.name,
            "version": self.version,
            "items": int((~state.deleted).sum()),
            "items_answered": len(state) - len(state.hidden_rows),
            "items_unreadable": hidden,
        }

    # Its items.

    def __len__(self) -> int:
        """Return the number of rows, those of deleted items included."""
        return len(self._state)

    def row_of(self, item_id: str) -> int:
        """Return the row of an item; a deleted one keeps its row.

        Raises:
            UnknownItemError: when it was neither trained nor added.
        """
        row = self._rows.get(item_id)
        if row is None or row >= len(self._state):
            raise UnknownItemError(
                f"Unknown item {item_id!r}.",
                hint="Add it with: PUT /v1/items/{item_id}, or check spelling and case.",
            )
        return row

    def rows_of(self, item_ids: Sequence[str]) -> tuple[Int[np.ndarray, " known"], list[str]]:
        """Return the rows of the known items, in their order, and the unknown ids."""
        num_items = len(self._state)
        found = [self._rows.get(item_id, num_items) for item_id in item_ids]
        known = np.asarray([row for row in found if row < num_items], dtype=np.int64)
        missing = [x for x, row in zip(item_ids, found, strict=True) if row >= num_items]
        return known, missing

    def item(self, item_id: str) -> ItemView:
        """Return what is known of an item.

        Raises:
            UnknownItemError: when there is no such item, or no longer.
        """
        row, state = self.row_of(item_id), self._state
        if state.deleted[row]:
            raise UnknownItemError(f"The item {item_id!r} was deleted.", hint="Add it again.")
        return state.views[row]

    def view(self, row: int) -> ItemView:
        """Return what is known of a row, deleted or not: a history may hold it."""
        return self._state.views[row]

    def views(self, rows: Sequence[int] | Int[np.ndarray, " rows"]) -> list[ItemView]:
        """Return what is known of several rows."""
        every = self._state.views
        return [every[row] for row in np.asarray(rows, dtype=np.int64).tolist()]

    def listed(self, start: int = 0) -> Iterator[int]:
        """Return the rows of the items that are not deleted, from ``start`` on."""
        state = self._state
        return (row for row in range(start, len(state)) if not state.deleted[row])

    def num_answered(self, rows: Int[np.ndarray, " rows"]) -> int:
        """Return how many of some rows may be answered where no filter is given."""
        return int(self._state.allowed(None)[rows].sum())

    def facets(self, most: int) -> Facets:
        """Return what the items that are not deleted can be filtered by."""
        state = self._state
        return facets(state.columns, ~state.deleted, most)

    def image(self, item_id: str) -> bytes | None:
        """Return the picture that the model folder holds of an item, PNG or JPEG."""
        catalog, row = self.dataset.catalog, self.row_of(item_id)
        if row >= len(catalog) or self._state.deleted[row] or "image" not in catalog.table.columns:
            return None
        picture: bytes | None = catalog.table["image"][row]
        return picture

    def update_items(self, changes: Sequence[ItemRecord | DeletedItem]) -> int:
        """Take new, changed and deleted items; answers from now on know of them, and of all.

        A new item is read as the model's encoders read text and attributes, and is recommendable at
        once if there is anything of it that the model can read. Returns how many rows changed.
        """
        last = {change.item_id: change for change in changes}
        with self._updating:
            state = self._state
            gone = [
                self._rows[item_id]
                for item_id, change in last.items()
                if isinstance(change, DeletedItem) and item_id in self._rows
            ]
            told = [self._view(c) for c in last.values() if isinstance(c, ItemRecord)]
            new = [view.item_id for view in told if view.item_id not in self._rows]
            added = {item_id: len(state) + place for place, item_id in enumerate(new)}
            rows = np.asarray(
                [added.get(v.item_id, self._rows.get(v.item_id)) for v in told], dtype=np.int64
            )
            if told:
                state = state.replaced(rows, told, self._items)
            if gone:
                state = state.without(np.asarray(gone))
            # Made before it is shown, so that the first question does not wait for it.
            self._state = state.prepared()
            # Rows past the end of the state count as unknown, so the state has to come first.
            self._rows.update(added)
        return len(told) + len(gone)

    # Its answers.

    def check(self, question: Question) -> None:
        """Refuse what the model cannot answer.

        Raises:
            NotTrainedError: naming the recipes that can.
            ConfigError: when slots are missing or hold what the data does not know.
        """
        self.abilities.check(question.ask, question.form)

    def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Return the answers, with one pass of the model for all that share a wording.

        Raises:
            NotTrainedError: when the model cannot answer one of them.
            ConfigError: when one of them is not put as its family asks.
        """
        for question in questions:
            self.check(question)
        state = self._state
        keys = [self._key(state, question) for question in questions]
        found = self._cache.get(keys)
        missing = {key: place for place, key in enumerate(keys) if found[place] is None}
        if missing:
            ways = [self._histories.way(state, questions[place]) for place in missing.values()]
            made = dict(zip(missing, self._histories.read(state, ways), strict=True))
            for key, reading in made.items():
                self._cache.put(key, reading)
            found = [reading or made[key] for key, reading in zip(keys, found, strict=True)]
        return self._answers(state, questions, [reading for reading in found if reading])

    def answer_known(self, questions: Sequence[Question]) -> list[Answer | None]:
        """Return the answers that need no pass of the model, None for the others.

        The questions must have passed :meth:`check`.
        """
        state = self._state
        readings = self._cache.get([self._key(state, question) for question in questions])
        known = [place for place, reading in enumerate(readings) if reading is not None]
        answers: list[Answer | None] = [None] * len(questions)
        made = self._answers(
            state, [questions[place] for place in known], [r for r in readings if r is not None]
        )
        for place, answer in zip(known, made, strict=True):
            answers[place] = answer
        return answers

    @property
    def work(self) -> int:
        """Multiplications of one answer whose reading is known."""
        if self._parts is None:
            return len(self._state)
        config = self._parts.model.config
        return len(self._state) * config.decoder.width * max(config.num_queries, 1)

    def similar(self, item_row: int, n: int) -> Answer:
        """Return the items most like one: by output vector, or as a baseline follows it.

        Raises:
            NotTrainedError: when the model knows nothing of the item, or no items apart.
        """
        state = self._state
        if not state.readable[item_row] or not self.abilities.compares_items:
            raise NotTrainedError(
                f"{self.name!r} cannot say what is like {state.views[item_row].item_id!r}.",
                hint="A language model can, by ID and content: palate train DATASET MODEL "
                "--recipe urm",
            )
        if self._parts is None:
            alone = Question(None, History(item_rows=np.asarray([item_row])), n)
            reading = self._histories.read(state, [self._histories.way(state, alone)])
            return self._answers(state, [alone], reading)[0]
        outputs = state.outputs_DI
        lengths = np.maximum(np.linalg.norm(outputs, axis=0), 1e-9)
        scores = (outputs[:, item_row] @ outputs / (lengths * lengths[item_row]))[None]
        scores[0, state.hidden_rows] = -np.inf
        scores[0, item_row] = -np.inf
        rows, values = best_rows(scores, n)
        there = values[0] > -np.inf
        return Answer(rows[0, there], values[0, there], self.version, None)

    def why(self, history: History, item_row: int, n: int = 3) -> list[Reason]:
        """Return the ``n`` events without which the score of an item falls most."""
        return self.reasons(Question(None, history), [item_row], n)[0]

    def reasons(
        self, question: Question, item_rows: Sequence[int], n: int = 3
    ) -> list[list[Reason]]:
        """Return, for each item, the ``n`` events of the question's history that weighed most.

        Measured by scoring again without each of the newest events, for all items in one pass.
        Where what is popular was answered, no event weighed anything.
        """
        state, history, rows = self._state, question.history, np.asarray(item_rows, np.int64)
        # Of codes too every one of the items is to be scored.
        question = replace(question, candidates=rows, exclude_seen=False)
        recent = range(max(0, len(history) - _MOST_REASONS), len(history))
        shortened = [
            self._histories.way(state, replace(question, history=history.without(event)))
            for event in recent
        ]
        # All are asked in the same words, even where nothing is left of a history of one event.
        whole = self._histories.way(state, question)
        ways = [whole, *(replace(whole, history=way.history) for way in shortened)]
        readings = self._histories.read(state, ways)
        if not len(recent) or readings[0].fallback == POPULAR:
            return [[] for _ in item_rows]
        scores = np.stack([scores_of(state, reading, rows) for reading in readings])
        falls = scores[0] - scores[1:]
        best = np.argsort(-falls, axis=0, kind="stable")[:n]
        return [
            [Reason(recent[int(e)], float(falls[e, i])) for e in best[:, i] if falls[e, i] > 0]
            for i in range(len(rows))
        ]

    def rate(self, history: History, item_row: int) -> Rated:
        """Return how somebody with this history rates an item.

        Raises:
            NotTrainedError: when the model was not trained to rate, or cannot read the item.
        """
        self.abilities.check_words("rating")
        assert self._words is not None
        return self._words.rate(self._state, history, item_row)

    def explain(self, history: History, item_row: int, aspect: str = "") -> Wording:
        """Return in words why an item fits somebody with this history, on an aspect if given.

        Raises:
            NotTrainedError: when the model was not trained to explain, or cannot read the item.
        """
        self.abilities.check_words("explanation")
        assert self._words is not None
        return self._words.explain(self._state, history, item_row, aspect)

    def forget_readings(self) -> None:
        """Drop everything made of histories: somebody asked to be forgotten."""
        self._cache.clear()

    def _view(self, record: ItemRecord) -> ItemView:
        row = self._rows.get(record.item_id)
        return ItemView(
            item_id=record.item_id,
            title=record.title,
            brand=record.brand,
            categories=tuple(record.categories),
            price=None if record.price is None else float(record.price),
            description=record.description,
            in_stock=record.in_stock,
            has_image=row is not None and self._state.views[row].has_image,
        )

    def _key(self, state: CatalogueState, question: Question) -> tuple[object, ...]:
        """Return what decides a reading; what a search finds holds for one catalogue."""
        search = self._histories.search(question)
        return (
            state.edition,
            question.family,
            question.prompt,
            tuple(sorted(question.slots.items())) if question.slots else (),
            question.context,
            question.cache_key or fingerprint(question.history),
            search and (state.changes, search),
        )

    def _answers(
        self, state: CatalogueState, questions: Sequence[Question], readings: Sequence[Reading]
    ) -> list[Answer]:
        return [
            Answer(ranking.item_rows, ranking.scores, self.version, reading.fallback)
            for ranking, reading in zip(rank(state, questions, readings), readings, strict=True)
        ]
