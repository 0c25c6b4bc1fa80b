"""Randomised smoothing: ART's radii and counts, a closed form, noise of each sample's own, and resuming within the draws."""

import math

import numpy as np
import pytest
import torch
from art.estimators.certification.randomized_smoothing import PyTorchRandomizedSmoothing
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, norm
from torch import nn

from fairart import create
from fairart.engine.network import Network
from fairart.engine.network.fixed_weights import FixedNetwork
from fairart.errors import OptionError
from fairart.evaluation import EvaluationError, evaluate
from fairart.evaluation.attacks import AttackTarget
from fairart.evaluation.certificates import SmoothingCertificate, smoothed_radius, smoothing

pytest.importorskip("statsmodels")  # ART's radii need it


def certified(classifier, x, y, *, batch_size=512, seed=0, checkpoint=None, **options):
    result = evaluate(
        classifier,
        x,
        y,
        attacks=(),
        certificates=[("smoothing", options)],
        batch_size=batch_size,
        seed=seed,
        checkpoint=checkpoint,
        verbose=False,
    )
    return result.certificates["smoothing"]


def of_art(classifier, **options):
    return PyTorchRandomizedSmoothing(
        classifier.model,
        nn.CrossEntropyLoss(),
        classifier.input_shape,
        classifier.nb_classes,
        clip_values=(0, 1),
        preprocessing=(0.3, 0.4),
        device_type="cpu",
        **options,
    )


@given(n=st.integers(1, 100_000), share=st.floats(0, 1), sigma=st.floats(0.01, 2), alpha=st.sampled_from([0.001, 0.01, 0.05]))
@settings(deadline=None, max_examples=60)
def test_the_radius_of_counts_is_arts_and_scipys(n, share, sigma, alpha):
    hits = round(share * n)
    radius, abstains = smoothed_radius(hits, n, sigma=sigma, alpha=alpha)
    bound = binomtest(hits, n).proportion_ci(1 - 2 * alpha, method="exact").low
    art = PyTorchRandomizedSmoothing._lower_confidence_bound(type("Holder", (), {"alpha": alpha}), hits, n)
    np.testing.assert_allclose(art if hits else 0.0, bound, rtol=1e-9, atol=1e-12)
    assert bool(abstains) == (bound < 0.5)
    np.testing.assert_allclose(radius, sigma * norm.ppf(bound) if bound >= 0.5 else 0.0, rtol=1e-7, atol=1e-12)


def test_counts_agree_with_arts_within_binomial_error(classifier, digits):
    options = {"sigma": 0.15, "n": 2000}
    x, y = digits.x[:12], digits.y[:12]
    art = of_art(classifier, sample_size=100, scale=0.15, alpha=0.001)
    np.random.seed(0)  # noqa: NPY002  # ART draws from the global state
    theirs = np.array([art._prediction_counts(image, n=2000, batch_size=500) for image in x])
    certificate = SmoothingCertificate(**options)
    network = Network(classifier).eval()
    target = AttackTarget(classifier, network, tuple(range(12)))
    ours = nn.functional.one_hot(certificate._classified(target, torch.from_numpy(x), 2000), 10).sum(dim=1).numpy()
    # Two samples of one binomial share differ by at most five standard errors.
    share = (ours + theirs) / 4000
    assert (np.abs(ours - theirs) <= 5 * np.sqrt(2 * 2000 * share * (1 - share)) + 1e-9).all()
    assert share.max(axis=1).min() < 0.9 < share.max(axis=1).max(), "some samples are sure under noise, others not"
    result = certified(classifier, x, y, **options)
    np.random.seed(1)  # noqa: NPY002
    predictions, radii = art.certify(x, n=2000, batch_size=500)
    sure = (radii > 0.05) & (result.radii > 0.05)
    assert sure.sum() >= 6
    np.testing.assert_array_equal(result.predictions[sure], predictions[sure])
    np.testing.assert_allclose(result.radii[sure], radii[sure], atol=0.15 * 0.25)


def test_a_linear_model_has_its_distance_to_the_boundary(make_classifier):
    """Smoothing leaves linear models of two classes as they are: the radius is at most the distance, and close to it."""
    linear = nn.Linear(4, 2)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[-1.0] * 4, [1.0] * 4]))
        linear.bias.copy_(torch.tensor([2.0, -2.0]))
    classifier = make_classifier(nn.Sequential(nn.Flatten(), linear), shape=(1, 2, 2), nb_classes=2)
    means = np.linspace(0.3, 0.7, 20, dtype=np.float32)
    x = np.broadcast_to(means[:, None, None, None], (20, 1, 2, 2)).copy()
    found = certified(classifier, x, means > 0.5, sigma=0.25, n=4000)
    distance = np.abs(means - 0.5) * 2
    held = found.predictions >= 0
    assert (found.radii[held] <= distance[held] + 1e-6).all()
    assert (found.radii >= distance - 0.05).all()
    assert found.right[held].all()
    assert set(np.flatnonzero(~held)) <= {8, 9, 10, 11}, "it abstains near the boundary alone"


def test_each_sample_draws_its_own_noise_whatever_the_batches(classifier, digits):
    whole = certified(classifier, digits.x[:30], digits.y[:30], n=250)
    for batch_size in (1, 100, 700):
        other = certified(classifier, digits.x[:30], digits.y[:30], n=250, batch_size=batch_size)
        np.testing.assert_array_equal(other.radii, whole.radii)
        np.testing.assert_array_equal(other.predictions, whole.predictions)
    alone = certified(classifier, digits.x[:7], digits.y[:7], n=250)
    np.testing.assert_array_equal(alone.radii, whole.radii[:7])
    assert not np.array_equal(certified(classifier, digits.x[:30], digits.y[:30], n=250, seed=1).radii, whole.radii)


def test_samples_classified_together_are_counted_as_alone(classifier, digits):
    """As on a GPU, where the copies of several samples are one batch."""
    certificate, network = SmoothingCertificate(sigma=0.3), Network(classifier).eval()
    x = torch.from_numpy(digits.x[:5])
    streams = [torch.Generator().manual_seed(seed) for seed in range(5)]
    together = certificate._logits(AttackTarget(classifier, network), x, 100, streams, torch.empty(500, 1, 8, 8)).argmax(dim=2)
    alone = torch.cat(
        [certificate._classified(AttackTarget(classifier, network, (seed,)), x[seed : seed + 1], 100) for seed in range(5)]
    )
    assert (together != alone).sum() <= 1


def test_the_noise_is_normal_with_its_sigma_and_not_clipped(make_classifier):
    class Watched(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight, self.seen = nn.Parameter(torch.ones(2, 64)), []

        def forward(self, x):
            self.seen.append(x.detach().clone())
            return x.flatten(1) @ self.weight.T

    model = Watched()
    x = np.full((2, 1, 8, 8), 0.9, dtype=np.float32)
    certified(make_classifier(model, nb_classes=2), x, [0, 1], sigma=0.4, n=500)
    noise = torch.cat([batch for batch in model.seen if len(batch) >= 100]).numpy() - 0.9
    assert abs(noise.std() - 0.4) < 0.01
    assert abs(noise.mean()) < 0.01
    assert noise.max() > 0.5
    draws = noise.reshape(-1, 64)
    assert len(np.unique(draws, axis=0)) == len(draws), "no draw comes twice"


def test_a_cpu_makes_the_same_passes_whatever_the_batch_size(make_classifier):
    class Watched(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight, self.seen = nn.Parameter(torch.ones(2, 64)), []

        def forward(self, x):
            self.seen.append(x.detach().clone())
            return x.flatten(1) @ self.weight.T

    passes = []
    for batch_size in (1, 64, 300, 900):
        model = Watched()
        classifier = make_classifier(model, nb_classes=2)
        certified(classifier, np.full((13, 1, 8, 8), 0.5, dtype=np.float32), [0] * 13, n=150, batch_size=batch_size)
        passes.append([batch for batch in model.seen if len(batch) > 13])
    # Five samples at a time hold 5 * 100 * 64 numbers, just below the most of a pass.
    assert [len(batch) for batch in passes[0]] == [500, 500, 300, 500, 500, 300, 250, 250, 150]
    for other in passes[1:]:
        assert len(other) == len(passes[0])
        for one, its in zip(passes[0], other, strict=True):
            torch.testing.assert_close(one, its, rtol=0, atol=0)


def test_the_draws_are_those_of_the_streams_also_for_a_model_that_answers_with_a_view_of_its_input(make_classifier):
    class View(nn.Module):
        def __init__(self):
            super().__init__()
            self.unused = nn.Parameter(torch.ones(1))

        def forward(self, x):
            return x.flatten(1)[:, :3]

    certificate, x = SmoothingCertificate(sigma=0.5), torch.full((7, 1, 8, 8), 0.5)
    classifier = make_classifier(View(), nb_classes=3)
    seeds = tuple(range(40, 47))
    found = certificate._classified(AttackTarget(classifier, Network(classifier).eval(), seeds), x, 250)
    for row, seed in enumerate(seeds):
        stream = torch.Generator().manual_seed(seed)
        noise = torch.cat([torch.empty((size, 64)).normal_(0, 0.5, generator=stream) for size in (100, 100, 50)])
        torch.testing.assert_close(found[row], noise[:, :3].argmax(dim=1))


@pytest.fixture
def convolutional(make_classifier):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = create("model", "small-cnn", input_shape=(1, 8, 8), nb_classes=10)
        for part in model.modules():
            if isinstance(part, nn.BatchNorm2d):
                nn.init.uniform_(part.running_mean, -0.5, 0.5)
                nn.init.uniform_(part.running_var, 0.5, 2.0)
    return make_classifier(model)


def test_the_faster_network_gives_the_same_counts_and_leaves_the_model_as_it_was(convolutional, digits, monkeypatch):
    model, seen = convolutional._model, []
    model.train()
    before = [(p.detach().clone(), p.stride(), p.requires_grad) for p in model.parameters()]
    original = SmoothingCertificate.round

    def watched(self, number, target, *rest):
        seen.append(type(target.network))
        return original(self, number, target, *rest)

    monkeypatch.setattr(SmoothingCertificate, "round", watched)
    fast = certified(convolutional, digits.x[:20], digits.y[:20], n=300, sigma=0.5)
    assert set(seen) == {FixedNetwork}
    for parameter, (values, strides, grad) in zip(model.parameters(), before, strict=True):
        assert torch.equal(parameter, values)
        assert (parameter.stride(), parameter.requires_grad) == (strides, grad)
    assert all(part.training for part in model.modules())
    monkeypatch.setattr(SmoothingCertificate, "logits_alone", False)
    seen.clear()
    plain = certified(convolutional, digits.x[:20], digits.y[:20], n=300, sigma=0.5)
    assert FixedNetwork not in seen
    np.testing.assert_array_equal(fast.predictions, plain.predictions)
    np.testing.assert_array_equal(fast.radii, plain.radii)
    assert len(np.unique(fast.radii)) > 5, "counts differ between samples"


def test_on_other_devices_the_batch_size_alone_says_how_many_samples(monkeypatch):
    certificate = SmoothingCertificate(n=1000)
    elsewhere = torch.empty((4, 1, 8, 8), device="meta")
    assert [certificate.at_once(elsewhere, size) for size in (1, 100, 512)] == [1, 1, 5]
    here = torch.empty((4, 1, 8, 8))
    assert certificate.at_once(here, 32) * 6400 >= 2**20 - 6400
    assert certificate.at_once(here, 32) % 5 == 0
    assert certificate.at_once(torch.empty((4, 3, 224, 224)), 512) == 5


class Killed(BaseException):
    """Nothing in the library may catch it."""


@pytest.mark.parametrize("kill_at", [1, 5, 9, 14])
def test_it_resumes_within_the_draws_of_a_sample(classifier, digits, tmp_path, monkeypatch, kill_at):
    x, y = digits.x[:25], digits.y[:25]
    monkeypatch.setattr(smoothing, "CALL", 1)
    whole = certified(classifier, x, y, n=450)
    calls, original = 0, SmoothingCertificate.round

    def killed(self, number, *rest):
        nonlocal calls
        calls += 1
        if calls == kill_at:
            raise Killed
        return original(self, number, *rest)

    monkeypatch.setattr(SmoothingCertificate, "round", killed)
    with pytest.raises(Killed):
        certified(classifier, x, y, n=450, checkpoint=tmp_path / "partial")
    calls = -(10**6)
    found = certified(classifier, x, y, n=450, checkpoint=tmp_path / "partial")
    np.testing.assert_array_equal(found.radii, whole.radii)
    np.testing.assert_array_equal(found.predictions, whole.predictions)
    # Six rounds over 25 samples, 5 at a time.
    assert calls + 10**6 == 30 - (kill_at - 1)


def test_other_draws_start_again(classifier, digits, tmp_path):
    x, y = digits.x[:5], digits.y[:5]
    certified(classifier, x, y, n=450, checkpoint=tmp_path / "partial")
    with pytest.warns(UserWarning, match=r"certificate 'smoothing' has other settings \(n was 450, is 200; .*starts again"):
        found = certified(classifier, x, y, n=200, checkpoint=tmp_path / "partial")
    np.testing.assert_array_equal(found.radii, certified(classifier, x, y, n=200).radii)


def test_the_largest_radius_is_said_and_no_larger_one_is_shown(classifier, digits):
    found = certified(classifier, digits.x[:3], digits.y[:3], sigma=0.5, n=100)
    reach = 0.5 * norm.ppf(0.001 ** (1 / 100))
    assert found.config["notes"] == {"largest radius that n can certify": pytest.approx(reach, rel=1e-3)}
    assert max(found.shown) <= reach
    assert found.shown == (0.0, 0.25, 0.5, 0.75)
    assert SmoothingCertificate(radii=(0.5, 0.1, 0.5)).shown == (0.1, 0.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sigma": 0}, "sigma must be > 0"),
        ({"n": 0}, "n must be >= 1"),
        ({"alpha": 1.0}, "alpha must be > 0 and < 1"),
        ({"radii": ()}, "radii expects at least one radius"),
        ({"radii": (0.1, -0.1)}, "radii expects finite numbers >= 0, got -0.1"),
        ({"radii": (math.inf,)}, "radii expects finite numbers >= 0, got inf"),
        ({"sigmas": 1}, "has no option 'sigmas'"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(OptionError, match=message):
        create("certificate", "smoothing", **options)


def test_logits_that_are_not_finite_are_an_error(make_classifier):
    class Broken(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))

        def forward(self, x):
            flat = x.flatten(1)[:, :2]
            return torch.where((x.flatten(1).max(dim=1).values > 1.5)[:, None], math.nan, flat) * self.weight

    x = np.full((3, 1, 8, 8), 0.5, dtype=np.float32)
    with pytest.raises(EvaluationError, match="NaN or infinite for noisy inputs"):
        certified(make_classifier(Broken(), nb_classes=2), x, [0, 1, 0], sigma=1.0)
