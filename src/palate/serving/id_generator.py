"""Ids for requests and recommendations: unique for good, without asking the system for each."""

import itertools
import secrets


class IdGenerator:
    """A random beginning, drawn once per process, and a count.

    >>> numbers = IdGenerator()
    >>> numbers.next() != numbers.next()
    True
    """

    def __init__(self) -> None:
        """Draw the beginning: 64 bits, so that no two processes ever share one."""
        self._beginning = secrets.token_hex(8)
        self._count = itertools.count()

    def next(self) -> str:
        """Return the next id."""
        return f"{self._beginning}{next(self._count):08x}"
