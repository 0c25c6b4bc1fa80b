"""A certificate that breaks a rule fails its check, with the rule in the message."""

import math

import pytest
import torch

from fairart.evaluation.certificates import Certificate
from fairart.testing import check_certificate


class Margin(Certificate):
    """Half the margin of the logits, for networks whose Lipschitz constant is far below 1."""

    factor = 0.01

    @property
    def shown(self):
        return (0.0, 0.1)

    def certify(self, target, x):
        with torch.no_grad():
            highest = target.network(x).topk(2, dim=1)
        return highest.indices[:, 0], self.factor * (highest.values[:, 0] - highest.values[:, 1])


class TooLarge(Margin):
    factor = 50.0


class TooLargeButNotSure(TooLarge):
    deterministic = False


class OtherNorm(Margin):
    order = 1.0


class Descending(Margin):
    @property
    def shown(self):
        return (0.1, 0.0)


class Infinite(Margin):
    factor = math.inf


class OfTheBatch(Margin):
    def certify(self, target, x):
        predictions, radii = super().certify(target, x)
        return predictions, radii / len(x)


class Forgetful(Margin):
    """Draws from the global random state."""

    deterministic = False

    def certify(self, target, x):
        predictions, radii = super().certify(target, x)
        return predictions, radii + torch.rand(len(x))


class InPlace(Margin):
    def certify(self, target, x):
        x.clamp_(0.2, 0.8)
        return super().certify(target, x)


class NeverSure(Margin):
    def certify(self, target, x):
        predictions, radii = super().certify(target, x)
        return torch.full_like(predictions, -1), torch.zeros_like(radii)


@pytest.mark.parametrize("sound", [Margin, TooLargeButNotSure, NeverSure])
def test_what_keeps_the_rules_passes(sound):
    check_certificate(sound())


@pytest.mark.parametrize(
    ("broken", "rule"),
    [
        (Margin, "make an instance of it"),
        (TooLarge(), "a prediction changed within its radius"),
        (OtherNorm(), "order must be 2 or math.inf, got 1.0"),
        (Descending(), "shown must be ascending radii"),
        (Infinite(), "must give finite radii >= 0, got inf"),
        (OfTheBatch(), "must not depend on the batch"),
        (InPlace(), "x must not be changed in place"),
    ],
)
def test_what_breaks_a_rule_is_told(broken, rule):
    with pytest.raises(AssertionError, match=rule):
        check_certificate(broken)


def test_global_randomness_makes_answers_of_the_batch():
    # Inside an evaluation the global state is set for each batch, so that it shows as a dependence on the batch.
    with pytest.raises(AssertionError, match="must not depend on the batch"):
        check_certificate(Forgetful())
