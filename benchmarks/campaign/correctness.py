"""Stage a: the same figures on CUDA as on the CPU, and from every way to compute."""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from art.estimators.classification import PyTorchClassifier
from torch import Tensor, nn

from campaign.running import Campaign, Part, Result
from fairart import create, registered
from fairart.corruptions import MadeCorruptions
from fairart.engine import Checkpointing
from fairart.engine.loop import Engine
from fairart.runs.devices import FABRIC

__all__ = ["parts"]

SHAPE, CLASSES, BATCH = (3, 16, 16), 5, 40
CLOSE = 0.02
"""Largest relative difference of a weight update. A sign that flips at a gradient near zero moves a pixel by two steps."""
WAYS: dict[str, dict[str, Any]] = {
    "channels_last": {"channels_last": True},
    "fold_batch_norm": {"fold_batch_norm": True},
    "bf16": {"precision": "bf16-mixed"},
    "compile": {"compile": True},
    "cuda_graphs": {"cuda_graphs": True},
}
IMPRECISE = {"bf16": 0.2}
"""bfloat16 keeps eight bits; on a CPU the update of this step differs by 0.02."""


def parts(campaign: Campaign) -> Sequence[Part]:
    """One part a question."""
    made = [
        Part("methods", 20, lambda save: methods(campaign.device)),
        *(Part(name, 10, _way(campaign.device, name)) for name in WAYS if _possible(campaign, name)),
        Part("resume", 5, lambda save: resume(campaign.device)),
        Part("one process of DDP", 10, lambda save: one_process(campaign.device)),
        Part("corruptions", 10, lambda save: corruptions(campaign.device)),
    ]
    return made


def _possible(campaign: Campaign, name: str) -> bool:
    # Compiling takes a minute on two cores; graphs need CUDA.
    return campaign.device == "cuda" or name not in ("cuda_graphs", "compile")


def _way(device: str, name: str) -> Callable[[Any], Result]:
    return lambda save: way(device, name)


def trainer_on(device: str, method: str, **options: Any) -> Any:
    """A method on a small network, the same weights every time."""
    torch.manual_seed(0)
    model: nn.Module = create("model", "preact-resnet-18", input_shape=SHAPE, nb_classes=CLASSES, width=8).to(device)
    classifier = PyTorchClassifier(
        model,
        loss=nn.CrossEntropyLoss(),
        optimizer=torch.optim.SGD(model.parameters(), lr=0.05),
        input_shape=SHAPE,
        nb_classes=CLASSES,
        clip_values=(0, 1),
        device_type="gpu" if device == "cuda" else "cpu",
    )
    return create(
        "trainer", method, classifier=classifier, eps=8 / 255, eps_step=4 / 255, max_iter=2, on_overfitting="ignore", **options
    )


def data(number: int = BATCH) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Random images."""
    random = np.random.default_rng(0)
    return random.random((number, *SHAPE), dtype=np.float32), np.arange(number) % CLASSES


@contextlib.contextmanager
def same_draws() -> Iterator[None]:
    """Starts and targets that do not depend on the device: generators of CPU and CUDA give different numbers."""

    def start(x: Tensor, eps: Any, *_: Any, **__: Any) -> Tensor:
        noise = torch.rand(x.shape, generator=torch.Generator().manual_seed(1)).to(x.device) * 2 - 1
        scale = eps.view(-1, 1, 1, 1) if isinstance(eps, Tensor) else eps
        return (x + scale * noise).clamp(0, 1)

    def targets(self: Engine, sampler: Any, y: Tensor, logits: Any, meter: Any) -> Tensor:
        return (y + 1) % CLASSES

    modules = ("attacks.pgd", "attacks.early_stopped", "attacks.boundary", "objectives.trades")
    with contextlib.ExitStack() as stack:
        for name in modules:
            with contextlib.suppress(AttributeError):
                stack.enter_context(mock.patch(f"fairart.{name}.draw_start", start))
        stack.enter_context(mock.patch.object(Engine, "_targets", targets))
        yield


def update(trainer: Any, **options: Any) -> Tensor:
    """How one step moves the weights, as one vector on the CPU."""
    model = trainer.get_classifier().model
    before = copy.deepcopy(model.state_dict())
    needs = bool(trainer.method.needs & {"validation", "validation_losses"})
    held = data(CLASSES)
    with same_draws():
        trainer.fit(
            *data(),
            validation_data=held if needs else None,
            batch_size=BATCH,
            nb_epochs=1,
            seed=0,
            verbose=False,
            **options,
        )
    moved = [value.float() - before[name].float() for name, value in model.state_dict().items() if value.is_floating_point()]
    return torch.cat([one.flatten().cpu() for one in moved])


def difference(one: Tensor, other: Tensor) -> float:
    """Relative difference of two updates."""
    return float((one - other).norm() / other.norm())


@contextlib.contextmanager
def exact() -> Iterator[None]:
    """Without TF32, which rounds to ten bits."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


@contextlib.contextmanager
def deterministic() -> Iterator[None]:
    """The same algorithms of cuDNN every time."""
    before = torch.backends.cudnn.deterministic
    torch.backends.cudnn.deterministic = True
    try:
        yield
    finally:
        torch.backends.cudnn.deterministic = before


def methods(device: str) -> Result:
    """One step of every method against the CPU."""
    found = {}
    with exact():
        for name in registered("trainer"):
            there = update(trainer_on(device, name))
            here = update(trainer_on("cpu", name))
            found[name] = difference(there, here)
    far = {name: value for name, value in found.items() if not value <= CLOSE}
    if far:
        raise AssertionError(f"updates on {device} differ from those on the CPU by more than {CLOSE}: {far} of {found}")
    return {"relative_difference": found}


def way(device: str, name: str) -> Result:
    """One step of TRADES, computed in another way."""
    with exact():
        usual = update(trainer_on(device, "trades", channels_last=False))
        other = update(trainer_on(device, "trades", **({"channels_last": False} | WAYS[name])))
    apart, allowed = difference(other, usual), IMPRECISE.get(name, CLOSE)
    if not apart <= allowed or not bool(torch.isfinite(other).all()):
        raise AssertionError(f"{name}: the update differs by {apart:.3g}, expected at most {allowed}")
    return {"relative_difference": apart}


def resume(device: str) -> Result:
    """Two epochs at once, and with an interruption between them."""

    def fit(trainer: Any, epochs: int, checkpoint: Any = None) -> Tensor:
        trainer.fit(*data(), batch_size=BATCH // 2, nb_epochs=epochs, seed=3, verbose=False, checkpoint=checkpoint)
        state = trainer.get_classifier().model.state_dict()
        return torch.cat([value.double().flatten().cpu() for value in state.values()])

    with tempfile.TemporaryDirectory() as folder, deterministic():
        whole = fit(trainer_on(device, "at"), 2)
        stopped = trainer_on(device, "at")
        with contextlib.suppress(KeyboardInterrupt), _stopped_after_one_epoch():
            fit(stopped, 2, Checkpointing(Path(folder)))
        again = trainer_on(device, "at")
        resumed = fit(again, 2, Checkpointing(Path(folder), resume=True))
        if again.resumed_from is None:
            raise AssertionError("there was no checkpoint to resume from")
    if not torch.equal(whole, resumed):
        raise AssertionError(f"resumed weights differ by up to {float((whole - resumed).abs().max()):.3g}")
    return {"equal": True}


@contextlib.contextmanager
def _stopped_after_one_epoch() -> Iterator[None]:
    epoch, epochs = Engine._epoch, []

    def stop(self: Engine, *arguments: Any, **options: Any) -> Any:
        if epochs:
            raise KeyboardInterrupt
        epochs.append(1)
        return epoch(self, *arguments, **options)

    with mock.patch.object(Engine, "_epoch", stop):
        yield


def one_process(device: str) -> Result:
    """DDP with one process gives the same weights as none."""
    package = next(name for name in FABRIC if importlib.util.find_spec(name.partition(".")[0]) is not None)
    fabric = importlib.import_module(package).Fabric(accelerator="cuda" if device == "cuda" else "cpu", devices=1, strategy="ddp")
    fabric.launch()
    try:
        alone, with_fabric = update(trainer_on(device, "at")), update(trainer_on(device, "at", fabric=fabric))
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
    apart = difference(with_fabric, alone)
    if not apart <= CLOSE:
        raise AssertionError(f"one process of Fabric differs by {apart:.3g}")
    return {"relative_difference": apart}


def corruptions(device: str) -> Result:
    """Mean and spread of every corruption beside the CPU's, in levels of 255."""
    images = (np.random.default_rng(0).random((32, 3, 32, 32)) * 255).astype(np.uint8)
    names = [name for name in registered("corruption") if name != "frost"]
    found = {}
    for name in names:
        figures = []
        for where in (device, "cpu"):
            made = MadeCorruptions(images, np.zeros(len(images), dtype=np.int64), corruptions=[name], device=where)
            pixels = torch.cat([x for x, _ in made.batches(name, 3)]).double().cpu() * 255
            figures.append((float(pixels.mean()), float(pixels.std())))
        found[name] = max(abs(one - other) for one, other in zip(*figures, strict=True))
    far = {name: value for name, value in found.items() if value > 1}
    if far:
        raise AssertionError(f"corruptions on {device} differ from the CPU's by more than a level: {far}")
    return {"levels": found}
