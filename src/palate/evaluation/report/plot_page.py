"""A small self-contained HTML page of bar charts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from palate.evaluation.report.svg import Bars, bar_chart, bar_swatch
from palate.evaluation.report.templates import render_template


@dataclass(frozen=True)
class BarPlot:
    """A bar chart: for every group one bar of each series."""

    title: str
    groups: Sequence[str]
    series: Mapping[str, Sequence[float | None]]
    """One value per group for each series; None if the series lacks the group."""

    @property
    def bars(self) -> list[Bars]:
        """The bars of each series, without intervals."""
        return [
            Bars(name, style, values, [None] * len(self.groups))
            for style, (name, values) in enumerate(self.series.items())
        ]

    @property
    def legend(self) -> list[tuple[Markup, str]]:
        """Swatch and name of each series."""
        return [(bar_swatch(bar.style), bar.name) for bar in self.bars]

    @property
    def plot(self) -> Markup:
        """The chart as SVG."""
        return bar_chart(self.groups, self.bars, title=self.title)


def plot_page(title: str, summary: str, plots: Sequence[BarPlot]) -> str:
    """Return one page with a heading, a paragraph and the plots; it loads nothing."""
    return render_template("plot_page.html.jinja", title=title, summary=summary, plots=plots)
