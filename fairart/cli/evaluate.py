"""``fairart evaluate``: attacks on, and corruptions of, the test images of a run or of any model."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairart.cli.evaluate_flags import add_corruption_flags, add_device_flags, add_model_flags, add_ood_flags, add_test_flags
from fairart.cli.evaluation_tables import show_evaluation
from fairart.cli.fail_under import parse_gate
from fairart.cli.output import print_json, stdout_kept_clean
from fairart.cli.parser import Parser, UsageError, add_common_flags, at_least
from fairart.cli.ray_flags import ray_options
from fairart.did_you_mean import did_you_mean
from fairart.errors import OptionError
from fairart.plugins.options import parse_number
from fairart.runs.config import parse_setting
from fairart.runs.folders import EVALUATION, PARTIAL, read_config
from fairart.runs.joined import joined_rank

if TYPE_CHECKING:
    from fairart.evaluation import EvaluationResult

__all__ = ["parser", "run"]


def parser() -> Parser:
    """The flags of ``fairart evaluate``."""
    made = Parser(
        prog="fairart evaluate",
        usage="fairart evaluate RUN [--attack NAME ...] [--corruptions NAMES] [--certificate NAME ...] "
        "[--defence NAME ...] [flags]\n"
        "       fairart evaluate RUN RUN ... --ensemble [MEAN] --output FOLDER [flags]\n"
        "       fairart evaluate --model MODEL [--weights FILE] --dataset NAME --output FOLDER [flags]",
        description="Evaluate a run, or any model and weight file, on test images, class by class: clean, under attacks, "
        "corrupted, and certified. The folder of the run, or --output, gets evaluation.json. After an interruption the same "
        "command resumes.",
        epilog="Attacks are listed by 'fairart plugins --kind attack', the options of one by 'fairart plugins attack NAME'; "
        "likewise certificates, defences, corruptions and models. eps and eps_step of an attack are those of the run unless set.",
    )
    made.add_argument("runs", metavar="RUN", nargs="*", help="folder of a run, written by 'fairart train'")
    made.add_argument(
        "--ensemble",
        nargs="?",
        const="probabilities",
        metavar="MEAN",
        help="evaluate several runs as one classifier, by the mean of their probabilities (default) or logits, and where they "
        "disagree; --output is the folder of the result",
    )
    add_model_flags(made)
    made.add_argument("--attack", metavar="NAME", action="append", help="may be given again (default: pgd); none for none")
    made.add_argument(
        "--eps",
        metavar="EPS",
        help="budget of the attacks in the norm of the run, such as 8/255; by default that of the run, else the attack's own",
    )
    made.add_argument(
        "--set",
        dest="settings",
        metavar="NAME.OPTION=VALUE",
        action="append",
        default=[],
        help="an option of an attack, certificate, defence or corruption, or (as model.OPTION, dataset.OPTION) of --model and "
        "--dataset, such as pgd.max_iter=20; may be given again",
    )
    add_corruption_flags(made)
    made.add_argument(
        "--certificate", metavar="NAME", action="append", default=[], help="such as smoothing or ibp; may be given again"
    )
    add_ood_flags(made)
    size = "images at a time, or auto: the most that fit into memory, found by trial (default: 512)"
    made.add_argument("--batch-size", type=at_least(1, "auto"), default=512, metavar="N", help=size)
    made.add_argument(
        "--seed", type=at_least(0), default=0, metavar="N", help="seed of random starts and corruptions (default: 0)"
    )
    made.add_argument(
        "--limit", metavar="N", help="use N test images, drawn at random, or 100/class for 100 of each class; by default all"
    )
    add_device_flags(made)
    made.add_argument(
        "--sanity-samples",
        type=at_least(0),
        default=256,
        metavar="N",
        help="images that the sanity checks look at, 0 for none (default: 256)",
    )
    made.add_argument(
        "--fail-under",
        metavar="[ATTACK.]METRIC=VALUE",
        action="append",
        default=[],
        help="exit with code 1 if a metric is below a value, such as worst-class=0.3 (in the worst result) or pgd.accuracy=0.45; "
        "may be given again",
    )
    add_test_flags(made)
    made.add_argument("--restart", action="store_true", help="start again instead of resuming an interrupted evaluation")
    made.add_argument("--plugins-dir", metavar="FOLDER", help="folder of plugins (*.py) to load, besides the run's own")
    add_common_flags(made)
    return made


def run(arguments: argparse.Namespace) -> int:
    """Evaluate, and print the tables.

    Args:
        arguments: what :func:`parser` read.

    Returns:
        0, or 1 if a metric of ``--fail-under`` is below its value.

    Raises:
        UsageError: neither a run nor a model, or flags that do not go together.
    """
    arguments.folder = arguments.runs[0] if arguments.runs else None
    _check_flags(arguments)
    _ood_sets(arguments)
    attacks = [] if arguments.attack == ["none"] else arguments.attack or ["pgd"]
    options = _options(arguments, [*attacks, *arguments.certificate, *arguments.defence])
    gates = [parse_gate(text, attacks) for text in arguments.fail_under]
    _check_before_imports(arguments, attacks)
    folder = Path(arguments.output or arguments.folder).expanduser()
    try:
        with stdout_kept_clean(arguments.json):
            result = _evaluated(arguments, attacks, options, folder)
    except KeyboardInterrupt:
        detail = f"{EVALUATION} in {folder} is as it was before"
        if (folder / PARTIAL).is_dir():
            detail += "; the same command resumes"
        raise KeyboardInterrupt(detail) from None
    if joined_rank() > 0:
        return 0
    if arguments.json:
        print_json(result.to_dict())
    elif not arguments.quiet:
        show_evaluation(result)
        print(f"\nwritten to {folder / EVALUATION}")
    failed = [line for gate in gates if (line := gate.failure(result))]
    for line in failed:
        print(f"fairart: failed: {line}", file=sys.stderr)
    return 1 if failed else 0


MODEL_FLAGS = ("weights", "dataset", "data_root", "output", "normalization", "weights_key", "weights_index", "no_strict")


def _check_flags(arguments: argparse.Namespace) -> None:
    if arguments.folder is None and arguments.model is None:
        raise UsageError(
            "no run given: write 'fairart evaluate RUN', where RUN is a folder written by 'fairart train', or "
            "'fairart evaluate --model MODEL --weights FILE --dataset NAME --output FOLDER'"
        )
    _check_ensemble(arguments)
    if arguments.folder is not None:
        own = ("output", "data_root") if arguments.ensemble is not None else ()
        for name in ("model", *MODEL_FLAGS):
            if name not in own and getattr(arguments, name) not in (None, False):
                raise UsageError(f"--{name.replace('_', '-')} is for a model, but {arguments.folder!r} is given as a run")
    else:
        for name, example in (("dataset", "cifar10"), ("output", "eval/mine")):
            if getattr(arguments, name) is None:
                raise UsageError(f"no {name} given: add --{name} {name.upper()}, such as {example}")
    if arguments.ray_address is not None and not arguments.ray:
        raise UsageError("--ray-address goes with --ray")
    corrupted = arguments.corruptions is not None or arguments.corruptions_dir is not None
    for flag in ("severities", "reference"):
        if getattr(arguments, flag) is not None and not corrupted:
            raise UsageError(f"--{flag} goes with --corruptions or --corruptions-dir")


def _check_ensemble(arguments: argparse.Namespace) -> None:
    if arguments.ensemble is None:
        if len(arguments.runs) > 1:
            raise UsageError(
                f"{len(arguments.runs)} runs are given: add --ensemble --output FOLDER to evaluate them as one classifier, or "
                "evaluate each by a command of its own"
            )
        return
    if arguments.ensemble not in ("probabilities", "logits"):
        raise UsageError(
            f"--ensemble expects probabilities or logits, got {arguments.ensemble!r}; write the runs before --ensemble"
        )
    if arguments.model is not None or len(arguments.runs) < 2:
        raise UsageError(f"--ensemble takes two runs or more, got {len(arguments.runs)}: 'fairart evaluate RUN RUN --ensemble'")
    if arguments.output is None:
        raise UsageError("no output given: add --output FOLDER for the evaluation of the ensemble, such as eval/ensemble")


def _evaluated(
    arguments: argparse.Namespace, attacks: list[str], options: dict[str, dict[str, Any]], folder: Path
) -> EvaluationResult:
    from fairart.runs.evaluating import Request
    from fairart.runs.shifts import named_shifts

    shared: dict[str, Any] = {
        name: getattr(arguments, name)
        for name in (
            "corruptions",
            "corruptions_dir",
            "severities",
            "reference",
            "batch_size",
            "seed",
            "limit",
            "device",
            "devices",
        )
    }
    shared["ood"] = _ood(arguments, options.pop("ood", {}) if arguments.ood else {})
    of_model, of_data = (options.pop(name, {}) if arguments.model is not None else {} for name in ("model", "dataset"))
    shared.update(
        ray=ray_options(arguments) if arguments.ray else None,
        eps=None if arguments.eps is None else parse_number(arguments.eps),
        options=options,
        restart=arguments.restart,
        groups=arguments.groups,
        shifts=named_shifts(arguments.shift),
        affine=_affine(arguments.affine),
        temperature=arguments.temperature,
        data_root=arguments.data_root,
        sanity_samples=arguments.sanity_samples,
        verbose=not arguments.quiet,
        certificates=arguments.certificate,
        defences=arguments.defence,
    )
    if arguments.ensemble is not None:
        from fairart.runs.evaluate_ensemble import evaluate_ensemble

        request = Request(attacks=attacks, **shared)
        return evaluate_ensemble(arguments.runs, folder, combine=arguments.ensemble, request=request)
    if arguments.model is None:
        from fairart.runs.evaluate_run import evaluate_run

        return evaluate_run(arguments.folder, attacks, **shared)
    from fairart.runs.evaluate_model import evaluate_model

    return evaluate_model(
        arguments.model,
        folder,
        dataset=arguments.dataset,
        weights=arguments.weights,
        data_root=arguments.data_root,
        normalization=arguments.normalization or "auto",
        weights_key=arguments.weights_key,
        weights_index=arguments.weights_index,
        strict=not arguments.no_strict,
        model_options=of_model,
        dataset_options=of_data,
        request=Request(attacks=attacks, **shared),
    )


def _affine(given: list[str]) -> dict[str, tuple[float, ...] | None]:
    """Family -> degrees, None for its own ones."""
    found: dict[str, tuple[float, ...] | None] = {}
    for text in given:
        name, equals, degrees = text.partition("=")
        try:
            numbers = tuple(float(parse_number(word)) for word in degrees.split(",")) if equals else None
        except ValueError:
            raise UsageError(f"--affine expects NAME or NAME=DEGREES, such as rotation=-30,0,30, got {text!r}") from None
        # The families themselves stand beside torchvision, which --help must not load.
        found.update(dict.fromkeys(("rotation", "scale", "shear")) if name == "all" and not equals else {name: numbers})
    return found


def _ood_sets(arguments: argparse.Namespace) -> dict[str, str]:
    """Name -> built-in set or data set; empty without --ood."""
    for flag in ("ood_scores", "ood_attack"):
        if getattr(arguments, flag) is not None and not arguments.ood:
            raise UsageError(f"--{flag.replace('_', '-')} goes with --ood")
    sets: dict[str, str] = {}
    for text in arguments.ood or ():
        name, equals, given = text.partition("=")
        if not name or (equals and not given):
            raise UsageError(f"--ood expects NAME=DATASET, such as svhn=npz:svhn.npz, or a built-in set, got {text!r}")
        if name in sets:
            raise UsageError(f"--ood: two sets are named {name!r}: write NAME=DATASET with another name")
        sets[name] = given or name
    return sets


def _ood(arguments: argparse.Namespace, options: dict[str, Any]) -> Any:
    """The request for outliers, or None."""
    if not arguments.ood:
        return None
    from fairart.runs.outliers import OodRequest

    named = {"scores": arguments.ood_scores, "attack": arguments.ood_attack}
    options = {**options, **{key: value for key, value in named.items() if value is not None}}
    return OodRequest(sets=_ood_sets(arguments), options=options, data_root=arguments.data_root)


def _options(arguments: argparse.Namespace, attacks: list[str]) -> dict[str, dict[str, Any]]:
    options: dict[str, dict[str, Any]] = {}
    known = arguments.corruptions is None
    others = (*(("model", "dataset") if arguments.model is not None else ()), *(("ood",) if arguments.ood else ()))
    for text in arguments.settings:
        name, option, value = parse_setting(text, owner="NAME")
        # If corruptions are made, the name may be one of them; those names are checked later.
        if known and name not in attacks and name not in others:
            raise OptionError(
                f"--set {text}: {name!r} is not among the attacks, certificates and defences of this evaluation; "
                f"{did_you_mean(name, attacks)}"
            )
        options.setdefault(name, {})[option] = value
    return options


def _check_before_imports(arguments: argparse.Namespace, attacks: list[str]) -> None:
    from fairart.plugins import get_plugin_manager

    folders = [read_config(Path(run).expanduser()).plugins_dir for run in arguments.runs]
    manager = get_plugin_manager()
    if arguments.plugins_dir is not None:
        manager.load_folder(arguments.plugins_dir)
    for folder in dict.fromkeys(folders):
        if folder is not None and Path(folder).is_dir():
            manager.load_folder(folder)
    for name in attacks:
        manager.find("attack", name)
    for name in arguments.certificate:
        manager.find("certificate", name)
    for name in arguments.defence:
        manager.find("defence", name)
