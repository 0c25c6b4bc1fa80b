from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from fairart.models.small_cnn import small_cnn
from fairart.trainers import FairnessTrainer

Make = Callable[..., Any]
MAX_ITER, BATCHES = 4, 3


class Counts:
    """Counts what one epoch of a model costs, from outside the package."""

    def __init__(self, model: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
        self.forwards: Counter[str] = Counter()
        self.grad_calls = self.backward_calls = self.parameter_gradients = 0
        model.register_forward_pre_hook(self._forward)
        self._parameter = next(model.parameters())
        self._parameter.register_hook(self._gradient)
        grad, backward = torch.autograd.grad, Tensor.backward

        def counted_grad(*args: Any, **kwargs: Any) -> Any:
            self.grad_calls += 1
            return grad(*args, **kwargs)

        def counted_backward(tensor: Tensor, *args: Any, **kwargs: Any) -> None:
            self.backward_calls += 1
            backward(tensor, *args, **kwargs)

        monkeypatch.setattr(torch.autograd, "grad", counted_grad)
        monkeypatch.setattr(Tensor, "backward", counted_backward)

    def _forward(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        trainable = {parameter.requires_grad for parameter in module.parameters()}
        assert len(trainable) == 1, "either all parameters take a gradient or none"
        if not torch.is_grad_enabled():
            self.forwards["no gradient"] += 1
        elif inputs[0].requires_grad:
            assert trainable == {False}, "an attack's forward must spare the parameters"
            self.forwards["attack"] += 1
        else:
            assert trainable == {True}
            self.forwards["training"] += 1

    def _gradient(self, gradient: Tensor) -> None:
        self.parameter_gradients += 1


def cost_of_an_epoch(
    monkeypatch: pytest.MonkeyPatch, make_classifier: Make, make_data: Make, **options: Any
) -> tuple[Counts, Any]:
    torch.manual_seed(0)
    model = small_cnn(input_shape=(1, 8, 8), nb_classes=3, width=2)
    trainer = FairnessTrainer(make_classifier(model=model), eps=0.1, eps_step=0.05, max_iter=MAX_ITER, **options)
    counts = Counts(model, monkeypatch)
    trainer.fit(*make_data(8 * BATCHES), batch_size=8, nb_epochs=1, seed=0, verbose=False)
    return counts, trainer


@pytest.mark.parametrize(
    ("options", "clean_forwards", "training_forwards"),
    [
        pytest.param({"objective": "at"}, 0, 1, id="at"),
        pytest.param({"objective": "fat"}, 0, 1, id="fat"),
        pytest.param({"objective": "trades"}, 1, 2, id="trades"),
        pytest.param({"objective": "at", "target_sampler": "cfps", "epsilon_scheduler": "ccm"}, 0, 1, id="fair-tat"),
        pytest.param({"objective": "trades", "target_sampler": "cfps"}, 0, 2, id="targeted trades needs no reference"),
        pytest.param({"objective": "at", "target_sampler": "runner-up"}, 1, 1, id="runner-up asks for clean logits"),
        pytest.param({"objective": "at", "clean_statistics": True}, 1, 1, id="clean statistics asked for"),
        pytest.param({"objective": "trades", "clean_statistics": True}, 1, 2, id="trades has clean logits anyway"),
    ],
)
def test_a_batch_costs_its_input_gradients_and_one_backward_and_no_more(
    options: dict[str, Any],
    clean_forwards: int,
    training_forwards: int,
    monkeypatch: pytest.MonkeyPatch,
    make_classifier: Make,
    make_data: Make,
):
    counts, _ = cost_of_an_epoch(monkeypatch, make_classifier, make_data, **options)
    expected = {"attack": MAX_ITER, "training": training_forwards, "no gradient": clean_forwards}
    assert counts.forwards == Counter({kind: number * BATCHES for kind, number in expected.items() if number})
    assert counts.grad_calls == MAX_ITER * BATCHES
    assert counts.backward_calls == BATCHES
    assert counts.parameter_gradients == BATCHES


def test_standard_training_costs_one_forward_and_one_backward(
    monkeypatch: pytest.MonkeyPatch, make_classifier: Make, make_data: Make
):
    counts, _ = cost_of_an_epoch(monkeypatch, make_classifier, make_data, objective="standard")
    assert counts.forwards == Counter({"training": BATCHES})
    assert (counts.grad_calls, counts.backward_calls) == (0, BATCHES)


def test_parameters_take_gradients_again_and_hold_none_afterwards(
    monkeypatch: pytest.MonkeyPatch, make_classifier: Make, make_data: Make
):
    _, trainer = cost_of_an_epoch(monkeypatch, make_classifier, make_data, objective="at")
    parameters = list(trainer.get_classifier().model.parameters())
    assert all(parameter.requires_grad for parameter in parameters)
    assert all(parameter.grad is None for parameter in parameters)


def test_a_parameter_that_the_user_froze_stays_frozen(make_classifier: Make, make_data: Make, make_model: Make):
    model = make_model(3)
    model.convolution.weight.requires_grad_(False)
    before = model.convolution.weight.clone()
    trainer = FairnessTrainer(make_classifier(model=model), objective="trades", max_iter=2)
    trainer.fit(*make_data(12), batch_size=6, nb_epochs=1, seed=0, verbose=False)
    assert not model.convolution.weight.requires_grad
    assert torch.equal(model.convolution.weight, before)


class DeviceReads(TorchDispatchMode):
    """Counts the operations that make the host wait for a device."""

    NAMES = ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal")

    def __init__(self) -> None:
        super().__init__()
        self.reads: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in self.NAMES:
            self.reads[name] += 1
        return func(*args, **(kwargs or {}))


PARTS: list[Any] = [
    {"objective": "standard"},
    {"objective": "at", "augmentation": "crop-flip", "clean_statistics": True},
    {"objective": "trades", "target_sampler": "cfps", "epsilon_scheduler": "ccm"},
    {"objective": "fat", "target_sampler": "runner-up", "averaging": "ema"},
    {"objective": "bat", "augmentation": "crop-flip,random-erasing,mixup,cutmix"},
    {"objective": "fgsm-rs", "target_sampler": "cfps", "augmentation": "mixup"},
]


@pytest.mark.parametrize("options", PARTS, ids=lambda options: options["objective"])
def test_nothing_is_read_from_the_device_per_batch(options: dict[str, Any], make_classifier: Make, make_data: Make):
    def reads(nb_batches: int) -> Counter[str]:
        trainer = FairnessTrainer(make_classifier(), eps=0.1, eps_step=0.05, max_iter=2, **options)
        with DeviceReads() as mode:
            trainer.fit(*make_data(6 * nb_batches), batch_size=6, nb_epochs=1, seed=0, verbose=False)
        return mode.reads

    few, many = reads(2), reads(9)
    assert few == many, "the number of reads must not grow with the number of batches"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("options", PARTS, ids=lambda options: options["objective"])
def test_a_step_on_a_cuda_device_never_waits_for_it(options: dict[str, Any], make_model: Make, make_data: Make):
    from art.estimators.classification import PyTorchClassifier

    from fairart.engine.loop import Engine

    model = make_model(3).cuda()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    classifier = PyTorchClassifier(
        model, nn.CrossEntropyLoss(), (1, 8, 8), 3, optimizer=optimizer, clip_values=(0, 1), device_type="gpu"
    )
    step = Engine._step
    steps = 0

    def watched(self: Engine, *args: Any) -> None:
        nonlocal steps
        # The first step of an epoch takes the new plan to the device.
        torch.cuda.set_sync_debug_mode("error" if steps % 4 else "default")
        try:
            step(self, *args)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        steps += 1

    trainer = FairnessTrainer(classifier, eps=0.1, eps_step=0.05, max_iter=2, **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Engine, "_step", watched)
        trainer.fit(*make_data(24), batch_size=6, nb_epochs=2, seed=0, verbose=False)
    assert steps == 8
