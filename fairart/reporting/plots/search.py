"""What a search found: its trials between average and worst class, and what each setting mattered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from fairart.reporting.plots.style import INK, MARK, PALETTE, finish, new_figure, room_for, short_names

__all__ = ["importances", "search_front"]

Point = tuple[float, float]


def search_front(
    trials: Mapping[str, Sequence[Point]], *, chosen: Sequence[Point] = (), floor: float | None = None, title: str = "Trials"
) -> Figure:
    """Every trial of a search: average accuracy across, worst class up, with the front of those that no other beats in both.

    Args:
        trials: state of trials, such as ``"whole"`` -> (average, worst class) of each, in [0, 1].
        chosen: the same of what was chosen.
        floor: least average that was asked for, in [0, 1].
        title: of the figure.
    """
    figure = new_figure(7.2, 4.8)
    axes = figure.subplots()
    for (state, points), colour in zip(trials.items(), PALETTE, strict=False):
        if points:
            across, up = zip(*points, strict=True)
            axes.plot(
                [100 * value for value in across], [100 * value for value in up], "o", color=colour, label=state, markersize=6,
                markeredgecolor=INK, markeredgewidth=0.5,
            )  # fmt: skip
    front = pareto_front([point for points in trials.values() for point in points])
    if len(front) > 1:
        axes.plot(
            [100 * across for across, _ in front], [100 * up for _, up in front], "-", color=INK, linewidth=0.8, label="front"
        )
    if chosen:
        axes.plot(
            [100 * across for across, _ in chosen], [100 * up for _, up in chosen], "*", color=MARK, markersize=15,
            label="chosen", markeredgecolor=INK, markeredgewidth=0.6, zorder=4,
        )  # fmt: skip
    if floor is not None:
        axes.axvline(100 * floor, color=INK, linewidth=0.8, linestyle=":", label="floor")
    axes.set_xlabel("accuracy over all held-out images in %, PGD-10")
    axes.set_ylabel("accuracy of the worst class in %, PGD-10")
    axes.margins(0.08)
    axes.grid(True, color="#d9d9d9", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9)
    figure.suptitle(title, fontsize=13)
    finish(figure)
    return figure


def pareto_front(points: Sequence[Point]) -> list[Point]:
    """Those that no other point is better than in both, from left to right.

    Args:
        points: (average, worst class) each; larger is better.
    """
    front: list[Point] = []
    for point in sorted(set(points), reverse=True):
        if not front or point[1] > front[-1][1]:
            front.append(point)
    return front[::-1]


def importances(values: Mapping[str, float], *, title: str = "Importance of each setting") -> Figure:
    """A bar for each setting, the largest on top.

    Args:
        values: setting -> share of the differences that it explains, in [0, 1].
        title: of the figure.
    """
    names = short_names(list(values))
    figure = new_figure(4.5 + room_for(names), 1.0 + 0.35 * len(names))
    axes = figure.subplots()
    places = range(len(names))
    axes.barh(places, [100 * value for value in values.values()], color=PALETTE[0])
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.set_xlabel("importance in %")
    figure.suptitle(title, fontsize=13)
    finish(figure)
    return figure
