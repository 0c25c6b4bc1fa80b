"""What all zoos need: late imports, the error of a failed download, and the normalisation that a zoo declares."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from fairart.errors import OptionError, WeightsError

__all__ = ["NORMALIZATION", "check_classes", "declare_normalization", "downloading", "imported"]

NORMALIZATION = "fairart_normalization"
"""Attribute of a model: (label, mean, std) of the input that it expects, for inputs in [0, 1]."""


def imported(module: str, *, zoo: str, extra: str) -> Any:
    """Import a package that an extra of fairart installs.

    Args:
        module: name to import.
        zoo: what the error names.
        extra: the extra.

    Raises:
        OptionError: the package is missing or cannot be imported; the message says what to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise OptionError(
            f'models of {zoo} need the package {module.partition(".")[0]}: pip install "fairart[{extra}]" ({error})'
        ) from error


def declare_normalization(model: nn.Module, label: str, mean: Sequence[float], std: Sequence[float]) -> nn.Module:
    """Note on a model which normalisation its weights were trained with; (0,) and (1,) for none.

    Args:
        model: the model.
        label: its source, for reports.
        mean: (C,) or (1,).
        std: likewise.
    """
    setattr(model, NORMALIZATION, (label, tuple(map(float, mean)), tuple(map(float, std))))
    return model


@contextlib.contextmanager
def downloading(name: str, *, missing: str, place: str | Path) -> Iterator[None]:
    """Turn any failure of a download into one line.

    Args:
        name: the model as the user wrote it.
        missing: the file that is needed.
        place: where it is looked for.

    Raises:
        WeightsError: the download failed.
    """
    try:
        yield
    except WeightsError:
        raise
    except Exception as error:  # zoos raise errors of requests, urllib, gdown and huggingface_hub, and their own
        lines = " ".join(str(error).split())[:160] or "no reason given"
        raise WeightsError(
            f"model {name!r}: cannot download its weights, {missing}, which are not in {place} "
            f"({type(error).__name__}: {lines}); --weights FILE takes a local file"
        ) from error


def check_classes(name: str, found: int | None, nb_classes: int) -> None:
    """Check that pretrained weights are for the classes of the data.

    Args:
        name: the model as the user wrote it.
        found: classes of the pretrained weights; None if they are not known.
        nb_classes: classes of the data.

    Raises:
        OptionError: they differ.
    """
    if found is not None and found != nb_classes:
        raise OptionError(
            f"model {name!r}: its pretrained weights have {found} classes, the data have {nb_classes}; choose other data, or "
            "give weights for these classes (--weights FILE)"
        )
