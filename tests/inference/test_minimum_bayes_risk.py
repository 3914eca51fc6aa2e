"""The text that agrees most with all others is chosen; drafts and quotes have own weights."""

import pytest

from palate.inference.minimum_bayes_risk import minimum_risk

DRAFTS = ["warm tone", "a warm tone", "cold case"]
QUOTES = ["the case is cold", "such a cold case"]


def test_without_quotes_the_consensus_is_one_of_the_drafts() -> None:
    assert minimum_risk(DRAFTS) == "warm tone"


def test_without_quotes_their_weight_has_no_effect() -> None:
    assert minimum_risk(DRAFTS, trust=1.0) == minimum_risk(DRAFTS)


@pytest.mark.parametrize(("trust", "answer"), [(0.0, "warm tone"), (1.0, "such a cold case")])
def test_more_weight_of_quotes_moves_the_choice_from_drafts_to_quotes(
    trust: float, answer: str
) -> None:
    # F1 of "such a cold case" with "the case is cold" is 4/8, of "the case is cold" with it as
    # much; the first of equals wins only among candidates, and "cold case" reaches (4/6 + 4/6) / 2.
    quotes = [*QUOTES, "such a cold hard case"]
    assert minimum_risk(DRAFTS, quotes, trust=trust) == answer


def test_the_first_of_equals_is_taken() -> None:
    assert minimum_risk(["b", "a"]) == "b"
