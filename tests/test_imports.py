"""``import palate`` and ``palate --help`` are light: no torch, no transformers, no polars."""

import os
import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "polars", "scipy", "sklearn", "tokenizers")
IMPORT = "import palate"
HELP = """
import sys
from palate.cli import main
sys.argv = ["palate", "--help"]
try:
    main()
except SystemExit as done:
    assert not done.code, done.code
"""


@pytest.mark.parametrize("program", [IMPORT, HELP], ids=["import", "help"])
def test_importing_loads_nothing_heavy(program: str) -> None:
    tell = f"\nimport sys\nprint([x for x in {HEAVY} if x in sys.modules], file=sys.stderr)"
    assert _run(program + tell).stderr.strip().splitlines()[-1] == "[]"


@pytest.mark.parametrize("program", [IMPORT, HELP], ids=["import", "help"])
def test_answers_within_half_a_second(program: str) -> None:
    # Processor time, the best of three: whatever else the machine does meanwhile does not count.
    assert min(_seconds(program) for _ in range(3)) < 0.5


def _seconds(program: str) -> float:
    before = os.times()
    _run(program)
    after = os.times()
    return sum(after[2:4]) - sum(before[2:4])  # user and system time of children


def _run(program: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done
