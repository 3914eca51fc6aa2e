"""Pre-trained models on the command line."""

import json
import sys
from pathlib import Path

import pytest

from palate import cli
from palate.models.weights.named import NAMED
from weights_at_hand import write_gguf

pytest.importorskip("gguf")


def _run(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr(sys, "argv", ["palate", *map(str, words)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    return int(stopped.value.code or 0)


def test_every_named_model_is_listed_on_a_narrow_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert _run(monkeypatch, "backbone", "list") == 0
    lines = capsys.readouterr().out.splitlines()
    for name, model in NAMED.items():
        (line,) = [line for line in lines if line.startswith(f"{name} ")]
        assert model.licence in line
        assert f" {'no' if model.sha256 is None else 'yes'} " in line
        assert "…" not in line


def test_the_list_for_programs_has_hashes_and_revisions(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(monkeypatch, "backbone", "list", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert {name: each["revision"] for name, each in found.items()} == {
        name: model.revision for name, model in NAMED.items()
    }


def test_a_gguf_file_is_converted_and_the_next_command_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    source = write_gguf(tmp_path / "tiny.gguf")
    assert _run(monkeypatch, "backbone", "get", source, tmp_path / "out") == 0
    out, err = capsys.readouterr()
    assert "Converting tiny.gguf" in out
    assert f"--set model.backbone.path={tmp_path / 'out'}" in out
    assert "it/s" not in err  # no bar of a library
    assert (tmp_path / "out" / "model.safetensors").is_file()


def test_a_model_that_there_is_not_is_two_lines_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert _run(monkeypatch, "backbone", "get", "gpt-5", tmp_path / "out") == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("error: There is no model called 'gpt-5'")
    assert lines[1].startswith("hint: The models are smollm2-135m-instruct")


def test_a_gguf_file_as_a_backbone_is_told_how_it_is_converted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from palate.simulation.world import World

    World(num_users=20, num_items=20, events_per_user=6, seed=1).dataset().save(tmp_path / "data")
    source = write_gguf(tmp_path / "tiny.gguf")
    words = ("train", tmp_path / "data", tmp_path / "model", "--recipe", "tallrec")
    path = f"model.backbone.path={source}"
    assert _run(monkeypatch, *words, "--set", path) == 2
    out, err = capsys.readouterr()
    assert "Pre-trained model: steps of 1,024 tokens x 4, at most 3 epochs, validated on 256" in out
    assert f"palate backbone get {source} {source.with_suffix('')}" in err
    assert not (tmp_path / "model").exists()
