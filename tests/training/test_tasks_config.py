"""The shares of a recipe's tasks are set by family."""

import pytest

from palate.errors import ConfigError
from palate.language.tasks import FAMILIES, shared_families
from palate.language.tasks.next_item import NextItem
from palate.language.tasks.rating import Rating
from palate.language.tasks.yes_no import YesNo
from palate.training.build import _families_read
from palate.training.config import TasksConfig
from palate.training.recipe import Recipe, load_recipe


def test_every_family_has_a_share() -> None:
    for name, family in shared_families().items():
        tasks = TasksConfig.model_validate({"next_item": 0, name: 0.5})
        assert tasks.share(family) == 0.5
        assert [each for each, share in tasks.shares.items() if share] == [family]
        assert tasks.by_items is (family.answered_with == "items")
        assert tasks.in_words is (family.answered_with == "words")


def test_families_stand_in_the_order_of_the_list() -> None:
    tasks = TasksConfig.model_validate({"preference": 1, "objective": 1, "next_item": 1})
    assert tuple(tasks.shares) == FAMILIES


def test_shares_are_written_and_read_again_flat() -> None:
    recipe = load_recipe("palate", ["tasks.rating=2"])
    tables = recipe.model_dump(mode="json")["tasks"]
    assert tables["rating"] == 2
    assert tables["max_history"] == recipe.tasks.max_history
    again = Recipe.model_validate_json(recipe.model_dump_json())
    assert again.tasks == recipe.tasks
    assert again.tasks.share(Rating) == 2


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("tasks.nxt_item=1", "Did you mean 'next_item'"),
        ("tasks.next-title=1", "Did you mean 'next_title'"),
        ("tasks.ranking=1", "It is called 'yes_no' now"),
        ("tasks.zzz=1", "The families are next_item, from_titles"),
        ("tasks.zzz=1", "settings like_above, candidates, max_history"),
        ("tasks.rating=-1", "tasks.rating"),
        ("tasks.rating=often", "tasks.rating"),
        ("tasks.candidates=1", "tasks.candidates"),
    ],
)
def test_an_unusable_share_is_an_error(setting: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_recipe("palate", [setting])
    assert said in caught.value.message


def test_a_family_that_is_not_named_has_no_share() -> None:
    tasks = TasksConfig.model_validate({"yes_no": 4})
    assert tasks.share(YesNo) == 4
    assert tasks.share(Rating) == 0


def test_the_tokenizer_knows_the_wordings_of_every_possible_request() -> None:
    by_items = _families_read(load_recipe("urm-small"))
    assert "search" in by_items
    assert "masked" not in by_items, "only those who pre-train on it know its words"
    assert "rating" not in by_items
    assert {"masked", "next-behaviours", NextItem.name} <= {*_families_read(load_recipe("ptum"))}
    assert "rating" in _families_read(load_recipe("palate"))
