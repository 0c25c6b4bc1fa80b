"""The demo: three methods on the digits of scikit-learn, over a few seeds, compared class by class."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

import fairart
from fairart.evaluation import EvaluationResult
from fairart.files import write_text
from fairart.reporting.tables import ClassTable, class_table, render_rich, render_text
from fairart.runs.config import RunConfig
from fairart.runs.evaluate_run import evaluate_run
from fairart.runs.folders import clear
from fairart.runs.run import TrainedRun, train_run

if TYPE_CHECKING:
    from fairart.reporting.histories import History

__all__ = ["DemoResult", "run_demo"]

BASELINE, METHOD, CHOSEN = "at", "fair-tat", "dafa"
"""CHOSEN is what benchmarks/demo_selection.py chooses on held-out training images, with equal trials for ten methods."""

SETTINGS: dict[str, Any] = {
    "dataset": "digits",
    "model": "small-cnn",
    "eps": 0.15,
    "eps_step": 0.0375,
    "max_iter": 10,
    "epochs": 12,
    "batch_size": 64,
    "lr": 0.1,
    # 8x8 images gain nothing from a GPU, and the CPU gives every reader the same kind of run.
    "device": "cpu",
}
"""Of all methods. The learning rate was chosen by the accuracy of plain adversarial training on a fifth of the training
images, the number of epochs by time; neither by the test images nor by FAIR-TAT."""

ATTACK_STEPS = 20
SANITY_SAMPLES = 64  # of 450 test images: enough to notice an attack that does nothing, in a quarter of the time

FORMAT = "fairart.demo"
SUMMARY = "summary.json"
PLOTS = ("accuracy_per_class.png", "epsilon_per_class.png", "target_distribution.png")


@dataclass(frozen=True, kw_only=True)
class DemoResult:
    """What the demo found.

    Args:
        folder: where its files are.
        evaluations: method -> one evaluation a seed, seed 0 first.
        table: class by class, all methods clean and under PGD, and the difference of the chosen method from AT.
        notes: how to read the numbers, one line each.
        settings: of all methods.
        seconds: wall-clock time of everything.
    """

    folder: Path
    evaluations: Mapping[str, Sequence[EvaluationResult]]
    table: ClassTable
    notes: tuple[str, ...]
    settings: Mapping[str, Any]
    seconds: float

    @property
    def files(self) -> tuple[Path, ...]:
        """Paths of the summary and the plots; the runs have folders beside them."""
        return tuple(self.folder / name for name in (SUMMARY, *PLOTS))

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, lists and text, as in ``summary.json``; shares in [0, 1], NaN is None."""
        return {
            "format": FORMAT,
            "fairart": fairart.__version__,
            "settings": dict(self.settings),
            "seeds": len(self.evaluations[BASELINE]),
            "attack": dict(self.evaluations[BASELINE][0]["pgd"].config),
            "support": dict(zip(self.table.classes, self.table.support, strict=False)),
            "accuracy": self.table.to_dict(),
            "runs": [
                {
                    "method": method,
                    "seed": seed,
                    "folder": _run_name(method, seed),
                    "clean": result["clean"].accuracy,
                    "pgd": result["pgd"].accuracy,
                    "pgd_worst_class": result["pgd"].worst_class_name,
                    "pgd_worst_class_accuracy": result["pgd"].worst_class_accuracy(),
                }
                for method, results in self.evaluations.items()
                for seed, result in enumerate(results)
            ],
            "notes": list(self.notes),
            "seconds": round(self.seconds, 1),
        }

    def text(self) -> str:
        """Title, table and notes as plain text."""
        return "\n".join([_title(self.settings), "", render_text(self.table), "", *self.notes])

    def show(self) -> None:
        """Print title, table and notes: as a drawn table on a wide terminal, as plain text elsewhere."""
        from rich.console import Console
        from rich.measure import Measurement

        console = Console(highlight=False)
        drawn = render_rich(self.table)
        if console.is_terminal and Measurement.get(console, console.options, drawn).minimum <= console.width:
            console.print(_title(self.settings), style="bold", markup=False)
            console.print(drawn)
            console.print(*["", *self.notes], sep="\n", markup=False)
        else:
            print(self.text())


def run_demo(output: str | Path, *, seeds: int = 3, verbose: bool = True, overwrite: bool = False) -> DemoResult:
    """Train AT, FAIR-TAT and DAFA on scikit-learn's digits, attack them with PGD-20, and write table, plots and runs to a folder.

    The folder gets ``summary.json``, ``accuracy_per_class.png``, ``epsilon_per_class.png``, ``target_distribution.png``, and
    a run for each method and seed: ``at-seed0``, ``fair-tat-seed0``, and so on. All methods share every setting. DAFA was chosen
    on held-out training images, see benchmarks/demo_selection.py; the test images had no part in the choice.

    Args:
        output: folder; it must not exist or be empty.
        seeds: runs of each method, >= 1, with the seeds from 0 up.
        verbose: print a line for each run on standard error, and the table on standard output.
        overwrite: write into a folder that has files: an earlier demo is replaced, other files stay.

    Returns:
        The evaluations and their table.

    Raises:
        ValueError: ``seeds`` below 1.
        FileExistsError: the folder has files and ``overwrite`` is off; or it is a file.
    """
    if isinstance(seeds, bool) or not isinstance(seeds, int) or seeds < 1:
        raise ValueError(f"seeds must be a whole number >= 1, got {seeds!r}")
    begin = time.perf_counter()
    folder = _prepare(Path(output).expanduser(), overwrite)
    evaluations: dict[str, list[EvaluationResult]] = {BASELINE: [], METHOD: [], CHOSEN: []}
    histories: list[History] = []
    with _one_thread():
        # All methods of a seed before the next seed: an interrupted demo has whole seeds.
        for seed in range(seeds):
            for method, results in evaluations.items():
                trained, result = _train_and_evaluate(method, seed, folder, overwrite=overwrite, verbose=verbose)
                results.append(result)
                if method == METHOD:
                    histories.append(trained.history)
    table = class_table(evaluations, difference=(CHOSEN, BASELINE))
    _draw(folder, evaluations, histories)
    outcome = DemoResult(
        folder=folder,
        evaluations=evaluations,
        table=table,
        notes=_notes(evaluations, len(trained.dataset.y_train)),
        settings=dict(SETTINGS),
        seconds=time.perf_counter() - begin,
    )
    _save(outcome)
    if verbose:
        outcome.show()
        print(f"\nwritten to {folder} in {outcome.seconds:.0f} s: {', '.join(path.name for path in outcome.files)}")
    return outcome


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Compute in one thread.

    Such small layers gain little from more threads and lose much on a busy machine, and one thread sums in one order.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _train_and_evaluate(
    method: str, seed: int, folder: Path, *, overwrite: bool, verbose: bool
) -> tuple[TrainedRun, EvaluationResult]:
    begin = time.perf_counter()
    config = RunConfig(trainer=method, seed=seed, **SETTINGS)
    trained = train_run(config, folder / _run_name(method, seed), overwrite=overwrite, verbose=verbose)
    options = {"pgd": {"max_iter": ATTACK_STEPS}}
    result = evaluate_run(trained.folder, ("pgd",), options=options, verbose=verbose, sanity_samples=SANITY_SAMPLES)
    if verbose:
        print(_line(method, seed, result, time.perf_counter() - begin), file=sys.stderr)
    return trained, result


def _run_name(method: str, seed: int) -> str:
    return f"{method}-seed{seed}"


def _title(settings: Mapping[str, Any]) -> str:
    attack = f"PGD-{ATTACK_STEPS} (eps {settings['eps']:g})"
    return f"{settings['dataset']}, {settings['model']}: {BASELINE}, {METHOD} and {CHOSEN}, clean and under {attack}"


def _line(method: str, seed: int, result: EvaluationResult, seconds: float) -> str:
    clean, pgd = result["clean"], result["pgd"]
    return (
        f"{method}, seed {seed}: clean {clean.accuracy:.1%}, PGD-{ATTACK_STEPS} {pgd.accuracy:.1%}, "
        f"worst class {pgd.worst_class_name} {pgd.worst_class_accuracy():.1%} ({seconds:.0f} s)"
    )


def _is_demo(folder: Path) -> bool:
    try:
        found = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("format") == FORMAT


def _runs(folder: Path) -> list[Path]:
    return [path for method in (BASELINE, METHOD, CHOSEN) for path in folder.glob(f"{method}-seed*") if path.is_dir()]


def _prepare(folder: Path, overwrite: bool) -> Path:
    """Reject a folder that is in use, and delete an earlier demo, before anything is trained."""
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{str(folder)!r} is a file: expected a folder for the demo")
    if folder.exists() and any(folder.iterdir()) and not overwrite:
        if _is_demo(folder):
            found = "has a demo already"
        else:
            found = "has an unfinished demo" if _runs(folder) else "is not empty, and what it has is no demo"
        raise FileExistsError(
            f"{str(folder)!r} {found}: choose another folder, or write into it all the same (overwrite=True, --overwrite)"
        )
    # Runs of an earlier demo with more seeds would look like runs of this one. Nothing else is touched.
    for run in _runs(folder):
        clear(run)
        if not any(run.iterdir()):
            run.rmdir()
    for name in (SUMMARY, *PLOTS):
        (folder / name).unlink(missing_ok=True)
    return folder


def _gain(evaluations: Mapping[str, Sequence[EvaluationResult]], method: str) -> str:
    gains = [
        ours["pgd"].worst_class_accuracy() - theirs["pgd"].worst_class_accuracy()
        for ours, theirs in zip(evaluations[method], evaluations[BASELINE], strict=True)
    ]
    seeds = len(gains)
    return (
        f"{method} is {100 * sum(gains) / seeds:+.1f} points from {BASELINE}; "
        f"higher in {sum(gain > 0 for gain in gains)} of {seeds} seeds, lower in {sum(gain < 0 for gain in gains)}."
    )


def _notes(evaluations: Mapping[str, Sequence[EvaluationResult]], nb_train: int) -> tuple[str, ...]:
    first = evaluations[BASELINE][0]
    seeds = len(evaluations[BASELINE])
    support = first["clean"].confusion.support
    spread = (
        f"± is the spread over {seeds} seeds: first weights, order of batches and random starts differ, the split does not.\n"
        "A difference that is not clearly larger than its spread is no evidence for either method."
        if seeds > 1
        else "One seed cannot tell a difference of methods from chance: run at least three."
    )
    return (
        *(f"Worst class under PGD-{ATTACK_STEPS}: {_gain(evaluations, method)}" for method in (METHOD, CHOSEN)),
        f"{CHOSEN} was chosen among ten methods on held-out training images (benchmarks/demo_selection.py), not on test images.",
        f"digits is small: {nb_train} training and {len(first.labels)} test images of 8x8 pixels, {support.min()} to "
        f"{support.max()} test images a class,\nwhere a single image is {100 / support.max():.1f} points.",
        spread,
    )


def _draw(folder: Path, evaluations: Mapping[str, Sequence[EvaluationResult]], histories: Sequence[History]) -> None:
    from fairart.reporting import plots

    names = evaluations[BASELINE][0].class_names
    attack = f"under PGD-{ATTACK_STEPS}, eps {SETTINGS['eps']:g} (L-inf)"
    figures = (
        plots.accuracy_per_class(
            evaluations, titles={"clean": "clean", "pgd": attack}, title=f"{SETTINGS['dataset']}: test accuracy per class"
        ),
        plots.epsilon_per_class_over_epochs(
            *histories, base=SETTINGS["eps"], class_names=names, title=f"{METHOD}: budget of each class in training"
        ),
        plots.target_distribution_over_epochs(
            *histories, class_names=names, title=f"{METHOD}: how often each class is aimed at in training"
        ),
    )
    for figure, name in zip(figures, PLOTS, strict=True):
        plots.save_png(figure, folder / name)


def _save(result: DemoResult) -> None:
    write_text(result.folder / SUMMARY, json.dumps(result.to_dict(), indent=2, allow_nan=False) + "\n")
