"""What an endpoint answered, read without trusting that it keeps to the protocol."""

from collections.abc import Mapping
from dataclasses import dataclass

from palate.llm.endpoint.refusals import Lost
from palate.llm.reply import Finish

TOOL = "answer"
"""The name of the tool by whose arguments an answer is bound."""


@dataclass(frozen=True)
class Completion:
    """One answer of an endpoint."""

    text: str
    """The words, or the arguments of the tool that was asked for."""
    finish: Finish = "stop"
    tokens_in: int | None = None
    """None where the endpoint does not count."""
    tokens_out: int | None = None
    notes: tuple[str, ...] = ()
    first_token: Mapping[str, float] | None = None
    """Log-probabilities of the most probable first tokens, where they were asked for."""


def read_completion(body: Mapping[str, object]) -> Completion:
    """Return the answer in the body of a response.

    Raises:
        Lost: when there is none.
    """
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise Lost("the reply holds no choice")
    message = choices[0].get("message")
    if not isinstance(message, dict):
        raise Lost("the reply holds no message")
    refusal, finish = message.get("refusal"), choices[0].get("finish_reason")
    text, notes = _arguments(message) or (_text(message.get("content")), ())
    if isinstance(refusal, str) and refusal:
        text, finish = refusal, "refusal"
    if message.get("content") is None and not text:
        notes += ("the content was null",)
    return Completion(
        text,
        _FINISH.get(str(finish), "stop"),
        _count(body, "prompt_tokens"),
        _count(body, "completion_tokens"),
        notes,
        _first_token(choices[0].get("logprobs")),
    )


_FINISH: Mapping[str, Finish] = {
    "length": "length",
    "refusal": "refusal",
    "content_filter": "refusal",
}


def _text(content: object) -> str:
    """Return the words of a content, which may come in parts."""
    if isinstance(content, list):
        return "".join(_text(part.get("text")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _arguments(message: Mapping[str, object]) -> tuple[str, tuple[str, ...]] | None:
    """Return the arguments of our tool; None where no tool was called."""
    calls = message.get("tool_calls")
    functions = [
        call["function"]
        for call in (calls if isinstance(calls, list) else [])
        if isinstance(call, dict) and isinstance(call.get("function"), dict)
    ]
    if not functions:
        return None
    ours = [each for each in functions if each.get("name") == TOOL]
    if not ours:
        text = _text(message.get("content"))
        return text, (f"the tool {str(functions[0].get('name'))[:40]!r} was called instead",)
    several = (f"{len(functions)} tools were called at once",) if len(functions) > 1 else ()
    return _text(ours[0].get("arguments")), several


def _count(body: Mapping[str, object], name: str) -> int | None:
    usage = body.get("usage")
    found = usage.get(name) if isinstance(usage, dict) else None
    return found if isinstance(found, int) and found >= 0 else None


def _first_token(logprobs: object) -> Mapping[str, float] | None:
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    if not isinstance(content, list) or not content or not isinstance(content[0], dict):
        return None
    best = content[0].get("top_logprobs")
    return {
        each["token"]: float(each["logprob"])
        for each in (best if isinstance(best, list) else [])
        if isinstance(each, dict)
        and isinstance(each.get("token"), str)
        and isinstance(each.get("logprob"), int | float)
    }
