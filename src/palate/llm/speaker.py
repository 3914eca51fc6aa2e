"""What every speaker can do, and how many requests are answered in order."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain
from typing import Protocol, TypeVar, runtime_checkable

from palate.llm.reply import ChoiceScores, NoReplyError, Outcome, Reply, Usage
from palate.llm.request import SpeakerRequest

Asked = TypeVar("Asked")


@dataclass(frozen=True)
class Lanes:
    """How many requests a speaker takes best."""

    batch: int = 1
    """Requests that are answered together."""
    concurrency: int = 1
    """Batches that are answered at the same time."""


@runtime_checkable
class Speaker(Protocol):
    """Something that answers prompts."""

    @property
    def name(self) -> str:
        """What answers, exactly: two speakers of one name give the same answers."""
        ...

    @property
    def lanes(self) -> Lanes:
        """How many requests it takes at once."""
        ...

    def cost_limit(self, request: SpeakerRequest) -> Usage:
        """Return the most that the reply can cost, repairs included."""
        ...

    def reply(self, request: SpeakerRequest) -> Reply:
        """Answer one request.

        Raises:
            NoReplyError: when there is no answer.
        """
        ...

    def replies(self, requests: Sequence[SpeakerRequest]) -> list[Outcome]:
        """Answer many, each at the place of its request; an error stands where one failed."""
        ...


def in_lanes(
    answer: Callable[[Sequence[Asked]], list[Outcome]],
    requests: Sequence[Asked],
    lanes: Lanes,
) -> list[Outcome]:
    """Answer ``requests`` batch by batch, some at the same time, and keep their order.

    An interrupt gives up whatever has not begun.
    """
    batches = [requests[at : at + lanes.batch] for at in range(0, len(requests), lanes.batch)]
    if lanes.concurrency == 1 or len(batches) <= 1:
        return list(chain.from_iterable(map(answer, batches)))
    pool = ThreadPoolExecutor(min(lanes.concurrency, len(batches)))
    try:
        return list(chain.from_iterable(pool.map(answer, batches)))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def choice_logprobs(
    speaker: Speaker, requests: Sequence[SpeakerRequest]
) -> list[ChoiceScores | NoReplyError]:
    """Return how probable each choice of each request is, in the order of the requests.

    Where the speaker cannot say, or failed the check that is made before its first scores are
    trusted, the error says why.
    """
    outcomes = speaker.replies([replace(request, scored=True) for request in requests])
    return [_scores_of(outcome) for outcome in outcomes]


def _scores_of(outcome: Outcome) -> ChoiceScores | NoReplyError:
    if isinstance(outcome, NoReplyError):
        return outcome
    if outcome.scores is not None:
        return outcome.scores
    reason = outcome.notes[-1] if outcome.notes else "no reason was given"
    return NoReplyError(f"The speaker cannot score choices: {reason}.")
