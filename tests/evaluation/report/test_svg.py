"""Plots: well-formed, inside their frame, and with untrusted names as text."""

import math
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from palate.evaluation.report.svg import (
    Bars,
    Dot,
    Series,
    bar_chart,
    bar_swatch,
    dot_chart,
    line_chart,
    line_swatch,
)

EVIL = "</text><script>alert(1)</script>\"'&"
finite = st.floats(-1e6, 1e6)


def parsed(plot: Markup) -> ElementTree.Element:
    root = ElementTree.fromstring(str(plot))  # well-formed or an error
    assert not list(root.iter("script"))
    assert root.get("aria-label") or root.get("aria-hidden")
    return root


def numbers_in(plot: Markup) -> list[float]:
    places = re.findall(r'\b(?:x|y|cx|cy|d)="([^"]*)"', str(plot))
    return [float(x) for place in places for x in re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", place)]


@given(st.lists(st.tuples(st.floats(0, 1e5), finite), min_size=1, max_size=40))
def test_lines_stay_inside(points: list[tuple[float, float]]) -> None:
    plot = line_chart([Series(EVIL, 9, points)], title=EVIL, x_label=EVIL, y_label=EVIL)
    parsed(plot)
    assert all(-10 <= x <= 370 and math.isfinite(x) for x in numbers_in(plot))


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=5))
def test_bars_stay_inside(values: list[float]) -> None:
    bars = Bars(EVIL, 1, [*values, None], [*((x, x * 1.2) for x in values), None])
    plot = bar_chart([EVIL] * (len(values) + 1), [bars, bars], title=EVIL)
    root = parsed(plot)
    for bar in root.iter("rect"):
        assert float(bar.attrib["x"]) + float(bar.attrib["width"]) <= 360
    assert "none" in [text.text for text in root.iter("text")]


def test_bars_are_as_long_as_their_values() -> None:
    plot = bar_chart(["a", "b"], [Bars("m", 0, [1.0, 3.0], [None, None])], title="t")
    short, long = (float(bar.attrib["width"]) for bar in parsed(plot).iter("rect"))
    assert long == pytest.approx(3 * short, rel=0.01)


@given(st.lists(st.tuples(finite, finite, finite), min_size=1, max_size=6))
def test_dots_stay_inside(values: list[tuple[float, float, float]]) -> None:
    ordered = [sorted(x) for x in values]
    dots = [Dot(EVIL, middle, (low, high), "▲") for low, middle, high in ordered]
    plot = dot_chart(dots, title=EVIL, worse="worse", better="better")
    for dot in parsed(plot).iter("circle"):
        assert 96 <= float(dot.attrib["cx"]) <= 346


def test_a_dot_is_filled_where_the_interval_leaves_out_zero() -> None:
    dots = [Dot("sure", 1.0, (0.5, 1.5)), Dot("unsure", 1.0, (-0.5, 1.5))]
    plot = dot_chart(dots, title="t", worse="worse", better="better")
    assert [dot.attrib["class"] for dot in parsed(plot).iter("circle")] == [
        "dot sure",
        "dot unsure",
    ]


def test_swatches_are_drawings_without_words() -> None:
    assert parsed(line_swatch(3)).get("aria-hidden") == "true"
    assert parsed(bar_swatch(11)).get("aria-hidden") == "true"
