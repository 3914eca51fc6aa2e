"""Titles that prompts cut are not cut in silence."""

import logging

import pytest

from palate import Dataset
from palate.training.build import build_system
from palate.training.recipe import load_recipe

SMALL = ('model.item_format=["title","item"]', "model.decoder={width=16, layers=1, heads=2}")


@pytest.mark.parametrize(("most", "says"), [(1, True), (60, False)])
def test_cut_titles_are_counted(
    tiny_shop: Dataset, caplog: pytest.LogCaptureFixture, most: int, *, says: bool
) -> None:
    recipe = load_recipe("urm-small", [*SMALL, f"model.title_words={most}", "items.text.dim=8"])
    with caplog.at_level(logging.WARNING):
        build_system(tiny_shop, recipe, seed=0)
    assert ("titles are longer than model.title_words = 1" in caplog.text) == says
