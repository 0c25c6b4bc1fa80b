"""What benchmarks/step.py times: a training step of fairart, of its floor, of a plain loop and of ART's trainers.

Every variant is a function that takes some steps on one fixed batch and says how long they took. All start from the same weights
and the same batch, with SGD. The floor is what nobody gets below without changing the mathematics:

- at: ``max_iter`` input gradients with frozen parameters, one forward and backward pass, one optimizer step.
- trades: one clean forward pass, ``max_iter`` input gradients of the KL, one joint backward pass of the clean and the
  adversarial half, one optimizer step.

The plain loop does what the authors' programs do: its attack computes the parameters' gradients as well, and it takes one
clean forward pass more, for the log.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from art.attacks.evasion import ProjectedGradientDescent
from art.defences.trainer import AdversarialTrainerMadryPGD, AdversarialTrainerTRADESPyTorch
from art.estimators.classification import PyTorchClassifier
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from fairart import create
from fairart.engine.execution import many_compiled_forms
from fairart.engine.loop import Engine
from fairart.trainers import FairnessTrainer

EPS, EPS_STEP, BETA, CLASSES = 8 / 255, 2 / 255, 6.0, 10


@dataclass(frozen=True)
class Setting:
    """A model, its images, and how many of them a step takes."""

    model: str
    shape: tuple[int, int, int]
    batch: int
    max_iter: int = 10
    device: str = "cpu"

    def __str__(self) -> str:
        return f"{self.model} {'x'.join(map(str, self.shape))}, batch {self.batch}"

    def network(self) -> nn.Module:
        """The same weights every time."""
        torch.manual_seed(0)
        model: nn.Module = create("model", self.model, input_shape=self.shape, nb_classes=CLASSES)
        return model.to(self.device)

    def images(self, steps: int = 1) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """One batch of uint8 images, ``steps`` times over."""
        random = np.random.default_rng(0)
        x = random.integers(256, size=(self.batch, *self.shape), dtype=np.uint8)
        y = random.permutation(np.arange(self.batch) % CLASSES)
        return np.tile(x, (steps, 1, 1, 1)), np.tile(y, steps)


@dataclass
class Seconds:
    """Wall and processor seconds, added up."""

    device: str
    wall: float = 0.0
    cpu: float = 0.0

    @contextlib.contextmanager
    def counted(self) -> Iterator[None]:
        _wait(self.device)
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        _wait(self.device)
        self.wall += time.perf_counter() - wall
        self.cpu += time.process_time() - cpu


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


Steps = Callable[[int], Seconds]
"""Takes that many steps."""


def optimizer_of(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)


def classifier_of(setting: Setting) -> PyTorchClassifier:
    model = setting.network()
    return PyTorchClassifier(
        model,
        loss=nn.CrossEntropyLoss(),
        optimizer=optimizer_of(model),
        input_shape=setting.shape,
        nb_classes=CLASSES,
        clip_values=(0.0, 1.0),
        device_type="gpu" if setting.device == "cuda" else "cpu",
    )


def trainer_of(setting: Setting, trainer: str, **options: Any) -> FairnessTrainer:
    """A trainer by name, on fresh weights."""
    made: FairnessTrainer = create(
        "trainer",
        trainer,
        classifier=classifier_of(setting),
        eps=EPS,
        eps_step=EPS_STEP,
        **{"max_iter": setting.max_iter, **options},
    )
    return made


def fairart(setting: Setting, trainer: str, **options: Any) -> Steps:
    """The trainer itself: ``fit`` on that many batches, timed around what its engine does batch by batch."""
    held, made = setting.images(), trainer_of(setting, trainer, **options)
    needs_validation = bool(made.method.needs & {"validation", "validation_losses"})
    train = Engine._train

    def take(steps: int) -> Seconds:
        seconds = Seconds(setting.device)

        def timed(self: Engine, *arguments: Any) -> None:
            with seconds.counted():
                train(self, *arguments)

        with mock.patch.object(Engine, "_train", timed):
            made.fit(
                *setting.images(steps),
                validation_data=(held[0][:CLASSES], held[1][:CLASSES]) if needs_validation else None,
                batch_size=setting.batch,
                nb_epochs=1,
                seed=0,
                verbose=False,
            )
        return seconds

    return take


@dataclass
class HandWritten:
    """A loop written out, on a batch that is there already."""

    setting: Setting
    execution: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.model = self.setting.network()
        x, y = self.setting.images()
        self.x = torch.as_tensor(x, device=self.setting.device).float() / 255
        self.y = torch.as_tensor(y, device=self.setting.device)
        if self.execution.get("channels_last"):
            self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            self.x = self.x.contiguous(memory_format=torch.channels_last)
        self.optimizer = optimizer_of(self.model)
        self.mixed = self.execution.get("precision") == "bf16-mixed"
        self.call = torch.compile(self.model) if self.execution.get("compile") else self.model

    def logits(self, x: Tensor) -> Tensor:
        with torch.autocast(self.setting.device, dtype=torch.bfloat16, enabled=self.mixed):
            logits: Tensor = self.call(x)
        return logits.float()

    def take(self, step: Callable[[], None], steps: int) -> Seconds:
        seconds = Seconds(self.setting.device)
        with many_compiled_forms(), seconds.counted():
            for _ in range(steps):
                step()
        return seconds

    def descend(self, loss: Tensor) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()


def kl(logits: Tensor, reference: Tensor) -> Tensor:
    return F.kl_div(F.log_softmax(logits, dim=1), F.log_softmax(reference, dim=1), reduction="sum", log_target=True)


class Floor(HandWritten):
    """Input gradients, one backward pass, and nothing else: no projection, no statistics."""

    def input_gradients(self, loss: Callable[[Tensor], Tensor]) -> None:
        self.model.requires_grad_(False)
        for _ in range(self.setting.max_iter):
            inputs = self.x.detach().requires_grad_(True)
            torch.autograd.grad(loss(self.logits(inputs)), inputs)
        self.model.requires_grad_(True)

    def at(self) -> None:
        self.model.train()
        self.input_gradients(lambda logits: F.cross_entropy(logits, self.y, reduction="sum"))
        self.descend(F.cross_entropy(self.logits(self.x), self.y))

    def trades(self) -> None:
        self.model.eval()
        with torch.no_grad():
            reference = self.logits(self.x)
        self.input_gradients(lambda logits: kl(logits, reference))
        self.model.train()
        clean = self.logits(self.x)
        self.descend(F.cross_entropy(clean, self.y) + BETA * kl(self.logits(self.x), clean) / len(self.x))


class PlainLoop(HandWritten):
    """PGD through ``backward()``, as the authors' programs write it."""

    def attack(self, loss: Callable[[Tensor], Tensor], start: Tensor) -> Tensor:
        delta = start
        for _ in range(self.setting.max_iter):
            delta.requires_grad_(True)
            loss(self.logits(self.x + delta)).backward()
            step = delta.detach() + EPS_STEP * delta.grad.sign()
            delta = torch.clamp(torch.clamp(step, -EPS, EPS), -self.x, 1 - self.x).detach()
        return self.x + delta

    def log(self) -> None:
        # In train mode and with its graph kept until the next one, as the programs' scripts do.
        self.clean = self.logits(self.x)
        self.clean_loss = F.cross_entropy(self.clean, self.y)

    def at(self) -> None:
        self.model.train()
        start = torch.empty_like(self.x).uniform_(-EPS, EPS)
        adversarial = self.attack(lambda logits: F.cross_entropy(logits, self.y), start)
        self.descend(F.cross_entropy(self.logits(adversarial), self.y))
        self.log()

    def trades(self) -> None:
        self.model.eval()
        with torch.no_grad():
            reference = self.logits(self.x)
        adversarial = self.attack(lambda logits: kl(logits, reference), 0.001 * torch.randn_like(self.x))
        self.model.train()
        clean = self.logits(self.x)
        self.descend(F.cross_entropy(clean, self.y) + BETA * kl(self.logits(adversarial), clean) / len(self.x))
        self.log()


def hand_written(kind: type[Any], setting: Setting, objective: str, execution: dict[str, Any]) -> Steps:
    loop = kind(setting, execution)
    step = getattr(loop, objective)
    return lambda steps: loop.take(step, steps)


def art(setting: Setting, objective: str) -> Steps:
    """ART's trainer: ``fit`` on that many batches."""
    classifier = classifier_of(setting)
    trainer: Any
    if objective == "at":
        trainer = AdversarialTrainerMadryPGD(
            classifier, eps=EPS, eps_step=EPS_STEP, max_iter=setting.max_iter, batch_size=setting.batch
        )
    else:
        attack = ProjectedGradientDescent(
            classifier,
            eps=EPS,
            eps_step=EPS_STEP,
            max_iter=setting.max_iter,
            num_random_init=1,
            batch_size=setting.batch,
            verbose=False,
        )
        trainer = AdversarialTrainerTRADESPyTorch(classifier, attack, beta=BETA)

    def take(steps: int) -> Seconds:
        x, y = setting.images(steps)
        images = x.astype(np.float32) / 255
        seconds = Seconds(setting.device)
        with seconds.counted():
            trainer.fit(images, np.eye(CLASSES)[y], batch_size=setting.batch, nb_epochs=1)
        return seconds

    return take


def make(variant: str, setting: Setting, objective: str, execution: dict[str, Any]) -> Steps:
    """A variant by name, on fresh weights.

    Args:
        variant: floor, fairart, plain or art.
        setting: model and images.
        objective: at or trades; for fairart the name of any trainer.
        execution: options of the trainer, which floor and plain loop follow where they can; ART takes none.
    """
    if variant == "fairart":
        return fairart(setting, objective, **execution)
    if variant == "art":
        return art(setting, objective)
    kinds = {"floor": Floor, "plain": PlainLoop}
    return hand_written(kinds[variant], setting, objective, execution)


def changed(setting: Setting, batch: int | None, max_iter: int, device: str) -> Setting:
    return dataclasses.replace(setting, batch=batch or setting.batch, max_iter=max_iter, device=device)


def operations(setting: Setting, objective: str) -> float:
    """Floating-point operations of a step, in convolutions and matrix products.

    A gradient for the input costs as much as the forward pass, one for the parameters as much again.
    """
    model, x = setting.network(), torch.zeros(setting.batch, *setting.shape, device=setting.device)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(x)
    trained = 1 if objective == "at" else 2
    return float(counter.get_total_flops()) * (2 * setting.max_iter + 3 * trained + trained - 1)


def reset_peak(device: str) -> int:
    """Bytes in use now; the peak counts from here."""
    gc.collect()
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _resident("VmRSS")


def peak(device: str) -> int:
    """The most bytes that were in use since :func:`reset_peak`."""
    return torch.cuda.max_memory_allocated() if device == "cuda" else _resident("VmHWM")


def _resident(name: str) -> int:
    status = Path("/proc/self/status").read_text()
    return 1024 * int(next(line for line in status.splitlines() if line.startswith(name)).split()[1])
