"""Which method the demo shows beside AT and FAIR-TAT: chosen on held-out training images of digits, never on test images.

Every method gets the same trials: three learning rates, three seeds, all other settings those of the demo. A fifth of the
training images is held out; a trial is scored there by the accuracy of the worst class under PGD-20. The seeds are not those
of the demo. Called again, it resumes::

    python benchmarks/demo_selection.py --output demo-selection
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from fairart import create
from fairart.benchmark import grid_from_mapping, run_grid
from fairart.engine.data import stratified_split
from fairart.files import write_text
from fairart.runs.demo import ATTACK_STEPS, SETTINGS

METHODS = ("at", "trades", "fat", "fair-tat", "cfa", "frl", "bat", "wat", "dafa", "faal")
LEARNING_RATES = (0.05, 0.1, 0.2)
SEEDS = (100, 101, 102)
HELD_OUT = 0.2
SPLIT_SEED = 7


def held_out_data(folder: Path) -> Path:
    """Write the training images of digits as a data set of its own: four fifths to train on, a fifth to score on."""
    data: Any = create("dataset", SETTINGS["dataset"])
    kept, held = stratified_split(data.y_train, HELD_OUT, seed=SPLIT_SEED)
    x = data.x_train.transpose(0, 2, 3, 1)
    file = folder / "digits-training-images.npz"
    if not file.exists():
        arrays = {"x_train": x[kept], "y_train": data.y_train[kept], "x_test": x[held], "y_test": data.y_train[held]}
        np.savez(file, **arrays)
    return file


def trials(folder: Path, workers: int) -> list[dict[str, Any]]:
    """Train and score every trial; one row a method and learning rate."""
    base = {**SETTINGS, "dataset": f"npz:{held_out_data(folder)}"}
    base.pop("lr")
    grid = grid_from_mapping(
        {
            "base": base,
            "grid": {"trainer": list(METHODS), "lr": list(LEARNING_RATES), "seed": list(SEEDS)},
            "evaluation": {"attacks": {"pgd": {"max_iter": ATTACK_STEPS}}},
        },
        where="demo selection",
    )
    outcome = run_grid(grid, folder / "trials", workers=workers)
    rows: dict[tuple[str, float], list[Any]] = {}
    for entry in outcome.entries:
        rows.setdefault((entry.cell.config.trainer, entry.cell.config.lr), []).append(entry.result)
    return [_row(method, lr, results) for (method, lr), results in rows.items()]


def _row(method: str, lr: float, results: list[Any]) -> dict[str, Any]:
    row: dict[str, Any] = {"method": method, "lr": lr, "seeds": len(results)}
    for attack in ("clean", "pgd"):
        worst = [result[attack].worst_class_accuracy() for result in results]
        row[f"{attack}_worst"] = {"mean": float(np.mean(worst)), "std": float(np.std(worst, ddof=1))}
        row[attack] = float(np.mean([result[attack].accuracy for result in results]))
    return row


def main() -> None:
    """Run the trials, print the table and write the choice."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("demo-selection"))
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--write", type=Path, help="file for the table as JSON")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    rows = sorted(trials(arguments.output, arguments.workers), key=lambda row: -row["pgd_worst"]["mean"])
    print("\nheld-out training images, in per cent, mean over seeds\n")
    print("method     lr     worst class, PGD   accuracy, PGD   accuracy, clean")
    for row in rows:
        worst = f"{100 * row['pgd_worst']['mean']:5.1f} ± {100 * row['pgd_worst']['std']:4.1f}"
        print(f"{row['method']:<10} {row['lr']:<6g} {worst:<18} {100 * row['pgd']:5.1f}           {100 * row['clean']:5.1f}")
    best = rows[0]
    print(f"\nchosen: {best['method']} at learning rate {best['lr']:g}")
    if arguments.write is not None:
        document = {
            "settings": {**SETTINGS, "lr": "see rows"},
            "held_out": HELD_OUT,
            "split_seed": SPLIT_SEED,
            "seeds": list(SEEDS),
            "rows": rows,
            "chosen": {"method": best["method"], "lr": best["lr"]},
        }
        write_text(arguments.write, json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
