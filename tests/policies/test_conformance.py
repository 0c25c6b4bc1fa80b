"""Every registered policy and objective passes the checks that plugin authors run."""

import pytest

from fairart import create, registered, testing

CHECKS = {
    "target_sampler": testing.check_target_sampler,
    "epsilon_scheduler": testing.check_epsilon_scheduler,
    "class_weighting": testing.check_class_weighting,
    "classification_loss": testing.check_classification_loss,
    "class_sampling": testing.check_class_sampling,
    "weight_perturbation": testing.check_weight_perturbation,
    "averaging": testing.check_averaging,
    "objective": testing.check_objective,
}
NAMES = [(kind, name) for kind in CHECKS for name in registered(kind)]


@pytest.mark.parametrize(("kind", "name"), NAMES, ids=lambda value: value)
def test_registered_part_passes_its_check(kind, name):
    CHECKS[kind](create(kind, name))


@pytest.mark.parametrize(
    ("kind", "name", "options"),
    [
        ("class_weighting", "frl", {"warm_up": 0}),
        ("class_weighting", "dafa", {"warm_up": 1, "strength": 50.0}),
        ("class_weighting", "faal", {"warm_up": None}),
        ("class_weighting", "faal", {"radius": 10.0}),
        ("class_weighting", "ccr", {"lambda2": 0.0, "start_epoch": 0}),
        ("epsilon_scheduler", "frl", {"warm_up": 0, "rate": 100.0}),
        ("epsilon_scheduler", "dafa", {"warm_up": 1, "strength": 50.0}),
        ("class_weighting", "cvar", {"alpha": 1e-3}),
        ("class_weighting", "group-dro", {"eta": 50.0}),
        ("classification_loss", "ldam", {"reweight_from": 0.0, "scale": 1.0}),
        ("classification_loss", "logit-adjusted", {"tau": 3.0}),
        ("classification_loss", "focal", {"gamma": 0.5}),
        ("classification_loss", "huber", {"delta": 1e-3}),
        ("classification_loss", "gce", {"q": 1e-3}),
        ("classification_loss", "gce", {"q": 1.0}),
        ("classification_loss", "sce", {"alpha": 0.0, "log_zero": -50.0}),
        ("class_sampling", "cfol", {"gamma": 1e-3, "eta": 10.0}),
        ("target_sampler", "trix", {"threshold": "median"}),
        ("target_sampler", "trix", {"threshold": 1.0}),
        ("objective", "n-fgsm", {"noise": 0.0}),
        ("weight_perturbation", "awp", {"warm_up": 1}),
    ],
)
def test_extreme_options_pass_too(kind, name, options):
    CHECKS[kind](create(kind, name, **options))
