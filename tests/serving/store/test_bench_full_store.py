"""A store filled by the database itself is one that the store could have filled."""

import re
import sys
import time

import full_store
import pytest

from palate.serving.store import Store


def test_a_filled_store_holds_what_it_says(address: str) -> None:
    num_users = full_store.fill(address, 2_000)
    store = Store.open(address)
    try:
        counts = store.counts()
        assert (counts.events, counts.users, num_users) == (2_000, 200, 200)
        assert len(store.history("user-7")) == 10
        figures = store.click_through(0.0)
        assert sum(one.shown for one in figures.values()) == 200
        assert 0 < sum(one.clicked for one in figures.values()) < 20
        assert store.click_through(time.time() - 30 * 86_400).keys() == figures.keys()
        for _, times, ours in full_store.measured(store, address, num_users, 1):
            assert len(times) == len(ours) == 1
    finally:
        store.close()


def test_the_last_line_is_the_headline(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--events", "500", "--tries", "2", "--only", "sqlite", "--plans"]
    monkeypatch.setattr(sys, "argv", ["full_store.py", *options])
    full_store.main()
    said = capsys.readouterr().out
    assert re.fullmatch(r"full store: \d+\.\d\d", said.splitlines()[-1])
    # Nothing that a request waits for goes through a whole table.
    assert not re.search(r"SCAN (events|recommendations|erased_users)", said)
