"""The names of ``import palate`` are a promise: a change here is a change for every user."""

import inspect
from importlib.metadata import version

import pytest

import palate

PUBLIC = ["Dataset", "Evaluation", "History", "PalateError", "Ranking", "Recommender", "World"]


def test_the_package_offers_exactly_these_names() -> None:
    assert sorted(palate.__all__) == sorted(PUBLIC)


def test_each_name_is_there_and_says_what_it_is() -> None:
    for name in PUBLIC:
        value = getattr(palate, name)
        assert inspect.getdoc(value), name


def test_each_name_can_be_found_by_completion() -> None:
    assert {*PUBLIC, "__version__"} <= set(dir(palate))


def test_any_other_name_is_an_ordinary_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Recomender'"):
        palate.Recomender  # noqa: B018


def test_the_version_is_that_of_the_installed_package() -> None:
    assert palate.__version__ == version("palate")
