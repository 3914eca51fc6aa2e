"""Pages of bar charts: every plot has its legend, and no name is markup."""

from palate.evaluation.report.plot_page import BarPlot, plot_page

PLOT = BarPlot("Use of <levels>", ["first", "second"], {"in use": [0.5, 0.25], "even": [0.9, None]})


def test_a_page_has_each_plot_with_a_bar_per_value_and_a_legend() -> None:
    page = plot_page("Codes", "Two levels.", [PLOT, PLOT])
    assert page.count("<figure>") == 2
    assert page.count('class="plot"') == 2
    bars = page.count('<rect class="bar') - page.count('class="swatch"')
    assert bars == 2 * 3, "a value that is missing has no bar"
    assert page.count(" even</figcaption>") == 2, "the last series ends the legend"


def test_names_on_a_page_are_text() -> None:
    page = plot_page("<b>x", "<i>y", [PLOT])
    assert "<h1>&lt;b&gt;x</h1><p>&lt;i&gt;y</p>" in page
    assert "Use of &lt;levels&gt;." in page


def test_a_page_loads_nothing() -> None:
    page = plot_page("Codes", "Two levels.", [PLOT])
    assert "default-src 'none'" in page
    assert "<script" not in page
