"""Each rule of augmentations, and the one of soft labels, is broken once, and the message says which."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fairart import create
from fairart.engine.data.augmentation import Augmentation, EachSample, Mixing
from fairart.errors import OptionError
from fairart.objectives import ATObjective, Batch
from fairart.policies import LossTerms
from fairart.testing import check_augmentation, check_objective


class Changed(Augmentation):
    def __init__(self, change: Callable[[Tensor, torch.Generator], Any]) -> None:
        self.change = change

    def images(self, x: Tensor, generator: torch.Generator) -> Any:
        return self.change(x, generator)


def noise(x: Tensor, **options: Any) -> Tensor:
    return (x + 0.1 * torch.rand(x.shape, dtype=x.dtype, **options)).clamp(0, 1)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda x, g: x[:, :, 1:], r"must return floating-point images \(7, 1, 8, 8\)"),
        (lambda x, g: x.numpy(), "must return floating-point images"),
        (lambda x, g: x.float(), "expected images of type torch.float64, got torch.float32"),
        (lambda x, g: x + 0.5, r"values in \[0, 1\] must stay there"),
        (lambda x, g: x * float("nan"), "images must be finite"),
        (lambda x, g: x.mul_(0.5), "must not be changed in place"),
        (lambda x, g: noise(x), "global random states must stay as they are"),
        (lambda x, g: noise(x, generator=g), "a part of a batch must get the draws of its rows"),
        (lambda x, g: noise(x, generator=torch.Generator().manual_seed(torch.initial_seed())), "must give the same images"),
    ],
)
def test_augmentations(change: Any, rule: str) -> None:
    with pytest.raises(AssertionError, match=rule):
        check_augmentation(Changed(change))


class Mixed(Mixing):
    def __init__(self, partner: Callable[[int], Tensor], share: Callable[[int], Tensor]) -> None:
        self.partner, self.share = partner, share

    def mixed(self, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        return x, self.partner(len(x)), self.share(len(x))


@pytest.mark.parametrize(
    ("partner", "share", "rule"),
    [
        (lambda n: torch.full((n,), n), torch.ones, "the row of each one's partner"),
        (torch.zeros, torch.ones, "the row of each one's partner"),
        (torch.arange, lambda n: torch.full((n,), 1.5), "shares of the own label"),
        (torch.arange, lambda n: torch.ones(n, 1), "shares of the own label"),
    ],
)
def test_what_mixes(partner: Any, share: Any, rule: str) -> None:
    with pytest.raises(AssertionError, match=rule):
        check_augmentation(Mixed(partner, share))


def test_one_that_refuses_everything_is_not_checked_by_nothing() -> None:
    class Refuses(Augmentation):
        def check(self, input_shape: tuple[int, ...]) -> None:
            raise OptionError("no")

    with pytest.raises(AssertionError, match=r"refuses images of every shape that was tried: \(1, 8, 8\)"):
        check_augmentation(Refuses())
    with pytest.raises(AssertionError, match=r"expected an instance of .*Augmentation"):
        check_augmentation(create("objective", "at"))


def test_transforms_of_torchvision_pass() -> None:
    v2 = pytest.importorskip("torchvision.transforms.v2")
    check_augmentation(EachSample(v2.Compose([v2.RandomHorizontalFlip(), v2.RandomErasing(1.0)])))


def test_an_objective_that_leaves_soft_labels_out() -> None:
    class Hard(ATObjective):
        def losses(self, network: nn.Module, batch: Batch, examples: tuple[Tensor, ...]) -> LossTerms:
            logits = network(examples[0])
            return LossTerms(natural=nn.functional.cross_entropy(logits, batch.y, reduction="none"), adversarial_logits=logits)

    with pytest.raises(AssertionError, match=r"Hard: takes_soft_labels is True, and losses\(\) does not depend on them"):
        check_objective(Hard())
