"""Certificates by interval bounds: exact on linear models, bisection, clip values, preprocessing, and what is refused."""

import numpy as np
import pytest
import torch
from art.defences.preprocessor.preprocessor import PreprocessorPyTorch
from torch import nn

from fairart import create
from fairart.bounds import BoundedNetwork, Box
from fairart.errors import OptionError
from fairart.evaluation import evaluate


def linear_model():
    linear = nn.Linear(4, 2)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[-1.0] * 4, [1.0] * 4]))
        linear.bias.copy_(torch.tensor([2.0, -2.0]))
    return nn.Sequential(nn.Flatten(), linear)


def certified(classifier, x, y, *, attacks=(), **options):
    chosen = [("ibp", options)]
    return evaluate(classifier, x, y, attacks=attacks, certificates=chosen, sanity_samples=0, verbose=False)


@pytest.mark.parametrize("preprocessing", [(0.0, 1.0), (0.25, 0.5)])
def test_a_linear_model_has_its_distance_to_the_boundary(make_classifier, preprocessing):
    mean, std = preprocessing
    # Pixels of mean m are on the boundary where (m - mean) / std is 1/2.
    boundary = mean + std / 2
    means = np.float32(boundary) + np.array([-0.2, -0.05, 0.01, 0.1], dtype=np.float32)
    x = np.broadcast_to(means[:, None, None, None], (4, 1, 2, 2)).copy()
    classifier = make_classifier(linear_model(), shape=(1, 2, 2), nb_classes=2, preprocessing=preprocessing)
    found = certified(classifier, x, means > boundary, eps=0.15, halvings=30).certificates["ibp"]
    np.testing.assert_allclose(found.radii, [0.15, 0.05, 0.01, 0.1], atol=2e-5)
    assert found.radii[0] == 0.15
    assert (found.radii[1:] <= np.abs(means - boundary)[1:]).all()
    assert found.right.all()


def test_what_lies_outside_the_clip_values_does_not_count(make_classifier):
    x = np.full((1, 1, 2, 2), 0.52, dtype=np.float32)
    inside = certified(make_classifier(linear_model(), shape=(1, 2, 2), nb_classes=2), x, [1], eps=0.4, halvings=20)
    held = make_classifier(linear_model(), shape=(1, 2, 2), nb_classes=2, clip_values=(0.51, 1))
    assert inside.certificates["ibp"].radii[0] == pytest.approx(0.02, abs=1e-4)
    assert certified(held, x, [1], eps=0.4).certificates["ibp"].radii[0] == 0.4


def test_a_radius_is_the_largest_at_which_the_bounds_hold(classifier, digits):
    found = certified(classifier, digits.x[:30], digits.y[:30], eps=0.05, halvings=12).certificates["ibp"]
    model = classifier.model.double().eval()
    bounded, x = BoundedNetwork(model), torch.from_numpy(digits.x[:30]).double()
    labels = torch.from_numpy(found.predictions)

    def holds(radii):
        wide = torch.from_numpy(radii)[:, None, None, None]
        box = Box(((x - wide).clamp(min=0) - 0.3) / 0.4, ((x + wide).clamp(max=1) - 0.3) / 0.4)
        with torch.no_grad():
            margins, _ = bounded.margins(box, labels)
        margins[torch.arange(30), labels] = 1
        return (margins.amin(dim=1) > 0).numpy()

    some = (found.radii > 0) & (found.radii < 0.05)
    assert some.sum() > 10
    assert holds(found.radii)[some].all()
    assert not holds(found.radii + 2 * 0.05 / 2**12)[some].any()


def test_attacks_within_the_radii_fail(classifier, digits):
    """They are held against each other: an attack that broke one would be an error."""
    radius = 0.01
    attacks = [("pgd", {"eps": radius, "max_iter": 40, "num_random_init": 3}), ("square", {"eps": radius, "max_iter": 100})]
    result = certified(classifier, digits.x, digits.y, attacks=attacks, eps=radius)
    share = result.certificates["ibp"].accuracy_at(radius)
    assert 0.2 < share <= result["pgd"].accuracy
    assert result.certificates["ibp"].accuracy_at(0) == result["clean"].accuracy


def test_bounds_follow_weights_that_changed(classifier, digits):
    certificate = create("certificate", "ibp", eps=0.02)
    certificate.check(classifier)
    first = next(iter(certificate._bounded.values())).module[1].weight.clone()
    with torch.no_grad():
        classifier.model[1].weight.mul_(2)
    certificate.check(classifier)
    torch.testing.assert_close(next(iter(certificate._bounded.values())).module[1].weight, 2 * first)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"eps": -0.1}, "eps must be >= 0"),
        ({"halvings": 41}, "halvings must be >= 0 and <= 40"),
        ({"eps": 0.1, "radii": (0.2,)}, "radii up to 0.2 are shown, but looked for up to eps 0.1"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(OptionError, match=message):
        create("certificate", "ibp", **options)


def test_a_network_that_it_cannot_bound_is_refused_before_any_work(make_classifier, digits, tmp_path):
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.GELU(), nn.Linear(16, 10))
    options = {"attacks": (), "certificates": ["ibp"], "checkpoint": tmp_path / "partial", "verbose": False}
    with pytest.raises(OptionError, match=r"certificate 'ibp' cannot bound this network: layer .*2' \(GELU\)"):
        evaluate(make_classifier(model), digits.x[:4], digits.y[:4], **options)
    assert not (tmp_path / "partial").exists()


class Squaring(PreprocessorPyTorch):
    """Not affine."""

    def forward(self, x, y=None):
        return x**2, y


def test_other_preprocessing_is_refused(make_classifier, digits):
    smoothing = Squaring(apply_fit=True, apply_predict=True)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    with pytest.raises(OptionError, match="bounds preprocessing by mean and standard deviation alone"):
        certified(make_classifier(model, preprocessing_defences=smoothing), digits.x[:4], digits.y[:4])
