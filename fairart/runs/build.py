"""From a config to the things it names: data set, classifier, trainer."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch
from art.estimators.classification import PyTorchClassifier

from fairart.datasets import Dataset
from fairart.datasets.columns import Column, is_file, read_values, split_name
from fairart.datasets.extra_images import ExtraImages, read_extra_images
from fairart.datasets.imbalance import imbalanced_counts, is_file_of_counts
from fairart.datasets.label_noise import is_file_of_labels, noisy_labels
from fairart.datasets.leave_out import leave_out, left_out_images
from fairart.datasets.stored import Images
from fairart.datasets.validating import validating
from fairart.did_you_mean import did_you_mean
from fairart.engine.randomness import isolated_random_state
from fairart.errors import OptionError, PluginError
from fairart.execution import EXECUTION
from fairart.plugins import create, get_plugin_manager
from fairart.plugins.options import declared_options
from fairart.runs.config import OFF, PART_KINDS, RunConfig
from fairart.runs.optimising import build_optimizer
from fairart.statistics import Groups
from fairart.trainers.base import FairnessTrainer
from fairart.trainers.combinations import check_extra

__all__ = [
    "build_classifier",
    "build_dataset",
    "build_extra_data",
    "build_groups",
    "build_trainer",
    "load_dataset",
    "load_plugins",
    "resolved_config",
    "resolved_device",
    "trainer_class",
    "unseen_images",
    "with_label_noise",
]

Scaling = tuple[npt.NDArray[Any], npt.NDArray[Any]]

HANDED_OVER = (
    "eps",
    "eps_step",
    "max_iter",
    "norm",
    "hold_out",
    "on_overfitting",
    "loss_scale",
    "gradient_clipping",
    "gradient_accumulation_steps",
    "keep_best",
    "warm_start",
    *EXECUTION,
)
"""Fields of a config that are arguments of the trainer under the same name."""


def load_plugins(config: RunConfig, *, missing_ok: bool = False) -> None:
    """Load the config's folder of plugins.

    Args:
        config: the run.
        missing_ok: warn instead of raising if the folder does not exist.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    if config.plugins_dir is None:
        return
    try:
        get_plugin_manager().load_folder(config.plugins_dir)
    except FileNotFoundError as error:
        if not missing_ok:
            raise
        warnings.warn(str(error), UserWarning, stacklevel=2)


def resolved_device(device: str) -> str:
    """``"cpu"`` or ``"cuda"``.

    Args:
        device: ``"auto"`` uses CUDA if it is available.

    Raises:
        OptionError: CUDA is requested and not available.
    """
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise OptionError("device 'cuda': torch finds no CUDA device; use 'cpu' or 'auto'")
    return "cuda" if available and device != "cpu" else "cpu"


def load_dataset(name: str, *, data_root: str | None = None, options: Mapping[str, Any] | None = None) -> Dataset:
    """Load a registered data set, ``npz:PATH``, ``npy:FOLDER`` or ``folder:FOLDER``.

    Args:
        name: its name.
        data_root: folder of the data files.
        options: its further options.

    Raises:
        OptionError: an option that the data set does not have, or a bad value.
        DatasetError: files that do not form a data set.
        DownloadError: a public data set that could not be fetched.
        PluginError: a plugin returned something else.
    """
    if "data_root" in (options or {}):
        raise OptionError("dataset.data_root is an option of the run itself: set data_root (--data-root)")
    data = create("dataset", name, data_root=data_root, **(options or {}))
    if not isinstance(data, Dataset):
        raise PluginError(f"dataset {name!r} must give a fairart.datasets.Dataset, got {type(data).__qualname__}")
    return data


def build_dataset(config: RunConfig, *, groups: bool = False) -> Dataset:
    """Load the config's data set without the classes left out, cut down to ``per_class`` training images of each class and to
    its imbalance, with its noisy labels.

    With ``validation_share`` some training images take the place of the test images.

    Args:
        config: the run.
        groups: read the groups of its training images as well, for :func:`build_groups`; only training needs them.

    Raises:
        OptionError: an option that the data set does not have, or a bad value.
        DatasetError: files that do not form a data set, too few images, or a class to leave out that there is not.
        DownloadError: a public data set that could not be fetched.
    """
    data = _whole_dataset(config)
    if groups and config.groups is not None:
        # A file has a value for every training image: it is read before some are left out.
        data = _with_groups(config.groups, data)
    if config.leave_out is not None:
        data = leave_out(data, config.leave_out.split(","))
    if config.per_class is not None:
        data = data.subset(per_class=config.per_class, seed=config.seed)
    if config.validation_share is not None:
        # Before the imbalance: what is chosen on these images should do well on every class.
        data = validating(data, config.validation_share, seed=config.seed)
    if config.imbalance is not None:
        counts = imbalanced_counts(config.imbalance, data.training_counts, name=data.name)
        shown = f"imbalance {config.imbalance}: {', '.join(map(str, counts))} training images, seed {config.seed}"
        data = data.with_counts(counts, seed=config.seed, note=shown)
    return data if config.label_noise is None else with_label_noise(data, config.label_noise, seed=config.seed)


def with_label_noise(data: Dataset, noise: str, *, seed: int) -> Dataset:
    """A data set with noisy training labels; its note says how many.

    Args:
        data: the data set.
        noise: see :func:`fairart.datasets.label_noise.noisy_labels`.
        seed: of the noise.

    Raises:
        DatasetError: no such noise, or a file that does not fit.
    """
    labels = noisy_labels(noise, data.y_train, data.nb_classes, seed=seed, name=data.name)
    wrong = int((labels != data.y_train).sum())
    note = f"label noise {noise}: {wrong} of {len(labels)} training labels are wrong, seed {seed}"
    return data.with_labels(labels, note=note)


def _with_groups(given: str, data: Dataset) -> Dataset:
    try:
        _, values = read_values(given, data.columns, split="train", number=len(data.y_train))
    except ValueError as error:
        raise OptionError(str(error)) from error
    return dataclasses.replace(data, columns={**data.columns, given: Column(values, None)})


def build_groups(config: RunConfig, data: Dataset) -> Groups | None:
    """The groups of the config's training images; None where it names none.

    Args:
        config: the run.
        data: of ``build_dataset(config, groups=True)``.

    Raises:
        OptionError: values that make no groups.
    """
    if config.groups is None:
        return None
    values = data.columns[config.groups].train
    assert values is not None, "build_dataset() read them"
    try:
        return Groups.of(values, name=split_name(config.groups, "train"))
    except ValueError as error:
        raise OptionError(str(error)) from error


def unseen_images(config: RunConfig) -> Images | None:
    """Test images of the classes that the config leaves out; None if it leaves none out.

    With ``validation_share``, their training images: the test images stay unseen by what is chosen.

    Raises:
        OptionError, DatasetError, DownloadError: as :func:`build_dataset`.
    """
    if config.leave_out is None:
        return None
    split = "test" if config.validation_share is None else "train"
    return left_out_images(_whole_dataset(config), config.leave_out.split(","), split=split)


def _whole_dataset(config: RunConfig) -> Dataset:
    options = dict(config.options.get("dataset", {}))
    entry, _ = get_plugin_manager().find("dataset", config.dataset)
    declared = declared_options(entry.load())
    if config.test_share is not None:
        if "test_share" not in declared:
            raise OptionError(f"test_share: data set {config.dataset!r} already has a test split, so no share of it is drawn")
        options.setdefault("test_share", config.test_share)
    if config.skip_unreadable:
        if "skip_unreadable" not in declared:
            raise OptionError(f"skip_unreadable: data set {config.dataset!r} has no image files to pass over")
        options.setdefault("skip_unreadable", True)
    if "data_memory" in declared:
        options.setdefault("data_memory", config.data_memory)
    elif config.data_memory is not None:
        raise OptionError(f"data_memory: the images of data set {config.dataset!r} are always in memory")
    return load_dataset(config.dataset, data_root=config.data_root, options=options)


def build_extra_data(config: RunConfig, data: Dataset) -> tuple[Images, npt.NDArray[Any]] | None:
    """The config's extra training images and their labels; None where it names none.

    Args:
        config: the run.
        data: its data set.

    Raises:
        OptionError: the data set itself, or one of other images, or without training images.
        DatasetError: files that hold no images with labels, or classes that the data set does not have.
    """
    if config.extra_data is None:
        return None
    if config.extra_data == config.dataset:
        raise OptionError(
            f"extra_data: {config.extra_data} is the data set itself, so images that are held out of it would be trained on"
        )
    extra = _extra_images(config.extra_data, config.data_root, data)
    if not len(extra.x):
        raise OptionError(f"extra_data: {config.extra_data} has no training images")
    if extra.x.shape[1:] != data.input_shape:
        raise OptionError(f"extra_data: {data.name} has images {data.input_shape}, {config.extra_data} has {extra.x.shape[1:]}")
    return extra.x, extra.labels_for(data)


def _extra_images(name: str, data_root: str | None, data: Dataset) -> ExtraImages:
    kind, colon, path = name.partition(":")
    if colon and kind in ("npz", "folder"):
        return read_extra_images(kind, path, data_root=data_root, channels=data.input_shape[0])
    extra = load_dataset(name, data_root=data_root)
    return ExtraImages(name=name, x=extra.x_train, y=extra.y_train, classes=extra.classes)


def build_classifier(config: RunConfig, data: Dataset, *, device: str, scaling: Scaling | None = None) -> PyTorchClassifier:
    """The config's model as an ART classifier with its optimizer, for images in [0, 1].

    Args:
        config: the run; its seed draws the first weights, and global random states are left as they are.
        data: gives the input shape and the classes.
        device: ``"cpu"`` or ``"cuda"``.
        scaling: mean and standard deviation for the preprocessing; None computes them from the training images.

    Raises:
        OptionError: an option that the model does not have, or a bad value.
    """
    options = config.options.get("model", {})
    for name in sorted({"input_shape", "nb_classes"} & options.keys()):
        raise OptionError(f"model.{name} follows from the data set and cannot be set")
    with isolated_random_state(config.seed, torch.device("cpu")):
        model = create("model", config.model, input_shape=data.input_shape, nb_classes=data.nb_classes, **options)
    if not isinstance(model, torch.nn.Module):
        raise PluginError(f"model {config.model!r} must give a torch.nn.Module, got {type(model).__qualname__}")
    # Moved first: the optimizer must hold the parameters that are trained.
    model.to(device)
    optimizer = build_optimizer(config, model.parameters())
    return PyTorchClassifier(
        model=model,
        loss=torch.nn.CrossEntropyLoss(label_smoothing=config.label_smoothing),
        optimizer=optimizer,
        input_shape=data.input_shape,
        nb_classes=data.nb_classes,
        clip_values=(0.0, 1.0),
        preprocessing=data.mean_std() if scaling is None else scaling,
        device_type="gpu" if device == "cuda" else "cpu",
    )


def trainer_class(config: RunConfig) -> type[FairnessTrainer]:
    """The class behind the config's method.

    Raises:
        UnknownNameError: no such method.
        PluginError: a plugin registered something that is not a ``FairnessTrainer``.
    """
    entry, _ = get_plugin_manager().find("trainer", config.trainer)
    found = entry.load()
    if not (isinstance(found, type) and issubclass(found, FairnessTrainer)):
        raise PluginError(f"plugin {entry.plugin!r}: trainer {entry.name!r} must be a subclass of FairnessTrainer, got {found!r}")
    return found


def build_trainer(config: RunConfig, classifier: PyTorchClassifier, data: Dataset, *, fabric: Any = None) -> FairnessTrainer:
    """The config's method on a classifier.

    Raises:
        UnknownNameError: an unknown name.
        OptionError: an option that a part does not have, a bad value, or options of a part that the method does not have.
        ValueError: parts that do not go together, or not with extra data.
    """
    method = trainer_class(config)
    if method.one_process and config.devices > 1:
        raise OptionError(f"devices {config.devices}: {config.trainer} looks at whole batches and trains in one process")
    options = config.options.get("trainer", {})
    taken = {"classifier", "fabric", *PART_KINDS, *HANDED_OVER, "augmentation"}
    for name in sorted(taken & options.keys()):
        raise OptionError(f"trainer.{name} is an option of the run itself: set {name} (--{name.replace('_', '-')})")
    made: FairnessTrainer = create(
        "trainer",
        config.trainer,
        classifier=classifier,
        augmentation=config.augmentation or data.augmentation,
        fabric=fabric,
        **{name: getattr(config, name) for name in HANDED_OVER},
        **_parts(config, method),
        **options,
    )
    if config.extra_data is not None:
        check_extra(made.method)
    return made


def _parts(config: RunConfig, method: type[FairnessTrainer]) -> dict[str, Any]:
    known = declared_options(FairnessTrainer).keys() | declared_options(method).keys()
    parts: dict[str, Any] = {}
    for kind in PART_KINDS:
        name, options = getattr(config, kind), config.options.get(kind, {})
        if name is None and not options:
            continue
        if kind not in known:
            raise OptionError(f"method {config.trainer!r} has no {kind}; {did_you_mean(kind, known)}")
        parts[kind] = _part(kind, method._preset(kind) if name is None else name, options, config.trainer)
    return parts


def _part(kind: str, chosen: Any, options: Mapping[str, Any], trainer: str) -> Any:
    flag = f"--{kind.replace('_', '-')}"
    if chosen in (None, OFF):
        if options:
            raise OptionError(
                f"{kind}.{min(options)} is set, but there is no {kind} in this run of {trainer!r}: choose one ({flag} NAME)"
            )
        return None
    if not isinstance(chosen, str):
        raise OptionError(f"{kind}.{min(options)}: the {kind} of {trainer!r} takes no options; choose one by name ({flag} NAME)")
    return create(kind, chosen, **options)


def resolved_config(config: RunConfig, data: Dataset) -> RunConfig:
    """The complete configuration of a run: defaults of the method and the data set are written out, and paths are absolute.

    The parts of a method that builds them from its own options are left out: their names alone would not rebuild them.

    Args:
        config: the run.
        data: its data set.
    """
    method = trainer_class(config)
    said: dict[str, Any] = {"augmentation": config.augmentation or data.augmentation}
    own = method.default_part is not FairnessTrainer.default_part
    for kind in PART_KINDS:
        preset = method._preset(kind)
        if own and kind != "objective":
            continue
        if getattr(config, kind) is None and (preset is None or isinstance(preset, str)):
            said[kind] = preset or (OFF if kind != "objective" else None)
    return dataclasses.replace(config, **said, **_absolute_paths(config))


def _absolute_paths(config: RunConfig) -> dict[str, Any]:
    """Fields that are paths, or end in one, as they read from every folder."""
    said: dict[str, Any] = {}
    for name in ("data_root", "plugins_dir", "warm_start"):
        if getattr(config, name) is not None:
            said[name] = str(Path(getattr(config, name)).expanduser().absolute())
    for name in ("dataset", "extra_data"):
        prefix, colon, path = (getattr(config, name) or "").partition(":")
        if colon and Path(path).expanduser().exists():
            said[name] = f"{prefix}:{Path(path).expanduser().absolute()}"
    for name, names_a_file in (("imbalance", is_file_of_counts), ("label_noise", is_file_of_labels), ("groups", is_file)):
        if getattr(config, name) is not None and names_a_file(getattr(config, name)):
            said[name] = str(Path(getattr(config, name)).expanduser().absolute())
    return said
