"""evaluate(): right numbers, nothing taken on trust, nothing of the user's changed."""

import random

import numpy as np
import pytest
import torch
from torch import nn

from fairart.attacks import pgd
from fairart.engine.network import Network
from fairart.errors import PluginError
from fairart.evaluation import EvaluationError, evaluate

STRONG = {"eps": 0.15, "eps_step": 0.03, "max_iter": 5}


def run(classifier, digits, **options):
    options = {"attacks": [("pgd", STRONG)], "verbose": False, "batch_size": 50, **options}
    return evaluate(classifier, digits.x, digits.y, **options)


def test_clean_numbers_are_those_of_arts_predict(classifier, digits):
    result = run(classifier, digits, attacks=())
    assert list(result) == ["clean"]
    np.testing.assert_array_equal(result["clean"].predictions, classifier.predict(digits.x).argmax(axis=1))
    assert result["clean"].accuracy > 0.8
    assert result["clean"].perturbation is None


def test_attacked_numbers_are_those_of_the_attack_scored_by_hand(classifier, digits):
    fixed = {"eps": 0.1, "eps_step": 0.03, "max_iter": 4, "num_random_init": 0, "stop_when_fooled": False}
    result = run(classifier, digits, attacks=[("pgd", fixed)])
    network = Network(classifier).eval()
    x, y = torch.from_numpy(digits.x), torch.from_numpy(digits.y)
    x_adv = pgd(network, x, y, eps=0.1, eps_step=0.03, max_iter=4, start=x)
    by_hand = network(x_adv).argmax(dim=1).numpy()
    right = result["clean"].correct
    np.testing.assert_array_equal(result["pgd"].predictions[right], by_hand[right])
    np.testing.assert_array_equal(result["pgd"].predictions[~right], result["clean"].predictions[~right])
    assert 0 < result["pgd"].accuracy < result["clean"].accuracy


def test_only_samples_right_on_clean_data_are_attacked(classifier, digits, register):
    seen = []

    def spy(target, x, y, *, eps: float = 0.1):
        seen.append((x, y))
        return x + 0.01

    register(attacks={"spy": spy})
    result = run(classifier, digits, attacks=["spy"])
    right = result["clean"].correct
    assert not right.all()
    np.testing.assert_array_equal(torch.cat([y for _, y in seen]).numpy(), digits.y[right])
    np.testing.assert_array_equal(torch.cat([x for x, _ in seen]).numpy(), digits.x[right])
    assert result["spy"].perturbation.nb_attacked == right.sum()


def test_the_seed_alone_decides_whatever_the_batch_size(classifier, digits):
    weak = [("pgd", {"eps": 0.12, "eps_step": 0.12, "max_iter": 1})]
    first = run(classifier, digits, attacks=weak, batch_size=120)["pgd"]
    again = run(classifier, digits, attacks=weak, batch_size=17)["pgd"]
    other = run(classifier, digits, attacks=weak, seed=1)["pgd"]
    np.testing.assert_array_equal(first.predictions, again.predictions)
    assert first.perturbation.mean_linf == pytest.approx(again.perturbation.mean_linf, rel=1e-6)
    assert first.perturbation.mean_linf != other.perturbation.mean_linf


def test_attacks_that_draw_from_global_states_repeat_and_leave_them_alone(classifier, digits, register):
    def noisy(target, x, y, *, generator, eps: float = 0.3):
        assert generator.device == x.device
        draws = (random.random(), np.random.rand(), torch.rand(()).item(), torch.rand((), generator=generator).item())  # noqa: NPY002
        return x + 0.3 * float(np.mean(draws))

    register(attacks={"noisy": noisy})
    states = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    first = run(classifier, digits, attacks=["noisy"])["noisy"]
    assert random.getstate() == states[0]
    np.testing.assert_array_equal(np.random.get_state()[1], states[1])  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), states[2])
    second = run(classifier, digits, attacks=["noisy"])["noisy"]
    assert first.perturbation == second.perturbation


@pytest.mark.parametrize("training", [True, False])
def test_the_classifier_is_left_as_it_was(classifier, digits, training):
    model = classifier.model
    model.train(training)
    model[4].train(not training)
    modes = [module.training for module in model.modules()]
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    run(classifier, digits)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())


def test_modes_and_random_states_come_back_after_an_error(classifier, digits, register):
    def fail(target, x, y):
        target.network.train()
        torch.rand(3)
        raise ValueError("no luck")

    register(attacks={"fail": fail})
    classifier.model.train()
    state = torch.get_rng_state()
    with pytest.raises(PluginError, match="plugin 'stranger': attack 'fail' raised ValueError: no luck"):
        run(classifier, digits, attacks=["fail"])
    assert all(module.training for module in classifier.model.modules())
    assert torch.equal(torch.get_rng_state(), state)
    assert all(parameter.requires_grad for parameter in classifier.model.parameters())


def test_an_attack_that_calls_backward_leaves_no_gradient_on_the_parameters(classifier, digits, register):
    def backward(target, x, y, *, eps: float = 0.1):
        x = x.requires_grad_(True)
        nn.functional.cross_entropy(target.network(x), y).backward()
        return x + eps * x.grad.sign()

    register(attacks={"backward": backward})
    result = run(classifier, digits, attacks=["backward", ("fgsm", {"eps": 0.1})])
    np.testing.assert_array_equal(result["backward"].predictions, result["fgsm"].predictions)
    assert all(parameter.grad is None for parameter in classifier.model.parameters())


def test_an_attack_that_leaves_train_mode_behind_is_scored_in_eval_mode(classifier, digits, register):
    def careless(target, x, y, *, eps: float = 0.1):
        target.network.train()
        return x + 1e-6

    register(attacks={"careless": careless})
    result = run(classifier, digits, attacks=["careless"])
    np.testing.assert_array_equal(result["careless"].predictions, result["clean"].predictions)


def test_outputs_beyond_the_budget_are_projected_and_noted(classifier, digits, register):
    def cheat(target, x, y, *, eps: float = 0.02):
        return 1 - x

    register(attacks={"cheat": cheat})
    result = run(classifier, digits, attacks=["cheat"])["cheat"]
    assert result.perturbation.max_linf == pytest.approx(0.02, abs=1e-6)
    assert result.perturbation.share_outside == 1
    assert result.accuracy > 0.5
    assert "100.0 % projected back" in run(classifier, digits, attacks=["cheat"]).table()


def test_what_an_attack_changed_is_recorded(classifier, digits):
    change = run(classifier, digits)["pgd"].perturbation
    assert change.share_changed == 1
    assert change.share_outside == 0
    assert 0.1 < change.mean_linf <= change.max_linf <= 0.15 + 1e-6


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (lambda x: x, "changed none of .* samples although its eps is 0.1: that is no robustness. Likely causes"),
        (lambda x: x.numpy(), "must return a tensor of shape .* got ndarray"),
        (lambda x: x[:, :, 1:], r"must return a tensor of shape \(50, 1, 8, 8\), got \(50, 1, 7, 8\)"),
        (lambda x: x * float("nan"), "gave NaN or infinite values"),
    ],
)
def test_an_attack_that_gives_nothing_usable_is_an_error(classifier, digits, register, output, message):
    def bad(target, x, y, *, eps: float = 0.1):
        return output(x)

    register(attacks={"bad": bad})
    with pytest.raises(EvaluationError, match=message):
        run(classifier, digits, attacks=["bad"])


def test_no_change_is_no_error_where_eps_is_zero_or_nothing_was_right(classifier, digits):
    still = run(classifier, digits, attacks=[("fgsm", {"eps": 0})])
    assert still["fgsm"].perturbation.share_changed == 0
    np.testing.assert_array_equal(still["fgsm"].predictions, still["clean"].predictions)
    wrong = evaluate(classifier, digits.x, (classifier.predict(digits.x).argmax(axis=1) + 1) % 10, verbose=False)
    assert wrong["pgd"].accuracy == 0
    assert wrong["pgd"].perturbation.nb_attacked == 0
    assert "no sample was right on clean data" in wrong.table()


class Detached(nn.Module):
    def forward(self, x):
        return x.detach().flatten(1)[:, :10]


class Broken(nn.Module):
    def __init__(self, output):
        super().__init__()
        self.output = output

    def forward(self, x):
        return self.output(x.flatten(1)[:, :10])


def test_a_model_that_cuts_the_gradient_off_is_named_as_the_cause(make_classifier, digits):
    x = digits.x.copy()
    made = make_classifier(Detached())
    labels = x.reshape(len(x), -1)[:, :10].argmax(axis=1)
    with pytest.raises(EvaluationError, match="no gradient leads from the model's output back to its input"):
        evaluate(made, x, labels, verbose=False)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        # Only from the third sample on: the check before any work looks at two.
        (lambda z: z if len(z) == 2 else z * float("nan"), r"logits are NaN or infinite for sample 0 \(50 of its batch"),
        (lambda z: z if len(z) == 2 else z[:, :9], r"must give logits of shape \(50, 10\) for this batch, got \(50, 9\)"),
        (lambda z: z if len(z) == 2 else z.argmax(1), r"got \(50,\)"),
    ],
)
def test_a_model_that_gives_no_sound_logits_is_an_error(make_classifier, digits, output, message):
    with pytest.raises(EvaluationError, match=message):
        run(make_classifier(Broken(output)), digits)


def test_integers_one_hot_and_uint8_give_the_same_result(classifier, digits, make_classifier):
    pixels = np.round(digits.x * 255).astype(np.uint8)
    as_float = evaluate(classifier, pixels.astype(np.float32) / 255, digits.y, attacks=[("pgd", STRONG)], verbose=False)
    one_hot = np.eye(10, dtype=np.float32)[digits.y]
    as_bytes = evaluate(classifier, pixels, one_hot, attacks=[("pgd", STRONG)], verbose=False)
    wide = make_classifier(classifier.model, clip_values=(0, 255), preprocessing=(0.3 * 255, 0.4 * 255))
    scaled = [("pgd", {"eps": 0.15 * 255, "eps_step": 0.03 * 255, "max_iter": 5})]
    as_they_are = evaluate(wide, pixels, digits.y, attacks=scaled, verbose=False)
    for label in ("clean", "pgd"):
        np.testing.assert_array_equal(as_bytes[label].predictions, as_float[label].predictions)
        np.testing.assert_array_equal(as_they_are[label].predictions, as_float[label].predictions)
    assert as_they_are["pgd"].perturbation.max_linf == pytest.approx(0.15 * 255, rel=1e-5)


def test_an_eps_in_other_units_is_warned_about(make_classifier, classifier, digits):
    wide = make_classifier(classifier.model, clip_values=(0, 255), preprocessing=(0.3 * 255, 0.4 * 255))
    with pytest.warns(UserWarning, match=r"eps 0\.0313725 is very small.* would be 8 here"):
        evaluate(wide, digits.x * 255, digits.y, verbose=False)


def test_seven_classes_of_which_one_is_absent(make_classifier, digits):
    torch.manual_seed(0)
    made = make_classifier(nn.Sequential(nn.Flatten(), nn.Linear(64, 7)), nb_classes=7)
    labels = digits.y % 6
    result = evaluate(made, digits.x, labels, attacks=[("pgd", STRONG)], verbose=False)
    assert np.isnan(result["pgd"].class_accuracy[6])
    assert np.isnan(result["pgd"].confidence_interval[6]).all()
    assert result["pgd"].confusion.counts.shape == (7, 7)


def test_versions_and_settings_stand_beside_the_numbers(classifier, digits):
    result = run(classifier, digits, seed=4, class_names=[f"digit {i}" for i in range(10)])
    assert result.config == {
        "seed": 4, "batch_size": 50, "nb_samples": 120, "device": "cpu", "dtype": "float32", "clip_values": [0.0, 1.0],
        "sanity_samples": 256,
    }  # fmt: skip
    assert set(result.versions) == {"fairart", "torch", "art"}
    assert result["pgd"].config["options"] == {**STRONG, "num_random_init": 1, "stop_when_fooled": True, "norm": "inf"}
    assert result["pgd"].worst_class_name.startswith("digit ")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": np.full(120, 10)}, r"labels in \[0, 10\), got 10 to 10"),
        ({"y": np.zeros(119, dtype=int)}, "one length, got 120 samples and 119 labels"),
        ({"x": np.full((120, 1, 8, 8), np.nan)}, "NaN or infinity in sample 0"),
        ({"x": np.full((120, 1, 8, 8), 16.0)}, "clip_values 0 to 1, got values from 16 to 16"),
        ({"x": np.zeros((120, 8, 8))}, r"input shape \(n, 1, 8, 8\), got \(120, 8, 8\)"),
        ({"x": np.zeros((0, 1, 8, 8)), "y": np.zeros(0, dtype=int)}, "empty"),
        ({"batch_size": 0}, "batch_size must be a whole number >= 1, got 0"),
        ({"batch_size": 2.5}, "batch_size must be a whole number"),
        ({"seed": -1}, "seed must be a whole number >= 0"),
        ({"class_names": ["a"]}, "class_names must be 10 different names"),
        ({"class_names": ["a"] * 10}, "class_names must be 10 different names"),
        ({"class_names": "abcdefghij"}, "class_names must be 10 different names"),
    ],
)
def test_bad_input_is_refused_with_what_was_expected(classifier, digits, change, message):
    arguments = {"x": digits.x, "y": digits.y, "verbose": False, **change}
    with pytest.raises(ValueError, match=message):
        evaluate(classifier, arguments.pop("x"), arguments.pop("y"), **arguments)


def test_what_is_no_pytorch_classifier_is_refused(digits):
    with pytest.raises(TypeError, match="PyTorchClassifier, got torch"):
        evaluate(nn.Linear(2, 2), digits.x, digits.y)


def test_quiet_means_quiet(classifier, digits, capfd):
    run(classifier, digits, verbose=False)
    assert capfd.readouterr() == ("", "")
