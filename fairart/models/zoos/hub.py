"""``hf:OWNER/NAME``: models of the Hugging Face hub, and local folders of the same layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from torch import nn

from fairart.errors import OptionError, WeightsError
from fairart.models._arguments import InputShape, NbClasses
from fairart.models.building import build_model
from fairart.models.weights import load_weights
from fairart.models.zoos.common import check_classes, declare_normalization, downloading, imported
from fairart.plugins.options import Option

__all__ = ["hub_model"]

CONFIG = "config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.safetensors", "pytorch_model.bin")
"""File names of the weights, in the order in which they are looked for."""


def hub_model(
    path: Annotated[str, Option("OWNER/NAME on the hub, or a local folder with config.json and model.safetensors")],
    *,
    input_shape: InputShape,
    nb_classes: NbClasses,
    pretrained: Annotated[bool, Option("load the weights beside config.json; by default only if no weight file is given")] = True,
    revision: Annotated[str | None, Option("branch, tag or commit on the hub")] = None,
) -> nn.Module:
    """A model of the Hugging Face hub that fairart exported or that timm can build; needs ``pip install "fairart[hf]"``.

    Args:
        path: ``owner/name``, or a local folder.
        input_shape: (C, H, W).
        nb_classes: K.
        pretrained: whether to load the weights beside the configuration.
        revision: branch, tag or commit.

    Raises:
        OptionError: a missing package, another number of classes, or an architecture that neither fairart nor timm has.
        WeightsError: files that are missing, damaged, or cannot be downloaded.
    """
    name = f"hf:{path}"
    folder = _folder(path, revision, name)
    config = _config(folder, name)
    model, found = _built(config, input_shape, nb_classes, name)
    check_classes(name, found, nb_classes)
    if pretrained:
        file = next((folder / each for each in WEIGHTS if (folder / each).is_file()), None)
        if file is None:
            raise WeightsError(f"model {name!r}: {folder} has none of {', '.join(WEIGHTS)}")
        load_weights(model, file)
    pair = _normalization(config)
    return model if pair is None else declare_normalization(model, CONFIG, *pair)


def _folder(path: str, revision: str | None, name: str) -> Path:
    local = Path(path).expanduser()
    if local.is_dir():
        return local
    if path.startswith((".", "/", "~")) or path.count("/") != 1:
        raise WeightsError(f"model {name!r}: there is no folder {local}; expected a folder, or OWNER/NAME of the hub")
    hub: Any = imported("huggingface_hub", zoo="the Hugging Face hub", extra="hf")
    with downloading(name, missing=f"{CONFIG} and {WEIGHTS[0]}", place="the cache of huggingface_hub"):
        return Path(hub.snapshot_download(path, revision=revision, allow_patterns=[CONFIG, *WEIGHTS]))


def _config(folder: Path, name: str) -> dict[str, Any]:
    file = folder / CONFIG
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise WeightsError(f"model {name!r}: {folder} has no {CONFIG}") from error
    except (OSError, ValueError) as error:
        raise WeightsError(f"model {name!r}: {file} is damaged: {error}") from error
    if not isinstance(config, dict):
        raise WeightsError(f"model {name!r}: {file} is damaged: expected a mapping, got {type(config).__name__}")
    return config


def _built(config: dict[str, Any], input_shape: Any, nb_classes: int, name: str) -> tuple[nn.Module, int | None]:
    """The model with random weights, and the number of classes that the configuration names."""
    own = config.get("fairart")
    if isinstance(own, dict):
        found = int(own.get("nb_classes", nb_classes))
        shape = tuple(own.get("input_shape", input_shape))
        return build_model(str(own["model"]), input_shape=shape, nb_classes=found, options=own.get("model_options")), found
    architecture = config.get("architecture")
    timm: Any = imported("timm", zoo="the Hugging Face hub", extra="hf")
    if not isinstance(architecture, str) or not timm.is_model(architecture):
        raise OptionError(
            f"model {name!r}: its {CONFIG} names the architecture {architecture!r}, which neither fairart nor timm can build"
        )
    found = int(config.get("num_classes", nb_classes))
    arguments = dict(config.get("model_args") or {})
    return timm.create_model(architecture, num_classes=found, in_chans=int(input_shape[0]), **arguments), found


def _normalization(config: dict[str, Any]) -> tuple[list[float], list[float]] | None:
    """Mean and standard deviation of fairart's or timm's configuration."""
    for part in (config.get("fairart"), config.get("pretrained_cfg")):
        if isinstance(part, dict) and part.get("mean") is not None and part.get("std") is not None:
            return list(part["mean"]), list(part["std"])
    return None
