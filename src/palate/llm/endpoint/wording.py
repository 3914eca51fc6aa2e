"""A request as the body that an endpoint is sent, in its dialect and under a binding."""

import json
from dataclasses import asdict, replace

from palate.llm.endpoint.completion import TOOL
from palate.llm.endpoint.dialect import Dialect
from palate.llm.endpoint.grammar import grammar_of, grammar_of_choices
from palate.llm.form import form_of, with_form
from palate.llm.reply import Binding
from palate.llm.request import Message, SpeakerRequest
from palate.llm.untrusted import without_marks

OPTIONAL = ("temperature", "top_p", "seed")
"""Fields that some models refuse, and without which a request still means something."""


def body_of(
    request: SpeakerRequest, model: str, dialect: Dialect, binding: Binding
) -> dict[str, object]:
    """Return the body of a request for one completion."""
    told = with_form(request, binding)
    sampling = {  # all of it, since the defaults of servers differ
        "temperature": request.sampling.temperature,
        "top_p": request.sampling.top_p,
        "seed": request.sampling.seed,
    }
    body: dict[str, object] = {
        "model": model,
        "messages": [asdict(_encodable(message)) for message in told.messages],
        dialect.length_field: request.max_tokens,
        **{name: value for name, value in sampling.items() if name not in dialect.without},
    }
    return body if binding == "none" else body | binding_fields(request, binding)


def with_correction(request: SpeakerRequest, answer: str, wrong: str) -> SpeakerRequest:
    """Return the request with an answer that does not fit and what is wrong with it."""
    if not answer.strip():
        return request
    asked = Message("user", f"This cannot be used: {wrong}. Answer again, in the form asked for.")
    said = Message("assistant", without_marks(answer[:REPEATED]))
    return replace(request, messages=(*request.messages, said, asked))


REPEATED = 500
"""Characters of a wrong answer that are shown to the model again."""


def bytes_in(request: SpeakerRequest) -> int:
    """Return an upper bound of the tokens of a request, its form and the template included."""
    texts = [message.content for message in with_form(request, "text").messages]
    if request.is_bound:
        # It stands once more in a field, of which the server may make words too.
        texts += 2 * [json.dumps(form_of(request), ensure_ascii=False)]
    return sum(map(size, texts)) + _PER_MESSAGE * len(texts) + _PER_PROMPT


_PER_MESSAGE, _PER_PROMPT = 32, 64
"""Tokens that templates put around a message, and before the first of them."""


def binding_fields(request: SpeakerRequest, binding: Binding) -> dict[str, object]:
    """Return the fields that bind an answer; none for text."""
    schema = form_of(request)
    if binding == "json_schema":
        named = {"name": TOOL, "strict": True, "schema": schema}
        return {"response_format": {"type": "json_schema", "json_schema": named}}
    if binding == "json_object":
        return {"response_format": {"type": "json_object", "schema": schema}}
    if binding == "grammar":
        choices = request.choices
        return {"grammar": grammar_of_choices(choices) if choices else grammar_of(schema)}
    if binding == "tool":
        function = {"name": TOOL, "description": "Give the answer.", "parameters": schema}
        return {
            "tools": [{"type": "function", "function": function}],
            "tool_choice": {"type": "function", "function": {"name": TOOL}},
        }
    return {}


def _encodable(message: Message) -> Message:
    """Return the message without halves of surrogate pairs, which no encoding has."""
    return replace(message, content=message.content.encode("utf-8", "replace").decode())


def size(text: str) -> int:
    """Return the bytes of a text, which are never fewer than its tokens."""
    return len(text.encode("utf-8", "replace"))
