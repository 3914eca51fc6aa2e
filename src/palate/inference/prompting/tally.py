"""What became of the questions: every answer, gap, fallback and cost, counted."""

import re
from collections import Counter
from threading import Lock

from palate.llm.reply import NoReplyError, Outcome, Usage

_MOST_REASONS = 40
_OTHER = "other reasons"
_VARYING = re.compile(r"\"[^\"]*\"|'[^']*'|\d+(?:\.\d+)?")
"""What differs between two notes of one kind: quotations and numbers."""


class Tally:
    """Counts, shared by threads."""

    def __init__(self) -> None:
        """Begin with nothing counted."""
        self.counts: Counter[str] = Counter()
        """How often each thing happened, by its name in words."""
        self.reasons: Counter[str] = Counter()
        """Notes and errors of the speaker, without what varies in them."""
        self.usage = Usage()
        self._lock = Lock()

    def count(self, what: str, times: int = 1) -> None:
        """Count something."""
        with self._lock:
            self.counts[what] += times

    def book(self, outcome: Outcome) -> None:
        """Count a reply with its notes and cost, or why there was none."""
        with self._lock:
            self.counts["prompts"] += 1
            if isinstance(outcome, NoReplyError):
                self.counts["no reply"] += 1
                self._reason(outcome.message)
            else:
                self.counts["replies from the cache"] += outcome.source != "live"
                for note in outcome.notes:
                    self._reason(note)
            self.usage += outcome.usage

    def reason(self, words: str) -> None:
        """Count why something else was done than was wanted."""
        with self._lock:
            self._reason(words)

    def _reason(self, words: str) -> None:
        kind = _VARYING.sub("…", words)[:200]
        if kind not in self.reasons and len(self.reasons) >= _MOST_REASONS:
            kind = _OTHER
        self.reasons[kind] += 1

    def as_dict(self) -> dict[str, object]:
        """Return the counts as plain values of JSON."""
        with self._lock:
            usage = self.usage
            return {
                "counts": {name: n for name, n in sorted(self.counts.items()) if n},
                "reasons": dict(self.reasons.most_common()),
                "calls": usage.calls,
                "tokens_in": usage.tokens_in,
                "tokens_out": usage.tokens_out,
                "seconds": usage.seconds,
                "is_estimate": usage.is_estimate,
            }
