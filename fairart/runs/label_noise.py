"""The file of a run that says which training labels were wrong, and which of them the network has learnt."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from art.estimators.classification import PyTorchClassifier

from fairart import packed
from fairart.datasets import Dataset
from fairart.engine.network import Network, predicted
from fairart.files import write_text
from fairart.runs.config import RunConfig
from fairart.runs.folders import LABEL_NOISE, RunError
from fairart.statistics import learnt_labels

__all__ = ["predicted_classes", "read_label_noise", "summary", "write_label_noise"]

FORMAT, FORMAT_VERSION = "fairart.label_noise", 1

IMAGES_AT_ONCE = 1024

IntArray = npt.NDArray[np.int64]


def predicted_classes(classifier: PyTorchClassifier, data: Dataset) -> IntArray:
    """(N,) classes that a classifier predicts on the training images as they are, without augmentation or attack.

    Args:
        classifier: for images in [0, 1].
        data: gives the images.
    """
    network = Network(classifier)
    parts = []
    for first in range(0, len(data.x_train), IMAGES_AT_ONCE):
        images = data.x_train[first : first + IMAGES_AT_ONCE]
        if images.dtype == np.uint8:
            images = images.astype(np.float32) / np.float32(255)
        parts.append(predicted(network, images, IMAGES_AT_ONCE).argmax(axis=1))
    return np.concatenate(parts).astype(np.int64)


def write_label_noise(
    folder: Path,
    config: RunConfig,
    data: Dataset,
    *,
    classifier: PyTorchClassifier | None = None,
    held_out: IntArray | None = None,
) -> Path | None:
    """Write ``label_noise.json``; nothing where the data set has no noise.

    Args:
        folder: of the run.
        config: the run.
        data: its data set with the noise.
        classifier: the trained classifier, asked for its predictions on the training images; None before the end of training.
        held_out: rows that were kept for validation and not trained on; None for none. They are not counted.

    Returns:
        The path, or None.
    """
    if data.y_train_original is None:
        return None
    rows = data.noisy
    out = np.zeros(0, dtype=np.int64) if held_out is None else held_out
    document: dict[str, Any] = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "noise": config.label_noise,
        "seed": config.seed,
        "training_images": len(data.y_train),
        "classes": list(data.classes),
        "indices": rows.tolist(),
        "original": data.y_train_original[rows].tolist(),
        "given": data.y_train[rows].tolist(),
        "held_out": np.sort(out).tolist(),
        "predictions": None,
        "by_class": None,
        "learnt": None,
    }
    if classifier is not None:
        predictions = predicted_classes(classifier, data)
        trained = np.setdiff1d(np.arange(len(data.y_train)), out)
        counts = learnt_labels(data.y_train_original[trained], data.y_train[trained], predictions[trained], data.nb_classes)
        document.update(
            predictions=predictions[rows].tolist(), by_class=counts.by_class(data.classes), learnt=counts.learnt.tolist()
        )
    return write_text(folder / LABEL_NOISE, json.dumps(document) + "\n")


def read_label_noise(folder: Path) -> dict[str, Any] | None:
    """Read what :func:`write_label_noise` left; None where there is no such file.

    Args:
        folder: of the run.

    Raises:
        RunError: the file is damaged or foreign.
    """
    path = folder / LABEL_NOISE
    if not packed.is_file(path):
        return None
    try:
        document = json.loads(packed.read_bytes(path).decode("utf-8"))
    except ValueError as error:
        raise RunError(f"{path} is damaged: it is not JSON ({error})") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT or document.get("format_version") != FORMAT_VERSION:
        raise RunError(f'{path} holds no label noise: expected "format": "{FORMAT}" in version {FORMAT_VERSION}')
    keys = ("noise", "indices", "held_out", "by_class")
    if any(key not in document for key in keys):
        raise RunError(f"{path} is damaged: expected the keys {', '.join(keys)}")
    return document


def summary(document: dict[str, Any] | None) -> dict[str, Any] | None:
    """What goes into other files of the run: the noise, how many labels are wrong, and which were learnt by class.

    Args:
        document: what :func:`read_label_noise` gave.
    """
    if document is None:
        return None
    return {"noise": document["noise"], "noisy": len(document["indices"]), "by_class": document["by_class"]}
