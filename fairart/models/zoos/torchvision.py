"""``torchvision:NAME``: the classifiers of torchvision."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import torch
from torch import nn

from fairart.did_you_mean import did_you_mean
from fairart.errors import OptionError, UnknownNameError
from fairart.models._arguments import InputShape, NbClasses
from fairart.models.zoos.common import check_classes, declare_normalization, downloading, imported
from fairart.plugins.options import Option

__all__ = ["torchvision_model"]


def torchvision_model(
    path: Annotated[str, Option("name of the model in torchvision, such as resnet18")],
    *,
    input_shape: InputShape,
    nb_classes: NbClasses,
    pretrained: Annotated[bool, Option("load torchvision's weights; by default only if no weight file is given")] = True,
    weight_set: Annotated[str, Option("name of the pretrained weights, such as IMAGENET1K_V1")] = "DEFAULT",
) -> nn.Module:
    """A classifier of torchvision, for images of three channels.

    With pretrained weights, the input normalisation is the one of their transforms.

    Args:
        path: name in ``torchvision.models``.
        input_shape: (3, H, W).
        nb_classes: K.
        pretrained: whether to load torchvision's weights.
        weight_set: which of them.

    Raises:
        OptionError: another number of channels, or weights for another number of classes.
        UnknownNameError: no such model or weights.
        WeightsError: the weights cannot be downloaded.
    """
    models: Any = imported("torchvision.models", zoo="torchvision", extra="torchvision")
    name = f"torchvision:{path}"
    known = models.list_models(module=models)
    if path not in known:
        raise UnknownNameError(f"there is no model {name!r}; {did_you_mean(path, known)}")
    if int(input_shape[0]) != 3:
        raise OptionError(f"model {name!r} takes images of 3 channels, the data have {input_shape[0]}")
    if not pretrained:
        made: nn.Module = models.get_model(path, weights=None, num_classes=nb_classes)
        return made
    choices = models.get_model_weights(path)
    if weight_set not in choices.__members__:
        raise UnknownNameError(f"model {name!r} has no weights {weight_set!r}; {did_you_mean(weight_set, choices.__members__)}")
    chosen = choices[weight_set]
    check_classes(name, len(chosen.meta.get("categories", ())) or None, nb_classes)
    with downloading(name, missing=Path(chosen.url).name, place=Path(torch.hub.get_dir()) / "checkpoints"):
        made = models.get_model(path, weights=chosen)
    transforms = chosen.transforms()
    return declare_normalization(made, f"torchvision {chosen.name}", transforms.mean, transforms.std)
