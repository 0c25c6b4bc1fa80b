"""``fairart adjust RUN``: remedies for long-tailed training that follow it."""

from __future__ import annotations

from fairart.cli.output import print_json, stdout_kept_clean
from fairart.cli.parser import Parser, UsageError, add_common_flags

__all__ = ["parser", "run"]


def parser() -> Parser:
    """The flags of ``fairart adjust``."""
    made = Parser(
        prog="fairart adjust",
        usage="fairart adjust RUN (--tau-norm TAU | --logit-adjustment TAU | --crt EPOCHS) --output FOLDER [flags]",
        description="Write a trained run with another last layer: rows normalised, logits shifted by the class frequencies, or "
        "trained anew with every class drawn alike. The folder is a run for 'fairart evaluate' and the others.",
    )
    made.add_argument("run", metavar="RUN", nargs="?", help="folder of a run, written by 'fairart train'")
    made.add_argument("--tau-norm", metavar="TAU", help="rows w / |w|^TAU, 1 for equal norms; the bias becomes 0")
    made.add_argument("--logit-adjustment", metavar="TAU", help="predict by z - TAU log(share of the class)")
    made.add_argument("--crt", metavar="EPOCHS", help="train the last layer anew for EPOCHS, the rest frozen")
    made.add_argument("--output", metavar="FOLDER", help="folder of the new run")
    made.add_argument("--overwrite", action="store_true", help="replace the run that is there")
    add_common_flags(made)
    return made


def run(arguments: object) -> int:
    """Adjust a run.

    Args:
        arguments: what :func:`parser` read.

    Raises:
        UsageError: no run, no output, or not exactly one adjustment.
    """
    given = vars(arguments)
    if given["run"] is None:
        raise UsageError("no run given: write 'fairart adjust RUN --tau-norm TAU --output FOLDER'")
    chosen = [f"{name.replace('_', '-')}:{given[name]}" for name in ("tau_norm", "logit_adjustment", "crt") if given[name]]
    if len(chosen) != 1:
        raise UsageError(f"give one of --tau-norm, --logit-adjustment and --crt, got {len(chosen)}")
    if given["output"] is None:
        raise UsageError("no output given: add --output FOLDER")

    with stdout_kept_clean(given["json"]):
        from fairart.runs.adjusting import adjust_run

        folder = adjust_run(given["run"], chosen[0], given["output"], overwrite=given["overwrite"], verbose=not given["quiet"])
    if given["json"]:
        print_json({"run": given["run"], "adjustment": chosen[0], "output": str(folder)})
    elif not given["quiet"]:
        print(f"The adjusted run is in {folder}; 'fairart evaluate {folder}' evaluates it on the test images.")
    return 0
