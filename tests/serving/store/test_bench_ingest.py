"""The benchmark of the store runs and ends with its headline."""

import re
import sys

import ingest
import pytest


def test_the_last_line_is_the_headline(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--seconds", "0.02", "--history", "500", "--only", "sqlite"]
    monkeypatch.setattr(sys, "argv", ["ingest.py", *options])
    monkeypatch.setattr(ingest, "LOOKS", 20)
    ingest.main()
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"ingest: [1-9]\d*", lines[-1])
