"""``fairart export RUN``: a run as safetensors, hub folder, TorchScript or ONNX."""

from __future__ import annotations

import argparse

from fairart.cli.output import print_json, stdout_kept_clean
from fairart.cli.parser import Parser, UsageError, add_common_flags
from fairart.did_you_mean import did_you_mean

__all__ = ["parser", "run"]

FORMATS = {
    "safetensors": "weights with classes and normalisation; fairart reads them again",
    "hub-folder": "weights, config.json and model card, as model hubs read them; fairart reads it again as hf:FOLDER",
    "torchscript": "a program of images in [0, 1], for torch.jit.load",
    "onnx": "a program of images in [0, 1], for ONNX runtimes",
}


def parser() -> Parser:
    """The flags of ``fairart export``."""
    lines = "\n".join(f"  {name:<12} {text}" for name, text in FORMATS.items())
    made = Parser(
        prog="fairart export",
        usage="fairart export RUN --format FORMAT --output PATH [flags]",
        description="Write a trained run in a format for other programs.",
        epilog=f"formats:\n{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("run", metavar="RUN", nargs="?", help="folder of a run, written by 'fairart train'")
    made.add_argument("--format", metavar="FORMAT", help=", ".join(FORMATS))
    made.add_argument("--output", metavar="PATH", help="file, or folder for hub-folder")
    made.add_argument("--overwrite", action="store_true", help="replace what is there")
    add_common_flags(made)
    return made


def run(arguments: argparse.Namespace) -> int:
    """Write the export.

    Args:
        arguments: what :func:`parser` read.

    Raises:
        UsageError: no run, format or output, or an unknown format.
        FileExistsError: the output exists.
    """
    if arguments.run is None:
        raise UsageError("no run given: write 'fairart export RUN --format FORMAT --output PATH'")
    if arguments.format is None:
        raise UsageError(f"no format given: add --format with one of {', '.join(FORMATS)}")
    if arguments.format not in FORMATS:
        raise UsageError(f"there is no format {arguments.format!r}; {did_you_mean(arguments.format, FORMATS)}")
    if arguments.output is None:
        raise UsageError("no output given: add --output PATH")

    with stdout_kept_clean(arguments.json):
        from fairart.runs.export import export_run

        files = export_run(arguments.run, arguments.format, arguments.output, overwrite=arguments.overwrite)
    if arguments.json:
        print_json({"format": arguments.format, "files": [str(path) for path in files]})
    elif not arguments.quiet:
        for path in files:
            print(f"written to {path}")
    return 0
