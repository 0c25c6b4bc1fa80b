"""Every combination of parts runs, or is refused with its reason before any training."""

import itertools
import random

import pytest
from art.attacks.evasion import ProjectedGradientDescent

from fairart import create, registered
from fairart.trainers import FairnessTrainer

from .conftest import OPTIONS, fit, make_classifier

pytestmark = pytest.mark.filterwarnings("ignore:weight averaging took in none")
NEEDS_BOUNDARY = {"ccr", "frl"}
NO_BOUNDARY = {"standard", "at", "fat", "fgsm-rs", "n-fgsm"}
NO_TARGETS = {"standard", "bat"}

PARTS = {
    "objective": list(registered("objective")),
    "target_sampler": [None, *registered("target_sampler")],
    "epsilon_scheduler": list(registered("epsilon_scheduler")),
    "class_weighting": list(registered("class_weighting")),
}


def reason(objective, target_sampler, epsilon_scheduler, class_weighting):
    """What the refusal must be about; None where the parts go together."""
    if target_sampler is not None and objective in NO_TARGETS:
        return "target_sampler: .* would go unused"
    if objective == "standard" and epsilon_scheduler != "constant":
        return "epsilon_scheduler: .* attacks nothing"
    if class_weighting in NEEDS_BOUNDARY and objective in NO_BOUNDARY:
        return "class_weighting: .* has no boundary term"
    return None


def test_a_sample_of_all_combinations_is_built_or_refused_with_its_reason():
    classifier, built = make_classifier(3), 0
    every = list(itertools.product(*PARTS.values()))
    for values in random.Random(0).sample(every, 300):
        parts, expected = dict(zip(PARTS, values, strict=True)), reason(*values)
        if expected is None:
            FairnessTrainer(classifier, **parts, **OPTIONS)
            built += 1
        else:
            with pytest.raises(ValueError, match=expected):
                FairnessTrainer(classifier, **parts, **OPTIONS)
    assert built > 80


@pytest.mark.parametrize("weighting", registered("class_weighting"))
@pytest.mark.parametrize("sampler", registered("target_sampler"))
def test_targets_train_with_every_weighting_awp_and_averaging(sampler, weighting):
    trainer = FairnessTrainer(
        make_classifier(3),
        objective="trades",
        target_sampler=sampler,
        class_weighting=weighting,
        epsilon_scheduler="ccm",
        weight_perturbation="awp",
        averaging=create("averaging", "fawa", threshold=0.0, start_epoch=1),
        **OPTIONS,
    )
    fit(trainer, 3)
    assert [record.averaged for record in trainer.history] == [False, True, True]


@pytest.mark.parametrize("averaging", [None, "ema", "fawa"])
@pytest.mark.parametrize("objective", ["at", "trades", "fat"])
@pytest.mark.parametrize("name", ["fair-tat", "fair-tat-uniform", "fair-tat-fixed-eps"])
def test_fair_tat_over_every_objective_plain_ema_and_fawa(name, objective, averaging):
    trainer = create("trainer", name, classifier=make_classifier(3), objective=objective, averaging=averaging, **OPTIONS)
    fit(trainer, 3, nb_epochs=2)
    varies = len(set(trainer.history[-1].epsilons)) > 1
    assert varies == (name != "fair-tat-fixed-eps")


def test_an_art_attack_is_refused_where_it_goes_unused_or_makes_too_few_examples():
    classifier = make_classifier(3)
    attack = ProjectedGradientDescent(classifier, eps=0.1, eps_step=0.05, max_iter=2, verbose=False)
    with pytest.raises(ValueError, match=r"ProjectedGradientDescent makes one example a sample, .* needs 2"):
        FairnessTrainer(classifier, objective="bat", attack=attack, **OPTIONS)
    with pytest.raises(ValueError, match="attack: ProjectedGradientDescent would go unused"):
        FairnessTrainer(classifier, objective="standard", attack=attack, **OPTIONS)
