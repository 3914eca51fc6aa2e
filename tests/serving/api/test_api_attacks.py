"""The attacks of ``bench/attack.py``, in small, against a really started server."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "bench"))

import attack
from service import palate_server

pytestmark = pytest.mark.slow


def test_no_body_and_no_header_grows_or_stops_the_server(model_folders: Path) -> None:
    with palate_server(model_folders / "urm") as server:
        found = attack.run(server, 4 * attack.MB)
    assert [failure for one in found for failure in one.failures] == []
    assert len(found) > 60
    # Whoever only asks whether it lives is answered meanwhile; the limit is for a busy machine.
    assert max(one.slowest_ms for one in found) < 5_000
