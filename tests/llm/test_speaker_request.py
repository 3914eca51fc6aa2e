"""Requests that ask the same have one key, and those nobody could answer are refused."""

from dataclasses import replace

import pytest

from palate.errors import ConfigError
from palate.llm.reply import ChoiceScores, Reply, Usage
from palate.llm.request import Message, Sampling, SpeakerRequest, ask, key_of

SCHEMA = {"type": "object", "properties": {"a": {"enum": [1]}, "b": {"enum": [2]}}}


def test_equal_requests_have_equal_keys() -> None:
    assert ask("Hi").key == ask("Hi").key == key_of(ask("Hi").as_dict())
    turned = dict(reversed(SCHEMA.items()))
    one, other = (SpeakerRequest(ask("Hi").messages, schema=each) for each in (SCHEMA, turned))
    assert one.key == other.key


@pytest.mark.parametrize(
    "change",
    [
        {"messages": (Message("user", "Ho"),)},
        {"messages": (Message("system", "Hi"),)},
        {"choices": ("a",)},
        {"schema": SCHEMA},
        {"max_tokens": 3},
        {"form_is_told": True},
        {"sampling": Sampling(seed=1)},
        {"sampling": Sampling(temperature=0.5)},
    ],
)
def test_whatever_can_change_an_answer_changes_the_key(change: dict[str, object]) -> None:
    assert replace(ask("Hi"), **change).key != ask("Hi").key


def test_the_time_allowed_does_not_change_the_key() -> None:
    assert replace(ask("Hi"), timeout=3.0).key == ask("Hi").key


@pytest.mark.parametrize(
    "change",
    [
        {"messages": ()},
        {"max_tokens": 0},
        {"choices": ("a", "a")},
        {"choices": ("",)},
        {"choices": ("a",), "schema": SCHEMA},
        {"scored": True},
    ],
)
def test_a_request_that_nobody_can_answer_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        replace(ask("Hi"), **change)


def test_a_reply_survives_being_written() -> None:
    scores = ChoiceScores((-0.5, float("-inf")), (1, 2))
    usage = Usage(2, 3, 4, 0.5, is_estimate=True)
    reply = Reply("x", {"a": [1]}, "tool", "length", usage, ("one", "two"), scores=scores)
    assert Reply.from_dict(reply.as_dict()) == reply
    assert reply.remembered("cache").usage == Usage()
    assert scores.per_token == (-0.5, float("-inf"))
    assert scores.best == 0
