"""What a model must return: one clear error for each fault, in training and in evaluation, before any work is done."""

from __future__ import annotations

import copy
from collections import OrderedDict
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from art.attacks.evasion import FastGradientMethod
from art.estimators.classification import PyTorchClassifier
from torch import nn

from fairart.engine.network import ModelError, Network, check_model
from fairart.evaluation import evaluate
from fairart.trainers import ATTrainer

SHAPE, CLASSES = (1, 4, 4), 3


class Made(nn.Module):
    """A linear network whose output goes through a function."""

    def __init__(self, output=lambda z: z, *, in_features=16, classes=CLASSES):
        super().__init__()
        self.norm = nn.BatchNorm2d(1)
        self.drop = nn.Dropout(0.5)
        self.linear = nn.Linear(in_features, classes)
        self.output = output

    def forward(self, x):
        return self.output(self.linear(self.drop(self.norm(x)).flatten(1)))


def classifier_of(model, **options):
    parameters = [parameter for parameter in model.parameters() if not isinstance(parameter, nn.UninitializedParameter)]
    optimizer = torch.optim.SGD(parameters, lr=0.1) if parameters else None
    return PyTorchClassifier(
        model,
        loss=options.pop("loss", nn.CrossEntropyLoss()),
        optimizer=optimizer,
        input_shape=SHAPE,
        nb_classes=CLASSES,
        clip_values=(0, 1),
        device_type="cpu",
        **options,
    )


@pytest.fixture
def data():
    random = np.random.default_rng(0)
    return random.random((12, *SHAPE), dtype=np.float32), np.arange(12) % CLASSES


def reshaped(z):
    return z.reshape(-1, CLASSES, 1)[:1]


FAULTS = {
    "too many classes": (lambda: Made(classes=5), "returns 5 logits, more than the 3 classes of the classifier"),
    "too few classes": (lambda: Made(classes=2), "returns 2 logits, fewer than the 3 classes of the classifier"),
    "tuple": (lambda: Made(lambda z: (z, z)), "returns a tuple of 2 values: .* return the logits alone"),
    "list": (lambda: Made(lambda z: [z]), "returns a list of 1 values"),
    "dict": (lambda: Made(lambda z: {"out": z}), "returns a dict with the keys 'out': .* name the logits 'logits'"),
    "no tensor": (lambda: Made(lambda z: z.detach().numpy()), "returns ndarray"),
    "classes": (lambda: Made(lambda z: z.argmax(1)), "returns a tensor of torch.int64: .* not predicted classes"),
    "one number a sample": (lambda: Made(lambda z: z[:, 0]), r"returns shape \(2,\) for two inputs: expected \(2, 3\)"),
    "a map": (lambda: Made(lambda z: z[:, :, None, None].expand(-1, -1, 2, 2)), r"returns shape \(2, 3, 2, 2\)"),
    "mixed samples": (lambda: Made(lambda z: z.reshape(1, -1)), "reshape or flatten mixes samples"),
    "mixed samples, more rows": (lambda: Made(lambda z: z.repeat(2, 1)), "reshape or flatten mixes samples"),
    "in_features": (lambda: Made(in_features=9), "raised RuntimeError for two inputs of shape .*another in_features"),
    "another device": (lambda: Made(lambda z: z.to("meta")), "returns a tensor on meta, the classifier is on cpu"),
    "NaN": (lambda: Made(lambda z: z * float("nan")), "returns NaN or infinite logits"),
    "infinite": (lambda: Made(lambda z: z / 0), "returns NaN or infinite logits"),
    "lazy": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(16, 4), nn.LazyLinear(CLASSES)), "lazy layers that are not init"),
    "an error of its own": (lambda: Made(lambda z: 1 / 0), "raised ZeroDivisionError for two inputs"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_fault_is_named_when_a_trainer_is_made(fault):
    make, message = FAULTS[fault]
    with pytest.raises(ModelError, match=message) as info:
        ATTrainer(classifier_of(make()))
    assert "\n" not in str(info.value)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_fault_is_named_before_an_evaluation(fault, data, tmp_path):
    make, message = FAULTS[fault]
    with pytest.raises(ModelError, match=message):
        evaluate(classifier_of(make()), *data, checkpoint=tmp_path / "kept", verbose=False)
    assert not (tmp_path / "kept").exists()


def frozen():
    return Made().requires_grad_(False)


def test_frozen_parameters_cannot_be_trained_but_evaluated(data):
    with pytest.raises(ModelError, match=r"all 4 parameters of the model are frozen"):
        ATTrainer(classifier_of(frozen()))
    assert 0 <= evaluate(classifier_of(frozen()), *data, attacks=(), verbose=False)["clean"].accuracy <= 1


def test_a_head_of_zeros_may_begin_a_training_but_is_no_model_to_evaluate(data):
    model = Made()
    nn.init.zeros_(model.linear.weight)
    nn.init.zeros_(model.linear.bias)
    ATTrainer(classifier_of(model))
    with pytest.raises(ModelError, match="returns the same output for every input"):
        evaluate(classifier_of(model), *data, verbose=False)


def test_two_equal_samples_are_no_fault(data):
    x, y = data
    x[1] = x[0]
    torch.manual_seed(0)
    assert evaluate(classifier_of(Made()), x, y, attacks=(), verbose=False)["clean"].accuracy >= 0


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (lambda z: z.softmax(1), r"returns probabilities \(rows sum to 1\): .* leave the softmax out"),
        (lambda z: z.log_softmax(1), "returns log-probabilities: .* leave the log-softmax out"),
    ],
)
def test_probabilities_are_warned_about_in_training(output, message, data):
    with pytest.warns(UserWarning, match=message):
        ATTrainer(classifier_of(Made(output)))


ADAPTED = {
    "a dict": lambda z: {"logits": z, "features": z * 0},
    "a ModelOutput": lambda z: SimpleNamespace(logits=z),
    "an ordered mapping": lambda z: OrderedDict(logits=z),
    "maps of one pixel": lambda z: z[:, :, None, None],
}


@pytest.mark.parametrize("options", [{}, {"precision": "bf16-mixed"}, {"channels_last": True}], ids=str)
@pytest.mark.parametrize("form", ADAPTED)
@pytest.mark.filterwarnings("ignore:the model returns .* its last two dimensions:UserWarning")
def test_logits_in_another_form_train_and_evaluate_like_plain_ones(form, options, data):
    torch.manual_seed(0)
    plain = Made()
    other = copy.deepcopy(plain)
    other.output = ADAPTED[form]
    results, logits = [], []
    for model in (plain, other):
        classifier = classifier_of(model)
        trainer = ATTrainer(classifier, eps=0.1, eps_step=0.05, max_iter=2, **options)
        trainer.fit(*data, batch_size=6, nb_epochs=2, seed=0, verbose=False)
        logits.append(trainer.predict(data[0], batch_size=5))
        attacks = [("pgd", {"eps": 0.2, "max_iter": 3}), ("square", {"eps": 0.2, "max_iter": 5})]
        results.append(evaluate(classifier, *data, attacks=attacks, verbose=False, sanity_samples=0))
    assert torch.equal(plain.linear.weight, other.linear.weight)
    np.testing.assert_allclose(logits[0], logits[1], rtol=1e-5, atol=1e-6)
    for label, result in results[0].items():
        assert np.array_equal(result.predictions, results[1][label].predictions)


def test_maps_of_one_pixel_are_said_once(data):
    with pytest.warns(UserWarning, match=r"returns \(2, 3, 1, 1\): its last two dimensions are left out") as found:
        ATTrainer(classifier_of(Made(ADAPTED["maps of one pixel"])))
    assert len(found) == 1


def test_an_art_attack_inside_needs_plain_logits():
    classifier = classifier_of(Made(ADAPTED["a dict"]))
    with pytest.raises(ModelError, match="an ART attack needs a model that returns logits"):
        ATTrainer(classifier, attack=FastGradientMethod(classifier))


def test_the_check_leaves_no_trace():
    model = Made().train()
    model.drop.eval()
    network = Network(classifier_of(model))
    model.drop.eval()
    before = copy.deepcopy(model.state_dict())
    modes = [module.training for module in model.modules()]
    torch.manual_seed(4)
    expected = torch.rand(3)
    torch.manual_seed(4)
    check_model(network, nb_classes=CLASSES, input_shape=SHAPE, training=True)
    assert torch.equal(torch.rand(3), expected)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_lbfgs_is_refused_by_name():
    model = Made()
    classifier = PyTorchClassifier(
        model,
        loss=nn.CrossEntropyLoss(),
        optimizer=torch.optim.LBFGS(model.parameters()),
        input_shape=SHAPE,
        nb_classes=CLASSES,
        clip_values=(0, 1),
        device_type="cpu",
    )
    with pytest.raises(ValueError, match="optimizer LBFGS needs a closure"):
        ATTrainer(classifier)
