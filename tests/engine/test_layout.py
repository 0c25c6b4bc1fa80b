"""Channels last by default: where a network runs so on the CPU, and found out without leaving a trace."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fairart.engine.layout import runs_with_channels_last
from fairart.engine.network import Network
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


class Failing(Convolved):
    def flat(self, features: Tensor) -> Tensor:
        raise LookupError


def flat_model() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 3))


@pytest.mark.parametrize(
    ("model", "runs"),
    [(Convolved, True), (Viewed, False), (ByStrides, False), (Noisy, False), (Failing, False), (flat_model, False)],
)
def test_what_runs_with_channels_last_is_found_by_trying(model: Callable[[], nn.Module], runs: bool, make_classifier: Make):
    classifier = make_classifier(model=model())
    assert runs_with_channels_last(Network(classifier), (1, 8, 8)) is runs
    assert ATTrainer(classifier).execution.channels_last is runs
    assert ATTrainer(classifier, channels_last=False).execution.channels_last is False


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


def test_between_epochs_plugins_see_the_weights_as_the_user_laid_them_out(
    make_classifier: Make, make_data: Make, monkeypatch: pytest.MonkeyPatch
):
    manager = get_plugin_manager()
    model = small_cnn(input_shape=(1, 8, 8), nb_classes=3, width=4)
    classifier = make_classifier(model=model)
    kernel, seen = model.features.conv2.weight, []
    place = kernel.data_ptr()

    def notify(event: str, **told: Any) -> None:
        momentum = classifier.optimizer.state[kernel].get("momentum_buffer", kernel)
        seen.append((event, kernel.data_ptr() == place, kernel.is_contiguous(), momentum.is_contiguous()))
        if event == "fairart_epoch_end":
            with torch.no_grad():
                kernel.mul_(0)

    monkeypatch.setattr(manager, "notify", notify)
    trainer = ATTrainer(classifier, max_iter=1, channels_last=True)
    model.features.conv2.register_forward_pre_hook(lambda *_: seen.append(("batch", kernel.is_contiguous(), bool(kernel.any()))))
    trainer.fit(*make_data(8), batch_size=8, nb_epochs=2, seed=0, verbose=False)
    assert [entry for entry in seen if entry[0] != "batch"] == [
        (event, True, True, True) for event in ("fairart_fit_start", "fairart_epoch_end", "fairart_epoch_end", "fairart_fit_end")
    ]
    # What a plugin does to the weights is what the next epoch begins with.
    batches = [entry for entry in seen if entry[0] == "batch"]
    assert batches[0] == ("batch", False, True)
    assert batches[len(batches) // 2] == ("batch", False, False)
