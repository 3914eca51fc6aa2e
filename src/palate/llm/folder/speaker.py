"""A folder of weights as a speaker."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from threading import Lock

from palate.llm.folder.json_filling import JsonFilling, most_tokens
from palate.llm.folder.scoring import score_options, score_plainly
from palate.llm.folder.weights import Weights
from palate.llm.folder.writing import Written, write
from palate.llm.form import with_form
from palate.llm.reply import NoReplyError, Outcome, Reply, Usage, reply_of
from palate.llm.request import SpeakerRequest, ask
from palate.llm.speaker import Lanes, in_lanes

_TOLERANCE = 0.05
"""Log-probabilities of one text, read in one piece and in two, may differ by so much (bfloat16)."""


@dataclass(frozen=True, eq=False)
class FolderSpeaker:
    """A causal model of ``transformers`` in this process.

    Choices are bound by their log-likelihood, and so are the open places of a schema: an answer
    always fits. Free words are written, the most probable or drawn with the seed of the request.
    """

    weights: Weights
    batch_size: int = 8
    """Prompts of free words that are answered together."""
    _lock: Lock = field(default_factory=Lock, repr=False)

    @classmethod
    def open(cls, folder: Path | str, *, batch_size: int = 8) -> "FolderSpeaker":
        """Read the model in ``folder``.

        Raises:
            MissingExtraError: when ``transformers`` is not installed.
            ConfigError: when there is no causal model that it can read.
        """
        return cls(Weights.open(folder), batch_size)

    @property
    def name(self) -> str:
        """The name of the folder and a hash of what is in it."""
        return f"{self.weights.folder.name} {self.weights.fingerprint}"

    @property
    def lanes(self) -> Lanes:
        """One batch at a time: the processor is one."""
        return Lanes(batch=self.batch_size)

    def cost_limit(self, request: SpeakerRequest) -> Usage:
        """Return the tokens of the prompt and the most that may be written."""
        tokens = len(self.weights.tokens(self._prompt(request)))
        return Usage(1, tokens, _most_written(self.weights, request))

    def reply(self, request: SpeakerRequest) -> Reply:
        """Answer one request.

        Raises:
            NoReplyError: when the prompt is longer than the model reads.
        """
        return reply_of(self._batch([request])[0])

    def replies(self, requests: Sequence[SpeakerRequest]) -> list[Outcome]:
        """Answer many, batch by batch; see :class:`palate.llm.speaker.Speaker`."""
        return in_lanes(self._batch, requests, self.lanes)

    def _batch(self, requests: Sequence[SpeakerRequest]) -> list[Outcome]:
        with self._lock:
            outcomes: dict[int, Outcome] = {}
            free: dict[tuple[object, ...], list[int]] = {}
            for place, request in enumerate(requests):
                try:
                    self._check_length(request)
                    if request.is_bound:
                        outcomes[place] = self._bound(request)
                    else:
                        # Only those alike in these can be written together.
                        alike = (request.max_tokens, request.sampling, request.timeout)
                        free.setdefault(alike, []).append(place)
                except NoReplyError as error:
                    outcomes[place] = error
            for places in free.values():
                outcomes |= zip(places, self._free([requests[p] for p in places]), strict=True)
            return [outcomes[place] for place in range(len(requests))]

    # --- free words -----------------------------------------------------------------------------

    def _free(self, requests: Sequence[SpeakerRequest]) -> list[Reply]:
        began = time.monotonic()
        first = requests[0]
        written = write(
            self.weights,
            [self._prompt(request) for request in requests],
            max_tokens=first.max_tokens,
            sampling=first.sampling,
            seconds=first.timeout,
        )
        seconds = (time.monotonic() - began) / len(requests)
        return [_spoken(each, seconds) for each in written]

    # --- bound answers --------------------------------------------------------------------------

    def _bound(self, request: SpeakerRequest) -> Reply:
        began = time.monotonic()
        if self._trust != "trusted":
            raise NoReplyError(f"{self.weights.folder.name} cannot be bound: {self._trust}.")
        prompt = self._prompt(request)
        usage = Usage(1, len(self.weights.tokens(prompt)))
        if request.choices:
            scores = score_options(self.weights, prompt, request.choices)
            text = request.choices[scores.best]
            reply = Reply(text, text, "scores", scores=scores if request.scored else None)
        else:
            reply = self._filled(request, prompt)
        written = len(self.weights.tokens(reply.text))
        cost = replace(usage, tokens_out=written, seconds=time.monotonic() - began)
        return replace(reply, usage=cost)

    def _filled(self, request: SpeakerRequest, prompt: str) -> Reply:
        began = time.monotonic()

        def left() -> float | None:
            taken = time.monotonic() - began
            return None if request.timeout is None else max(request.timeout - taken, 0.01)

        def choose(so_far: str, options: Sequence[str]) -> int:
            return score_options(self.weights, prompt + so_far, options, after=",").best

        def more(so_far: str, stop: str, length: int) -> str:
            most = min(length, request.max_tokens)
            (found,) = write(
                self.weights,
                [prompt + so_far],
                max_tokens=most,
                sampling=request.sampling,
                stop=stop,
                seconds=left(),
            )
            return found.text

        assert request.schema is not None, "a bound request without choices has a schema"
        filling = JsonFilling(choose, more)
        value = filling.fill(request.schema)
        return Reply(filling.text, value, "scores")

    @cached_property
    def _trust(self) -> str:
        """``trusted`` where options read in two pieces have the scores of one piece, else why not.

        A model with attention or positions of its own kind may not go on from what it has read.
        """
        question, options = ask("Name a colour of the rainbow."), ("red", "deep violet")
        before = self.weights.prompt(question.messages)
        scores = score_options(self.weights, before, options)
        plain = [score_plainly(self.weights, before, option) for option in options]
        gaps = [abs(a - b) for a, b in zip(scores.logprobs, plain, strict=True)]
        if max(gaps) <= _TOLERANCE:
            return "trusted"
        return f"the scores of choices differ by {max(gaps):.3g} from those of whole texts"

    # --- prompts --------------------------------------------------------------------------------

    def _prompt(self, request: SpeakerRequest) -> str:
        return self.weights.prompt(with_form(request, "scores").messages)

    def _check_length(self, request: SpeakerRequest) -> None:
        most = self.cost_limit(request)
        if most.tokens_in + most.tokens_out <= self.weights.context:
            return
        raise NoReplyError(
            f"A prompt of {most.tokens_in} tokens and an answer of {most.tokens_out} are more than "
            f"the {self.weights.context} that {self.weights.folder.name} reads.",
            hint="Shorten the prompt, or allow fewer tokens of the answer.",
        )


def _most_written(weights: Weights, request: SpeakerRequest) -> int:
    if request.schema is not None:
        return most_tokens(request.schema, request.max_tokens)
    return max([request.max_tokens, *(len(weights.tokens(each)) for each in request.choices)])


def _spoken(written: Written, seconds: float) -> Reply:
    return Reply(
        written.text,
        finish="length" if written.is_cut else "stop",
        usage=Usage(1, written.tokens_in, written.tokens_out, seconds),
    )
