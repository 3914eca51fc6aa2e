"""The cache returns what was computed, computes it once, and survives a damaged file."""

from pathlib import Path

import numpy as np

from palate.items.vectors import ItemVectors, cached, content_key, side_by_side


def _vectors() -> ItemVectors:
    return ItemVectors(np.eye(3, 2, dtype=np.float32), np.array([True, True, False]))


def test_second_call_reads_what_the_first_wrote(tmp_path: Path) -> None:
    calls = []

    def make() -> ItemVectors:
        calls.append(1)
        return _vectors()

    first = cached(tmp_path / "cache", "key", make)
    second = cached(tmp_path / "cache", "key", make)
    assert len(calls) == 1
    np.testing.assert_array_equal(first.values, second.values)
    np.testing.assert_array_equal(first.present, second.present)
    assert second.present.dtype == bool
    assert [p.name for p in (tmp_path / "cache").iterdir()] == ["key.safetensors"]


def test_a_damaged_file_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "key.safetensors").write_bytes(b"not a file of tensors")
    assert len(cached(tmp_path, "key", _vectors)) == 3
    assert cached(tmp_path, "key", _vectors).dim == 2


def test_key_depends_on_encoder_content_and_order() -> None:
    keys = {
        content_key("a", ["x", "y"]),
        content_key("b", ["x", "y"]),
        content_key("a", ["y", "x"]),
        content_key("a", ["xy"]),
        content_key("a", ["x", "y", ""]),
        content_key("a", [None, b"x"]),
    }
    assert len(keys) == 6
    assert content_key("a", ["x"]) == content_key("a", [b"x"])


def test_normalised_rows_have_numbers_of_size_one() -> None:
    vectors = ItemVectors.normalised(np.array([[3.0, 4.0], [0.0, 0.0], [1.0, 0.0]]))
    np.testing.assert_allclose(np.square(vectors.values[[0, 2]]).mean(1), 1, rtol=1e-6)
    assert vectors.present.tolist() == [True, False, True]
    assert not vectors.values[1].any()


def test_concatenated_kinds_have_equal_weight() -> None:
    wide = ItemVectors(
        np.array([[4, 0, 0, 0], [0, 0, 0, 0]], np.float32) / 2, np.array([1, 0], bool)
    )
    narrow = ItemVectors(np.array([[1], [1]], np.float32), np.array([1, 1], bool))
    both = side_by_side([wide, narrow])
    np.testing.assert_allclose(both.values, [[1, 0, 0, 0, 1], [0, 0, 0, 0, 1]])
    assert both.present.all()
    assert side_by_side([wide]) is wide
