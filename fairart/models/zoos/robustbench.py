"""``robustbench:NAME``: the robust models of RobustBench, their weights read by fairart without running code in them."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from torch import nn

from fairart.did_you_mean import did_you_mean
from fairart.errors import OptionError, UnknownNameError, WeightsError
from fairart.models._arguments import InputShape, NbClasses
from fairart.models.weights import load_weights
from fairart.models.zoos.common import check_classes, declare_normalization, downloading, imported
from fairart.plugins.options import Option

__all__ = ["robustbench_model"]

CLASSES = {"cifar10": 10, "cifar100": 100, "imagenet": 1000}


def robustbench_model(
    path: Annotated[str, Option("such as Wong2020Fast, or THREAT/NAME with THREAT one of Linf, L2, corruptions")],
    *,
    input_shape: InputShape,
    nb_classes: NbClasses,
    pretrained: Annotated[bool, Option("load RobustBench's weights; by default only if no weight file is given")] = True,
    dataset: Annotated[str, Option("data set that the model was trained on: cifar10, cifar100 or imagenet")] = "cifar10",
    model_dir: Annotated[str, Option("folder of weights, laid out as RobustBench does: DATASET/THREAT/NAME.pt")] = "models",
) -> nn.Module:
    """A model of RobustBench; needs ``pip install "fairart[robustbench]"``.

    Its input is in [0, 1]: RobustBench's models normalise it themselves where they need to.

    Args:
        path: name on RobustBench's leaderboard, with the threat model in front unless that is Linf.
        input_shape: (C, H, W).
        nb_classes: K.
        pretrained: whether to load RobustBench's weights, downloaded if they are not in ``model_dir``.
        dataset: data set of the leaderboard.
        model_dir: folder of the weights.

    Raises:
        OptionError: the package is missing, an unknown data set, or another number of classes.
        UnknownNameError: no such model.
        WeightsError: the weights cannot be downloaded, or consist of several files.
    """
    with _importable():
        zoo: Any = imported("robustbench.model_zoo", zoo="RobustBench", extra="robustbench")
    name = f"robustbench:{path}"
    if dataset not in CLASSES:
        raise OptionError(f"model {name!r}: RobustBench has models of {', '.join(CLASSES)}; set model.dataset, got {dataset!r}")
    check_classes(name, CLASSES[dataset], nb_classes)
    threat, _, label = path.rpartition("/")
    threat = threat or "Linf"
    models = _models(zoo, dataset, threat, name)
    if label not in models:
        raise UnknownNameError(f"RobustBench has no model {label!r} of {dataset}, {threat}; {did_you_mean(label, models)}")
    entry = models[label]
    known_to_timm = f"{label.lower().replace('-', '_')}_{dataset}_{threat.lower()}"
    if entry.get("gdrive_id") is None:
        return _declared(_from_timm(known_to_timm, nb_classes, name, pretrained=pretrained))
    if pretrained and not isinstance(entry["gdrive_id"], str):
        raise WeightsError(f"model {name!r} is an ensemble of several weight files, which fairart does not load")
    made: nn.Module = entry["model"]()
    if pretrained:
        _load(made, entry["gdrive_id"], Path(model_dir).expanduser() / dataset / threat / f"{label}.pt", name)
    return _declared(made)


@contextlib.contextmanager
def _importable() -> Iterator[None]:
    """Let robustbench be imported: it imports ``autoattack``, which the package index has as ``pyautoattack`` only."""
    stand_in = importlib.util.find_spec("autoattack") is None and importlib.util.find_spec("pyautoattack") is not None
    if stand_in:
        sys.modules["autoattack"] = importlib.import_module("pyautoattack")
    try:
        yield
    finally:
        if stand_in:
            sys.modules.pop("autoattack", None)


def _models(zoo: Any, dataset: str, threat: str, name: str) -> dict[str, Any]:
    by_threat = next(models for found, models in zoo.model_dicts.items() if found.value == dataset)
    for found, models in by_threat.items():
        if found.value == threat:
            return dict(models)
    known = ", ".join(found.value for found in by_threat)
    raise UnknownNameError(f"model {name!r}: RobustBench has no threat model {threat!r} for {dataset}; known: {known}")


def _from_timm(timm_name: str, nb_classes: int, name: str, *, pretrained: bool) -> nn.Module:
    timm: Any = imported("timm", zoo="RobustBench", extra="robustbench")
    if not timm.is_model(timm_name):
        raise UnknownNameError(f"model {name!r}: RobustBench names no weights of it, and timm has no {timm_name}")
    with downloading(name, missing=timm_name, place="the cache of torch.hub"):
        made: nn.Module = timm.create_model(timm_name, num_classes=nb_classes, pretrained=pretrained)
    return made


def _load(model: nn.Module, gdrive_id: str, file: Path, name: str) -> None:
    if not file.is_file():
        gdown: Any = imported("gdown", zoo="RobustBench", extra="robustbench")
        temporary = file.with_name(f"{file.name}.{os.getpid()}.part")
        with downloading(name, missing=file.name, place=file.parent):
            file.parent.mkdir(parents=True, exist_ok=True)
            try:
                gdown.download(id=gdrive_id, output=str(temporary), quiet=True)
                temporary.replace(file)
            finally:
                temporary.unlink(missing_ok=True)
    # Two files hold a last and a best state; RobustBench's numbers are those of the last.
    key = "last" if "Kireev2021Effectiveness" in name or name.endswith("Andriushchenko2020Understanding") else None
    load_weights(model, file, key=key)


def _declared(model: nn.Module) -> nn.Module:
    return declare_normalization(model, "none, as for all models of RobustBench", (0.0,), (1.0,))
