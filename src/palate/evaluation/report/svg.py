"""Plots as inline SVG, coloured by the style sheet of the page around them.

A plot is 360 units wide, so that its text stays readable on a phone. Each series has a class ``s0``
to ``s7`` and, so that colour is not the only distinction, a dash pattern or marker of its own. All
texts are escaped, since names are untrusted.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from palate.evaluation.result import Interval

WIDTH = 360
NUM_STYLES = 8
"""Number of different styles of series; further series repeat them."""

MARKERS = (
    "M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0Z",
    "M-3.5,-3.5H3.5V3.5H-3.5Z",
    "M0,-4.5L4.5,3.5H-4.5Z",
    "M0,-5L5,0L0,5L-5,0Z",
    "M0,4.5L4.5,-3.5H-4.5Z",
    "M-1.5,-4.5H1.5V-1.5H4.5V1.5H1.5V4.5H-1.5V1.5H-4.5V-1.5H-1.5Z",
    "M-4.5,-2.5H4.5V2.5H-4.5Z",
    "M-2.5,-4.5H2.5V4.5H-2.5Z",
)
"""One outline for each style, around the origin."""

_SVG = Markup(
    '<svg class="plot" viewBox="0 0 {} {:.0f}" role="img" aria-label="{}">{}</svg>',
)
_RECT = Markup(
    '<rect class="bar {}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{}" rx="2">'
    "<title>{}</title></rect>"
)
_DOT = Markup(
    '<circle class="dot {}" cx="{:.1f}" cy="{:.1f}" r="5"><title>{}</title></circle>',
)
_LINE_SWATCH = Markup(
    '<svg class="swatch" viewBox="-14 -8 28 16" aria-hidden="true">'
    '<path class="line {0}" d="M-14,0H14"/><path class="marker {0}" d="{1}"/></svg>'
)
_BAR_SWATCH = Markup(
    '<svg class="swatch" viewBox="-14 -8 28 16" aria-hidden="true">'
    '<rect class="bar {}" x="-14" y="-5" width="24" height="10" rx="2"/></svg>'
)
_MARKER = Markup(
    '<path class="marker {}" transform="translate({:.1f},{:.1f})" d="{}"><title>{}</title></path>'
)


@dataclass(frozen=True)
class Series:
    """A line; its points are ordered by x."""

    name: str
    style: int
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Bars:
    """One bar per group; None if the series lacks the group."""

    name: str
    style: int
    values: Sequence[float | None]
    intervals: Sequence[Interval | None]


@dataclass(frozen=True)
class Dot:
    """A value with its interval, drawn in a row of its own."""

    label: str
    value: float
    interval: Interval
    mark: str = ""
    """A sign after the label that summarises the interval."""


def line_chart(series: Sequence[Series], *, title: str, x_label: str, y_label: str) -> Markup:
    """Draw lines over a common x axis."""
    points = [point for line in series for point in line.points]
    left, right, top, bottom = 46.0, 350.0, 24.0, 186.0
    x_scale = _Scale.around([x for x, _ in points], left, right, from_zero=True)
    y_scale = _Scale.around([y for _, y in points], bottom, top)
    parts = [_text(4.0, 12.0, y_label, "label"), _text(right, 220.0, x_label, "label end")]
    for tick in y_scale.ticks:
        parts += [
            _line(left, y_scale(tick), right, y_scale(tick), "rule"),
            _text(left - 6, y_scale(tick) + 4, _number(tick), "tick end"),
        ]
    parts += [_text(x_scale(t), bottom + 16, _number(t), "tick mid") for t in x_scale.ticks]
    for line in series:
        placed = [(x_scale(x), y_scale(y)) for x, y in line.points]
        path = "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        parts.append(Markup('<path class="line {}" d="{}"/>').format(_style(line.style), path))
        # A marker on every point of a short line, but only on the last point of a long one.
        shown = range(len(placed)) if len(placed) <= 24 else [len(placed) - 1]
        parts += [
            _marker(*placed[i], line.style, f"{line.name}: {_number(line.points[i][1])}")
            for i in shown
        ]
    return _figure(226.0, title, parts)


def bar_chart(groups: Sequence[str], series: Sequence[Bars], *, title: str) -> Markup:
    """Draw horizontal bars from zero, one block per group, with the interval as a whisker."""
    left, right, bar, gap = 4.0, 292.0, 11.0, 30.0
    ends = [high for bars in series for pair in bars.intervals if pair for high in pair]
    tops = [value for bars in series for value in bars.values if value is not None]
    scale = _Scale.around([0.0, *ends, *tops], left, right, from_zero=True, rounded=False)
    parts: list[Markup] = []
    y = 0.0
    for place, group in enumerate(groups):
        parts.append(_text(left, y + 16, group, "label"))
        y += 23
        start = y
        for bars in series:
            parts += _bar(bars, place, scale, y, bar)
            y += bar + 4
        parts.append(_line(left, start - 2, left, y - 2, "axis"))
        y += gap - 23
    return _figure(y - gap + 27, title, parts)


def dot_chart(dots: Sequence[Dot], *, title: str, worse: str, better: str) -> Markup:
    """Draw differences around a zero line; ``worse`` and ``better`` name the two sides."""
    left, right, step = 96.0, 346.0, 26.0
    ends = [end for dot in dots for end in (*dot.interval, dot.value)]
    reach = max((abs(end) for end in ends), default=1.0) or 1.0
    scale = _Scale.around([-reach, reach], left, right)
    bottom = 22 + step * len(dots)
    parts = [
        _text(left, 12.0, f"← {worse}", "label"),
        _text(right, 12.0, f"{better} →", "label end"),
        *(_line(scale(t), 20.0, scale(t), bottom, "rule") for t in scale.ticks),
        *(_text(scale(t), bottom + 16, _number(t), "tick mid") for t in scale.ticks),
        _line(scale(0.0), 20.0, scale(0.0), bottom, "axis"),
    ]
    for place, dot in enumerate(dots):
        y = 22 + step * (place + 0.5)
        low, high = dot.interval
        style = "sure" if low > 0 or high < 0 else "unsure"
        words = f"{dot.label}: {dot.value:+.4f} ({low:+.4f} to {high:+.4f})"
        parts += [
            _text(4.0, y + 4, f"{dot.label} {dot.mark}".strip(), "tick"),
            _line(scale(low), y, scale(high), y, f"whisker {style}"),
            _DOT.format(style, scale(dot.value), y, words),
        ]
    return _figure(bottom + 24, title, parts)


def line_swatch(style: int) -> Markup:
    """Draw the legend swatch of a line."""
    return _LINE_SWATCH.format(_style(style), MARKERS[style % NUM_STYLES])


def bar_swatch(style: int) -> Markup:
    """Draw the legend swatch of a bar."""
    return _BAR_SWATCH.format(_style(style))


@dataclass(frozen=True)
class _Scale:
    """A linear map from values to positions on the page."""

    low: float
    high: float
    start: float
    end: float
    ticks: Sequence[float]

    @classmethod
    def around(
        cls,
        values: Sequence[float],
        start: float,
        end: float,
        *,
        from_zero: bool = False,
        rounded: bool = True,
    ) -> "_Scale":
        """Return a scale that covers all ``values``; ``rounded`` extends it to whole ticks."""
        low = min(values, default=0.0)
        high = max(values, default=1.0)
        if from_zero:
            low = min(low, 0.0)
        if high - low <= 1e-9 * max(1.0, abs(low)):
            high = low + (abs(low) if abs(low) > 1e-9 else 1.0)
        step = _tick_step(high - low)
        if rounded:
            low, high = math.floor(low / step) * step, math.ceil(high / step) * step
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        return cls(low, high, start, end, [i * step for i in range(first, last + 1)])

    def __call__(self, value: float) -> float:
        """Return the position of ``value``."""
        share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def _tick_step(span: float) -> float:
    """Return 1, 2 or 5 times a power of ten, so that ``span`` has about four steps."""
    rough = span / 4
    power = 10.0 ** math.floor(math.log10(rough))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)


def _bar(bars: Bars, place: int, scale: _Scale, y: float, height: float) -> list[Markup]:
    value, interval = bars.values[place], bars.intervals[place]
    if value is None:
        return [_text(scale(0.0) + 6, y + height - 1, "none", "tick")]
    width = max(scale(value) - scale(0.0), 1)
    words = f"{bars.name}: {_number(value)}"
    parts = [_RECT.format(_style(bars.style), scale(0.0), y, width, height, words)]
    edge = scale(value)
    if interval is not None:
        middle = y + height / 2
        edge = max(edge, scale(interval[1]))
        parts += [
            _line(scale(interval[0]), middle, scale(interval[1]), middle, "error"),
            *(_line(scale(end), middle - 3, scale(end), middle + 3, "error") for end in interval),
        ]
    parts.append(_text(edge + 6, y + height - 1.5, _number(value), "tick"))
    return parts


def _figure(height: float, title: str, parts: Sequence[Markup]) -> Markup:
    return _SVG.format(WIDTH, height, title, Markup("").join(parts))


def _style(style: int) -> str:
    return f"s{style % NUM_STYLES}"


def _marker(x: float, y: float, style: int, words: str) -> Markup:
    return _MARKER.format(_style(style), x, y, MARKERS[style % NUM_STYLES], words)


def _line(x1: float, y1: float, x2: float, y2: float, style: str) -> Markup:
    return Markup('<path class="{}" d="M{:.1f},{:.1f}L{:.1f},{:.1f}"/>').format(
        style, x1, y1, x2, y2
    )


def _text(x: float, y: float, words: str, style: str) -> Markup:
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}">{}</text>').format(
        style, x, y, escape(words)
    )


def _number(value: float) -> str:
    """Return a short number: three significant digits, thousands as k."""
    if abs(value) >= 10_000:
        return f"{value / 1000:,.4g}k"
    return "0" if abs(value) < 1e-12 else f"{value:.3g}"
