"""Channels last by default: where a network runs so on the CPU, and found out without leaving a trace."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fairart import create
from fairart.engine.network import ModelError, Network
from fairart.engine.network.layout import runs_with_channels_last
from fairart.execution import Execution
from fairart.models.small_cnn import small_cnn
from fairart.plugins import get_plugin_manager
from fairart.trainers import ATTrainer, TRADESTrainer

Make = Callable[..., Any]


class Convolved(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.drop, self.head = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.Linear(144, 3)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.drop(self.flat(self.norm(self.conv(x)))))
        return logits

    def flat(self, features: Tensor) -> Tensor:
        return features.flatten(1)


class Viewed(Convolved):
    def flat(self, features: Tensor) -> Tensor:
        return features.view(len(features), -1)


class ByStrides(Convolved):
    def flat(self, features: Tensor) -> Tensor:
        return features.as_strided((len(features), 144), (144, 1))


class Noisy(Convolved):
    def flat(self, features: Tensor) -> Tensor:
        return (features + torch.randn_like(features)).flatten(1)


class ViewedInTraining(Convolved):
    def flat(self, features: Tensor) -> Tensor:
        return features.view(len(features), -1) if self.training else features.flatten(1)


class Failing(Convolved):
    def flat(self, features: Tensor) -> Tensor:
        raise LookupError


def flat_model() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 3))


def lazy() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.LazyLinear(3))


class Compiled(Convolved):
    def __init__(self) -> None:
        super().__init__()
        self.conv.compile(backend="eager")


@pytest.mark.parametrize(
    ("model", "runs"),
    [
        (Convolved, True),
        (Viewed, False),
        (ViewedInTraining, False),
        (ByStrides, False),
        (Noisy, False),
        (Failing, False),
        (flat_model, False),
        (lazy, False),
    ],
)
def test_what_runs_with_channels_last_is_found_by_trying(model: Callable[[], nn.Module], runs: bool, make_classifier: Make):
    classifier = make_classifier(model=model())
    assert runs_with_channels_last(Network(classifier), (1, 8, 8)) is runs
    if model in (Failing, lazy):
        with pytest.raises(ModelError):
            ATTrainer(classifier)
    else:
        assert ATTrainer(classifier).execution.channels_last is runs
        assert ATTrainer(classifier, channels_last=False).execution.channels_last is False


def test_a_network_that_is_compiled_already_and_a_strange_optimizer_are_left_alone(make_classifier: Make):
    assert ATTrainer(make_classifier(model=Compiled())).execution == Execution(channels_last=False, phase_gradients=False)
    model = Convolved()
    strange = type("ByViews", (torch.optim.SGD,), {"__module__": "somebody.optim"})(model.parameters(), lr=0.1)
    assert ATTrainer(make_classifier(model=model, optimizer=strange)).execution.channels_last is False
    assert ATTrainer(make_classifier(model=model, optimizer=strange), channels_last=True).execution.channels_last is True


def test_trying_leaves_weights_statistics_modes_gradients_and_random_states(make_classifier: Make):
    model = Convolved()
    model.train()
    model.norm.eval()
    model.conv.weight.grad = torch.ones_like(model.conv.weight)
    classifier = make_classifier(model=model)
    model.train()
    model.norm.eval()
    state, places = (
        copy.deepcopy(model.state_dict()),
        {name: (v.data_ptr(), v.stride()) for name, v in model.state_dict().items()},
    )
    modes, drawn = [module.training for module in model.modules()], torch.random.get_rng_state()
    assert runs_with_channels_last(Network(classifier), (1, 8, 8))
    assert torch.equal(torch.random.get_rng_state(), drawn)
    assert [module.training for module in model.modules()] == modes
    assert {name: (v.data_ptr(), v.stride()) for name, v in model.state_dict().items()} == places
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert torch.equal(model.conv.weight.grad, torch.ones_like(model.conv.weight))


def test_images_with_channels_last_of_their_own_are_left_as_they_are(make_classifier: Make):
    class Turned(Convolved):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.permute(0, 3, 1, 2))

    classifier = make_classifier(model=Turned(), input_shape=(8, 8, 1), channels_first=False)
    assert ATTrainer(classifier).execution.channels_last is False


def test_by_default_kernels_have_their_channels_last_in_fit_and_the_network_learns_what_it_learnt(
    make_classifier: Make, make_data: Make
):
    def trained(**options: Any) -> tuple[dict[str, Tensor], set[bool]]:
        torch.manual_seed(0)
        model, seen = small_cnn(input_shape=(1, 8, 8), nb_classes=3, width=4).double(), set()
        model.features.conv2.register_forward_pre_hook(lambda *_: seen.add(model.features.conv2.weight.is_contiguous()))
        trainer = TRADESTrainer(make_classifier(model=model), eps=0.1, eps_step=0.04, max_iter=3, **options)
        seen.clear()
        trainer.fit(*make_data(24), batch_size=8, nb_epochs=1, seed=0, verbose=False)
        return model.state_dict(), seen

    (found, last), (expected, first) = trained(), trained(channels_last=False)
    assert (last, first) == ({False}, {True})
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-7, atol=1e-9, msg=name)


@pytest.mark.parametrize("how", ["in place", "by another tensor"])
def test_between_epochs_policies_and_plugins_see_the_model_as_the_user_made_it(
    how: str, make_classifier: Make, make_data: Make, monkeypatch: pytest.MonkeyPatch
):
    model = small_cnn(input_shape=(1, 16, 16), nb_classes=3, width=4)
    classifier = make_classifier(model=model, input_shape=(1, 16, 16))
    kernel, batches, between = model.features.conv2.weight, [], []
    state = classifier.optimizer.state
    place, stride = kernel.data_ptr(), kernel.stride()

    def look(event: str, **told: Any) -> None:
        momentum = state[kernel]["momentum_buffer"] if kernel in state else kernel
        between.append((event, kernel.stride() == momentum.stride() == stride, "_conv_forward" in vars(model.features.conv1)))
        if event == "fairart_epoch_end":
            assert kernel.grad is not None
            assert kernel.grad.stride() == stride
            if how == "in place":
                assert kernel.data_ptr() == place
                kernel.data.mul_(0)
            else:
                kernel.data = kernel.data * 0

    monkeypatch.setattr(get_plugin_manager(), "notify", look)
    trainer = ATTrainer(classifier, max_iter=2, averaging=create("averaging", "ema", start_epoch=0))
    model.features.conv2.register_forward_pre_hook(lambda *_: batches.append((kernel.stride() == stride, bool(kernel.any()))))
    trainer.fit(*make_data(8, shape=(1, 16, 16)), batch_size=8, nb_epochs=2, seed=0, verbose=False)
    assert trainer.execution.channels_last
    assert trainer.execution.phase_gradients
    assert between == [
        (event, True, False) for event in ("fairart_fit_start", "fairart_epoch_end", "fairart_epoch_end", "fairart_fit_end")
    ]
    # What a plugin makes of the weights is what the next epoch begins with.
    assert batches == [(False, True)] * 3 + [(False, False)] * 3
    assert all(value.is_contiguous() for value in trainer.method.averaging.average.values())
