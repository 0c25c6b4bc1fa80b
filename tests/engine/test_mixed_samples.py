"""Training on mixed samples: what they count as, what they are aimed at, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from art.attacks.evasion import ProjectedGradientDescent
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from fairart import create, registered
from fairart.attacks import early_stopped_pgd, pgd
from fairart.attacks.common import kl_divergence
from fairart.errors import OptionError, UnknownNameError
from fairart.objectives import ATObjective, Batch, StandardObjective
from fairart.policies import TargetSampler
from fairart.statistics import ConfusionMatrix, EpochStatistics
from fairart.trainers import ATTrainer, FairnessTrainer, FairTATTrainer, MARTTrainer

Make = Callable[..., Any]
MIXUP = "crop-flip,mixup"
SHARES = torch.tensor([[0.7, 0.3, 0.0], [0.0, 0.5, 0.5], [1.0, 0.0, 0.0]])


def batch(**options: Any) -> Batch:
    settings = {"eps": torch.full((3,), 0.3), "eps_step": torch.full((3,), 0.1), "max_iter": 3, "soft_labels": SHARES}
    settings["generator"] = torch.Generator().manual_seed(0)
    return Batch(x=torch.full((3, 2), 0.5), y=torch.tensor([0, 1, 0]), **{**settings, **options})


class Linear(nn.Module):
    """Three fixed classes on two features."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 3, bias=False)
        with torch.no_grad():
            self.linear.weight.copy_(torch.tensor([[4.0, 0.0], [0.0, 4.0], [-3.0, -3.0]]))

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x)


def soft_cross_entropy(logits: Tensor, shares: Tensor) -> Tensor:
    return -(shares * F.log_softmax(logits, dim=1)).sum(dim=1)


def test_the_loss_is_the_soft_cross_entropy_and_smoothing_goes_on_top() -> None:
    logits = torch.randn(3, 3, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(batch().classification(logits), soft_cross_entropy(logits, SHARES))
    smoothed = batch(label_smoothing=0.1).classification(logits)
    torch.testing.assert_close(smoothed, soft_cross_entropy(logits, 0.9 * SHARES + 0.1 / 3))


def test_untargeted_samples_are_attacked_on_their_shares_and_targeted_ones_on_their_target() -> None:
    assert batch().aims is SHARES
    aims = batch(targets=torch.tensor([2, 1, 1])).aims
    torch.testing.assert_close(aims, torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.5, 0.5], [0.0, 1.0, 0.0]]))


def test_pgd_climbs_the_soft_cross_entropy() -> None:
    model, one = Linear(), batch()
    start = one.x + 0.01
    got = pgd(model, one.x, one.aims, start=start, **{**one.budget, "max_iter": 1})
    inputs = start.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(soft_cross_entropy(model(inputs), SHARES).sum(), inputs)
    torch.testing.assert_close(got, (start + 0.1 * gradient.sign()).clamp(0.2, 0.8))
    hard = pgd(model, one.x, F.one_hot(one.y, 3).float(), start=start, **one.budget)
    torch.testing.assert_close(hard, pgd(model, one.x, one.y, start=start, **one.budget))


def test_friendly_training_stops_by_the_larger_label_and_climbs_the_soft_cross_entropy() -> None:
    model, one = Linear(), batch()
    made = early_stopped_pgd(model, one.x, one.y, aims=one.aims, start=one.x + 0.01, tau=9, **one.budget)
    torch.testing.assert_close(made, pgd(model, one.x, one.aims, start=one.x + 0.01, **one.budget))
    at_once = early_stopped_pgd(model, one.x, torch.full((3,), 2), aims=one.aims, start=one.x + 0.01, tau=0, **one.budget)
    torch.testing.assert_close(at_once, one.x + 0.01)


@pytest.mark.parametrize("name", ["standard", "at", "trades", "fat", "bat", "fgsm-rs", "n-fgsm"])
def test_every_term_of_every_objective(name: str) -> None:
    model, one, objective = Linear(), batch(), create("objective", name)
    made = objective.examples(model, one)
    examples = made if isinstance(made, tuple) else (made,)
    terms = objective.losses(model, one, examples)
    on_clean = name in ("standard", "trades")
    logits = model(one.x if on_clean else examples[0])
    torch.testing.assert_close(terms.natural, soft_cross_entropy(logits, SHARES))
    if terms.boundary is not None:
        torch.testing.assert_close(terms.boundary, kl_divergence(model(examples[-1]), model(one.x)))


def after_an_epoch(name: str, nb_classes: int, seed: int) -> TargetSampler:
    sampler: TargetSampler = create("target_sampler", name)
    sampler.start(nb_classes)
    counts = np.random.default_rng(seed).integers(0, 9, (nb_classes, nb_classes)) * (np.arange(nb_classes) != 1)
    sampler.update(EpochStatistics(epoch=0, robust=ConfusionMatrix(counts)))
    return sampler


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(sorted(registered("target_sampler"))),
    nb_classes=st.integers(3, 7),
    n=st.integers(1, 40),
    seed=st.integers(0, 500),
)
def test_no_target_is_one_of_the_two_labels(name: str, nb_classes: int, n: int, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    first, second = torch.randint(nb_classes, (2, n), generator=random)
    share = 0.5 + 0.5 * torch.rand(n, 1, generator=random)
    shares = torch.zeros(n, nb_classes).scatter_add_(1, first[:, None], share).scatter_add_(1, second[:, None], 1 - share)
    sampler, logits = after_an_epoch(name, nb_classes, seed), torch.randn(n, nb_classes, generator=random)
    targets = sampler.sample_apart(first, shares, logits=logits, generator=random)
    aimed = targets != first
    assert bool((shares.gather(1, targets[:, None])[:, 0] == 0)[aimed].all())
    assert bool(aimed.all()) or sampler.mixes


def test_targets_follow_the_samplers_probabilities_among_the_other_classes() -> None:
    sampler = create("target_sampler", "cfps")
    sampler.start(4)
    sampler._plan(np.tile([1.0, 2.0, 3.0, 4.0], (4, 1)))
    shares = torch.tensor([[0.6, 0.0, 0.0, 0.4]]).expand(30_000, 4)
    targets = sampler.sample_apart(torch.zeros(30_000, dtype=torch.int64), shares, generator=torch.Generator().manual_seed(0))
    counts = torch.bincount(targets, minlength=4)
    assert counts[[0, 3]].tolist() == [0, 0]
    assert float(counts[1]) / 30_000 == pytest.approx(2 / 5, abs=0.01)


def test_a_sampler_of_a_plugin_is_kept_apart_too() -> None:
    class Next(TargetSampler):
        def sample(self, labels: Tensor, *, logits: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
            return (labels + 1) % 4

    shares = torch.tensor([[0.6, 0.4, 0.0, 0.0], [0.6, 0.0, 0.4, 0.0]]).repeat(50, 1)
    targets = Next().sample_apart(torch.zeros(100, dtype=torch.int64), shares, generator=torch.Generator().manual_seed(0))
    assert targets[1::2].unique().tolist() == [1]
    assert targets[0::2].unique().tolist() == [2, 3]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Batch]:
    """The batches that an objective was given."""
    batches: list[Batch] = []
    examples = ATObjective.examples
    monkeypatch.setattr(
        ATObjective, "examples", lambda self, network, one: (batches.append(one), examples(self, network, one))[1]
    )
    return batches


def test_a_mixed_sample_counts_as_its_larger_label_for_budget_and_statistics(
    seen: list[Batch], make_classifier: Make, make_data: Make
) -> None:
    trainer = FairTATTrainer(make_classifier(), eps=0.2, eps_step=0.1, max_iter=2, augmentation=MIXUP)
    trainer.fit(*make_data(60), batch_size=20, nb_epochs=2, seed=0, verbose=False)
    eps = trainer.history[-1].epsilons
    support = np.zeros(3, dtype=int)
    for one in seen[3:]:
        torch.testing.assert_close(one.soft_labels.gather(1, one.y[:, None])[:, 0], one.soft_labels.amax(dim=1))
        np.testing.assert_allclose(one.eps.numpy(), eps[one.y.numpy()], rtol=1e-6)
        assert bool((one.soft_labels.gather(1, one.targets[:, None]) == 0).all())
        support += np.bincount(one.y.numpy(), minlength=3)
    assert trainer.history[-1].robust.support.tolist() == support.tolist()
    assert any(bool((one.soft_labels.amax(dim=1) < 0.9).any()) for one in seen)


@pytest.mark.filterwarnings("ignore:weight averaging took in none")
@pytest.mark.parametrize("weighting", sorted(set(registered("class_weighting")) - {"csr"}))
def test_every_other_class_weighting_trains_on_mixed_samples(weighting: str, make_classifier: Make, make_data: Make) -> None:
    options = {"objective": "trades", "class_weighting": weighting, "augmentation": "cutmix,mixup", "hold_out": 0.2}
    trainer = FairnessTrainer(make_classifier(), eps=0.1, max_iter=2, **options)
    trainer.fit(*make_data(40), batch_size=20, nb_epochs=2, seed=0, verbose=False)
    assert np.isfinite(trainer.history[-1].loss)


def test_what_cannot_train_on_mixed_samples_is_refused(make_classifier: Make) -> None:
    classifier = make_classifier()
    attack = ProjectedGradientDescent(classifier, eps=0.1, eps_step=0.05, max_iter=2, verbose=False)

    class Own(StandardObjective):
        takes_soft_labels = False

    refused: list[tuple[Callable[[], Any], str]] = [
        (
            lambda: MARTTrainer(classifier, augmentation="mixup"),
            "objective 'mart' of plugin 'fairart' needs one true class a sample",
        ),
        (
            lambda: FairnessTrainer(classifier, objective=Own(), augmentation="mixup"),
            "Own needs one true class a sample, or does not",
        ),
        (
            lambda: create("trainer", "csr", classifier=classifier, augmentation="cutmix"),
            "class_weighting 'csr' .* one true class",
        ),
        (
            lambda: ATTrainer(classifier, classification_loss="ldam", augmentation="mixup"),
            "classification_loss 'ldam' .* needs one true class a sample",
        ),
        (lambda: ATTrainer(classifier, attack=attack, augmentation="mixup"), "attack=ProjectedGradientDescent takes one label"),
        (
            lambda: FairTATTrainer(make_classifier(2), augmentation="mixup"),
            "target_sampler 'cfps' .* would find no class that is not in the sample, there are 2",
        ),
    ]
    for make, message in refused:
        with pytest.raises(ValueError, match=f"augmentation: mixed samples have two labels, and .*{message}"):
            make()
    ATTrainer(make_classifier(2), augmentation="mixup", classification_loss="balanced-softmax")
    MARTTrainer(classifier, augmentation="crop-flip,random-erasing")


@pytest.mark.parametrize(
    ("wanted", "error", "message"),
    [
        ("crop-filp", UnknownNameError, "there is no augmentation 'crop-filp'; did you mean 'crop-flip'"),
        ("mixup,crop-flip", OptionError, "only one that mixes too may come after it, got crop-flip: put mixup last"),
        (["cutmix", lambda x, generator: x], OptionError, "put cutmix last"),
        (["none", "crop-flip"], OptionError, "'none' stands for no augmentation at all"),
        ("none,none", OptionError, "'none' stands for no augmentation at all"),
        ("mixup:alfa=1", OptionError, "augmentation 'mixup' has no option 'alfa'; did you mean 'alpha'"),
        (3, TypeError, "augmentation must be None, a registered name, a function .*, got 3"),
        ([3], TypeError, "or a list of these, got 3"),
        (ATObjective, TypeError, "got the class ATObjective: make an instance of it"),
    ],
)
def test_bad_augmentations_are_refused(wanted: Any, error: type[Exception], message: str, make_classifier: Make) -> None:
    with pytest.raises(error, match=message):
        ATTrainer(make_classifier(), augmentation=wanted)


def test_inputs_that_an_augmentation_cannot_take_are_refused(make_classifier: Make) -> None:
    flat = make_classifier(model=nn.Linear(20, 3), input_shape=(20,))
    with pytest.raises(
        OptionError, match=r"augmentation 'crop-flip' .* expects images \(C, H, W\), got samples of shape \(20,\)"
    ):
        ATTrainer(flat, augmentation="crop-flip")
    with pytest.raises(OptionError, match=r"'augmix' .* expects images \(C, H, W\) with 1 or 3 channels, got .* \(2, 8, 8\)"):
        ATTrainer(make_classifier(input_shape=(2, 8, 8)), augmentation="augmix")
    with pytest.raises(OptionError, match="lowest and a highest value: give clip_values"):
        ATTrainer(make_classifier(clip_values=None), augmentation="randaugment")
    ATTrainer(make_classifier(input_shape=(2, 8, 8), clip_values=None), augmentation="crop-flip,mixup")


def test_names_functions_instances_and_transforms_go_together(make_classifier: Make, make_data: Make) -> None:
    from torchvision.transforms import v2

    order: list[str] = []

    def own(x: Tensor, generator: torch.Generator) -> Tensor:
        order.append("own")
        return x

    class Seen(v2.Identity):
        def forward(self, *inputs: Any) -> Any:
            order.append("v2")
            return super().forward(*inputs)

    wanted = ["crop-flip", own, Seen(), create("augmentation", "randaugment"), {"mixup": {"alpha": 0.4}}]
    trainer = ATTrainer(make_classifier(), max_iter=2, augmentation=wanted)
    trainer.fit(*make_data(12), batch_size=6, nb_epochs=1, seed=0, verbose=False)
    assert order[:7] == ["own", *["v2"] * 6]
    said = str(trainer.augmentation)
    assert said.startswith("crop-flip(padding=4), test_names")
    assert said.endswith("Seen(), randaugment(magnitude=9, num_ops=2), mixup(alpha=0.4, probability=1.0)")


def test_a_function_alone_is_called_as_it_is(make_classifier: Make) -> None:
    def own(x: Tensor, generator: torch.Generator) -> Tensor:
        return x

    assert ATTrainer(make_classifier(), augmentation=own).augmentation is own
    for nothing in (None, "none", [], ""):
        assert ATTrainer(make_classifier(), augmentation=nothing).augmentation is None
