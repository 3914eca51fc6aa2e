"""A text of JSON is measured and cut without being parsed."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palate.errors import PalateError
from palate.serving import json_rows
from palate.serving.json_rows import array_rows, line_rows, num_marks
from palate.serving.problems import Invalid, TooLarge

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(alphabet='ab,[]{}"\\\n\té', max_size=12),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=12,
)


def marks_of(value: object) -> int:
    """Count by what is there, not by what is written."""
    if isinstance(value, dict | list):
        parts = value.values() if isinstance(value, dict) else value
        return max(1, len(value)) + sum(marks_of(part) for part in parts)
    return 0


@pytest.fixture(params=[1, 2, 3, 7, 2**18], autouse=True)
def chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut anywhere: what a chunk ends in the middle of must not matter."""
    monkeypatch.setattr(json_rows, "_CHUNK", request.param)


def test_an_array_is_cut_where_a_parser_would_cut_it(chunk: None) -> None:
    @settings(max_examples=40)
    @given(st.lists(VALUES, max_size=6), st.sampled_from([None, 1]), st.booleans())
    def cut(rows: list[object], indent: int | None, ascii_only: bool) -> None:
        text = json.dumps(rows, indent=indent, ensure_ascii=ascii_only).encode()
        found = [json.loads(row) for row in array_rows(b" " + text + b"\n", 10_000)]
        assert found == rows

    cut()


def test_marks_are_those_outside_strings(chunk: None) -> None:
    @settings(max_examples=40)
    @given(VALUES)
    def counted(value: object) -> None:
        text = json.dumps(value).encode()
        right = marks_of(value)
        assert num_marks(text, right) == right
        assert num_marks(text, max(0, right - 1)) >= right

    counted()


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        (b"[]", []),
        (b" [ \n] ", []),
        (b"[1]", [b"1"]),
        (b"[1,]", [b"1", b""]),
        (b"[,]", [b"", b""]),
        (b'["\\\\",2]', [b'"\\\\"', b"2"]),
        (b'["\\"",2]', [b'"\\""', b"2"]),
        (b'["\\\\\\",[",2]', [b'"\\\\\\",["', b"2"]),
    ],
)
def test_pieces_are_left_as_they_are(text: bytes, rows: list[bytes]) -> None:
    assert list(array_rows(text, 100)) == rows


@pytest.mark.parametrize("text", [b"[", b"[1", b"[1}", b"[1]]", b"[1] 2", b'["]', b"[[1]", b"[1,"])
def test_an_array_without_its_end_is_refused(text: bytes) -> None:
    with pytest.raises(Invalid):
        list(array_rows(text, 100))


def _lines(text: bytes, longest: int) -> list[tuple[int, bytes]]:
    return list(line_rows(text, longest, most=10))


def test_lines_are_numbered_as_an_editor_numbers_them() -> None:
    text = b'{"a":1}\n\n  \r\n{"b":2}\r\n\r{"c":3}\r{"d":4}'
    assert _lines(text, 100) == [(1, b'{"a":1}'), (4, b'{"b":2}'), (6, b'{"c":3}'), (7, b'{"d":4}')]
    assert _lines(b"", 10) == _lines(b"\n\n", 10) == []
    assert _lines(b"1\n", 10) == [(1, b"1")]


def test_blank_lines_count_too() -> None:
    with pytest.raises(TooLarge):
        _lines(b" \n" * 11, 100)


@pytest.mark.parametrize("rows", [array_rows, _lines])
def test_a_row_may_not_be_longer_than_any_right_one(rows: Callable[..., object]) -> None:
    with pytest.raises(TooLarge) as refused:
        list(rows(b'["' + b"x" * 600_000 + b'"]', 1_000))  # type: ignore[call-overload]
    assert isinstance(refused.value, PalateError)
    assert "1,000 bytes" in refused.value.message
