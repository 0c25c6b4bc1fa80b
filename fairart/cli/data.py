"""``fairart data check DATASET``: looks through a data set before anything is trained on it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from fairart.cli.output import print_json, print_table, stdout_kept_clean
from fairart.cli.parser import Parser, UsageError, add_common_flags, at_least
from fairart.did_you_mean import did_you_mean
from fairart.errors import OptionError
from fairart.files import write_text
from fairart.runs.config import RunConfig, check_names, parse_setting

__all__ = ["parser", "run"]

ACTIONS = ("check",)
OF_THE_DATA = ("data_root", "test_share", "leave_out", "per_class", "imbalance", "label_noise", "seed", "plugins_dir")
"""Flags that mean what they mean for 'fairart train'."""


def parser() -> Parser:
    """The flags of ``fairart data``."""
    made = Parser(
        prog="fairart data",
        usage="fairart data check DATASET [flags]",
        description="Look through both splits of a data set: images of each class, sizes and ranges, images that are there twice "
        "(equal or nearly, within and across the splits), images of one colour, and labels that look wrong. Nothing is changed.",
        epilog="DATASET is a registered name, npz:PATH, npy:PATH, folder:PATH or wds:PATH. The JSON document lists all images "
        "that were found.",
    )
    made.add_argument("action", metavar="check", nargs="?", help="what to do")
    made.add_argument(
        "dataset", metavar="DATASET", nargs="?", help="data set: a registered name, npz:PATH, npy:PATH, folder:PATH or wds:PATH"
    )
    made.add_argument("--output", metavar="FILE", help="write the JSON document to a file; it is replaced")
    made.add_argument(
        "--tolerance", metavar="RMS", default="0.03", help="nearly equal: root mean square difference, images in 0..1, or none"
    )
    made.add_argument("--no-label-errors", action="store_true", help="do not look for wrong labels")
    made.add_argument(
        "--probabilities",
        metavar="FILE",
        help=".npy of out-of-fold probabilities of your own, a row an image, training images first (default: nearest neighbours)",
    )
    made.add_argument("--folds", type=at_least(2), default=5, metavar="N", help="folds of the nearest neighbours (default: 5)")
    made.add_argument("--neighbours", type=at_least(1), default=25, metavar="N", help="how many of them vote (default: 25)")
    made.add_argument("--show", type=at_least(0), default=10, metavar="N", help="suspected labels to print (default: 10)")
    made.add_argument(
        "--set",
        dest="settings",
        metavar="dataset.OPTION=VALUE",
        action="append",
        default=[],
        help="an option of the data set, such as dataset.size=64; may be given again",
    )
    declared = RunConfig.declared()
    for name in OF_THE_DATA:
        flag = f"--{name.replace('_', '-')}"
        text = declared[name].option.description.replace("%", "%%")
        made.add_argument(flag, dest=name, default=argparse.SUPPRESS, metavar="VALUE", help=text)
    add_common_flags(made)
    return made


def run(arguments: argparse.Namespace) -> int:
    """Look through a data set, and print what was found.

    Args:
        arguments: what :func:`parser` read.

    Raises:
        UsageError: no action, or no data set.
        OptionError: a bad value.
        FileNotFoundError: the folder of the output, or the file of probabilities, does not exist.
        DatasetError: files that do not form a data set, or probabilities that do not fit.
    """
    if arguments.action not in ACTIONS:
        raise UsageError(f"expected 'fairart data check DATASET'; {did_you_mean(arguments.action or '', ACTIONS)}")
    if arguments.dataset is None:
        raise UsageError("no data set given: write 'fairart data check DATASET'")
    output = None if arguments.output is None else Path(arguments.output).expanduser()
    if output is not None and not output.absolute().parent.is_dir():
        raise FileNotFoundError(f"there is no folder {str(output.parent)!r} to write {output.name} to")
    tolerance = _tolerance(arguments.tolerance)
    given = {name: value for name, value in vars(arguments).items() if name in OF_THE_DATA}
    options = {"options": {"dataset": _options(arguments.settings)}} if arguments.settings else {}
    config = RunConfig.from_mapping({"trainer": "standard", "dataset": arguments.dataset, **given, **options}, where="data check")
    with stdout_kept_clean(arguments.json):
        report = _checked(config, arguments, tolerance)
    document = report.to_dict()
    if output is not None:
        write_text(output, json.dumps(document, allow_nan=False) + "\n")
    if arguments.json:
        print_json(document)
    elif not arguments.quiet:
        _show(report, arguments.show)
        if output is not None:
            print(f"\nwritten to {output}")
    return 0


def _options(settings: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for text in settings:
        kind, option, value = parse_setting(text, owner="dataset")
        if kind != "dataset":
            raise OptionError(f"--set expects dataset.OPTION=VALUE here, got {text!r}")
        found[option] = value
    return found


def _tolerance(text: str) -> float | None:
    if text == "none":
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise OptionError(f"--tolerance expects a number from 0 to 1, or none, got {text!r}")
    return value


def _checked(config: RunConfig, arguments: argparse.Namespace, tolerance: float | None) -> Any:
    import numpy as np

    from fairart.datasets.checking import check_dataset
    from fairart.runs.build import build_dataset, load_plugins

    load_plugins(config)
    check_names(config)
    probabilities = None
    if arguments.probabilities is not None:
        try:
            probabilities = np.load(Path(arguments.probabilities).expanduser(), allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise OptionError(f"--probabilities {arguments.probabilities}: expected a .npy file of numbers ({error})") from error
    return check_dataset(
        build_dataset(config),
        tolerance=tolerance,
        label_errors=not arguments.no_label_errors,
        probabilities=probabilities,
        folds=arguments.folds,
        neighbours=arguments.neighbours,
        seed=config.seed,
    )


def _show(report: Any, number: int) -> None:
    columns = ["class", *(f"{name} images" for name in report.splits)]
    rows = [[label, *(str(split.counts[k]) for split in report.splits.values())] for k, label in enumerate(report.classes)]
    rows.append(["all", *(str(split.images) for split in report.splits.values())])
    if report.suspected is not None:
        columns += ["suspected labels", "most often look like"]
        for k, row in enumerate(report.suspected):
            most = max(range(len(row)), key=row.__getitem__)
            rows[k] += [str(sum(row)), f"{report.classes[most]} ({row[most]})" if row[most] else "-"]
        rows[-1] += [str(len(report.label_errors)), ""]
    print_table(columns, rows, title=report.name + (f" ({report.note})" if report.note else ""))
    _show_values(report)
    _show_findings(report)
    if report.label_errors and number:
        print()
        shown = [
            [error["split"], str(error["index"]), report.classes[error["label"]], report.classes[error["suggested"]],
             f"{error['margin']:.2f}"]
            for error in report.label_errors[:number]
        ]  # fmt: skip
        print_table(["split", "index", "label", "looks like", "margin"], shown, title="the most suspicious labels")


def _show_values(report: Any) -> None:
    rows = []
    for name, split in report.splits.items():
        for channel in range(len(split.low)):
            figures = (split.low, split.high, split.mean, split.std)
            shape = " x ".join(map(str, split.shape))
            rows.append([name, f"{shape} {split.dtype}", str(channel), *(f"{values[channel]:.4f}" for values in figures)])
    print()
    print_table(["split", "images", "channel", "smallest", "largest", "mean", "deviation"], rows, title="values in 0..1")


def _show_findings(report: Any) -> None:
    print()
    for line in report.findings() or ["nothing was found that deserves a look"]:
        print(f"- {line}")
    for line in report.remarks:
        print(f"- {line}")
    known = report.known_noise
    if known is not None:
        shares = ", ".join(f"{name} {known[name]:.3f}" for name in ("precision", "recall") if known[name] is not None)
        print(
            f"- {known['found']} of the {known['noisy']} labels that were made wrong are suspected"
            + (f" ({shares})" if shares else "")
        )
