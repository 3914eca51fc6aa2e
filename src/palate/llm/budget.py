"""A limit on what speaking may cost, held before the cost arises.

What a reply can cost at most is set aside before the request is sent; what it did cost is booked
afterwards, and the rest is free again. So a limit holds also when many requests are under way.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from threading import Condition

from palate.llm.reply import NoReplyError, Outcome, Reply, Usage, reply_of
from palate.llm.request import SpeakerRequest
from palate.llm.speaker import Lanes, Speaker, in_lanes


class OverBudgetError(NoReplyError):
    """A request was not sent, because it could have cost more than is left."""


@dataclass(frozen=True)
class Limits:
    """The most that may be spent; None where it does not matter."""

    calls: int | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    seconds: float | None = None
    """Time on the clock from the first request on."""
    money: float | None = None
    """In the currency of the prices."""


@dataclass(frozen=True)
class Prices:
    """What a million tokens cost."""

    tokens_in: float = 0.0
    tokens_out: float = 0.0

    def of(self, usage: Usage) -> float:
        """Return the price of ``usage``."""
        return (usage.tokens_in * self.tokens_in + usage.tokens_out * self.tokens_out) / 1e6


class Budget:
    """What is spent and what may be, shared by any number of speakers and threads."""

    def __init__(
        self,
        limits: Limits,
        prices: Prices | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with nothing spent; ``clock`` tells the time in seconds."""
        self.limits, self.prices = limits, prices or Prices()
        self.spent = Usage()
        self._clock = clock
        self._started: float | None = None
        self._set_aside: list[Usage] = []
        self._changed = Condition()

    @property
    def money(self) -> float:
        """The price of what is spent."""
        return self.prices.of(self.spent)

    @property
    def seconds_left(self) -> float | None:
        """Time until the end; None where there is no limit."""
        if self.limits.seconds is None:
            return None
        now = self._clock()
        if self._started is None:
            self._started = now
        return self._started + self.limits.seconds - now

    def set_aside(self, most: Usage, *, wait: bool = True) -> bool:
        """Set ``most`` aside and return True, where need be after others have settled.

        Without ``wait``, return False where only what others may give back would make room.

        Raises:
            OverBudgetError: when it could cost more than is left.
        """
        with self._changed:
            while True:
                self._refuse_unless_fits(most)
                pending = sum(self._set_aside, Usage())
                if not self._exceeded(self.spent + pending + most):
                    self._set_aside.append(most)
                    return True
                if not wait:
                    return False
                self._changed.wait(self.seconds_left)

    def settle(self, most: Usage, spent: Usage) -> None:
        """Book what was spent of ``most``, which was set aside."""
        with self._changed:
            self._set_aside.remove(most)
            self.spent += spent
            self._changed.notify_all()

    def _refuse_unless_fits(self, most: Usage) -> None:
        left = self.seconds_left
        if left is not None and left <= 0:
            raise OverBudgetError(
                f"The budget of {self.limits.seconds:g} seconds is over.", hint=_HINT
            )
        exceeded = self._exceeded(self.spent + most)
        if exceeded:
            name, total, limit = exceeded
            spent = total - self._amounts(most)[name]
            raise OverBudgetError(
                f"The budget of {limit:g} {_WORDS[name]} does not allow another request: "
                f"{spent:g} are spent, and it may take {total - spent:g}.",
                hint=_HINT,
            )

    def _exceeded(self, usage: Usage) -> tuple[str, float, float] | None:
        """Return the first limit that ``usage`` exceeds: its name, the amount, the limit."""
        for name, amount in self._amounts(usage).items():
            limit = getattr(self.limits, name)
            if limit is not None and amount > limit:
                return name, amount, float(limit)
        return None

    def _amounts(self, usage: Usage) -> dict[str, float]:
        return {
            "calls": float(usage.calls),
            "tokens_in": float(usage.tokens_in),
            "tokens_out": float(usage.tokens_out),
            "money": self.prices.of(usage),
        }


_HINT = "Allow more, or ask less; with a cache, what is answered is not asked again."
_WORDS = {
    "calls": "calls",
    "tokens_in": "tokens read",
    "tokens_out": "tokens written",
    "money": "of money",
}


@dataclass(frozen=True)
class Budgeted:
    """A speaker that stays within a budget; what it must refuse raises :class:`OverBudgetError`."""

    speaker: Speaker
    budget: Budget = field(repr=False)

    @property
    def name(self) -> str:
        """The name of the speaker within."""
        return self.speaker.name

    @property
    def lanes(self) -> Lanes:
        """The lanes of the speaker within."""
        return self.speaker.lanes

    def cost_limit(self, request: SpeakerRequest) -> Usage:
        """Return the limit of the speaker within."""
        return self.speaker.cost_limit(request)

    def reply(self, request: SpeakerRequest) -> Reply:
        """Answer one request, if the budget allows.

        Raises:
            NoReplyError: when there is no answer, or the budget does not allow it.
        """
        return reply_of(self._batch([request])[0])

    def replies(self, requests: Sequence[SpeakerRequest]) -> list[Outcome]:
        """Answer as many as the budget allows; see :class:`palate.llm.speaker.Speaker`."""
        return in_lanes(self._batch, requests, self.lanes)

    def _batch(self, requests: Sequence[SpeakerRequest]) -> list[Outcome]:
        """Answer as many at a time as there is room for, until all are answered or refused."""
        outcomes: dict[int, Outcome] = {}
        waiting = list(enumerate(requests))
        while waiting:
            taken: list[tuple[int, SpeakerRequest, Usage]] = []
            while waiting:
                place, request = waiting[0]
                most = self.speaker.cost_limit(request)
                try:
                    # What this batch has set aside itself will not come free by waiting.
                    if not self._take(most, wait=not taken):
                        break
                    taken.append((place, request, most))
                except OverBudgetError as error:
                    outcomes[place] = error
                waiting.pop(0)
            outcomes |= self._ask(taken)
        return [outcomes[place] for place in range(len(requests))]

    def _take(self, most: Usage, *, wait: bool) -> bool:
        # What is remembered costs nothing and may be had after the end.
        return most == Usage() or self.budget.set_aside(most, wait=wait)

    def _ask(self, taken: Sequence[tuple[int, SpeakerRequest, Usage]]) -> dict[int, Outcome]:
        left = self.budget.seconds_left
        spent = [most for _, _, most in taken]  # all of it, should anything go wrong
        try:
            found = self.speaker.replies([_within(request, left) for _, request, _ in taken])
            spent = [outcome.usage for outcome in found]
        finally:
            for (_, _, most), usage in zip(taken, spent, strict=True):
                if most != Usage():
                    self.budget.settle(most, usage)
        return {place: outcome for (place, _, _), outcome in zip(taken, found, strict=True)}


def _within(request: SpeakerRequest, seconds: float | None) -> SpeakerRequest:
    if seconds is None:
        return request
    times = [each for each in (request.timeout, seconds) if each is not None]
    return replace(request, timeout=max(min(times), 0.001))
