"""Prompts are shown for a user of the data."""

import pytest

from palate import Dataset
from palate.errors import UnknownUserError
from palate.language.prompt_text import PromptText
from palate.language.prompts import load_prompts
from palate.language.tokenizer import Tokenizer
from palate.studies.shown_prompts import show_families, with_example_prompts


def test_every_family_has_an_example_prompt(tiny_shop: Dataset) -> None:
    prompts = load_prompts()
    shown = with_example_prompts(show_families(prompts), tiny_shop)
    assert [each.family for each in shown] == list(prompts)
    for each in shown:
        assert each.user_id in tiny_shop.interactions.users.ids
        assert "answer: " in each.rendered


def test_a_prompt_is_rendered_for_the_given_user(tiny_shop: Dataset) -> None:
    (shown,) = with_example_prompts(show_families(load_prompts(), "next-item"), tiny_shop, "u3")
    assert shown.user_id == "u3"
    last = tiny_shop.catalog.titles()[int(tiny_shop.history("u3").item_rows[-1])]
    assert last in shown.rendered
    with pytest.raises(UnknownUserError):
        with_example_prompts([shown], tiny_shop, "nobody")


def test_the_prompts_of_a_pre_trained_model_are_shown_word_by_word(tiny_shop: Dataset) -> None:
    text = PromptText(Tokenizer.train(["a"]), tuple(tiny_shop.interactions.event_types))
    known = show_families(load_prompts(), "yes-no")
    (shown,) = with_example_prompts(known, tiny_shop, "u3", text)
    lines = shown.rendered.splitlines()
    assert lines[:2] == [
        "Is the item for this user, yes or no?",
        "The user's history, oldest first:",
    ]
    assert lines[-2:] == ["Answer with yes or no.", lines[-1]]
    assert lines[-1] in {"answer: Yes", "answer: No"}
