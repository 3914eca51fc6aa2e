"""Hard prompt search: never worse on the searched part, and reproducible."""

import json

import pytest

from palate import Recommender
from palate.errors import ConfigError, NotTrainedError
from palate.inference.request import Request
from palate.studies.prompt_search import FoundPrompt, search_prompt
from palate.studies.sensitivity import answer_gains


def _worth(model: Recommender, ask: Request, words: str, part: str) -> float:
    cases = model.dataset.cases("valid" if part == "valid" else "test")
    told = Request(family=ask.family, prompt=words, slots=ask.slots, steer=False)
    return float(answer_gains(model.asking(told), cases)[0].mean())


@pytest.fixture(scope="module")
def found(speaker: Recommender) -> FoundPrompt:
    return search_prompt(speaker, Request(), steps=25, seed=3)


def test_a_found_wording_is_no_worse_on_the_part_of_the_search(found: FoundPrompt) -> None:
    before, after = found.valid
    assert after >= before
    assert (after > before) == (found.found != found.start)
    assert found.tried == 25


def test_the_figures_equal_those_of_single_requests(
    speaker: Recommender, found: FoundPrompt
) -> None:
    assert found.start == speaker.prompts["next-item"].seen[0]
    for place, words in enumerate((found.start, found.found)):
        assert found.valid[place] == pytest.approx(_worth(speaker, Request(), words, "valid"))
        assert found.test[place] == pytest.approx(_worth(speaker, Request(), words, "test"))


def test_the_same_seed_finds_the_same(speaker: Recommender, found: FoundPrompt) -> None:
    told: list[tuple[int, int]] = []
    again = search_prompt(
        speaker,
        Request(),
        steps=25,
        seed=3,
        progress=lambda done, total: told.append((done, total)),
    )
    assert again == found
    assert told == [(step, 25) for step in range(1, 26)]


def test_a_question_with_slots_starts_from_its_words(speaker: Recommender) -> None:
    ask = Request(family="objective", slots={"event": "purchase"})
    found = search_prompt(speaker, ask, steps=2, users=10)
    assert "purchase" in found.start
    assert json.loads(json.dumps(found.to_json()))["start"] == found.start


def test_impossible_requests_are_refused(speaker: Recommender) -> None:
    with pytest.raises(NotTrainedError, match="'masked' with items"):
        search_prompt(speaker, Request(family="masked"))
    with pytest.raises(ConfigError, match="slots"):
        search_prompt(speaker, Request(family="objective"))
    with pytest.raises(NotTrainedError, match="reads no words"):
        search_prompt(Recommender.train(speaker.dataset, "popularity"), Request())
