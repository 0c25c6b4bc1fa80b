"""Training with groups of the samples: which group a sample is in follows it everywhere, and group DRO weighs by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fairart import create
from fairart.engine import Checkpointing
from fairart.engine.checkpoints.folder import CheckpointError
from fairart.errors import PolicyError
from fairart.policies import ClassWeighting, LossTerms
from fairart.statistics import Groups
from fairart.testing import check_class_weighting
from fairart.trainers import ATTrainer, StandardTrainer, TRADESTrainer

Make = Callable[..., Any]
SITES = np.array(["north", "south", "east"])


def group_dro(**options: Any) -> ClassWeighting:
    return create("class_weighting", "group-dro", **options)


def terms_of(labels: Tensor, groups: Tensor | None, seed: int, nb_classes: int = 2) -> LossTerms:
    random = torch.Generator().manual_seed(seed)
    logits = torch.randn(len(labels), nb_classes, generator=random, dtype=torch.float64)
    losses = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    return LossTerms(natural=losses, adversarial_logits=logits, groups=groups)


@pytest.mark.parametrize("by", ["group", "class-in-group"])
def test_group_dro_follows_the_algorithm_of_its_paper_over_groups(by: str):
    eta, labels, groups = 0.3, torch.tensor([0, 1, 1, 0, 1, 0, 1]), torch.tensor([0, 0, 1, 1, 2, 2, 0])
    cells = (groups if by == "group" else 2 * groups + labels).numpy()
    number = 3 if by == "group" else 6
    weighting, shares = group_dro(eta=eta, by=by), np.full(number, 1 / number)
    weighting.groups = Groups.of(SITES)
    weighting.start(2)
    for seed in range(4):
        terms = terms_of(labels, groups, seed)
        means = np.array([terms.natural.numpy()[cells == cell].mean() for cell in range(number)])
        shares = shares * np.exp(eta * means)
        shares /= shares.sum()
        np.testing.assert_allclose(weighting.combine(terms, labels), shares @ means, rtol=1e-6)
        weighting.batch_end(terms, labels)
    found = weighting.group_weights()
    assert found is not None
    np.testing.assert_allclose(list(found.values()), number * shares, rtol=1e-6)
    names = ["east", "north", "south"]
    assert list(found) == (names if by == "group" else [f"{name} / {k}" for name in names for k in range(2)])
    # The classes themselves are weighed alike.
    assert weighting.weights(None).tolist() == [1, 1]


def test_group_dro_keeps_the_rules_with_groups_and_without():
    check_class_weighting(group_dro())
    check_class_weighting(group_dro(by="class-in-group"))


class _Forgetful(ClassWeighting):
    takes_groups = True


def test_a_weighting_of_groups_that_names_no_weights_is_caught():
    with pytest.raises(AssertionError, match=r"_Forgetful: group_weights\(\) must name a finite weight for each group"):
        check_class_weighting(_Forgetful())


def test_a_batch_without_groups_is_an_error():
    weighting = group_dro()
    weighting.groups = Groups.of(SITES)
    weighting.start(2)
    labels = torch.tensor([0, 1])
    with pytest.raises(PolicyError, match="it was started with groups, and the batch has none"):
        weighting.combine(terms_of(labels, None, 0), labels)


@pytest.mark.parametrize("trainer", [ATTrainer, TRADESTrainer])
def test_groups_that_are_the_classes_train_as_classes_do(
    trainer: type[ATTrainer], make_classifier: Make, make_data: Make, weights_of: Make, same_weights: Make
):
    x, y = make_data(30)

    def trained(**options: Any) -> Any:
        made = trainer(make_classifier(), class_weighting=group_dro(eta=0.5), eps=0.1, max_iter=2)
        made.fit(x, y, batch_size=8, nb_epochs=2, seed=0, verbose=False, **options)
        return weights_of(made.get_classifier()), made

    (by_class, first), (by_group, second) = trained(), trained(groups=y)
    assert same_weights(by_class, by_group)
    assert first.history[-1].group_weights is None
    weights = second.history[-1].group_weights
    assert weights is not None
    assert list(weights.values()) == pytest.approx(first.history[-1].class_weights.tolist())
    assert second.history[-1].class_weights.tolist() == [1, 1, 1]
    other, _ = trained(groups=np.arange(30) % 2)
    assert not same_weights(by_class, other)


class _Spy(ClassWeighting):
    """Remembers which group came with which image."""

    takes_groups = True

    def __init__(self) -> None:
        super().__init__()
        self._seen: list[tuple[float, int]] = []

    def batch_end(self, terms: LossTerms, labels: Tensor) -> None:
        assert terms.groups is not None
        self._seen += zip(terms.clean_logits[:, 0].tolist(), terms.groups.tolist(), strict=True)


@pytest.mark.parametrize(
    "options", [{}, {"class_sampling": "balanced"}, {"keep_best": "average", "hold_out": 0.2}], ids=["order", "drawn", "held out"]
)
def test_each_image_brings_its_own_group(options: dict[str, Any], make_data: Make, make_classifier: Make):
    x, y = make_data(24)
    # A model that answers with the number that is written into the first pixel.
    x[:, 0, 0, 0] = np.arange(24) / 24

    class Reads(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = torch.nn.Parameter(torch.zeros(1))

        def forward(self, x: Tensor) -> Tensor:
            number = x[:, 0, 0, 0]
            return torch.stack([number, 0 * number, 0 * number], dim=1) + 0 * self.scale

    spy = _Spy()
    trainer = TRADESTrainer(
        make_classifier(model=Reads(), lr=1e-9), class_weighting=spy, eps=0.0, max_iter=1, weight_perturbation=None, **options
    )
    trainer.fit(x, y, batch_size=7, nb_epochs=2, seed=0, verbose=False, groups=np.arange(24))
    assert spy.groups is not None
    assert len(spy._seen) >= 2 * 18
    for number, group in spy._seen:
        assert round(24 * number) == int(spy.groups.names[group])


@pytest.mark.parametrize(
    ("options", "fit", "told"),
    [
        ({"class_weighting": "ccr", "objective": "trades"}, {}, "groups would go unused: .* weighs classes alone"),
        ({"class_weighting": None}, {}, "groups would go unused"),
        ({"augmentation": "mixup"}, {}, r"a mixed sample \(MixUp, CutMix\) is of two groups"),
        ({}, {"extra_data": True}, "samples of extra_data have no group"),
        ({}, {"groups": [0, 1]}, "expected 24 values, one a training sample, got 2"),
        ({}, {"groups": np.linspace(0, 1, 24)}, "expected texts or whole numbers, got float64"),
    ],
)
def test_groups_that_would_go_unused_or_make_none_are_one_error(
    options: dict[str, Any],
    fit: dict[str, Any],
    told: str,
    make_classifier: Make,
    make_data: Make,
    weights_of: Make,
    same_weights: Make,
):
    x, y = make_data(24)
    classifier = make_classifier()
    before = weights_of(classifier)
    trainer = ATTrainer(classifier, **{"class_weighting": "group-dro", **options})
    fit = {"groups": np.arange(24) % 2, **fit, **({"extra_data": (x, y)} if "extra_data" in fit else {})}
    with pytest.raises(ValueError, match=told):
        trainer.fit(x, y, nb_epochs=1, verbose=False, **fit)
    assert same_weights(before, weights_of(classifier))


def test_a_resumed_fit_has_the_weights_of_one_that_never_stopped(
    tmp_path: Any, make_classifier: Make, make_data: Make, weights_of: Make, same_weights: Make
):
    (x, y), sites = make_data(24), SITES[np.arange(24) % 3]

    def fit(folder: Any, *, stop: bool = False, groups: Any = sites, resume: bool = True) -> Any:
        trainer = StandardTrainer(make_classifier(), class_weighting=group_dro(eta=1.0))
        scheduler = _Stopping(2 if stop else 99)
        trainer.fit(
            x,
            y,
            batch_size=8,
            nb_epochs=4,
            seed=1,
            verbose=False,
            groups=groups,
            scheduler=scheduler,
            scheduler_interval="epoch",
            checkpoint=Checkpointing(folder, resume=resume),
        )
        return weights_of(trainer.get_classifier()), trainer

    whole, trainer = fit(tmp_path / "whole", resume=False)
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "stopped", stop=True, resume=False)
    with pytest.raises(CheckpointError, match="3 groups by group"):
        fit(tmp_path / "stopped", groups=sites[::-1])
    resumed, other = fit(tmp_path / "stopped")
    assert same_weights(whole, resumed)
    assert other.history[-1].group_weights == trainer.history[-1].group_weights
    # A further fit with other groups begins with equal weights.
    trainer.fit(x, y, nb_epochs=1, seed=1, verbose=False, groups=y)
    assert list(trainer.history[-1].group_weights.values()) == [1, 1, 1]
    assert list(trainer.history[-1].group_weights) == ["0", "1", "2"]


class _Stopping:
    def __init__(self, after: int) -> None:
        self.left = after

    def step(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass
