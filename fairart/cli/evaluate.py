"""``fairart evaluate RUN``: attacks on the test images of a run."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from fairart.benchmark.folders import EVALUATION, read_config
from fairart.cli.output import print_json, print_table, share, stdout_kept_clean
from fairart.cli.parser import Parser, UsageError, add_common_flags, at_least
from fairart.config import parse_setting
from fairart.errors import OptionError, nearest

__all__ = ["parser", "run"]


def parser() -> Parser:
    """The flags of ``fairart evaluate``."""
    made = Parser(
        prog="fairart evaluate",
        usage="fairart evaluate RUN [--attack NAME ...] [flags]",
        description="Attack a run on its test images, class by class. The folder of the run gets evaluation.json.",
        epilog="Attacks are listed by 'fairart plugins --kind attack', the options of one by 'fairart plugins attack NAME'. "
        "eps and eps_step of an attack are those of the run unless set.",
    )
    made.add_argument("folder", metavar="RUN", nargs="?", help="folder of a run that 'fairart train' left")
    made.add_argument("--attack", metavar="NAME", action="append", help="may be given again (default: pgd)")
    made.add_argument(
        "--set",
        dest="settings",
        metavar="ATTACK.OPTION=VALUE",
        action="append",
        default=[],
        help="an option of an attack, such as pgd.max_iter=20; may be given again",
    )
    made.add_argument("--batch-size", type=at_least(1), default=512, metavar="N", help="images at a time (default: 512)")
    made.add_argument("--seed", type=at_least(0), default=0, metavar="N", help="of the attacks' random starts (default: 0)")
    made.add_argument("--limit", type=at_least(1), metavar="N", help="take N test images, drawn at random; by default all")
    made.add_argument("--device", choices=("auto", "cpu", "cuda"), help="where to compute; by default as in training")
    made.add_argument("--plugins-dir", metavar="FOLDER", help="folder of plugins (*.py) to load, besides the run's own")
    add_common_flags(made)
    return made


def run(arguments: argparse.Namespace) -> int:
    """Evaluate, and print the table of classes.

    Args:
        arguments: what :func:`parser` read.

    Raises:
        UsageError: no run.
    """
    if arguments.folder is None:
        raise UsageError("which run? Write 'fairart evaluate RUN', RUN being a folder that 'fairart train' left")
    attacks = arguments.attack or ["pgd"]
    options = _options(arguments.settings, attacks)
    _check_before_imports(arguments, attacks)

    from fairart.benchmark.run import evaluate_run

    try:
        with stdout_kept_clean(arguments.json):
            result = evaluate_run(
                arguments.folder,
                attacks,
                options=options,
                batch_size=arguments.batch_size,
                seed=arguments.seed,
                limit=arguments.limit,
                device=arguments.device,
                verbose=not arguments.quiet,
            )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"{EVALUATION} in {arguments.folder} is as it was before") from None
    if arguments.json:
        print_json(result.to_dict())
    elif not arguments.quiet:
        _show(result)
        print(f"\nwritten to {Path(arguments.folder) / EVALUATION}")
    return 0


def _options(settings: list[str], attacks: list[str]) -> dict[str, dict[str, Any]]:
    options: dict[str, dict[str, Any]] = {}
    for text in settings:
        attack, option, value = parse_setting(text, owner="ATTACK")
        if attack not in attacks:
            raise OptionError(f"--set {text}: {attack!r} is not among the attacks of this evaluation; {nearest(attack, attacks)}")
        options.setdefault(attack, {})[option] = value
    return options


def _check_before_imports(arguments: argparse.Namespace, attacks: list[str]) -> None:
    from fairart.plugins import get_plugin_manager

    config = read_config(Path(arguments.folder).expanduser())
    manager = get_plugin_manager()
    if arguments.plugins_dir is not None:
        manager.load_folder(arguments.plugins_dir)
    if config.plugins_dir is not None and Path(config.plugins_dir).is_dir():
        manager.load_folder(config.plugins_dir)
    for name in attacks:
        manager.find("attack", name)


def _show(result: Any) -> None:
    text: str = result.table()
    if not sys.stdout.isatty():
        print(text)
        return
    columns = list(result.values())
    if len(columns) > 2:
        columns.append(result.worst_case())
    names = result.class_names or [str(index) for index in range(result.nb_classes)]
    rows = [
        [name, str(int(columns[0].confusion.support[index])), *(_cell(column, index) for column in columns)]
        for index, name in enumerate(names)
    ]
    rows.append(["overall", str(len(result.labels)), *(share(column.accuracy) for column in columns)])
    rows.append(["worst class", "", *(f"{share(column.worst_class_accuracy())} {column.worst_class_name}" for column in columns)])
    print_table(["class", "n", *(column.label for column in columns)], rows)
    # What stands below the plain table: the unit, and the configuration of every attack.
    print(text.partition("\n\n")[2])


def _cell(column: Any, index: int) -> str:
    low, high = column.confidence_interval[index]
    return f"{share(float(column.class_accuracy[index]))} [{share(float(low))}, {share(float(high))}]"
