"""Speakers without an opinion, and what is kept of the place of a speaker."""

import json
from pathlib import Path

import pytest

from palate.errors import ConfigError
from palate.llm.budget import Limits, OverBudgetError, Prices
from palate.llm.controls import CONTROLS, control
from palate.llm.open import open_speaker
from palate.llm.place import SpeakerPlace, default_replies
from palate.llm.request import Message, SpeakerRequest, ask
from palate.llm.speaker import Speaker, choice_logprobs

LETTERS = ask("Which?", choices=["A", "B", "C"])
NUMBER = {"type": "integer", "minimum": 1, "maximum": 9}
RANKING = SpeakerRequest(
    (Message("user", "Rank them."),),
    schema={
        "type": "object",
        "properties": {"ranking": {"type": "array", "items": NUMBER, "maxItems": 5}},
    },
)


@pytest.mark.parametrize("name", CONTROLS)
def test_a_control_is_opened_by_its_name(name: str) -> None:
    speaker = open_speaker(name)
    assert isinstance(speaker, Speaker)
    assert speaker.name.startswith(name)


def test_who_is_undecided_finds_all_choices_alike_and_says_nothing() -> None:
    speaker = control("identity")
    (scores,) = choice_logprobs(speaker, [LETTERS])
    assert len(set(scores.logprobs)) == 1  # type: ignore[union-attr]
    assert speaker.reply(RANKING).value is None
    assert speaker.reply(ask("Say something.")).text == ""


def test_who_draws_answers_the_same_alike_and_others_otherwise() -> None:
    drawn = control("shuffle").reply(RANKING).value
    assert isinstance(drawn, dict)
    assert len(set(drawn["ranking"])) == 5
    assert set(drawn["ranking"]) <= set(range(1, 10))
    assert control("shuffle").reply(RANKING).value == drawn
    assert control("shuffle", seed=1).reply(RANKING).value != drawn
    found = choice_logprobs(control("shuffle"), [LETTERS, ask("Who?", choices=["A", "B", "C"])])
    assert found[0] != found[1]
    assert control("shuffle").reply(LETTERS).value in LETTERS.choices


def test_all_letters_are_drawn_as_often() -> None:
    questions = [ask(f"Which of {n}?", choices=["A", "B", "C"]) for n in range(900)]
    scores = choice_logprobs(control("shuffle"), questions)
    first = [each.best for each in scores]  # type: ignore[union-attr]
    assert all(250 < first.count(place) < 350 for place in range(3))


def test_a_place_is_kept_as_json() -> None:
    place = SpeakerPlace("http://127.0.0.1:1/v1", "toy", Limits(calls=3), Prices(1.0, 2.0))
    assert SpeakerPlace.from_dict(json.loads(json.dumps(place.as_dict()))) == place


def test_a_place_is_opened_within_its_budget_and_remembers(tmp_path: Path) -> None:
    pytest.importorskip("openai", reason="needs the extra 'llm'")
    place = SpeakerPlace("http://127.0.0.1:1/v1", "toy", Limits(calls=0))
    speaker = place.opened(tmp_path / "replies")
    assert (tmp_path / "replies").is_dir()
    with pytest.raises(OverBudgetError):
        speaker.reply(ask("Is water wet?"))


def test_replies_are_kept_in_the_cache_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert default_replies() == Path("/somewhere/palate/replies")


def test_a_place_where_nobody_is_says_what_there_is() -> None:
    with pytest.raises(ConfigError, match="neither") as refused:
        open_speaker("nobody")
    assert "identity, shuffle" in refused.value.hint


@pytest.mark.parametrize(
    ("allowed", "opens"),
    [
        ("https://llm.example/v1", True),
        ("https://llm.example", True),
        ("https://llm.example:8443/v1", False),
        ("http://llm.example/v1", False),
        ("https://other.example/v1", False),
        ("", False),
    ],
)
def test_a_model_folder_asks_no_endpoint_elsewhere_that_is_not_allowed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, allowed: str, opens: bool
) -> None:
    monkeypatch.setenv("PALATE_LLM_URL", allowed)
    place = SpeakerPlace("https://llm.example/v1", "toy")
    kept = SpeakerPlace.from_dict(json.loads(json.dumps(place.as_dict())))
    place.opened(tmp_path)  # whoever names it on the command line trusts it
    SpeakerPlace.from_dict({"where": "http://127.0.0.1:1/v1", "model": "toy"}).opened(tmp_path)
    if opens:
        kept.opened(tmp_path)
        return
    with pytest.raises(ConfigError, match="would be sent titles, histories and") as refused:
        kept.opened(tmp_path)
    assert refused.value.hint.endswith("PALATE_LLM_URL=https://llm.example/v1")
