"""Attacks in L2: an independent implementation, a closed form on linear models, the ball and the clip values."""

import math

import numpy as np
import pytest
import torch
from art.attacks.evasion import FastGradientMethod, ProjectedGradientDescent
from art.estimators.classification import PyTorchClassifier
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import nn

from fairart.attacks import boundary_pgd, early_stopped_pgd, fgsm, pgd, project
from fairart.attacks.common import distances, make_region
from fairart.attacks.pgd import draw_start
from fairart.draws import Part, PartGenerator


def linear(nb_classes=3, shape=(1, 4, 4), scale=1.0):
    layer = nn.Linear(math.prod(shape), nb_classes)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        layer.weight.copy_(scale * torch.randn(layer.weight.shape, generator=generator))
        layer.bias.zero_()
    return nn.Sequential(nn.Flatten(), layer)


def images(n=8, shape=(1, 4, 4), nb_classes=3, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, *shape, generator=generator), torch.randint(nb_classes, (n,), generator=generator)


def lengths(change):
    return change.flatten(1).norm(dim=1)


def classifier(model):
    return PyTorchClassifier(model, nn.CrossEntropyLoss(), (1, 4, 4), 3, clip_values=(0.0, 1.0), device_type="cpu")


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("eps", [0.1, 0.3])
def test_pgd_is_that_of_art(targeted, eps):
    # Away from the clip values: at them ART clips first and scales then, which is another point inside ball and clip values.
    model, (x, y) = linear(), images()
    x = 0.4 + 0.2 * x
    options = {"eps": eps, "eps_step": eps / 3, "max_iter": 7}
    attack = ProjectedGradientDescent(classifier(model), norm=2, targeted=targeted, verbose=False, **options)
    expected = attack.generate(x.numpy(), np.eye(3, dtype=np.float32)[y.numpy()])
    found = pgd(model, x, y, start=x, norm=2, targeted=targeted, **options)
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-6)
    assert float((found - x).abs().max()) > 0.05


@pytest.mark.parametrize("eps", [0.3, 1.5, 4.0])
def test_at_the_clip_values_pgd_scales_and_then_clips(eps):
    model, (x, y) = linear(), images()
    weight, clean = model[1].weight.detach().double().numpy(), x.flatten(1).double().numpy()
    now = clean.copy()
    for _ in range(7):
        logits = now @ weight.T
        chances = np.exp(logits - logits.max(axis=1, keepdims=True))
        chances /= chances.sum(axis=1, keepdims=True)
        gradient = (chances - np.eye(3)[y.numpy()]) @ weight
        change = now + eps / 3 * gradient / np.linalg.norm(gradient, axis=1, keepdims=True) - clean
        length = np.linalg.norm(change, axis=1, keepdims=True)
        now = np.clip(clean + change * np.minimum(1, eps / length), 0, 1)
    found = pgd(model, x, y, eps=eps, eps_step=eps / 3, max_iter=7, start=x, norm=2)
    np.testing.assert_allclose(found.flatten(1).numpy(), now, atol=2e-5)


def test_the_single_step_is_that_of_art():
    model, (x, y) = linear(), images()
    expected = FastGradientMethod(classifier(model), norm=2, eps=0.7).generate(x.numpy(), np.eye(3, dtype=np.float32)[y.numpy()])
    np.testing.assert_allclose(fgsm(model, x, y, eps=0.7, norm=2).numpy(), expected, atol=2e-6)


def closed_form(model, x, y, eps):
    """On two classes the gradient has one direction everywhere: the best attack goes eps along the difference of the weights."""
    weight = model[1].weight.detach()
    towards = weight[1 - y] - weight[y]
    unit = towards / towards.norm(dim=1, keepdim=True)
    return x + (eps[:, None] * unit).view_as(x)


@pytest.mark.parametrize("eps_step", [0.25, 1.0])
def test_on_a_linear_model_every_attack_finds_the_closed_form_with_a_budget_for_each_sample(eps_step):
    model, (x, y) = linear(2), images(nb_classes=2)
    eps = torch.linspace(0.0, 0.7, len(x))
    budget = {"eps": eps, "eps_step": eps_step * eps, "max_iter": 8, "clip_values": None, "norm": 2}
    expected = closed_form(model, x, y, eps)
    torch.testing.assert_close(pgd(model, x, y, start=x, **budget), expected)
    torch.testing.assert_close(fgsm(model, x, y, eps=eps, clip_values=None, norm="L2"), expected)
    torch.testing.assert_close(early_stopped_pgd(model, x, y, tau=8, start=x, **budget), expected)
    random = pgd(model, x, y, **{**budget, "max_iter": 200}, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(random, expected, atol=2e-3, rtol=0)


def test_friendly_and_boundary_examples_stop_at_the_boundary_as_in_linf():
    model, (x, _) = linear(2), images(nb_classes=2, n=40)
    y = model(x).argmax(dim=1)
    budget = {"eps": 1.0, "eps_step": 0.1, "max_iter": 12, "clip_values": None, "norm": 2}
    friendly = early_stopped_pgd(model, x, y, tau=0, start=x, **budget)
    start = x + 1e-3 * torch.randn(x.shape, generator=torch.Generator().manual_seed(5))
    last_clean, first_adversarial = boundary_pgd(model, x, y, tau=0, start=start, **budget)
    weight = model[1].weight.detach()
    margin = (model(x).amax(dim=1) - model(x).amin(dim=1)).detach() / (weight[0] - weight[1]).norm()
    # A margin of m needs ceil(m / step) steps, wherever they suffice.
    near = margin < 0.9
    assert 5 < int(near.sum()) < len(x)
    steps = torch.ceil(margin / 0.1)
    torch.testing.assert_close(lengths(friendly - x)[near], 0.1 * steps[near], atol=1e-4, rtol=0)
    assert bool((model(friendly).argmax(dim=1) != y)[near].all())
    assert bool((model(last_clean).argmax(dim=1) == y).all())
    fooled = model(first_adversarial).argmax(dim=1) != y
    # From the KL's start the first step may go the wrong way, since it does not know the label.
    assert bool((lengths(first_adversarial - last_clean)[fooled] <= 0.1 + 1e-5).all())
    assert int(fooled.sum()) > 5


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e4])
def test_a_step_has_its_length_however_small_the_gradient_is(scale):
    (x, y), direction = images(), torch.randn(16, generator=torch.Generator().manual_seed(2))

    def model(inputs):
        score = scale * (inputs.flatten(1) @ direction)
        return torch.stack([score, -score, torch.zeros_like(score)], dim=1)

    found = fgsm(model, x, torch.zeros_like(y), eps=0.2, clip_values=None, norm=2)
    # At 1e4 the softmax saturates: a sample that is right has no gradient.
    expected = torch.where((model(x)[:, 0] > 100), 0.0, 0.2)
    torch.testing.assert_close(lengths(found - x), expected, atol=1e-5, rtol=0)


def test_a_gradient_of_zero_moves_nothing():
    x, y = images()
    found = pgd(lambda inputs: 0 * inputs.flatten(1)[:, :3], x, y, eps=0.5, eps_step=0.5, max_iter=3, start=x, norm=2)
    assert torch.equal(found, x)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    attack=st.sampled_from(["pgd", "kl", "fgsm", "friendly", "boundary"]),
    eps=st.lists(st.floats(0, 4), min_size=5, max_size=5),
    step=st.floats(0, 4),
    steps=st.integers(0, 4),
    clip=st.sampled_from([(0.0, 1.0), (0.2, 0.6), None, (torch.tensor(0.0), torch.tensor(1.0))]),
)
def test_nothing_leaves_the_ball_or_the_clip_values(seed, attack, eps, step, steps, clip):
    x, y = images(5, seed=seed)
    radius, model = torch.tensor(eps), linear(scale=3)
    budget = {"eps": radius, "eps_step": step, "max_iter": steps, "clip_values": clip, "norm": 2}
    random = torch.Generator().manual_seed(seed)
    made = {
        "pgd": lambda: (pgd(model, x, y, generator=random, **budget),),
        "kl": lambda: (pgd(model, x, None, loss="kl", generator=random, **budget),),
        "fgsm": lambda: (fgsm(model, x, y, eps=radius, clip_values=clip, norm=2),),
        "friendly": lambda: (early_stopped_pgd(model, x, y, tau=1, generator=random, **budget),),
        "boundary": lambda: boundary_pgd(model, x, y, generator=random, **budget),
    }[attack]()
    for one in made:
        assert bool((lengths(one - x) <= radius + 1e-5).all())
        if clip is not None:
            # A clean input outside the clip values stays where it may be.
            low, high = torch.minimum(x, torch.as_tensor(clip[0])), torch.maximum(x, torch.as_tensor(clip[1]))
            assert bool(((one >= low) & (one <= high)).all())


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**16), eps=st.floats(0.01, 3), spread=st.floats(0.01, 5))
def test_projecting_moves_what_is_outside_onto_the_sphere_and_nothing_else(seed, eps, spread):
    x, _ = images(6, seed=seed)
    far = x + spread * torch.randn(x.shape, generator=torch.Generator().manual_seed(seed + 1))
    found, inside = project(far, x, eps=eps, clip_values=None, norm=2), lengths(far - x) <= eps
    assert torch.equal(found[inside], far[inside])
    outside = ~inside
    torch.testing.assert_close(lengths(found - x)[outside], torch.full((int(outside.sum()),), float(eps)), atol=1e-5, rtol=1e-5)
    along = nn.functional.cosine_similarity((found - x).flatten(1), (far - x).flatten(1))
    torch.testing.assert_close(along[outside], torch.ones(int(outside.sum())), atol=1e-3, rtol=0)


def test_the_start_is_uniform_in_the_ball():
    n, d = 20000, 6
    x, eps = torch.full((n, d), 0.5), torch.full((n, 1), 0.25)
    change = (draw_start(x, eps, "ce", torch.Generator().manual_seed(0), 2) - x) / 0.25
    # Uniform in the ball: the d-th power of the distance is uniform, and every direction is as likely.
    assert stats.kstest((change.norm(dim=1) ** d).numpy(), "uniform").pvalue > 0.01
    assert float(change.mean(dim=0).abs().max()) < 0.02
    variance = torch.full((d,), 1 / (d + 2))
    torch.testing.assert_close(change.var(dim=0), variance, atol=0.01, rtol=0)


def test_processes_draw_the_starts_of_one():
    x, eps = images(10)[0], torch.tensor(0.3)
    whole = draw_start(x, eps, "ce", PartGenerator().manual_seed(4), 2)
    parts = []
    for first, stop in ((0, 4), (4, 10)):
        generator = PartGenerator()
        generator.manual_seed(4)
        generator.part = Part(first, stop, 10)
        parts.append(draw_start(x[first:stop], eps, "ce", generator, 2))
    assert torch.equal(torch.cat(parts), whole)


@pytest.mark.parametrize("norm", ["inf", 2])
def test_rows_of_a_region_hold_their_own_samples(norm):
    x, _ = images(6)
    eps, keep = torch.linspace(0.1, 0.6, 6), torch.tensor([True, False, True, True, False, False])
    region, far = make_region(x, eps, (0.0, 1.0), norm), x + 1
    assert torch.equal(region.rows(keep).project(far[keep]), region.project(far)[keep])


def test_distances_are_those_of_numpy():
    change = torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(0))
    for order in (math.inf, 2):
        expected = [np.linalg.norm(row.ravel(), ord=order) for row in change.numpy()]
        np.testing.assert_allclose(distances(change, order).numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("norm", [1, "l1", None, 3.0])
def test_another_norm_is_refused(norm):
    x, y = images()
    with pytest.raises(ValueError, match="norm must be inf or 2, got"):
        pgd(linear(), x, y, eps=0.1, eps_step=0.1, max_iter=1, norm=norm)
