"""Wordings are data: complete, checked when loaded, and replaceable by the user."""

from pathlib import Path

import pytest

from palate.errors import ConfigError
from palate.language.prompts import SLOTS, load_prompts


def _written(folder: Path, text: str) -> Path:
    path = folder / "prompts.toml"
    path.write_text(text)
    return path


def test_every_family_has_wordings() -> None:
    prompts = load_prompts()
    assert set(prompts) == set(SLOTS)
    for wordings in prompts.values():
        assert len(wordings.seen) >= 2
        assert wordings.unseen
        assert not set(wordings.seen) & set(wordings.unseen)


@pytest.mark.parametrize("family", sorted(SLOTS))
def test_every_wording_takes_the_slots_of_its_family(family: str) -> None:
    values = {slot: "purchase" for slot in SLOTS[family]}
    wordings = load_prompts()[family]
    for wording in wordings.seen + wordings.unseen:
        said = wording.format(**values)
        assert "{" not in said
        assert said.count("purchase") == len(values)


def test_own_file_replaces_the_families_it_names(tmp_path: Path) -> None:
    path = _written(tmp_path, '[search]\nseen = ["cerca queste parole"]\n')
    prompts = load_prompts(path)
    assert prompts["search"].seen == ("cerca queste parole",)
    assert prompts["search"].unseen == ()
    assert prompts["next-item"] == load_prompts()["next-item"]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('[search]\nseen = ["find {query}"]\n', "find {query}"),
        ('[objective]\nseen = ["just recommend"]\n', "just recommend"),
        ('[objective]\nseen = ["{event} in {scenario}"]\n', "{event} in {scenario}"),
        ('[objective]\nseen = ["do {event}"]\nunseen = ["do {}"]\n', "do {}"),
        ('[objective]\nseen = ["{event.__class__}"]\n', "{event.__class__}"),
        ('[objective]\nseen = ["broken {event"]\n', "broken {event"),
    ],
)
def test_wrong_slots_are_an_error_that_names_the_wording(
    tmp_path: Path, text: str, named: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_prompts(_written(tmp_path, text))
    assert named in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[sarch]\nseen = ["x"]\n', "sarch"),
        ("[search]\nseen = []\n", "no wording"),
        ('[search]\nunseen = ["x"]\n', "no wording"),
        ('[search]\nseen = "one text, not a list"\n', "search"),
        ("[search]\nseen = [1]\n", "search"),
        ("search = 1\n", "search"),
        ("[search\n", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_is_an_error(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_prompts(_written(tmp_path, text))


def test_a_missing_or_garbled_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_prompts(tmp_path / "nowhere.toml")
    garbled = tmp_path / "garbled.toml"
    garbled.write_bytes(b'[search]\nseen = ["\xff\xfe"]\n')
    with pytest.raises(ConfigError, match="cannot be read"):
        load_prompts(garbled)
