"""Evaluate a classifier class by class, on clean data and under attacks."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import art
import numpy as np
import numpy.typing as npt
import torch
from art.estimators.classification import PyTorchClassifier
from tqdm import tqdm

import fairart
from fairart.engine.data import check_inputs, check_labels
from fairart.engine.network import Network
from fairart.evaluation.attacks import AttackTarget
from fairart.evaluation.outcome import AttackResult
from fairart.evaluation.result import EvaluationResult
from fairart.evaluation.runner import Runner, Scores
from fairart.evaluation.specs import Attacks, AttackSpec, resolve_attacks

__all__ = ["evaluate"]

FAINT = 1e-3
"""An eps below this share of the range of the clip values, a quarter of one 8-bit level, is most likely in other units."""


def evaluate(
    classifier: PyTorchClassifier,
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    attacks: Attacks = ("pgd",),
    batch_size: int = 512,
    seed: int = 0,
    class_names: Sequence[str] | None = None,
    verbose: bool = True,
) -> EvaluationResult:
    """Evaluate any ART ``PyTorchClassifier``, trained here or not.

    The model is scored in eval mode on its logits (preprocessing included, ART's postprocessing left out). Only samples that
    are right on clean data are attacked; what comes back is projected onto eps and clip values and scored again. Modes and
    global random states are left as they were.

    Every sample draws from its own random stream, made of seed, attack and position in the data. So the same seed gives the
    same result, and another batch size changes it only as far as floating-point sums differ between batch sizes. Attacks of
    third parties that draw from ``generator`` or from global random states do depend on the batch size.

    Args:
        classifier: the classifier; its ``clip_values`` are obeyed, and eps is in units of its input.
        x: (n, *input_shape) samples in clip values, or uint8: divided by 255 for clip values (0, 1), as they are for
            (0, 255).
        y: (n,) labels, or (n, K) one-hot.
        attacks: registered names, (name, options) pairs, or label -> options. Two settings of one attack need labels:
            ``[("pgd", {"max_iter": 20}), ("pgd", {"label": "pgd-100", "max_iter": 100})]`` or
            ``{"pgd-20": {"attack": "pgd", "max_iter": 20}, ...}``. Clean data always comes first; none means clean only.
        batch_size: samples at a time, >= 1.
        seed: of all random starts, >= 0.
        class_names: K names for the tables, or None for numbers.
        verbose: show a progress bar on standard error, where that is a terminal.

    Returns:
        The outcome of every sample under ``"clean"`` and each attack's label.

    Raises:
        TypeError: no ``PyTorchClassifier``.
        ValueError: bad data, names, batch size or seed; options of an attack that it does not have.
        EvaluationError: an attack did nothing, or numbers that are not finite.
    """
    network = Network(classifier)
    labels = check_labels(y, classifier.nb_classes)
    images = check_inputs(x, classifier)
    if len(images) != len(labels):
        raise ValueError(f"x and y must be of one length, got {len(images)} samples and {len(labels)} labels")
    names = _check_names(class_names, classifier.nb_classes)
    _check_whole("batch_size", batch_size, 1)
    _check_whole("seed", seed, 0)
    specs = resolve_attacks(attacks)
    for spec in specs:
        _warn_if_faint(spec, classifier)
    with tqdm(total=(1 + len(specs)) * len(labels), unit="sample", disable=None if verbose else True) as bar:
        runner = Runner(AttackTarget(classifier, network), images, labels, batch_size, seed, bar.update)
        common: dict[str, Any] = {"labels": labels, "nb_classes": classifier.nb_classes, "class_names": names}
        bar.set_description("clean")
        clean = runner.clean()
        results = [AttackResult(label="clean", config={"attack": "none", "options": {}}, **_columns(clean), **common)]
        for spec in specs:
            bar.set_description(spec.label)
            scores, perturbation = runner.attack(spec, clean)
            results.append(
                AttackResult(label=spec.label, config=spec.config, perturbation=perturbation, **_columns(scores), **common)
            )
    return EvaluationResult(results, config=_config(classifier, network, len(labels), batch_size, seed), versions=_versions())


def _columns(scores: Scores) -> dict[str, Any]:
    return {"predictions": scores.predictions, "confidences": scores.confidences}


def _config(classifier: PyTorchClassifier, network: Network, number: int, batch_size: int, seed: int) -> dict[str, Any]:
    clip = classifier.clip_values
    return {
        "seed": seed,
        "batch_size": batch_size,
        "nb_samples": number,
        "device": network.device.type,
        "dtype": str(network.dtype).removeprefix("torch."),
        "clip_values": None if clip is None else [np.asarray(value).tolist() for value in clip],
    }


def _versions() -> dict[str, str]:
    return {"fairart": fairart.__version__, "torch": str(torch.__version__), "art": str(art.__version__)}


def _check_names(class_names: Sequence[str] | None, nb_classes: int) -> tuple[str, ...] | None:
    if class_names is None:
        return None
    names = () if isinstance(class_names, str) else tuple(class_names)
    if len(names) != nb_classes or not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
        raise ValueError(f"class_names must be {nb_classes} different names, got {class_names!r}")
    return names


def _check_whole(name: str, value: Any, low: int) -> None:
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < low:
        raise ValueError(f"{name} must be a whole number >= {low}, got {value!r}")


def _warn_if_faint(spec: AttackSpec, classifier: PyTorchClassifier) -> None:
    if classifier.clip_values is None:
        return
    low, high = (np.asarray(value, dtype=np.float64) for value in classifier.clip_values)
    span = float(np.max(high - low))
    if 0 < spec.eps < FAINT * span:
        warnings.warn(
            f"attack {spec.label!r}: eps {spec.eps:g} is next to nothing where inputs span {span:g}. It is in the "
            f"classifier's own input units: 8/255 of the range would be {span * 8 / 255:g} here",
            UserWarning,
            stacklevel=3,
        )
