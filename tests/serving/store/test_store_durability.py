"""kill -9 at any moment: what was acknowledged is there, and nothing is there twice."""

import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

from palate.serving.store import Store

SOURCE = Path(__file__).with_name("event_source.py")
NUM_KILLS = 3
NUM_USERS = 5


def test_nothing_acknowledged_is_lost_and_nothing_doubled(address: str) -> None:
    rng = random.Random(0)
    acknowledged: set[int] = set()
    unknown: list[int] = []
    following = 0
    for _ in range(NUM_KILLS):
        said = _killed_after(address, following, unknown, rng.randint(30, 400))
        acknowledged |= said
        stored = _stored(address)
        assert acknowledged <= stored.keys()
        assert set(stored.values()) == {1}
        # The next one sends again whatever it was not told about, as a client would.
        following = max(following, max(stored), max(said)) + 1
        unknown = sorted(set(range(following)) - acknowledged)
    assert len(acknowledged) >= 30 * NUM_KILLS
    said = _killed_after(address, following, unknown, len(unknown) + 100)
    assert set(unknown) <= said
    stored = _stored(address)
    assert set(range(following)) | acknowledged | said <= stored.keys()
    assert set(stored.values()) == {1}


def _killed_after(address: str, start: int, unknown: list[int], num_lines: int) -> set[int]:
    """Kill the program soon after it said some numbers; return all that it said until then."""
    waiting = ",".join(map(str, unknown))
    command = [sys.executable, str(SOURCE), address, str(start), waiting]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        first = b"".join(program.stdout.readline() for _ in range(num_lines))
        program.send_signal(signal.SIGKILL)
        rest = program.stdout.read()
        assert program.wait() == -signal.SIGKILL
    lines = (first + rest).decode().splitlines(keepends=True)
    return {int(line) for line in lines if line.endswith("\n")}


def _stored(address: str) -> Counter[int]:
    """Return how often each number is stored; checks the counters on the way."""
    store = Store.open(address)
    keys = Counter(
        int((stored.event.idempotency_key or "").removeprefix("key-"))
        for user in range(NUM_USERS)
        for stored in store.history(f"user-{user}", limit=10_000)
    )
    assert store.counts().events == keys.total()
    store.close()
    return keys
