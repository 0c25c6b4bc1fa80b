"""Suspected label errors by confident learning, from probabilities of a classifier that has not seen the sample."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["LabelErrors", "confident_learning", "out_of_fold_probabilities"]

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

COMPONENTS, IMAGES_FOR_COMPONENTS = 64, 10_000


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelErrors:
    """Which labels look wrong.

    Args:
        suspected: (m,) rows, the most suspicious first: by the probability of the suggested class less that of the label.
        suggested: (m,) the class that each of them looks like.
        margins: (m,) that difference of probabilities.
        counts: (K, K) samples by label (rows) and by the class that they confidently look like (columns); off the diagonal those
            that are suspected.
        joint: (K, K) estimated shares of all samples by label (rows) and true class (columns); their sum is 1.
        agreement: share of the samples whose most probable class is their label. Where it is low, the classifier is weak or the
            labels are bad, and nothing tells which.
    """

    suspected: IntArray
    suggested: IntArray
    margins: FloatArray
    counts: IntArray
    joint: FloatArray
    agreement: float

    @property
    def noise(self) -> float:
        """Estimated share of wrong labels."""
        return float(1 - np.trace(self.joint))


def confident_learning(probabilities: FloatArray, labels: IntArray) -> LabelErrors:
    """Suspected label errors (Northcutt, Jiang, Chuang, JAIR 2021, Eqs. 1 to 3).

    A sample confidently looks like class k where its p_k is at least the mean p_k of the samples with label k; of several such
    classes the most probable one counts. Suspected are the samples that look like another class than their label.

    Args:
        probabilities: (n, K) of a classifier that was not trained on the sample (out of fold), rows with the sum 1.
        labels: (n,) in [0, K).

    Raises:
        ValueError: shapes that do not go together, no probabilities, or labels outside the classes.
    """
    p, y = np.asarray(probabilities, dtype=np.float64), np.asarray(labels)
    if p.ndim != 2 or y.shape != (len(p),) or not len(p):
        raise ValueError(f"probabilities must be (n, K) and labels (n,), n >= 1, got shapes {p.shape} and {y.shape}")
    if not (np.isfinite(p).all() and (p >= 0).all() and np.allclose(p.sum(axis=1), 1, atol=1e-3)):
        raise ValueError("probabilities must be rows of shares >= 0 with the sum 1")
    nb_classes = p.shape[1]
    if y.min() < 0 or y.max() >= nb_classes:
        raise ValueError(f"labels must lie in 0..{nb_classes - 1}, got {y.min()}..{y.max()}")
    sizes = np.bincount(y, minlength=nb_classes)
    sums = p[np.arange(len(y)), y]
    # No sample looks like a class that has no label: there is nothing to compare it with.
    thresholds = np.where(sizes > 0, np.bincount(y, weights=sums, minlength=nb_classes) / np.maximum(sizes, 1), np.inf)
    likely = np.where(p >= thresholds - 1e-12, p, -1.0)
    looks, sure = likely.argmax(axis=1), likely.max(axis=1) >= 0
    counts = np.bincount(y[sure] * nb_classes + looks[sure], minlength=nb_classes**2).reshape(nb_classes, nb_classes)
    rows = np.flatnonzero(sure & (looks != y))
    margins = p[rows, looks[rows]] - sums[rows]
    order = np.argsort(-margins, kind="stable")
    return LabelErrors(
        suspected=rows[order].astype(np.int64),
        suggested=looks[rows[order]].astype(np.int64),
        margins=margins[order],
        counts=counts.astype(np.int64),
        joint=_joint(counts.astype(np.float64), sizes),
        agreement=float((p.argmax(axis=1) == y).mean()),
    )


def _joint(counts: FloatArray, sizes: IntArray) -> FloatArray:
    """Rows scaled to the number of samples with each label, all of them to 1; a label that nothing looks like stays as it is."""
    rows = counts.sum(axis=1, keepdims=True)
    shares = np.where(rows > 0, counts / np.maximum(rows, 1), np.eye(len(counts)))
    joint: FloatArray = shares * sizes[:, None] / sizes.sum()
    return joint


def out_of_fold_probabilities(
    x: npt.NDArray[Any], labels: IntArray, nb_classes: int, *, folds: int = 5, neighbours: int = 25, seed: int = 0
) -> FloatArray:
    """Probabilities of each class by nearest neighbours among the samples of the other folds.

    On the first 64 principal components of the pixels; near neighbours count more. Good for small images that show one thing in
    one place, weak for photographs: there give probabilities of a network of your own to :func:`confident_learning`.

    Args:
        x: (n, C, H, W) uint8, or floating images in [0, 1].
        labels: (n,) in [0, K).
        nb_classes: K.
        folds: >= 2, stratified by label.
        neighbours: how many vote, >= 1.
        seed: of the folds.

    Returns:
        (n, K), rows with the sum 1.

    Raises:
        ValueError: fewer samples than folds.
    """
    from sklearn.model_selection import StratifiedKFold
    from sklearn.neighbors import KNeighborsClassifier

    if folds < 2 or len(x) < 2 * folds:
        raise ValueError(f"expected at least 2 folds and two samples a fold, got {folds} folds and {len(x)} samples")
    found = np.zeros((len(x), nb_classes))
    splits = StratifiedKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # A class with fewer samples than folds is absent from some fold; its samples still count where they are.
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        parts = list(splits.split(labels, labels)) if np.bincount(labels).max() >= folds else []
    if not parts:
        raise ValueError(f"no class has as many samples as there are folds, {folds}")
    places = _principal_components(x, seed)
    for kept, out in parts:
        model = KNeighborsClassifier(min(neighbours, len(kept)), weights="distance").fit(places[kept], labels[kept])
        found[np.ix_(out, model.classes_)] = model.predict_proba(places[out])
    return found


def _principal_components(x: npt.NDArray[Any], seed: int) -> npt.NDArray[np.float32]:
    """(n, d) places of the images along the largest principal components; labels play no part, so folds may share them."""
    from sklearn.decomposition import PCA

    def flat(rows: Any) -> npt.NDArray[np.float32]:
        values: npt.NDArray[np.float32] = x[rows].reshape(-1, x[0].size).astype(np.float32)
        values /= np.float32(255 if x.dtype == np.uint8 else 1)
        return values

    some = np.sort(np.random.default_rng(seed).permutation(len(x))[:IMAGES_FOR_COMPONENTS])
    model = PCA(min(COMPONENTS, x[0].size, len(some)), random_state=seed).fit(flat(some))
    step = 4096
    return np.concatenate([model.transform(flat(slice(first, first + step))) for first in range(0, len(x), step)])
