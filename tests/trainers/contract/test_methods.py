"""What each method's preset makes of its options: parts, phases, one validation pass, warm starts."""

import inspect
import math

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from fairart.engine.validation import Validator
from fairart.plugins.options import declared_options
from fairart.policies import ClassWeighting
from fairart.trainers import CFATrainer, DAFATrainer, FAALTrainer, FairnessTrainer, FRLTrainer

from .conftest import OPTIONS, fit, make_classifier, make_data, make_trainer

pytestmark = pytest.mark.filterwarnings("ignore:weight averaging took in none")


@pytest.fixture
def passes(monkeypatch):
    """The attack of each pass over validation data."""
    seen, measure = [], Validator.measure

    def counted(self, generator):
        seen.append(self.attack)
        return measure(self, generator)

    monkeypatch.setattr(Validator, "measure", counted)
    return seen


def test_cfa_takes_its_margin_by_the_objective_and_ccr_only_with_a_boundary_term():
    over_trades, over_at = (CFATrainer(make_classifier(3), objective=name, **OPTIONS).method for name in ("trades", "at"))
    assert (over_trades.epsilon_scheduler.lambda1, over_at.epsilon_scheduler.lambda1) == (0.3, 0.5)
    assert type(over_trades.class_weighting).__name__ == "ClassCalibratedRegularisation"
    assert type(over_at.class_weighting).__name__ == "UniformWeighting"


def test_cfa_sets_in_at_its_start_epoch():
    trainer = fit(CFATrainer(make_classifier(3), start_epoch=2, **OPTIONS), 3, nb_epochs=4)
    assert [len(set(record.epsilons)) > 1 for record in trainer.history] == [False, False, True, True]
    assert [bool(np.ptp(record.class_weights)) for record in trainer.history] == [False, False, True, True]


@pytest.mark.parametrize(("variant", "weights", "margins"), [("rw", True, False), ("rm", False, True), ("rwrm", True, True)])
def test_frl_variants_move_what_they_say_after_the_warm_up_only(variant, weights, margins, passes):
    trainer = fit(FRLTrainer(make_classifier(3), variant=variant, warm_up=2, **OPTIONS), 3, nb_epochs=5)
    moved = [(bool(np.ptp(record.class_weights)), bool(np.ptp(record.epsilons))) for record in trainer.history]
    boundary = trainer.method.class_weighting.boundary_weights
    assert moved[:2] == [(False, False)] * 2
    assert any(each[1] for each in moved[2:]) == margins
    assert (any(each[0] for each in moved[2:]) or bool(np.ptp(boundary))) == weights
    assert len(passes) == 5
    assert {(attack.max_iter, attack.loss) for attack in passes} == {(20, "ce")}


@pytest.mark.parametrize("name", ["frl", "dafa", "faal"])
def test_the_warm_up_is_the_plain_objective_weight_for_weight(name):
    held = make_data(3, seed=5)
    ours = fit(make_trainer(name, 3, objective="trades", warm_up=3), 3, nb_epochs=3, validation_data=held)
    plain = fit(make_trainer("trades", 3), 3, nb_epochs=3, validation_data=held)
    one, two = (trainer.get_classifier().model.state_dict() for trainer in (ours, plain))
    for key in one:
        torch.testing.assert_close(one[key], two[key], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("averaging", [None, "fawa"])
def test_wat_measures_trades_losses_in_one_pass_that_fawa_shares(passes, averaging):
    trainer = fit(make_trainer("wat", 3, averaging=averaging), 3, nb_epochs=2)
    assert [attack.loss for attack in passes] == ["kl", "kl"]
    validation = trainer.history[-1].validation
    assert validation.natural_loss.shape == validation.boundary_loss.shape == (3,)
    assert (validation.boundary_loss >= 0).all()


def test_wat_weighs_the_class_with_the_largest_loss_most():
    trainer = fit(make_trainer("wat", 3), 3, nb_epochs=3)
    cumulated = sum(r.validation.natural_loss + 6 * r.validation.boundary_loss for r in trainer.history)
    assert np.argmax(trainer.method.class_weighting.current) == np.argmax(cumulated)


def test_dafa_takes_its_weights_once_and_both_parts_take_the_same():
    trainer = fit(DAFATrainer(make_classifier(3), warm_up=2, **OPTIONS), 3, nb_epochs=4)
    first, second, third, fourth = trainer.history
    assert (first.class_weights == 1).all()
    assert (second.class_weights == 1).all()
    assert np.ptp(third.class_weights) > 0
    np.testing.assert_array_equal(third.class_weights, fourth.class_weights)
    np.testing.assert_allclose(third.epsilons, OPTIONS["eps"] * third.class_weights)
    np.testing.assert_allclose(trainer.method.epsilon_scheduler.current_step, OPTIONS["eps_step"] * third.class_weights)
    assert third.class_weights.sum() == pytest.approx(3)


def test_faal_sets_in_for_the_last_two_epochs():
    trainer = FAALTrainer(make_classifier(3), **OPTIONS)
    active, weighting = [], trainer.method.class_weighting
    update = weighting.update
    weighting.update = lambda statistics: (active.append(weighting.active), update(statistics))
    fit(trainer, 3, nb_epochs=5)
    assert active == [False, False, False, True, True]


@pytest.mark.parametrize("name", ["frl", "faal"])
def test_a_warm_start_loads_the_weights_and_skips_the_warm_up(name, tmp_path):
    source = fit(make_trainer("trades", 3), 3).get_classifier().model.state_dict()
    save_file(source, tmp_path / "model.safetensors")
    trainer = make_trainer(name, 3, warm_start=tmp_path / "model.safetensors", eps_step=0.0)
    model = trainer.get_classifier().model
    assert trainer.method.class_weighting.active
    assert not torch.equal(model.state_dict()["1.weight"], source["1.weight"]), "nothing is changed before fit"
    for group in trainer.get_classifier().optimizer.param_groups:
        group["lr"] = 0.0
    trainer = make_trainer(name, 3, warm_start=str(tmp_path / "model.safetensors"))
    for group in trainer.get_classifier().optimizer.param_groups:
        group["lr"] = 0.0
    fit(trainer, 3, nb_epochs=1)
    weights = trainer.get_classifier().model.state_dict()
    assert torch.equal(weights["1.weight"], source["1.weight"])


def test_a_warm_start_of_another_model_or_a_damaged_file_is_refused(tmp_path):
    file = tmp_path / "model.safetensors"
    with pytest.raises(ValueError, match="there is no weight file"):
        make_trainer("frl", 3, warm_start=file)
    file.write_bytes(b"not weights")
    with pytest.raises(ValueError, match=r"warm_start: .*is a safetensors file that is damaged or not whole"):
        make_trainer("frl", 3, warm_start=file)
    save_file(make_classifier(4).model.state_dict(), file)
    with pytest.raises(ValueError, match=r"warm_start: .*does not fit the model: .*5\.bias"):
        make_trainer("frl", 3, warm_start=file)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("frl", {"variant": "both"}, "variant"),
        ("dafa", {"strength": -1.0}, "strength"),
        ("dafa", {"warm_up": 0}, "warm_up"),
        ("faal", {"radius": math.inf}, "radius"),
        ("cfa", {"start_epoch": -1}, "start_epoch"),
    ],
)
def test_own_options_are_checked(name, options, message):
    with pytest.raises(ValueError, match=message):
        make_trainer(name, 3, **options)


def test_a_presets_own_options_stand_beside_the_shared_ones_in_its_signature():
    declared = declared_options(FRLTrainer)
    assert declared["variant"].option.description
    assert declared["variant"].default == "rwrm"
    assert declared["class_weighting"].default == "frl"
    assert declared["eps"].option.low == 0
    assert "options" not in inspect.signature(FRLTrainer).parameters


def test_awp_over_faal_measures_batch_norm_once_a_batch():
    plain, awp = (
        fit(make_trainer("faal", 3, objective="trades", weight_perturbation=name), 3, nb_epochs=1) for name in (None, "awp")
    )
    steps = [int(trainer.get_classifier().model[2].num_batches_tracked) for trainer in (plain, awp)]
    assert steps[0] == steps[1] > 0
    weights = [trainer.get_classifier().model[1].weight for trainer in (plain, awp)]
    assert not torch.equal(*weights)


class Rising(ClassWeighting):
    """Weights that grow with the class."""

    def weights(self, statistics):
        return np.arange(1.0, statistics.robust.nb_classes + 1)


def test_a_strangers_preset_with_an_option_of_its_own_is_a_few_lines():
    class RisingTrainer(FairnessTrainer):
        """A preset of a stranger."""

        defaults = {"objective": "trades"}  # noqa: RUF012

        def __init__(self, classifier, *, rising: bool = True, **options):
            self.rising = rising
            super().__init__(classifier, **options)

        def default_part(self, kind, objective):
            return Rising() if kind == "class_weighting" and self.rising else super().default_part(kind, objective)

    assert {"rising", "eps"} <= declared_options(RisingTrainer).keys()
    trainer = fit(RisingTrainer(make_classifier(3), **OPTIONS), 3, nb_epochs=2)
    np.testing.assert_array_equal(trainer.history[-1].class_weights, [1, 2, 3])
