"""The chosen trial on held-out and on test images, once: by how much was choosing too optimistic?"""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

from fairart.evaluation import EvaluationResult
from fairart.files import write_text
from fairart.runs.evaluate_run import evaluate_run
from fairart.runs.folders import CONFIG, HISTORY, WEIGHTS, read_config
from fairart.runs.lock import locked

__all__ = ["leak_check"]

LEAK = "leak_check.json"
ATTACK = ("pgd", {"label": "pgd-10", "max_iter": 10})


def leak_check(run: Path, folder: Path) -> dict[str, Any]:
    """Evaluate a trial's weights on the images that it was chosen by, and on the test images; done once, then read from its file.

    Args:
        run: of the trial.
        folder: of the search.

    Returns:
        ``held_out`` and ``test`` with ``average``, ``worst_class``, ``clean_average`` and ``clean_worst_class`` in [0, 1], and
        the numbers of images.
    """
    path = folder / LEAK
    with locked(run, patience=600.0, what="search"):
        if path.exists():
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if found.get("run") == str(run.relative_to(folder)):
                return found
        held_out = evaluate_run(run, [ATTACK], verbose=False, sanity_samples=0)
        test = evaluate_run(_on_test_images(run, folder / "leak_check"), [ATTACK], verbose=False, sanity_samples=0)
        made = {"run": str(run.relative_to(folder)), "held_out": _figures(held_out), "test": _figures(test)}
        write_text(path, json.dumps(made, indent=1) + "\n")
        return made


def _on_test_images(run: Path, folder: Path) -> Path:
    """The same weights as a run that is evaluated on the test images."""
    folder.mkdir(exist_ok=True)
    for name in (HISTORY, WEIGHTS):
        shutil.copyfile(run / name, folder / name)
    dataclasses.replace(read_config(run), validation_share=None).save(folder / CONFIG)
    return folder


def _figures(result: EvaluationResult) -> dict[str, Any]:
    clean, robust = result["clean"], result["pgd-10"]
    return {
        "average": robust.accuracy,
        "worst_class": robust.worst_class_accuracy(),
        "clean_average": clean.accuracy,
        "clean_worst_class": clean.worst_class_accuracy(),
        "images": int(clean.confusion.support.sum()),
    }
