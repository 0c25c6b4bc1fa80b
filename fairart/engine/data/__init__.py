"""Training data: arrays and generators of the user, checked, and batches drawn from them."""

from __future__ import annotations

from fairart.engine.data.arrays import (
    check_inputs,
    check_labels,
    check_pair,
    name_class,
    stratified_split,
    uint8_divisor,
    warn_absent_classes,
)

__all__ = [
    "check_inputs",
    "check_labels",
    "check_pair",
    "name_class",
    "stratified_split",
    "uint8_divisor",
    "warn_absent_classes",
]
