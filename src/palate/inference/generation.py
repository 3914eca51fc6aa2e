"""How a reply is written, word by word: the likeliest word each time, or one drawn.

Shape suffixes: U prompts, R words of a reply, V vocabulary.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F  # noqa: N812 - the name everyone uses
from jaxtyping import Bool, Float, Int
from torch import Tensor

from palate.language.batch import MAX_TARGET_TOKENS, Batch
from palate.language.entities import EntityTrie
from palate.language.item_format import NOTHING
from palate.language.tokenizer import Tokenizer
from palate.models.cached_decoding import read_on
from palate.models.language_model import RecommendationModel
from palate.models.outputs import Prefix
from palate.models.references import ItemTable
from palate.models.text_head import Copied

_LIKELY = 64
"""Words that are looked at first when one is to be drawn."""


@dataclass(frozen=True)
class SamplingParams:
    """How words are chosen: the likeliest each time, or drawn."""

    max_words: int = MAX_TARGET_TOKENS - 1
    min_words: int = 1
    """An answer is not left empty."""
    temperature: float = 0.0
    """Divides the logits of what is drawn; 0 takes the likeliest word."""
    top_p: float = 0.95
    """Words are drawn from the likeliest that together have this chance (Holtzman et al. 2020)."""
    unrepeated: int = 3
    """No run of so many words is said twice; 0 allows it."""
    drafts: int = 1
    """Of so many drafts, drawn one after the other, the one that agrees most with the others is
    the answer (see :func:`palate.inference.minimum_bayes_risk.minimum_risk`)."""
    trust: float = 0.5
    """What quotes weigh of the drafts and them together."""
    seed: int = 0


def logits_after(
    model: RecommendationModel,
    states: Float[Tensor, "prompts said width"],
    copied: Copied | None,
    going_on: Bool[Tensor, "prompts said places"] | None = None,
) -> Float[Tensor, "prompts said vocabulary"]:
    """Return the logits of the words at some states; at the first alone without ``going_on``."""
    logits = model.word_logits(states).float()
    if copied is None:
        return logits
    return copied.draw(logits, states, copied.first if going_on is None else going_on)


@dataclass(frozen=True)
class Marks:
    """Tokens that are no words."""

    end: int
    never: tuple[int, ...]
    """Never said."""

    @classmethod
    def of(cls, tokenizer: Tokenizer, num_words: int) -> "Marks":
        """Take those of a tokenizer; a pre-trained model may have rows that are no token at all."""
        unused = range(len(tokenizer), num_words)
        # Some begin or pad with the token that ends a text.
        never = {tokenizer.pad, tokenizer.begin, *unused} - {tokenizer.end}
        return cls(tokenizer.end, tuple(sorted(never)))


def say(
    model: RecommendationModel,
    read: tuple[Batch, ItemTable],
    manner: SamplingParams,
    marks: Marks,
    trie: EntityTrie | None,
) -> Int[Tensor, "prompts words"]:
    """Return the words said to each prompt; after the end mark anything may stand."""
    batch, table = read
    generator = torch.Generator(device=batch.token_ids.device).manual_seed(manner.seed)
    states = _states_of(model, batch, table)
    said, going_on = batch.token_ids.new_zeros(len(batch.token_ids), 0), None
    while said.shape[1] < manner.max_words and not bool((said == marks.end).any(dim=1).all()):
        before = states.after(said)[:, None]
        copied = states.copied
        if copied is not None:
            last = said[:, -1:]
            going_on = copied.first if going_on is None else copied.goes_on(going_on, last)
        logits = logits_after(model, before, copied, going_on)[:, 0]
        if trie is None:
            repeating = _repeating(said, logits.shape[1], manner.unrepeated)
            logits.masked_fill_(repeating, -torch.inf)
            logits[:, list(marks.never)] = -torch.inf
            if said.shape[1] < manner.min_words:
                logits[:, marks.end] = -torch.inf
        else:
            allowed = trie.allowed(said)
            logits[:, allowed.shape[1] :] = -torch.inf
            logits[:, : allowed.shape[1]].masked_fill_(~allowed, -torch.inf)
        said = torch.cat([said, _chosen(logits, manner, generator)[:, None]], dim=1)
    return said


def _chosen(
    logits_UV: Float[Tensor, "prompts vocabulary"],  # noqa: N803 - shape suffix
    manner: SamplingParams,
    generator: torch.Generator,
) -> Int[Tensor, " prompts"]:
    if not manner.temperature:
        return logits_UV.argmax(dim=1)
    # The same noise for every prompt: what is said to one does not depend on who else is asked.
    drawn = torch.rand(logits_UV.shape[1], generator=generator, device=logits_UV.device)
    noise = -(-drawn.clamp(min=1e-20).log()).clamp(min=1e-20).log()
    logs_UV = (logits_UV / manner.temperature).log_softmax(dim=1)
    logs, words = _likeliest(logs_UV, manner.top_p)
    unlikely = logs.exp().cumsum(dim=1) - logs.exp() >= manner.top_p
    noisy = (logs + noise[words]).masked_fill(unlikely, -torch.inf)
    return words.gather(1, noisy.argmax(dim=1, keepdim=True))[:, 0]


def _likeliest(
    logs_UV: Float[Tensor, "prompts vocabulary"],  # noqa: N803
    share: float,
) -> tuple[Float[Tensor, "prompts likeliest"], Int[Tensor, "prompts likeliest"]]:
    """Return the likeliest words of each prompt, in order: at least those that have ``share``.

    They are a small part of the vocabulary as a rule, so that it need not be sorted.
    """
    many = _LIKELY
    while True:
        logs, words = logs_UV.topk(min(many, logs_UV.shape[1]), dim=1)
        if many >= logs_UV.shape[1] or bool((logs.exp().sum(dim=1) >= share).all()):
            return logs, words
        many *= 8


def _repeating(
    said_UR: Int[Tensor, "prompts words"],  # noqa: N803
    vocabulary: int,
    length: int,
) -> Bool[Tensor, "prompts vocabulary"]:
    """Mark the words that would make a run of ``length`` words that was said before."""
    marked = torch.zeros(len(said_UR), vocabulary, dtype=torch.bool, device=said_UR.device)
    if not length or said_UR.shape[1] < length:
        return marked
    runs = said_UR.unfold(1, length, 1)
    tail = said_UR[:, said_UR.shape[1] - length + 1 :]
    same = (runs[:, :, :-1] == tail[:, None]).all(dim=2)
    return marked.scatter_(1, torch.where(same, runs[:, :, -1], 0), same)


@runtime_checkable
class _States(Protocol):
    """The state before the next word of each prompt."""

    @property
    def copied(self) -> Copied | None:
        """What the words may copy."""
        ...

    def after(self, said: Int[Tensor, "prompts words"]) -> Float[Tensor, "prompts width"]:
        """Return the states after ``said``, which grows by one word from call to call."""
        ...


def _states_of(model: RecommendationModel, batch: Batch, table: ItemTable) -> _States:
    """Return the quick way, but for blanks, which are not filled at the end of a row."""
    if batch.masks is None:
        return _Kept(model, model.prefix(batch, table))
    return _ReadAnew(model, batch, table)


class _Kept:
    """Reads each word once; mutable, since it keeps what was read."""

    def __init__(self, model: RecommendationModel, prefix: Prefix) -> None:
        assert model.text is not None
        self._model = model
        self._beams = read_on(model.decoder, prefix)
        self._first = prefix.carried + model.text.start
        self.copied = prefix.copied

    def after(self, said: Int[Tensor, "prompts words"]) -> Float[Tensor, "prompts width"]:
        x = self._model.embed_words(said[:, -1]) if said.shape[1] else self._first
        if self._model.entity_positions is not None:
            x = x + self._model.entity_positions.of_reply(said)[:, -1]
        parents = torch.zeros(len(x), 1, dtype=torch.long, device=x.device)
        return self._beams.step(x[:, None], parents)[:, 0]


class _ReadAnew:
    """Reads prompt and words anew for each word: any backbone can, slowly."""

    def __init__(self, model: RecommendationModel, batch: Batch, table: ItemTable) -> None:
        self._model, self._batch, self._table = model, batch, table
        self.copied: Copied | None = None

    def after(self, said: Int[Tensor, "prompts words"]) -> Float[Tensor, "prompts width"]:
        following = F.pad(said, (0, 1), value=NOTHING)[:, None]
        states = self._model.states(self._batch, self._table, users=False, target_ids=following)
        assert states.words is not None
        self.copied = states.copied
        return states.words[:, -1]
