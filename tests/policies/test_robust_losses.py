"""Losses for noisy labels against their equations in numpy and scipy, and the property they were made for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import scipy.special
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fairart import create
from fairart.errors import OptionError
from fairart.objectives import ATObjective
from fairart.trainers import ATTrainer

Array = npt.NDArray[np.float64]
NAMES = ("mae", "huber", "gce", "sce")


def absolute(p: Array, q: Array) -> Array:
    return np.array([sum(abs(a - b) for a, b in zip(*pair, strict=True)) for pair in zip(p, q, strict=True)])


def huber(p: Array, q: Array, delta: float) -> Array:
    return scipy.special.huber(delta, p - q).sum(axis=1)


def generalised(p: Array, q: Array, exponent: float) -> Array:
    return (q * -scipy.special.boxcox(p, exponent)).sum(axis=1)


def symmetric(p: Array, q: Array, alpha: float, beta: float, log_zero: float) -> Array:
    with np.errstate(divide="ignore"):
        log_q = np.maximum(np.log(q), log_zero)
    return (
        alpha * scipy.special.kl_div(q, p).sum(axis=1)
        + alpha * scipy.special.entr(q).sum(axis=1)
        - beta * (p * log_q).sum(axis=1)
    )


CASES: dict[str, tuple[str, dict[str, Any], Callable[[Array, Array], Array]]] = {
    "mae": ("mae", {}, absolute),
    "huber": ("huber", {}, lambda p, q: huber(p, q, 0.5)),
    "huber 0.1": ("huber", {"delta": 0.1}, lambda p, q: huber(p, q, 0.1)),
    "huber 1 is half the Brier score": ("huber", {"delta": 1.0}, lambda p, q: ((p - q) ** 2).sum(axis=1) / 2),
    "gce": ("gce", {}, lambda p, q: generalised(p, q, 0.7)),
    "gce 0.1": ("gce", {"q": 0.1}, lambda p, q: generalised(p, q, 0.1)),
    "sce": ("sce", {}, lambda p, q: symmetric(p, q, 0.1, 1.0, np.log(1e-4))),
    "sce on CIFAR-100": ("sce", {"alpha": 6.0, "beta": 0.1, "log_zero": -4.0}, lambda p, q: symmetric(p, q, 6.0, 0.1, -4.0)),
}


def started(name: str, nb_classes: int, **options: Any) -> Any:
    loss = create("classification_loss", name, **options)
    loss.start(nb_classes)
    return loss


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("soft", [False, True], ids=["labels", "shares"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_equations(case: str, soft: bool, smoothing: float) -> None:
    name, options, expected = CASES[case]
    random = np.random.default_rng(0)
    logits, labels = 3 * random.normal(size=(40, 6)), random.integers(6, size=40)
    shares = random.dirichlet(np.ones(6), size=40) if soft else np.eye(6)[labels]
    given_ = torch.tensor(shares) if soft else torch.tensor(labels)
    found = started(name, 6, **options).losses(torch.tensor(logits), given_, smoothing)
    wanted = expected(scipy.special.softmax(logits, axis=1), (1 - smoothing) * shares + smoothing / 6)
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)


def test_limits() -> None:
    logits, labels = torch.randn(20, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)), torch.arange(20) % 5
    p_y = logits.softmax(dim=1)[torch.arange(20), labels]
    mae = started("mae", 5).losses(logits, labels)
    torch.testing.assert_close(mae, 2 - 2 * p_y)
    torch.testing.assert_close(started("gce", 5, q=1.0).losses(logits, labels), mae / 2)
    plain = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    torch.testing.assert_close(started("gce", 5, q=1e-7).losses(logits, labels), plain, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(started("sce", 5, alpha=1.0, beta=0.0).losses(logits, labels), plain)
    torch.testing.assert_close(started("sce", 5, alpha=0.0, beta=0.5, log_zero=-4.0).losses(logits, labels), mae)


@given(st.lists(st.floats(-30, 30), min_size=4, max_size=4))
@settings(max_examples=60, deadline=None)
def test_the_sum_over_all_labels_is_constant_for_the_symmetric_ones(row: list[float]) -> None:
    """What makes MAE and RCE tolerant of symmetric noise (Ghosh et al., Eq. 2); the cross-entropy has no such sum."""
    logits, labels = torch.tensor([row] * 4, dtype=torch.float64), torch.arange(4)
    for loss, total in ((started("mae", 4), 6.0), (started("sce", 4, alpha=0.0, log_zero=-4.0), 12.0)):
        assert loss.losses(logits, labels).sum().item() == pytest.approx(total)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("far", [40.0, 200.0])
def test_losses_and_gradients_are_finite_far_from_the_label(name: str, far: float) -> None:
    logits = torch.tensor([[far, -far, 0.0], [-far, far, 0.0]], requires_grad=True)
    losses = started(name, 3).losses(logits, torch.tensor([1, 1]))
    (gradient,) = torch.autograd.grad(losses.sum(), logits)
    assert torch.isfinite(losses).all()
    assert torch.isfinite(gradient).all()
    # A confident error is bounded, but for the share of cross-entropy that sce keeps.
    assert losses[0] <= (0.2 * far + 10 if name == "sce" else 2.0)


@pytest.mark.parametrize(
    ("name", "options"), [("huber", {"delta": 0.0}), ("huber", {"delta": 1.5}), ("gce", {"q": 0.0}), ("sce", {"log_zero": 0.0})]
)
def test_options_out_of_range_are_refused(name: str, options: dict[str, float]) -> None:
    with pytest.raises(OptionError, match=rf"{name}.*{next(iter(options))}"):
        create("classification_loss", name, **options)


def test_wrong_labels_are_learnt_less(make_classifier: Any, make_data: Any) -> None:
    """With 40 % symmetric noise, fewer wrong labels are learnt than by the cross-entropy, on clean and on adversarial inputs."""
    x, y = make_data(90)
    random = np.random.default_rng(0)
    wrong = random.random(len(y)) < 0.4
    noisy = np.where(wrong, (y + random.integers(1, 3, len(y))) % 3, y)

    def learnt(objective: str, loss: Any) -> float:
        options = {"eps": 0.05, "max_iter": 2}
        trainer = ATTrainer(make_classifier(), objective=objective, classification_loss=loss, **options)
        trainer.fit(x, noisy, batch_size=30, nb_epochs=25, seed=0, verbose=False)
        return float((trainer.predict(x).argmax(1)[wrong] == noisy[wrong]).mean())

    for objective in ("standard", "at"):
        assert learnt(objective, "gce") < learnt(objective, None) - 0.05, objective


def test_attacks_keep_the_cross_entropy(make_classifier: Any, make_data: Any) -> None:
    """The loss changes what is minimised, not what the inner attack climbs."""
    x, y = make_data(8)
    made = []
    for loss in (None, "mae"):
        seen: list[torch.Tensor] = []

        class Watched(ATObjective):
            def examples(self, network: Any, batch: Any, seen: list[torch.Tensor] = seen) -> Any:
                found = super().examples(network, batch)
                seen.append(found if isinstance(found, torch.Tensor) else found[0])
                return found

        trainer = ATTrainer(make_classifier(), objective=Watched(), classification_loss=loss, eps=0.1, max_iter=2)
        trainer.fit(x, y, batch_size=8, nb_epochs=1, seed=0, verbose=False)
        made.append(seen[0])
    torch.testing.assert_close(*made)
