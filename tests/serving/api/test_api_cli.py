"""``palate serve`` reads shares as they are meant, and passes on everything it is told."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from palate import cli
from palate.errors import ConfigError
from palate.serving import server
from palate.serving.app import ServeSettings


def test_the_first_model_has_what_the_others_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[ServeSettings] = []
    monkeypatch.setattr(server, "serve", told.append)
    monkeypatch.setenv("PALATE_API_KEY", "a secret")
    options = ["--model", "b=0.1", "--model", "c=0.25", "--port", "9", "--db", "sqlite:///x.db"]
    done = CliRunner().invoke(cli.app, ["serve", "a", *options])
    assert done.exit_code == 0, done.output
    (settings,) = told
    assert settings.models == {Path("a"): 0.65, Path("b"): 0.1, Path("c"): 0.25}
    assert (settings.port, settings.db, settings.first_key) == (9, "sqlite:///x.db", "a secret")
    assert "a secret" not in repr(settings)


@pytest.mark.parametrize("more", ["b", "b=much", "b=1.5", "b=-1", "a=0.5", "b=nan"])
def test_shares_that_make_no_sense_are_refused(more: str) -> None:
    done = CliRunner().invoke(cli.app, ["serve", "a", "--model", more])
    assert isinstance(done.exception, ConfigError)
    assert "--model" in done.exception.message
