"""Rotations and translations through ART, the worst of a grid for each sample."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import torch
from art.attacks.evasion import SpatialTransformation
from art.estimators.classification import PyTorchClassifier
from torch import Tensor

from fairart.errors import OptionError
from fairart.evaluation.attacks.art_subject import FloatArray, Subject, run_art
from fairart.evaluation.attacks.preflight import preflight, require_images
from fairart.evaluation.attacks.target import AttackTarget
from fairart.plugins.options import Option

__all__ = ["grid_of_moves", "spatial_attack"]

Move = tuple[int, int, float]
"""Pixels down, pixels to the right, degrees."""


def _check(classifier: PyTorchClassifier, options: Mapping[str, Any]) -> dict[str, Any]:
    shape = require_images("spatial", classifier)
    moves = grid_of_moves(shape, **{key: options[key] for key in GRID})
    if not moves:
        raise OptionError("attack 'spatial' has nothing to try: its grid is but the image itself")
    down, right = (max(abs(move[axis]) for move in moves) for axis in (0, 1))
    return {
        "budget": f"rotations up to {options['max_rotation']:g} degrees with translations up to {down} x {right} pixels, "
        f"{len(moves)} in all; no eps"
    }


GRID = ("max_translation", "num_translations", "max_rotation", "num_rotations")


def grid_of_moves(
    shape: tuple[int, int, int], *, max_translation: float, num_translations: int, max_rotation: float, num_rotations: int
) -> list[Move]:
    """The moves of a grid, small ones first and without the one that does nothing.

    Args:
        shape: (C, H, W) of an input.
        max_translation: per cent of the side.
        num_translations: places on each axis.
        max_rotation: degrees.
        num_rotations: angles.
    """

    def steps(limit: float, number: int) -> list[float]:
        return [0.0] if number == 1 else list(np.linspace(-limit, limit, number))

    down, right = (
        sorted({round(step) for step in steps(round(side * max_translation / 100), num_translations)}) for side in shape[1:]
    )
    moves = set(itertools.product(down, right, steps(max_rotation, num_rotations))) - {(0, 0, 0.0)}
    return sorted(moves, key=lambda move: (move[0] ** 2 + move[1] ** 2 + move[2] ** 2, move))


@preflight(_check)
def spatial_attack(
    target: AttackTarget,
    x: Tensor,
    y: Tensor,
    *,
    generator: torch.Generator | None = None,
    max_translation: Annotated[float, Option("largest translation, in per cent of the side", low=0, high=100)] = 10.0,
    num_translations: Annotated[int, Option("places on each axis of the grid", low=1)] = 5,
    max_rotation: Annotated[float, Option("largest rotation, in degrees", low=0, high=180)] = 30.0,
    num_rotations: Annotated[int, Option("angles of the grid", low=1)] = 31,
) -> Tensor:
    """The worst rotation and translation of a grid for each sample, moved by ART (Engstrom et al., ICML 2019).

    There is no eps: the budget is the grid. ART itself looks for the one move that fools most samples of a batch, and takes
    the number of channels for the height; here the grid is gone through sample by sample, in pixels of the image.

    Args:
        target: what is attacked.
        x: (n, C, H, W) inputs in clip values.
        y: (n,) labels.
        generator: unused, nothing is drawn.
        max_translation: per cent of the side, 0..100.
        num_translations: places on each axis, >= 1; 1 for none but the middle.
        max_rotation: degrees, 0..180.
        num_rotations: angles, >= 1; 1 for 0 degrees alone.

    Returns:
        (n, C, H, W) moved inputs; where nothing fools the model, the one of the lowest margin.
    """
    moves = grid_of_moves(
        (x.shape[1], x.shape[2], x.shape[3]),
        max_translation=max_translation,
        num_translations=num_translations,
        max_rotation=max_rotation,
        num_rotations=num_rotations,
    )

    def attack(subject: Subject, images: FloatArray, labels: FloatArray) -> FloatArray:
        art_attack = SpatialTransformation(subject, verbose=False)
        best: FloatArray = images.copy()
        lowest = np.full(len(images), math.inf)
        for move in moves:
            standing = np.flatnonzero(lowest >= 0)
            if not len(standing):
                break
            # With these set, ART moves and does not search.
            art_attack.attack_trans_x, art_attack.attack_trans_y, art_attack.attack_rot = move
            moved = art_attack.generate(images[standing])
            logits = subject.predict(moved, batch_size=len(moved))
            own = labels[standing] > 0
            margin = logits[own] - np.where(own, -math.inf, logits).max(axis=1)
            better = margin < lowest[standing]
            best[standing[better]], lowest[standing[better]] = moved[better], margin[better]
        return best

    return run_art(target, x, y, attack)
