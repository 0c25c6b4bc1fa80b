"""Certificates by a Lipschitz constant: exact on a linear model, held against attacks in L2, and how loose they are."""

import re

import numpy as np
import pytest
import torch
from torch import nn

from fairart.errors import OptionError
from fairart.evaluation import EvaluationResult, evaluate


@pytest.mark.parametrize("preprocessing", [(0.0, 1.0), (0.25, 0.5)])
def test_a_linear_model_has_its_distance_to_the_boundary(make_classifier, preprocessing):
    mean, std = preprocessing
    linear = nn.Linear(4, 2)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[-1.0] * 4, [1.0] * 4]))
        linear.bias.copy_(torch.tensor([2.0, -2.0]))
    boundary = mean + std / 2
    means = np.float32(boundary) + np.array([-0.2, 0.01, 0.1], dtype=np.float32)
    x = np.broadcast_to(means[:, None, None, None], (3, 1, 2, 2)).copy()
    model = nn.Sequential(nn.Flatten(), linear)
    classifier = make_classifier(model, shape=(1, 2, 2), nb_classes=2, preprocessing=preprocessing)
    found = evaluate(classifier, x, means > boundary, attacks=(), certificates=["lipschitz"], verbose=False)
    # Four pixels that all move by d are moved by 2 d in L2.
    np.testing.assert_allclose(found.certificates["lipschitz"].radii, [0.4, 0.02, 0.2], atol=1e-4)


def test_it_withstands_attacks_in_l2_and_says_how_loose_it_is(classifier, digits, tmp_path):
    attacks = {
        f"pgd-{eps}": {"attack": "pgd", "eps": eps, "norm": 2, "max_iter": 20, "num_random_init": 2} for eps in (0.02, 0.3, 0.6)
    }
    certificates = {"lipschitz": {}, "smoothing": {"sigma": 0.1, "n": 200}, "ibp": {"eps": 0.01}}
    result = evaluate(classifier, digits.x, digits.y, attacks=attacks, certificates=certificates, sanity_samples=0, verbose=False)
    lipschitz, smoothing = result.certificates["lipschitz"], result.certificates["smoothing"]
    assert 0.2 < lipschitz.accuracy_at(0.02) <= result["pgd-0.02"].accuracy
    text = EvaluationResult.load(result.save(tmp_path / "evaluation.json")).table()
    closest = np.where(result["pgd-0.6"].correct, np.inf, 0.6)
    closest = np.where(result["pgd-0.3"].correct, closest, 0.3)
    closest = np.where(result["pgd-0.02"].correct, closest, 0.02)
    fooled = lipschitz.right & np.isfinite(closest)
    share = np.median(lipschitz.radii[fooled] / closest[fooled])
    assert f"of {fooled.sum()} right samples that an attack in L2 fooled, the radius is {100 * share:.3g} % (median)" in text
    both = lipschitz.right & smoothing.right & (smoothing.radii > 0)
    share = np.median(lipschitz.radii[both] / smoothing.radii[both])
    assert f"the radius is {100 * share:.3g} % (median) of that of 'smoothing'" in text
    # No attack in L-inf ran, and smoothing is in another norm.
    assert len(re.findall("how loose", text)) == 2


def test_the_constant_stands_beside_the_options(classifier, digits):
    found = evaluate(classifier, digits.x[:5], digits.y[:5], attacks=(), certificates=["lipschitz"], verbose=False)
    notes = found.certificates["lipschitz"].config["notes"]
    model = classifier.model
    norm = model[2]
    scale = (norm.weight / torch.sqrt(norm.running_var + norm.eps)).abs().max().item()
    layers = [torch.linalg.matrix_norm(model[place].weight, ord=2).item() for place in (1, 5)]
    assert notes["Lipschitz constant of the logits"] == pytest.approx(scale * layers[0] * layers[1] / 0.4, rel=1e-3)


def test_a_network_without_a_constant_is_refused(make_classifier, digits):
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.GELU(), nn.Linear(16, 10))
    with pytest.raises(OptionError, match=r"certificate 'lipschitz' knows no constant of this network: layer .*GELU"):
        evaluate(make_classifier(model), digits.x[:4], digits.y[:4], attacks=(), certificates=["lipschitz"], verbose=False)
