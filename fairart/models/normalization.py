"""Mean and standard deviation of a foreign model's input: published constants, and a trial that tells which were used.

A model that is normalised with other numbers than in its training loses accuracy, clean and under attack, and nothing says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn

from fairart.errors import WeightsError

__all__ = [
    "CONSTANTS",
    "Normalization",
    "NormalizationTrial",
    "choose_normalization",
    "named_normalization",
    "parse_normalization",
]

TRIAL_IMAGES = (512, 4096)
"""Images that a trial uses; the larger number only if the smaller one gives no clear answer."""

CLEARLY = 3.0
"""Standard errors by which the best candidate must beat every other one."""

ALIKE = 0.002
"""Share of images on which two candidates may predict differently and still count as one: numbers that differ in rounding."""


@dataclass(frozen=True, kw_only=True)
class Normalization:
    """One way to normalise: ``(x - mean) / std`` for inputs in [0, 1].

    Args:
        label: what reports call it, such as ``"cifar10"``.
        mean: (C,) or (1,).
        std: likewise, > 0.
    """

    label: str
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __str__(self) -> str:
        return f"{self.label} (mean {_numbers(self.mean)}, std {_numbers(self.std)})"

    def fits(self, channels: int) -> bool:
        """Whether there is one number, or one for each channel."""
        return len(self.mean) in (1, channels) and len(self.std) in (1, channels)

    def __call__(self, x: Tensor) -> Tensor:
        """The normalised inputs, (N, C, ...)."""
        shape = (1, -1) + (1,) * (x.ndim - 2)
        mean, std = (torch.tensor(values, dtype=x.dtype, device=x.device).reshape(shape) for values in (self.mean, self.std))
        return (x - mean) / std


def _numbers(values: Sequence[float]) -> str:
    return " ".join(f"{value:.4g}" for value in values)


NONE = Normalization(label="none", mean=(0.0,), std=(1.0,))
HALF = Normalization(label="half", mean=(0.5,), std=(0.5,))
IMAGENET = Normalization(label="imagenet", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))

CONSTANTS: Mapping[str, tuple[Normalization, ...]] = MappingProxyType(
    {
        "cifar10": (
            Normalization(label="cifar10", mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2435, 0.2616)),
            # The mean over images of each image's own deviation; many repositories use it.
            Normalization(label="cifar10-per-image", mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.2010)),
            IMAGENET,
            Normalization(label="imagenet-225", mean=(0.485, 0.456, 0.406), std=(0.225, 0.225, 0.225)),
        ),
        "cifar100": (
            Normalization(label="cifar100", mean=(0.5071, 0.4867, 0.4408), std=(0.2675, 0.2565, 0.2761)),
            Normalization(label="cifar10", mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2435, 0.2616)),
            Normalization(label="cifar10-per-image", mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.2010)),
            IMAGENET,
        ),
        "mnist": (Normalization(label="mnist", mean=(0.1307,), std=(0.3081,)),),
        "fashion-mnist": (
            Normalization(label="fashion-mnist", mean=(0.2860,), std=(0.3530,)),
            Normalization(label="mnist", mean=(0.1307,), std=(0.3081,)),
        ),
        "svhn": (Normalization(label="svhn", mean=(0.4377, 0.4438, 0.4728), std=(0.1980, 0.2010, 0.1970)),),
        "imagenet": (IMAGENET,),
    }
)
"""Published constants by data set, the usual one first. Every data set's candidates also include none and half (0.5, 0.5)."""


def named_normalization(name: str, dataset: str | None, channels: int) -> Normalization:
    """The constants behind ``"none"``, ``"half"``, ``"dataset"`` or the name of one of :data:`CONSTANTS`.

    Args:
        name: what the user wrote.
        dataset: name of the data set, for ``"dataset"``.
        channels: C.

    Raises:
        WeightsError: no such constants, or for another number of channels.
    """
    known = {found.label: found for several in CONSTANTS.values() for found in several} | {"none": NONE, "half": HALF}
    if name == "dataset":
        several = CONSTANTS.get(_family(dataset))
        if several is None:
            listed = ", ".join(CONSTANTS)
            raise WeightsError(f"no published mean and std are known for data set {dataset!r} (known: {listed}); give MEAN:STD")
        found = several[0]
    elif name in known:
        found = known[name]
    else:
        raise WeightsError(
            f"normalization must be none, dataset, auto, MEAN:STD or one of {', '.join(sorted(known))}, got {name!r}"
        )
    if not found.fits(channels):
        raise WeightsError(f"normalization {found} is for {len(found.mean)} channels, the images have {channels}")
    return found


def _family(dataset: str | None) -> str:
    return (dataset or "").partition(":")[0].partition(" ")[0].lower()


def parse_normalization(text: str, dataset: str | None, channels: int) -> Normalization:
    """Read ``MEAN:STD`` with numbers separated by commas, ``"0.5:0.25"`` or ``"0.49,0.48,0.45:0.2,0.2,0.2"``, or a name.

    Args:
        text: what the user wrote.
        dataset: name of the data set, for ``"dataset"``.
        channels: C.

    Raises:
        WeightsError: neither.
    """
    left, colon, right = text.partition(":")
    if not colon:
        return named_normalization(text, dataset, channels)
    try:
        mean, std = (tuple(float(number) for number in part.split(",")) for part in (left, right))
    except ValueError as error:
        raise WeightsError(
            f"normalization MEAN:STD expects numbers, as in 0.49,0.48,0.45:0.25,0.24,0.26, got {text!r}"
        ) from error
    found = Normalization(label="given", mean=mean, std=std)
    if not found.fits(channels) or not all(math.isfinite(value) for value in (*mean, *std)) or min(std) <= 0:
        raise WeightsError(f"normalization {text!r}: expected one number or {channels} on each side of the colon, std > 0")
    return found


@dataclass(frozen=True, kw_only=True)
class NormalizationTrial:
    """What a trial of several normalisations found.

    Args:
        chosen: the one that is clearly right; None if none is.
        accuracies: label -> accuracy on the images tried.
        losses: label -> mean cross-entropy.
        images: how many were tried.
        reason: one sentence for a reader.
    """

    chosen: Normalization | None
    accuracies: Mapping[str, float]
    losses: Mapping[str, float]
    images: int
    reason: str


def candidates_for(dataset: str | None, channels: int, own: Normalization | None = None) -> list[Normalization]:
    """What a trial tries: none, half, the published constants of the data set, and the data's own numbers.

    Args:
        dataset: its name; with another one than those of :data:`CONSTANTS`, the constants of all of them are tried.
        channels: C.
        own: mean and deviation of these very images.
    """
    # Data in files of the user's own may be any of the published sets.
    published = CONSTANTS.get(_family(dataset)) or tuple(found for each in CONSTANTS.values() for found in each)
    several = [*published, *([IMAGENET] if channels == 3 else []), NONE, HALF, *([own] if own else [])]
    found: dict[tuple[tuple[float, ...], tuple[float, ...]], Normalization] = {}
    for candidate in several:
        if candidate.fits(channels):
            found.setdefault((candidate.mean, candidate.std), candidate)
    return list(found.values())


def choose_normalization(model: nn.Module, x: Tensor, y: Tensor, candidates: Sequence[Normalization]) -> NormalizationTrial:
    """Try each normalisation on labelled images, and take the best only if it is clearly better than all that predict otherwise.

    The best is the one of the lowest mean cross-entropy; it must beat each other candidate by three standard errors of the paired
    difference over the images. Candidates with the same predictions on nearly all images count as one.

    Args:
        model: gives logits (N, K); in eval mode.
        x: (N, C, H, W) in [0, 1], on the model's device; 512 of them, evenly spaced, are used, or 4096 if 512 are not enough for
            a clear choice.
        y: (N,) labels.
        candidates: at least one.

    Returns:
        The choice with its figures.
    """
    for most in TRIAL_IMAGES:
        # Spread over all images: many test splits are sorted by class, and their first images are one class.
        rows = torch.linspace(0, len(y) - 1, min(most, len(y)), device=y.device).round().long()
        trial = _tried(model, x[rows], y[rows], candidates)
        if trial.chosen is not None or most >= len(y):
            break
    return trial


def _tried(model: nn.Module, x: Tensor, y: Tensor, candidates: Sequence[Normalization]) -> NormalizationTrial:
    losses, right, guesses = {}, {}, {}
    with torch.no_grad():
        for candidate in candidates:
            logits = torch.cat([model(candidate(batch)) for batch in torch.split(x, 128)]).double()
            losses[candidate.label] = nn.functional.cross_entropy(logits, y, reduction="none").nan_to_num(nan=1e6, posinf=1e6)
            guesses[candidate.label] = logits.argmax(dim=1)
            right[candidate.label] = float((guesses[candidate.label] == y).double().mean())
    order = sorted(candidates, key=lambda candidate: float(losses[candidate.label].mean()))
    best = order[0]
    chance = 1 / max(2, int(logits.shape[1]))
    rivals = [
        other
        for other in order[1:]
        if float((guesses[other.label] != guesses[best.label]).double().mean()) > ALIKE
        and _lead(losses[other.label] - losses[best.label]) < CLEARLY
    ]
    by_chance = right[best.label] < chance + 3 * math.sqrt(chance * (1 - chance) / len(y))
    return NormalizationTrial(
        chosen=None if rivals or by_chance else best,
        accuracies=right,
        losses={label: float(values.mean()) for label, values in losses.items()},
        images=len(y),
        reason=_reason(best, rivals, right, len(y), by_chance=by_chance),
    )


def _lead(differences: Tensor) -> float:
    error = float(differences.std()) / math.sqrt(len(differences)) if len(differences) > 1 else math.inf
    lead = float(differences.mean())
    return lead / error if error > 0 else (math.inf if lead > 0 else 0.0)


def _reason(
    best: Normalization, rivals: Sequence[Normalization], right: Mapping[str, float], images: int, *, by_chance: bool
) -> str:
    tried = ", ".join(f"{label} {accuracy:.1%}" for label, accuracy in sorted(right.items(), key=lambda pair: -pair[1]))
    if by_chance:
        return (
            f"with every normalisation the model is near chance on {images} images ({tried}): another data set or class order, "
            "inputs of another range (0..255 or -1..1), or weights that were not trained"
        )
    if rivals:
        others = " or ".join(rival.label for rival in rivals)
        return f"{best.label} is not clearly better than {others} on {images} images ({tried}): name one"
    return f"normalization {best}, clearly the best of those tried on {images} images ({tried})"
