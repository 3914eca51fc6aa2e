"""How answers are read: by log-probability where it can be trusted, else as a list of numbers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from jaxtyping import Float

from palate.inference.prompting.tally import Tally
from palate.inference.prompting.views import View
from palate.inference.prompting.writer import MARKS, AnswerKind, Question
from palate.llm.reply import ChoiceScores, NoReplyError, Outcome, Reply
from palate.llm.request import SpeakerRequest
from palate.llm.speaker import Speaker


@dataclass(frozen=True, eq=False)
class Read:
    """What an answer says of the candidates of a view."""

    values: Float[np.ndarray, " shown"]
    """Higher is better; NaN for one that was not named."""
    kind: AnswerKind
    """What it was read as, which need not be what was asked for first."""


Write = Callable[[View, AnswerKind], Question]

_READ = {"letters": "by letters", "pair": "by letters", "titles": "by titles", "marks": "by marks"}


class Reader:
    """Asks a speaker about views, and counts what became of it."""

    def __init__(self, speaker: Speaker, tally: Tally, *, per_token: bool = False) -> None:
        """Take who is asked.

        Args:
            speaker: who is asked.
            tally: where everything is counted.
            per_token: whether a title's value is that of its mean token.
        """
        self._speaker, self.tally, self._per_token = speaker, tally, per_token
        self._scores_trusted: bool | None = None

    def ask(self, requests: Sequence[SpeakerRequest]) -> list[Outcome]:
        """Ask everything, and count answers, notes and costs."""
        outcomes = self._speaker.replies(requests)
        for outcome in outcomes:
            self.tally.book(outcome)
        return outcomes

    def read(self, views: Sequence[View], kind: AnswerKind, write: Write) -> list[Read | None]:
        """Return what is said of each view; None where no answer could be read."""
        if kind == "indices":
            return self._indices(views, write)
        questions = [write(view, kind) for view in views]
        outcomes = self._scored([question.request for question in questions], kind)
        found = [
            self._of_scores(kind, outcome, question)
            for outcome, question in zip(outcomes, questions, strict=True)
        ]
        if kind == "marks":
            return [
                self._mark_said(outcome) if one is None else one
                for outcome, one in zip(outcomes, found, strict=True)
            ]
        # Where a reply came without scores, the same is asked as a list of numbers.
        again = [n for n, each in enumerate(outcomes) if found[n] is None and _came(each)]
        for place, one in zip(again, self._indices([views[n] for n in again], write), strict=True):
            found[place] = one
        return found

    def _scored(self, requests: Sequence[SpeakerRequest], kind: AnswerKind) -> list[Outcome | None]:
        """Ask for scores; None where that is known to be of no use.

        The first question of all is asked alone: whether its scores can be trusted decides for all.
        """
        if self._scores_trusted is False and kind != "marks":
            return [None] * len(requests)
        first = requests[:1] if self._scores_trusted is None else []
        outcomes: list[Outcome | None] = list(self.ask(first))
        if first and isinstance(outcomes[0], Reply):
            self._scores_trusted = outcomes[0].scores is not None
            if not self._scores_trusted:
                self._told_unscored(outcomes[0])
                return outcomes + self._scored(requests[1:], kind)
        rest = requests[len(first) :]
        if self._scores_trusted is False:
            rest = [replace(request, scored=False) for request in rest]
        return [*outcomes, *self.ask(rest)]

    def _told_unscored(self, reply: Reply) -> None:
        self.tally.count("speakers without trusted log-probabilities")
        why = reply.notes[-1] if reply.notes else "no reason was given"
        self.tally.reason(f"no log-probabilities, so answers are read as they are said: {why}")

    def _of_scores(
        self, kind: AnswerKind, outcome: Outcome | None, question: Question
    ) -> Read | None:
        if not isinstance(outcome, Reply) or outcome.scores is None:
            return None
        self.tally.count(f"questions read {_READ[kind]}")
        scores = outcome.scores
        if kind == "marks":
            return Read(np.asarray([expected_mark(scores)]), kind)
        values = np.asarray(scores.per_token if self._per_token else scores.logprobs, dtype=float)
        values[np.isneginf(values)] = np.nan
        values = values[list(question.choice_of)]
        self.tally.count("candidates not named", int(np.isnan(values).sum()))
        return Read(values, kind)

    def _mark_said(self, outcome: Outcome | None) -> Read | None:
        if isinstance(outcome, Reply) and outcome.value in MARKS:
            self.tally.count("questions read by marks as they are said")
            return Read(np.asarray([float(str(outcome.value))]), "marks")
        self.tally.count("questions without an answer that fits")
        return None

    def _indices(self, views: Sequence[View], write: Write) -> list[Read | None]:
        outcomes = self.ask([write(view, "indices").request for view in views])
        return [self._order(outcome, view) for outcome, view in zip(outcomes, views, strict=True)]

    def _order(self, outcome: Outcome, view: View) -> Read | None:
        value = outcome.value if isinstance(outcome, Reply) else None
        if not isinstance(value, Mapping):
            self.tally.count("questions without an answer that fits")
            return None
        said = cast(Sequence[int], value["ranking"])
        self.tally.count("questions read by indices")
        values = order_values(said, len(view.shown))
        self.tally.count("numbers said twice", len(said) - len(set(said)))
        self.tally.count("candidates not named", int(np.isnan(values).sum()))
        return Read(values, "indices")


def order_values(said: Sequence[int], candidates: int) -> Float[np.ndarray, " shown"]:
    """Return minus the place of the first mention of each of the numbers from 1 on.

    >>> order_values([2, 2, 1], 3).tolist()
    [-2.0, -0.0, nan]
    """
    values = np.full(candidates, np.nan)
    for place, number in enumerate(said):
        if np.isnan(values[number - 1]):
            values[number - 1] = -float(place)
    return values


def expected_mark(scores: ChoiceScores) -> float:
    """Return the mean of the marks, each weighed by its probability among them."""
    logprobs = np.asarray(scores.logprobs, dtype=float)
    chances = np.exp(logprobs - logprobs.max())
    return float(chances @ np.arange(1, len(chances) + 1) / chances.sum())


def _came(outcome: Outcome | None) -> bool:
    """Return whether asking otherwise is of use: it is not where the speaker cannot be reached."""
    return not isinstance(outcome, NoReplyError)
