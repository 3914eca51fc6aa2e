"""How an endpoint fails: it refused, at no cost, or it may have answered and nobody heard it."""

import time
from collections.abc import Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from math import isfinite

_COMES_BACK = {0, 408, 409, 425, 429, 500, 502, 503, 504, 529}
_ABOUT_THE_REQUEST = {400, 415, 422, 500, 501}
_TOO_LONG = ("context_length", "context length", "maximum context", "too many tokens")


class Refused(Exception):  # noqa: N818 - never leaves the endpoint
    """The endpoint said no, or could not be reached; nothing was written by the model."""

    def __init__(
        self,
        status: int,
        words: str,
        *,
        retry_after: float | None = None,
        parameter: str = "",
        code: str = "",
    ) -> None:
        """Keep the status of HTTP (0: not reached), and what was said of it."""
        super().__init__(f"HTTP {status}: {words}" if status else words)
        self.status, self.words = status, words
        self.retry_after, self.parameter, self.code = retry_after, parameter, code

    @property
    def may_pass(self) -> bool:
        """Whether the same request may be answered later."""
        return self.status in _COMES_BACK

    @property
    def is_about_the_request(self) -> bool:
        """Whether the same question, asked in another way, may be answered."""
        return self.status in _ABOUT_THE_REQUEST and not self.is_too_long

    @property
    def is_too_long(self) -> bool:
        """Whether the prompt is longer than the model reads."""
        said = f"{self.code} {self.words}".lower()
        return self.status in (400, 413, 422) and any(words in said for words in _TOO_LONG)

    def names(self, field: str) -> bool:
        """Return whether the endpoint complains of a field of the request."""
        return self.status in (400, 422) and (
            self.parameter == field or f"'{field}'" in self.words or f'"{field}"' in self.words
        )


class OutOfTime(Refused):
    """There is no time left to send a request in."""

    def __init__(self, words: str) -> None:
        """Say what took the time."""
        super().__init__(0, words)

    @property
    def may_pass(self) -> bool:
        """No: whoever has no time does not wait."""
        return False


class Lost(Exception):  # noqa: N818 - never leaves the endpoint
    """A request was sent, and perhaps paid for, and no whole answer came back."""


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return how many seconds the endpoint asks to wait; None where it does not say."""
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        with suppress(KeyError, ValueError):
            seconds = float(headers[name]) * unit
            return max(seconds, 0.0) if isfinite(seconds) else None
    with suppress(KeyError, ValueError, TypeError):
        until = parsedate_to_datetime(headers["retry-after"])
        return max(until.timestamp() - time.time(), 0.0)
    return None
