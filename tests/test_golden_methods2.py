"""The methods of the second round against their authors' programs and equations, on every golden file that is there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fairart import create
from fairart.attacks.common import kl_divergence
from fairart.evaluation.certificates import smoothed_radius
from fairart.evaluation.results.intervals import clopper_pearson_lower
from fairart.objectives import Batch
from fairart.objectives.base import cross_entropy
from fairart.policies import LossTerms
from fairart.policies.class_weightings.class_means import class_means
from fairart.policies.class_weightings.cvar import cvar_weights
from fairart.statistics import ConfusionMatrix, EpochStatistics

FILES = sorted((Path(__file__).parent / "data").glob("methods2_*.json"))


def test_there_are_golden_files() -> None:
    assert len(FILES) >= 2


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def golden(request: pytest.FixtureRequest) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(request.param.read_text())
    return values


def tensor(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


class Outputs(nn.Module):
    """Gives the clean logits for the first image of a pair, the robust ones for the second."""

    def __init__(self, golden: dict[str, Any]) -> None:
        super().__init__()
        self.logits = {0: tensor(golden["clean_logits"]), 1: tensor(golden["robust_logits"])}

    def forward(self, x: Tensor) -> Tensor:
        return self.logits[int(x.flatten()[0])]


def terms_of(name: str, golden: dict[str, Any], **options: Any) -> LossTerms:
    y = torch.tensor(golden["labels"])
    zeros, ones = torch.zeros(len(y), 1), torch.ones(len(y), 1)
    batch = Batch(x=zeros, y=y, eps=zeros[:, 0], eps_step=zeros[:, 0], max_iter=1)
    terms: LossTerms = create("objective", name, **options).losses(Outputs(golden), batch, (ones,))
    return terms


def test_csr_weighs_pairs_by_the_first_singular_vectors(golden: dict[str, Any]) -> None:
    expected, labels = golden["confusional_spectral"], torch.tensor(golden["labels"])
    weighting = create("class_weighting", "csr")
    weighting.start(golden["num_classes"])
    weighting.before_epoch(ConfusionMatrix(expected["confusion_true_by_predicted"]))
    np.testing.assert_allclose(weighting.pairs, expected["G_predicted_by_true"], rtol=1e-9)
    terms = terms_of("trades", golden, beta=expected["beta"])
    predicted = tensor(golden["robust_logits"]).argmax(dim=1)
    per_sample = weighting.per_pair(predicted, labels, terms.natural)
    np.testing.assert_allclose(per_sample, expected["pair_weight_of_each_sample"], rtol=1e-9)
    np.testing.assert_allclose(weighting.combine(terms, labels), expected["loss"], rtol=1e-9)


def test_cfol_learns_what_the_program_learns(golden: dict[str, Any]) -> None:
    expected, size = golden["cfol"], golden["num_classes"]
    sampling = create("class_sampling", "cfol", gamma=expected["gamma"], eta=expected["eta"])
    sampling.start(size)
    for one in expected["rounds"]:
        np.testing.assert_allclose(sampling.in_force(torch.device("cpu")), one["probabilities_before"], rtol=1e-9)
        labels, fooled = torch.tensor(one["labels"]), torch.tensor(one["wrong"]).bool()
        predicted = torch.where(fooled, (labels + 1) % size, labels)
        sampling.batch_end(labels, nn.functional.one_hot(predicted, size).double())
        np.testing.assert_allclose(sampling.learnt(torch.device("cpu")), one["w_after"], rtol=1e-9)
    np.testing.assert_allclose(sampling.in_force(torch.device("cpu")), expected["probabilities_after"], rtol=1e-9)


def test_class_cvar_fills_the_worst_classes(golden: dict[str, Any]) -> None:
    expected, labels = golden["class_cvar"], torch.tensor(golden["labels"])
    losses = cross_entropy(tensor(golden["robust_logits"]), labels)
    means, counts = class_means(losses, labels, golden["num_classes"], all_reduce=lambda sums: sums)
    np.testing.assert_allclose(means, expected["mean_robust_ce_of_each_class"], rtol=1e-9)
    terms = LossTerms(natural=losses, adversarial_logits=tensor(golden["robust_logits"]))
    for alpha, one in expected["by_alpha"].items():
        np.testing.assert_allclose(cvar_weights(means, counts > 0, float(alpha)), one["weights"], atol=1e-12)
        weighting = create("class_weighting", "cvar", alpha=float(alpha))
        weighting.start(golden["num_classes"])
        np.testing.assert_allclose(weighting.combine(terms, labels), one["value"], rtol=1e-9)


def test_mart_is_its_programs_loss(golden: dict[str, Any]) -> None:
    expected = golden["mart"]
    loss = terms_of("mart", golden, beta=expected["lambda"]).total().mean()
    # The program adds 1e-4 and 1e-12 inside its logarithms; the golden value is the paper's equation.
    np.testing.assert_allclose(loss, expected["loss"], rtol=1e-6)


def test_trix_calls_classes_above_the_mean_strong(golden: dict[str, Any]) -> None:
    accuracy = np.array(golden["trix"]["class_accuracy"])
    size, many = len(accuracy), 10**9
    right = np.round(accuracy * many).astype(np.int64)
    counts = np.diag(right)
    counts[np.arange(size), (np.arange(size) + 1) % size] = many - right
    statistics = EpochStatistics(epoch=0, robust=ConfusionMatrix(counts))
    sampler = create("target_sampler", "trix")
    sampler.start(size)
    assert sampler.strong(statistics).tolist() == golden["trix"]["strong"]
    sampler.update(statistics)
    untargeted = np.diag(sampler.probabilities) == 1
    assert (~untargeted).tolist() == golden["trix"]["strong"]


def test_label_smoothing(golden: dict[str, Any]) -> None:
    logits, labels = tensor(golden["robust_logits"]), torch.tensor(golden["labels"])
    np.testing.assert_allclose(cross_entropy(logits, labels, 0.1).mean(), golden["label_smoothing_0.1"], rtol=1e-9)


def test_the_boundary_term_of_mart_is_the_kl_from_clean_to_robust(golden: dict[str, Any]) -> None:
    clean, robust, labels = (
        tensor(golden["clean_logits"]),
        tensor(golden["robust_logits"]),
        torch.tensor(golden["labels"]),
    )
    unsure = 1 - torch.softmax(clean, 1)[torch.arange(len(labels)), labels]
    torch.testing.assert_close(terms_of("mart", golden).boundary, kl_divergence(robust, clean) * unsure)


def test_smoothing_certifies_by_counts_as_cohen_et_al(golden: dict[str, Any]) -> None:
    for one in golden["cohen_radius"]:
        bound = clopper_pearson_lower(one["count"], one["n"], error=one["alpha"])
        np.testing.assert_allclose(bound, one["p_lower"], rtol=1e-9)
        radius, abstains = smoothed_radius(one["count"], one["n"], sigma=one["sigma"], alpha=one["alpha"])
        assert bool(abstains) == (one["radius"] is None)
        np.testing.assert_allclose(radius, one["radius"] or 0.0, rtol=1e-9)
