"""What a defence gives is what ART gives, whatever the clip values; gradients go through the stand-in alone."""

import numpy as np
import pytest
import torch
from art.defences.preprocessor import FeatureSqueezing, JpegCompression, SpatialSmoothing, TotalVarMin
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from fairart import create
from fairart.corruptions.jpeg import jpeg_round_trip, smooth_jpeg_round_trip
from fairart.engine.network import Network
from fairart.engine.randomness import isolated_random_state
from fairart.evaluation.attacks import AttackTarget, pgd_attack
from fairart.evaluation.defences import Defence, DefendedNetwork
from fairart.evaluation.defences.specs import DefenceSpec, resolve_defences

OPTIONS = {
    "jpeg": {"quality": 30},
    "feature-squeezing": {"bit_depth": 3},
    "spatial-smoothing": {"window_size": 2},
    "total-variation": {"prob": 0.4, "lamb": 0.2, "max_iter": 4, "norm": 1},
}


def images(channels=1, size=8, number=6):
    random = np.random.default_rng(3)
    smooth = random.random((number, channels, size, size)).cumsum(axis=3) / size
    return smooth.astype(np.float32)


def of_art(name, x):
    """What ART's own defence gives for images in [0, 1] with channels first."""
    if name == "jpeg":
        return JpegCompression(clip_values=(0.0, 1.0), quality=30, channels_first=True)(x)[0]
    if name == "feature-squeezing":
        return FeatureSqueezing(clip_values=(0.0, 1.0), bit_depth=3)(x)[0]
    if name == "spatial-smoothing":
        return SpatialSmoothing(window_size=2, channels_first=True, clip_values=(0.0, 1.0))(x)[0]
    defence = TotalVarMin(prob=0.4, norm=1, lamb=0.2, max_iter=4, clip_values=(0.0, 1.0))
    rows = []
    for seed, one in enumerate(x):
        with isolated_random_state(seed, torch.device("cpu")):
            rows.append(defence(one.transpose(1, 2, 0)[None])[0][0].transpose(2, 0, 1))
    return np.stack(rows)


def through(defence, wrap, shape, clip_values=(0.0, 1.0), **options):
    """A network of a linear model behind a defence."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(shape)), 4))
    classifier = wrap(model.eval(), shape=shape, nb_classes=4, clip_values=clip_values)
    if isinstance(defence, str):
        (spec,) = resolve_defences([(defence, OPTIONS.get(defence, {}))])
    else:
        spec = DefenceSpec(label="mine", name="mine", plugin="fairart", defence=defence)
    return classifier, DefendedNetwork(Network(classifier), spec.checked(classifier), stream="test", **options).eval()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", list(OPTIONS))
def test_forward_is_that_of_art(name, channels):
    x = images(channels, 9)
    found = create("defence", name, **OPTIONS[name]).apply(torch.from_numpy(x), seeds=range(len(x)))
    np.testing.assert_array_equal(found.numpy(), of_art(name, x).astype(np.float32))


@pytest.mark.parametrize("clip", [(0.0, 255.0), (-1.0, 1.0)])
@pytest.mark.parametrize("name", ["jpeg", "feature-squeezing", "spatial-smoothing"])
def test_other_clip_values_are_scaled_there_and_back(name, clip, make_classifier):
    x = images()
    _, network = through(name, make_classifier, (1, 8, 8), clip)
    low, high = clip
    unit = ((low + (high - low) * torch.from_numpy(x)) - low) / (high - low)
    expected = low + (high - low) * of_art(name, unit.numpy())
    np.testing.assert_allclose(network.preprocessed(low + (high - low) * torch.from_numpy(x)).numpy(), expected, atol=1e-4)


def test_what_lies_outside_the_clip_values_is_clipped_before_the_defence(make_classifier):
    _, network = through("jpeg", make_classifier, (1, 8, 8))
    x = torch.from_numpy(images())
    assert torch.equal(network.preprocessed(3 * x - 1), network.preprocessed((3 * x - 1).clamp(0, 1)))


class Rounded(Defence):
    def apply(self, x, *, seeds):
        return x.round()

    def stand_in(self, x):
        return 3 * x**2


def test_the_value_is_exact_and_the_gradient_that_of_the_stand_in(make_classifier):
    classifier, network = through(Rounded(), make_classifier, (1, 8, 8))
    x = torch.from_numpy(images()).requires_grad_(True)
    logits = network(x)
    with torch.no_grad():
        assert torch.equal(logits, classifier.model(x.round()))
    (found,) = torch.autograd.grad(logits[:, 1].sum(), x)
    weight = classifier.model[1].weight[1].detach().view(1, 1, 8, 8)
    torch.testing.assert_close(found, weight * 6 * x.detach())


class Noise(Defence):
    random = True
    draws = 3

    def apply(self, x, *, seeds):
        noise = [torch.rand(x.shape[1:], generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        return 0.5 * x + 0.5 * torch.stack(noise)


def test_an_attack_averages_the_logits_over_the_draws(make_classifier):
    classifier, network = through(Noise(), make_classifier, (1, 8, 8), draws=3)
    x = torch.from_numpy(images())
    single = [network._through_defence(x, draw) for draw in range(3)]
    assert not torch.equal(single[0], single[1])
    torch.testing.assert_close(network(x), torch.stack([classifier.model(one) for one in single]).mean(dim=0))


def test_draws_follow_from_the_input_and_the_stream_not_from_the_batch(make_classifier):
    _, network = through(Noise(), make_classifier, (1, 8, 8))
    x = torch.from_numpy(images())
    whole = network.preprocessed(x)
    assert torch.equal(whole, torch.cat([network.preprocessed(x[place : place + 1]) for place in range(len(x))]))
    assert torch.equal(whole.flip(0), network.preprocessed(x.flip(0)))
    other = DefendedNetwork(network, network._through_defence._spec, stream="another")
    assert not torch.equal(other.preprocessed(x), whole)
    # The smallest change draws anew.
    moved = network.preprocessed(x + 1e-3)
    assert float((moved - whole).abs().max()) > 0.1


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_the_smooth_jpeg_has_the_gradient_of_its_values(channels):
    x = torch.from_numpy(255 * images(channels, 9, 2)).double().requires_grad_(True)
    weight, way = (torch.randn(x.shape, generator=torch.Generator().manual_seed(seed)).double() for seed in (0, 1))

    def value(inputs):
        return (weight * smooth_jpeg_round_trip(inputs, 30)).sum()

    (gradient,) = torch.autograd.grad(value(x), x)
    with torch.no_grad():
        slope = (value(x + 1e-4 * way) - value(x - 1e-4 * way)) / 2e-4
    assert float(slope) == pytest.approx(float((gradient * way).sum()), rel=1e-4)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("quality", [10, 50])
def test_the_smooth_jpeg_is_near_the_rounded_one(channels, quality):
    x = torch.from_numpy(255 * images(channels, 24, 4))
    rounded, smooth = jpeg_round_trip(x, quality), smooth_jpeg_round_trip(x, quality)
    assert float((smooth - rounded).abs().mean()) < 0.7 * float((x - rounded).abs().mean())


@pytest.mark.parametrize("window", [1, 2, 3, 5])
def test_the_stand_in_of_the_median_is_it_for_a_slope(window):
    # On a slope the median of a window is the mean of the values around it.
    defence = create("defence", "spatial-smoothing", window_size=window)
    x = torch.linspace(0, 1, 15).repeat(15, 1)[None, None]
    exact, smooth = defence.apply(x, seeds=[0]), defence.stand_in(x)
    inside = (..., slice(4, -4), slice(4, -4))
    torch.testing.assert_close(smooth[inside], exact[inside], atol=0.04, rtol=0)


@given(
    seed=st.integers(0, 1000),
    eps=st.floats(0.0, 0.6),
    clip=st.sampled_from([(0.0, 1.0), (-2.0, 0.5), (0.0, 255.0)]),
    name=st.sampled_from(["jpeg", "feature-squeezing", "spatial-smoothing"]),
)
@settings(max_examples=25, deadline=None)
def test_examples_stay_in_the_ball_and_defended_ones_in_the_clip_values(seed, eps, clip, name):
    from tests.evaluation.conftest import wrap

    low, high = clip
    classifier, network = through(name, wrap, (1, 8, 8), clip)
    generator = torch.Generator().manual_seed(seed)
    x = low + (high - low) * torch.rand((5, 1, 8, 8), generator=generator)
    y = torch.randint(0, 4, (5,), generator=generator)
    eps = eps * (high - low)
    found = pgd_attack(AttackTarget(classifier, network), x, y, eps=eps, max_iter=4, generator=generator)
    assert float((found - x).abs().max()) <= eps + 1e-6 * (high - low)
    for inputs in (found, network.preprocessed(found)):
        assert float(inputs.min()) >= low - 1e-6 * (high - low)
        assert float(inputs.max()) <= high + 1e-6 * (high - low)


def test_random_start_alone_is_not_what_bpda_does(make_classifier):
    """Without a stand-in there is no gradient: the same rounding as a layer stops PGD."""
    classifier, network = through(Rounded(), make_classifier, (1, 8, 8))
    x = torch.from_numpy(images())
    inputs = x.clone().requires_grad_(True)
    rounded = classifier.model(inputs.round())
    assert not torch.autograd.grad(functional.cross_entropy(rounded, torch.zeros(6, dtype=torch.long)), inputs)[0].any()
    (through_it,) = torch.autograd.grad(functional.cross_entropy(network(inputs), torch.zeros(6, dtype=torch.long)), inputs)
    assert through_it.any()
