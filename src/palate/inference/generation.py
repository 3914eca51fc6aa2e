"""Text generation, token by token: greedy, or sampled with temperature and top-p.

Shape suffixes: U prompts, R generated words, V vocabulary.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from palate.language.batch import MAX_TARGET_TOKENS, Batch
from palate.language.entities import EntityTrie
from palate.language.item_format import NOTHING
from palate.language.tokenizer import Tokenizer
from palate.models.language_model import RecommendationModel
from palate.models.outputs import Prefix
from palate.models.references import ItemTable
from palate.models.text_head import Copied

_LIKELY = 64
"""Number of likeliest words examined first when a word is sampled."""


@dataclass(frozen=True)
class SamplingParams:
    """How each word is chosen: the likeliest (greedy), or sampled."""

    max_words: int = MAX_TARGET_TOKENS - 1
    min_words: int = 1
    """Minimum length of an answer."""
    temperature: float = 0.0
    """Divides the logits before sampling; 0 means greedy."""
    top_p: float = 0.95
    """Nucleus sampling: smallest set of words with this probability (Holtzman et al. 2020)."""
    unrepeated: int = 3
    """Length of word n-grams that may not be repeated; 0 allows any repetition."""
    drafts: int = 1
    """Number of drafts to sample; the one that agrees most with the others is the answer
    (see :func:`palate.inference.minimum_bayes_risk.minimum_risk`)."""
    trust: float = 0.5
    """Weight of the quotes against the sampled drafts, 0 to 1."""
    seed: int = 0


def logits_after(
    model: RecommendationModel,
    states: Float[Tensor, "prompts generated width"],
    copied: Copied | None,
    going_on: Bool[Tensor, "prompts generated places"] | None = None,
) -> Float[Tensor, "prompts generated vocabulary"]:
    """Return the logits of the next word at some states.

    Args:
        model: the language model.
        states: decoder states.
        copied: the titles that words may be copied from; None copies nothing.
        going_on: which copies are in progress; None is right at the first word only.
    """
    logits = model.word_logits(states).float()
    if copied is None:
        return logits
    return copied.draw(logits, states, copied.first if going_on is None else going_on)


@dataclass(frozen=True)
class Marks:
    """Control tokens of a tokenizer."""

    end: int
    never: tuple[int, ...]
    """Tokens that are never generated."""

    @classmethod
    def of(cls, tokenizer: Tokenizer, num_words: int) -> "Marks":
        """Return the control tokens; unused rows of a pre-trained model are never generated."""
        unused = range(len(tokenizer), num_words)
        # Some tokenizers use the end token for begin or padding too.
        never = {tokenizer.pad, tokenizer.begin, *unused} - {tokenizer.end}
        return cls(tokenizer.end, tuple(sorted(never)))


def generate(
    model: RecommendationModel,
    read: tuple[Batch, ItemTable],
    sampling: SamplingParams,
    marks: Marks,
    trie: EntityTrie | None,
) -> Int[Tensor, "prompts words"]:
    """Generate words for each prompt; whatever follows an end mark is to be ignored."""
    batch, table = read
    generator = torch.Generator(device=batch.token_ids.device).manual_seed(sampling.seed)
    states = _states_of(model, batch, table)
    generated, going_on = batch.token_ids.new_zeros(len(batch.token_ids), 0), None
    while generated.shape[1] < sampling.max_words and not bool(
        (generated == marks.end).any(dim=1).all()
    ):
        before = states.after(generated)[:, None]
        copied = states.copied
        if copied is not None:
            last = generated[:, -1:]
            going_on = copied.first if going_on is None else copied.goes_on(going_on, last)
        logits = logits_after(model, before, copied, going_on)[:, 0]
        if trie is None:
            repeating = _repeating(generated, logits.shape[1], sampling.unrepeated)
            logits.masked_fill_(repeating, -torch.inf)
            logits[:, list(marks.never)] = -torch.inf
            if generated.shape[1] < sampling.min_words:
                logits[:, marks.end] = -torch.inf
        else:
            allowed = trie.allowed(generated)
            logits[:, allowed.shape[1] :] = -torch.inf
            logits[:, : allowed.shape[1]].masked_fill_(~allowed, -torch.inf)
        generated = torch.cat([generated, _chosen(logits, sampling, generator)[:, None]], dim=1)
    return generated


def _chosen(
    logits_UV: Float[Tensor, "prompts vocabulary"],
    sampling: SamplingParams,
    generator: torch.Generator,
) -> Int[Tensor, " prompts"]:
    if not sampling.temperature:
        return logits_UV.argmax(dim=1)
    # Gumbel-max sampling, with the same noise for every prompt: an answer then does not depend on
    # the other prompts of the batch.
    drawn = torch.rand(logits_UV.shape[1], generator=generator, device=logits_UV.device)
    noise = -(-drawn.clamp(min=1e-20).log()).clamp(min=1e-20).log()
    logs_UV = (logits_UV / sampling.temperature).log_softmax(dim=1)
    logs, words = _likeliest(logs_UV, sampling.top_p)
    unlikely = logs.exp().cumsum(dim=1) - logs.exp() >= sampling.top_p
    noisy = (logs + noise[words]).masked_fill(unlikely, -torch.inf)
    return words.gather(1, noisy.argmax(dim=1, keepdim=True))[:, 0]


def _likeliest(
    logs_UV: Float[Tensor, "prompts vocabulary"],
    share: float,
) -> tuple[Float[Tensor, "prompts likeliest"], Int[Tensor, "prompts likeliest"]]:
    """Return the likeliest words of each prompt, sorted, with total probability ``share`` or more.

    As a rule they are a small part of the vocabulary, so that it need not be sorted as a whole.
    """
    many = _LIKELY
    while True:
        logs, words = logs_UV.topk(min(many, logs_UV.shape[1]), dim=1)
        if many >= logs_UV.shape[1] or bool((logs.exp().sum(dim=1) >= share).all()):
            return logs, words
        many *= 8


def _repeating(
    generated_UR: Int[Tensor, "prompts words"],
    vocabulary: int,
    length: int,
) -> Bool[Tensor, "prompts vocabulary"]:
    """Mark the words that would repeat an n-gram of ``length`` words."""
    marked = torch.zeros(
        len(generated_UR), vocabulary, dtype=torch.bool, device=generated_UR.device
    )
    if not length or generated_UR.shape[1] < length:
        return marked
    runs = generated_UR.unfold(1, length, 1)
    tail = generated_UR[:, generated_UR.shape[1] - length + 1 :]
    same = (runs[:, :, :-1] == tail[:, None]).all(dim=2)
    return marked.scatter_(1, torch.where(same, runs[:, :, -1], 0), same)


@runtime_checkable
class _States(Protocol):
    """Computes the decoder state before the next word of each prompt."""

    @property
    def copied(self) -> Copied | None:
        """The titles that words may be copied from."""
        ...

    def after(self, generated: Int[Tensor, "prompts words"]) -> Float[Tensor, "prompts width"]:
        """Return the states after the generated words, which grow by one word per call."""
        ...


def _states_of(model: RecommendationModel, batch: Batch, table: ItemTable) -> _States:
    """Return cached decoding, except for blanks, which are filled in the middle of a row."""
    if batch.masks is None:
        return _CachedStates(model, model.prefix(batch, table))
    return _RecomputedStates(model, batch, table)


class _CachedStates:
    """Decodes with a key-value cache: each word is read once. Mutable."""

    def __init__(self, model: RecommendationModel, prefix: Prefix) -> None:
        assert model.text is not None
        self._model = model
        self._beams = model.decoder.continue_from(prefix)
        self._first = prefix.context_state + model.text.start
        self.copied = prefix.copied

    def after(self, generated: Int[Tensor, "prompts words"]) -> Float[Tensor, "prompts width"]:
        x = self._model.embed_words(generated[:, -1]) if generated.shape[1] else self._first
        if self._model.entity_positions is not None:
            x = x + self._model.entity_positions.of_answer(generated)[:, -1]
        parents = torch.zeros(len(x), 1, dtype=torch.long, device=x.device)
        return self._beams.step(x[:, None], parents)[:, 0]


class _RecomputedStates:
    """Recomputes the prompt and all words at every step: slow, but works with any backbone."""

    def __init__(self, model: RecommendationModel, batch: Batch, table: ItemTable) -> None:
        self._model, self._batch, self._table = model, batch, table
        self.copied: Copied | None = None

    def after(self, generated: Int[Tensor, "prompts words"]) -> Float[Tensor, "prompts width"]:
        following = F.pad(generated, (0, 1), value=NOTHING)[:, None]
        states = self._model.states(self._batch, self._table, users=False, target_ids=following)
        assert states.words is not None
        self.copied = states.copied
        return states.words[:, -1]
