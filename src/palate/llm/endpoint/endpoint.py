"""A speaker at the other end of a wire."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from threading import Lock

from palate.llm.answer import checked_value
from palate.llm.endpoint.completion import Completion
from palate.llm.endpoint.connection import MAX_BYTES, Connection
from palate.llm.endpoint.dialect import (
    Dialect,
    default_folder,
    read_dialect,
    weaker,
    write_dialect,
)
from palate.llm.endpoint.exchange import MOST_COMPLETIONS, Exchange
from palate.llm.endpoint.patience import Pace, Patience
from palate.llm.endpoint.probe import adapted, probe_cost, probed
from palate.llm.endpoint.refusals import Lost, Refused
from palate.llm.endpoint.scores import CHECK, SCORE_FIELDS, check_result, choice_scores
from palate.llm.endpoint.wording import REPEATED, body_of, bytes_in, with_correction
from palate.llm.form import with_form
from palate.llm.reply import Binding, ChoiceScores, NoReplyError, Outcome, Reply, Usage
from palate.llm.request import SpeakerRequest
from palate.llm.speaker import Lanes, in_lanes


@dataclass(frozen=True)
class Endpoint:
    """A model behind a URL that speaks Chat Completions.

    How its answers can be bound is found out once and kept in ``dialects``. Whatever happens on the
    way to a reply is told in its notes.

    Raises:
        ConfigError: when prompts may not be sent to the URL.
    """

    url: str
    """Up to the version: ``https://host/v1``."""
    model: str
    key_variable: str = "PALATE_LLM_KEY"
    """The environment variable that holds the key; the key itself is kept nowhere."""
    concurrency: int = 4
    """Requests that may be under way at once."""
    patience: Patience = field(default_factory=Patience)
    allow_plain_http: bool = False
    max_bytes: int = MAX_BYTES
    """The longest reply that is read."""
    dialects: Path = field(default_factory=default_folder)
    _known: list[Dialect] = field(default_factory=list, init=False, repr=False, compare=False)
    _lock: Lock = field(default_factory=Lock, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check the URL, and make what threads share."""
        _ = self._connection, self._pace

    @property
    def name(self) -> str:
        """The model and where it is."""
        return f"{self.model} at {self.url}"

    @property
    def lanes(self) -> Lanes:
        """One request a lane."""
        return Lanes(concurrency=self.concurrency)

    @property
    def dialect(self) -> Dialect:
        """What is known of the endpoint; bindings are probed with its first bound request."""
        if not self._known:
            found = read_dialect(self.dialects, self.url, self.model)
            self._known.append(found or Dialect())
        return self._known[-1]

    def probe(self) -> Dialect:
        """Find out anew how answers can be bound, and keep that.

        Raises:
            NoReplyError: when the endpoint does not answer.
        """
        exchange = self._exchange(None)
        try:
            return self._probe(exchange)
        except (Refused, Lost) as error:
            raise self._no_reply(error, exchange) from None

    def cost_limit(self, request: SpeakerRequest) -> Usage:
        """Return the cost of two answers, since one may have to be mended, and of a probe if due.

        Tokens are bounded by bytes; what a server adds to a prompt of its own accord is unknown.
        """
        most = MOST_COMPLETIONS * [self._most(request)] + [Usage(0, 4 * REPEATED + 600)]
        if request.is_bound and not self.dialect.is_probed:
            most.append(probe_cost())
        if request.scored:
            checks = [] if self.dialect.scores else list(CHECK)
            most += [self._most(each) for each in (request, *checks)]
        return sum(most, Usage())

    def reply(self, request: SpeakerRequest) -> Reply:
        """Answer one request; see :class:`palate.llm.speaker.Speaker`.

        Raises:
            NoReplyError: when the endpoint refuses for good, or nothing comes back in time.
            MissingExtraError: when the package ``openai`` is not installed.
        """
        exchange = self._exchange(request.timeout)
        try:
            return self._answered(request, exchange)
        except (Refused, Lost) as error:
            raise self._no_reply(error, exchange) from None

    def replies(self, requests: Sequence[SpeakerRequest]) -> list[Outcome]:
        """Answer many at once, in order; see :class:`palate.llm.speaker.Speaker`."""
        return in_lanes(self._batch, requests, self.lanes)

    def _batch(self, requests: Sequence[SpeakerRequest]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for request in requests:
            try:
                outcomes.append(self.reply(request))
            except NoReplyError as error:
                outcomes.append(error)
        return outcomes

    # --- one reply ------------------------------------------------------------------------------

    def _answered(self, request: SpeakerRequest, exchange: Exchange) -> Reply:
        if request.is_bound:
            self._know_dialect(exchange)
        if request.scored:
            scored = self._scored(request, exchange)
            if scored:
                return scored
        binding: Binding = self.dialect.binding if request.is_bound else "none"
        return self._told(request, binding, exchange)

    def _told(self, request: SpeakerRequest, binding: Binding, exchange: Exchange) -> Reply:
        """Ask, and ask a second time where the answer is none or does not fit."""
        completion, binding = self._complete(request, binding, exchange)
        value, wrong = _value_of(completion, request)
        while wrong and exchange.may_ask_again:
            exchange.note(f"asked again, since {wrong}")
            again = with_correction(request, completion.text, wrong)
            completion, binding = self._complete(again, binding, exchange)
            value, wrong = _value_of(completion, request)
        if wrong and not request.is_bound:
            raise Lost(wrong)
        if wrong:
            exchange.note(f"the answer does not fit: {wrong}")
        return self._reply(completion, value, binding, exchange)

    def _reply(
        self, completion: Completion, value: object, binding: Binding, exchange: Exchange
    ) -> Reply:
        if completion.finish == "refusal":
            exchange.note("the model refused")
        return Reply(
            completion.text,
            value,
            binding,
            completion.finish,
            exchange.spent,
            tuple(exchange.notes),
        )

    def _complete(
        self, request: SpeakerRequest, binding: Binding, exchange: Exchange
    ) -> tuple[Completion, Binding]:
        """Return an answer under ``binding``, or under the strongest weaker one that is taken."""
        while True:
            dialect, next_one = self.dialect, weaker(binding)
            body = body_of(request, self.model, dialect, binding)
            try:
                completion = exchange.complete(
                    body, self._most(request), faults_forgiven=1 if next_one else None
                )
                return completion, binding
            except Refused as refused:
                changed = adapted(dialect, refused)
                if changed:
                    exchange.note(f"a field was left out or renamed ({refused})")
                    self._adapt(dialect, changed)
                elif next_one and refused.is_about_the_request:
                    exchange.note(f"{binding} was refused ({refused}): {next_one} was used")
                    binding = next_one
                else:
                    raise

    # --- probabilities --------------------------------------------------------------------------

    def _scored(self, request: SpeakerRequest, exchange: Exchange) -> Reply | None:
        """Return the most probable choice with the scores of all; None where there are none."""
        trust = self._check_scores(exchange)
        scores: ChoiceScores | str = trust
        if trust == "trusted":
            scores = choice_scores(self._first_token(request, exchange), request.choices)
        if isinstance(scores, str):
            exchange.note(f"the choices were not scored: {scores}")
            exchange.completions = 0  # what the scores cost was set aside beside the answer
            return None
        choice = request.choices[scores.best]
        usage, notes = exchange.spent, tuple(exchange.notes)
        return Reply(choice, choice, "scores", usage=usage, notes=notes, scores=scores)

    def _check_scores(self, exchange: Exchange) -> str:
        with self._lock:
            if not self.dialect.scores:
                result = check_result(lambda asked: self._first_token(asked, exchange))
                self._keep(replace(self.dialect, scores=result))
        return self.dialect.scores

    def _first_token(
        self, request: SpeakerRequest, exchange: Exchange
    ) -> Mapping[str, float] | None:
        told = replace(with_form(request, "scores"), choices=(), scored=False, max_tokens=1)
        body = body_of(told, self.model, self.dialect, "none") | SCORE_FIELDS
        exchange.completions = MOST_COMPLETIONS - 1  # the answer in words is a second one
        try:
            return exchange.complete(body, self._most(request), faults_forgiven=0).first_token
        except Refused as refused:
            if not refused.is_about_the_request:
                raise
            exchange.note(f"log-probabilities were refused ({refused})")
        except Lost as lost:
            exchange.note(f"log-probabilities were not to be had ({lost})")
        return None

    # --- what is known of the endpoint ----------------------------------------------------------

    def _know_dialect(self, exchange: Exchange) -> None:
        with self._lock:  # one thread asks, the others wait for what it finds
            if not self.dialect.is_probed:
                exchange.note(f"the endpoint was probed: {self._probe(exchange)}")
                exchange.completions = 0

    def _probe(self, exchange: Exchange) -> Dialect:
        found = probed(exchange, self.model)
        self._keep(found)
        return found

    def _adapt(self, used: Dialect, changed: Dialect) -> None:
        with self._lock:
            if self.dialect == used:  # else another thread has learned something meanwhile
                self._keep(changed)

    def _keep(self, dialect: Dialect) -> None:
        self._known.append(dialect)
        write_dialect(self.dialects, self.url, self.model, dialect)

    # --- the wire -------------------------------------------------------------------------------

    @cached_property
    def _connection(self) -> Connection:
        return Connection(self.url, self.key_variable, self.allow_plain_http, self.max_bytes)

    @cached_property
    def _pace(self) -> Pace:
        return Pace(self.concurrency)

    def _exchange(self, timeout: float | None) -> Exchange:
        total = self.patience.total if timeout is None else min(timeout, self.patience.total)
        return Exchange(self._connection, self._pace, self.patience, time.monotonic() + total)

    def _most(self, request: SpeakerRequest) -> Usage:
        return Usage(1, bytes_in(request), request.max_tokens, is_estimate=True)

    def _no_reply(self, error: Refused | Lost, exchange: Exchange) -> NoReplyError:
        told = f" Before that: {'; '.join(exchange.notes)}." if exchange.notes else ""
        return NoReplyError(
            f"{self.name} gave no reply: {error}.{told}",
            hint=_hint(error, self.key_variable),
            usage=exchange.spent,
        )


def _value_of(completion: Completion, request: SpeakerRequest) -> tuple[object, str]:
    """Return the value of an answer, and why it has to be asked for again."""
    if completion.finish == "refusal":
        return None, ""
    if not completion.text.strip():
        return None, "the answer was empty"
    return checked_value(completion.text, request)


def _hint(error: Refused | Lost, key_variable: str) -> str:
    if isinstance(error, Lost):
        return "Allow more time, or ask for fewer tokens."
    if error.status in (401, 403):
        return f"Put the key of the endpoint into the environment variable {key_variable}."
    if error.is_too_long:
        return "Shorten the prompt, or start the server with a longer context."
    if error.status == 404:
        return "Look at the URL, which ends with /v1 as a rule, and at the name of the model."
    return "Look whether the server runs and is not overloaded." if error.may_pass else ""
