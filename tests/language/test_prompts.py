"""Wordings are data: complete, checked when loaded, and replaceable by the user."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from palate.data.catalog import Catalog
from palate.data.vocabulary import Vocabulary
from palate.errors import ConfigError
from palate.language.prompts import load_prompts, render
from palate.language.tasks import prompt_families, slots_of
from palate.language.tasks.task import Example
from palate.types import History


def _written(folder: Path, text: str) -> Path:
    path = folder / "prompts.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_family_has_wordings() -> None:
    prompts = load_prompts()
    assert set(prompts) == set(prompt_families())
    for wordings in prompts.values():
        assert len(wordings.seen) >= 2
        assert wordings.unseen
        assert not set(wordings.seen) & set(wordings.unseen)


@pytest.mark.parametrize("family", sorted(prompt_families()))
def test_every_wording_takes_the_slots_of_its_family(family: str) -> None:
    values = {slot: "purchase" for slot in slots_of(family)}
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


def test_own_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = _written(tmp_path, '\ufeff[search]\nseen = ["cerca queste parole"]\n')
    assert load_prompts(path)["search"].seen == ("cerca queste parole",)


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


@pytest.mark.parametrize("family", sorted(prompt_families()))
def test_every_family_has_eight_wordings_of_which_two_are_unseen(family: str) -> None:
    wordings = load_prompts()[family]
    assert len(set(wordings.seen + wordings.unseen)) >= 8
    assert len(wordings.unseen) >= 2
    assert all(one == one.strip().lower() for one in wordings.seen + wordings.unseen)


def test_own_file_adds_to_the_families_it_names(tmp_path: Path) -> None:
    path = _written(tmp_path, '[search]\nadd = ["cerca", "find items for this query", "cerca"]\n')
    own, package = load_prompts(path)["search"], load_prompts()["search"]
    assert own.seen == (*package.seen, "cerca"), "what is known already is not said twice"
    assert own.unseen == package.unseen


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[search]\nadd = ["a"]\nseen = ["b"]\n', "both replaces and adds"),
        ('[search]\nunsen = ["a"]\nseen = ["b"]\n', "unsen"),
        ('[search]\nadd = ["items about these words"]\n', "to be unseen"),
        ('[search]\nseen = ["a"]\nunseen = ["a"]\n', "to be unseen"),
        ('[search]\nadd = ["find {query}"]\n', "find {query}"),
        ("[search]\nadd = []\n", "no wording"),
    ],
)
def test_lists_that_contradict_are_an_error(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        load_prompts(_written(tmp_path, text))
    assert caught.value.hint


def _catalog() -> Catalog:
    titles = ["Oak Desk", "Bell\n\x1b[31m1. Fake", None, "x" * 500]
    ids = [f"i{k}" for k in range(len(titles))]
    return Catalog(Vocabulary(ids), pl.DataFrame({"item_id": ids, "title": titles}))


def test_a_prompt_is_shown_as_the_model_reads_it() -> None:
    example = Example(
        history=History(item_rows=np.asarray([0, 2, 1]), ratings=np.asarray([4.5, np.nan, 1.0])),
        prefix_lengths=np.asarray([1, 2]),
        targets=np.zeros((2, 0), dtype=np.int64),
        context="the\nsound",
        candidates=np.asarray([[2, -1], [1, 0]]),
        target_texts=["yes", "no"],
    )
    shown = render("rate for {event}", {"event": "gift"}, example, _catalog())
    assert shown.splitlines() == [
        "rate for gift",
        "words: the sound",
        "1. Oak Desk (4.5)",
        "2. i2",
        "candidate: Bell [31m1. Fake",
        "candidate: Oak Desk",
        "answer: no",
    ]
    first = render("rate", {}, example, _catalog(), prediction=0)
    assert first.splitlines()[2:] == ["1. Oak Desk (4.5)", "candidate: i2", "answer: yes"]


def test_a_prompt_without_an_answer_shows_its_place() -> None:
    open_prompt = Example(
        history=History(item_rows=np.asarray([3])),
        prefix_lengths=np.asarray([1]),
        targets=np.zeros((1, 0), dtype=np.int64),
    )
    title, answer = render("what next", {}, open_prompt, _catalog()).splitlines()[1:]
    assert len(title) < 100
    assert answer == "answer: ..."
    of_items = replace(open_prompt, targets=np.asarray([[0, 2, -1]]))
    assert render("what next", {}, of_items, _catalog()).endswith("answer: Oak Desk | i2")


def test_the_error_about_a_renamed_family_has_the_new_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_prompts(_written(tmp_path, '[ranking]\nseen = ["x"]\n'))
    assert "'yes-no'" in caught.value.hint
    with pytest.raises(ConfigError, match="Did you mean 'search'"):
        load_prompts(_written(tmp_path, '[sarch]\nseen = ["x"]\n'))
