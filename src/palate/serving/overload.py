"""Errors of a service that cannot answer now, although the request is correct."""

from palate.errors import PalateError


class Overloaded(PalateError):  # noqa: N818 - the state of the service, not a mistake of the caller
    """A bounded queue is full; the caller should try again after ``retry_after`` seconds."""

    def __init__(self, message: str, *, retry_after: float = 1.0) -> None:
        """Say what is full, and when to try again."""
        super().__init__(message, hint=f"Try again in {retry_after:g} s.")
        self.retry_after = retry_after


class StoreUnavailable(PalateError):  # noqa: N818
    """The database did not answer or could not write; nothing was acknowledged."""

    retry_after = 5.0
