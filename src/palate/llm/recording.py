"""Replies recorded once and replayed exactly: for tests, pages and comparisons without a model.

A recording is a file of one JSON object a line, each a request and its outcome. It is found again
by the request alone and by its occurrence: whoever asks the same twice gets the first reply, then
the second.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from threading import Lock
from typing import Literal, cast

from palate.errors import ArtifactError, ConfigError
from palate.llm.reply import NoReplyError, Outcome, Reply, Usage, reply_of
from palate.llm.request import SpeakerRequest, key_of
from palate.llm.speaker import Lanes, Speaker, in_lanes
from palate.storage import saving

Mode = Literal["live", "record", "replay"]
Place = tuple[str, int]
"""The key of a request, and how often it was asked before."""


class ReplayError(ArtifactError):
    """A recording has no reply to a request: what is asked has changed."""


@dataclass(frozen=True)
class Recorded:
    """A speaker that passes requests on, records what comes back, or replays a recording.

    Raises:
        ConfigError: when there is neither a speaker nor anything to replay, or a recording would be
            written over another.
        ArtifactError: when the recording to replay cannot be read.
    """

    path: Path
    speaker: Speaker | None = None
    mode: Mode = "replay"
    _lines: dict[Place, tuple[Mapping[str, object], Outcome]] = field(
        default_factory=dict, repr=False
    )
    _asked: Counter[str] = field(default_factory=Counter, repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Read the recording, or begin one."""
        if self.mode == "replay":
            self._lines.update(_read(self.path))
        elif self.speaker is None:
            raise ConfigError(f"Nothing can be asked: mode {self.mode!r} needs a speaker.")
        elif self.mode == "record":
            _begin(self.path)

    @property
    def name(self) -> str:
        """The name of the speaker within, or of the recording."""
        return self.speaker.name if self.speaker else f"recording {self.path.name}"

    @property
    def lanes(self) -> Lanes:
        """The lanes of the speaker within."""
        return self.speaker.lanes if self.speaker else Lanes()

    def cost_limit(self, request: SpeakerRequest) -> Usage:
        """Return nothing for a replay, else the limit of the speaker within."""
        live = self.speaker if self.mode != "replay" else None
        return live.cost_limit(request) if live else Usage()

    def reply(self, request: SpeakerRequest) -> Reply:
        """Answer one request as the mode says.

        Raises:
            NoReplyError: when there is no answer, or there was none when it was recorded.
            ReplayError: when the recording does not know the request.
        """
        return reply_of(self.replies([request])[0])

    def replies(self, requests: Sequence[SpeakerRequest]) -> list[Outcome]:
        """Answer each as the mode says; see :class:`palate.llm.speaker.Speaker`.

        Raises:
            ReplayError: when the recording does not know a request; nobody can take it for a
                failure of the model.
        """
        # Occurrences are counted before anything is asked, so that they follow the order given.
        places = self._places(requests)
        if self.mode == "replay":
            return [self._replayed(*each) for each in zip(places, requests, strict=True)]
        asked = list(zip(places, requests, strict=True))
        return in_lanes(self._ask, asked, self.lanes)

    def _places(self, requests: Sequence[SpeakerRequest]) -> list[Place]:
        places = []
        with self._lock:
            for request in requests:
                places.append((request.key, self._asked[request.key]))
                self._asked[request.key] += 1
        return places

    def _ask(self, asked: Sequence[tuple[Place, SpeakerRequest]]) -> list[Outcome]:
        assert self.speaker is not None, "checked when it was made"
        outcomes = self.speaker.replies([request for _, request in asked])
        if self.mode == "record":
            for (place, request), outcome in zip(asked, outcomes, strict=True):
                self._write(place, request, outcome)
        return outcomes

    def _write(self, place: Place, request: SpeakerRequest, outcome: Outcome) -> None:
        line = {"occurrence": place[1], "request": request.as_dict(), **_written(outcome)}
        with self._lock, saving(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, sort_keys=True) + "\n")

    def _replayed(self, place: Place, request: SpeakerRequest) -> Outcome:
        if place not in self._lines:
            raise self._missing(place, request)
        return self._lines[place][1]

    def _missing(self, place: Place, request: SpeakerRequest) -> ReplayError:
        key, occurrence = place
        hint = "Record again if the change is meant."
        if (key, 0) in self._lines:
            return ReplayError(
                f"The recording {str(self.path)!r} has {occurrence} replies to a request that is "
                f"asked {occurrence + 1} times.",
                hint=hint,
            )
        if not self._lines:
            return ReplayError(f"The recording {str(self.path)!r} is empty.", hint=hint)
        wanted = request.as_dict()
        differences = [list(_differences(held, wanted, "")) for held, _ in self._lines.values()]
        nearest = min(differences, key=len)
        path, old, new = nearest[0]
        recorded, asked = _shown(old, new)
        return ReplayError(
            f"The recording {str(self.path)!r} has no reply to this request. The nearest one "
            f"differs first in {path}: recorded {recorded}, asked {asked}.",
            hint=hint,
        )


def _begin(path: Path) -> None:
    if path.exists():
        raise ConfigError(
            f"The recording {str(path)!r} exists.", hint="Remove it, or choose another name."
        )
    with saving(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def _read(path: Path) -> Iterator[tuple[Place, tuple[Mapping[str, object], Outcome]]]:
    if not path.is_file():
        raise ArtifactError(
            f"There is no recording {str(path)!r}.", hint="Record one with mode 'record'."
        )
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    for number, text in enumerate(lines, 1):
        if not text.endswith("\n"):
            return  # whoever recorded was killed while writing it
        try:
            line = json.loads(text)
            held = line["request"]
            yield (key_of(held), line["occurrence"]), (held, _outcome(line))
        except (ValueError, TypeError, KeyError) as error:
            raise ArtifactError(
                f"Line {number} of the recording {str(path)!r} cannot be read: {error}.",
                hint="Record it again.",
            ) from error


def _written(outcome: Outcome) -> dict[str, object]:
    if isinstance(outcome, Reply):
        return {"reply": outcome.as_dict()}
    return {"error": {"message": outcome.message, "hint": outcome.hint}}


def _outcome(line: Mapping[str, object]) -> Outcome:
    if "error" in line:
        error = cast(Mapping[str, str], line["error"])
        return NoReplyError(error["message"], hint=error["hint"])
    return Reply.from_dict(cast(Mapping[str, object], line["reply"])).remembered("record")


def _differences(old: object, new: object, path: str) -> Iterator[tuple[str, object, object]]:
    """Yield each place where two values of JSON differ, with both values."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in [*old, *(name for name in new if name not in old)]:
            yield from _differences(old.get(name), new.get(name), f"{path}.{name}".lstrip("."))
    elif isinstance(old, list) and isinstance(new, list) and old and new:
        for place, (one, other) in enumerate(zip_longest(old, new)):
            yield from _differences(one, other, f"{path}[{place}]")
    elif old != new:
        yield path, old, new


def _shown(old: object, new: object) -> tuple[str, str]:
    """Return two values in a few words, long texts from shortly before they part."""
    start = 0
    if isinstance(old, str) and isinstance(new, str):
        pairs = enumerate(zip(old, new, strict=False))
        parting = next((at for at, (one, other) in pairs if one != other), min(len(old), len(new)))
        start = max(parting - 20, 0)
    return _short(old, start), _short(new, start)


def _short(value: object, start: int) -> str:
    text = repr(value[start:] if isinstance(value, str) else value)
    cut = text if len(text) <= 120 else f"{text[:117]}..."
    return f"...{cut}" if start else cut
