"""Answers in words and in probabilities: ratings, explanations, summaries, profiles, yes or no.

Everything here asks by the prompts of the tasks a model was trained on, so that asking and training
cannot differ.
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
from palate.trust.grounding import Grounds, factual_sentence, mend
from palate.types import History, Ranking

EXPLANATION_SAMPLING = SamplingParams(min_words=4, temperature=0.7, drafts=6, trust=0.75)
"""A word is no explanation, and the likeliest words in turn soon go round in a circle."""

SUMMARY_SAMPLING = SamplingParams(temperature=0.7, drafts=12, trust=0.6)
"""Titles of reviews vary so much that the likeliest words in turn say little of the text."""

_SCORED_AT_ONCE = 512
"""Prompts for which the scores of the whole catalogue are in memory at a time."""

_MOST_QUOTES = 100
"""Sentences about an item that its explanation may quote."""

_Kind = TypeVar("_Kind", bound=Task)


class TextAnswers:
    """A trained model and its data, asked for what words answer.

    The methods in the plural take prompts, as the tasks make them; the others make their own.
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
        """Answer with the model of ``runner``, trained on ``dataset``.

        Args:
            runner: the model, over the items of training or of a catalogue that has changed.
            dataset: what it was trained on.
            knowledge: of the dataset, where it was collected before.
            catalog: how the items are described now; None as in the dataset.
            grounds: the facts of that catalogue.

        Raises:
            NotTrainedError: when the model was trained on no task that is answered in words.
        """
        self.texts = TextEngine(runner)
        self.runner = runner
        self.parts = runner.parts
        self.dataset = dataset
        self.knowledge = knowledge or Knowledge(runner.parts, dataset)
        self._catalog = catalog or dataset.catalog
        self._grounds = grounds

    @property
    def reviews(self) -> Reviews | None:
        """The reviews of training."""
        return self.knowledge.reviews

    @property
    def grounds(self) -> Grounds:
        """The facts that explanations are held against."""
        return self._grounds or self.knowledge.grounds

    @property
    def material(self) -> Material:
        """What its tasks are made from, but for queries."""
        return self.knowledge.material

    @property
    def tasks(self) -> Mapping[str, Task]:
        """The tasks it was trained on but for search, as its last stage with each asked them."""
        return self.knowledge.tasks

    def task(self, kind: type[_Kind]) -> _Kind:
        """Return the task of a kind.

        Raises:
            NotTrainedError: when the model was not trained on it.
        """
        for task in self.tasks.values():
            if isinstance(task, kind):
                return task
        raise NotTrainedError(
            f"This model was not trained to {kind.to_do}; "
            f"it answers {', '.join(self.parts.tasks)}.",
            hint="Train one that can, from data that shows how: "
            "palate train DATASET MODEL --recipe palate",
        )

    def question(
        self, task: Task, examples: Sequence[Example], wording: str | None = None
    ) -> Question:
        """Return the prompts worded by ``wording``, by the first of the task's family without."""
        return Question(wording or self.parts.prompts[task.asked_as].seen[0], examples)

    # --- Ratings

    def rate(self, history: History, item_row: int) -> Rated:
        """Return how somebody with this history rates an item.

        Raises:
            NotTrainedError: when the model was not trained to rate.
        """
        task = self.task(Rating)
        return self.ratings([task.ask(history, np.asarray([item_row]))])[0]

    def ratings(
        self, examples: Sequence[Example], wording: str | None = None, *, calibrated: bool = True
    ) -> list[Rated]:
        """Return the rating at each prediction of prompts of :class:`Rating`."""
        task = self.task(Rating)
        words = [task.words_of(level) for level in task.levels]
        chances = self.texts.choose(self.question(task, examples, wording), words)
        prior = self.parts.rating_prior
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
        """Return the items by the chance that each is for somebody with this history.

        A model that says no yes or no, but chooses, is asked to choose among them: the scores are
        then the chances of their titles, which add up to one.

        Raises:
            NotTrainedError: when the model was not trained to tell.
            ConfigError: when it chooses, and an item has no title to choose it by.
        """
        if YesNo.name not in self.parts.tasks and Choice.name in self.parts.tasks:
            return self._shares(history, item_rows)
        task = self.task(YesNo)
        chances = self.calibrated_like_probabilities([task.ask(history, item_rows)])
        order = np.argsort(-chances, kind="stable")
        return Ranking(item_rows[order], chances[order])

    def like_probabilities(
        self, examples: Sequence[Example], wording: str | None = None
    ) -> Float[np.ndarray, " predictions"]:
        """Return the chance of *yes* at each prediction of prompts of yes or no, not calibrated."""
        task = self.task(YesNo)
        return self.texts.choose(self.question(task, examples, wording), [YES, NO])[:, 0]

    def calibrated_like_probabilities(
        self, examples: Sequence[Example], wording: str | None = None
    ) -> Float[np.ndarray, " predictions"]:
        """Return the chance of *yes* at each prediction, as often as it is so on the valid part.

        Where *yes* means liked, what biases know of the item and the user is mixed in; where it
        means that the item comes next, what the model scores it by when it recommends.
        """
        chances = self.like_probabilities(examples, wording).astype(np.float64)
        prior = self.parts.like_prior
        if prior is None:
            fitted = self.parts.calibration
            return fitted.applied(chances, self.log_odds(examples) if fitted.trust else None)
        known = above_mean(prior.biases, examples)
        return prior.calibration.applied(no_and_yes(chances), known)[:, 1]

    def log_odds(self, examples: Sequence[Example]) -> Float[np.ndarray, " predictions"] | None:
        """Return the log-odds that the item of each prediction comes next, not at random.

        By Bayes' rule they are ``log p(item | history) - log(1 / items)``, with ``p`` the softmax
        of the scores by which the model recommends. None where it has no such scores. Every
        prediction of a prompt sees the whole history.
        """
        runner = self._by_vectors
        if runner is None or not examples:
            return None
        found = []
        for start in range(0, len(examples), _SCORED_AT_ONCE):
            asked = examples[start : start + _SCORED_AT_ONCE]
            scores = runner.score([example.history for example in asked])
            for logs, example in zip(log_softmax(scores, axis=1), asked, strict=True):
                assert example.candidates is not None
                found.append(logs[example.candidates[:, 0]] + np.log(len(logs)))
        return np.concatenate(found).astype(np.float64)

    @property
    def _by_vectors(self) -> PromptRunner | None:
        """The same model where it recommends the next item by vectors."""
        if "set" not in self.parts.forms or NextItem.name not in self.parts.tasks:
            return None
        return PromptRunner(self.parts, catalogue=self.runner.catalogue)

    def choices(self, examples: Sequence[Example], wording: str | None = None) -> list[Ranking]:
        """Return the items of each prompt of :class:`Choice` by the log-probability of their title.

        Only what is there can be chosen: such an answer is always valid.
        """
        task = self.task(Choice)
        asked = [_candidate_rows(example) for example in examples]
        titles = [[task.titles[row] for row in rows] for rows in asked]
        weights = self.texts.weigh(self.question(task, examples, wording), titles)
        orders = [np.argsort(-weight, kind="stable") for weight in weights]
        return [
            Ranking(rows[order], weight[order])
            for rows, weight, order in zip(asked, weights, orders, strict=True)
        ]

    def _shares(self, history: History, item_rows: Int[np.ndarray, " candidates"]) -> Ranking:
        """Return the items of one choice, with the share that each has of it."""
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

    # --- Words

    def explain(
        self, history: History, item_row: int, aspect: str = "", *, ground: bool = True
    ) -> Explained:
        """Return why an item fits somebody with this history, on an aspect if one is given.

        Args:
            history: who it is for.
            item_row: the item.
            aspect: a word for what to speak of.
            ground: leave out what the catalogue does not bear out.

        Raises:
            NotTrainedError: when the model was not trained to explain.
        """
        task = self.task(Explanation)
        return self.explanations([task.ask(history, item_row, aspect)], ground=ground)[0]

    def explanations(
        self, examples: Sequence[Example], wording: str | None = None, *, ground: bool = True
    ) -> list[Explained]:
        """Return the answer to each prompt of :class:`Explanation`."""
        task = self.task(Explanation)
        written = self.written(task, examples, wording)
        return [
            self._explained(text, example, ground=ground, quotes=self._quotes(task, example))
            for text, example in zip(written, examples, strict=True)
        ]

    def _explained(
        self, written: str, example: Example, *, ground: bool, quotes: Sequence[str]
    ) -> Explained:
        """Leave out what is invented; say something plain and true where nothing is left."""
        quoted = written in map(one_line, quotes)
        if not ground:
            return Explained(written, written, quoted=quoted)
        item_row, history = int(_candidate_rows(example)[0]), example.history
        rows = history.item_rows.tolist()
        verdict = self.grounds.check(written, item_row, rows)
        left = mend(written, verdict).strip()
        plain = factual_sentence(self._catalog, item_row, rows)
        shown = left or plain
        return Explained(
            text=shown,
            written=written,
            invented=tuple(claim.text for claim in verdict.invented),
            quoted=quoted and bool(left),
            fallback=FACTS if shown != written and shown == plain else None,
        )

    def summarise(self, text: str) -> str:
        """Return a short title for a review.

        Raises:
            NotTrainedError: when the model was not trained to summarise.
        """
        task = self.task(Summary)
        return self.written(task, [task.ask(text)])[0]

    def profile(self, history: History) -> str:
        """Return in a sentence what somebody with this history likes.

        Raises:
            NotTrainedError: when the model was not trained to describe users.
        """
        task = self.task(Profile)
        return self.written(task, [task.ask(history)])[0]

    def written(
        self,
        task: Task,
        examples: Sequence[Example],
        wording: str | None = None,
        manner: SamplingParams | None = None,
    ) -> list[str]:
        """Return what the model writes to each prompt of a task, as one printable line.

        An explanation or a summary may be a quotation: of what others wrote of the item, or of the
        review that is summarised.
        """
        manner = manner or _manner(task)
        quotes = [self._quotes(task, example) for example in examples]
        asked = self.question(task, examples, wording)
        texts = self.texts.write(asked, manner, quotes=quotes if any(quotes) else ())
        return [one_line(text) for text in texts]

    def _quotes(self, task: Task, example: Example) -> list[str]:
        """Return what people wrote that may answer a prompt."""
        match task:
            case Explanation():
                told = task.reviews.sentences_about(int(_candidate_rows(example)[0]))
                wanted = words(example.context)
                on_aspect = [s for s in told if set(wanted).intersection(words(s))]
                return (on_aspect or told)[:_MOST_QUOTES]
            case Summary():
                return openings(example.context)
        return []


def _manner(task: Task) -> SamplingParams:
    match task:
        case Explanation():
            return EXPLANATION_SAMPLING
        case Summary():
            return SUMMARY_SAMPLING
    return SamplingParams()


def no_and_yes(chances: Float[np.ndarray, " predictions"]) -> Float[np.ndarray, "predictions two"]:
    """Return the chances of both answers, as of two levels."""
    return np.stack([1 - chances, chances], axis=1)


def above_mean(
    biases: ItemBiases, examples: Sequence[Example]
) -> Float[np.ndarray, " predictions"]:
    """Return what biases say of the one item that each prediction of the prompts asks about.

    Every prediction of a prompt sees the whole history.
    """
    asked = [example.candidates[:, 0] for example in examples if example.candidates is not None]
    return np.concatenate(
        [biases.above_mean(e.history, rows) for e, rows in zip(examples, asked, strict=True)]
    )


def _candidate_rows(example: Example) -> Int[np.ndarray, " asked"]:
    """Return the items that a prompt of one prediction asks about."""
    assert example.candidates is not None
    return np.asarray(example.candidates[0][example.candidates[0] >= 0])
