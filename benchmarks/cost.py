"""What training time buys: accuracy of the worst class against the seconds of training, a row for each method.

    python benchmarks/cost.py runs/study-cost --output benchmarks/results/study_cost/cost.png

Reads finished benchmarks, also archives. ``fairart leaderboard`` shows the same numbers on a page, and ``fairart plot tradeoff``
draws the average against the worst class; this script puts the time beside them. Seconds are wall time of the training alone, of
whatever machine ran it and whatever else it did: a ratio counts only between cells that were run on one idle machine.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fairart.benchmark.leaderboard.ranking import Number, boards
from fairart.benchmark.leaderboard.reading import Standing, read_standings
from fairart.errors import OptionError
from fairart.reporting.plots import save_figure
from fairart.reporting.plots.models import MARKERS
from fairart.reporting.plots.style import INK, PALETTE, finish, new_figure
from fairart.statistics import MeanInterval, mean_interval


@dataclass(frozen=True, kw_only=True)
class Cost:
    """A method.

    Args:
        name: of its row.
        seconds: of training, over the seeds.
        average: accuracy under the attack, over the seeds.
        worst: accuracy of the worst class, each seed's own.
    """

    name: str
    seconds: MeanInterval
    average: MeanInterval
    worst: Number


def costs(folders: Sequence[Path], attack: str) -> dict[str, list[Cost]]:
    """Data set and model -> its methods, the slowest first.

    Args:
        folders: of benchmarks.
        attack: label, or ``"clean"``.

    Raises:
        OptionError: no cells, or none with that attack and a training time.
    """
    standings, comparisons = read_standings(folders)
    found: dict[str, list[Cost]] = {}
    for board in boards(standings, comparisons):
        for row in board.rows:
            seconds = _seconds(standings, board.title, row.name)
            if (attack, "worst") in row.numbers and seconds:
                average, worst = (row.numbers[attack, part] for part in ("average", "worst"))
                cost = Cost(name=row.name, seconds=mean_interval(seconds), average=average.over_seeds, worst=worst)
                found.setdefault(board.title, []).append(cost)
    if not found:
        known = sorted({label for one in standings for label in one.measured})
        raise OptionError(f"no finished cell has a training time and the attack {attack!r}; attacks: {', '.join(known)}")
    return {title: sorted(own, key=lambda one: -one.seconds.mean) for title, own in found.items()}


def _seconds(standings: Sequence[Standing], title: str, row: str) -> list[float]:
    return [one.seconds for one in standings if (one.table, one.row) == (title, row) and one.seconds is not None]


def table(found: dict[str, list[Cost]], attack: str) -> str:
    """Markdown, a table for each data set and model; accuracies in per cent.

    Args:
        found: of :func:`costs`.
        attack: label.
    """
    lines = []
    for title, own in found.items():
        lines += [
            f"**{title}**",
            "",
            f"| method | seeds | training, s | of the slowest | {attack}, average | {attack}, worst class |",
        ]
        lines += ["| --- | ---: | ---: | ---: | ---: | ---: |"]
        for one in own:
            share = one.seconds.mean / own[0].seconds.mean
            time = f"{one.seconds.mean:.1f}" + (f" ± {one.seconds.std:.1f}" if one.seconds.count > 1 else "")
            accuracy = f"{_per_cent(one.average)} | {_per_cent(one.worst.over_seeds)}{' !' if one.worst.doubtful else ''}"
            lines.append(f"| {one.name} | {one.seconds.count} | {time} | {share:.2f} | {accuracy} |")
        lines.append("")
    marked = any(one.worst.doubtful for own in found.values() for one in own)
    notes = "Intervals: 95 %, Student's over the seeds." + (" !: a sanity check of the attack failed." if marked else "")
    return "\n".join([*lines, notes]) + "\n"


def _per_cent(found: MeanInterval) -> str:
    low, high = found.interval
    return f"{100 * found.mean:.1f}" + (f" [{100 * low:.1f}, {100 * high:.1f}]" if low == low else "")


def draw(found: dict[str, list[Cost]], attack: str, path: Path) -> None:
    """A panel for each data set and model: worst class up, seconds of training across, bars for the 95 % intervals over seeds.

    Args:
        found: of :func:`costs`.
        attack: label.
        path: file to write; its ending is the format.
    """
    figure = new_figure(7.2 * len(found), 4.8)
    for axes, (title, own) in zip(figure.subplots(1, len(found), squeeze=False)[0], found.items(), strict=True):
        for index, one in enumerate(own):
            worst, colour = one.worst.over_seeds, PALETTE[index % len(PALETTE)]
            low, high = (0.0 if end != end else abs(end - worst.mean) for end in worst.interval)
            bars = {"yerr": [[100 * low], [100 * high]], "xerr": one.seconds.std if one.seconds.count > 1 else None}
            point = (one.seconds.mean, 100 * worst.mean)
            axes.errorbar(*point, **bars, fmt="none", ecolor=colour, elinewidth=1.0, capsize=2.5)
            marker = MARKERS[index % len(MARKERS)]
            axes.plot(*point, marker=marker, color=colour, markeredgecolor=INK, markersize=8, linestyle="none", label=one.name)
        axes.set_xlabel("seconds of training, one run (± sample std)")
        axes.set_ylabel(f"accuracy of the worst class in %, {attack}")
        axes.set_title(title)
        axes.margins(0.18)
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
        axes.grid(True, color="#d9d9d9", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9)
    finish(figure)
    save_figure(figure, path)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="of a benchmark, or its archive")
    parser.add_argument("--attack", default="pgd-20", help="label; by default pgd-20")
    parser.add_argument("--output", type=Path, help="figure to write: .png, .svg or .pdf")
    arguments = parser.parse_args()
    try:
        found = costs(arguments.folders, arguments.attack)
        if arguments.output is not None:
            draw(found, arguments.attack, arguments.output)
    except (OptionError, ValueError) as error:
        parser.error(str(error))
    print(table(found, arguments.attack))


if __name__ == "__main__":
    main()
