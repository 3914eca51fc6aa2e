"""What was recorded is replayed exactly, and a change is told at its first place."""

from dataclasses import replace
from pathlib import Path

import pytest

from palate.errors import ArtifactError, ConfigError
from palate.llm.recording import Recorded, ReplayError
from palate.llm.reply import NoReplyError, Reply, Usage
from palate.llm.request import Sampling, SpeakerRequest, ask
from palate.llm.scripted import Scripted
from palate.llm.speaker import Lanes


def recorded(path: Path, requests: list[SpeakerRequest]) -> list[str]:
    script = Scripted([f"line {number}" for number in range(len(requests))])
    outcomes = Recorded(path, script, "record").replies(requests)
    return [each.text for each in outcomes if isinstance(each, Reply)]


def test_a_replay_gives_what_was_recorded_without_a_speaker(tmp_path: Path) -> None:
    requests = [ask("a"), ask("b"), ask("a")]
    texts = recorded(tmp_path / "tape", requests)
    replay = Recorded(tmp_path / "tape")
    replies = [each for each in replay.replies(requests) if isinstance(each, Reply)]
    assert [each.text for each in replies] == texts == ["line 0", "line 1", "line 2"]
    assert {(each.source, each.usage) for each in replies} == {("record", Usage())}
    assert replay.cost_limit(ask("a")) == Usage()


def test_the_second_time_one_asks_the_second_reply_comes(tmp_path: Path) -> None:
    recorded(tmp_path / "tape", [ask("a"), ask("b"), ask("a")])
    replay = Recorded(tmp_path / "tape")
    assert [replay.reply(ask(p)).text for p in "aab"] == ["line 0", "line 2", "line 1"]
    with pytest.raises(ReplayError, match="has 2 replies to a request that is asked 3 times"):
        replay.reply(ask("a"))


def test_order_in_threads_does_not_matter(tmp_path: Path) -> None:
    script = Scripted(lambda request: request.messages[0].content, lanes=Lanes(concurrency=4))
    requests = [ask(str(number % 5)) for number in range(40)]
    Recorded(tmp_path / "tape", script, "record").replies(requests)
    outcomes = Recorded(tmp_path / "tape").replies(requests)
    assert [each.text for each in outcomes if isinstance(each, Reply)] == [
        str(number % 5) for number in range(40)
    ]


def test_errors_are_replayed_too(tmp_path: Path) -> None:
    Recorded(tmp_path / "tape", Scripted([]), "record").replies([ask("a")])
    (error,) = Recorded(tmp_path / "tape").replies([ask("a")])
    assert isinstance(error, NoReplyError)
    assert "The script has 0 lines" in error.message


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (ask("a long question of many words, and one more"), "messages[1].content: recorded"),
        (replace(ask("", system="Be brief."), max_tokens=3), "max_tokens: recorded 256, asked 3"),
        (replace(ask("x"), sampling=Sampling(seed=4)), "sampling.seed: recorded 0, asked 4"),
        (ask("x", choices=["a"]), "choices: recorded [], asked ['a']"),
    ],
)
def test_a_miss_shows_the_first_field_that_differs(
    tmp_path: Path, changed: SpeakerRequest, words: str
) -> None:
    system = ask("", system="Be brief.").messages[0]
    known = [ask("x"), ask("a long question of many words", system="Be brief.")]
    known.append(ask("", system="Be brief."))
    recorded(tmp_path / "tape", known)
    if "content" in words:
        changed = replace(changed, messages=(system, *changed.messages))
    with pytest.raises(ReplayError) as caught:
        Recorded(tmp_path / "tape").reply(changed)
    assert words in caught.value.message


def test_long_texts_are_shown_where_they_part(tmp_path: Path) -> None:
    recorded(tmp_path / "tape", [ask("x" * 5000 + " old " + "y" * 5000)])
    with pytest.raises(ReplayError) as caught:
        Recorded(tmp_path / "tape").reply(ask("x" * 5000 + " new " + "y" * 5000))
    assert "xxx old yyy" in caught.value.message
    assert "xxx new yyy" in caught.value.message


def test_a_miss_cannot_be_taken_for_a_failure_of_the_model(tmp_path: Path) -> None:
    recorded(tmp_path / "tape", [ask("a")])
    assert not issubclass(ReplayError, NoReplyError)
    with pytest.raises(ReplayError):
        Recorded(tmp_path / "tape").replies([ask("a"), ask("b")])


def test_live_records_nothing(tmp_path: Path) -> None:
    assert Recorded(tmp_path / "tape", Scripted(["x"]), "live").reply(ask("a")).text == "x"
    assert not (tmp_path / "tape").exists()


def test_a_recording_is_not_written_over_another(tmp_path: Path) -> None:
    recorded(tmp_path / "tape", [ask("a")])
    with pytest.raises(ConfigError, match="exists"):
        Recorded(tmp_path / "tape", Scripted([]), "record")


def test_what_cannot_be_replayed_is_said(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no recording"):
        Recorded(tmp_path / "tape")
    with pytest.raises(ConfigError, match="needs a speaker"):
        Recorded(tmp_path / "tape", None, "record")
    (tmp_path / "tape").write_text("{}\n", encoding="utf-8")
    with pytest.raises(ArtifactError, match="Line 1"):
        Recorded(tmp_path / "tape")


def test_a_line_that_was_not_finished_is_left_out(tmp_path: Path) -> None:
    recorded(tmp_path / "tape", [ask("a"), ask("b")])
    text = (tmp_path / "tape").read_text(encoding="utf-8")
    (tmp_path / "tape").write_text(text[:-30], encoding="utf-8")
    replay = Recorded(tmp_path / "tape")
    assert replay.reply(ask("a")).text == "line 0"
    with pytest.raises(ReplayError):
        replay.reply(ask("b"))
