"""Models: functions ``build(*, input_shape, nb_classes, **options) -> torch.nn.Module`` that give logits.

Each is registered by name and lives in a module of its own, imported when it is asked for. No registered model normalises its
input: mean and deviation belong to the ART classifier's ``preprocessing``, and there alone::

    from fairart import create

    model = create("model", "preact-resnet-18", input_shape=(3, 32, 32), nb_classes=10)

A model and a weight file of somebody else become a classifier by :func:`load_classifier`, several classifiers become one by
:class:`Ensemble`. The names are imported at first use: listing what is registered must not load torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fairart.models.classifier import load_classifier
    from fairart.models.ensemble import Ensemble
    from fairart.models.weights import load_weights

__all__ = ["Ensemble", "load_classifier", "load_weights"]

_MODULE_OF_NAME = {"Ensemble": "ensemble", "load_classifier": "classifier", "load_weights": "weights"}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF_NAME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF_NAME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
