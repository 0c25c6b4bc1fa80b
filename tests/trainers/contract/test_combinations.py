"""Every combination of parts runs, or is refused with its reason before any training."""

import importlib.util
import random
from pathlib import Path

import numpy as np
import pytest
from art.attacks.evasion import ProjectedGradientDescent

from fairart import create
from fairart.trainers import FairnessTrainer
from fairart.trainers.parts import PART_OF_KIND

from .conftest import OPTIONS, fit, make_classifier

SCRIPT = Path(__file__).parents[3] / "docs" / "hooks" / "combinations.py"
_spec = importlib.util.spec_from_file_location("combinations", SCRIPT)
combinations = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(combinations)

pytestmark = pytest.mark.filterwarnings("ignore:weight averaging took in none")
NEEDS_BOUNDARY = {"ccr", "frl"}
NO_BOUNDARY = {"standard", "at", "fat", "fgsm-rs", "n-fgsm", "ibp"}
NO_TARGETS = {"standard", "bat", "ibp"}

KINDS = {kind: [name for _, name in combinations.parts(kind)] for kind in PART_OF_KIND}
NEVER_NONE = {"objective", "epsilon_scheduler", "class_weighting"}


def reason(chosen):
    """What the refusal must be about; None where the parts go together."""
    objective = chosen["objective"]
    if "target_sampler" in chosen and objective in NO_TARGETS:
        return "target_sampler: .* would go unused"
    if objective == "standard" and chosen["epsilon_scheduler"] != "constant":
        return "epsilon_scheduler: .* attacks nothing"
    if chosen["class_weighting"] in NEEDS_BOUNDARY and objective in NO_BOUNDARY:
        return "class_weighting: .* has no boundary term"
    return None


def test_the_table_of_pairs_in_the_documentation_is_what_training_them_gives():
    page = combinations.PAGE.read_text(encoding="utf-8")
    assert combinations.written(page, combinations.table()) == page, "run: python docs/hooks/combinations.py"


def sampled(number):
    draw = random.Random(0)
    for _ in range(number):
        names = {kind: draw.choice([*names, *([] if kind in NEVER_NONE else [None])]) for kind, names in KINDS.items()}
        yield {kind: name for kind, name in names.items() if name is not None}


def test_a_sample_of_all_combinations_trains_or_is_refused_with_its_reason():
    trained = 0
    for chosen in sampled(300):
        expected = reason(chosen)
        if expected is None:
            assert np.isfinite(combinations.trained(chosen).history[-1].loss), chosen
            trained += 1
        else:
            with pytest.raises(ValueError, match=expected):
                combinations.trained(chosen)
    assert trained > 150


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
