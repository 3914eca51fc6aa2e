"""How an endpoint can be bound, and whether to trust its numbers, is found out once."""

from dataclasses import replace
from math import exp, log
from pathlib import Path

import pytest
from server import (
    Body,
    ChatServer,
    Served,
    Start,
    binding_of,
    fault,
    in_turn,
    message,
    obeying,
    with_logprobs,
)

from palate.llm.endpoint.dialect import BINDINGS, Dialect, weaker
from palate.llm.endpoint.endpoint import Endpoint
from palate.llm.endpoint.scores import choice_scores
from palate.llm.reply import ChoiceScores, NoReplyError, Reply
from palate.llm.request import ask
from palate.llm.speaker import choice_logprobs

LETTERS = ask("Which letter comes second?", choices=["A", "B", "C"])


@pytest.mark.parametrize("place", range(4), ids=BINDINGS[:4])
def test_the_strongest_binding_that_is_obeyed_is_taken(start: Start, place: int) -> None:
    server, endpoint = start(obeying(*BINDINGS[place:4]))
    dialect = endpoint.probe()
    assert dialect.binding == BINDINGS[place]
    assert list((dialect.found or {}).values()) == ["ignored"] * place + ["obeyed"]
    assert [binding_of(body) for body in server.asked] == ["none", *BINDINGS[: place + 1]]
    reply = endpoint.reply(LETTERS)
    assert (reply.value, reply.binding) == ("A", BINDINGS[place])


def test_a_binding_refused_with_status_500_is_not_asked_again(start: Start) -> None:
    server, endpoint = start(obeying("json_object", refused={"json_schema": 500}))
    dialect = endpoint.probe()
    assert dialect.found == {"json_schema": "HTTP 500", "json_object": "obeyed"}
    assert len(server.asked) == 3
    assert str(dialect) == (
        "answers are bound by json_object (json_schema: HTTP 500; json_object: obeyed)"
    )


def test_an_endpoint_that_only_talks_is_asked_in_words(start: Start) -> None:
    _, endpoint = start(obeying())
    assert endpoint.probe().binding == "text"


def test_an_answer_that_is_lost_says_so(start: Start) -> None:
    def script(body: Body, number: int) -> Served:
        return message("yes") if binding_of(body) == "none" else message(None, finish="length")

    _, endpoint = start(script)
    assert set((endpoint.probe().found or {}).values()) == {"ignored"}


def test_an_endpoint_in_a_hurry_is_not_misjudged(start: Start) -> None:
    obedient = obeying("json_schema")

    def script(body: Body, number: int) -> Served:
        return fault(429, retry_after="0.01") if number == 1 else obedient(body, number)

    _, endpoint = start(script)
    assert endpoint.probe().binding == "json_schema"


def test_a_probe_without_the_right_to_ask_is_an_error(start: Start) -> None:
    _, endpoint = start(in_turn(fault(401)))
    with pytest.raises(NoReplyError, match="401"):
        endpoint.probe()
    assert not endpoint.dialect.is_probed


def test_it_is_asked_once_and_kept(start: Start) -> None:
    server, endpoint = start(obeying("tool"), concurrency=4)
    outcomes = endpoint.replies([LETTERS] * 6)
    assert [each.value for each in outcomes if isinstance(each, Reply)] == ["A"] * 6
    assert len(server.asked) == 5 + 6
    told = [each for each in outcomes if isinstance(each, Reply) and each.notes]
    assert len(told) == 1, "who waited for the probe has nothing to tell"
    assert "the endpoint was probed: answers are bound by tool" in " ".join(told[0].notes)
    again = replace(endpoint)
    assert again.dialect == endpoint.dialect
    assert again.reply(LETTERS).binding == "tool"
    assert len(server.asked) == 5 + 7


def test_another_model_and_another_server_are_probed_anew(start: Start) -> None:
    _, endpoint = start(obeying("tool"))
    endpoint.probe()
    assert not replace(endpoint, model="other").dialect.is_probed
    _, other = start(obeying())
    assert not replace(endpoint, url=other.url).dialect.is_probed


@pytest.mark.parametrize("content", ["", "{", "[]", '{"binding": "magic"}'])
def test_what_was_kept_and_cannot_be_read_is_found_out_again(start: Start, content: str) -> None:
    _, endpoint = start(obeying("json_schema"))
    endpoint.probe()
    (file,) = Path(endpoint.dialects).iterdir()
    file.write_text(content, encoding="utf-8")
    assert replace(endpoint).dialect == Dialect()
    assert replace(endpoint).reply(LETTERS).binding == "json_schema"


def test_a_probe_stays_within_what_it_said_it_may_cost(start: Start) -> None:
    _, endpoint = start(in_turn(message("yes", usage=None)))
    most = endpoint.cost_limit(LETTERS)
    usage = endpoint.reply(LETTERS).usage
    assert usage.calls <= most.calls
    assert usage.tokens_in <= most.tokens_in
    assert usage.tokens_out <= most.tokens_out
    assert endpoint.cost_limit(LETTERS).calls == 2, "now it is probed"


def test_a_weaker_binding_follows_each_but_the_last() -> None:
    assert [weaker(each) for each in BINDINGS] == [*BINDINGS[1:], None]
    assert weaker("none") is None


# --- log-probabilities --------------------------------------------------------------------------


def following(body: Body, number: int) -> Served:
    """Like A too much, and the letter asked for a little."""
    asked = "AB"[" B " in body["messages"][-1]["content"]]
    odds = {"A": 4.0, " B": 1.0, "B": 0.5, "C": 1.0, "the": 2.0}
    odds = {token: value * (2 if token.strip() == asked else 1) for token, value in odds.items()}
    total = sum(odds.values())
    return with_logprobs({token: log(value / total) for token, value in odds.items()})


def scoring(start: Start, script: object) -> tuple[ChatServer, Endpoint]:
    server, endpoint = start(obeying("json_schema"))
    endpoint.probe()
    server.asked.clear()

    def both(body: Body, number: int) -> Served:
        return script(body, number) if "logprobs" in body else message('{"answer": "C"}')  # type: ignore[operator]

    server.script = both
    return server, endpoint


def test_letters_are_scored_by_their_first_token(start: Start) -> None:
    server, endpoint = scoring(start, following)
    (scores,) = choice_logprobs(endpoint, [LETTERS])
    assert isinstance(scores, ChoiceScores)
    a, b, c = map(exp, scores.logprobs)
    assert (a / c, b / c) == (pytest.approx(8), pytest.approx(1.5))
    assert len(server.asked) == 3, "two letters to check, one question"
    reply = endpoint.reply(replace(LETTERS, scored=True))
    assert (reply.value, reply.binding) == ("A", "scores")
    assert len(server.asked) == 4, "it is checked once"
    assert "log-probabilities: trusted" in str(replace(endpoint).dialect)


@pytest.mark.parametrize(
    ("served", "why"),
    [
        (with_logprobs({"A": -0.1, "B": -3.0}), "do not follow the prompt"),
        (with_logprobs({"A": 2.0, "B": -3.0}), "are not log-probabilities"),
        (with_logprobs({"A": -0.1, "B": -0.1}), "are not log-probabilities"),
        (with_logprobs({"x": -0.1}), "do not follow the prompt"),
        (message("A"), "gives no log-probabilities"),
        (fault(400, "logprobs is not supported"), "gives no log-probabilities"),
        (fault(500, "logits_all"), "gives no log-probabilities"),
    ],
)
def test_numbers_that_mean_nothing_are_not_trusted(start: Start, served: Served, why: str) -> None:
    _, endpoint = scoring(start, in_turn(served))
    (error,) = choice_logprobs(endpoint, [LETTERS])
    assert isinstance(error, NoReplyError)
    reply = endpoint.reply(replace(LETTERS, scored=True))
    assert (reply.value, reply.scores, reply.binding) == ("C", None, "json_schema")
    assert why in " ".join(reply.notes)


def test_what_one_token_cannot_tell_is_not_scored() -> None:
    assert "begins another" in choice_scores({"1": -0.1}, ["1", "12"])
    assert "no choice is among" in choice_scores({"x": -0.1}, ["A", "B"])
    assert "no log-probabilities" in choice_scores(None, ["A", "B"])
    found = choice_scores({"A": -0.5}, ["A", "B"])
    assert isinstance(found, ChoiceScores)
    assert found.logprobs == (pytest.approx(-0.5), float("-inf"))
