"""Settings are typed and checked: nothing misspelt gets through."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, model_validator

from palate.config import checked, parse_toml, to_toml, with_overrides
from palate.errors import ConfigError


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    epochs: int = 1


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    title: str
    training: Inner = Inner()


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("a.b=3", {"a": {"b": 3, "c": 1}}),
        ("a.b = 2.5", {"a": {"b": 2.5, "c": 1}}),
        ("a.b=true", {"a": {"b": True, "c": 1}}),
        ("a.b=none", {"a": {"b": None, "c": 1}}),
        ("a.b=some words", {"a": {"b": "some words", "c": 1}}),
        ('a.b="3"', {"a": {"b": "3", "c": 1}}),
        ("a.b=['x', 'y']", {"a": {"b": ["x", "y"], "c": 1}}),
        ("a.b=x=y", {"a": {"b": "x=y", "c": 1}}),
        ("a.c=2", {"a": {"c": 2}}),
        ("new.deep.key=1", {"a": {"c": 1}, "new": {"deep": {"key": 1}}}),
    ],
)
def test_an_override_goes_where_its_path_leads(override: str, expected: dict[str, object]) -> None:
    tables = {"a": {"c": 1}}
    assert with_overrides(tables, [override]) == expected
    assert tables == {"a": {"c": 1}}, "the input stays as it was"


def test_the_last_override_counts() -> None:
    assert with_overrides({}, ["a=1", "a=2"]) == {"a": 2}


def test_an_override_needs_an_equals_sign() -> None:
    with pytest.raises(ConfigError, match="has no '='") as caught:
        with_overrides({}, ["training.epochs"])
    assert "--set training.epochs=3" in caught.value.hint


def test_an_override_cannot_go_through_a_value() -> None:
    with pytest.raises(ConfigError, match="'a' is a value, not a table"):
        with_overrides({"a": 1}, ["a.b=2"])


def test_broken_toml_names_the_line() -> None:
    with pytest.raises(ConfigError, match=r"Recipe 'x' is not valid TOML: .*line 2"):
        parse_toml("a = 1\nb = = 2\n", "Recipe 'x'")
    assert parse_toml("a = 1", "x") == {"a": 1}


def test_a_byte_order_mark_before_toml_is_no_part_of_it() -> None:
    assert parse_toml("\ufeffa = 1", "x") == {"a": 1}


def test_checked_settings_are_typed() -> None:
    assert checked(Outer, {"title": "t", "training": {"epochs": 3}}, "x").training.epochs == 3


def test_every_wrong_key_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        checked(Outer, {"training": {"epoch": 3, "epochs": "many"}}, "Recipe 'x'")
    for part in ("Recipe 'x'", "title", "training.epoch:", "training.epochs:"):
        assert part in caught.value.message


@given(st.text(), st.text())
def test_any_override_is_read_or_refused(key: str, value: str) -> None:
    made = with_overrides({}, [f"k{key.replace('=', '')}={value}"])
    assert made


class Bounded(BaseModel):
    low: int
    high: int

    @model_validator(mode="after")
    def _in_order(self) -> "Bounded":
        if self.low > self.high:
            raise ValueError("low must not be above high")
        return self


def test_an_error_about_several_settings_names_no_single_one() -> None:
    with pytest.raises(ConfigError, match=r"^x cannot be used: low must not be above high\."):
        checked(Bounded, {"low": 2, "high": 1}, "x")


def test_settings_are_written_as_they_are_read() -> None:
    tables = {
        "title": 'a "title"\n in letters: é',
        "none": None,
        "training": {"epochs": 3, "rate": 2e-3, "deep": {"on": True, "names": ["a", "b"]}},
        "stages": [{"name": "one", "training": {"epochs": 1}}, {"name": "two"}],
        "empty": [],
    }
    text = to_toml(tables)
    assert "training.deep.on = true\n" in text
    assert parse_toml(text, "it") == {key: tables[key] for key in tables if key != "none"}
