"""Sensitivity as tables and as a picture."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from rich.console import Console

from palate.studies.prompt_search import FoundPrompt
from palate.studies.sensitivity import Sensitivity, Spread
from palate.studies.sensitivity_tables import heat_map, search_table, sensitivity_tables

SPREADS = (Spread("next-item", (0.2, 0.4), (0.3,)), Spread("direct", (0.1,), ()))
FOUND = Sensitivity(
    ("click", "<b>buy</b>"),
    (120, 34),
    np.asarray([[0.31, 0.12], [0.25, 0.125]]),
    0.8,
    0.45,
    SPREADS,
)
NOTHING = Sensitivity((), (), np.zeros((0, 0)), float("nan"), float("nan"), SPREADS)
_SVG = "{http://www.w3.org/2000/svg}"


def _written(*tables: object) -> str:
    console = Console(width=120)
    with console.capture() as captured:
        console.print(*tables)
    return captured.get()


def test_the_tables_have_the_matrix_the_overlaps_and_the_spread() -> None:
    said = _written(*sensitivity_tables("URM", FOUND))
    assert "URM: NDCG@10 by objective wanted and objective requested" in said
    assert "best where requested: 1 of 2" in said
    for value in ("0.3100", "0.1250", "0.800", "0.450", "0.3000 (0.2000 to 0.4000)"):
        assert value in said
    assert "-" in said.splitlines()[-2], "direct has no wording that was never trained on"


def test_without_objectives_there_is_the_spread_alone() -> None:
    (table,) = sensitivity_tables("CALRec", NOTHING)
    assert table.row_count == 2


def test_the_table_of_a_search_has_both_parts() -> None:
    found = FoundPrompt("what next", "what is next", 60, (0.1, 0.2), (0.3, 0.4))
    said = _written(search_table(found))
    assert "60 edited wordings" in said
    line = next(line for line in said.splitlines() if "what is next" in line)
    assert "0.2000" in line
    assert "0.4000" in line


def test_wordings_and_names_are_no_markup() -> None:
    found = FoundPrompt(
        "what [bold]next[/bold]", "[red]what[/] is next", 60, (0.1,) * 2, (0.3,) * 2
    )
    said = _written(search_table(found), *sensitivity_tables("[b]URM[/b]", FOUND))
    for written in ("what [bold]next[/bold]", "[red]what[/] is next", "[b]URM[/b]"):
        assert written in said


def test_the_picture_has_a_cell_per_pair_and_marks_the_best_of_a_row() -> None:
    picture = ElementTree.fromstring(heat_map(FOUND))
    cells = picture.findall(f".//{_SVG}rect")
    assert [cell.get("class") for cell in cells] == ["cell best", "cell", "cell best", "cell"]
    shades = [float(cell.get("fill-opacity") or 0) for cell in cells]
    assert shades == pytest.approx([0.58, 0.08, 0.58, 0.08])
    words = [text.text for text in picture.findall(f".//{_SVG}text")]
    assert words.count("<b>buy</b>") == 2, "names of events are text, never markup"
    assert "0.1250" in words


def test_a_heat_map_of_equal_values_and_an_empty_one_can_be_drawn() -> None:
    flat = Sensitivity(("a", "b"), (1, 1), np.full((2, 2), 0.2), 1.0, 1.0, ())
    assert heat_map(flat).count('class="cell best"') == 4
    assert ElementTree.fromstring(heat_map(NOTHING)).findall(f".//{_SVG}rect") == []
