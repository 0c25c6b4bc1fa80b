"""Several models or methods against each other: which classes attract errors, and average against worst class."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fairart.reporting.across import SCORES, Results, mean_score, rank_correlations, shared_attacks
from fairart.reporting.plots.style import INK, PALETTE, finish, new_figure, room_for, short_names
from fairart.statistics import RankCorrelation

__all__ = ["cfps_across_models", "tradeoff"]

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
TITLES = {
    "cfps": "Which classes attract errors, and which are right",
    "cfns": "Which classes are taken for others, and which are right",
}
EXPLAINED = "rank correlation: Spearman's, mean over pairs of models [95 % interval, bootstrap over classes]"


def cfps_across_models(
    results: Results, *, score: str = "cfps", attacks: Sequence[str] | None = None, title: str | None = None
) -> Figure:
    """Class false positive score and accuracy of each class, over models (FAIR-TAT, Figure 1).

    Two panels for each attack, classes from the lowest mean accuracy to the highest. The dashed line is 1 / K: what every class
    would attract if errors were spread evenly. Above each panel stands whether the models rank the classes alike, see
    :func:`~fairart.statistics.rank_correlation`; one model has no such number.

    Args:
        results: model -> one evaluation a seed; means over seeds are drawn.
        score: ``"cfps"``, the share of all errors that are predicted as the class, or ``"cfns"``, the share that are of it.
        attacks: labels, in order; by default all that every evaluation has, clean data first.
        title: of the figure; by default what the score says.

    Raises:
        ValueError: no evaluation, other classes, an attack that not every evaluation has, or another score.
    """
    if score not in TITLES:
        raise ValueError(f"score must be one of {', '.join(TITLES)}, got {score!r}")
    labels = shared_attacks(results, attacks)
    alike = rank_correlations(results, attacks=labels, scores=(score, "class_accuracy"))
    first = next(iter(results.values()))[0]
    nb_classes = first.nb_classes
    names = short_names(first.class_names or [str(k) for k in range(nb_classes)])
    width = float(np.clip(4.5 + 0.45 * nb_classes, 8.0, 26.0))
    room = room_for(names) if _crowded(names, width) else 0.2
    across = int(np.clip((width - 0.4) / (0.6 + room_for(list(results))), 1, 4))
    figure = new_figure(width, 1.2 + 0.2 * -(-(len(results) + 1) // across) + (2.4 + room + 0.2 * bool(alike)) * len(labels))
    panels = figure.subplots(len(labels), 2, squeeze=False)
    for row, label in zip(panels, labels, strict=True):
        accuracy = _mean_over([mean_score(runs, label, "class_accuracy") for runs in results.values()])
        order = np.argsort(np.nan_to_num(accuracy, nan=2.0), kind="stable")
        for axes, shown in zip(row, (score, "class_accuracy"), strict=True):
            _lines(axes, results, label, shown, order)
            _heading(axes, label, alike.get((label, shown)))
            _class_axis(axes, [names[index] for index in order], rotated=_crowded(names, width))
        row[0].axhline(1 / nb_classes, color=INK, linewidth=0.9, linestyle="--", label="1 / K")
        row[0].set_ylim(bottom=0)
        row[1].set_ylim(0, 103)
    for axes in panels[-1]:
        axes.set_xlabel("class, from the lowest accuracy to the highest")
    handles, texts = panels[0][0].get_legend_handles_labels()
    figure.legend(
        handles, texts, loc="outside lower center", ncols=min(across, len(texts)), frameon=False, fontsize=9,
        title=EXPLAINED if alike else None, title_fontsize=9,
    )  # fmt: skip
    figure.suptitle(TITLES[score] if title is None else title, fontsize=13)
    finish(figure)
    return figure


def _mean_over(values: Sequence[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    """Mean of each class over models; NaN where no model has a sample."""
    table = np.array(values)
    seen = ~np.isnan(table)
    means: npt.NDArray[np.float64] = np.where(seen, table, 0).sum(axis=0) / np.where(seen.any(axis=0), seen.sum(axis=0), np.nan)
    return means


def _lines(axes: Axes, results: Results, label: str, score: str, order: npt.NDArray[np.intp]) -> None:
    share = score == "class_accuracy"
    for (name, runs), colour, marker in zip(results.items(), cycle(PALETTE), cycle(MARKERS)):
        values = mean_score(runs, label, score)[order] * (100 if share else 1)
        axes.plot(
            range(len(order)), values, marker=marker, color=colour, label=name, linewidth=1.2, markersize=5,
            markeredgecolor="white", markeredgewidth=0.4,
        )  # fmt: skip
    axes.set_ylabel(SCORES[score] + (" in %" if share else ""))


def _heading(axes: Axes, label: str, found: RankCorrelation | None) -> None:
    axes.set_title(label, loc="left", fontsize=11, pad=6 if found is None else 18)
    if found is None:
        return
    low, high = found.interval
    text = "none: equal scores" if np.isnan(found.mean) else f"{found.mean:.2f} [{low:.2f}, {high:.2f}]"
    axes.annotate(
        f"rank correlation {text}", (0.0, 1.0), xycoords="axes fraction", xytext=(0, 4), textcoords="offset points",
        ha="left", va="bottom", fontsize=9,
    )  # fmt: skip


def _crowded(names: Sequence[str], width: float) -> bool:
    """Whether names side by side would run into each other in a panel of half the width."""
    return (room_for(names) + 0.08) * len(names) > width / 2 - 0.9


def _class_axis(axes: Axes, names: Sequence[str], *, rotated: bool) -> None:
    shown = range(len(names)) if len(names) <= 40 else range(0, len(names), -(-len(names) // 40))
    axes.set_xticks(list(shown), labels=[names[index] for index in shown], rotation=90 if rotated else 0)
    axes.grid(True, color="#d9d9d9", linewidth=0.6)
    axes.set_axisbelow(True)


def tradeoff(results: Results, *, attack: str | None = None, title: str = "Average against worst class") -> Figure:
    """A point for each method: accuracy over all samples across, accuracy of the worst class up, with bars for the seeds.

    Args:
        results: method -> one evaluation a seed; a point is the mean, a bar the sample standard deviation.
        attack: label; by default the last one that every evaluation has.
        title: of the figure.

    Raises:
        ValueError: no evaluation, or an attack that not every evaluation has.
    """
    label = shared_attacks(results, None if attack is None else [attack])[-1]
    figure = new_figure(7.2, 5.2)
    axes = figure.subplots()
    for (name, runs), colour, marker in zip(results.items(), cycle(PALETTE), cycle(MARKERS)):
        points = 100 * np.array([(run[label].accuracy, run[label].worst_class_accuracy()) for run in runs])
        mean = points.mean(axis=0)
        spread = points.std(axis=0, ddof=1) if len(points) > 1 else np.full(2, np.nan)
        if len(points) > 1:
            place = {"x": mean[0], "y": mean[1], "xerr": spread[0], "yerr": spread[1]}
            axes.errorbar(**place, ecolor=colour, fmt="none", elinewidth=1.0, capsize=2.5, zorder=2)
        axes.plot(
            *mean, marker=marker, color=colour, markersize=9, linestyle="none", label=name, zorder=3, markeredgecolor=INK,
            markeredgewidth=0.6,
        )  # fmt: skip
    axes.set_xlabel(f"accuracy over all samples in %, {label}")
    axes.set_ylabel(f"accuracy of the worst class in %, {label}")
    axes.margins(0.12)
    axes.set_ylim(bottom=max(-1.0, axes.get_ylim()[0]))
    axes.grid(True, color="#d9d9d9", linewidth=0.6)
    axes.set_axisbelow(True)
    counts = sorted({len(runs) for runs in results.values()})
    seeds = "one seed" if counts[-1] == 1 else f"{' to '.join(map(str, counts))} seeds, mean ± sample std"
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9)
    figure.suptitle(f"{title} ({seeds})", fontsize=13)
    finish(figure)
    return figure
