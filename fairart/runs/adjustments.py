"""What can be done to the last layer of a run after training, as ``NAME:NUMBER``. Imports nothing heavy."""

from __future__ import annotations

import math

from fairart.errors import OptionError
from fairart.plugins.options import parse_number

__all__ = ["ADJUSTMENTS", "parsed_adjustment"]

ADJUSTMENTS = ("tau-norm", "logit-adjustment", "crt")
"""Their names; :mod:`fairart.runs.adjusting` carries them out."""


def parsed_adjustment(adjustment: str) -> tuple[str, float]:
    """Name and number of ``NAME:NUMBER``.

    Args:
        adjustment: ``"tau-norm:0.7"``, ``"logit-adjustment:1"`` or ``"crt:EPOCHS"``.

    Raises:
        OptionError: another name, or a number out of range.
    """
    name, colon, text = adjustment.partition(":")
    if name not in ADJUSTMENTS or not colon:
        raise OptionError(f"adjustment expects {' or '.join(f'{known}:NUMBER' for known in ADJUSTMENTS)}, got {adjustment!r}")
    value = float(parse_number(text))
    whole = name != "crt" or (value.is_integer() and value >= 1)
    if not 0 <= value < math.inf or not whole:
        raise OptionError(f"adjustment {name} expects {'epochs, >= 1' if name == 'crt' else 'a number >= 0'}, got {text!r}")
    return name, value
