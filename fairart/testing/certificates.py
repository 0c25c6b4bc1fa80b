"""The check of certificates: their answers, and radii that an attack tries to break."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fairart.errors import OptionError
from fairart.testing.evaluation import attack_target
from fairart.testing.rules import called, expect, global_random_state, require, same_state

__all__ = ["check_certificate"]

SAMPLES = 9
STEPS, POINTS = 20, 50
"""Steps of PGD, and random points, with which a deterministic radius is attacked."""


def check_certificate(certificate: Any, *, input_shape: Sequence[int] = (1, 8, 8)) -> None:
    """Check that a certificate keeps the rules, on small networks with 3 and 10 classes and on a batch of one.

    Args:
        certificate: an instance of a subclass of ``fairart.evaluation.certificates.Certificate``.
        input_shape: (C, H, W) of the images, for certificates that need larger ones.

    Raises:
        AssertionError: it is no certificate, or its norm is neither L2 nor L-inf; answers of another shape, classes that do not
            exist, radii that are negative or not finite; answers that differ from call to call or with the batch; a deterministic
            radius within which PGD or a random point changes the prediction; the inputs, the model, its gradients or global
            random states were changed.
    """
    from fairart.evaluation.certificates import Certificate

    expect(certificate, Certificate)
    name = called(certificate)
    require(certificate.order in (2, math.inf), f"{name}: order must be 2 or math.inf, got {certificate.order!r}")
    shown = certificate.shown
    require(len(shown) > 0 and list(shown) == sorted(set(shown)), f"{name}: shown must be ascending radii, got {shown!r}")
    require(min(shown) >= 0 and math.isfinite(max(shown)), f"{name}: shown must be finite radii >= 0, got {shown!r}")
    for nb_classes in (3, 10):
        for size in (1, SAMPLES):
            _check_certificate(certificate, name, nb_classes, (size, *input_shape))


def _check_certificate(certificate: Any, name: str, nb_classes: int, shape: tuple[int, ...]) -> None:
    target = attack_target(nb_classes, shape)
    x = 0.1 + 0.8 * torch.rand(shape, generator=torch.Generator().manual_seed(7))
    model, before, untouched = target.classifier.model, x.clone(), global_random_state()
    weights = {key: value.clone() for key, value in model.state_dict().items()}
    try:
        certificate.check(target.classifier)
    except OptionError as error:
        raise AssertionError(f"{name}: check() refuses a small network of linear, batch-norm and ReLU layers: {error}") from error
    predictions, radii = _certified(certificate, name, target, x, batch_size=1000)
    again = _certified(certificate, name, target, x, batch_size=1)
    require(torch.equal(x, before), f"{name}: x must not be changed in place, work on a copy")
    require(same_state(weights, dict(model.state_dict())), f"{name}: the weights and buffers of the model must not be changed")
    require(all(p.grad is None for p in model.parameters()), f"{name}: no gradient may be left on the model's parameters")
    require(untouched(), f"{name}: global random state was changed: draw from target.sample_seeds")
    same = np.array_equal(predictions, again[0]) and np.allclose(radii, again[1], rtol=1e-3, atol=1e-6)
    require(same, f"{name}: the answers must not depend on the batch, or differ from call to call")
    if certificate.deterministic:
        _attack(certificate, name, target, x, predictions, radii)


def _certified(certificate: Any, name: str, target: Any, x: Tensor, *, batch_size: int) -> Any:
    """Certify as an evaluation does."""
    from fairart.evaluation import EvaluationError
    from fairart.evaluation.certificates.specs import CertificateSpec
    from fairart.evaluation.running.certifying import certify
    from fairart.evaluation.running.partial import PartialResults
    from fairart.evaluation.running.progress import Progress
    from fairart.plugins import BUILTIN

    spec = CertificateSpec(label=name, name=name, plugin=BUILTIN, certificate=certificate)
    # The samples themselves and not copies, so that a change in place is seen.
    try:
        return certify(
            spec,
            target,
            lambda place: x[place[0] : place[-1] + 1],
            number=len(x),
            batch_size=batch_size,
            seed=0,
            kept=PartialResults(),
            progress=Progress(),
        )
    except EvaluationError as error:
        raise AssertionError(str(error)) from error


def _attack(certificate: Any, name: str, target: Any, x: Tensor, predictions: Any, radii: Any) -> None:
    """Try to change predictions within the radii, by PGD and by random points."""
    from fairart.attacks import pgd
    from fairart.evaluation.attacks.target import draw_in_ball

    held = torch.as_tensor(predictions >= 0)
    labels, eps = torch.as_tensor(predictions)[held], torch.as_tensor(radii, dtype=x.dtype)[held]
    if not len(labels):
        return
    inside, order, wide = x[held], certificate.order, eps.view(-1, *[1] * (x.ndim - 1))
    # A rounding short of the radius, so that a point on its edge lies inside.
    eps, wide = eps * (1 - 1e-4), wide * (1 - 1e-4)
    generator = torch.Generator().manual_seed(8)
    found = [pgd(target.network, inside, labels, eps=eps, eps_step=eps / 4, max_iter=STEPS, norm=order, clip_values=(0.0, 1.0))]
    # Moved back into the clip values, which only brings a point nearer.
    drawn = (inside + wide * draw_in_ball(inside, None, order, generator=generator) for _ in range(POINTS))
    found += [points.clamp(0, 1) for points in drawn]
    with torch.no_grad():
        for points in found:
            changed = target.network(points).argmax(dim=1) != labels
            require(
                not bool(changed.any()),
                f"{name}: a prediction changed within its radius {float(eps[changed].max()) if changed.any() else 0:g}, and it "
                "is declared deterministic",
            )
