"""The command ``fairart``: runs a subcommand, and turns errors into one line and an exit code.

Exit codes: 0 success; 2 wrong input (a flag, a name, a file); 1 an error while running; 130 Ctrl-C.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import traceback
import warnings
from collections.abc import Sequence

from fairart import __version__
from fairart.cli.output import print_warning
from fairart.cli.parser import Parser, UsageError
from fairart.did_you_mean import did_you_mean
from fairart.errors import PluginError
from fairart.escapes import terminal

__all__ = ["COMMANDS", "main"]

COMMANDS = {
    "demo": "train and compare three methods on real images, in a minute and a half and without a download",
    "train": "train a classifier by a method, into a folder",
    "evaluate": "attack a run, or any model and weight file, and show its accuracy class by class",
    "compare": "compare evaluated runs, with paired tests, as text, Markdown or LaTeX",
    "report": "make one self-contained HTML page of runs",
    "plot": "draw one figure of runs, as PNG, SVG or PDF",
    "benchmark": "run a grid of methods, data sets and seeds, into one table",
    "leaderboard": "make one page of finished benchmarks: every method, average and worst class",
    "tune": "search for settings on held-out training images, at an equal budget",
    "adjust": "change the last layer of a run that was trained on a long tail",
    "data": "look through a data set: counts, duplicates, ranges, suspected label errors",
    "corrupt": "write corrupted test images of a data set, in the layout of CIFAR-10-C",
    "export": "write a run as safetensors, hub folder, TorchScript or ONNX",
    "plugins": "list extension points and registered parts, or write a new plugin",
}
"""Every subcommand and what it does; the module ``fairart.cli.NAME`` has ``parser()`` and ``run(arguments)``."""

INTERRUPTED = 130


def _overview() -> Parser:
    lines = "\n".join(f"  {name:<11} {text}" for name, text in COMMANDS.items())
    parser = Parser(
        prog="fairart",
        usage="fairart [--version] [--help] COMMAND ...",
        description="Class-fair adversarial training on top of the Adversarial Robustness Toolbox.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"commands:\n{lines}\n\n'fairart COMMAND --help' shows the flags of a command.",
    )
    parser.add_argument("--version", action="version", version=f"fairart {__version__}")
    return parser


def _run(arguments: Sequence[str]) -> int:
    if not arguments:
        _overview().print_help()
        return 2
    command, *rest = arguments
    if command.startswith("-"):
        _overview().read([command])
    if command not in COMMANDS:
        raise UsageError(f"there is no command {command!r}; {did_you_mean(command, COMMANDS)}")
    module = importlib.import_module(f"fairart.cli.{command}")
    code: int = module.run(module.parser().read(rest))
    return code


def _run_to_the_end(arguments: Sequence[str]) -> int:
    try:
        code = _run(arguments)
    except SystemExit as error:  # --help and --version
        code = error.code if isinstance(error.code, int) else 0
    # Flushed here, not at shutdown: a closed pipe can be handled here.
    sys.stdout.flush()
    return code


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: the arguments after ``fairart``; by default those of the process.

    Returns:
        The exit code.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    with warnings.catch_warnings():
        # Our warnings are for users: one line, without the source line.
        warnings.showwarning = print_warning
        if not sys.warnoptions:
            warnings.simplefilter("default", UserWarning)
        try:
            return _run_to_the_end(arguments)
        except KeyboardInterrupt as error:
            print(f"fairart: interrupted{f'; {error}' if str(error) else ''}", file=sys.stderr)
            return INTERRUPTED
        except BrokenPipeError:
            # The reader of our output has closed it, as in `fairart plugins | head`.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        except Exception as error:
            return _report(error, as_json="--json" in arguments)


def _report(error: Exception, *, as_json: bool) -> int:
    if os.environ.get("FAIRART_DEBUG", "") not in ("", "0"):
        traceback.print_exception(error)
    detail = str(error)
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        detail = f"{error.filename}: {error.strerror}"
    given = isinstance(error, ValueError | TypeError | OSError | PluginError)
    if not detail or not (given or isinstance(error, RuntimeError)):
        detail = f"{type(error).__name__}: {detail} (FAIRART_DEBUG=1 shows where)"
    print(f"fairart: error: {terminal(detail)}", file=sys.stderr)
    code = 2 if given else 1
    if as_json:
        # A program that reads the output gets the reason in the form that it reads.
        print(json.dumps({"error": {"type": type(error).__name__, "message": detail, "exit_code": code}}, indent=2))
    return code
