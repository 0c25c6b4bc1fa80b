"""Several models or methods against each other: which classes attract errors, and average against worst class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fairart.evaluation import AttackResult, EvaluationResult
from fairart.reporting.plots.style import INK, PALETTE, finish, new_figure

__all__ = ["cfps_across_models", "tradeoff"]

Results = Mapping[str, Sequence[EvaluationResult]]
"""Model or method -> one evaluation a seed."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
FloatArray = npt.NDArray[np.float64]


def _attacks(results: Results, attacks: Sequence[str] | None) -> list[str]:
    if not results or not all(results.values()):
        raise ValueError("expected at least one evaluation of each method")
    every = [set(result) for runs in results.values() for result in runs]
    first = next(iter(results.values()))[0]
    shared = [label for label in first if all(label in labels for labels in every)]
    chosen = shared if attacks is None else list(attacks)
    missing = [label for label in chosen if label not in shared]
    if missing:
        raise ValueError(f"attack {missing[0]!r} is not in every evaluation; those have {', '.join(shared)}")
    return chosen


def _means(runs: Sequence[EvaluationResult], attack: str, score: str) -> FloatArray:
    values = [getattr(run[attack], score) for run in runs]
    means: FloatArray = np.mean(values, axis=0)
    return means


def _class_names(result: AttackResult) -> list[str]:
    return [str(k) for k in range(result.nb_classes)] if result.class_names is None else list(result.class_names)


def cfps_across_models(
    results: Results, *, attacks: Sequence[str] | None = None, title: str = "Which classes attract errors, and which are right"
) -> Figure:
    """Class false positive score and accuracy of each class, over models (FAIR-TAT, Figure 1).

    Two panels for each attack, classes from the lowest mean accuracy to the highest. The dashed line is 1 / K: what every class
    would attract if errors were spread evenly.

    Args:
        results: model -> one evaluation a seed; means over seeds are drawn.
        attacks: labels, in order; by default all that every evaluation has, clean data first.
        title: of the figure.

    Raises:
        ValueError: no evaluation, or an attack that not every evaluation has.
    """
    labels = _attacks(results, attacks)
    first = next(iter(results.values()))[0]
    names, nb_classes = _class_names(first[labels[0]]), first.nb_classes
    figure = new_figure(float(np.clip(4.5 + 0.45 * nb_classes, 8.0, 26.0)), 0.9 + 2.9 * len(labels))
    panels = figure.subplots(len(labels), 2, squeeze=False)
    for row, label in zip(panels, labels, strict=True):
        accuracy = np.nanmean([_means(runs, label, "class_accuracy") for runs in results.values()], axis=0)
        order = np.argsort(np.nan_to_num(accuracy, nan=2.0), kind="stable")
        for axes, score, what in ((row[0], "cfps", "false positive score"), (row[1], "class_accuracy", "accuracy in %")):
            for (name, runs), colour, marker in zip(results.items(), cycle(PALETTE), cycle(MARKERS)):
                values = _means(runs, label, score)[order] * (100 if score == "class_accuracy" else 1)
                axes.plot(
                    range(nb_classes), values, marker=marker, color=colour, label=name, linewidth=1.2, markersize=5,
                    markeredgecolor="white", markeredgewidth=0.4,
                )  # fmt: skip
            axes.set_ylabel(what)
            axes.set_title(label, loc="left", fontsize=11)
            _class_axis(axes, [names[index] for index in order])
        row[0].axhline(1 / nb_classes, color=INK, linewidth=0.9, linestyle="--", label="1 / K")
        row[0].set_ylim(bottom=0)
        row[1].set_ylim(0, 103)
    panels[-1][0].set_xlabel("class, from the lowest accuracy to the highest")
    panels[-1][1].set_xlabel("class, from the lowest accuracy to the highest")
    handles, texts = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, texts, loc="outside lower center", ncols=min(4, len(texts)), frameon=False, fontsize=9)
    figure.suptitle(title, fontsize=13)
    finish(figure)
    return figure


def _class_axis(axes: Axes, names: Sequence[str]) -> None:
    shown = range(len(names)) if len(names) <= 40 else range(0, len(names), -(-len(names) // 40))
    crowded = max(map(len, names)) * len(names) > 40
    axes.set_xticks(list(shown), labels=[names[index] for index in shown], rotation=90 if crowded else 0)
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
    label = _attacks(results, None if attack is None else [attack])[-1]
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
