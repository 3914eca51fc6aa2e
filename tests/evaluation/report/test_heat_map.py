"""Heat maps: cells, shades and marks."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from palate.evaluation.report.heat_map import heat_map

_SVG = "{http://www.w3.org/2000/svg}"
_WORDS = {"title": "Values", "rows": "wanted", "columns": "requested"}


def test_there_is_a_cell_for_each_value_and_the_largest_of_a_row_is_marked() -> None:
    matrix = np.asarray([[0.31, 0.12], [0.25, 0.125]])
    picture = ElementTree.fromstring(heat_map(["click", "<b>buy</b>"], matrix, **_WORDS))
    cells = picture.findall(f".//{_SVG}rect")
    assert [cell.get("class") for cell in cells] == ["cell best", "cell", "cell best", "cell"]
    shades = [float(cell.get("fill-opacity") or 0) for cell in cells]
    assert shades == pytest.approx([0.58, 0.08, 0.58, 0.08])
    words = [text.text for text in picture.findall(f".//{_SVG}text")]
    assert words.count("<b>buy</b>") == 2, "names are text, never markup"
    assert {"0.1250", "wanted", "requested"} <= set(words)


def test_a_matrix_of_equal_values_and_an_empty_one_can_be_drawn() -> None:
    flat = heat_map(["a", "b"], np.full((2, 2), 0.2), **_WORDS)
    assert flat.count('class="cell best"') == 4
    empty = ElementTree.fromstring(heat_map([], np.zeros((0, 0)), **_WORDS))
    assert empty.findall(f".//{_SVG}rect") == []
