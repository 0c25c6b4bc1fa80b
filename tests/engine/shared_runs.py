"""Training alone and shared, for ``test_processes.py``: functions that a spawned process can import."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from art.estimators.classification import PyTorchClassifier
from torchvision.transforms import v2

from fairart import create, registered
from fairart.runs.devices import leave


class Leaving:
    """A function after which the processes end their group, as ``fairart train`` does: left open, it now and then aborts one."""

    def __init__(self, function: Callable[..., None]) -> None:
        self.function = function

    def __call__(self, *arguments: Any) -> None:
        self.function(*arguments)
        leave()


RUNS: dict[str, dict[str, Any]] = {
    "at": {"augmentation": "crop-flip"},
    "fair-tat": {"averaging": ("fawa", {"start_epoch": 0, "threshold": 0.0})},
    "fat": {},
    "bat": {},
    "cfa": {},
    "frl": {"class_weighting": ("frl", {"warm_up": 0}), "epsilon_scheduler": ("frl", {"warm_up": 0})},
    "wat": {"norm": 2},
    "dafa": {},
    "faal": {"norm": 2, "class_weighting": ("faal", {"warm_up": 0})},
    "trix": {"class_sampling": "balanced"},
    "csr": {},
    "cfol": {"class_sampling": ("cfol", {"eta": 0.01})},
    "mart": {"class_weighting": "group-dro"},
    "fgsm-rs": {"class_weighting": "cvar"},
    "n-fgsm": {"classification_loss": "ldam", "class_weighting": "inverse-frequency"},
    "trades": {"weight_perturbation": "awp", "clean_statistics": True},
    "standard": {},
}
"""Every method, with what else must come out alike; what follows a blank tells runs of one method apart."""
# Gaussian noise leaves the clip values, which objectives that attack refuse.
RUNS |= {f"at {name}": {"augmentation": name} for name in registered("augmentation") if name != "gaussian"}
RUNS["standard gaussian"] = {"augmentation": "gaussian"}
RUNS["fair-tat mixed"] = {"augmentation": "crop-flip,mixup,cutmix", "class_sampling": "balanced"}
RUNS["at clipped"] = {"gradient_clipping": 0.05, "weight_perturbation": "awp"}
RUNS["trades torchvision"] = {"augmentation": [v2.RandomHorizontalFlip(), "mixup:alpha=0.4"]}


def digits(number: int = 230) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels; in batches of 50 some processes get one sample more than others."""
    data = create("dataset", "digits")
    return data.x_train[:number], data.y_train[:number]


def make_classifier(dtype: torch.dtype, *, seed: int) -> PyTorchClassifier:
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(seed)
        # Smooth: a sign that flips with the rounding is then rare.
        layers = [torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.Tanh(), torch.nn.Flatten(), torch.nn.Linear(256, 10)]
        model = torch.nn.Sequential(*layers).to(dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    return PyTorchClassifier(
        model,
        torch.nn.CrossEntropyLoss(),
        (1, 8, 8),
        10,
        optimizer=optimizer,
        clip_values=(0.0, 1.0),
        device_type="cpu",
    )


def train(fabric: Any, method: str, dtype: torch.dtype, nb_epochs: int, batch_size: int = 50, **more: Any) -> dict[str, Any]:
    """Train, and give what has to be alike as plain numbers; ``more`` options for the trainer."""
    rank = 0 if fabric is None else fabric.global_rank
    # Other first weights in every process: those of the first must count.
    classifier = make_classifier(dtype, seed=rank)
    options = {
        name: create(name, value[0], **value[1]) if isinstance(value, tuple) else value for name, value in RUNS[method].items()
    }
    budget = {"eps": 0.1, "eps_step": 0.03, "max_iter": 3}
    trainer = create("trainer", method.partition(" ")[0], classifier=classifier, fabric=fabric, **budget, **options, **more)
    x, y = digits()
    trainer.fit(x, y, validation_data=(x[:21], y[:21]), batch_size=batch_size, nb_epochs=nb_epochs, seed=5, verbose=False)
    return {
        "weights": {name: value.tolist() for name, value in classifier.model.state_dict().items()},
        "history": [without_time(record.to_dict()) for record in trainer.history],
    }


def assert_alike(one: Any, other: Any, *, tolerance: float) -> None:
    """Nested results whose numbers differ by no more than a tolerance."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_alike(one[key], other[key], tolerance=tolerance)
    elif isinstance(one, list) and one and not isinstance(one[0], int | float):
        assert len(one) == len(other)
        for mine, theirs in zip(one, other, strict=True):
            assert_alike(mine, theirs, tolerance=tolerance)
    elif isinstance(one, list | float | np.ndarray):
        np.testing.assert_allclose(np.array(other, dtype=float), np.array(one, dtype=float), rtol=0, atol=tolerance)
    else:
        assert one == other


def without_time(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key not in ("seconds", "images_per_second")}


def dropout_trainer(fabric: Any, stop_at: int) -> Any:
    """A model with dropout, trained by an objective that stops the run in one batch."""
    from fairart.objectives import ATObjective
    from fairart.trainers import FairnessTrainer

    class Stops(ATObjective):
        left = stop_at

        def losses(self, network: Any, batch: Any, examples: Any) -> Any:
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
            return super().losses(network, batch, examples)

    classifier = make_classifier(torch.float32, seed=0)
    classifier.model.insert(2, torch.nn.Dropout(0.3))
    return FairnessTrainer(classifier, objective=Stops(), eps=0.1, eps_step=0.05, max_iter=2, fabric=fabric)


def resume_with_dropout(fabric: Any, folder: str) -> None:
    """Train whole, and stopped and resumed, on parts of unequal size; write the largest difference of the weights."""
    from fairart.engine import Checkpointing

    torch.set_num_threads(1)
    x, y = digits(51)
    options = {"batch_size": 17, "nb_epochs": 3, "seed": 3, "verbose": False}
    whole = dropout_trainer(fabric, 99)
    whole.fit(x, y, **options)
    stopped = dropout_trainer(fabric, 7)
    with contextlib.suppress(KeyboardInterrupt):
        stopped.fit(x, y, checkpoint=Checkpointing(Path(folder, "checkpoints")), **options)
    resumed = dropout_trainer(fabric, 99)
    resumed.fit(x, y, checkpoint=Checkpointing(Path(folder, "checkpoints"), resume=True), **options)
    states = [trainer.get_classifier().model.state_dict() for trainer in (whole, resumed)]
    largest = max(float((states[0][name] - states[1][name]).abs().max()) for name in states[0])
    found = {"largest": largest, "from": resumed.resumed_from, "epochs": len(resumed.history)}
    Path(folder, f"{fabric.global_rank}.json").write_text(json.dumps(found))


def refuse_a_checkpoint(fabric: Any, folder: str) -> None:
    """Ask for a checkpoint folder that holds another fit; write what each process raised."""
    from fairart.engine import Checkpointing

    x, y = digits(40)
    options = {"batch_size": 20, "nb_epochs": 1, "verbose": False}
    place = Path(folder, "checkpoints")
    dropout_trainer(fabric, 99).fit(x, y, seed=0, checkpoint=Checkpointing(place), **options)
    told = []
    for settings in (Checkpointing(place, resume=True), Checkpointing(place)):
        try:
            dropout_trainer(fabric, 99).fit(x, y, seed=1, checkpoint=settings, **options)
            told.append("nothing")
        except ValueError as error:
            told.append(f"{type(error).__name__}: {error}")
    Path(folder, f"{fabric.global_rank}.json").write_text(json.dumps(told))


def lose_the_other(rank: int, folder: str) -> None:
    """Two processes of gloo, of which the second one is killed; the first one writes what its next sum raises."""
    from types import SimpleNamespace

    from fairart.engine.processes import FabricProcesses

    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    unused = {"all_reduce": None, "broadcast": None}
    processes = FabricProcesses(SimpleNamespace(world_size=2, global_rank=rank, **unused))
    assert processes.reduce_(torch.ones(3)).tolist() == [2.0] * 3
    assert processes.reduce_(torch.tensor([rank]), "max").tolist() == [1]
    if rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    try:
        processes.reduce_(torch.ones(3))
    except RuntimeError as error:
        Path(folder, "told").write_text(f"{type(error).__name__}: {error}")
    # Not by the interpreter's own end: threads of the broken group abort it now and then.
    os._exit(0)


def train_all(fabric: Any, folder: str, methods: list[str], dtype: torch.dtype, nb_epochs: int, steps: int = 1) -> None:
    """Train every method and write what came out, one file a process: the launcher's own way back holds little."""
    torch.set_num_threads(1)
    found = {method: train(fabric, method, dtype, nb_epochs, gradient_accumulation_steps=steps) for method in methods}
    Path(folder, f"{fabric.global_rank}.json").write_text(json.dumps(found))
