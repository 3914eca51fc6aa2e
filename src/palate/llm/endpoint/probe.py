"""Finding out how an endpoint can be bound.

"OpenAI-compatible" is not one thing: one server refuses a schema with status 500, another ignores
it in silence. So each way of binding is tried on a question whose plain answer the schema forbids:
only an endpoint that is really bound gives one of two made-up words.
"""

from dataclasses import replace

from palate.llm.answer import checked_value
from palate.llm.endpoint.dialect import BINDINGS, Dialect, FormBinding
from palate.llm.endpoint.exchange import Exchange
from palate.llm.endpoint.refusals import Lost, Refused
from palate.llm.endpoint.wording import OPTIONAL, binding_fields, body_of, bytes_in
from palate.llm.reply import Usage
from palate.llm.request import Message, SpeakerRequest

_WORDS = ("zubrak", "mopelt")
_QUESTION = SpeakerRequest(
    (Message("user", "Is water wet? Answer with the single word yes."),),
    choices=_WORDS,
    max_tokens=256,
)
_PLAIN = replace(_QUESTION, choices=(), max_tokens=4)

MOST_CALLS = 2 + len(BINDINGS) - 1
"""Completions of a probe, at most: a plain one, perhaps in another wording, and one per binding."""


def probe_cost() -> Usage:
    """Return the most that a probe can cost."""
    return Usage(MOST_CALLS, MOST_CALLS * bytes_in(_QUESTION), MOST_CALLS * _QUESTION.max_tokens)


def probed(exchange: Exchange, model: str) -> Dialect:
    """Return what an endpoint understands.

    Raises:
        Refused: when it refuses a plain question too.
        Lost: when it does not answer one.
    """
    dialect = _plain_dialect(exchange, model)
    found: dict[str, str] = {}
    for binding in BINDINGS[:-1]:
        found[binding] = _tried(exchange, model, dialect, binding)
        if found[binding] == "obeyed":
            return replace(dialect, binding=binding, found=found)
    return replace(dialect, binding="text", found=found)


def adapted(dialect: Dialect, refused: Refused) -> Dialect | None:
    """Return the dialect without the field that an endpoint complains of; None where it does not.

    Reasoning models refuse ``temperature`` and want the length under another name.
    """
    if dialect.length_field == "max_tokens" and refused.names("max_tokens"):
        return replace(dialect, length_field="max_completion_tokens")
    for name in OPTIONAL:
        if name not in dialect.without and refused.names(name):
            return replace(dialect, without=(*dialect.without, name))
    return None


def _plain_dialect(exchange: Exchange, model: str) -> Dialect:
    dialect = Dialect()
    while True:
        try:
            exchange.complete(body_of(_PLAIN, model, dialect, "none"), _most(_PLAIN))
            return dialect
        except Refused as refused:
            next_one = adapted(dialect, refused)
            if next_one is None:
                raise
            dialect = next_one


def _tried(exchange: Exchange, model: str, dialect: Dialect, binding: FormBinding) -> str:
    """Return ``obeyed``, or what came instead."""
    # Said in the prompt, the made-up words could be obeyed without being bound: the schema alone
    # holds them.
    body = body_of(_PLAIN, model, dialect, "none") | binding_fields(_QUESTION, binding)
    body[dialect.length_field] = _QUESTION.max_tokens
    try:
        completion = exchange.complete(body, _most(_QUESTION), faults_forgiven=0)
    except Refused as refused:
        if refused.status in (0, 401, 403, 429):
            raise  # this says nothing about the binding
        return f"HTTP {refused.status}"
    except Lost as lost:
        return str(lost)
    return "obeyed" if checked_value(completion.text, _QUESTION)[0] else "ignored"


def _most(request: SpeakerRequest) -> Usage:
    return Usage(1, bytes_in(request), request.max_tokens)
