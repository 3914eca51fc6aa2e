"""The form of an answer: as a schema, and in the words that tell a model of it."""

import json
from dataclasses import replace

from palate.llm.answer_schema import Schema, schema_of_choices, strict
from palate.llm.reply import Binding
from palate.llm.request import Message, SpeakerRequest
from palate.llm.untrusted import untrusted, without_marks


def form_of(request: SpeakerRequest) -> Schema:
    """Return the schema of the JSON by which a bound request is answered."""
    return strict(request.schema or schema_of_choices(request.choices))


def with_form(request: SpeakerRequest, binding: Binding) -> SpeakerRequest:
    """Return the request with its form said in words, at the end of its last message.

    Nothing is said where there is no form, the prompt says it already, or the server does.
    """
    if not request.is_bound or request.form_is_told or binding in ("none", "tool"):
        return request
    if request.choices and binding in ("text", "grammar", "scores"):
        # A choice may be the title of an item, and so foreign text.
        listed = ", ".join(map(untrusted, request.choices))
        form = f"Answer with one of these and nothing else, without quotes: {listed}"
    else:
        schema = json.dumps(form_of(request), ensure_ascii=False)
        form = f"Answer with JSON of this schema and nothing else: {without_marks(schema)}"
    return _with_words(request, form)


def _with_words(request: SpeakerRequest, words: str) -> SpeakerRequest:
    *before, last = request.messages
    if last.role != "user":
        return replace(request, messages=(*request.messages, Message("user", words)))
    said = replace(last, content=f"{last.content}\n\n{words}")
    return replace(request, messages=(*before, said))
