"""Charts as inline SVG. Colours are the page's variables, so that they follow light and dark; text is always escaped."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from fairart.evaluation.results.calibration import Reliability

__all__ = ["Line", "Point", "line_chart", "reliability_diagram", "scatter"]

SIDE, LEFT, BOTTOM, TOP, RIGHT = 190.0, 30.0, 30.0, 8.0, 14.0
STRIP = 26.0
"""Height of the strip of sample counts below a reliability diagram."""


def _join(parts: Sequence[Markup]) -> Markup:
    return Markup("").join(parts)


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _text(x: float, y: float, text: str, anchor: str = "middle", extra: str = "") -> Markup:
    return Markup('<text x="{}" y="{}" text-anchor="{}"{}>{}</text>').format(_number(x), _number(y), anchor, Markup(extra), text)


def reliability_diagram(found: Reliability, *, label: str, colour: int) -> Markup:
    """Accuracy of each bin of confidence as a bar, its gap to the mean confidence marked, sample counts below.

    Args:
        found: the diagram's numbers.
        label: text for screen readers.
        colour: number of the method.
    """
    width = SIDE / len(found.counts)
    bottom = TOP + SIDE
    parts = [_grid(bottom)]
    most = max(1, int(found.counts.max()))
    for place, count in enumerate(found.counts):
        if not count:
            continue
        right, sure = float(found.accuracy[place]), float(found.confidence[place])
        x = LEFT + place * width
        parts.append(
            Markup(
                '<g><title>confidence {} to {}: {} samples, accuracy {} %, mean confidence {} %</title>'
                '<rect class="acc" x="{}" y="{}" width="{}" height="{}"/>'
                '<rect class="gap" x="{}" y="{}" width="{}" height="{}"/>'
                '<rect class="count" x="{}" y="{}" width="{}" height="{}"/></g>'
            ).format(
                _number(place / len(found.counts)), _number((place + 1) / len(found.counts)), int(count),
                f"{100 * right:.1f}", f"{100 * sure:.1f}",
                _number(x + 0.5), _number(bottom - SIDE * right), _number(width - 1), _number(SIDE * right),
                _number(x + 0.5), _number(bottom - SIDE * max(right, sure)), _number(width - 1),
                _number(SIDE * abs(right - sure)),
                _number(x + 0.5), _number(bottom + BOTTOM + STRIP * (1 - count / most)), _number(width - 1),
                _number(STRIP * count / most),
            )
        )  # fmt: skip
    parts += [
        Markup('<path class="diagonal" d="M{} {}L{} {}"/>').format(LEFT, _number(bottom), _number(LEFT + SIDE), TOP),
        _text(LEFT + SIDE / 2, bottom + 25, "confidence in %"),
        _text(LEFT - 4, bottom + BOTTOM + STRIP, "n", "end"),
    ]
    return _svg(LEFT + SIDE + RIGHT, bottom + BOTTOM + STRIP + 2, label, parts, f"reliability m{colour}")


@dataclass(frozen=True)
class Point:
    """One point of a scatter diagram.

    Args:
        across: in [0, 1].
        up: in [0, 1].
        colour: number of the method.
        label: what it is.
        large: whether it is drawn large.
    """

    across: float
    up: float
    colour: int
    label: str
    large: bool = False


def scatter(dots: Sequence[Point], *, label: str, across: str, up: str) -> Markup:
    """Two accuracies against each other, both from 0 to 100 %, with the diagonal.

    Args:
        dots: the points.
        label: text for screen readers.
        across: what the horizontal axis shows.
        up: what the vertical axis shows.
    """
    bottom = TOP + SIDE + 14
    parts = [_grid(bottom), Markup('<path class="diagonal" d="M{} {}L{} {}"/>').format(
        LEFT, _number(bottom), _number(LEFT + SIDE), _number(bottom - SIDE)
    )]  # fmt: skip
    for dot in dots:
        place = _number(LEFT + SIDE * dot.across), _number(bottom - SIDE * dot.up)
        text = f"{dot.label}: {100 * dot.across:.1f} and {100 * dot.up:.1f} %"
        parts.append(
            Markup('<circle class="dot m{}" cx="{}" cy="{}" r="{}"><title>{}</title></circle>').format(
                dot.colour % 7, *place, 6 if dot.large else 2.5, text
            )
        )
    parts += [_text(LEFT + SIDE / 2, bottom + 25, across), _text(LEFT - 26, TOP + 3, up, "start")]
    return _svg(LEFT + SIDE + RIGHT, bottom + BOTTOM, label, parts, "scatter")


def _grid(bottom: float) -> Markup:
    parts = []
    for tick in (0, 25, 50, 75, 100):
        x, y = LEFT + SIDE * tick / 100, bottom - SIDE * tick / 100
        parts.append(Markup('<path class="grid" d="M{} {}H{}"/>').format(LEFT, _number(y), _number(LEFT + SIDE)))
        parts += [_text(LEFT - 4, y + 3.5, str(tick), "end"), _text(x, bottom + 13, str(tick))]
    return _join(parts)


@dataclass(frozen=True, eq=False)
class Line:
    """One line of a chart.

    Args:
        values: (n,) heights; NaN leaves a hole.
        colour: number of the method.
        label: text for screen readers.
        dashed: whether it is drawn dashed.
        mark: epoch that gets a dot, or None.
    """

    values: npt.NDArray[np.float64]
    colour: int
    label: str
    dashed: bool = False
    mark: int | None = None


def line_chart(
    lines: Sequence[Line],
    *,
    label: str,
    high: float | None = None,
    ticks: Mapping[int, str] | None = None,
    axis: str = "epoch (the first is 0)",
) -> Markup:
    """Lines over epochs or other steps of the same length, from 0 up.

    Args:
        lines: the lines, over steps 0, 1, ...
        label: text for screen readers.
        high: upper end of the axis; by default above the highest value.
        ticks: step -> text below it; by default its number.
        axis: what the steps are.
    """
    width, height, bottom = 300.0, 150.0, TOP + 150.0
    last = max(1, max(len(line.values) for line in lines) - 1)
    shown = np.concatenate([line.values[np.isfinite(line.values)] for line in lines])
    top = high if high is not None else _round_up(float(shown.max()) if len(shown) else 1.0)
    parts = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = bottom - height * share
        parts.append(Markup('<path class="grid" d="M{} {}H{}"/>').format(LEFT, _number(y), _number(LEFT + width)))
        parts.append(_text(LEFT - 4, y + 3.5, f"{top * share:g}", "end"))
    step = next(size for size in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10**9) if last / size <= 8)
    named = {epoch: str(epoch) for epoch in range(0, last + 1, step)} if ticks is None else ticks
    parts += [_text(LEFT + width * place / last, bottom + 13, text) for place, text in named.items()]
    parts.append(_text(LEFT + width / 2, bottom + 26, axis))
    for line in lines:
        points = [(LEFT + width * place / last, bottom - height * value / top) for place, value in enumerate(line.values)]
        parts.append(
            Markup('<path class="line m{}{}" d="{}"><title>{}</title></path>').format(
                line.colour, " dashed" * line.dashed, _path(points), line.label
            )
        )
        marked = 0 if len(points) == 1 else line.mark
        if marked is not None and marked < len(points) and math.isfinite(points[marked][1]):
            place = map(_number, points[marked])
            parts.append(Markup('<circle class="dot m{}" cx="{}" cy="{}" r="3"/>').format(line.colour, *place))
    return _svg(LEFT + width + 12, bottom + 32, label, parts, "lines")


def _path(points: Sequence[tuple[float, float]]) -> str:
    steps, begin = [], True
    for x, y in points:
        if math.isfinite(y):
            steps.append(f"{'M' if begin else 'L'}{_number(x)} {_number(y)}")
        begin = not math.isfinite(y)
    return "".join(steps)


def _round_up(value: float) -> float:
    """The next of 1, 2, 4, 8 times a power of ten, whose quarters are short to write."""
    if not value > 0:
        return 1.0
    unit = 10.0 ** math.floor(math.log10(value))
    return next(factor * unit for factor in (1, 2, 4, 6, 8, 10) if factor * unit >= value * (1 - 1e-12))


def _svg(width: float, height: float, label: str, parts: Sequence[Markup], kind: str) -> Markup:
    return Markup('<svg class="{}" role="img" aria-label="{}" viewBox="0 0 {} {}" width="{}" height="{}">{}</svg>').format(
        kind, label, _number(width), _number(height), _number(width), _number(height), _join(parts)
    )
