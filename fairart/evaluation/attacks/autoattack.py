"""The standard AutoAttack, run by the authors' own program."""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from art.estimators.classification import PyTorchClassifier
from torch import Tensor

from fairart.engine.network import Network
from fairart.engine.network.fixed_weights import with_fixed_weights
from fairart.engine.network.half_precision import in_bfloat16
from fairart.errors import OptionError
from fairart.evaluation.attacks.fab_targets import try_targets_together
from fairart.evaluation.attacks.norms import Norm, norm_order
from fairart.evaluation.attacks.preflight import preflight, require_images, require_one_range
from fairart.evaluation.attacks.target import AttackTarget, Epsilon
from fairart.evaluation.attacks.unit import UnitNetwork
from fairart.plugins.options import Option

__all__ = ["Plan", "autoattack", "planned"]

STANDARD = ("apgd-ce", "apgd-t", "fab-t", "square")
KNOWN = ("apgd-ce", "apgd-dlr", "apgd-t", "fab", "fab-t", "square")
TARGETS = 9
"""Classes that the targeted attacks of the standard version try, the likeliest first."""


@dataclass(frozen=True)
class Plan:
    """What is run on a classifier of so many classes.

    Args:
        version: of the package.
        attacks: in their order.
        targets: target classes of APGD-T and FAB-T.
        restarts: of APGD; None for the version's own.
        replaced: what the suite cannot do here and what stands for it, or None.
    """

    version: str
    attacks: tuple[str, ...]
    targets: int
    restarts: int | None = None
    replaced: str | None = None


def planned(version: str, attacks_to_run: tuple[str, ...] | None, nb_classes: int) -> Plan:
    """Fit the suite to a number of classes.

    The difference of logits ratio (DLR) compares three logits, its targeted form four. With three classes the untargeted DLR
    takes the place of APGD-T. With two there is nothing but the margin between both: APGD on the cross-entropy with the five
    restarts of version "plus" takes its place. The targeted attacks try no more classes than there are others.

    Args:
        version: "standard", "plus" or "custom".
        attacks_to_run: the attacks of "custom".
        nb_classes: K, >= 2.

    Raises:
        OptionError: attacks that the version does not take, or that the number of classes does not allow.
    """
    others = nb_classes - 1
    if version == "custom":
        return Plan(version, _checked_list(attacks_to_run, nb_classes), min(TARGETS, others))
    if attacks_to_run is not None:
        raise OptionError(f"attack 'autoattack': version={version!r} fixes the attacks; attacks_to_run needs version='custom'")
    standard = STANDARD if version == "standard" else ("apgd-ce", "apgd-dlr", "fab", "square", "apgd-t", "fab-t")
    kept = tuple(name for name in standard if nb_classes >= _least(name))
    if kept == standard:
        return Plan(version, standard, min(TARGETS, others))
    if nb_classes == 3:
        kept = kept if "apgd-dlr" in kept else ("apgd-ce", "apgd-dlr", *kept[1:])
        return Plan("custom", kept, others, _restarts(version), "apgd-t needs 4 classes: the untargeted apgd-dlr takes its place")
    detail = "apgd-dlr and apgd-t need 3 and 4 classes: apgd-ce with 5 restarts takes their place"
    return Plan("custom", kept, others, 5, detail)


def _restarts(version: str) -> int:
    return 1 if version == "standard" else 5


def _least(name: str) -> int:
    return {"apgd-dlr": 3, "apgd-t": 4}.get(name, 2)


def _checked_list(attacks_to_run: tuple[str, ...] | None, nb_classes: int) -> tuple[str, ...]:
    names = attacks_to_run or ()
    if not names or not set(names) <= set(KNOWN) or len(set(names)) != len(names):
        raise OptionError(
            f"attack 'autoattack': version='custom' needs attacks_to_run, different ones of {', '.join(KNOWN)}; got {names!r}"
        )
    for name in names:
        if nb_classes < _least(name):
            raise OptionError(f"attack 'autoattack': {name} needs {_least(name)} classes, the classifier has {nb_classes}")
    return tuple(names)


def _check(classifier: PyTorchClassifier, options: Mapping[str, Any]) -> dict[str, Any]:
    package = _package()
    require_images("autoattack", classifier)
    require_one_range("autoattack", classifier)
    version = options["version"]
    if version != "custom" and (options["n_iter"], options["n_queries"]) != (100, 5000):
        raise OptionError(f"attack 'autoattack': version={version!r} fixes n_iter and n_queries; changing them needs 'custom'")
    plan = planned(version, options["attacks_to_run"], classifier.nb_classes)
    notes: dict[str, Any] = {
        "attacks_to_run": list(plan.attacks),
        "n_target_classes": plan.targets,
        "package": f"pyautoattack {package.__version__}",
    }
    if options["precision"] == "bf16":
        notes["precision"] = (
            "passes in bfloat16, verdicts in float32; what survives is attacked in float32 by "
            f"{' and '.join(_confirming(classifier.nb_classes))}, likeliest class"
        )
    if plan.replaced is not None:
        notes["replaced"] = plan.replaced
        warnings.warn(
            f"attack 'autoattack' is not the standard suite with {classifier.nb_classes} classes: {plan.replaced}",
            UserWarning,
            stacklevel=2,
        )
    return notes


def _package() -> Any:
    try:
        import pyautoattack
    except ImportError as error:
        raise ImportError("attack 'autoattack' needs pyautoattack: pip install \"fairart[autoattack]\"") from error
    return pyautoattack


@preflight(_check, returns_input=True)
def autoattack(
    target: AttackTarget,
    x: Tensor,
    y: Tensor,
    *,
    generator: torch.Generator | None = None,
    eps: Epsilon = 8 / 255,
    norm: Norm = "inf",
    version: Annotated[str, Option("fixed set of attacks, or custom", choices=("standard", "plus", "custom"))] = "standard",
    attacks_to_run: Annotated[tuple[str, ...] | None, Option(f"with custom: some of {', '.join(KNOWN)}")] = None,
    n_iter: Annotated[int, Option("steps of APGD and FAB; other than 100 with custom only", low=1)] = 100,
    n_queries: Annotated[int, Option("queries of Square; other than 5000 with custom only", low=1)] = 5000,
    precision: Annotated[str, Option("of the passes; verdicts are in fp32", choices=("fp32", "bf16"))] = "fp32",
) -> Tensor:
    """AutoAttack: APGD-CE, APGD-T, FAB-T and Square, by the authors' program (Croce & Hein, ICML 2020).

    Needs pyautoattack (``pip install "fairart[autoattack]"``). Each batch of the evaluation is one run of the package with the
    evaluation's own seed: with all right samples in one batch, the outcome is that of the package run directly.

    With ``precision="bf16"`` the attacks make their passes in bfloat16, which is faster and not the published attack. An example
    counts only if it fools the network in float32, and what survives is attacked once more in float32, by APGD-CE and by APGD-T
    at the likeliest other class. A warning gives the number of samples that only this last attack broke.

    Args:
        target: what is attacked.
        x: (n, C, H, W) inputs in clip values.
        y: (n,) labels.
        generator: its first seed is taken where the target has no seed.
        eps: radius in the norm, >= 0.
        norm: "inf" or 2.
        version: "standard", "plus" (more restarts, untargeted attacks as well) or "custom".
        attacks_to_run: the attacks of "custom", in their order.
        n_iter: steps of APGD and FAB, >= 1.
        n_queries: queries of Square, >= 1.
        precision: "fp32", or "bf16" for passes in bfloat16.

    Returns:
        (n, C, H, W) adversarial inputs, unchanged where none was found.

    Source: https://arxiv.org/abs/2003.01690, https://github.com/fra31/auto-attack.
    """
    package = _package()
    if eps == 0:
        return x.clone()
    unit = UnitNetwork(target.network).eval()
    seed = target.seed if target.seed is not None else (generator.initial_seed() if generator is not None else 0)
    plan = planned(version, attacks_to_run, target.classifier.nb_classes)

    def suite_of(plan: Plan) -> Any:
        suite = package.AutoAttack(
            unit,
            eps=eps / unit.span,
            norm="Linf" if norm_order(norm) == float("inf") else "L2",
            # torch takes no larger seed on every device.
            seed=seed % 2**63,
            version=plan.version,
            attacks=list(plan.attacks) if plan.version == "custom" else None,
            device=x.device,
        )
        _configure(suite, plan, n_iter, n_queries)
        try_targets_together(suite.fab)
        return suite

    images, half = unit.scale(x), precision == "bf16"
    with _quiet(), with_fixed_weights(target.network, x) as faster:
        found = _run(suite_of(plan), in_bfloat16(target.network, x) if half else faster, images, y)
        if half:
            confirming = _confirming(target.classifier.nb_classes)
            found = _confirmed(suite_of(Plan("custom", confirming, 1)), faster, unit, images, y, found)
    same = (found == images).flatten(1).all(dim=1).view(-1, 1, 1, 1)
    return torch.where(same, x, unit.restore(found))


def _run(suite: Any, network: Network | None, images: Tensor, y: Tensor) -> Tensor:
    """Adversarial images of a suite whose attacks make their passes through another form of its network, if there is one."""
    if network is not None:
        _attack_through(suite, UnitNetwork(network).eval())
    found: Tensor = suite.run_standard_evaluation(images, y, batch_size=len(images))[0]
    return found


def _confirming(nb_classes: int) -> tuple[str, ...]:
    """The attacks in float32 on what has survived in bfloat16: the cheapest two of the suite."""
    return ("apgd-ce", "apgd-t") if nb_classes >= _least("apgd-t") else ("apgd-ce",)


def _confirmed(suite: Any, network: Network | None, unit: UnitNetwork, images: Tensor, y: Tensor, found: Tensor) -> Tensor:
    """Attack what has survived once more, and say how much only this attack broke."""
    with torch.no_grad():
        survived = (unit(found).argmax(dim=1) == y).nonzero().flatten()
    if not len(survived):
        return found
    again = _run(suite, network, images[survived], y[survived])
    with torch.no_grad():
        broken = int((unit(again).argmax(dim=1) != y[survived]).sum())
    if broken:
        warnings.warn(
            f"attack 'autoattack': {broken} of {len(survived)} images that survived it in bfloat16 did not survive "
            f"{' and '.join(suite.attacks_to_run)} in float32 and count as broken; precision='fp32' is the stronger attack here",
            UserWarning,
            stacklevel=2,
        )
    return found.index_copy(0, survived, again)


def _configure(suite: Any, plan: Plan, n_iter: int, n_queries: int) -> None:
    suite.apgd_targeted.n_target_classes = suite.fab.n_target_classes = plan.targets
    if plan.restarts is not None:
        suite.apgd.n_restarts = suite.fab.n_restarts = plan.restarts
    suite.fab.n_iter, suite.square.n_queries = n_iter, n_queries
    for apgd in (suite.apgd, suite.apgd_targeted):
        if n_iter != apgd.n_iter:
            # The lengths that APGD derives from its steps when it is made.
            apgd.n_iter = apgd.n_iter_orig = n_iter
            apgd.n_iter_2, apgd.n_iter_min, apgd.size_decr = (max(int(share * n_iter), 1) for share in (0.22, 0.06, 0.03))


def _attack_through(suite: Any, network: UnitNetwork) -> None:
    """Let the attacks of a suite make their passes through another form of its network; the suite itself judges as before."""
    suite.apgd.model = suite.apgd_targeted.model = suite.fab.predict = suite.square.predict = network
    perturb = suite.square.perturb

    def without_graphs(x: Tensor, y: Tensor) -> Tensor:
        # Square takes no gradient: torch need not track versions and views of its many small tensors.
        with torch.inference_mode():
            found: Tensor = perturb(x, y)
        return found.clone()

    suite.square.perturb = without_graphs


class _Collector(logging.Handler):
    """Keeps the package's warnings (zero gradients, a randomised model, Square stronger than the rest)."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.detail: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.detail.append(record.getMessage().removesuffix(" See flags_doc.md for details."))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Turn what the package logs into Python warnings, and put back the tracer that one of its checks switches off."""
    logger, collector, tracer = logging.getLogger("auto-attack"), _Collector(), sys.gettrace()
    propagated = logger.propagate
    logger.addHandler(collector)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(collector)
        logger.propagate = propagated
        sys.settrace(tracer)
    for message in dict.fromkeys(collector.detail):
        warnings.warn(f"attack 'autoattack': {message}", UserWarning, stacklevel=2)
