"""Text answers: generated token by token, or scored against given options.

Shape suffixes: U prompts, K options of a prompt, R words of an answer, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from palate.errors import NotTrainedError
from palate.inference.beam import beam_search
from palate.inference.code_scorers import ModelTitles
from palate.inference.generation import Marks, SamplingParams, generate, logits_after
from palate.inference.minimum_bayes_risk import minimum_risk
from palate.inference.prompt_runner import BEAM_LOGITS_AT_ONCE, TOKENS_PER_BATCH, PromptRunner
from palate.items.codes.prefix_table import PrefixTable
from palate.language.batch import MAX_TARGET_TOKENS, Batch
from palate.language.entities import EntityTrie
from palate.language.item_format import NOTHING
from palate.language.tasks.task import MAX_CONTEXT_TOKENS, PLAIN_FRAME, Example, Frame
from palate.language.token_budget import cut_by_tokens
from palate.models.language_model import RecommendationModel
from palate.models.outputs import Prefix
from palate.models.references import ItemTable
from palate.types import Ranking

_PROMPTS_AT_ONCE = 256


@dataclass(frozen=True)
class Question:
    """Prompts of one prediction each, worded alike."""

    instruction: str
    examples: Sequence[Example]
    frame: Frame = PLAIN_FRAME
    """What a prompt in text says around the examples (see :attr:`Task.frame`)."""


class TextEngine:
    """Generates and scores text answers with a trained model."""

    def __init__(self, runner: PromptRunner) -> None:
        """Use the model of ``runner`` and its catalogue.

        Raises:
            NotTrainedError: when the model was trained on no task that is answered in words.
        """
        system = runner.system
        if system.model.text is None:
            raise NotTrainedError(
                "This model was not trained to answer in words; "
                f"it answers {', '.join(system.tasks)}.",
                hint="Train one that can: palate train DATASET MODEL --recipe palate",
            )
        self.runner = runner
        self.batch_builder = system.batch_builder()

    def score_options(
        self, question: Question, options: Sequence[Sequence[str]]
    ) -> list[Float[np.ndarray, " options"]]:
        """Return the log-probability of each option of each prompt; prompts have one prediction.

        The end mark counts as part of an option, so that options of different lengths are compared
        as whole answers. The prompt is read once for all its options.
        """
        tokenizer, found = self.runner.system.tokenizer, [np.zeros(0, np.float32)] * len(options)
        most = max((len(of_prompt) for of_prompt in options), default=0)
        for chosen, batch in self._batches(question, max(_PROMPTS_AT_ONCE // max(most, 1), 1)):
            if not any(options[prompt] for prompt in chosen):
                continue
            encoded = [tokenizer.encode_batch(list(options[prompt])) for prompt in chosen]
            target_texts = [
                [self.batch_builder.target(words) for words in each] for each in encoded
            ]
            with torch.inference_mode():
                model, read, table = self._read(batch)
                prefix = model.prefix(read, table)
                logs = option_log_probabilities(model, prefix, _padded(target_texts)).cpu().numpy()
            for prompt, of_prompt in zip(chosen, logs, strict=True):
                found[prompt] = of_prompt[: len(options[prompt])]
        return found

    def choose(
        self, question: Question, options: Sequence[str]
    ) -> Float[np.ndarray, "predictions options"]:
        """Return the probability of each option among ``options``, the same for all predictions.

        Options of a single word are scored in one pass; longer ones in one pass each. The
        predictions of all prompts are concatenated.
        """
        tokens = self.runner.system.tokenizer.encode_batch(list(options))
        if all(len(words) == 1 for words in tokens):
            logs = self._first_words(question, [words[0] for words in tokens])
        else:
            each = [self._log_probabilities(_with_target(question, option)) for option in options]
            logs = np.stack(each, axis=1)
        shares = np.exp(logs - logs.max(axis=1, keepdims=True))
        return np.asarray(shares / shares.sum(axis=1, keepdims=True))

    def log_likelihood(self, question: Question) -> float:
        """Return the mean log-probability per word of the target texts; 0 without target texts."""
        total, words = 0.0, 0
        for _, batch in self._batches(question):
            with torch.inference_mode():
                model, read, table = self._read(batch)
                total += float(target_log_probabilities(model, read, table).sum())
            assert batch.target_ids is not None
            words += int((batch.target_ids >= 0).sum())
        return total / max(words, 1)

    def search(
        self,
        question: Question,
        titles: PrefixTable,
        n: int,
        *,
        beams: int,
        seen: Int[np.ndarray, "prompts seen"] | None = None,
    ) -> list[Ranking]:
        """Return the items whose titles are the likeliest answers; prompts have one prediction.

        Args:
            question: the prompts.
            titles: the titles to choose from (see :mod:`palate.items.codes.title_codes`).
            n: items of a list.
            beams: beam width; at least ``n`` is used.
            seen: item rows to leave out, padded with -1.
        """
        beams = min(max(beams, n), max(len(titles), 1))
        rankings: dict[int, Ranking] = {}
        most = max(1, BEAM_LOGITS_AT_ONCE // max(titles.sizes) // beams)
        for prompts, batch in self._batches(question, min(most, _PROMPTS_AT_ONCE)):
            gone = (
                None if seen is None else torch.from_numpy(seen[prompts]).to(batch.token_ids.device)
            )
            with torch.inference_mode():
                model, read, table = self._read(batch)
                scorer = ModelTitles(
                    model,
                    model.prefix(read, table),
                    end=self.runner.system.tokenizer.end,
                    most_words=titles.num_levels - 1,
                )
                rows, scores = beam_search(scorer, titles, beams=beams, n=n, seen=gone)
            for prompt, row, score in zip(
                prompts.tolist(), rows.cpu().numpy(), scores.cpu().numpy(), strict=True
            ):
                rankings[prompt] = Ranking(row[row >= 0], score[row >= 0])
        return [rankings[prompt] for prompt in range(len(question.examples))]

    def _log_probabilities(self, question: Question) -> Float[np.ndarray, " predictions"]:
        found = np.empty(sum(len(e.prefix_lengths) for e in question.examples), dtype=np.float32)
        for predictions, batch in self._batches(question):
            with torch.inference_mode():
                found[predictions] = target_log_probabilities(*self._read(batch)).cpu().numpy()
        return found

    def _first_words(
        self, question: Question, words: Sequence[int]
    ) -> Float[np.ndarray, "predictions options"]:
        prompts = _with_target(question, "")
        count = sum(len(example.prefix_lengths) for example in prompts.examples)
        found = np.empty((count, len(words)), dtype=np.float32)
        for predictions, batch in self._batches(prompts):
            with torch.inference_mode():
                model, read, table = self._read(batch)
                states = model.states(read, table, users=False, target_ids=read.target_ids)
                assert states.words is not None
                logits = logits_after(model, states.words, states.copied)[:, 0]
                found[predictions] = logits.log_softmax(dim=-1)[:, list(words)].cpu().numpy()
        return found

    def generate(
        self,
        question: Question,
        sampling: SamplingParams | None = None,
        *,
        trie: EntityTrie | None = None,
        quotes: Sequence[Sequence[str]] = (),
    ) -> list[str]:
        """Generate an answer to each prompt, token by token; prompts have one prediction.

        Args:
            question: the prompts; in a prompt with blanks only the first blank is filled.
            sampling: how each word is chosen; greedy by default.
            trie: restricts answers to these texts; repeated words are then allowed.
            quotes: for each prompt, sentences by people that compete with the sampled drafts.
        """
        sampling = sampling or SamplingParams()
        if sampling.drafts > 1 or quotes:
            each = [
                self.generate(
                    question, replace(sampling, drafts=1, seed=sampling.seed + draft), trie=trie
                )
                for draft in range(sampling.drafts)
            ]
            beside = quotes or [()] * len(question.examples)
            return [
                minimum_risk(drafts, quoted, trust=sampling.trust)
                for *drafts, quoted in zip(*each, beside, strict=True)
            ]
        trie = None if trie is None else trie.to(self.runner.system.model.queries.device)
        tokenizer = self.runner.system.tokenizer
        marks = Marks.of(tokenizer, self.runner.system.model.num_words)
        texts = [""] * len(question.examples)
        for chosen, batch in self._batches(question):
            with torch.inference_mode():
                model, read, table = self._read(batch)
                generated = generate(model, (read, table), sampling, marks, trie)
            for number, words in zip(chosen, generated.tolist(), strict=True):
                ended = words.index(tokenizer.end) if tokenizer.end in words else len(words)
                # Byte-level tokens may end inside a character: drop what is left of it.
                texts[number] = tokenizer.decode(words[:ended]).replace("\ufffd", "").strip()
        return texts

    def _read(self, batch: Batch) -> tuple[RecommendationModel, Batch, ItemTable]:
        return self.runner.system.model, *self.runner.with_items(batch)

    def _batches(
        self, question: Question, at_once: int = _PROMPTS_AT_ONCE
    ) -> Iterator[tuple[Int[np.ndarray, " predictions"], Batch]]:
        """Yield batches of prompts of similar length, with the numbers of their predictions."""
        model, examples = self.runner.system.model, question.examples
        if model.training:
            model.train(mode=False)
        counts = np.asarray([len(example.prefix_lengths) for example in examples])
        firsts = np.cumsum(counts) - counts
        lengths = np.asarray([self._length(example) for example in examples], dtype=np.int64)
        for chosen in cut_by_tokens(
            lengths, extra=MAX_TARGET_TOKENS, budget=TOKENS_PER_BATCH, most=at_once
        ):
            batch = self.batch_builder.batch(
                question.instruction, [examples[n] for n in chosen], question.frame
            )
            predictions = [np.arange(firsts[n], firsts[n] + counts[n]) for n in chosen]
            yield np.concatenate(predictions), batch.to(model.queries.device)

    def num_tokens(self, question: Question) -> int:
        """Return approximately how many tokens the prompts of a question have."""
        return sum(map(self._length, question.examples))

    def _length(self, example: Example) -> int:
        """Return the approximate length of a prompt in tokens."""
        candidates = 0 if example.candidates is None else example.candidates.size
        items = (len(example.history) + candidates) * self.batch_builder.item_format.places
        return items + min(len(example.context), MAX_CONTEXT_TOKENS)


def _with_target(question: Question, text: str) -> Question:
    """Return the question with the same target text for every prediction."""
    examples = [replace(e, target_texts=(text,) * len(e.prefix_lengths)) for e in question.examples]
    return replace(question, examples=examples)


def target_log_probabilities(
    model: RecommendationModel, batch: Batch, table: ItemTable
) -> Float[Tensor, " prompts"]:
    """Return the log-probability of the whole target text of each prediction."""
    assert batch.target_ids is not None
    states = model.states(batch, table, users=False, target_ids=batch.target_ids)
    wanted = batch.target_ids[batch.prefix_lengths >= 0]
    assert states.words is not None
    along = None if states.copied is None else states.copied.along(wanted)
    logs = logits_after(model, states.words, states.copied, along).log_softmax(dim=-1)
    of_words = logs.gather(2, wanted.clamp(min=0)[..., None])[..., 0]
    return (of_words * (wanted >= 0)).sum(dim=1)


def option_log_probabilities(
    model: RecommendationModel,
    prefix: Prefix,
    options_UKR: Int[Tensor, "prompts options words"],
) -> Float[Tensor, "prompts options"]:
    """Return the log-probability of each option; each option is decoded as a beam of its prompt.

    Args:
        model: the language model.
        prefix: the encoded prompts.
        options_UKR: token ids of the options, padded with NOTHING on the right.
    """
    assert model.text is not None
    options_UKR = options_UKR.to(prefix.context_state.device)
    U, K, R = options_UKR.shape
    beams = model.decoder.continue_from(prefix)
    # Teacher forcing on a shared prompt. The first step has one beam per prompt, the start
    # symbol; from the second step on beam k reads the words of option k:
    #   prompt | start -> word 0 of all K options | word 0 of option k -> word 1 of option k | ...
    previous = options_UKR.new_zeros(U, 1, 0)
    x, parents = (prefix.context_state + model.text.start)[:, None], options_UKR.new_zeros(U, 1)
    totals = prefix.context_state.new_zeros(U, K)
    going_on = None if prefix.copied is None else prefix.copied.first
    for place in range(R):
        if model.entity_positions is not None:
            x = x + model.entity_positions.of_answer(previous.flatten(0, 1))[:, -1].view_as(x)
        logits = logits_after(model, beams.step(x, parents), prefix.copied, going_on)
        logs, words = logits.log_softmax(dim=-1).expand(-1, K, -1), options_UKR[:, :, place]
        if prefix.copied is not None and going_on is not None:
            going_on = prefix.copied.goes_on(going_on, words)
        of_words = logs.gather(2, words.clamp(min=0)[..., None])[..., 0]
        totals = totals + of_words * (words >= 0)
        previous, x = options_UKR[:, :, : place + 1], model.embed_words(words.clamp(min=0))
        parents = (
            torch.arange(K, device=x.device).expand(U, K) if place else torch.zeros_like(words)
        )
    return totals


def _padded(
    target_texts: Sequence[Sequence[Sequence[int]]],
) -> Int[Tensor, "prompts options words"]:
    """Return a tensor of token ids, padded with NOTHING over options and words."""
    shape = (
        max(len(of_prompt) for of_prompt in target_texts),
        max(len(words) for of_prompt in target_texts for words in of_prompt),
    )
    padded = np.full((len(target_texts), *shape), NOTHING)
    for prompt, of_prompt in enumerate(target_texts):
        for option, words in enumerate(of_prompt):
            padded[prompt, option, : len(words)] = words
    return torch.from_numpy(padded)
