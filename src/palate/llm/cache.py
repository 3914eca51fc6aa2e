"""Replies kept on disk, so that nothing is asked twice.

A reply is written before it is given to anybody: a run that was killed and is started again asks
only what it had no reply to. Threads and processes may share a folder; of two that want the same,
one asks and the other waits for it.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path

from palate.llm.claims import Claims
from palate.llm.reply import NoReplyError, Outcome, Reply, Usage, reply_of
from palate.llm.request import SpeakerRequest
from palate.llm.speaker import Lanes, Speaker, in_lanes
from palate.storage import saving, write_whole


@dataclass(frozen=True)
class Cached:
    """A speaker whose replies are remembered in ``folder``, by its name and the request.

    To have several samples of one prompt, vary the seed. Errors are not remembered.
    """

    speaker: Speaker
    folder: Path

    def __post_init__(self) -> None:
        """Make the folder.

        Raises:
            ArtifactError: when it cannot be written.
        """
        with saving(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)

    @property
    def name(self) -> str:
        """The name of the speaker within."""
        return self.speaker.name

    @property
    def lanes(self) -> Lanes:
        """The lanes of the speaker within."""
        return self.speaker.lanes

    def cost_limit(self, request: SpeakerRequest) -> Usage:
        """Return nothing for what is remembered, else the limit of the speaker within."""
        known = self._read(self._key(request)) is not None
        return Usage() if known else self.speaker.cost_limit(request)

    def reply(self, request: SpeakerRequest) -> Reply:
        """Return the remembered reply, or ask and remember.

        Raises:
            NoReplyError: when there is no answer.
        """
        return reply_of(self._batch([request])[0])

    def replies(self, requests: Sequence[SpeakerRequest]) -> list[Outcome]:
        """Answer each, asking what is not remembered; see :class:`palate.llm.speaker.Speaker`."""
        return in_lanes(self._batch, requests, self.lanes)

    def _batch(self, requests: Sequence[SpeakerRequest]) -> list[Outcome]:
        keys = [self._key(request) for request in requests]
        wanted = dict(zip(keys, requests, strict=True))
        found = self._known(wanted)
        missing = {key: request for key, request in wanted.items() if key not in found}
        with self._claims.of(missing):
            # Somebody may have asked while we waited.
            found |= self._known(missing)
            live = self._ask({k: request for k, request in missing.items() if k not in found})
        # One request may stand at several places: the first of them pays.
        found |= {key: _again(outcome) for key, outcome in live.items()}
        return [live.pop(key) if key in live else found[key] for key in keys]

    def _ask(self, missing: dict[str, SpeakerRequest]) -> dict[str, Outcome]:
        outcomes = self.speaker.replies(list(missing.values()))
        live = dict(zip(missing, outcomes, strict=True))
        for key, outcome in live.items():
            if isinstance(outcome, Reply):
                write_whole(self._file(key), json.dumps(outcome.as_dict()))
        return live

    def _known(self, keys: dict[str, SpeakerRequest]) -> dict[str, Outcome]:
        read = {key: self._read(key) for key in keys}
        return {key: reply for key, reply in read.items() if reply is not None}

    def _read(self, key: str) -> Reply | None:
        """Return a reply; None where there is none, or the disk lost it when the power went."""
        with suppress(FileNotFoundError, ValueError, TypeError):
            fields = json.loads(self._file(key).read_text(encoding="utf-8"))
            return Reply.from_dict(fields).remembered("cache")
        return None

    def _key(self, request: SpeakerRequest) -> str:
        return sha256(f"{self.name}\n{request.canonical}".encode()).hexdigest()

    def _file(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key[2:]}.json"

    @cached_property
    def _claims(self) -> Claims:
        return Claims(self.folder)


def _again(outcome: Outcome) -> Outcome:
    """Return an outcome as it stands at the second place of one request."""
    if isinstance(outcome, Reply):
        return outcome.remembered("cache")
    return NoReplyError(outcome.message, hint=outcome.hint)
