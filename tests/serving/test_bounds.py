"""Every body has bounds, added up from those of its fields."""

from typing import Annotated

import pytest
from pydantic import BaseModel, Field

from palate.serving.bounds import bounds_of
from palate.serving.schemas import StrictModel


class Flat(BaseModel):
    """Fields without fields of their own."""

    name: Annotated[str, Field(max_length=10)]
    tags: Annotated[list[Annotated[str, Field(max_length=5)]], Field(max_length=3)]
    sizes: Annotated[dict[Annotated[str, Field(max_length=4)], float], Field(max_length=2)]


def _kinds(of: type[BaseModel]) -> list[type[BaseModel]]:
    return [kind for one in of.__subclasses__() for kind in (one, *_kinds(one))]


@pytest.mark.parametrize("kind", _kinds(StrictModel))
def test_every_list_map_and_text_of_every_body_has_a_bound(kind: type[BaseModel]) -> None:
    found = bounds_of(kind)
    assert 0 < found.marks < 100_000
    assert found.num_bytes > 0


def test_the_largest_right_body_is_within_its_bounds() -> None:
    largest = Flat(name="\U0001f600" * 10, tags=["é" * 5] * 3, sizes={"aaaa": 0.1, "bbbb": 1e-300})
    found = bounds_of(Flat)
    text = largest.model_dump_json(indent=4).encode("utf-8")
    escaped = text.decode().encode("ascii", "backslashreplace")
    assert max(len(text), len(escaped)) <= found.num_bytes
    commas_and_brackets = 2 + 2 + 1 + 3  # between fields, tags and sizes; what opens them
    assert commas_and_brackets <= found.marks < commas_and_brackets + 1_100


class Text(BaseModel):
    """No bound of a text."""

    name: str


class Numbers(BaseModel):
    """No bound of a list."""

    numbers: list[int]


class Map(BaseModel):
    """No bound of a map."""

    sizes: dict[Annotated[str, Field(max_length=4)], float]


class Anything(BaseModel):
    """No type at all."""

    thing: object


@pytest.mark.parametrize("kind", [Text, Numbers, Map, Anything])
def test_a_field_without_a_bound_is_a_mistake_of_ours(kind: type[BaseModel]) -> None:
    field = next(iter(kind.model_fields))
    with pytest.raises(TypeError, match=f"{kind.__name__}.{field}"):
        bounds_of(kind)
