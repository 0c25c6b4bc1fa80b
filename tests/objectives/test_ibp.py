"""Training on interval bounds: the loss by hand and by ART, ramps, what is refused, and certified accuracy that grows."""

import copy
import pickle

import numpy as np
import pytest
import torch
from art.defences.preprocessor.preprocessor import PreprocessorPyTorch
from art.estimators.certification.interval import PyTorchIBPClassifier
from torch import nn
from torch.nn import functional as F

from fairart import create
from fairart.errors import OptionError
from fairart.evaluation import evaluate
from fairart.objectives import Batch
from fairart.trainers import ATTrainer, FairnessTrainer, IBPTrainer


def batch_of(x, y, *, eps=0.05, progress=1.0, **options):
    radii = torch.full((len(y),), eps)
    return Batch(x=x, y=y, eps=radii, eps_step=radii / 4, max_iter=1, progress=progress, **options)


def dense(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3))


X, Y = torch.rand(7, 8, generator=torch.Generator().manual_seed(3)), torch.arange(7) % 3


def worst_logits_by_hand(model, eps):
    """Gowal et al., Eq. 6, and Eq. 8 with the last layer folded in."""
    first, _, last = model
    lower, upper = (X - eps).clamp(min=0), (X + eps).clamp(max=1)
    centre, radius = (upper + lower) / 2, (upper - lower) / 2
    centre, radius = centre @ first.weight.T + first.bias, radius @ first.weight.abs().T
    low, high = (centre - radius).relu(), (centre + radius).relu()
    worst = torch.zeros(7, 3)
    for i, label in enumerate(Y.tolist()):
        for k in range(3):
            difference = last.weight[k] - last.weight[label]
            worst[i, k] = (
                (difference.clamp(min=0) * high[i] + difference.clamp(max=0) * low[i]).sum() + last.bias[k] - last.bias[label]
            )
    return worst


@pytest.mark.parametrize("kappa", [0.0, 0.5, 1.0])
def test_the_loss_is_the_papers(kappa):
    model = dense()
    terms = create("objective", "ibp", kappa=kappa).losses(model, batch_of(X, Y), (X,))
    worst = worst_logits_by_hand(model, 0.05)
    expected = kappa * F.cross_entropy(model(X), Y, reduction="none") + (1 - kappa) * F.cross_entropy(worst, Y, reduction="none")
    torch.testing.assert_close(terms.total(), expected)
    torch.testing.assert_close(terms.adversarial_logits, worst)
    torch.testing.assert_close(terms.clean_logits, model(X))


@pytest.mark.filterwarnings("ignore:\\nThis estimator")
def test_without_folding_it_is_arts_loss():
    """ART takes the bounds of each logit by itself, so its loss is never the smaller one; alike where nothing is to fold."""
    art = PyTorchIBPClassifier(dense(), nn.CrossEntropyLoss(), (8,), 3, clip_values=(0, 1), device_type="cpu")
    bounds = torch.from_numpy(art.predict_intervals(X.numpy(), bounds=0.05, limits=[0.0, 1.0]))
    theirs = float(art.interval_loss_cce(bounds.clone(), Y))
    ours = float(create("objective", "ibp", kappa=0.0).losses(dense(), batch_of(X, Y), (X,)).total().detach().mean())
    assert ours <= theirs
    exact = torch.from_numpy(art.predict_intervals(X.numpy(), bounds=0.0, limits=[0.0, 1.0]))
    plain = float(create("objective", "ibp", kappa=0.0).losses(dense(), batch_of(X, Y, eps=0.0), (X,)).total().detach().mean())
    assert float(art.interval_loss_cce(exact, Y).detach()) == pytest.approx(plain, rel=1e-5)


def test_eps_and_kappa_are_ramped():
    objective = create("objective", "ibp", kappa=0.2, warm_up=0.1, ramp=0.4)
    assert [objective.risen(progress) for progress in (0.0, 0.09, 0.1, 0.3, 0.5, 0.9)] == pytest.approx([0, 0, 0, 0.5, 1, 1])
    assert create("objective", "ibp", warm_up=0.1, ramp=0).risen(0.1) == 1
    model = dense()
    half = objective.losses(model, batch_of(X, Y, progress=0.3), (X,)).total()
    worst = worst_logits_by_hand(model, 0.025)
    expected = 0.6 * F.cross_entropy(model(X), Y, reduction="none") + 0.4 * F.cross_entropy(worst, Y, reduction="none")
    torch.testing.assert_close(half, expected)
    before = objective.losses(model, batch_of(X, Y, progress=0.05), (X,)).total()
    torch.testing.assert_close(before, F.cross_entropy(model(X), Y, reduction="none"))


def test_the_progress_of_training_reaches_it(make_classifier, make_data):
    seen = []

    class Watching(type(create("objective", "ibp"))):
        def losses(self, network, batch, examples):
            seen.append(batch.progress)
            return super().losses(network, batch, examples)

    trainer = FairnessTrainer(make_classifier(), objective=Watching(), eps=0.1)
    trainer.fit(*make_data(30), batch_size=10, nb_epochs=2, seed=0, verbose=False)
    np.testing.assert_allclose(seen, np.arange(6) / 6)


def test_it_can_be_copied_and_pickled():
    objective = create("objective", "ibp", kappa=0.3)
    objective.losses(dense(), batch_of(X, Y), (X,))
    for other in (copy.deepcopy(objective), pickle.loads(pickle.dumps(objective))):  # noqa: S301  # our own bytes
        assert other.kappa == 0.3
        other.losses(dense(), batch_of(X, Y), (X,))


def test_training_certifies_what_adversarial_training_does_not(make_classifier, make_data):
    x, y = make_data(60, seed=0)
    held = make_data(60, seed=8)
    found = {}
    for name, make in (("ibp", IBPTrainer), ("at", ATTrainer)):
        trainer = make(make_classifier(lr=0.01), eps=0.1, max_iter=3, gradient_clipping=5.0)
        trainer.fit(x, y, batch_size=20, nb_epochs=40, seed=0, verbose=False)
        result = evaluate(trainer.get_classifier(), *held, attacks=(), certificates=[("ibp", {"eps": 0.1})], verbose=False)
        found[name] = result.certificates["ibp"].accuracy_at(0.1)
    assert found["ibp"] > 0.6
    assert found["ibp"] > found["at"] + 0.3


def test_what_it_cannot_train_is_refused_when_the_trainer_is_made(make_classifier):
    with pytest.raises(ValueError, match="is defined for budgets in L-inf alone, got norm=2"):
        IBPTrainer(make_classifier(), norm=2)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.GELU(), nn.Linear(8, 3))
    with pytest.raises(OptionError, match=r"objective 'ibp' cannot bound this network: layer .*GELU"):
        IBPTrainer(make_classifier(model=model))

    class Squaring(PreprocessorPyTorch):
        def forward(self, x, y=None):
            return x**2, y

    with pytest.raises(OptionError, match="bounds preprocessing by mean and standard deviation alone"):
        IBPTrainer(make_classifier(preprocessing_defences=Squaring(apply_fit=True, apply_predict=True)))
    with pytest.raises(ValueError, match=r"would go unused, .* attacks nothing"):
        IBPTrainer(make_classifier(), target_sampler="cfps")
    with pytest.raises(ValueError, match="mixed samples have two labels"):
        IBPTrainer(make_classifier(), augmentation="mixup")


def test_class_wise_budgets_are_those_of_its_balls(make_classifier, make_data):
    trainer = IBPTrainer(make_classifier(), eps=0.05, epsilon_scheduler="ccm")
    trainer.fit(*make_data(30), batch_size=10, nb_epochs=3, seed=0, verbose=False)
    assert not np.allclose(trainer.history[-1].epsilons, 0.05)
