"""A speaker that answers from a list or a function: for tests, and for controls."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock

from palate.llm.answer import checked_value
from palate.llm.reply import Binding, ChoiceScores, NoReplyError, Outcome, Reply, Usage
from palate.llm.request import SpeakerRequest
from palate.llm.speaker import Lanes, in_lanes

Line = str | Mapping[str, object]
"""An answer as text, or as a value that is written as JSON."""


@dataclass(frozen=True)
class Scripted:
    """Answers in turn from ``script``, or each request by a function.

    >>> from palate.llm.request import ask
    >>> Scripted(["yes"]).reply(ask("Is it?", choices=["yes", "no"])).value
    'yes'
    """

    script: Sequence[Line] | Callable[[SpeakerRequest], Line] = ()
    scores: Callable[[SpeakerRequest], Sequence[float]] | None = None
    """Log-probabilities of the choices of a scored request, whose answer is then the best."""
    name: str = "script"
    lanes: Lanes = field(default_factory=Lanes)
    asked: list[SpeakerRequest] = field(default_factory=list)
    """Every request so far, in the order in which they came."""
    _lock: Lock = field(default_factory=Lock, repr=False, compare=False)

    def cost_limit(self, request: SpeakerRequest) -> Usage:
        """Return one call; its tokens are words."""
        return Usage(calls=1, tokens_in=_words_in(request), tokens_out=request.max_tokens)

    def reply(self, request: SpeakerRequest) -> Reply:
        """Say the next line.

        Raises:
            NoReplyError: when the script is over.
        """
        scores = self._scores(request)
        text = self._next_line(request) if scores is None else request.choices[scores.best]
        value, wrong = checked_value(text, request)
        usage = Usage(calls=1, tokens_in=_words_in(request), tokens_out=len(text.split()))
        notes = [f"the answer does not fit: {wrong}"] if wrong else []
        if request.scored and scores is None:
            notes.append("the script has no scores")
        binding: Binding = "script" if request.is_bound else "none"
        return Reply(text, value, binding, usage=usage, notes=tuple(notes), scores=scores)

    def replies(self, requests: Sequence[SpeakerRequest]) -> list[Outcome]:
        """Answer each in turn; see :class:`palate.llm.speaker.Speaker`."""
        return in_lanes(self._batch, requests, self.lanes)

    def _batch(self, requests: Sequence[SpeakerRequest]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for request in requests:
            try:
                outcomes.append(self.reply(request))
            except NoReplyError as error:
                outcomes.append(error)
        return outcomes

    def _scores(self, request: SpeakerRequest) -> ChoiceScores | None:
        if not request.scored or self.scores is None:
            return None
        self._count(request)
        return ChoiceScores(tuple(self.scores(request)), (1,) * len(request.choices))

    def _count(self, request: SpeakerRequest) -> int:
        with self._lock:
            self.asked.append(request)
            return len(self.asked) - 1

    def _next_line(self, request: SpeakerRequest) -> str:
        place = self._count(request)
        if callable(self.script):
            line = self.script(request)
        elif place < len(self.script):
            line = self.script[place]
        else:
            raise NoReplyError(f"The script has {len(self.script)} lines, and one more was asked.")
        return line if isinstance(line, str) else json.dumps(line)


def _words_in(request: SpeakerRequest) -> int:
    return sum(len(message.content.split()) for message in request.messages)
