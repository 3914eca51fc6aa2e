"""A script answers in turn or by a function, and gives scores where it has them."""

import time

import pytest

from palate.llm.reply import ChoiceScores, NoReplyError, Reply
from palate.llm.request import ask
from palate.llm.scripted import Scripted
from palate.llm.speaker import Lanes, Speaker, choice_logprobs


def test_lines_come_in_turn_and_then_no_more() -> None:
    script = Scripted(["one", {"answer": "B"}])
    assert isinstance(script, Speaker)
    assert script.reply(ask("first")).text == "one"
    assert script.reply(ask("second", choices=["A", "B"])).value == "B"
    with pytest.raises(NoReplyError, match="2 lines"):
        script.reply(ask("third"))
    assert [each.messages[0].content for each in script.asked] == ["first", "second", "third"]


def test_a_function_sees_the_request_and_order_is_kept_in_threads() -> None:
    script = Scripted(lambda request: request.messages[0].content.upper(), lanes=Lanes(3, 4))
    outcomes = script.replies([ask(f"p{number}") for number in range(50)])
    assert [each.text for each in outcomes if isinstance(each, Reply)] == [
        f"P{n}" for n in range(50)
    ]


def test_an_answer_that_does_not_fit_is_told() -> None:
    reply = Scripted(["D"]).reply(ask("?", choices=["A", "B"]))
    assert reply.value is None
    assert "none of the choices" in reply.notes[0]


def test_scores_are_given_where_there_are_some() -> None:
    asked = [ask("?", choices=["A", "B"])]
    script = Scripted(scores=lambda request: [-2.0, -0.5])
    assert choice_logprobs(script, asked) == [ChoiceScores((-2.0, -0.5), (1, 1))]
    (error,) = choice_logprobs(Scripted(["A"]), asked)
    assert isinstance(error, NoReplyError)
    assert "no scores" in error.message


def test_an_interrupt_gives_up_what_has_not_begun() -> None:
    def answer(request: object) -> str:
        time.sleep(0.01)
        raise KeyboardInterrupt

    script = Scripted(answer, lanes=Lanes(concurrency=2))
    with pytest.raises(KeyboardInterrupt):
        script.replies([ask(str(number)) for number in range(500)])
    assert len(script.asked) < 100
