"""Evaluate a classifier class by class, on clean data, under attacks and on corrupted images."""

from __future__ import annotations

import contextlib
import dataclasses
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import art
import numpy as np
import numpy.typing as npt
import torch
from art.estimators.classification import PyTorchClassifier

import fairart
from fairart.datasets.stored import Images, StoredImages
from fairart.engine.data import check_inputs, check_labels, uint8_divisor
from fairart.engine.network import Network, check_model
from fairart.engine.shortage import memory_shortage
from fairart.evaluation.attacks import AttackTarget
from fairart.evaluation.attacks.specs import Attacks, AttackSpec, resolve_attacks
from fairart.evaluation.certificates.specs import Certificates, resolve_certificates
from fairart.evaluation.defences.specs import Defences, resolve_defences
from fairart.evaluation.ood.plan import Outliers, resolve_ood
from fairart.evaluation.ood.running import score_outliers
from fairart.evaluation.ood.settings import OodSettings
from fairart.evaluation.results.groups import GroupsLike, resolve_groups
from fairart.evaluation.results.outcome import AttackResult
from fairart.evaluation.results.result import EvaluationResult
from fairart.evaluation.results.sanity_check import SanityCheck
from fairart.evaluation.running import parts
from fairart.evaluation.running.affine import Affine, check_affine
from fairart.evaluation.running.broken import check_unbroken
from fairart.evaluation.running.corrupted import Corruptions, CorruptionSource, resolve_corruptions
from fairart.evaluation.running.defending import defend
from fairart.evaluation.running.partial import PartialResults
from fairart.evaluation.running.progress import Progress
from fairart.evaluation.running.runner import Runner
from fairart.evaluation.running.scaling import Scaling
from fairart.evaluation.running.sharing import Sharing
from fairart.evaluation.running.shifted import Shifts, check_shifts
from fairart.evaluation.running.votes import votes_of
from fairart.evaluation.sanity.checks import SANITY_SAMPLES, run_checks
from fairart.evaluation.sanity.defences import check_defences
from fairart.fingerprint import array_digest, classifier_fingerprint

__all__ = ["evaluate"]

FAINT = 1e-3
"""An eps below this share of the range of the clip values, a quarter of one 8-bit level, is most likely in other units."""


def evaluate(
    classifier: PyTorchClassifier,
    x: npt.ArrayLike | StoredImages,
    y: npt.ArrayLike,
    *,
    attacks: Attacks = ("pgd",),
    corruptions: Corruptions | None = None,
    severities: Sequence[int] | None = None,
    certificates: Certificates = (),
    ood: Outliers | None = None,
    ood_settings: OodSettings | None = None,
    batch_size: int = 512,
    seed: int = 0,
    class_names: Sequence[str] | None = None,
    groups: GroupsLike | None = None,
    shifts: Shifts | None = None,
    affine: Affine | None = None,
    temperature: bool = False,
    defences: Defences = (),
    checkpoint: str | Path | None = None,
    sanity_samples: int = SANITY_SAMPLES,
    fabric: Any = None,
    verbose: bool = True,
) -> EvaluationResult:
    """Evaluate any ART ``PyTorchClassifier``, trained here or not.

    The model is scored in eval mode on its logits (preprocessing included, ART's postprocessing left out). Only samples that
    are right on clean data are attacked; what comes back is projected onto eps and clip values and scored again. Modes and
    global random states are left as they were.

    Every sample draws from its own random stream, made of seed, attack and position in the data. So the same seed gives the
    same result, and another batch size changes it only as far as floating-point sums differ between batch sizes. Attacks of
    third parties that draw from ``generator`` or from global random states do depend on the batch size.

    Args:
        classifier: the classifier; its ``clip_values`` are obeyed, and eps is in units of its input. That of a
            :class:`fairart.models.Ensemble` has the disagreement of its members recorded as well.
        x: (n, *input_shape) samples in clip values, or uint8: divided by 255 for clip values (0, 1), as they are for
            (0, 255). An array, or :class:`fairart.datasets.StoredImages`, which are read from disk batch by batch.
        y: (n,) labels, or (n, K) one-hot.
        attacks: registered names, (name, options) pairs, or label -> options. Two settings of one attack need labels:
            ``[("pgd", {"max_iter": 20}), ("pgd", {"label": "pgd-100", "max_iter": 100})]`` or
            ``{"pgd-20": {"attack": "pgd", "max_iter": 20}, ...}``. Clean data always comes first; none means clean only.
        corruptions: a named set (``"common15"``, ``"extra4"``, ``"paper18"``, ``"all"``), names, or name -> options: made of
            ``x``, batch by batch on the device. Or a ``CorruptionFolder``, such as CIFAR-10-C, read batch by batch with the
            labels that it brings; or ``MadeCorruptions``. None for none. Needs images (C, H, W) and clip values.
        severities: of the corruptions, any of 1 to 5; None for all.
        certificates: registered names, (name, options) pairs, or label -> options, as ``attacks``:
            ``[("smoothing", {"sigma": 0.25, "n": 1000})]``. Every sample is certified, right or wrong. A deterministic
            certificate that an attack of the same norm breaks is an error.
        ood: sets of outliers by name: ``{"noise": "noise", "svhn": x_svhn}``. A text is a built-in set (``noise``,
            ``gaussian-noise``, ``blurred``, ``permuted``, ``digits``, ``fooling``), an array is images as ``x``. None for none.
        ood_settings: scores of the outliers, and attacks on the scores; None for the defaults.
        batch_size: samples at a time, >= 1.
        seed: of all random starts and of the corruptions made, >= 0.
        class_names: K names for the tables, or None for numbers.
        groups: an attribute of the samples, such as site or sensor: (n,) texts or whole numbers, or name -> values for several.
            Every table is then given by group as well, and by class within each group. The numbers of the attacks do not
            depend on it.
        shifts: shifted test sets by name, such as ``{"camera-2": (x, y)}``, as ``x`` and ``y``: clean accuracy and calibration on
            each, class by class, and what is lost. No attack is run on them.
        affine: curves of accuracy against degree: ``"all"``, names among ``rotation``, ``scale`` and ``shear``, or name ->
            degrees.
        temperature: also scale confidences by temperatures, one for all and one for each predicted class, fitted on clean test
            images and used on others: each half of the test images by those of the other half, shifted images by those of all.
        defences: input defences, as ``attacks``: ``["jpeg", ("feature-squeezing", {"bit_depth": 2})]``. Each is measured clean,
            and under every attack twice: naively, with examples made for the undefended model, and by BPDA, with examples
            made through the defence. Needs clip values.
        checkpoint: a folder for partial results. Finished batches are kept there, and a killed evaluation resumes
            from them and returns the same result as without the interruption. Files that are damaged, or that belong to
            other weights, data or settings, are discarded with a warning.
            The folder is kept after the evaluation, see :func:`remove_partial`.
        sanity_samples: samples that the sanity checks look at where there are attacks, see
            :func:`fairart.evaluation.sanity.checks.run_checks`; 0 for no checks.
        fabric: a ``lightning.fabric.Fabric`` on which ``launch()`` was called: its processes share the evaluation, batch by
            batch, and all of them get the result, which is that of one process. Each calls this function with the same
            arguments; only the first writes to ``checkpoint`` and shows progress. None for this process alone.
        verbose: show a progress bar on standard error if it is a terminal.

    Returns:
        The outcome of every sample under ``"clean"`` and each attack's label, of the corrupted images under ``corruptions``,
        the scores of outliers under ``ood``, what is certified under ``certificates``, and what input defences do under
        ``defences``.

    Raises:
        TypeError: no ``PyTorchClassifier``, or ``fabric`` is no launched Fabric.
        ValueError: bad data, names, groups, shifts, severities, batch size or seed; options of an attack that it does not have;
            corruptions of another shape or other classes; outliers of another shape, or that are test or training images; a
            checkpoint that is no folder of partial results.
        MissingTexturesError: frost is asked for, and there are no pictures to make it of.
        ModelError: a model that does not return logits, see :func:`fairart.engine.network.check_model`.
        NotEnoughMemoryError: a batch does not fit into memory.
        EvaluationError: an attack did nothing, numbers that are not finite, or a certificate that an attack broke.
    """
    network = Network(classifier)
    sharing = Sharing.of(fabric, network.device)
    labels = check_labels(y, classifier.nb_classes)
    images = check_inputs(x, classifier)
    if len(images) != len(labels):
        raise ValueError(f"x and y must be of one length, got {len(images)} samples and {len(labels)} labels")
    attributes = resolve_groups(groups, len(labels))
    names = _check_names(class_names, classifier.nb_classes)
    common: dict[str, Any] = {"nb_classes": classifier.nb_classes, "class_names": names}
    for option, value, least in (("batch_size", batch_size, 1), ("seed", seed, 0), ("sanity_samples", sanity_samples, 0)):
        _check_whole(option, value, least)
    specs = _checked_attacks(attacks, classifier)
    certifying = [one.checked(classifier) for one in resolve_certificates(certificates)]
    defending = [one.checked(classifier) for one in resolve_defences(defences)]
    shifted = check_shifts(shifts, classifier)
    curves = check_affine(affine, classifier)
    check_model(
        network,
        nb_classes=classifier.nb_classes,
        input_shape=tuple(classifier.input_shape),
        x=_two_samples(images, classifier),
        training=False,
    )
    source, at = resolve_corruptions(
        corruptions, severities, classifier=classifier, network=network, x=images, labels=labels, seed=seed
    )
    outliers = resolve_ood(ood, ood_settings, classifier=classifier, network=network, x=images, seed=seed)
    config = {**_config(classifier, network, len(labels), batch_size, seed), "sanity_samples": int(sanity_samples)}
    kept = PartialResults()
    if checkpoint is not None and sharing.first:
        kept = PartialResults(checkpoint, _fingerprint(classifier, images, labels, config, temperature=temperature))
    rounds = 1 + len(specs) + sum(one.certificate.rounds for one in certifying) + len(defending) * (1 + 2 * len(specs))
    total = len(labels) * (rounds + sum(len(degrees) for degrees in curves.values())) + outliers.work(len(labels))
    total += sum(len(y) for _, y in shifted.values()) + _corrupted(source, at)
    with Progress(total, verbose=verbose and sharing.first) as bar, _repeatable(), memory_shortage(batch_size, network.device):
        runner = Runner(AttackTarget(classifier, network), images, labels, batch_size, seed, bar, kept, sharing=sharing)
        if temperature:
            runner = dataclasses.replace(runner, scaling=Scaling.of(runner.logits(), labels, seed))
        results, scores = parts.attack_results(runner, specs, common)
        corruption_results = parts.corruption_results(runner, source, at, common)
        certified = [parts.certificate_result(runner, one, common) for one in certifying]
        check_unbroken(certified, results)
        shift_results, shift_scores = parts.shift_results(runner, shifted, common)
        affine_results = parts.affine_results(runner, curves, common)
        ood_results = score_outliers(runner, outliers, names)
        defended = [defend(runner, one, specs, results, common) for one in defending]
        bar.begin("sanity checks")
        checks = _checks(runner, results, sanity_samples)
    return EvaluationResult(
        results,
        corruptions=corruption_results,
        certificates=certified,
        ood=ood_results,
        config=config,
        versions=_versions(),
        checks=[*checks, *check_defences(defended)],
        groups=attributes,
        shifts=shift_results,
        affine=affine_results,
        temperature=parts.temperature_results(runner, results, scores, shift_results, shift_scores),
        ensemble=votes_of(runner.target.network, results, scores),
        defences=defended,
    )


def _corrupted(source: CorruptionSource | None, severities: Sequence[int]) -> int:
    """How many corrupted images there are."""
    return 0 if source is None else len(source.names) * len(severities) * len(source.labels)


def _checks(runner: Runner, results: Sequence[AttackResult], samples: int) -> tuple[SanityCheck, ...]:
    """The sanity checks, by the first process: they look at a few hundred samples, and the others wait."""
    found: list[dict[str, Any]] = []
    if runner.sharing.first:
        checks = run_checks(
            runner.target, runner.x, runner.labels, results, samples=samples, batch_size=runner.batch_size, seed=runner.seed
        )
        found = [dataclasses.asdict(check) for check in checks]
    return tuple(SanityCheck(**values) for values in runner.sharing.same(found))


def _two_samples(images: Images, classifier: PyTorchClassifier) -> torch.Tensor | None:
    """The first two samples, as the model gets them; None if there is one alone."""
    if len(images) < 2:
        return None
    first = torch.as_tensor(images[:2])
    return first.float() / uint8_divisor(classifier) if images.dtype == np.uint8 else first


@contextlib.contextmanager
def _repeatable() -> Iterator[None]:
    """Let cuDNN not choose another algorithm in the next process, which sums in another order."""
    cudnn = torch.backends.cudnn
    before = cudnn.benchmark, cudnn.deterministic
    cudnn.benchmark, cudnn.deterministic = False, True
    try:
        yield
    finally:
        cudnn.benchmark, cudnn.deterministic = before


def _fingerprint(
    classifier: PyTorchClassifier, images: Images, labels: npt.NDArray[np.int64], config: dict[str, Any], *, temperature: bool
) -> dict[str, Any]:
    """All that every number of an evaluation follows from."""
    return {
        **classifier_fingerprint(classifier),
        "images": array_digest(images),
        "labels": array_digest(labels),
        "seed": int(config["seed"]),
        "batch size": int(config["batch_size"]),
        "device": config["device"],
        "number format": config["dtype"],
        **{f"version of {name}": version for name, version in _versions().items()},
        **({"temperature": True} if temperature else {}),
    }


def _config(classifier: PyTorchClassifier, network: Network, number: int, batch_size: int, seed: int) -> dict[str, Any]:
    clip = classifier.clip_values
    return {
        "seed": seed,
        "batch_size": batch_size,
        "nb_samples": number,
        "device": network.device.type,
        "dtype": str(network.dtype).removeprefix("torch."),
        "clip_values": None if clip is None else [np.asarray(value).tolist() for value in clip],
    }


def _versions() -> dict[str, str]:
    return {"fairart": fairart.__version__, "torch": str(torch.__version__), "art": str(art.__version__)}


def _check_names(class_names: Sequence[str] | None, nb_classes: int) -> tuple[str, ...] | None:
    if class_names is None:
        return None
    names = () if isinstance(class_names, str) else tuple(class_names)
    if len(names) != nb_classes or not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
        raise ValueError(f"class_names must be {nb_classes} different names, got {class_names!r}")
    return names


def _check_whole(name: str, value: Any, low: int) -> None:
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < low:
        raise ValueError(f"{name} must be a whole number >= {low}, got {value!r}")


def _checked_attacks(attacks: Attacks, classifier: PyTorchClassifier) -> list[AttackSpec]:
    specs = [spec.checked(classifier) for spec in resolve_attacks(attacks)]
    for spec in specs:
        _warn_if_faint(spec, classifier)
    return specs


def _warn_if_faint(spec: AttackSpec, classifier: PyTorchClassifier) -> None:
    if classifier.clip_values is None:
        return
    low, high = (np.asarray(value, dtype=np.float64) for value in classifier.clip_values)
    span = float(np.max(high - low))
    if 0 < spec.eps < FAINT * span:
        warnings.warn(
            f"attack {spec.label!r}: eps {spec.eps:g} is very small: inputs span {span:g}. It is in the "
            f"classifier's own input units: 8/255 of the range would be {span * 8 / 255:g} here",
            UserWarning,
            stacklevel=4,
        )
