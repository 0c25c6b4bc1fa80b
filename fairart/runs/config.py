"""The settings of a training run. Each is declared once here; flags, keys of config files and their documentation follow from it.

Importing this module loads neither numpy, torch nor YAML.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal

from fairart.did_you_mean import did_you_mean
from fairart.errors import OptionError
from fairart.execution import (
    ChannelsLast,
    Compile,
    CudaGraphs,
    FoldBatchNorm,
    GradientAccumulation,
    GradientClipping,
    KeepBest,
    LossScale,
    OnOverfitting,
    PhaseGradients,
    Precision,
)
from fairart.files import write_text
from fairart.norms import DEFAULT_EPS, Norm, norm_name, norm_order
from fairart.plugins.hookspecs import METHOD_KINDS
from fairart.plugins.options import Declared, Option, check_value, declared_options
from fairart.plugins.written import read_parts, write_parts
from fairart.runs.adjustments import parsed_adjustment
from fairart.runs.model_settings import BY_MODEL, check_optimising, filled
from fairart.runs.recipes import with_recipe
from fairart.runs.yaml_file import read_yaml

__all__ = [
    "LOGGERS",
    "OFF",
    "OPTION_KINDS",
    "PART_KINDS",
    "RunConfig",
    "check_names",
    "parse_setting",
    "read_yaml",
]

PART_KINDS = METHOD_KINDS
"""The parts of a method that a run may choose."""

OPTION_KINDS = ("trainer", "dataset", "model", *PART_KINDS)
"""The kinds that ``options`` may set options of."""

OFF = "none"
"""The name that switches a part off."""

LOGGERS = ("csv", "tensorboard", "wandb")
"""Where the figures of each epoch can go."""

MILESTONES = (0.5, 0.75)

_XCIT = "xcit-s12"
_PART = "a registered name, or none to switch it off; by default the method's own"


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """All settings of a training run. Values are checked, and text such as ``"8/255"`` is read as a number.

    ``options`` holds the options of the method, the data set, the model and the parts:
    ``{"epsilon_scheduler": {"lambda1": 0.3}}``, or flat, ``{"epsilon_scheduler.lambda1": 0.3}``.

    ``recipe`` is followed by :meth:`from_mapping`, the only place that knows which values were given; made directly, a config has
    the defaults of this class.

    Raises:
        OptionError: a value of the wrong type or outside its range.
    """

    trainer: Annotated[str, Option("method to train with")]
    recipe: Annotated[
        str,
        Option(
            "settings that are not given: our defaults (none), or those of the method's publication", choices=("none", "paper")
        ),
    ] = "none"
    dataset: Annotated[str, Option("data set: a registered name, npz:PATH, npy:FOLDER, folder:FOLDER or wds:FOLDER")] = "digits"
    data_root: Annotated[str | None, Option("folder of the data files; by default FAIRART_DATA, else ~/.cache/fairart")] = None
    data_memory: Annotated[
        str | None,
        Option(
            "most memory for the images of npy:, folder: and wds:, such as 4GiB; more are read from disk batch by batch; by "
            "default half of what is free"
        ),
    ] = None
    skip_unreadable: Annotated[bool, Option("pass over images of folder: and wds: that cannot be read, count and list them")] = (
        False
    )
    test_share: Annotated[
        float | None,
        Option(
            "share of each class to test on, for a data set without a test split", low=0, low_open=True, high=1, high_open=True
        ),
    ] = None
    leave_out: Annotated[
        str | None,
        Option(
            "classes left out of training and test images, names with commas; fairart evaluate --ood unseen takes them as "
            "outliers; by default none"
        ),
    ] = None
    per_class: Annotated[int | None, Option("training images kept of each class; by default all", low=1)] = None
    validation_share: Annotated[
        float | None,
        Option(
            "share of each class of the training images to evaluate on in place of the test images, for choosing settings; by "
            "default none",
            low=0,
            low_open=True,
            high=1,
            high_open=True,
        ),
    ] = None
    imbalance: Annotated[
        str | None,
        Option("long-tailed training set: exp:100, step:10, or a file with the images kept of each class; none for all"),
    ] = None
    groups: Annotated[
        str | None,
        Option(
            "groups of the training images, for class weightings such as group-dro: a column of the data set, or a .npy or .csv "
            "file of one value a training image; by default none"
        ),
    ] = None
    label_noise: Annotated[
        str | None,
        Option(
            "wrong training labels: symmetric:0.2, pair:0.2, or a file with the label of every training image, or with K rows of "
            "K shares; none for no noise"
        ),
    ] = None
    extra_data: Annotated[
        str | None, Option("extra training images, generated or pseudo-labelled, such as npz:PATH; by default none")
    ] = None
    extra_share: Annotated[
        float, Option("share of every batch that comes from extra_data", low=0, low_open=True, high=1, high_open=True)
    ] = 0.7
    model: Annotated[str, Option("network to train")] = "small-cnn"
    warm_start: Annotated[
        str | None, Option("weights to start from: folder of a run, or a weight file in any layout; by default random ones")
    ] = None
    objective: Annotated[str | None, Option("the loss of a batch; by default the method's own")] = None
    target_sampler: Annotated[str | None, Option(f"target class of each adversarial example: {_PART}")] = None
    epsilon_scheduler: Annotated[str | None, Option(f"eps of each class: {_PART}")] = None
    class_weighting: Annotated[str | None, Option(f"weight of each class in the loss: {_PART}")] = None
    class_sampling: Annotated[str | None, Option(f"classes that a batch is drawn from: {_PART}")] = None
    classification_loss: Annotated[str | None, Option(f"loss in place of the cross-entropy: {_PART}")] = None
    weight_perturbation: Annotated[str | None, Option(f"perturbation of the weights during a step: {_PART}")] = None
    averaging: Annotated[str | None, Option(f"weight averaging: {_PART}")] = None
    norm: Norm = "inf"
    eps: Annotated[
        float | None, Option("budget for images in 0..1, such as 8/255; by default 8/255, with --norm 2 128/255", low=0)
    ] = None
    eps_step: Annotated[float | None, Option("step of the inner attack; by default a quarter of eps", low=0)] = None
    max_iter: Annotated[int, Option("steps of the inner attack", low=1)] = 10
    augmentation: Annotated[
        str | None,
        Option(
            "what is done to training images: none, or names in their order with options, such as crop-flip,mixup:alpha=0.4; the "
            "default depends on the data set"
        ),
    ] = None
    hold_out: Annotated[
        float, Option("share of each class kept for validation where a part needs it", low=0, low_open=True, high=0.5)
    ] = 0.02
    on_overfitting: OnOverfitting = "stop"
    keep_best: KeepBest = None
    checkpoint: Annotated[
        str,
        Option(
            "weights of the run: last, or best with keep_best, which are in the folder best otherwise", choices=("last", "best")
        ),
    ] = "last"
    loss_scale: LossScale = "published"
    epochs: Annotated[int, Option("passes over the training images", low=1)] = 20
    batch_size: Annotated[
        int | Literal["auto"], Option("images a batch, or auto: the most that fit into memory, found by trial", low=1)
    ] = 128
    optimizer: Annotated[str, Option(f"sgd or adamw (default: sgd, {_XCIT} adamw)", choices=("sgd", "adamw"))] = BY_MODEL
    lr: Annotated[
        float,
        Option(
            f"learning rate (default: 0.1 with sgd, 0.001 with adamw, {_XCIT} 0.0005 / 512 for each image of a batch)",
            low=0,
            low_open=True,
        ),
    ] = BY_MODEL
    schedule: Annotated[
        str,
        Option(
            "learning rate over the run: multistep, cosine (to 0), onecycle (up for half of the run, then to 0) or constant "
            f"(default: multistep, {_XCIT} cosine)",
            choices=("multistep", "cosine", "onecycle", "constant"),
        ),
    ] = BY_MODEL
    warmup_epochs: Annotated[
        float,
        Option(
            f"epochs in which the learning rate rises linearly; not with onecycle (default: 0, {_XCIT} 5)",
            low=0,
        ),
    ] = BY_MODEL
    gradient_clipping: GradientClipping = None
    gradient_accumulation_steps: GradientAccumulation = 1
    label_smoothing: Annotated[
        float, Option("share of each label that the training loss spreads over all classes", low=0, high=1, high_open=True)
    ] = 0.0
    momentum: Annotated[float | None, Option("momentum of sgd (default: 0.9)", low=0, high=1, high_open=True)] = None
    weight_decay: Annotated[float, Option(f"weight decay (default: 0.0005 with sgd, 0.01 with adamw, {_XCIT} 0.05)", low=0)] = (
        BY_MODEL
    )
    lr_milestones: Annotated[
        tuple[float, ...],
        Option("shares of the epochs after which multistep divides the learning rate by 10, such as 0.5,0.75", source="FAIR-TAT"),
    ] = MILESTONES
    adjustment: Annotated[
        str | None, Option("of the last layer after training: tau-norm:0.7, logit-adjustment:1 or crt:EPOCHS; by default none")
    ] = None
    seed: Annotated[int, Option("seed of all random numbers of the run", low=0)] = 0
    device: Annotated[str, Option("device: auto, cpu or cuda", choices=("auto", "cpu", "cuda"))] = "auto"
    devices: Annotated[
        int, Option("number of processes (one per device) that share every batch; needs Lightning Fabric", low=1)
    ] = 1
    checkpoint_every_minutes: Annotated[
        float | None, Option("minutes between two checkpoints, within epochs too; by default one after every epoch", low=0)
    ] = None
    logger: Annotated[
        tuple[str, ...], Option("loggers of the figures of each epoch, such as csv,tensorboard,wandb; none for no logger")
    ] = ("csv",)
    precision: Precision = "32-true"
    channels_last: ChannelsLast = None
    phase_gradients: PhaseGradients = None
    compile: Compile = False
    fold_batch_norm: FoldBatchNorm = False
    cuda_graphs: CudaGraphs = False
    plugins_dir: Annotated[str | None, Option("folder of plugins (*.py) to load")] = None
    options: Annotated[Mapping[str, Any], Option("an option of the method, the data set, the model or a part of the method")] = (
        field(default_factory=dict)
    )

    def __post_init__(self) -> None:
        given = filled({entry.name: getattr(self, entry.name) for entry in fields(self)})
        for name, value in check_values(given, where="RunConfig").items():
            object.__setattr__(self, name, value)
        if self.eps is None:
            object.__setattr__(self, "eps", DEFAULT_EPS[norm_order(self.norm) or math.inf])
        check_optimising(self, default_milestones=MILESTONES)
        if self.extra_data is None and self.extra_share != RunConfig.extra_share:
            raise OptionError("extra_share is of extra_data, which is not given: name the extra images, such as npz:PATH")
        if self.adjustment is not None:
            parsed_adjustment(self.adjustment)
        if self.checkpoint == "best" and self.keep_best is None:
            raise OptionError("checkpoint 'best' needs keep_best, average or worst-class: how the best epoch is chosen")

    @classmethod
    def declared(cls) -> dict[str, Declared]:
        """The declaration of every field, by name."""
        return declared_options(cls)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any], *, where: str = "config") -> RunConfig:
        """Make a config from plain values; with ``recipe`` those of a publication stand in for what is missing.

        Args:
            mapping: field -> value.
            where: name of the source in error messages, such as the file's name.

        Raises:
            OptionError: an unknown key (similar ones are suggested), a bad value, no trainer, or a recipe that does not fit.
        """
        checked = with_recipe(check_values(mapping, where=where), where=where)
        if "trainer" not in checked:
            raise OptionError(f"{where} needs 'trainer', the method to train with")
        return cls(**checked)

    def to_dict(self) -> dict[str, Any]:
        """Every field as plain values for YAML and JSON; :meth:`from_mapping` reads them."""
        plain = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        plain["lr_milestones"], plain["logger"] = list(self.lr_milestones), list(self.logger)
        plain["options"] = {kind: dict(options) for kind, options in self.options.items()}
        return plain

    @classmethod
    def load(cls, path: str | Path) -> RunConfig:
        """Read a YAML file.

        Raises:
            FileNotFoundError: the file does not exist.
            OptionError: not a YAML mapping, an unknown key or a bad value; the message names the file.
        """
        return cls.from_mapping(read_yaml(path), where=str(path))

    def save(self, path: str | Path) -> Path:
        """Write every field as YAML, through a temporary file.

        Args:
            path: file; its folder must exist.

        Returns:
            The path.
        """
        import yaml

        return write_text(Path(path), yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True))


def check_values(values: Mapping[str, Any], *, where: str, flags: bool = False) -> dict[str, Any]:
    """Check some fields of a :class:`RunConfig`.

    Args:
        values: field -> value.
        where: name of the source in error messages.
        flags: name fields by their flags in errors, ``--eps-step`` for ``eps_step``.

    Raises:
        OptionError: an unknown key (similar ones are suggested) or a bad value.
    """
    declared = RunConfig.declared()
    checked: dict[str, Any] = {}
    for name, value in values.items():
        if name not in declared:
            raise OptionError(f"{where} has no option {name!r}; {did_you_mean(str(name), declared)}")
        spec = declared[name]
        label = f"--{name.replace('_', '-')}" if flags else name
        shown = Declared(label, spec.type, spec.default, spec.option)
        read = _SPECIAL.get(name)
        if read is not None:
            value = read(value, f"{where}: {label}")
        elif value == OFF and name in (
            "per_class",
            "validation_share",
            "imbalance",
            "groups",
            "label_noise",
            "extra_data",
            "adjustment",
            "keep_best",
            "checkpoint_every_minutes",
            "gradient_clipping",
        ):
            value = None
        checked[name] = check_value(value, shown, where=where)
    return checked


def _milestones(value: Any, label: str) -> tuple[float, ...]:
    if isinstance(value, str):
        value = [] if value.strip() in ("", OFF) else value.split(",")
    elif isinstance(value, int | float):
        value = [value]
    if not isinstance(value, list | tuple):
        raise OptionError(f"{label} expects shares of the epochs, such as 0.5,0.75, got {value!r}")
    spec = Declared("each share", float, None, Option("", low=0, high=1, low_open=True))
    return tuple(float(check_value(item, spec, where=label)) for item in value)


def _options(value: Any, label: str) -> dict[str, dict[str, Any]]:
    if not isinstance(value, Mapping):
        raise OptionError(f"{label} expects a mapping such as {{epsilon_scheduler: {{lambda1: 0.3}}}}, got {value!r}")
    nested: dict[str, dict[str, Any]] = {}
    for key, entry in value.items():
        kind, dot, option = str(key).partition(".")
        kind = kind.replace("-", "_")
        if kind == "augmentation":
            raise OptionError(
                f"{label}: options of augmentations stand behind their names, such as augmentation: mixup:alpha=0.4"
            )
        if kind not in OPTION_KINDS:
            raise OptionError(f"{label}: there is no kind {kind!r} to set options of; {did_you_mean(kind, OPTION_KINDS)}")
        given = {option: entry} if dot else entry
        if not isinstance(given, Mapping) or not all(isinstance(name, str) and name for name in given):
            raise OptionError(f"{label}: {kind} expects option names with values, got {entry!r}")
        nested.setdefault(kind, {}).update(given)
    return {kind: given for kind, given in nested.items() if given}


def _loggers(value: Any, label: str) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [] if value.strip() in ("", OFF) else value.split(",")
    if not isinstance(value, list | tuple) or not all(isinstance(name, str) for name in value):
        raise OptionError(f"{label} expects names such as csv,tensorboard, got {value!r}")
    names = [name.strip() for name in value]
    for name in names:
        if name not in LOGGERS:
            raise OptionError(f"{label}: there is no logger {name!r}; {did_you_mean(name, LOGGERS)}")
    return tuple(dict.fromkeys(names))


def _leave_out(value: Any, label: str) -> str | None:
    words = value if isinstance(value, list | tuple) else str(value).split(",")
    if value is None or not all(isinstance(word, str | int) and str(word).strip() for word in words):
        if value in (None, "", [], ()):
            return None
        raise OptionError(f"{label} expects names of classes such as ship,truck, got {value!r}")
    # Names of classes may be numbers, which YAML reads as such.
    names = dict.fromkeys(str(word).strip() for word in words)
    return None if list(names) == [OFF] else ",".join(names)


def _norm(value: Any, label: str) -> Any:
    # A flag's 2 is text; what is no norm is refused by the declaration.
    order = norm_order(value)
    return value if order is None else norm_name(order)


def _memory(value: Any, label: str) -> Any:
    # A number of a config file is an amount in bytes.
    if value == OFF:
        return None
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _augmentation(value: Any, label: str) -> str | None:
    if value is None:
        return None
    parts = read_parts(value, label=label)
    if len(parts) > 1 and any(part.name == OFF for part in parts):
        raise OptionError(f"{label}: {OFF!r} stands for no augmentation at all, so nothing goes with it, got {value!r}")
    # One form, whether it came as text or as a list: a run's configuration is compared with it.
    return write_parts(parts) or OFF


_SPECIAL = {
    "augmentation": _augmentation,
    "norm": _norm,
    "data_memory": _memory,
    "leave_out": _leave_out,
    "logger": _loggers,
    "lr_milestones": _milestones,
    "options": _options,
}
"""Fields whose form cannot be declared as a type and a range."""


def parse_setting(text: str, *, owner: str = "KIND") -> tuple[str, str, Any]:
    """Read ``KIND.OPTION=VALUE``; the value is read as YAML reads it.

    Args:
        text: what the user wrote.
        owner: name of the first part in error messages.

    Returns:
        Kind, option and value.

    Raises:
        OptionError: the text has another form.
    """
    import yaml

    key, equals, written = text.partition("=")
    kind, dot, option = key.strip().partition(".")
    if not (equals and dot and kind and option):
        raise OptionError(f"--set expects {owner}.OPTION=VALUE, got {text!r}")
    try:
        return kind, option.replace("-", "_"), yaml.safe_load(written)
    except yaml.YAMLError as error:
        raise OptionError(f"--set {key}: {written!r} is not valid YAML: put it in quotes") from error


def check_names(config: RunConfig) -> None:
    """Check that every name of a config is registered, without importing anything it refers to.

    Args:
        config: the run; its plugins must be loaded.

    Raises:
        UnknownNameError: an unknown name; the message suggests similar ones.
        OptionError: the objective is switched off.
    """
    from fairart.plugins import get_plugin_manager

    manager = get_plugin_manager()
    for kind in ("trainer", "dataset", "model"):
        manager.find(kind, getattr(config, kind))
    if config.objective == OFF:
        raise OptionError("a method needs an objective; to train on clean images use 'standard'")
    for kind in PART_KINDS:
        name = getattr(config, kind)
        if name not in (None, OFF):
            manager.find(kind, name)
    for part in read_parts(config.augmentation or OFF, label="augmentation"):
        if part.name != OFF:
            manager.find("augmentation", part.name)
