"""``fairart train METHOD``: flags derived from :class:`fairart.runs.config.RunConfig`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from fairart.cli.output import print_json, print_table, share, stdout_kept_clean
from fairart.cli.parser import Parser, UsageError, add_common_flags
from fairart.did_you_mean import did_you_mean
from fairart.errors import OptionError
from fairart.plugins.options import Declared
from fairart.runs.config import RunConfig, check_names, check_values, parse_setting, read_yaml
from fairart.runs.folders import CONFIG, RunError, check_output, describe, resume_hint
from fairart.runs.recipes import with_recipe

__all__ = ["parser", "run"]

APART = ("trainer", "options")
"""Fields that are no flag of their own name: METHOD and --set."""
YES_OR_NO = (bool, bool | None)
"""Types of the fields that are a pair of flags, --name and --no-name."""


def _help(declared: Declared) -> str:
    text = declared.option.description
    if declared.default is None or declared.default is False or declared.required:
        return text
    default = declared.default
    if isinstance(default, tuple):
        default = ",".join(map(str, default))
    elif isinstance(default, float):
        default = f"{default:.4g}"
    return f"{text} (default: {default})"


def parser() -> Parser:
    """The flags of ``fairart train``."""
    made = Parser(
        prog="fairart train",
        usage="fairart train METHOD --output FOLDER [flags]\n       fairart train --resume --output FOLDER",
        description="Train a classifier by a method. The folder gets config.yaml, history.jsonl, metrics.csv, checkpoint/ and "
        "model.safetensors.",
        epilog="Names are listed by 'fairart plugins', the options of one by 'fairart plugins KIND NAME'.",
    )
    declared = RunConfig.declared()
    made.add_argument("trainer", metavar="METHOD", nargs="?", default=argparse.SUPPRESS, help=_help(declared["trainer"]))
    made.add_argument("--output", metavar="FOLDER", help="folder of the run")
    made.add_argument("--config", metavar="FILE", help="YAML file with any of the values below; flags override it")
    made.add_argument("--overwrite", action="store_true", help="replace the run in the folder")
    made.add_argument(
        "--resume",
        action="store_true",
        help="continue the run in the folder with its own config; start one if there is none",
    )
    add_common_flags(made)
    for name, spec in declared.items():
        if name in APART:
            continue
        # Kept as text: the declaration parses and checks it, as for a config file.
        flag = f"--{name.replace('_', '-')}"
        form: dict[str, Any] = {"action": argparse.BooleanOptionalAction} if spec.type in YES_OR_NO else {"metavar": "VALUE"}
        made.add_argument(flag, dest=name, default=argparse.SUPPRESS, help=_help(spec).replace("%", "%%"), **form)
    made.add_argument(
        "--set",
        dest="settings",
        metavar="KIND.OPTION=VALUE",
        action="append",
        default=[],
        help=f"{declared['options'].option.description}, such as epsilon_scheduler.lambda1=0.3; may be given again",
    )
    return made


def _config(arguments: argparse.Namespace, begun: dict[str, Any]) -> RunConfig:
    given = vars(arguments)
    flags = {name: given[name] for name in RunConfig.declared() if name in given}
    values: dict[str, Any] = dict(begun)
    if arguments.config is not None:
        values.update(check_values(read_yaml(arguments.config), where=arguments.config))
    values.update(check_values(flags, where="train", flags=True))
    options = {kind: dict(chosen) for kind, chosen in values.get("options", {}).items()}
    for text in arguments.settings:
        kind, option, value = parse_setting(text)
        checked = check_values({"options": {f"{kind}.{option}": value}}, where="--set")["options"]
        for name, chosen in checked.items():
            options.setdefault(name, {}).update(chosen)
    values["options"] = options
    if "trainer" not in values:
        raise UsageError(f"no method given: write 'fairart train METHOD ...'; {_known_methods()}")
    return RunConfig(**with_recipe(values, where="train"))


def _begun(folder: str) -> dict[str, Any]:
    """The complete configuration of the run to resume; empty if there is none. Other flags must agree with it."""
    path = Path(folder).expanduser() / CONFIG
    try:
        return RunConfig.load(path).to_dict() if path.exists() else {}
    except OptionError as error:
        raise RunError(f"the {CONFIG} of the run is damaged or foreign: {error}") from error


def _known_methods() -> str:
    from fairart.plugins import registered

    return did_you_mean("", registered("trainer"))


def run(arguments: argparse.Namespace) -> int:
    """Train, and print the last epoch class by class.

    Args:
        arguments: what :func:`parser` read.

    Raises:
        UsageError: no method or no output.
    """
    if arguments.output is None:
        _config(arguments, {})
        raise UsageError("no output given: add --output FOLDER")
    begun = _begun(arguments.output) if arguments.resume else {}
    if arguments.resume and not begun and "trainer" not in vars(arguments) and arguments.config is None:
        raise UsageError(f"there is no run in {arguments.output!r} to resume; to start one, write 'fairart train METHOD ...'")
    config = _config(arguments, begun)
    folder = check_output(arguments.output, overwrite=arguments.overwrite, resume=arguments.resume)
    _check_before_imports(config)

    from fairart.engine import CheckpointWriteError
    from fairart.engine.overfitting import CatastrophicOverfittingError
    from fairart.runs.run import train_run

    try:
        with stdout_kept_clean(arguments.json):
            trained = train_run(
                config, folder, overwrite=arguments.overwrite, resume=arguments.resume, verbose=not arguments.quiet
            )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(describe(folder)) from None
    except CatastrophicOverfittingError as error:
        hint = resume_hint(folder)
        raise CatastrophicOverfittingError(f"{error}{hint and hint + ' --on-overfitting return'}") from error
    except CheckpointWriteError as error:
        raise CheckpointWriteError(f"{error}{resume_hint(folder)}") from error
    if trained.trainer.processes.rank > 0:
        return 0
    if arguments.json:
        print_json(_document(trained))
    elif not arguments.quiet:
        _show(trained)
    return 0


def _check_before_imports(config: RunConfig) -> None:
    from fairart.plugins import get_plugin_manager

    if config.plugins_dir is not None:
        get_plugin_manager().load_folder(config.plugins_dir)
    check_names(config)


def _document(trained: Any) -> dict[str, Any]:
    last = trained.history[-1]
    return {
        "output": str(trained.folder),
        "config": trained.config.to_dict(),
        "classes": list(trained.dataset.classes),
        "note": trained.dataset.note,
        "training_counts": trained.dataset.training_counts,
        "label_noise": trained.label_noise,
        "finished_before": trained.finished_before,
        "epochs": len(trained.history),
        "seconds": sum(record.seconds for record in trained.history),
        "class_accuracy": {name: list(map(float, matrix.class_accuracy)) for name, matrix in _columns(last).items()},
        "last_epoch": last.to_dict(),
    }


def _columns(record: Any) -> dict[str, Any]:
    """The confusion matrices of an epoch, by what a table calls them."""
    columns = {"robust (training)": record.robust}
    if record.clean is not None:
        columns["clean (training)"] = record.clean
    if record.validation is not None:
        columns["robust (validation)"] = record.validation.robust
        columns["clean (validation)"] = record.validation.clean
    return columns


def _show(trained: Any) -> None:
    columns = _columns(trained.history[-1])
    matrices = list(columns.values())
    rows = [
        [name, *(share(float(matrix.class_accuracy[index])) for matrix in matrices)]
        for index, name in enumerate(trained.dataset.classes)
    ]
    rows.append(["overall", *(share(matrix.accuracy) for matrix in matrices)])
    rows.append(["worst class", *(share(matrix.worst_class_accuracy()) for matrix in matrices)])
    title = f"{trained.config.trainer} on {trained.dataset.name}: accuracy in per cent, epoch {len(trained.history)}"
    if trained.finished_before:
        print(f"The run in {trained.folder} was finished before: nothing was left to train.\n")
    print_table(["class", *columns], rows, title=title)
    _show_label_noise(trained.label_noise)
    print(f"\nThe run is in {trained.folder}; 'fairart evaluate {trained.folder}' evaluates it on the test images.")


def _show_label_noise(noise: dict[str, Any] | None) -> None:
    if noise is None:
        return
    entries = [(row["class"], row) for row in noise["by_class"]]
    entries.append(("all", {name: sum(row[name] for _, row in entries) for name in entries[0][1] if name != "class"}))
    rows = [
        [
            label,
            str(row["noisy"]),
            *(_part(row[name], row["noisy"]) for name in ("learnt", "original", "other")),
            _part(row["unchanged_right"], row["unchanged"]),
        ]
        for label, row in entries
    ]
    print()
    columns = ["class", "wrong labels", "learnt", "original class", "another", "unchanged, right"]
    print_table(columns, rows, title=f"label noise {noise['noise']}: predictions on the training images, in per cent")


def _part(count: int, of: int) -> str:
    return share(count / of if of else None)
