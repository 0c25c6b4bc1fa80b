"""One evaluation in detail: confusion between classes, reliability of its confidences, corruptions by severity."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from fairart.evaluation import AttackResult, CorruptionResults
from fairart.evaluation.results.calibration import NB_BINS
from fairart.reporting.plots.style import INK, PALETTE, finish, new_figure, room_for, short_names

__all__ = ["confusion_matrix", "corruption_by_severity", "reliability_diagram"]

NUMBERED_UP_TO = 15
"""Classes up to which every cell of a confusion matrix holds its number."""

LINES = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


def confusion_matrix(result: AttackResult, *, title: str | None = None) -> Figure:
    """Shares of each true class (rows) that are predicted as each class (columns), in per cent.

    Args:
        result: of one attack, or of clean data.
        title: of the figure; by default the label of the attack.
    """
    shares = 100 * result.confusion.normalised()
    nb_classes = len(shares)
    names = short_names(result.class_names or [str(k) for k in range(nb_classes)])
    # Names take their room outside of the cells.
    side = float(np.clip(2.2 + 0.45 * nb_classes, 4.6, 13.6)) + room_for(names)
    figure = new_figure(side + 1.0, side)
    axes = figure.subplots()
    colours = colormaps["cividis"].with_extremes(bad="white")
    image = axes.imshow(shares, cmap=colours, vmin=0, vmax=100, interpolation="nearest")
    figure.colorbar(image, ax=axes, label="share of the true class in %", shrink=0.85)
    step = -(-nb_classes // 40)
    ticks = list(range(0, nb_classes, step))
    rotation = 90 if max(map(len, names)) > 2 else 0
    axes.set_xticks(ticks, labels=[names[k] for k in ticks], rotation=rotation)
    axes.set_yticks(ticks, labels=[names[k] for k in ticks])
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    figure.suptitle(title or f"Confusion, {result.label}: {100 * result.accuracy:.1f} % right", fontsize=12)
    finish(figure)
    if nb_classes <= NUMBERED_UP_TO:
        for (true, guess), share in np.ndenumerate(shares):
            if np.isfinite(share) and share >= 0.5:
                # After finish(), which sets one colour for all text: light cells need dark numbers.
                axes.text(guess, true, f"{share:.0f}", ha="center", va="center", fontsize=8, color=INK if share > 55 else "white")
    return figure


def reliability_diagram(results: Mapping[str, AttackResult], *, title: str = "Reliability") -> Figure:
    """Accuracy against confidence, a line for each result; on the diagonal a confidence is what it says.

    Args:
        results: name -> result, each with confidences.
        title: of the figure.

    Raises:
        ValueError: no result, or one without confidences.
    """
    if not results:
        raise ValueError("expected at least one result")
    figure = new_figure(7.4, 5.2)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=INK, linewidth=0.9, linestyle="--", label="perfect")
    for (name, result), colour, line, marker in zip(results.items(), cycle(PALETTE), cycle(LINES), cycle(MARKERS)):
        found = result.calibration()
        if found is None:
            raise ValueError(f"{name!r} has no confidences, so it has no reliability")
        seen = found.counts > 0
        axes.plot(
            found.confidence[seen], found.accuracy[seen], color=colour, linestyle=line, marker=marker, linewidth=1.4,
            markersize=5, label=f"{name}: ECE {100 * found.ece:.1f} %",
        )  # fmt: skip
    axes.set_xlabel(f"mean confidence in {NB_BINS} bins")
    axes.set_ylabel("share of right predictions")
    axes.set_xlim(0, 1.01)
    axes.set_ylim(0, 1.01)
    axes.grid(True, color="#d9d9d9", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9)
    figure.suptitle(title, fontsize=13)
    finish(figure)
    return figure


def corruption_by_severity(results: Mapping[str, CorruptionResults], *, title: str = "Corruptions by severity") -> Figure:
    """Mean accuracy over the corruptions, and that of the worst class, against severity; a colour for each method.

    Args:
        results: method -> its corruptions, all of the same corruptions and severities.
        title: of the figure.

    Raises:
        ValueError: no corruptions, or methods with other corruptions.
    """
    if not results or not all(len(found) for found in results.values()):
        raise ValueError("expected corruptions of every method: evaluate with --corruptions")
    cells = {name: tuple(found) for name, found in results.items()}
    first = next(iter(cells.values()))
    odd = [name for name, its in cells.items() if set(its) != set(first)]
    if odd:
        raise ValueError(f"{odd[0]!r} has other corruptions than {next(iter(cells))!r}: their means do not compare")
    severities = sorted({severity for _, severity in first})
    figure = new_figure(8.2, 4.8)
    axes = figure.subplots()
    for (name, found), colour, marker in zip(results.items(), cycle(PALETTE), cycle(MARKERS)):
        mean = [100 * found.mean_accuracy(severity=severity) for severity in severities]
        worst = [100 * found.mean_worst_class_accuracy(severity=severity) for severity in severities]
        shared: dict[str, Any] = {"color": colour, "marker": marker, "linewidth": 1.4, "markersize": 6}
        axes.plot(severities, mean, linestyle="-", label=f"{name}, all samples", **shared)
        axes.plot(severities, worst, linestyle=":", markerfacecolor="white", label=f"{name}, worst class", **shared)
    axes.set_xticks(severities)
    axes.set_xlabel("severity")
    axes.set_ylabel("accuracy in %, mean over corruptions")
    axes.set_ylim(0, 103)
    axes.grid(True, color="#d9d9d9", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9)
    number = len({name for name, _ in first})
    figure.suptitle(f"{title} ({number} corruption{'s' * (number != 1)})", fontsize=13)
    finish(figure)
    return figure
