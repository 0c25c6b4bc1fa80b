"""What every registered trainer promises: one table of promises, trainers and numbers of classes."""

import copy
import json
import warnings

import numpy as np
import pytest
import torch

from fairart import create, registered
from fairart.engine.loop import Engine

from .conftest import OPTIONS, fit, make_data, make_trainer

pytestmark = pytest.mark.filterwarnings("ignore:weight averaging took in none")
TRAINERS = list(registered("trainer"))
TABLE = [(name, size) for name in TRAINERS for size in (2, 3, 10)]
every = pytest.mark.parametrize(("name", "size"), TABLE, ids=lambda value: str(value))


def plain(value):
    """Numbers of a state as lists, so that two states compare."""
    if isinstance(value, torch.Tensor):
        return value.tolist()
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value


def states(trainer):
    return {kind: plain(policy.state_dict()) for kind, policy in trainer.method.policies()}


@every
def test_one_run_trains_in_place_and_leaves_the_rest_alone(name, size):
    trainer = make_trainer(name, size)
    model = trainer.get_classifier().model
    model.eval()
    model[2].train()
    modes = [module.training for module in model.modules()]
    before = copy.deepcopy(model.state_dict())
    random = torch.get_rng_state().clone(), np.random.get_state()[1].copy()  # noqa: NPY002
    fit(trainer, size)
    assert [module.training for module in model.modules()] == modes
    assert not torch.equal(before["2.running_mean"], model[2].running_mean), "batch-norm must learn"
    assert not torch.equal(before["1.weight"], model[1].weight)
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert torch.equal(random[0], torch.get_rng_state())
    assert np.array_equal(random[1], np.random.get_state()[1])  # noqa: NPY002
    assert len(trainer.history) == 3
    for record in trainer.history:
        assert np.isfinite(record.loss)
        assert record.epsilons.shape == record.class_weights.shape == (size,)
        json.loads(record.to_json())
    assert trainer.predict(make_data(size)[0]).shape == (8 * size, size)


@every
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(name, size):
    first, again, other = (fit(make_trainer(name, size), size, nb_epochs=2, seed=seed) for seed in (1, 1, 2))
    one, two, three = (trainer.get_classifier().model.state_dict() for trainer in (first, again, other))
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert not torch.equal(one["1.weight"], three["1.weight"])


@every
def test_every_perturbation_stays_within_the_budget_of_its_class_and_the_clip_values(name, size, monkeypatch):
    trainer, seen = make_trainer(name, size), []
    make = Engine._examples

    def watched(self, batch, meter):
        examples = make(self, batch, meter)
        for one in examples:
            distance = (one - batch.x).abs().flatten(1).amax(dim=1)
            seen.append(float((distance - self.method.objective.budget_factor * self._eps[batch.y]).max()))
            if not getattr(trainer.augmentation, "leaves_range", False):  # its noise is not clipped
                assert one.min() >= 0
                assert one.max() <= 1
        return examples

    monkeypatch.setattr(Engine, "_examples", watched)
    fit(trainer, size)
    assert seen
    assert max(seen) <= 1e-6


@every
def test_a_class_absent_from_the_data_and_unbalanced_others_do_no_harm(name, size):
    trainer = make_trainer(name, size)
    x, y = make_data(size, per_class=12)
    # The last class is absent where two others remain; class 0 has a third of the samples of the rest.
    keep = ((y != size - 1) | (size == 2)) & ((y != 0) | (np.arange(len(y)) % 3 == 0))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="no training sample of class")
        trainer.fit(x[keep], y[keep], batch_size=7, nb_epochs=4, seed=0, verbose=False)
    last = trainer.history[-1]
    assert np.isfinite(last.loss)
    assert all(np.isfinite(plan).all() and (plan >= 0).all() for plan in (last.epsilons, last.class_weights))
    if size > 2:
        assert np.isnan(last.robust.class_accuracy[-1])


@every
def test_the_state_of_every_policy_survives_a_round_trip(name, size):
    trained, fresh = fit(make_trainer(name, size), size), make_trainer(name, size)
    for (kind, policy), (_, other) in zip(trained.method.policies(), fresh.method.policies(), strict=True):
        other.load_state_dict(copy.deepcopy(policy.state_dict()))
        assert plain(other.state_dict()) == plain(policy.state_dict()), kind
    # The same statistics move both alike: nothing that matters is outside the state.
    fresh._start_policies()
    weights = {key: value.clone() for key, value in trained.get_classifier().model.state_dict().items()}
    for trainer in (trained, fresh):
        for kind, policy in trainer.method.policies():
            if kind == "averaging":
                policy.update(weights, trained.history[-1].statistics)
            elif hasattr(policy, "update"):
                policy.update(trained.history[-1].statistics)
    assert states(trained) == states(fresh)


@pytest.mark.parametrize("name", TRAINERS)
def test_the_signature_shows_the_options_and_refuses_others(name):
    with pytest.raises(ValueError, match="no option 'epss'"):
        create("trainer", name, classifier=make_trainer(name, 2).get_classifier(), **{**OPTIONS, "epss": 0.1})
