"""Nothing is asked twice: not in one run, not after a kill, not by two processes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from server import Body, ChatServer, Served, Start, fault, in_turn, message, slow

from palate.errors import ArtifactError
from palate.llm.cache import Cached
from palate.llm.claims import Claims
from palate.llm.reply import NoReplyError, Reply, Usage
from palate.llm.request import Sampling, SpeakerRequest, ask
from palate.llm.scripted import Scripted
from palate.llm.speaker import Lanes

RUN = """
import sys
from palate.llm.cache import Cached
from palate.llm.endpoint.endpoint import Endpoint
from palate.llm.request import ask
from pathlib import Path

url, folder, first, last, lanes = sys.argv[1:]
endpoint = Endpoint(url, "toy", concurrency=int(lanes), dialects=Path(folder) / "dialects")
prompts = [f"prompt {number}" for number in range(int(first), int(last))]
outcomes = Cached(endpoint, Path(folder)).replies([ask(prompt) for prompt in prompts])
assert [each.text for each in outcomes] == [f"answer to {prompt}" for prompt in prompts]
print("all", len(outcomes))
"""


def answering(body: Body, number: int) -> Served:
    return slow(message(f"answer to {body['messages'][-1]['content']}"), 0.005)


def running(server: ChatServer, folder: Path, *numbers: int) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", RUN, server.url, str(folder), *map(str, numbers)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def test_what_was_answered_is_not_asked_again(tmp_path: Path) -> None:
    script = Scripted(lambda request: str(len(script.asked)))
    speaker = Cached(script, tmp_path)
    first = speaker.reply(ask("a"))
    again = Cached(script, tmp_path).reply(ask("a"))
    assert (first.text, first.source, first.usage.calls) == ("1", "live", 1)
    assert (again.text, again.source, again.usage) == ("1", "cache", Usage())
    assert len(script.asked) == 1


def test_another_request_another_seed_and_another_speaker_are_asked(tmp_path: Path) -> None:
    script = Scripted(lambda request: "x")
    speaker = Cached(script, tmp_path)
    for request in (ask("a"), ask("b"), replace(ask("a"), sampling=Sampling(seed=1))):
        assert speaker.reply(request).source == "live"
    assert Cached(replace(script, name="other"), tmp_path).reply(ask("a")).source == "live"


@pytest.mark.parametrize("lanes", [Lanes(), Lanes(batch=3), Lanes(concurrency=4)])
def test_the_same_prompt_many_times_in_one_run_is_asked_once(tmp_path: Path, lanes: Lanes) -> None:
    def answer(request: SpeakerRequest) -> str:
        time.sleep(0.005)
        return request.messages[0].content

    script = Scripted(answer, lanes=lanes)
    prompts = [str(number % 4) for number in range(20)]
    outcomes = Cached(script, tmp_path).replies([ask(prompt) for prompt in prompts])
    replies = [each for each in outcomes if isinstance(each, Reply)]
    assert [each.text for each in replies] == prompts
    assert len(script.asked) == 4
    assert sum(each.usage.calls for each in replies) == 4


def test_errors_are_not_remembered(start: Start, tmp_path: Path) -> None:
    _, endpoint = start(in_turn(fault(400), message("done")))
    speaker = Cached(endpoint, tmp_path / "cache")
    with pytest.raises(NoReplyError):
        speaker.reply(ask("a"))
    assert speaker.reply(ask("a")).text == "done"


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"text": "x", "unknown": 1}'])
def test_a_file_that_the_disk_lost_is_asked_for_again(tmp_path: Path, content: str) -> None:
    script = Scripted(lambda request: "x")
    Cached(script, tmp_path).reply(ask("a"))
    (file,) = tmp_path.glob("*/*.json")
    file.write_text(content, encoding="utf-8")
    assert Cached(script, tmp_path).reply(ask("a")).source == "live"
    assert json.loads(file.read_text(encoding="utf-8"))["text"] == "x"


def test_no_prompt_is_kept(tmp_path: Path) -> None:
    Cached(Scripted(["x"]), tmp_path).reply(ask("who bought what"))
    assert not any("bought" in file.read_text(encoding="utf-8") for file in tmp_path.glob("*/*"))


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ArtifactError):
        Cached(Scripted([]), tmp_path / "file")


@pytest.mark.slow
def test_a_killed_run_continues_and_asks_no_prompt_twice(tmp_path: Path) -> None:
    lanes = 4
    pytest.importorskip("openai", reason="needs the extra 'llm'")
    with ChatServer(answering) as server:
        killed = running(server, tmp_path, 0, 1000, lanes)
        until = time.monotonic() + 60
        while len(server.asked) < 300 and time.monotonic() < until:
            time.sleep(0.01)
        os.kill(killed.pid, signal.SIGKILL)
        killed.communicate()
        assert 300 <= len(server.asked) < 1000
        said, _ = running(server, tmp_path, 0, 1000, lanes).communicate()
        assert said == "all 1000\n"
        times = Counter(server.prompts())
        assert len(times) == 1000
        # Only what was on the wire when the run died, and never reached it, is asked again.
        again = [prompt for prompt, count in times.items() if count > 1]
        assert len(again) <= lanes
        assert max(times.values()) <= 2
        said, _ = running(server, tmp_path, 0, 1000, lanes).communicate()
        assert said == "all 1000\n"
        assert len(server.asked) == 1000 + len(again), "a third run asks nothing"


@pytest.mark.slow
def test_two_processes_that_want_the_same_ask_once(tmp_path: Path) -> None:
    pytest.importorskip("openai", reason="needs the extra 'llm'")
    with ChatServer(answering) as server:
        both = [running(server, tmp_path, 0, 200, 3), running(server, tmp_path, 100, 300, 3)]
        assert [process.communicate()[0] for process in both] == ["all 200\n", "all 200\n"]
        assert Counter(server.prompts()) == {f"prompt {number}": 1 for number in range(300)}


def test_a_claim_is_free_when_its_owner_dies(tmp_path: Path) -> None:
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom palate.llm.claims import Claims\n"
        "with Claims(Path(sys.argv[1])).of(['ab' * 32]):\n"
        "    print('held', flush=True)\n    time.sleep(60)\n"
    )
    arguments = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "held\n"
        claims = Claims(tmp_path)
        assert not claims.is_free("ab" * 32)
        assert claims.is_free("cd" * 32)
        owner.kill()
    assert claims.is_free("ab" * 32)


def test_a_claim_of_one_thread_is_not_one_of_another(tmp_path: Path) -> None:
    claims = Claims(tmp_path)
    with claims.of(["ab" * 32, "cd" * 32]):
        assert not claims.is_free("ab" * 32)
        assert claims.is_free("ef" * 32)
    assert claims.is_free("ab" * 32)
