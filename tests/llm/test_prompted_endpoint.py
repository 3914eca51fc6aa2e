"""Recipes without training on a server that misbehaves: nothing is lost, every fallback is told."""

import re
from collections.abc import Callable, Sequence
from math import log
from typing import Any

import pytest
from server import (
    Body,
    Served,
    Start,
    fault,
    huge,
    message,
    obeying,
    raw,
    refusal,
    slow,
    with_logprobs,
)

from palate import Dataset, Recommender
from palate.llm.endpoint.patience import Patience
from palate.training.recipe import load_recipe

USERS = [f"u{n}" for n in range(24)]


def number_of(body: Body) -> int:
    """Return how many candidates the prompt lists."""
    return len(re.findall(r"^\d+\. ", _question(body), re.MULTILINE))


def _question(body: Body) -> str:
    said: str = body["messages"][-1]["content"]
    return said.split("first:")[-1]


def ranking(body: Body, options: Sequence[Any]) -> list[int]:
    """Rank backwards; the probe is answered with what it allows."""
    return [*range(number_of(body), 0, -1)]


def well(body: Body) -> Served:
    """A server without log-probabilities that keeps to schemas."""
    return obeying("json_schema", pick=lambda _, options: options[0])(body, 0)


def ranked(body: Body) -> Served:
    return message('{"ranking": %s}' % ranking(body, ()))  # noqa: UP031 - braces stand for themselves


def is_list(body: Body) -> bool:
    return "ranking" in str(body.get("response_format", ""))


FAULTS: Sequence[Callable[[Body], Served]] = (
    lambda body: slow(ranked(body), 0.05),
    lambda body: fault(429, "slow down", retry_after="0"),
    lambda body: message('{"ranking": [3, 1,'),
    lambda body: refusal(),
    lambda body: message(None),
    lambda body: huge(4_000_000),
    lambda body: fault(500, "a bug"),
    lambda body: raw("<html>not JSON</html>"),
    lambda body: message('{"ranking": [99, 0, "one"]}'),
    lambda body: message("I would watch number 3."),
    lambda body: slow(ranked(body), 3.0),
)


@pytest.fixture
def base(tiny_shop: Dataset) -> dict[str, list[str]]:
    model = Recommender.train(tiny_shop, "itemknn")
    return {user: model.recommend(user, 30).item_ids for user in USERS}


def test_a_misbehaving_server_loses_no_list_and_every_fallback_is_told(
    start: Start, tiny_shop: Dataset, base: dict[str, list[str]]
) -> None:
    def script(body: Body, number: int) -> Served:
        if not is_list(body):
            return well(body)
        return FAULTS[number % len(FAULTS)](body) if number % 2 else ranked(body)

    patience = Patience(timeout=0.5, total=8.0, retries=2)
    _, endpoint = start(script, patience=patience, max_bytes=100_000)
    recipe = load_recipe("chat-rec", ["prompting.top=0"])
    model = Recommender.train(tiny_shop, recipe, llm=endpoint)
    found = dict(zip(USERS, model.recommend(USERS, 30), strict=True))
    for user, each in found.items():
        # What is answered is the base's list backwards, else the base's list: nothing is lost.
        wanted = base[user] if each.fallback == "base" else _backwards(base[user])
        assert each.item_ids == wanted
    assert model.engine.prompting is not None
    tally = model.engine.prompting.tally
    of_base = sum(each.fallback == "base" for each in found.values())
    assert tally.counts["lists"] == len(USERS)
    assert tally.counts["lists of the base: no answer"] == of_base
    assert tally.counts["questions read by indices"] == len(USERS) - of_base
    assert of_base < len(USERS)
    assert sum(tally.reasons.values()) >= of_base
    assert tally.usage.calls >= len(USERS)


def test_a_server_that_only_fails_leaves_every_list_as_it_was(
    start: Start, tiny_shop: Dataset, base: dict[str, list[str]]
) -> None:
    patience = Patience(timeout=0.5, total=1.0, retries=0)
    _, endpoint = start(lambda body, number: fault(401, "no"), patience=patience)
    model = Recommender.train(tiny_shop, "llmrank", llm=endpoint)
    found = model.recommend(USERS[:5], 30)
    assert [each.item_ids for each in found] == [base[user] for user in USERS[:5]]
    assert {each.fallback for each in found} == {"base"}
    assert model.engine.prompting is not None
    assert model.engine.prompting.tally.counts["no reply"] == 15


def test_letters_are_read_by_log_probability_where_they_follow_the_prompt(
    start: Start, tiny_shop: Dataset
) -> None:
    def script(body: Body, number: int) -> Served:
        said = body["messages"][-1]["content"]
        asked = re.search(r"letter (A|B) and nothing", said)
        if "logprobs" not in body:
            return well(body)
        if asked:
            return with_logprobs({"A": log(0.8 if asked[1] == "A" else 0.3), "B": log(0.2)})
        titles = re.findall(r"^([A-Z])\. \"(.*)\"$", said, re.MULTILINE)
        odds = {letter: 2.0 ** -len(title) for letter, title in titles}
        total = sum(odds.values())
        return with_logprobs({letter: log(each / total) for letter, each in odds.items()})

    _, endpoint = start(script)
    model = Recommender.train(tiny_shop, "zero-shot", llm=endpoint)
    titles = [item.title for item in model.recommend("u1", 10)]
    assert [len(each) for each in titles] == sorted(map(len, titles))
    assert model.engine.prompting is not None
    assert model.engine.prompting.tally.counts["questions read by letters"] == 1


def test_letters_whose_check_fails_are_read_as_numbers_and_the_record_says_so(
    start: Start, tiny_shop: Dataset, base: dict[str, list[str]]
) -> None:
    def script(body: Body, number: int) -> Served:
        if "logprobs" in body:
            return with_logprobs({"A": -0.1, "B": -3.0})
        return ranked(body) if is_list(body) else well(body)

    _, endpoint = start(script)
    recipe = load_recipe("zero-shot", ["prompting.order=base"])
    model = Recommender.train(tiny_shop, recipe, llm=endpoint)
    assert model.recommend("u1", 30).item_ids == _backwards(base["u1"])
    assert model.engine.prompting is not None
    reasons = " ".join(model.engine.prompting.tally.reasons)
    assert "do not follow the prompt" in reasons


def _backwards(rows: list[str]) -> list[str]:
    return [*rows[:20][::-1], *rows[20:]]
