"""Batches: examples laid out as sequences of words and items.

All rows of a batch share one *instruction* (the task in words), which is encoded once. A row then
holds its own context words, at most one query (as its text vector), and its events. Each prediction
has a prefix length: it sees the instruction and that prefix of the row, and no token sees a
prediction, so that one pass learns from every position. A prediction may read candidate items of
its own before it answers; it answers with items or with words::

    instruction (shared)   | row b: context words, [query], event 1, event 2, event 3, padding
    "next item"            |        oak lamp       [q]      i7       i2       i9
    prediction 0, prefix 4 |        ^^^^^^^^       ^^^      ^^                 target i2
    prediction 1, prefix 5 |        ^^^^^^^^       ^^^      ^^       ^^        target i9

Shape suffixes: B rows, T tokens of a row, P predictions of a row, K targets of a prediction, A
tokens of the candidates, R words of a target text.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from palate.language.blank_layout import concealed, corrupted, hidden_words
from palate.language.item_format import NOTHING, FormattedItems, ItemFormat
from palate.language.prompt_text import PromptText
from palate.language.tasks.task import MAX_CONTEXT_TOKENS, PLAIN_FRAME, Example, Frame
from palate.language.tokenizer import Tokenizer

MAX_INSTRUCTION_TOKENS = 64

MAX_TARGET_TOKENS = 40
"""Longer target texts are cut, and lose their end mark."""

MAX_BLANK_TOKENS = 128
"""The same limit for the hidden text of blanks."""


@dataclass(frozen=True)
class CandidateItems:
    """Candidate items of each prediction, formatted like a history, padded on the right."""

    token_ids: Int[Tensor, "batch predictions candidates"]
    items: Int[Tensor, "batch predictions candidates"]
    levels: Int[Tensor, "batch predictions candidates"]
    begins: Bool[Tensor, "batch predictions candidates"]
    """True at the first token of each item."""
    inner: Int[Tensor, "batch predictions candidates"] | None = None
    """Position of each token inside its item, from 1; None without entity positions."""

    @property
    def there(self) -> Bool[Tensor, "batch predictions candidates"]:
        """True where there is no padding."""
        return (self.token_ids >= 0) | (self.items >= 0)

    @property
    def ends(self) -> Int[Tensor, "batch predictions candidates"]:
        """For each token, the index of the last token of its item; undefined for padding."""
        places = torch.arange(self.begins.shape[2], device=self.begins.device)
        following = F.pad(self.begins | ~self.there, (0, 1), value=True)[..., 1:]
        ends = torch.where(following, places, len(places) - 1)
        return ends.flip(2).cummin(dim=2).values.flip(2)

    @property
    def num_items(self) -> Int[Tensor, "batch predictions"]:
        """Number of candidate items of each prediction."""
        return self.begins.sum(dim=2)

    @property
    def whole(self) -> Int[Tensor, "batch predictions candidates"]:
        """Catalogue rows of fused item tokens, NOTHING elsewhere."""
        return self.items.masked_fill(self.levels >= 0, NOTHING)

    def to(self, device: torch.device) -> "CandidateItems":
        """Return the same on ``device``."""
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        return CandidateItems(**{k: v.to(device) for k, v in moved.items() if v is not None})


@dataclass(frozen=True)
class Batch:
    """Rows that share an instruction, padded on the right."""

    instruction: Int[Tensor, " words"]
    """Token ids that precede every row, the begin token first."""
    token_ids: Int[Tensor, "batch time"]
    items: Int[Tensor, "batch time"]
    """Catalogue rows."""
    levels: Int[Tensor, "batch time"]
    """Level of the item code at each token; NOTHING for fused item tokens and words."""
    events: Int[Tensor, "batch time"]
    """Event-type codes of the items."""
    described: Int[Tensor, "batch time"]
    """Index into ``descriptions`` at query tokens, NOTHING elsewhere."""
    descriptions: Float[Tensor, "described dim"] | None
    """Text vectors of the queries."""
    prefix_lengths: Int[Tensor, "batch predictions"]
    """How many tokens of its row each prediction sees."""
    targets: Int[Tensor, "batch predictions targets"]
    without_id: Bool[Tensor, " batch"]
    """Rows whose items are encoded from their content alone, without item IDs."""
    ratings: Int[Tensor, "batch time"] | None = None
    """Rating of each event as an index into the builder's levels; NOTHING where unrated."""
    candidates: CandidateItems | None = None
    """Candidate items; None where no prediction has any."""
    target_ids: Int[Tensor, "batch predictions target_words"] | None = None
    """Token ids of the target texts, the end mark last; None where items are the targets."""
    inner: Int[Tensor, "batch time"] | None = None
    """Position of each token inside its item, from 1; 0 outside items; None without entity
    positions."""
    masks: Int[Tensor, "batch predictions blanks"] | None = None
    """Position of each blank mark in the row, padded with the last; None without blanks."""
    cue: Int[Tensor, " cue_words"] | None = None
    """Token ids that end the prompt of every prediction, after its candidates, in a prompt in text;
    None in the lean stream, where an answer starts from the last event."""

    @property
    def whole(self) -> Int[Tensor, "batch time"]:
        """Catalogue rows of fused item tokens, NOTHING elsewhere."""
        return self.items.masked_fill(self.levels >= 0, NOTHING)

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on ``device``."""
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{k: v.to(device) for k, v in moved.items() if v is not None})


@dataclass(frozen=True)
class BatchBuilder:
    """Turns the examples of a task into a batch of tensors (a collator)."""

    tokenizer: Tokenizer
    query_vectors: Float[np.ndarray, "queries dim"] | None = None
    """Text vectors of the query pool; None where items have no text vectors."""
    item_format: ItemFormat = field(default_factory=ItemFormat)
    levels: tuple[float, ...] = ()
    """Rating levels shown with events; empty where ratings are not shown."""
    text: PromptText | None = None
    """Writes prompts in text, for a pre-trained model; None writes the lean stream."""
    shares_heads: bool = False
    """Whether what stands before the events of every row alike is part of the instruction, which is
    read once; for models in which earlier tokens do not see later ones."""

    def batch(
        self, instruction: str, examples: Sequence[Example], frame: Frame = PLAIN_FRAME
    ) -> Batch:
        """Return the batch of ``examples``, which share the wording ``instruction``.

        ``frame`` is of their family; only prompts in text use it.
        """
        # Hidden events must not show through: their types and ratings are removed first of all.
        examples = [concealed(example) for example in examples]
        contexts = self._contexts(examples, frame)
        opening = self._instruction(instruction)
        if self.shares_heads and _are_alike(examples, contexts):
            opening, contexts = [*opening, *contexts[0]], [[] for _ in contexts]
        # The query adds one token after the context words.
        heads = [
            len(words) + (e.query is not None and self.query_vectors is not None)
            for words, e in zip(contexts, examples, strict=True)
        ]
        # An event takes one token or many, depending on the item format; from here on only
        # `s.lengths` knows which tokens belong to which event.
        formatted = [self._shown(example, frame) for example in examples]
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
        # A row is its head (context words, then the query), then its formatted events.
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
            # Examples count prefixes in events; the batch counts them in tokens.
            prefix_lengths[b, : len(e.prefix_lengths)] = head + _ends(s)[e.prefix_lengths]
            targets[b, : len(e.prefix_lengths), : e.targets.shape[1]] = e.targets
        return Batch(
            instruction=torch.tensor(opening),
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
            candidates=self._candidates(examples, predictions, frame),
            target_ids=self._target_ids(examples, predictions),
            inner=torch.from_numpy(inner) if self.item_format.entity_positions else None,
            masks=self._masks(words, examples),
            cue=self._cue(frame),
        )

    def _cue(self, frame: Frame) -> Int[Tensor, " cue_words"] | None:
        if self.text is None or not frame.cue:
            return None
        return torch.tensor(self.text.cue_tokens(frame))

    def _shown(self, example: Example, frame: Frame) -> FormattedItems:
        """Return the formatted events, with one mark in place of each blank."""
        formatted = self.item_format.lay_out(example.history.item_rows)
        if example.hidden is not None:
            formatted = corrupted(formatted, example.hidden, self.tokenizer.pad)
        if self.text is None:
            return formatted
        return self.text.with_text(formatted, self.text.before_events(example.history, frame))

    def _masks(
        self, words: Int[np.ndarray, "batch time"], examples: Sequence[Example]
    ) -> Int[Tensor, "batch 1 blanks"] | None:
        """Return the positions of blank marks (the padding token, never part of encoded text)."""
        if all(example.hidden is None and example.gap is None for example in examples):
            return None
        found = [np.flatnonzero(row == self.tokenizer.pad) for row in words]
        most = max(len(places) for places in found)
        padded = [np.pad(places, (0, most - len(places)), mode="edge") for places in found]
        return torch.from_numpy(np.stack(padded))[:, None]

    def _instruction(self, text: str) -> list[int]:
        if self.text is not None:
            return self.text.instruction_tokens(text)
        return [self.tokenizer.begin, *self.tokenizer.encode(text)[:MAX_INSTRUCTION_TOKENS]]

    def _contexts(self, examples: Sequence[Example], frame: Frame) -> list[list[int]]:
        if self.text is not None and all(example.gap is None for example in examples):
            return self.text.head_tokens(examples, frame)
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
        """Return the words around a blank with its mark between them, which is never cut off."""
        until = [*before[: MAX_CONTEXT_TOKENS - 1], self.tokenizer.pad]
        return [*until, *self.tokenizer.encode(after)][:MAX_CONTEXT_TOKENS]

    def _candidates(
        self, examples: Sequence[Example], predictions: int, frame: Frame
    ) -> CandidateItems | None:
        if all(example.candidates is None for example in examples):
            return None
        laid = [self._placed(example.candidates, frame) for example in examples]
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
        self, candidates: Int[np.ndarray, "predictions candidates"] | None, frame: Frame
    ) -> tuple[FormattedItems, Int[np.ndarray, " places"], Int[np.ndarray, " places"]]:
        """Return the formatted candidates, with the prediction and the position of each token."""
        candidates = np.zeros((0, 0), dtype=np.int64) if candidates is None else candidates
        # All candidates are formatted in one call, row by row of the matrix. The tokens of a
        # prediction are then adjacent, and their positions count from the first of them.
        there = candidates >= 0
        formatted = self.item_format.lay_out(candidates[there])
        if self.text is not None:
            counts = there.sum(axis=1).tolist()
            texts = [t for n in counts for t in self.text.before_candidates(n, frame)]
            formatted = self.text.with_text(formatted, texts)
        prediction = np.repeat(there.nonzero()[0], formatted.lengths)
        firsts = np.searchsorted(prediction, np.arange(len(candidates)))
        return formatted, prediction, np.arange(len(prediction)) - firsts[prediction]

    def _target_ids(
        self, examples: Sequence[Example], predictions: int
    ) -> Int[Tensor, "batch predictions target_words"] | None:
        encoded = iter(self.tokenizer.encode_batch([t for e in examples for t in e.target_texts]))
        target_ids = [self._target_tokens(example, encoded) for example in examples]
        if not any(target_ids):
            return None
        longest = max(len(tokens) for of_example in target_ids for tokens in of_example)
        words = np.full((len(examples), predictions, longest), NOTHING)
        for b, of_example in enumerate(target_ids):
            for p, tokens in enumerate(of_example):
                words[b, p, : len(tokens)] = tokens
        return torch.from_numpy(words)

    def _target_tokens(self, example: Example, encoded: Iterator[list[int]]) -> list[list[int]]:
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
        """Return the token ids of a target text with its end mark."""
        return [*tokens, self.tokenizer.end][:MAX_TARGET_TOKENS]

    def _descriptions(self, queries: Sequence[int]) -> Float[Tensor, "described dim"] | None:
        if not queries or self.query_vectors is None:
            return None
        return torch.from_numpy(self.query_vectors[np.asarray(queries)])


def _ends(formatted: FormattedItems) -> Int[np.ndarray, " events_and_none"]:
    """Return the number of tokens of the first 0, 1, 2, ... events."""
    return np.concatenate([[0], np.cumsum(formatted.lengths)])


def _are_alike(examples: Sequence[Example], contexts: Sequence[Sequence[int]]) -> bool:
    """Return whether all rows begin with the same words of ours, and events follow them."""
    return all(
        context == contexts[0] and e.query is None and not e.context and len(e.history) > 0
        for context, e in zip(contexts, examples, strict=True)
    )


def nearest(
    ratings: Float[np.ndarray, " events"], levels: Sequence[float]
) -> Int[np.ndarray, " events"]:
    """Return the index of the level nearest to each rating; NOTHING where unrated."""
    unknown = np.isnan(ratings)
    distances = np.abs(np.nan_to_num(ratings)[:, None] - np.asarray(levels))
    return np.where(unknown, NOTHING, distances.argmin(axis=1))
