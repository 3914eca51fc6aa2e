"""Text answers and their probabilities: ratings, explanations, summaries, profiles, yes or no.

All prompts come from the tasks that the model was trained on, so that inference and training use
the same prompts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
from jaxtyping import Float, Int
from scipy.special import log_softmax

from palate.data.catalog import Catalog
from palate.data.dataset import Dataset
from palate.errors import ConfigError, NotTrainedError
from palate.evaluation.rating_baselines import ItemBiases
from palate.inference.generation import SamplingParams
from palate.inference.prompt_runner import PromptRunner
from palate.inference.task_knowledge import Knowledge
from palate.inference.text_results import FACTS, Explained, Rated
from palate.inference.texts import Question, TextEngine
from palate.language.tasks.choice import Choice
from palate.language.tasks.explanation import Explanation
from palate.language.tasks.material import Material
from palate.language.tasks.next_item import NextItem
from palate.language.tasks.profile import Profile
from palate.language.tasks.rating import Rating
from palate.language.tasks.summary import Summary
from palate.language.tasks.task import Example, Task
from palate.language.tasks.yes_no import NO, YES, YesNo
from palate.language.text.plain import one_line, openings, words
from palate.language.text.reviews import Reviews
from palate.trust.grounding import Grounds, drop_invented, factual_sentence
from palate.types import History, Ranking

EXPLANATION_SAMPLING = SamplingParams(min_words=4, temperature=0.7, drafts=6, trust=0.75)
"""A minimum length and sampling, since greedy explanations are short or repetitive."""

SUMMARY_SAMPLING = SamplingParams(temperature=0.7, drafts=12, trust=0.6)
"""Sampling, since greedy decoding gives generic titles."""

_SCORED_AT_ONCE = 512
"""Number of prompts whose whole-catalogue scores are in memory at a time."""

_MOST_QUOTES = 100
"""Maximum number of sentences that an explanation may quote from."""

_Kind = TypeVar("_Kind", bound=Task)


class TextAnswers:
    """Text answers of a trained model.

    Methods with plural names take prompts made by the tasks; the others make their own prompts.
    """

    def __init__(
        self,
        runner: PromptRunner,
        dataset: Dataset,
        *,
        knowledge: Knowledge | None = None,
        catalog: Catalog | None = None,
        grounds: Grounds | None = None,
    ) -> None:
        """Use the model of ``runner``, trained on ``dataset``.

        Args:
            runner: the model, over the training catalogue or a changed one.
            dataset: the training dataset.
            knowledge: data computed from the dataset, if available already.
            catalog: current item descriptions; None means those of the dataset.
            grounds: the facts of that catalogue.

        Raises:
            NotTrainedError: when the model was not trained on any text task.
        """
        self.texts = TextEngine(runner)
        self.runner = runner
        self.system = runner.system
        self.dataset = dataset
        self.knowledge = knowledge or Knowledge(runner.system, dataset)
        self._catalog = catalog or dataset.catalog
        self._grounds = grounds

    @property
    def reviews(self) -> Reviews | None:
        """The reviews of training."""
        return self.knowledge.reviews

    @property
    def grounds(self) -> Grounds:
        """The facts against which explanations are checked."""
        return self._grounds or self.knowledge.grounds

    @property
    def material(self) -> Material:
        """The material of its tasks, without queries."""
        return self.knowledge.material

    @property
    def tasks(self) -> Mapping[str, Task]:
        """Its tasks except search, each with the settings of the last stage that trained it."""
        return self.knowledge.tasks

    def task(self, kind: type[_Kind]) -> _Kind:
        """Return the task of a class.

        Raises:
            NotTrainedError: when the model was not trained on it.
        """
        for task in self.tasks.values():
            if isinstance(task, kind):
                return task
        raise NotTrainedError(
            f"This model was not trained to {kind.to_do}; "
            f"it answers {', '.join(self.system.tasks)}.",
            hint="Train one that can, from data that shows how: "
            "palate train DATASET MODEL --recipe palate",
        )

    def question(
        self, task: Task, examples: Sequence[Example], wording: str | None = None
    ) -> Question:
        """Return the prompts with ``wording``, by default the first one of the task's family."""
        seen = self.system.prompts[task.wording_family].seen
        return Question(wording or seen[0], examples, task.frame)

    # --- Ratings

    def rate(self, history: History, item_row: int) -> Rated:
        """Predict the rating of an item by a user with this history.

        Raises:
            NotTrainedError: when the model was not trained to rate.
        """
        task = self.task(Rating)
        return self.ratings([task.ask(history, np.asarray([item_row]))])[0]

    def ratings(
        self, examples: Sequence[Example], wording: str | None = None, *, calibrated: bool = True
    ) -> list[Rated]:
        """Return the predicted rating for each prediction of :class:`Rating` prompts."""
        task = self.task(Rating)
        words = [task.words_of(level) for level in task.levels]
        chances = self.texts.choose(self.question(task, examples, wording), words)
        prior = self.system.rating_prior
        if calibrated and prior is not None:
            known = above_mean(prior.biases, examples)
            chances = prior.calibration.applied(chances, known)
        levels, best = np.asarray(task.levels), chances.argmax(axis=1).tolist()
        return [
            Rated(
                value=float(levels @ of_levels),
                likeliest=task.levels[at],
                words=words[at],
                levels=tuple(task.levels),
                chances=of_levels,
            )
            for at, of_levels in zip(best, chances, strict=True)
        ]

    # --- Yes or no, and choices

    def rank(self, history: History, item_rows: Int[np.ndarray, " candidates"]) -> Ranking:
        """Rank items by the probability that each fits a user with this history.

        A model that was trained to choose but not on yes or no chooses among the items: the scores
        are then the probabilities of their titles, which sum to one.

        Raises:
            NotTrainedError: when the model was trained on neither.
            ConfigError: when it chooses, and an item has no title to choose it by.
        """
        if YesNo.name not in self.system.tasks and Choice.name in self.system.tasks:
            return self._shares(history, item_rows)
        task = self.task(YesNo)
        chances = self.calibrated_like_probabilities([task.ask(history, item_rows)])
        order = np.argsort(-chances, kind="stable")
        return Ranking(item_rows[order], chances[order])

    def like_probabilities(
        self, examples: Sequence[Example], wording: str | None = None
    ) -> Float[np.ndarray, " predictions"]:
        """Return the uncalibrated probability of *yes* for each prediction."""
        task = self.task(YesNo)
        return self.texts.choose(self.question(task, examples, wording), [YES, NO])[:, 0]

    def calibrated_like_probabilities(
        self, examples: Sequence[Example], wording: str | None = None
    ) -> Float[np.ndarray, " predictions"]:
        """Return the probability of *yes* for each prediction, calibrated on the validation split.

        Where *yes* means liked, item and user biases are mixed in; where it means that the item
        comes next, the log-odds of the recommendation scores.
        """
        chances = self.like_probabilities(examples, wording).astype(np.float64)
        prior = self.system.like_prior
        if prior is None:
            fitted = self.system.calibration
            return fitted.applied(chances, self.log_odds(examples) if fitted.trust else None)
        known = above_mean(prior.biases, examples)
        return prior.calibration.applied(no_and_yes(chances), known)[:, 1]

    def log_odds(self, examples: Sequence[Example]) -> Float[np.ndarray, " predictions"] | None:
        """Return the log-odds that the item of each prediction is the next item, not a random one.

        By Bayes' rule they are ``log p(item | history) - log(1 / items)``, with ``p`` the softmax
        of the scores by which the model recommends. None where it has no such scores. Every
        prediction of a prompt sees the whole history.
        """
        runner = self._by_vectors
        if runner is None or not examples:
            return None
        found = []
        for start in range(0, len(examples), _SCORED_AT_ONCE):
            batch = examples[start : start + _SCORED_AT_ONCE]
            scores = runner.score([example.history for example in batch])
            for logs, example in zip(log_softmax(scores, axis=1), batch, strict=True):
                assert example.candidates is not None
                found.append(logs[example.candidates[:, 0]] + np.log(len(logs)))
        return np.concatenate(found).astype(np.float64)

    @property
    def _by_vectors(self) -> PromptRunner | None:
        """A runner of the same model for next-item vectors; None where it has none."""
        if "set" not in self.system.forms or NextItem.name not in self.system.tasks:
            return None
        return PromptRunner(self.system, catalogue=self.runner.catalogue)

    def choices(self, examples: Sequence[Example], wording: str | None = None) -> list[Ranking]:
        """Rank the candidates of each :class:`Choice` prompt by log-probability of their titles.

        Only candidates are scored, so the answer is always valid.
        """
        task = self.task(Choice)
        candidates = [_candidate_rows(example) for example in examples]
        titles = [[task.titles[row] for row in rows] for rows in candidates]
        weights = self.texts.score_options(self.question(task, examples, wording), titles)
        orders = [np.argsort(-weight, kind="stable") for weight in weights]
        return [
            Ranking(rows[order], weight[order])
            for rows, weight, order in zip(candidates, weights, orders, strict=True)
        ]

    def _shares(self, history: History, item_rows: Int[np.ndarray, " candidates"]) -> Ranking:
        """Rank the items of one choice, with probabilities that sum to one."""
        task = self.task(Choice)
        nameless = [row for row in item_rows.tolist() if not task.titles[row]]
        if nameless:
            item_id = str(self._catalog.vocabulary.ids[nameless[0]])
            raise ConfigError(
                f"The item {item_id!r} has no title, and this model chooses among titles.",
                hint="Leave it out, or give it a title in the items table.",
            )
        pick = self.choices([task.ask(history, item_rows)])[0]
        shares = np.exp(pick.scores - pick.scores.max(initial=-np.inf))
        return replace(pick, scores=shares / shares.sum())

    # --- Generated texts

    def explain(
        self, history: History, item_row: int, aspect: str = "", *, ground: bool = True
    ) -> Explained:
        """Explain why an item fits a user with this history, on an aspect if given.

        Args:
            history: the history of the user.
            item_row: the item.
            aspect: aspect of the explanation, as a word.
            ground: remove claims that the catalogue does not support.

        Raises:
            NotTrainedError: when the model was not trained to explain.
        """
        task = self.task(Explanation)
        return self.explanations([task.ask(history, item_row, aspect)], ground=ground)[0]

    def explanations(
        self, examples: Sequence[Example], wording: str | None = None, *, ground: bool = True
    ) -> list[Explained]:
        """Return the explanation for each :class:`Explanation` prompt."""
        task = self.task(Explanation)
        texts = self.generate(task, examples, wording)
        return [
            self._explained(text, example, ground=ground, quotes=self._quotes(task, example))
            for text, example in zip(texts, examples, strict=True)
        ]

    def _explained(
        self, generated: str, example: Example, *, ground: bool, quotes: Sequence[str]
    ) -> Explained:
        """Remove invented claims; fall back to a factual sentence if nothing remains."""
        quoted = generated in map(one_line, quotes)
        if not ground:
            return Explained(generated, generated, quoted=quoted)
        item_row, history = int(_candidate_rows(example)[0]), example.history
        rows = history.item_rows.tolist()
        verdict = self.grounds.check(generated, item_row, rows)
        left = drop_invented(generated, verdict).strip()
        plain = factual_sentence(self._catalog, item_row, rows)
        shown = left or plain
        return Explained(
            text=shown,
            generated=generated,
            invented=tuple(claim.text for claim in verdict.invented),
            quoted=quoted and bool(left),
            fallback=FACTS if shown != generated and shown == plain else None,
        )

    def summarise(self, text: str) -> str:
        """Return a short title for a review.

        Raises:
            NotTrainedError: when the model was not trained to summarise.
        """
        task = self.task(Summary)
        return self.generate(task, [task.ask(text)])[0]

    def profile(self, history: History) -> str:
        """Describe in one sentence what a user with this history likes.

        Raises:
            NotTrainedError: when the model was not trained to describe users.
        """
        task = self.task(Profile)
        return self.generate(task, [task.ask(history)])[0]

    def generate(
        self,
        task: Task,
        examples: Sequence[Example],
        wording: str | None = None,
        sampling: SamplingParams | None = None,
    ) -> list[str]:
        """Return the generated text for each prompt of a task, as one printable line.

        An explanation may quote a review of the item; a summary may quote the review itself.
        """
        sampling = sampling or _sampling_of(task)
        quotes = [self._quotes(task, example) for example in examples]
        question = self.question(task, examples, wording)
        texts = self.texts.generate(question, sampling, quotes=quotes if any(quotes) else ())
        return [one_line(text) for text in texts]

    def _quotes(self, task: Task, example: Example) -> list[str]:
        """Return the sentences by people that may answer a prompt."""
        match task:
            case Explanation():
                sentences = task.reviews.sentences_about(int(_candidate_rows(example)[0]))
                wanted = words(example.context)
                on_aspect = [s for s in sentences if set(wanted).intersection(words(s))]
                return (on_aspect or sentences)[:_MOST_QUOTES]
            case Summary():
                return openings(example.context)
        return []


def _sampling_of(task: Task) -> SamplingParams:
    match task:
        case Explanation():
            return EXPLANATION_SAMPLING
        case Summary():
            return SUMMARY_SAMPLING
    return SamplingParams()


def no_and_yes(chances: Float[np.ndarray, " predictions"]) -> Float[np.ndarray, "predictions two"]:
    """Return the probabilities of both answers, *no* first, as two rating levels."""
    return np.stack([1 - chances, chances], axis=1)


def above_mean(
    biases: ItemBiases, examples: Sequence[Example]
) -> Float[np.ndarray, " predictions"]:
    """Return the bias prediction for the single candidate of each prediction.

    Every prediction of a prompt sees the whole history.
    """
    candidates = [
        example.candidates[:, 0] for example in examples if example.candidates is not None
    ]
    return np.concatenate(
        [biases.above_mean(e.history, rows) for e, rows in zip(examples, candidates, strict=True)]
    )


def _candidate_rows(example: Example) -> Int[np.ndarray, " candidates"]:
    """Return the candidates of a prompt with one prediction."""
    assert example.candidates is not None
    return np.asarray(example.candidates[0][example.candidates[0] >= 0])
