"""``timm:NAME``: the models of timm (PyTorch Image Models)."""

from __future__ import annotations

from typing import Annotated, Any

from torch import nn

from fairart.did_you_mean import did_you_mean
from fairart.errors import UnknownNameError
from fairart.models._arguments import InputShape, NbClasses
from fairart.models.zoos.common import check_classes, downloading, imported
from fairart.plugins.options import Option

__all__ = ["timm_model"]


def timm_model(
    path: Annotated[str, Option("name of the model in timm, such as resnet18 or vit_tiny_patch16_224.augreg_in21k_ft_in1k")],
    *,
    input_shape: InputShape,
    nb_classes: NbClasses,
    pretrained: Annotated[bool, Option("load timm's weights; by default only if no weight file is given")] = True,
    img_size: Annotated[int | None, Option("side of the images that the model is built for; needed by some transformers")] = None,
) -> nn.Module:
    """A model of timm; needs ``pip install "fairart[timm]"``.

    Its input normalisation is the one that timm declares (``pretrained_cfg``).

    Args:
        path: name in timm, with or without the tag of its weights.
        input_shape: (C, H, W).
        nb_classes: K.
        pretrained: whether to load timm's weights.
        img_size: passed on if given.

    Raises:
        OptionError: timm is missing, or its weights are for another number of classes.
        UnknownNameError: no such model.
        WeightsError: the weights cannot be downloaded.
    """
    timm: Any = imported("timm", zoo="timm", extra="timm")
    name = f"timm:{path}"
    architecture, _, tag = path.partition(".")
    if not timm.is_model(architecture):
        raise UnknownNameError(f"there is no model {name!r}; {did_you_mean(architecture, timm.list_models())}")
    given: dict[str, Any] = {"in_chans": int(input_shape[0]), "num_classes": nb_classes}
    if img_size is not None:
        given["img_size"] = img_size
    if not pretrained:
        made: nn.Module = timm.create_model(path, pretrained=False, **given)
        return made
    config = timm.get_pretrained_cfg(path)
    if config is None or not (config.url or config.hf_hub_id or config.file):
        raise UnknownNameError(f"model {name!r}: timm has no weights {tag or 'of it'}; --weights FILE takes a local file")
    check_classes(name, config.num_classes, nb_classes)
    source = str(config.hf_hub_id or config.url or config.file)
    with downloading(name, missing=source, place="the cache of huggingface_hub and torch.hub"):
        made = timm.create_model(path, pretrained=True, **given)
    return made
