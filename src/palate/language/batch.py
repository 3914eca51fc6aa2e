"""The stream: one sequence that mixes words and items, laid out so that no computation is wasted.

A batch shares one *instruction* (the task in words), which is read once for all rows. Each row then
holds its own context words, at most one described thing (a query as its text vector), and its
events. Probes look at the row from cut points: a probe sees the instruction and its prefix of the
row, nothing sees a probe, so that one pass learns from every position. A probe may read items of
its own, those asked about, before it answers; it answers with items or with words.

Shape suffixes: B rows, T tokens of a row, P probes of a row, K targets of a probe, A places of the
items asked about, R words of a reply.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the name everyone uses
from jaxtyping import Bool, Float, Int
from torch import Tensor

from palate.language.blanks import concealed, corrupted, hidden_words
from palate.language.item_format import NOTHING, Spelled, Spelling
from palate.language.tasks import Example
from palate.language.tokenizer import Tokenizer

MAX_CONTEXT_WORDS = 128
"""Longer contexts are cut: the start of a review says what it is about, and text is untrusted."""

MAX_INSTRUCTION_WORDS = 64

MAX_REPLY_WORDS = 40
"""Longer replies are cut, their end mark with them."""

MAX_BLANK_WORDS = 128
"""The same for what stands in blanks."""


@dataclass(frozen=True)
class Asked:
    """Items that probes ask about, spelled as those of a history are, padded on the right."""

    words: Int[Tensor, "batch probes asked"]
    items: Int[Tensor, "batch probes asked"]
    levels: Int[Tensor, "batch probes asked"]
    begins: Bool[Tensor, "batch probes asked"]
    """Where an item begins."""
    inner: Int[Tensor, "batch probes asked"] | None = None
    """Place of each part inside its item, from 1; None where one position is told."""

    @property
    def there(self) -> Bool[Tensor, "batch probes asked"]:
        """Places that are no padding."""
        return (self.words >= 0) | (self.items >= 0)

    @property
    def ends(self) -> Int[Tensor, "batch probes asked"]:
        """The last place of the item that stands at each place; of padding any."""
        places = torch.arange(self.begins.shape[2], device=self.begins.device)
        following = F.pad(self.begins | ~self.there, (0, 1), value=True)[..., 1:]
        ends = torch.where(following, places, len(places) - 1)
        return ends.flip(2).cummin(dim=2).values.flip(2)

    @property
    def num_items(self) -> Int[Tensor, "batch probes"]:
        """How many items each probe asks about."""
        return self.begins.sum(dim=2)

    @property
    def whole(self) -> Int[Tensor, "batch probes asked"]:
        """Catalogue rows where an item stands as a whole, NOTHING elsewhere."""
        return self.items.masked_fill(self.levels >= 0, NOTHING)

    def to(self, device: torch.device) -> "Asked":
        """Return the same on ``device``."""
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        return Asked(**{k: v.to(device) for k, v in moved.items() if v is not None})


@dataclass(frozen=True)
class Batch:
    """Rows that share an instruction, padded on the right."""

    instruction: Int[Tensor, " words"]
    """Tokens read before every row, the begin token first."""
    words: Int[Tensor, "batch time"]
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
    cuts: Int[Tensor, "batch probes"]
    """How many tokens of its row each probe sees."""
    targets: Int[Tensor, "batch probes targets"]
    without_id: Bool[Tensor, " batch"]
    """Rows whose items are shown by their content alone."""
    ratings: Int[Tensor, "batch time"] | None = None
    """Which of the writer's levels each event was rated; NOTHING where it was not."""
    asked: Asked | None = None
    """Items asked about, where there are such."""
    replies: Int[Tensor, "batch probes reply"] | None = None
    """Words that answer, the end mark last; None where items answer."""
    inner: Int[Tensor, "batch time"] | None = None
    """Place of each part inside its item, from 1, and 0 of what stands alone; None where one
    position is told."""
    masks: Int[Tensor, "batch probes blanks"] | None = None
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
class Writer:
    """Lays examples out as a batch: all that stands between a task and a tensor."""

    tokenizer: Tokenizer
    query_vectors: Float[np.ndarray, "queries dim"] | None = None
    """Text vectors of the query pool; None where items have no text vectors."""
    spelling: Spelling = field(default_factory=Spelling)
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
        spelled = [self._shown(example) for example in examples]
        lengths = [head + len(s.items) for head, s in zip(heads, spelled, strict=True)]
        shape = (len(examples), max(max(lengths), 1))
        words, items, levels, events, described, ratings = (
            np.full(shape, NOTHING) for _ in range(6)
        )
        probes = max(len(e.cuts) for e in examples)
        cuts = np.full((len(examples), probes), NOTHING)
        targets = np.full((*cuts.shape, max(e.targets.shape[1] for e in examples)), NOTHING)
        inner = np.zeros(shape, dtype=np.int64)
        descriptions: list[int] = []
        for b, (e, s, context) in enumerate(zip(examples, spelled, contexts, strict=True)):
            head, places = heads[b], slice(heads[b], lengths[b])
            words[b, places], items[b, places], levels[b, places] = s.words, s.items, s.levels
            words[b, : len(context)] = context
            if self.spelling.two_positions:
                inner[b, places] = np.where(s.words == self.tokenizer.pad, 0, s.inner)
            if e.query is not None and head > len(context):
                described[b, head - 1] = len(descriptions)
                descriptions.append(e.query)
            if e.history.event_types is not None:
                events[b, places] = np.repeat(e.history.event_types, s.lengths)
            if e.history.ratings is not None and self.levels:
                ratings[b, places] = np.repeat(nearest(e.history.ratings, self.levels), s.lengths)
            cuts[b, : len(e.cuts)] = head + _ends(s)[e.cuts]
            targets[b, : len(e.cuts), : e.targets.shape[1]] = e.targets
        return Batch(
            instruction=torch.tensor(self._instruction(instruction)),
            words=torch.from_numpy(words),
            items=torch.from_numpy(items),
            levels=torch.from_numpy(levels),
            events=torch.from_numpy(events),
            described=torch.from_numpy(described),
            descriptions=self._descriptions(descriptions),
            cuts=torch.from_numpy(cuts),
            targets=torch.from_numpy(targets),
            without_id=torch.tensor([e.without_id for e in examples]),
            ratings=torch.from_numpy(ratings) if self.levels else None,
            asked=self._asked(examples, probes),
            replies=self._replies(examples, probes),
            inner=torch.from_numpy(inner) if self.spelling.two_positions else None,
            masks=self._masks(words, examples),
        )

    def _shown(self, example: Example) -> Spelled:
        """Return the events, a mark in place of those of a blank."""
        spelled = self.spelling.spell(example.history.item_rows)
        if example.hidden is None:
            return spelled
        return corrupted(spelled, example.hidden, self.tokenizer.pad)

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
        return [self.tokenizer.begin, *self.tokenizer.encode(text)[:MAX_INSTRUCTION_WORDS]]

    def _contexts(self, examples: Sequence[Example]) -> list[list[int]]:
        if not any(example.context or example.gap is not None for example in examples):
            return [[] for _ in examples]
        befores = [example.context[: example.gap] for example in examples]
        encoded = self.tokenizer.encode_batch(befores)
        return [
            tokens[:MAX_CONTEXT_WORDS]
            if example.gap is None
            else self._around(tokens, example.context[example.gap :])
            for tokens, example in zip(encoded, examples, strict=True)
        ]

    def _around(self, before: Sequence[int], after: str) -> list[int]:
        """Return words with the mark of a blank between them, which is never cut off."""
        until = [*before[: MAX_CONTEXT_WORDS - 1], self.tokenizer.pad]
        return [*until, *self.tokenizer.encode(after)][:MAX_CONTEXT_WORDS]

    def _asked(self, examples: Sequence[Example], probes: int) -> Asked | None:
        if all(example.asked is None for example in examples):
            return None
        laid = [self._placed(example.asked) for example in examples]
        most = max((int(place.max(initial=-1)) + 1 for _, _, place in laid), default=0)
        words, items, levels = (np.full((len(examples), probes, most), NOTHING) for _ in range(3))
        inner = np.zeros_like(words)
        for b, (spelled, probe, place) in enumerate(laid):
            inner[b, probe, place] = spelled.inner
            words[b, probe, place] = spelled.words
            items[b, probe, place] = spelled.items
            levels[b, probe, place] = spelled.levels
        return Asked(
            torch.from_numpy(words),
            torch.from_numpy(items),
            torch.from_numpy(levels),
            torch.from_numpy(inner == 1),
            torch.from_numpy(inner) if self.spelling.two_positions else None,
        )

    def _placed(
        self, asked: Int[np.ndarray, "probes asked"] | None
    ) -> tuple[Spelled, Int[np.ndarray, " places"], Int[np.ndarray, " places"]]:
        """Return the items asked about, spelled, with the probe and the place of each part."""
        asked = np.zeros((0, 0), dtype=np.int64) if asked is None else asked
        there = asked >= 0
        spelled = self.spelling.spell(asked[there])
        probe = np.repeat(there.nonzero()[0], spelled.lengths)
        firsts = np.searchsorted(probe, np.arange(len(asked)))
        return spelled, probe, np.arange(len(probe)) - firsts[probe]

    def _replies(
        self, examples: Sequence[Example], probes: int
    ) -> Int[Tensor, "batch probes reply"] | None:
        encoded = iter(self.tokenizer.encode_batch([t for e in examples for t in e.replies]))
        replies = [self._said(example, encoded) for example in examples]
        if not any(replies):
            return None
        longest = max(len(tokens) for of_example in replies for tokens in of_example)
        words = np.full((len(examples), probes, longest), NOTHING)
        for b, of_example in enumerate(replies):
            for p, tokens in enumerate(of_example):
                words[b, p, : len(tokens)] = tokens
        return torch.from_numpy(words)

    def _said(self, example: Example, encoded: Iterator[list[int]]) -> list[list[int]]:
        """Return the words that answer each probe; those of ``replies`` come from ``encoded``."""
        if example.hidden is not None:
            spelled = self.spelling.spell(example.history.item_rows)
            blanks = hidden_words(spelled, example.hidden)
            words = [word for blank in blanks for word in (*blank, self.tokenizer.end)]
            return [words[:MAX_BLANK_WORDS]]
        tokens = [next(encoded) for _ in example.replies]
        if example.gap is not None:
            return [[*words, self.tokenizer.end][:MAX_BLANK_WORDS] for words in tokens]
        return [self.reply(words) for words in tokens]

    def reply(self, tokens: Sequence[int]) -> list[int]:
        """Return the words of an answer with the mark that ends it."""
        return [*tokens, self.tokenizer.end][:MAX_REPLY_WORDS]

    def _descriptions(self, queries: Sequence[int]) -> Float[Tensor, "described dim"] | None:
        if not queries or self.query_vectors is None:
            return None
        return torch.from_numpy(self.query_vectors[np.asarray(queries)])


def _ends(spelled: Spelled) -> Int[np.ndarray, " events_and_none"]:
    """Return the number of places that the first 0, 1, 2, ... events take."""
    return np.concatenate([[0], np.cumsum(spelled.lengths)])


def nearest(
    ratings: Float[np.ndarray, " events"], levels: Sequence[float]
) -> Int[np.ndarray, " events"]:
    """Return which of the ``levels`` each rating is nearest to; NOTHING where there is none."""
    unknown = np.isnan(ratings)
    distances = np.abs(np.nan_to_num(ratings)[:, None] - np.asarray(levels))
    return np.where(unknown, NOTHING, distances.argmin(axis=1))
