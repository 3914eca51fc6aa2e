"""Wrong types and shapes at a function edge are refused while the tests run, right ones pass."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from jaxtyping import Float, TypeCheckError

from palate.ranking import top_rankings
from runtime_checks import checked

Vector = Float[np.ndarray, " n"]


def _of(thing: object) -> Callable[..., object]:
    return checked(thing, typechecker=None)  # type: ignore[return-value]


@dataclass(frozen=True)
class Pair:
    """Two rows as long as each other."""

    left: Vector
    right: Vector


def _joined(left: Vector, right: Vector) -> Float[np.ndarray, "n two"]:
    return np.stack([left, right][: len(left)], axis=1)


def _named(number: int) -> str:
    return str(number) if number else number  # type: ignore[return-value]


def _counted(rows: list[Vector]) -> Iterator[int]:
    yield from map(len, rows)


def test_types_of_parameters_and_results() -> None:
    named = _of(_named)
    assert named(1) == "1"
    for wrong in ("1", 0):
        with pytest.raises(TypeCheckError):
            named(wrong)


def test_axes_of_one_name_agree_within_a_call() -> None:
    joined = _of(_joined)
    for length in (2, 3):
        assert joined(np.zeros(length), np.zeros(length)) is not None
    with pytest.raises(TypeCheckError):
        joined(np.zeros(2), np.zeros(3))
    with pytest.raises(TypeCheckError):
        joined(np.zeros(2), np.zeros(2, dtype=np.int64))


def test_the_result_agrees_with_the_parameters() -> None:
    def shortened(row: Vector) -> Vector:
        return row[:2]

    assert _of(shortened)(np.zeros(2)) is not None
    with pytest.raises(TypeCheckError):
        _of(shortened)(np.zeros(3))


def test_fields_of_a_class_are_checked() -> None:
    pair = _of(Pair)
    assert pair(np.zeros(2), right=np.zeros(2)) is not None
    with pytest.raises(TypeCheckError):
        pair(np.zeros(2), np.zeros(3))


def test_generators_are_called_as_before() -> None:
    assert list(checked(_counted, typechecker=None)([np.zeros(2)])) == [2]


def test_the_package_is_checked() -> None:
    with pytest.raises(TypeCheckError):
        top_rankings(np.zeros(3), 2)
    with pytest.raises(TypeCheckError):
        top_rankings(np.zeros((3, 2)), "2")  # type: ignore[arg-type]
