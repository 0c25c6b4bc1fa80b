"""Every extension point of fairart: one hook a kind, and three notifications.

A plugin implements any of these with ``@hookimpl``. The hook gets a callable ``register``; call it once for each thing::

    @hookimpl
    def fairart_register_target_samplers(register):
        register("inverse-accuracy", InverseAccuracySampler)

``register(name, factory, description="")`` takes a class or a function (its keyword parameters are its options), or the text
``"package.module:attribute"``, which is imported only when somebody asks for it. A name that is taken is an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import pluggy

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FUNCTION_KINDS", "HOOK_OF_KIND", "METHOD_KINDS", "PROJECT", "Register", "hookimpl", "hookspec"]

PROJECT = "fairart"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Register(Protocol):
    """Signature of the ``register`` that registration hooks get."""

    def __call__(self, name: str, factory: Callable[..., Any] | str, *, description: str = "") -> None:
        """Make ``factory`` known under ``name``."""


@hookspec
def fairart_register_target_samplers(register: Register) -> None:
    """Register subclasses of ``fairart.policies.TargetSampler``: which class each adversarial example aims at."""


@hookspec
def fairart_register_epsilon_schedulers(register: Register) -> None:
    """Register subclasses of ``fairart.policies.EpsilonScheduler``: the perturbation budget of each class."""


@hookspec
def fairart_register_class_weightings(register: Register) -> None:
    """Register subclasses of ``fairart.policies.ClassWeighting``: how much each class counts in the loss."""


@hookspec
def fairart_register_class_samplings(register: Register) -> None:
    """Register subclasses of ``fairart.policies.ClassSampling``: which classes the next batch is drawn from."""


@hookspec
def fairart_register_classification_losses(register: Register) -> None:
    """Register subclasses of ``fairart.policies.ClassificationLoss``: what stands in for an objective's cross-entropy."""


@hookspec
def fairart_register_weight_perturbations(register: Register) -> None:
    """Register subclasses of ``fairart.policies.WeightPerturbation``: wrappers of the optimiser step such as AWP."""


@hookspec
def fairart_register_averagings(register: Register) -> None:
    """Register subclasses of ``fairart.policies.Averaging``: which epochs enter the averaged weights, and how."""


@hookspec
def fairart_register_objectives(register: Register) -> None:
    """Register subclasses of ``fairart.objectives.Objective``: what one batch minimises."""


@hookspec
def fairart_register_augmentations(register: Register) -> None:
    """Register subclasses of ``fairart.engine.data.augmentation.Augmentation`` or ``Mixing``: what is done to training images."""


@hookspec
def fairart_register_fairness_metrics(register: Register) -> None:
    """Register functions ``metric(confusion, **options) -> float`` of a ``fairart.statistics.ConfusionMatrix``."""


@hookspec
def fairart_register_attacks(register: Register) -> None:
    """Register attacks of the evaluation: functions ``attack(target, x, y, *, generator=None, **options) -> x_adv``."""


@hookspec
def fairart_register_certificates(register: Register) -> None:
    """Register subclasses of ``fairart.evaluation.certificates.Certificate``: radii within which predictions cannot change."""


@hookspec
def fairart_register_defences(register: Register) -> None:
    """Register subclasses of ``fairart.evaluation.defences.Defence``: what is done to an input before the model sees it."""


@hookspec
def fairart_register_corruptions(register: Register) -> None:
    """Register corruptions: functions ``corrupt(x, severity, *, generator) -> x`` on a batch in [0, 1]."""


@hookspec
def fairart_register_datasets(register: Register) -> None:
    """Register data sets: functions ``load(*, data_root, **options) -> fairart.datasets.Dataset``."""


@hookspec
def fairart_register_models(register: Register) -> None:
    """Register models: functions ``build(*, input_shape, nb_classes, **options) -> torch.nn.Module`` giving logits."""


@hookspec
def fairart_register_trainers(register: Register) -> None:
    """Register subclasses of ``fairart.trainers.FairnessTrainer``."""


@hookspec
def fairart_fit_start(trainer: Any) -> None:
    """Told once when training starts, before the first batch; a resumed trainer has its earlier epochs in ``history`` then."""


@hookspec
def fairart_epoch_end(trainer: Any, record: Any) -> None:
    """Told after every epoch; ``record`` is the ``fairart.engine.EpochRecord`` just added to the history."""


@hookspec
def fairart_fit_end(trainer: Any) -> None:
    """Told once when training has ended without an error."""


HOOK_OF_KIND = {
    "target_sampler": "fairart_register_target_samplers",
    "epsilon_scheduler": "fairart_register_epsilon_schedulers",
    "class_weighting": "fairart_register_class_weightings",
    "class_sampling": "fairart_register_class_samplings",
    "classification_loss": "fairart_register_classification_losses",
    "weight_perturbation": "fairart_register_weight_perturbations",
    "averaging": "fairart_register_averagings",
    "objective": "fairart_register_objectives",
    "augmentation": "fairart_register_augmentations",
    "fairness_metric": "fairart_register_fairness_metrics",
    "attack": "fairart_register_attacks",
    "certificate": "fairart_register_certificates",
    "defence": "fairart_register_defences",
    "corruption": "fairart_register_corruptions",
    "dataset": "fairart_register_datasets",
    "model": "fairart_register_models",
    "trainer": "fairart_register_trainers",
}
"""The hook that registers each kind; the kinds are what :func:`fairart.create` takes."""

METHOD_KINDS = (
    "objective",
    "target_sampler",
    "epsilon_scheduler",
    "class_weighting",
    "class_sampling",
    "classification_loss",
    "weight_perturbation",
    "averaging",
)
"""The kinds of which a training method has at most one part each."""

FUNCTION_KINDS = frozenset({"fairness_metric", "attack", "corruption"})
"""Kinds whose things are plain functions: ``create`` fills in their keyword-only options and gives the function."""
