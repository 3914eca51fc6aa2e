"""The set-up chooses the build of torch and the installer, and skips finished work."""

import importlib.util
import os
import re
import stat
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def bootstrap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The script as a module, on a machine without a card and with nothing chosen by hand."""
    for name in ("TORCH_BUILD", "PALATE_EXTRAS", "PALATE_INSTALLER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    spec = importlib.util.spec_from_file_location("bootstrap", ROOT / "bootstrap.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module.sys, "platform", "linux")
    monkeypatch.setattr(module.platform, "machine", lambda: "x86_64")
    return module


def test_without_a_gpu_there_is_no_cuda_build(bootstrap: ModuleType) -> None:
    assert bootstrap.torch_requirement() == f"torch=={bootstrap.TORCH}+cpu"


def test_a_working_gpu_gets_the_cuda_build(bootstrap: ModuleType, tmp_path: Path) -> None:
    _put(tmp_path, "nvidia-smi", 'echo "GPU 0: NVIDIA H200 (UUID: GPU-1)"')
    assert bootstrap.torch_requirement() == f"torch=={bootstrap.TORCH},!={bootstrap.TORCH}+cpu"


@pytest.mark.parametrize("answer", ["exit 9", "echo No devices found"])
def test_a_driver_without_a_gpu_gets_no_cuda_build(
    bootstrap: ModuleType, tmp_path: Path, answer: str
) -> None:
    _put(tmp_path, "nvidia-smi", answer)
    assert bootstrap.torch_requirement().endswith("+cpu")


def test_the_build_can_be_chosen_by_hand(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_BUILD", "cuda")
    assert "!=" in bootstrap.torch_requirement()


@pytest.mark.parametrize(("system", "machine"), [("darwin", "arm64"), ("linux", "aarch64")])
def test_elsewhere_the_plain_build_is_the_cpu_build(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, system: str, machine: str
) -> None:
    monkeypatch.setattr(bootstrap.sys, "platform", system)
    monkeypatch.setattr(bootstrap.platform, "machine", lambda: machine)
    assert bootstrap.torch_requirement() == f"torch=={bootstrap.TORCH}"


def test_a_finished_bootstrap_does_nothing(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(bootstrap, "STAMP", tmp_path / "stamp")
    monkeypatch.setattr(bootstrap, "PYTHON", sys.executable)
    monkeypatch.setattr(bootstrap, "_make_venv", lambda: pytest.fail("set up again"))
    (tmp_path / "stamp").write_text(bootstrap._wanted_stamp())
    bootstrap.set_up()


def test_other_extras_are_another_environment(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = bootstrap._wanted_stamp()
    monkeypatch.setenv("PALATE_EXTRAS", "test,minilm")
    assert bootstrap._wanted_stamp() != before


def test_uv_gets_the_settings_of_pip(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {"find-links": ["/wheels", "/more"], "index-url": ["https://mirror.example/simple"]}
    monkeypatch.setattr(bootstrap, "_pip_configuration", lambda: known)
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://chosen.example/simple")
    monkeypatch.setenv("UV_FIND_LINKS", "")
    monkeypatch.delenv("UV_FIND_LINKS")
    bootstrap._tell_uv_what_pip_knows()
    assert os.environ["UV_FIND_LINKS"] == "/wheels,/more"
    assert os.environ["UV_DEFAULT_INDEX"] == "https://chosen.example/simple"


def test_pip_settings_are_read_and_the_environment_wins(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "PYTHON", sys.executable)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_FIND_LINKS", "/first /second")
    assert bootstrap._pip_configuration()["find-links"] == ["/first", "/second"]


BUSY = "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 7 (apt-get)"


@pytest.fixture
def root(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The script, run by root on a machine with apt-get and without a browser."""
    monkeypatch.setattr(bootstrap.os, "geteuid", lambda: 0)
    monkeypatch.setattr(bootstrap, "VENV", tmp_path)
    monkeypatch.setattr(bootstrap, "APT_PAUSE", 0.0)
    return bootstrap


def test_bootstrap_waits_for_another_apt_get(
    root: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = f'if mkdir {tmp_path}/busy; then echo "{BUSY}" >&2; exit 100; fi\n'
    _put(tmp_path, "apt-get", f'PATH=/bin:/usr/bin\n{script}echo "$@" >> {tmp_path}/called')
    root.install_browser()
    assert "waiting for it" in capsys.readouterr().out
    update, install = (tmp_path / "called").read_text().splitlines()
    assert update.endswith("update -qq")
    assert "DPkg::Lock::Timeout=240" in install
    assert install.endswith("chromium")


def test_another_apt_get_that_never_ends_is_named_and_tried_again(
    root: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(root, "APT_SECONDS", 0)
    monkeypatch.setattr(root, "_why_failed", lambda *_, **__: BUSY.removeprefix("E: "))
    _put(tmp_path, "apt-get", "exit 1")
    for _ in range(2):
        root.install_browser()
        said = capsys.readouterr().out
        assert "Installing chromium" in said
        assert "skipped (Could not get lock /var/lib/apt/lists/lock" in said


def test_a_missing_browser_is_reported_each_time_and_tried_once(
    root: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _put(tmp_path, "apt-get", 'echo "E: Unable to locate package chromium" >&2\nexit 100')
    root.install_browser()
    first = capsys.readouterr().out
    root.install_browser()
    second = capsys.readouterr().out
    assert first.startswith("Installing chromium")
    assert second.startswith("No chromium: browser tests will be skipped (Unable to locate")


@pytest.mark.parametrize("rights", ["nobody", "root"])
def test_a_failed_installation_has_a_reason(
    root: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    rights: str,
) -> None:
    if rights == "nobody":
        _put(tmp_path, "apt-get", "exit 1")
        monkeypatch.setattr(root.os, "geteuid", lambda: 1000)
    root.install_browser()
    wanted = "only root may install" if rights == "nobody" else "no apt-get here"
    assert wanted in capsys.readouterr().out


def test_constraints_name_versions_and_nothing_else() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line)] == []


def test_constraints_pin_every_direct_dependency(bootstrap: ModuleType) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    names = {re.match(r"[\w-]+", requirement).group() for requirement in wanted} - {"palate"}
    pinned = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines())
    assert names <= set(pinned)
    assert pinned["torch"] == bootstrap.TORCH


def test_runs_with_the_standard_library_alone() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", "import runpy; runpy.run_path('bootstrap.py')"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def _put(folder: Path, name: str, script: str) -> None:
    """Put a program on the search path."""
    (folder / "bin").mkdir()
    program = folder / "bin" / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
