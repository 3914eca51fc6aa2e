"""The faults of ``bench/faults.py``, a few of each, against a really started server."""

import argparse
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "bench"))

import faults

pytestmark = pytest.mark.slow

OPTIONS = argparse.Namespace(kills=3, requests=400, threads=2, clients=64, seconds=2.0)


def test_no_acknowledged_event_is_lost_or_doubled_by_kills(model_folders: Path) -> None:
    tally = faults.kill(model_folders / "urm", OPTIONS)
    assert tally.failures == []
    assert tally.counts["acknowledged"] > 0
    assert tally.counts["kills"] == 3


def test_nonsense_is_refused_with_a_message(model_folders: Path) -> None:
    tally = faults.fuzz(model_folders / "urm", OPTIONS)
    assert tally.failures == []
    assert tally.counts["requests"] == 400


def test_code_stays_text(model_folders: Path) -> None:
    assert faults.injection(model_folders / "urm", OPTIONS).failures == []
