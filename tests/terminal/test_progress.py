"""Progress: a bar in a terminal, lines elsewhere."""

import os
import pty
import subprocess
import sys

import pytest

from palate.terminal import progress
from palate.terminal.progress import Lines, Standing, progress_bar, spoken, training_progress
from palate.training.loop import Report


def _report(**changes: object) -> Report:
    at = {
        "epoch": 1,
        "epochs": 2,
        "step": 5,
        "steps": 10,
        "loss": 1.5,
        "interactions_per_second": 100.0,
        "seconds_left": 3.0,
    }
    return Report(**(at | changes))


@pytest.mark.parametrize(
    ("measure", "told"), [("NDCG@10", "validation NDCG@10 0.1250"), ("", "validation 0.1250")]
)
def test_a_validation_is_shown_with_the_name_of_its_metric(
    measure: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with training_progress() as bar:
        bar.encoding(3, 3)
        bar.report(_report(validation=0.125, measure=measure))
    assert f"Epoch 1/2  loss 1.500  {told}  100/s" in capsys.readouterr().out


def test_new_work_is_printed_at_once_and_a_further_epoch_is_not_new(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with training_progress() as bar:
        bar.encoding(1, 3)
        bar.encoding(2, 3)
        for epoch in (1, 2):
            bar.report(_report(epoch=epoch))
    assert capsys.readouterr().out.splitlines() == [
        "Training ...",
        "Encoding items ...",
        "Epoch 1/2 ...",
    ]


def test_a_line_tells_how_much_is_done_how_fast_and_what_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    said: list[str] = []
    lines = Lines(said.append)
    lines.show(Standing("Evaluating", 0, 3000))
    now[0] += 10
    lines.show(Standing("Evaluating", 1000, 3000))
    lines.tell()
    assert said == [
        "Evaluating ...",
        "Evaluating: 1,000 of 3,000 (33%), 100/s, 20 s left, 10 s so far",
    ]


def test_work_without_counts_is_reported_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress.time, "monotonic", lambda: 5.0)
    said: list[str] = []
    lines = Lines(said.append)
    lines.show(Standing("Reading a table"))
    lines.tell()
    assert said[-1] == "Reading a table: 0 s so far"


def test_a_log_gets_lines_while_the_work_says_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = progress.threading.Event()
    real = Lines.tell

    def tell(lines: Lines) -> None:
        real(lines)
        told.set()

    monkeypatch.setattr(progress, "_WAITS", (0.0,))
    monkeypatch.setattr(Lines, "tell", tell)
    with progress_bar("Reading a table"):
        assert told.wait(60)
    assert "Reading a table: " in capsys.readouterr().out


def test_the_other_stream_is_free_for_data(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("Encoding", err=True) as show:
        show(1, 2)
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "Encoding ...\n"


def test_a_terminal_gets_a_bar() -> None:
    program = (
        "from palate.terminal.progress import progress_bar, say\n"
        "with progress_bar('Evaluating [bold]it') as show:\n"
        "    show(1, 2)\n"
        "    say('a word between')\n"
        "    show(2, 2)\n"
    )
    drawn = _in_a_terminal(program)
    assert "Evaluating [bold]it" in drawn
    assert "━" in drawn
    assert "a word between" in drawn
    assert "..." not in drawn


@pytest.mark.parametrize(
    ("seconds", "said"), [(40.0, "40 s"), (600.0, "10 min"), (9000.0, "2.5 h")]
)
def test_durations_are_written_as_people_say_them(seconds: float, said: str) -> None:
    assert spoken(seconds) == said


def _in_a_terminal(program: str) -> str:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        drawn = b""
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:  # Linux says so when the other end is closed
                break
            if not part:
                break
            drawn += part
    os.close(ours)
    assert process.returncode == 0, drawn.decode()
    return drawn.decode()
