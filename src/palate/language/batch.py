"""The stream: one sequence that mixes words and items, laid out so that no computation is wasted.

A batch shares one *instruction* (the task in words), which is read once for all rows. Each row then
holds its own context words, at most one described thing (a query as its text vector), and its
events. Predictions look at the row from cut points: a prediction sees the instruction and its
prefix of the row, nothing sees a prediction, so that one pass learns from every position. A
prediction may read items of its own, those asked about, before it answers; it answers with items or
with words.

Shape suffixes: B rows, T tokens of a row, P predictions of a row, K targets of a prediction, A
places of the items asked about, R words of a reply.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the name everyone uses
from jaxtyping import Bool, Float, Int
from torch import Tensor

from palate.language.blank_layout import concealed, corrupted, hidden_words
from palate.language.item_format import NOTHING, FormattedItems, ItemFormat
from palate.language.tasks.task import MAX_CONTEXT_TOKENS, Example
from palate.language.tokenizer import Tokenizer

MAX_INSTRUCTION_TOKENS = 64

MAX_TARGET_TOKENS = 40
"""Longer replies are cut, their end mark with them."""

MAX_BLANK_TOKENS = 128
"""The same for what stands in blanks."""


@dataclass(frozen=True)
class CandidateItems:
    """Items that predictions ask about, formatted like a history, padded on the right."""

    token_ids: Int[Tensor, "batch predictions candidates"]
    items: Int[Tensor, "batch predictions candidates"]
    levels: Int[Tensor, "batch predictions candidates"]
    begins: Bool[Tensor, "batch predictions candidates"]
    """Where an item begins."""
    inner: Int[Tensor, "batch predictions candidates"] | None = None
    """Place of each part inside its item, from 1; None where one position is told."""

    @property
    def there(self) -> Bool[Tensor, "batch predictions candidates"]:
        """Places that are no padding."""
        return (self.token_ids >= 0) | (self.items >= 0)

    @property
    def ends(self) -> Int[Tensor, "batch predictions candidates"]:
        """The last place of the item that stands at each place; of padding any."""
        places = torch.arange(self.begins.shape[2], device=self.begins.device)
        following = F.pad(self.begins | ~self.there, (0, 1), value=True)[..., 1:]
        ends = torch.where(following, places, len(places) - 1)
        return ends.flip(2).cummin(dim=2).values.flip(2)

    @property
    def num_items(self) -> Int[Tensor, "batch predictions"]:
        """How many items each prediction asks about."""
        return self.begins.sum(dim=2)

    @property
    def whole(self) -> Int[Tensor, "batch predictions candidates"]:
        """Catalogue rows where an item stands as a whole, NOTHING elsewhere."""
        return self.items.masked_fill(self.levels >= 0, NOTHING)

    def to(self, device: torch.device) -> "CandidateItems":
        """Return the same on ``device``."""
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        return CandidateItems(**{k: v.to(device) for k, v in moved.items() if v is not None})


@dataclass(frozen=True)
class Batch:
    """Rows that share an instruction, padded on the right."""

    instruction: Int[Tensor, " words"]
    """Tokens read before every row, the begin token first."""
    token_ids: Int[Tensor, "batch time"]
    items: Int[Tensor, "batch time"]
    """Catalogue rows."""
    levels: Int[Tensor, "batch time"]
    """Which code of the item stands there; NOTHING where it stands as a whole."""
    events: Int[Tensor, "batch time"]
    """Event-type codes of the items."""
    described: Int[Tensor, "batch time"]
    """Where a described thing stands: its place in ``descriptions``."""
    descriptions: Float[Tensor, "described dim"] | None
    """Text vectors of the described things."""
    prefix_lengths: Int[Tensor, "batch predictions"]
    """How many tokens of its row each prediction sees."""
    targets: Int[Tensor, "batch predictions targets"]
    without_id: Bool[Tensor, " batch"]
    """Rows whose items are shown by their content alone."""
    ratings: Int[Tensor, "batch time"] | None = None
    """Which of the writer's levels each event was rated; NOTHING where it was not."""
    candidates: CandidateItems | None = None
    """Items asked about, where there are such."""
    target_ids: Int[Tensor, "batch predictions reply"] | None = None
    """Words that answer, the end mark last; None where items answer."""
    inner: Int[Tensor, "batch time"] | None = None
    """Place of each part inside its item, from 1, and 0 of what stands alone; None where one
    position is told."""
    masks: Int[Tensor, "batch predictions blanks"] | None = None
    """Where in the row the mark of each blank stands, padded with the last; None without blanks."""

    @property
    def whole(self) -> Int[Tensor, "batch time"]:
        """Catalogue rows where an item stands as a whole, NOTHING elsewhere."""
        return self.items.masked_fill(self.levels >= 0, NOTHING)

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on ``device``."""
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{k: v.to(device) for k, v in moved.items() if v is not None})


@dataclass(frozen=True)
class BatchBuilder:
    """Lays examples out as a batch: all that stands between a task and a tensor."""

    tokenizer: Tokenizer
    query_vectors: Float[np.ndarray, "queries dim"] | None = None
    """Text vectors of the query pool; None where items have no text vectors."""
    item_format: ItemFormat = field(default_factory=ItemFormat)
    levels: tuple[float, ...] = ()
    """Ratings that events are shown with; none where ratings are not shown."""

    def batch(self, instruction: str, examples: Sequence[Example]) -> Batch:
        """Return the batch of ``examples``, all worded by ``instruction``."""
        examples = [concealed(example) for example in examples]
        contexts = self._contexts(examples)
        heads = [
            len(words) + (e.query is not None and self.query_vectors is not None)
            for words, e in zip(contexts, examples, strict=True)
        ]
        formatted = [self._shown(example) for example in examples]
        lengths = [head + len(s.items) for head, s in zip(heads, formatted, strict=True)]
        shape = (len(examples), max(max(lengths), 1))
        words, items, levels, events, described, ratings = (
            np.full(shape, NOTHING) for _ in range(6)
        )
        predictions = max(len(e.prefix_lengths) for e in examples)
        prefix_lengths = np.full((len(examples), predictions), NOTHING)
        targets = np.full(
            (*prefix_lengths.shape, max(e.targets.shape[1] for e in examples)), NOTHING
        )
        inner = np.zeros(shape, dtype=np.int64)
        descriptions: list[int] = []
        for b, (e, s, context) in enumerate(zip(examples, formatted, contexts, strict=True)):
            head, places = heads[b], slice(heads[b], lengths[b])
            words[b, places], items[b, places], levels[b, places] = s.token_ids, s.items, s.levels
            words[b, : len(context)] = context
            if self.item_format.entity_positions:
                inner[b, places] = np.where(s.token_ids == self.tokenizer.pad, 0, s.inner)
            if e.query is not None and head > len(context):
                described[b, head - 1] = len(descriptions)
                descriptions.append(e.query)
            if e.history.event_types is not None:
                events[b, places] = np.repeat(e.history.event_types, s.lengths)
            if e.history.ratings is not None and self.levels:
                ratings[b, places] = np.repeat(nearest(e.history.ratings, self.levels), s.lengths)
            prefix_lengths[b, : len(e.prefix_lengths)] = head + _ends(s)[e.prefix_lengths]
            targets[b, : len(e.prefix_lengths), : e.targets.shape[1]] = e.targets
        return Batch(
            instruction=torch.tensor(self._instruction(instruction)),
            token_ids=torch.from_numpy(words),
            items=torch.from_numpy(items),
            levels=torch.from_numpy(levels),
            events=torch.from_numpy(events),
            described=torch.from_numpy(described),
            descriptions=self._descriptions(descriptions),
            prefix_lengths=torch.from_numpy(prefix_lengths),
            targets=torch.from_numpy(targets),
            without_id=torch.tensor([e.without_id for e in examples]),
            ratings=torch.from_numpy(ratings) if self.levels else None,
            candidates=self._asked(examples, predictions),
            target_ids=self._target_ids(examples, predictions),
            inner=torch.from_numpy(inner) if self.item_format.entity_positions else None,
            masks=self._masks(words, examples),
        )

    def _shown(self, example: Example) -> FormattedItems:
        """Return the events, a mark in place of those of a blank."""
        formatted = self.item_format.lay_out(example.history.item_rows)
        if example.hidden is None:
            return formatted
        return corrupted(formatted, example.hidden, self.tokenizer.pad)

    def _masks(
        self, words: Int[np.ndarray, "batch time"], examples: Sequence[Example]
    ) -> Int[Tensor, "batch 1 blanks"] | None:
        """Return where the marks of blanks stand: text never holds the token that they are."""
        if all(example.hidden is None and example.gap is None for example in examples):
            return None
        found = [np.flatnonzero(row == self.tokenizer.pad) for row in words]
        most = max(len(places) for places in found)
        padded = [np.pad(places, (0, most - len(places)), mode="edge") for places in found]
        return torch.from_numpy(np.stack(padded))[:, None]

    def _instruction(self, text: str) -> list[int]:
        return [self.tokenizer.begin, *self.tokenizer.encode(text)[:MAX_INSTRUCTION_TOKENS]]

    def _contexts(self, examples: Sequence[Example]) -> list[list[int]]:
        if not any(example.context or example.gap is not None for example in examples):
            return [[] for _ in examples]
        befores = [example.context[: example.gap] for example in examples]
        encoded = self.tokenizer.encode_batch(befores)
        return [
            tokens[:MAX_CONTEXT_TOKENS]
            if example.gap is None
            else self._around(tokens, example.context[example.gap :])
            for tokens, example in zip(encoded, examples, strict=True)
        ]

    def _around(self, before: Sequence[int], after: str) -> list[int]:
        """Return words with the mark of a blank between them, which is never cut off."""
        until = [*before[: MAX_CONTEXT_TOKENS - 1], self.tokenizer.pad]
        return [*until, *self.tokenizer.encode(after)][:MAX_CONTEXT_TOKENS]

    def _asked(self, examples: Sequence[Example], predictions: int) -> CandidateItems | None:
        if all(example.candidates is None for example in examples):
            return None
        laid = [self._placed(example.candidates) for example in examples]
        most = max((int(place.max(initial=-1)) + 1 for _, _, place in laid), default=0)
        words, items, levels = (
            np.full((len(examples), predictions, most), NOTHING) for _ in range(3)
        )
        inner = np.zeros_like(words)
        for b, (formatted, prediction, place) in enumerate(laid):
            inner[b, prediction, place] = formatted.inner
            words[b, prediction, place] = formatted.token_ids
            items[b, prediction, place] = formatted.items
            levels[b, prediction, place] = formatted.levels
        return CandidateItems(
            torch.from_numpy(words),
            torch.from_numpy(items),
            torch.from_numpy(levels),
            torch.from_numpy(inner == 1),
            torch.from_numpy(inner) if self.item_format.entity_positions else None,
        )

    def _placed(
        self, candidates: Int[np.ndarray, "predictions candidates"] | None
    ) -> tuple[FormattedItems, Int[np.ndarray, " places"], Int[np.ndarray, " places"]]:
        """Return the candidates, formatted, with the prediction and the place of each part."""
        candidates = np.zeros((0, 0), dtype=np.int64) if candidates is None else candidates
        there = candidates >= 0
        formatted = self.item_format.lay_out(candidates[there])
        prediction = np.repeat(there.nonzero()[0], formatted.lengths)
        firsts = np.searchsorted(prediction, np.arange(len(candidates)))
        return formatted, prediction, np.arange(len(prediction)) - firsts[prediction]

    def _target_ids(
        self, examples: Sequence[Example], predictions: int
    ) -> Int[Tensor, "batch predictions reply"] | None:
        encoded = iter(self.tokenizer.encode_batch([t for e in examples for t in e.target_texts]))
        target_ids = [self._said(example, encoded) for example in examples]
        if not any(target_ids):
            return None
        longest = max(len(tokens) for of_example in target_ids for tokens in of_example)
        words = np.full((len(examples), predictions, longest), NOTHING)
        for b, of_example in enumerate(target_ids):
            for p, tokens in enumerate(of_example):
                words[b, p, : len(tokens)] = tokens
        return torch.from_numpy(words)

    def _said(self, example: Example, encoded: Iterator[list[int]]) -> list[list[int]]:
        """Return the target tokens of each prediction; ``encoded`` yields those of target texts."""
        if example.hidden is not None:
            formatted = self.item_format.lay_out(example.history.item_rows)
            blanks = hidden_words(formatted, example.hidden)
            words = [word for blank in blanks for word in (*blank, self.tokenizer.end)]
            return [words[:MAX_BLANK_TOKENS]]
        tokens = [next(encoded) for _ in example.target_texts]
        if example.gap is not None:
            return [[*words, self.tokenizer.end][:MAX_BLANK_TOKENS] for words in tokens]
        return [self.target(words) for words in tokens]

    def target(self, tokens: Sequence[int]) -> list[int]:
        """Return the words of an answer with the mark that ends it."""
        return [*tokens, self.tokenizer.end][:MAX_TARGET_TOKENS]

    def _descriptions(self, queries: Sequence[int]) -> Float[Tensor, "described dim"] | None:
        if not queries or self.query_vectors is None:
            return None
        return torch.from_numpy(self.query_vectors[np.asarray(queries)])


def _ends(formatted: FormattedItems) -> Int[np.ndarray, " events_and_none"]:
    """Return the number of places that the first 0, 1, 2, ... events take."""
    return np.concatenate([[0], np.cumsum(formatted.lengths)])


def nearest(
    ratings: Float[np.ndarray, " events"], levels: Sequence[float]
) -> Int[np.ndarray, " events"]:
    """Return which of the ``levels`` each rating is nearest to; NOTHING where there is none."""
    unknown = np.isnan(ratings)
    distances = np.abs(np.nan_to_num(ratings)[:, None] - np.asarray(levels))
    return np.where(unknown, NOTHING, distances.argmin(axis=1))
