"""The check of models."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from fairart.testing.rules import called, require, require_keywords, same_state

__all__ = ["check_model"]

SAMPLES = 5


def check_model(build: Callable[..., nn.Module], *, input_shape: Sequence[int] = (3, 32, 32)) -> None:
    """Check that a model keeps the rules, with 2 and 10 classes.

    Args:
        build: a function ``build(*, input_shape, nb_classes, **options) -> torch.nn.Module``, options filled in.
        input_shape: (C, H, W) of the images to try it on.

    Raises:
        AssertionError: no module; outputs that are not finite logits (n, K); images that are not scored alone in eval mode;
            inputs or parameters that no gradient reaches; weights that torch's seed does not decide, or that
            ``state_dict()`` loses.
    """
    require_keywords(build, "input_shape", "nb_classes")
    name, shape = called(build), tuple(input_shape)
    x = torch.rand(SAMPLES, *shape, generator=torch.Generator().manual_seed(1))
    model = _built(build, shape, 10, seed=0)
    _check_logits(name, model, x, 10)
    _check_gradients(name, model, x)
    _check_weights(build, shape, x)


def _check_weights(build: Callable[..., nn.Module], shape: tuple[int, ...], x: Tensor) -> None:
    name = called(build)
    model, again, other = (_built(build, shape, 2, seed) for seed in (0, 0, 1))
    require(
        same_state(dict(model.state_dict()), dict(again.state_dict())),
        f"{name}: weights must follow from torch's global random state, so that a run's seed decides them",
    )
    logits = _check_logits(name, model, x, 2)
    other.load_state_dict(model.state_dict())
    with torch.no_grad():
        reloaded = other.eval()(x)
    require(torch.allclose(logits, reloaded, rtol=1e-4, atol=1e-5), f"{name}: state_dict() must hold all that decides the logits")


def _built(build: Callable[..., nn.Module], shape: tuple[int, ...], nb_classes: int, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build(input_shape=shape, nb_classes=nb_classes)
    require(isinstance(model, nn.Module), f"{called(build)}: expected a torch.nn.Module, got {type(model).__name__}")
    require(any(True for _ in model.parameters()), f"{called(build)}: the model has no parameters to train")
    return model


def _check_logits(name: str, model: nn.Module, x: Tensor, nb_classes: int) -> Tensor:
    before = x.clone()
    with torch.no_grad():
        logits, again, alone = model.eval()(x), model(x), model(x[:1])
    expected = (len(x), nb_classes)
    require(
        isinstance(logits, Tensor) and logits.shape == expected,
        f"{name}: expected logits of shape {expected} for {len(x)} images",
    )
    require(bool(torch.isfinite(logits).all()), f"{name}: expected finite logits")
    shares = bool((logits >= 0).all()) and torch.allclose(logits.sum(dim=1), torch.ones(len(x)), atol=1e-4)
    require(not shares, f"{name}: expected logits, got probabilities: leave the softmax out")
    require(torch.equal(x, before), f"{name}: forward() must not change its input")
    require(torch.equal(logits, again), f"{name}: in eval mode the same images must give the same logits")
    require(
        torch.allclose(logits[:1], alone, rtol=1e-3, atol=1e-4),
        f"{name}: in eval mode an image's logits must not depend on the rest of its batch",
    )
    result: Tensor = logits
    return result


def _check_gradients(name: str, model: nn.Module, x: Tensor) -> None:
    inputs = x.clone().requires_grad_(True)
    model.train()(inputs).square().sum().backward()
    gradient = inputs.grad
    require(
        gradient is not None and bool(torch.isfinite(gradient).all() and gradient.any()),
        f"{name}: no finite gradient reaches the images: adversarial training needs one",
    )
    idle = [key for key, parameter in model.named_parameters() if parameter.requires_grad and parameter.grad is None]
    require(not idle, f"{name}: no gradient reaches the parameters {', '.join(idle[:3])}: they are never trained")
