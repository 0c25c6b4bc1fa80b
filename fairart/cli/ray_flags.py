"""The flags of a Ray cluster."""

from __future__ import annotations

import argparse

from fairart.cli.parser import Parser, at_least
from fairart.runs.ray_connection import RayOptions

__all__ = ["add_ray_flags", "ray_options"]


def add_ray_flags(parser: Parser, *, what: str) -> None:
    """Flags that say which cluster, and what a piece of the work takes of it.

    Args:
        parser: to add them to.
        what: a piece is called.
    """
    parser.add_argument("--ray-address", metavar="ADDRESS", help="Ray cluster; default: RAY_ADDRESS, else one on this machine")
    parser.add_argument(
        "--ray-cpus", type=at_least(1), default=1, metavar="N", help=f"cores that a {what} takes on Ray (default: 1)"
    )
    parser.add_argument("--ray-gpus", type=_share, default=0.0, metavar="X", help=f"GPUs that a {what} takes on Ray (default: 0)")


def ray_options(arguments: argparse.Namespace) -> RayOptions:
    """What the flags say.

    Args:
        arguments: read by a parser with these flags.
    """
    return RayOptions(address=arguments.ray_address, num_cpus=arguments.ray_cpus, num_gpus=arguments.ray_gpus)


def _share(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"expects a number >= 0, got {text!r}")
    return number
