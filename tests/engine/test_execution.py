"""Faster ways to compute a step: the same weights, exactly or within what is stated, and nothing of the user's is changed."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fairart.engine import Checkpointing
from fairart.engine import execution as module_under_test
from fairart.engine.execution import ExecutedNetwork
from fairart.engine.network import Network
from fairart.engine.network.cuda_graphs import GraphedNetwork
from fairart.engine.network.folding import FoldedModule
from fairart.engine.network.layout import ChannelsLastWeights
from fairart.errors import OptionError
from fairart.execution import EXECUTION, Execution
from fairart.models.preact_resnet import preact_resnet_18
from fairart.models.small_cnn import small_cnn
from fairart.trainers import ATTrainer, FairnessTrainer, FATTrainer, StandardTrainer, TRADESTrainer

Make = Callable[..., Any]
COMPILE = torch.compile
COMPILER_TROUBLE = module_under_test.compiler_trouble


@pytest.fixture(autouse=True)
def quick_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of torch.compile but the kernels: those need minutes and a compiler."""
    compiled = torch.compile
    monkeypatch.setattr(torch, "compile", lambda model, **options: compiled(model, backend="aot_eager", **options))
    monkeypatch.setattr(module_under_test, "compiler_trouble", lambda device: "")


def weights_after_an_epoch(
    trainer: type[FairnessTrainer], make_classifier: Make, make_data: Make, *, dtype: torch.dtype = torch.float64, **options: Any
) -> tuple[dict[str, Tensor], FairnessTrainer]:
    torch.manual_seed(0)
    model = small_cnn(input_shape=(1, 8, 8), nb_classes=3, width=4).to(dtype)
    made = trainer(make_classifier(model=model), eps=0.1, eps_step=0.04, max_iter=3, **options)
    made.fit(*make_data(26), batch_size=8, nb_epochs=1, seed=0, verbose=False)
    return {name: value.clone() for name, value in model.state_dict().items()}, made


AS_IT_IS = {"channels_last": False, "phase_gradients": False}
LAYOUT, COMPILED, FOLDED = {"channels_last": True}, {"compile": True}, {"fold_batch_norm": True}


@pytest.mark.parametrize(
    ("trainer", "options"),
    [
        pytest.param(ATTrainer, LAYOUT, id="at channels_last"),
        pytest.param(TRADESTrainer, LAYOUT, id="trades channels_last"),
        pytest.param(ATTrainer, COMPILED, id="at compiled"),
        pytest.param(TRADESTrainer, COMPILED, id="trades compiled"),
        pytest.param(TRADESTrainer, FOLDED, id="trades folded"),
        pytest.param(FATTrainer, FOLDED, id="fat folded"),
        pytest.param(TRADESTrainer, LAYOUT | COMPILED | FOLDED, id="trades, all three"),
        pytest.param(TRADESTrainer, LAYOUT | {"weight_perturbation": "awp", "averaging": "ema"}, id="awp and ema channels_last"),
    ],
)
def test_in_float64_the_weights_of_an_epoch_are_the_same_to_rounding(
    trainer: type[FairnessTrainer], options: dict[str, Any], make_classifier: Make, make_data: Make
):
    # In float32 a gradient of rounding size may change its sign, and the attack another way; in float64 none here does.
    plain = {name: value for name, value in options.items() if name not in EXECUTION}
    expected, _ = weights_after_an_epoch(trainer, make_classifier, make_data, **AS_IT_IS, **plain)
    options = {**AS_IT_IS, **options}
    found, made = weights_after_an_epoch(trainer, make_classifier, make_data, **options)
    assert made.execution == Execution.among(options)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-7, atol=1e-9, msg=name)


@pytest.mark.parametrize("trainer", [ATTrainer, TRADESTrainer, StandardTrainer])
def test_mixed_precision_stays_near_float32_over_an_epoch(trainer: type[FairnessTrainer], make_classifier: Make, make_data: Make):
    _, exact = weights_after_an_epoch(trainer, make_classifier, make_data, dtype=torch.float32)
    weights, mixed = weights_after_an_epoch(trainer, make_classifier, make_data, dtype=torch.float32, precision="bf16-mixed")
    assert mixed.history[0].loss == pytest.approx(exact.history[0].loss, rel=0.1)
    assert mixed.history[0].loss != exact.history[0].loss, "nothing was computed in bfloat16"
    assert all(value.dtype in (torch.float32, torch.int64) for value in weights.values())


def test_many_trainers_in_one_process_stay_compiled(make_classifier: Make, make_data: Make):
    import torch._dynamo.utils as dynamo

    dynamo.counters.clear()
    for trainer in (ATTrainer, TRADESTrainer, FATTrainer):
        for dtype in (torch.float32, torch.float64):
            weights_after_an_epoch(trainer, make_classifier, make_data, dtype=dtype, compile=True)
    assert dynamo.counters["frames"]["total"] == dynamo.counters["frames"]["ok"] > 0


class Dtypes(nn.Module):
    """Notes what it computes in."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.seen = nn.Linear(64, 3), set[tuple[torch.dtype, torch.dtype]]()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.linear(x.flatten(1))
        self.seen.add((x.dtype, out.dtype))
        return out


def test_under_mixed_precision_inputs_and_logits_are_float32_and_validation_is_exact(make_classifier: Make, make_data: Make):
    model = Dtypes()
    network = Network(make_classifier(model=model))
    x = torch.rand(4, 1, 8, 8, requires_grad=True)
    logits = ExecutedNetwork(network, Execution(precision="bf16-mixed"))(x)
    assert model.seen == {(torch.float32, torch.bfloat16)}
    assert logits.dtype == torch.float32
    assert torch.autograd.grad(logits.sum(), x)[0].dtype == torch.float32
    trainer = ATTrainer(make_classifier(model=model), precision="bf16-mixed", max_iter=2)
    model.seen.clear()
    x_train, y_train = make_data(12)
    trainer.fit(x_train, y_train, batch_size=6, nb_epochs=1, seed=0, verbose=False)
    assert model.seen == {(torch.float32, torch.bfloat16)}
    trainer.fit(x_train, y_train, validation_data=make_data(6), batch_size=6, nb_epochs=1, seed=0, verbose=False)
    assert model.seen == {(torch.float32, torch.bfloat16), (torch.float32, torch.float32)}


@pytest.mark.parametrize("options", [LAYOUT, COMPILED, FOLDED, {"precision": "bf16-mixed"}], ids=str)
@pytest.mark.parametrize("fails", [False, True], ids=["ends", "fails"])
def test_the_model_keeps_names_memory_layout_and_its_place_in_the_classifier(
    options: dict[str, Any], fails: bool, make_classifier: Make, make_data: Make, monkeypatch: pytest.MonkeyPatch
):
    classifier = make_classifier(model=small_cnn(input_shape=(1, 8, 8), nb_classes=3, width=4))
    model, optimizer = classifier.model, classifier.optimizer
    state = model.state_dict()
    places = {name: (value.data_ptr(), value.stride(), value.dtype) for name, value in state.items()}
    modules, parameters = list(model.named_modules()), [id(parameter) for parameter in model.parameters()]
    trainer = TRADESTrainer(classifier, max_iter=2, **options)
    trainer.fit(*make_data(16), batch_size=8, nb_epochs=1, seed=0, verbose=False)
    if fails:
        monkeypatch.setattr(trainer.method.objective, "losses", lambda *arguments: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            trainer.fit(*make_data(16), batch_size=8, nb_epochs=1, seed=0, verbose=False)
    assert classifier.model is model
    assert classifier.optimizer is optimizer
    assert list(model.named_modules()) == modules
    assert [id(parameter) for parameter in model.parameters()] == parameters
    assert {name: (v.data_ptr(), v.stride(), v.dtype) for name, v in model.state_dict().items()} == places
    assert all({"forward", "_conv_forward"}.isdisjoint(vars(module)) for module in model.modules())
    for parameter in model.parameters():
        assert parameter.grad is None
        assert optimizer.state[parameter]["momentum_buffer"].stride() == parameter.stride()


def test_channels_last_lays_out_weights_and_momentum_and_puts_both_back_with_what_was_trained():
    model = small_cnn(input_shape=(1, 8, 8), nb_classes=3, width=4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(torch.rand(2, 1, 8, 8)).sum().backward()
    optimizer.step()
    kernel = model.features.conv2.weight
    held, momentum = model.state_dict()["features.conv2.weight"], optimizer.state[kernel]["momentum_buffer"].clone()
    with ChannelsLastWeights(model, optimizer).laid_out():
        assert kernel.is_contiguous(memory_format=torch.channels_last)
        assert not kernel.is_contiguous()
        inside = optimizer.state[kernel]["momentum_buffer"]
        assert inside.stride() == kernel.stride()
        assert torch.equal(inside, momentum)
        with torch.no_grad():
            kernel.add_(1.0)
    assert kernel.is_contiguous()
    assert torch.equal(kernel, held), "a state_dict taken before sees the trained weights"
    assert optimizer.state[kernel]["momentum_buffer"].is_contiguous()
    assert torch.equal(optimizer.state[kernel]["momentum_buffer"], momentum)


@pytest.mark.parametrize("channels", [1, 3])
def test_what_flows_through_the_network_has_its_channels_last(channels: int, make_classifier: Make, make_data: Make):
    model = small_cnn(input_shape=(channels, 8, 8), nb_classes=3, width=4)
    flowed: set[bool] = set()

    def look(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        flowed.add(inputs[0].is_contiguous(memory_format=torch.channels_last) and not inputs[0].is_contiguous())

    model.features.conv2.register_forward_pre_hook(look)
    classifier = make_classifier(model=model, input_shape=(channels, 8, 8))
    trainer = TRADESTrainer(classifier, max_iter=2, channels_last=True)
    flowed.clear()
    trainer.fit(*make_data(12, shape=(channels, 8, 8)), batch_size=6, nb_epochs=1, seed=0, verbose=False)
    assert flowed == {True}


NETWORKS = {
    "small-cnn": lambda: small_cnn(input_shape=(3, 16, 16), nb_classes=5, width=4),
    "preact-resnet-18": lambda: preact_resnet_18(input_shape=(3, 16, 16), nb_classes=5, width=4),
    "biased, not affine": lambda: nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"), nn.BatchNorm2d(4, affine=False), nn.Flatten(), nn.Linear(1024, 5)
    ),
}


def with_statistics(model: nn.Module) -> nn.Module:
    """Batch-norm with weights and statistics that are not those it starts with."""
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                if tensor is not None:
                    tensor.data.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
    return model.double()


@pytest.mark.parametrize("name", NETWORKS)
def test_a_folded_module_gives_the_same_logits_and_gradients_and_follows_the_weights(name: str):
    model = with_statistics(NETWORKS[name]())
    folded = FoldedModule(model)
    x = torch.rand(3, 3, 16, 16, dtype=torch.float64, requires_grad=True)
    for _ in range(2):
        model.eval()
        expected, found = model(x), folded(x)
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
        gradients = [torch.autograd.grad(logits.square().sum(), x)[0] for logits in (expected, found)]
        torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-9, atol=1e-9)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(1.1)
        model.train()(x)  # moves the statistics
        folded.refresh()


def test_only_a_norm_that_alone_takes_a_convolution_s_output_is_folded():
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

        def forward(self, x: Tensor) -> Tensor:
            hidden = self.conv(x)
            return self.norm(hidden) + hidden

    for model in (Twice(), nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.BatchNorm2d(4)), nn.Linear(4, 3)):
        with pytest.raises(OptionError, match="no batch-norm that takes the output of a convolution and of nothing else"):
            FoldedModule(model)


class Branches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 0:
            x = -x
        return self.norm(self.conv(x)).mean(dim=(2, 3))


def hooked() -> nn.Module:
    model = small_cnn(input_shape=(1, 8, 8), nb_classes=3, width=4)
    model.features.conv1.register_forward_hook(lambda *arguments: None)
    return model


@pytest.mark.parametrize(
    ("trainer", "options", "model", "told"),
    [
        (ATTrainer, FOLDED, None, "attacks in train mode"),
        (StandardTrainer, FOLDED, None, "fold_batch_norm would go unused: .*standard.* attacks nothing"),
        (TRADESTrainer, FOLDED, Branches, "Branches cannot be traced by torch.fx"),
        (TRADESTrainer, FOLDED, hooked, "features.conv1 has hooks"),
        (ATTrainer, {"cuda_graphs": True}, None, "cuda_graphs needs a classifier on a CUDA device, this one is on cpu"),
        (ATTrainer, {"precision": "16-mixed"}, None, "precision expects '32-true' or 'bf16-mixed', got '16-mixed'"),
        (ATTrainer, {"channels_last": "yes"}, None, "channels_last expects bool or None"),
    ],
)
def test_what_cannot_be_is_refused_when_the_trainer_is_made(
    trainer: type[FairnessTrainer], options: dict[str, Any], model: Any, told: str, make_classifier: Make
):
    classifier = make_classifier() if model is None else make_classifier(model=model())
    with pytest.raises(OptionError, match=told):
        trainer(classifier, **options)


def test_mixed_precision_and_channels_last_say_what_they_expect(make_classifier: Make, make_model: Make):
    with pytest.raises(OptionError, match=r"expects a model with float32 weights, got torch\.float64"):
        ATTrainer(make_classifier(model=make_model(3).double()), precision="bf16-mixed")
    flat = make_classifier(model=nn.Linear(6, 3), input_shape=(6,))
    with pytest.raises(OptionError, match=r"channels_last expects images \(C, H, W\), got samples of shape \(6,\)"):
        ATTrainer(flat, channels_last=True)


def test_an_art_attack_leaves_nothing_to_fold(make_classifier: Make):
    from art.attacks.evasion import ProjectedGradientDescent

    classifier = make_classifier()
    attack = ProjectedGradientDescent(classifier, eps=0.1, eps_step=0.05, max_iter=1, verbose=False)
    with pytest.raises(OptionError, match=r"would go unused: ProjectedGradientDescent\w* attacks through ART"):
        TRADESTrainer(classifier, attack=attack, fold_batch_norm=True)


def test_without_a_compiler_compile_is_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch, "compile", COMPILE)
    inductor: Any = pytest.importorskip("torch._inductor.config")
    with inductor.patch({"cpp.cxx": (None, "/nonexistent/compiler")}):
        told = COMPILER_TROUBLE.__wrapped__("cpu")
    assert re.match(r"compile: torch\.compile cannot build kernels for cpu here \(.+\)\. It needs a C\+\+ compiler", told)
    assert "\n" not in told


class Captured:
    """Stands in for torch.cuda.make_graphed_callables: runs the passes three times, as it does to warm up, then hands them on."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, passes: Callable[[Tensor], Tensor], samples: tuple[Tensor, ...]) -> Callable[[Tensor], Tensor]:
        (sample,) = samples
        assert sample.requires_grad
        self.shapes.append(tuple(sample.shape))
        for _ in range(3):
            torch.autograd.grad(passes(sample).sum(), sample)
        return passes


def test_a_graph_is_captured_once_a_mode_and_capturing_leaves_batch_norm(make_classifier: Make, monkeypatch: pytest.MonkeyPatch):
    captured = Captured()
    monkeypatch.setattr(torch.cuda, "make_graphed_callables", captured)
    classifier = make_classifier()
    network = Network(classifier)
    graphed = GraphedNetwork(network)
    assert dict(graphed.named_parameters()).keys() == dict(network.named_parameters()).keys()
    x = torch.rand(6, 1, 8, 8)
    graphed(x)  # no gradient: as it is
    assert captured.shapes == []
    classifier.model.train()
    before = classifier.model.norm.num_batches_tracked.clone()
    for batch in (x, x, x[:4]):
        graphed(batch.clone().requires_grad_(True))
    assert captured.shapes == [(6, 1, 8, 8)]
    assert classifier.model.norm.num_batches_tracked == before + 3
    classifier.model.eval()
    graphed(x.clone().requires_grad_(True))
    assert captured.shapes == [(6, 1, 8, 8)] * 2


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("options", [{}, {"precision": "bf16-mixed", "channels_last": True}, FOLDED], ids=str)
@pytest.mark.parametrize("trainer", [ATTrainer, TRADESTrainer])
def test_on_cuda_graphs_give_the_weights_of_an_epoch_without(
    trainer: type[FairnessTrainer], options: dict[str, Any], make_data: Make
):
    from art.estimators.classification import PyTorchClassifier

    if trainer is ATTrainer and options == FOLDED:
        pytest.skip("AT attacks in train mode")

    def weights(**more: Any) -> dict[str, Tensor]:
        torch.manual_seed(0)
        model = small_cnn(input_shape=(1, 8, 8), nb_classes=3, width=4).cuda()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        classifier = PyTorchClassifier(
            model, nn.CrossEntropyLoss(), (1, 8, 8), 3, optimizer=optimizer, clip_values=(0, 1), device_type="gpu"
        )
        made = trainer(classifier, eps=0.1, eps_step=0.04, max_iter=3, **options, **more)
        with torch.backends.cudnn.flags(benchmark=False, deterministic=True):
            made.fit(*make_data(30), batch_size=8, nb_epochs=1, seed=0, verbose=False)
        return model.state_dict()

    expected, found = weights(), weights(cuda_graphs=True)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-4, msg=name)


def test_an_execution_says_what_differs_and_is_checked():
    assert str(Execution()) == ""
    assert str(Execution(precision="bf16-mixed", channels_last=True)) == "bf16-mixed channels_last"
    assert Execution.among({"compile": True, "eps": 3}) == Execution(compile=True)
    with pytest.raises(OptionError, match="compile expects bool, got 'on'"):
        Execution(compile="on")  # type: ignore[arg-type]


def test_images_stay_uint8_on_the_device(make_classifier: Make):
    trainer = ATTrainer(make_classifier())
    images = np.random.default_rng(0).integers(256, size=(10, 1, 8, 8), dtype=np.uint8)
    data = trainer._on_device(images, np.zeros(10, dtype=np.int64))
    assert data.x.dtype == torch.uint8
    x, _ = data.take(torch.tensor([3, 1]))
    np.testing.assert_array_equal(x.numpy(), images[[3, 1]].astype(np.float32) / np.float32(255))


def test_a_resumed_fit_under_an_execution_is_bit_for_bit_the_uninterrupted_one(
    make_classifier: Make, make_data: Make, tmp_path: Path
):
    class KilledError(Exception):
        pass

    def trained(nb_epochs: int, checkpoint: Checkpointing | None = None, *, stop: bool = False, **options: Any) -> Any:
        torch.manual_seed(0)
        model = small_cnn(input_shape=(1, 8, 8), nb_classes=3, width=4)
        trainer = TRADESTrainer(make_classifier(model=model), max_iter=2, **options)
        if stop:
            update = trainer.method.class_weighting.update

            def killed(statistics: Any) -> None:
                update(statistics)
                if statistics.epoch == 1:
                    raise KilledError

            trainer.method.class_weighting.update = killed  # type: ignore[method-assign]
        trainer.fit(*make_data(24), batch_size=8, nb_epochs=nb_epochs, seed=0, verbose=False, checkpoint=checkpoint)
        return model.state_dict()

    options = {"precision": "bf16-mixed", "channels_last": True, "fold_batch_norm": True}
    expected = trained(3, **options)
    with pytest.raises(KilledError):
        trained(3, Checkpointing(tmp_path / "a"), stop=True, **options)
    with pytest.raises(ValueError, match="execution was bf16-mixed channels_last fold_batch_norm, is channels_last"):
        trained(3, Checkpointing(tmp_path / "a", resume=True))
    found = trained(3, Checkpointing(tmp_path / "a", resume=True), **options)
    for name, value in expected.items():
        assert torch.equal(found[name], value), name
