"""Which classes suffer, and by how much, as one factor of training changes: optimiser, learning rate, architecture, imbalance.

    python benchmarks/factors.py runs/study-factors-fashion-mnist runs/study-factors-cifar10-jpeg --output factors.json

Reads the finished cells of benchmarks, also of archives, and no weights. A comparison is a set of cells that differ in one factor
alone (and in the seed), so a grid that moves one factor at a time from a base setting gives one for each factor. The questions
are those of Benz et al., "Robustness may be at odds with fairness: an empirical study on class-wise accuracy" (arXiv 2010.13365):
does the gap between classes depend on how a network is trained, and are they always the same classes?

For each value of the factor, clean and under each attack: accuracy of each class, their standard deviation (that of exactly
these classes) and variance, with Student's interval over the seeds; the difference of the standard deviation to the reference
value, paired by seed; the three worst classes; how alike two seeds of this value rank the classes. For every two values of one
data set: Spearman's rank correlation of the classes' accuracies, with an interval from draws of seeds and test images. With three
seeds it is rough. Intervals are for one number alone: of twenty, one excludes the truth.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from factor_study.comparing import comparisons, figures
from factor_study.runs import read_runs
from factor_study.text import conclusions, table

from fairart.errors import OptionError
from fairart.files import write_text


def document(folders: Sequence[Path]) -> dict[str, Any]:
    """All comparisons of some benchmarks as plain values.

    Args:
        folders: of benchmarks or archives.

    Raises:
        OptionError: no finished cells, or none that differ in one factor alone.
    """
    runs, failed = read_runs(folders)
    found = comparisons(runs)
    if not found:
        raise OptionError(f"{len(runs)} finished cells were found, and no two of them differ in one factor alone")
    entries = []
    for one in found:
        attacks = {attack: figures(one, attack) for attack in one.attacks}
        entries.append({"factor": one.factor, "where": one.where, "context": one.context, "attacks": attacks})
    return {"cells": len(runs), "failed": failed, "conclusions": conclusions(entries), "comparisons": entries}


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="of a benchmark, or its archive")
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write; the table is printed")
    arguments = parser.parse_args()
    try:
        found = document(arguments.folders)
    except OptionError as error:
        parser.error(str(error))
    write_text(arguments.output, json.dumps(found, indent=1) + "\n")
    print(table(found))


if __name__ == "__main__":
    main()
