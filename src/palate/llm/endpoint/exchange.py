"""One reply of an endpoint in the making: what was sent, what it cost, what had to be told."""

import time

from palate.llm.endpoint.completion import Completion, read_completion
from palate.llm.endpoint.connection import Connection
from palate.llm.endpoint.patience import Pace, Patience
from palate.llm.endpoint.refusals import Lost, OutOfTime, Refused
from palate.llm.reply import Usage

MOST_COMPLETIONS = 2
"""What one reply may cost: an answer, and a second one to mend it or to replace a lost one."""


class Exchange:
    """The tries for one reply; it lives as long as they do."""

    def __init__(
        self, connection: Connection, pace: Pace, patience: Patience, deadline: float
    ) -> None:
        """Begin with nothing spent; the ``deadline`` is on the monotonic clock."""
        self.connection, self.pace, self.patience = connection, pace, patience
        self.deadline = deadline
        self.spent = Usage()
        self.notes: list[str] = []
        self.completions = 0
        """How many were answered, or may have been."""

    @property
    def may_ask_again(self) -> bool:
        """Whether another answer may be paid for."""
        return self.completions < MOST_COMPLETIONS and time.monotonic() < self.deadline

    def note(self, words: str) -> None:
        """Tell something in the reply."""
        self.notes.append(words)

    def complete(
        self, body: dict[str, object], most: Usage, *, faults_forgiven: int | None = None
    ) -> Completion:
        """Send a body until it is answered.

        Args:
            body: the request.
            most: what one answer can cost.
            faults_forgiven: how often to try again after status 500, by which some servers refuse
                a binding; as often as after any other refusal where it is None.

        Raises:
            Refused: when it is refused for good, or for longer than there is patience.
            Lost: when answers were lost as often as may be paid for.
        """
        tries = 0
        while True:
            try:
                return self._once(body, most)
            except Refused as refused:
                is_fault = refused.status == 500 and faults_forgiven is not None
                allowed = faults_forgiven if is_fault else self.patience.retries
                if not refused.may_pass or tries >= (allowed or 0):
                    raise
                self.note(f"asked again after {self.pace.pause(refused, tries):.1f} s ({refused})")
                tries += 1
            except Lost as lost:
                if not self.may_ask_again:
                    raise
                self.note(f"asked again ({lost})")

    def _once(self, body: dict[str, object], most: Usage) -> Completion:
        with self.pace.turn(self.deadline):
            started = time.monotonic()
            seconds = min(self.patience.timeout, self.deadline - started)
            if seconds <= 0:
                raise OutOfTime("there is no time left")
            try:
                completion = read_completion(self.connection.post(body, timeout=seconds))
            except Lost:
                # Perhaps it was answered and must be paid for.
                self._book(most, time.monotonic() - started)
                raise
        self._book(self._usage(completion, most), time.monotonic() - started)
        for note in completion.notes:
            self.note(note)
        return completion

    def _book(self, usage: Usage, seconds: float) -> None:
        self.completions += 1
        self.spent += Usage(
            1, usage.tokens_in, usage.tokens_out, seconds, is_estimate=usage.is_estimate
        )

    def _usage(self, completion: Completion, most: Usage) -> Usage:
        read, written = completion.tokens_in, completion.tokens_out
        if read is None or written is None:
            self.note("the endpoint does not count tokens: bytes are counted instead")
            size = len(completion.text.encode("utf-8", "replace")) + 1
            return Usage(1, most.tokens_in, min(size, most.tokens_out), is_estimate=True)
        if written > most.tokens_out:
            self.note(f"{written} tokens were written where {most.tokens_out} were allowed")
        return Usage(1, read, written)
