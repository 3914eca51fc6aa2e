"""Untrusted text cannot control the terminal, and a missing letter is replaced."""

import io
import json
import re
import sys

import pytest
from rich.markdown import Markdown
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from palate.terminal.tables import show, show_markdown
from palate.terminal.words import harmless, open_streams, say, say_error, say_json

NASTY = "\x1b]0;taken\x07 \x1b[31mred \x9b2J \u202egnp.exe \x7f\r"
"""A title for the window, a colour, a cleared screen, text turned round, a line begun anew."""
STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def test_control_characters_are_replaced_by_signs() -> None:
    assert harmless("a\x1b[31mb") == "a␛[31mb"
    assert harmless("a\x9b1mb\u202ec\x7f") == "a<U+009B>1mb<U+202E>c␡"
    assert not STEERING.search(harmless(NASTY))


@pytest.mark.parametrize("text", ["two\nlines\tand a tab", "日本語 العربية עברית 👩‍👩‍👧", "Ünï"])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert harmless(text) == text


@pytest.mark.parametrize("err", [False, True])
def test_words_are_harmless(capsys: pytest.CaptureFixture[str], err: bool) -> None:
    say(NASTY, err=err)
    out, told = capsys.readouterr()
    assert "red" in (told if err else out)
    assert not STEERING.search(out + told)


def test_an_error_is_one_line_and_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    say_error(f"No column {NASTY}\nin it", "Write\nanother " + "x" * 5000)
    error, hint = capsys.readouterr().err.splitlines()
    assert error.startswith("error: No column ␛]0;taken")
    assert not STEERING.search(error)
    assert hint.startswith("hint: Write another xxx")
    assert len(hint) < 2100


def test_json_is_equal_after_parsing_and_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"title": NASTY + "é" + "\ud800"}
    say_json(value)
    said = capsys.readouterr().out
    assert json.loads(said) == value
    assert "é" in said
    assert not STEERING.search(said)


@pytest.mark.parametrize(
    "drawn",
    [
        NASTY,
        Text(NASTY),
        Panel("inside", title=NASTY),
        Panel(Text(NASTY)),
        Markdown(f"# {NASTY}"),
        Table(NASTY, title=NASTY, caption=NASTY),
    ],
    ids=["text", "Text", "title", "inside", "Markdown", "Table"],
)
def test_texts_drawn_by_rich_are_harmless(
    capsys: pytest.CaptureFixture[str], drawn: object
) -> None:
    show(drawn)
    assert not STEERING.search(capsys.readouterr().out)


def test_signs_do_not_bend_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("a", "b")
    table.add_row("\x1b[31mred\x1b[0m", "plain")
    table.add_row("plain", "\x9b2J")
    show(table)
    assert len({len(line) for line in capsys.readouterr().out.splitlines()}) == 1


def test_markdown_makes_no_links(capsys: pytest.CaptureFixture[str]) -> None:
    show_markdown(f"- [here](http://taken.example) {NASTY}")
    said = capsys.readouterr().out
    assert "here" in said
    assert not STEERING.search(said)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_stream_without_the_letters_gets_the_nearest(
    monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    kept = io.BytesIO()
    stream = io.TextIOWrapper(kept, encoding=encoding, write_through=True)
    monkeypatch.setattr(sys, "stdout", stream)
    open_streams()
    say("“Crème” \u2013 3 \u00d7 5 ≥ 1 → 日 \ud800")
    say_json({"title": "日本"})
    said = kept.getvalue().decode(encoding)
    plain = said.translate(str.maketrans("“”è\u2013\u00d7", '""e-x'))
    assert plain.startswith('"Creme" - 3 x 5 >= 1 -> ? ?')
    assert json.loads(said[said.index("{") :]) == {"title": "日本"}
