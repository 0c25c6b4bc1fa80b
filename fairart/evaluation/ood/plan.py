"""From names and arrays to sets of outliers, checked before any work."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from art.estimators.classification import PyTorchClassifier

from fairart.datasets.stored import Images, StoredImages, select
from fairart.did_you_mean import did_you_mean
from fairart.engine.data import check_inputs, check_labels, uint8_divisor
from fairart.engine.data.arrays import as_array
from fairart.engine.network import Network
from fairart.errors import OptionError, UnknownNameError
from fairart.evaluation.attacks import AttackTarget
from fairart.evaluation.ood.features import FeatureTap, require_pytorch_ood
from fairart.evaluation.ood.settings import OodSettings
from fairart.evaluation.ood.sources import MADE, GivenOutliers, MadeOutliers, OutlierSource

__all__ = ["BUILT_IN", "OodPlan", "Outliers", "resolve_ood"]

IntArray = npt.NDArray[np.int64]
Outliers = Mapping[str, str | npt.ArrayLike]
"""Name of a set -> the name of a built-in one, or (m, *input_shape) images as the test images."""

BUILT_IN = {**{name: about for name, (about, _) in MADE.items()}, "digits": "digits of scikit-learn, brought to the image size"}
"""Built-in sets and what they are."""

COPIES = 0.01
"""Share of outliers that are test or training images, bit by bit, from which a set is refused."""

LOOKED_AT = 100_000
"""Training images that outliers are compared with at most. A set that is the training set is found among fewer as well."""

FOOLING_PER_CLASS = 100
"""Fooling inputs of each target class at most: each costs as much as an attack of 40 steps."""


@dataclass(frozen=True, eq=False)
class OodPlan:
    """What an evaluation with outliers does.

    Args:
        settings: scores and attacks.
        sets: name -> outliers.
        tap: reads the features, where a score needs them.
        fit: training images and labels, where a score needs them.
    """

    settings: OodSettings = field(default_factory=OodSettings)
    sets: Mapping[str, OutlierSource] = field(default_factory=dict)
    tap: FeatureTap | None = None
    fit: tuple[Images, IntArray] | None = None

    def work(self, number: int) -> int:
        """Samples to work on, for the progress bar.

        Args:
            number: of test images.
        """
        if not self.sets:
            return 0
        attacked = number + sum(source.rows for source in self.sets.values() if source.attackable)
        return number + sum(source.rows for source in self.sets.values()) + len(self.settings.attack) * attacked


def resolve_ood(
    ood: Outliers | None,
    settings: OodSettings | None,
    *,
    classifier: PyTorchClassifier,
    network: Network,
    x: Images,
    seed: int,
) -> OodPlan:
    """Check sets and settings, and find what each set is.

    Args:
        ood: see :data:`Outliers`; None for none.
        settings: scores and attacks; None for the defaults.
        classifier: the classifier.
        network: the same as a torch module.
        x: (n, *input_shape) the test images, checked.
        seed: of what is made, and of the choice of outliers.

    Raises:
        TypeError: no mapping, or settings of another type.
        UnknownNameError: no such built-in set.
        ValueError: images of another size or outside the clip values, or copies of test or training images.
        OptionError: settings without sets, or fitted scores without training images or on a model without features.
        ImportError: a fitted score is asked for, and pytorch-ood is not installed.
    """
    if ood is None or (isinstance(ood, Mapping) and not ood):
        if settings is not None:
            raise OptionError("ood: settings are given, but no set of outliers")
        return OodPlan()
    if not isinstance(ood, Mapping):
        raise TypeError(f"ood expects a mapping of names to sets of outliers, got {type(ood).__qualname__}")
    if settings is not None and not isinstance(settings, OodSettings):
        raise TypeError(f"ood_settings expects OodSettings, got {type(settings).__qualname__}")
    asked = OodSettings() if settings is None else settings
    if classifier.nb_classes < 2:
        raise OptionError("ood: scores need at least two classes")
    if asked.fitted and asked.fit is None:
        raise OptionError(f"ood: {' and '.join(asked.fitted)} must be fitted on training images, and there are none")
    if asked.fitted:
        require_pytorch_ood()
    fit = None if asked.fit is None else _checked_fit(asked.fit, classifier, most=None if asked.fitted else LOOKED_AT)
    target = AttackTarget(classifier, network)
    most = len(x) if asked.samples is None else asked.samples
    finder = _Finder(target, x, None if fit is None else fit[0], most, seed)
    sets = {name: finder.source(name, given) for name, given in ood.items()}
    tap = FeatureTap(network.module, classifier.nb_classes) if asked.fitted else None
    return OodPlan(asked, sets, tap, fit if asked.fitted else None)


def _checked_fit(fit: Any, classifier: PyTorchClassifier, *, most: int | None) -> tuple[Images, IntArray]:
    """Training images and labels; so many of them at most, drawn at random."""
    if not isinstance(fit, tuple) or len(fit) != 2:
        raise OptionError(f"ood: fit expects a pair of training images and labels, got {type(fit).__qualname__}")
    labels = check_labels(fit[1], classifier.nb_classes, name="ood: training labels")
    images: Images = fit[0] if isinstance(fit[0], StoredImages) else as_array(fit[0])
    if len(images) != len(labels):
        raise ValueError(f"ood: training images and labels must be of one length, got {len(images)} and {len(labels)}")
    if most is not None and len(labels) > most:
        chosen = np.sort(np.random.default_rng(0).permutation(len(labels))[:most])
        images, labels = select(images, chosen), labels[chosen]
    return check_inputs(images, classifier, name="ood: training images"), labels


@dataclass(frozen=True, eq=False)
class _Finder:
    """Finds what each set is.

    Args:
        target: the model.
        x: the test images.
        training: training images, or None.
        most: outliers of a set at most.
        seed: of the choice.
    """

    target: AttackTarget
    x: Images
    training: Images | None
    most: int
    seed: int

    def source(self, name: Any, given: Any) -> OutlierSource:
        if not isinstance(name, str) or not name:
            raise ValueError(f"ood: a set of outliers needs a name, got {name!r}")
        if isinstance(given, str):
            if given not in BUILT_IN:
                raise UnknownNameError(f"ood: there is no built-in set {given!r}; {did_you_mean(given, BUILT_IN)}")
            if given != "digits":
                return self.made(given)
            about, images = BUILT_IN[given], _digits(self.target)
        else:
            about, images = "given images", check_inputs(given, self.target.classifier, name=f"ood: {name}")
        self.check_no_copies(name, images)
        return GivenOutliers(self.target, select(images, self.chosen(len(images), self.most)), about)

    def made(self, kind: str) -> MadeOutliers:
        if self.target.network.clip_values is None:
            raise ValueError(f"ood: {kind} needs a classifier with clip_values, got None")
        if kind == "blurred" and self.x.ndim != 4:
            raise ValueError(f"ood: blurred needs images (n, C, H, W), got {self.x.shape}")
        most = min(self.most, FOOLING_PER_CLASS * self.target.classifier.nb_classes) if kind == "fooling" else self.most
        return MadeOutliers(self.target, kind, self.x, self.chosen(len(self.x), most), self.seed)

    def chosen(self, number: int, most: int) -> IntArray:
        return np.sort(np.random.default_rng(self.seed).permutation(number)[:most])

    @functools.cached_property
    def seen(self) -> set[int]:
        """What the test and training images hash to."""
        known = [self.x, *([] if self.training is None else [self.training])]
        return {hash(row) for array in known for row in _rows(array, self.target.classifier)}

    def check_no_copies(self, name: str, images: Images) -> None:
        copies = sum(hash(row) in self.seen for row in _rows(images, self.target.classifier))
        text = f"ood: {copies} of the {len(images)} images of {name!r} are test or training images of this evaluation, bit by bit"
        if copies >= max(1, COPIES * len(images)):
            raise ValueError(f"{text}: expected other images")
        if copies:
            warnings.warn(f"{text}; they count as outliers", UserWarning, stacklevel=6)


def _digits(target: AttackTarget) -> npt.NDArray[Any]:
    """The digits of scikit-learn at the size of the classifier's images, in its input units."""
    from fairart.datasets.digits import load_digits
    from fairart.evaluation.running.corrupted import to_input_units

    shape = tuple(target.classifier.input_shape)
    if len(shape) != 3 or target.network.clip_values is None:
        raise ValueError(f"ood: digits needs a classifier of images (C, H, W) with clip_values, got input shape {shape}")
    data = load_digits()
    small = torch.from_numpy(np.concatenate([data.x_train, data.x_test]))
    large = small
    if tuple(small.shape[2:]) != shape[1:]:
        large = torch.nn.functional.interpolate(small, shape[1:], mode="bilinear", align_corners=False)
    images = large.expand(-1, shape[0], -1, -1).to(target.network.device)
    found: npt.NDArray[Any] = to_input_units(images, target.network).float().cpu().numpy()
    return np.ascontiguousarray(found)


def _rows(array: Images, classifier: PyTorchClassifier) -> Iterator[bytes]:
    """The bytes of each image, in single precision and input units."""
    divisor = uint8_divisor(classifier) if array.dtype == np.uint8 else 1.0
    for row in array:
        yield (row.astype(np.float32) / np.float32(divisor)).tobytes()
