"""An input defence that breaks a rule fails its check, with the rule in the message."""

import pytest
import torch

from fairart.evaluation.defences import Defence
from fairart.testing import check_defence


class Darker(Defence):
    def apply(self, x, *, seeds):
        return 0.9 * x


class Noisy(Defence):
    random = True

    def apply(self, x, *, seeds):
        noise = torch.stack([torch.rand(x.shape[1:], generator=torch.Generator().manual_seed(seed)) for seed in seeds])
        return (x + 0.1 * noise).clamp(0, 1)


class NotDeclared(Noisy):
    random = False


class NotRandom(Darker):
    random = True


class GlobalState(Darker):
    def apply(self, x, *, seeds):
        return x * torch.rand(())


class OfTheBatch(Darker):
    def apply(self, x, *, seeds):
        return x / x.max()


class TooBright(Darker):
    def apply(self, x, *, seeds):
        return x + 0.5


class Smaller(Darker):
    def apply(self, x, *, seeds):
        return x[..., :-1]


class InPlace(Darker):
    def apply(self, x, *, seeds):
        return x.mul_(0.9)


class Divided(Darker):
    def apply(self, x, *, seeds):
        return x / x.amax(dim=(1, 2, 3), keepdim=True)


class NoGradient(Darker):
    def stand_in(self, x):
        return x.round()


class OtherShape(Darker):
    def stand_in(self, x):
        return x.flatten(1)


class Refusing(Darker):
    def check(self, classifier):
        from fairart.errors import OptionError

        raise OptionError("colour alone")


class NoDraws(Noisy):
    draws = 0


@pytest.mark.parametrize("sound", [Darker, Noisy])
def test_what_keeps_the_rules_passes(sound):
    check_defence(sound())


@pytest.mark.parametrize(
    ("broken", "rule"),
    [
        (Darker, "make an instance of it"),
        (NotDeclared(), "not declared random, and other seeds changed"),
        (NotRandom(), "declared random, and other seeds changed nothing"),
        (GlobalState(), "global random state was changed"),
        (OfTheBatch(), "must not depend on the batch"),
        (TooBright(), r"must give values in \[0, 1\]"),
        (Smaller(), r"apply must give the shape \(9, 1, 8, 8\), got \(9, 1, 8, 7\)"),
        (InPlace(), "x must not be changed in place"),
        (Divided(), "black or white images gave NaN"),
        (NoGradient(), "no finite gradient comes back through stand_in"),
        (OtherShape(), "stand_in must give the shape"),
        (Refusing(), "refuses images of shape .* colour alone"),
        (NoDraws(), "draws must be a whole number >= 1, got 0"),
    ],
    ids=lambda value: getattr(type(value), "__name__", "") if isinstance(value, Defence) else "",
)
def test_what_breaks_a_rule_is_told(broken, rule):
    with pytest.raises(AssertionError, match=rule):
        check_defence(broken)
