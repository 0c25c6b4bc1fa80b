"""Reading the command line: argparse without abbreviations, with suggestions for misspelt flags and errors of one line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from fairart.did_you_mean import did_you_mean

__all__ = ["Parser", "UsageError", "add_common_flags", "at_least"]


class UsageError(ValueError):
    """The command line cannot be read."""


class Parser(argparse.ArgumentParser):
    """An argument parser that takes no abbreviations and raises :class:`UsageError` with suggestions."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_abbrev=False, **kwargs)

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage and exiting."""
        raise UsageError(f"{message}; see {self.prog} --help")

    def read(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Parse all arguments.

        Raises:
            UsageError: an unknown flag (similar ones are suggested), or anything else that cannot be read.
        """
        known = self._option_string_actions
        for argument in arguments:
            flag = argument.partition("=")[0]
            if argument == "--":
                break
            # Before anything else: a mistyped flag makes argparse complain about what follows it.
            number = flag[1:2].isdigit() or flag[1:2] == "."
            if flag.startswith("-") and len(flag) > 1 and not number and flag not in known:
                raise UsageError(f"unknown flag {flag}; {did_you_mean(flag, [name for name in known if name.startswith('--')])}")
        namespace, extra = self.parse_known_args(arguments)
        if extra:
            raise UsageError(f"unexpected argument {extra[0]!r}; see {self.prog} --help")
        return namespace


def at_least(low: int, *words: str) -> Any:
    """A type for argparse: a whole number not below ``low``, or one of some words."""

    def read(text: str) -> int | str:
        if text in words:
            return text
        try:
            number = int(text)
        except ValueError:
            number = low - 1
        if number < low:
            raise argparse.ArgumentTypeError(f"expects {' or '.join([f'a whole number >= {low}', *words])}, got {text!r}")
        return number

    return read


def add_common_flags(parser: argparse.ArgumentParser, *, quiet: bool = True) -> None:
    """Add what the commands share: ``--json``, and ``--quiet`` where there is progress to show."""
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else on standard output")
    if quiet:
        parser.add_argument(
            "--quiet", action="store_true", help="no progress and no tables; warnings and errors are still printed"
        )
