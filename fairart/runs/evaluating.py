"""An evaluation from the request to the file: the same for the runs of fairart and for models of others."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from art.estimators.classification import PyTorchClassifier

from fairart.datasets import Dataset
from fairart.datasets.stored import Images, select
from fairart.engine.shortage import shortage_explained
from fairart.evaluation import EvaluationResult, evaluate, remove_partial
from fairart.evaluation.attacks.specs import resolve_attacks
from fairart.evaluation.ood.settings import OodSettings
from fairart.evaluation.sanity.checks import SANITY_SAMPLES
from fairart.runs import evaluation as plan
from fairart.runs import evaluation_batch
from fairart.runs.folders import EVALUATION, PARTIAL
from fairart.runs.outliers import OodRequest, check_ood, described, load_ood
from fairart.runs.ray_connection import RayOptions
from fairart.runs.shifts import load_shifts

__all__ = ["Prepared", "Request", "carry_out", "prepare"]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to evaluate a classifier with.

    Partial results are kept in ``evaluation.partial`` until the file of the result is written: after an interruption, the same
    request resumes and writes the same file as without the interruption.

    Args:
        attacks: registered names, or (name, options) pairs, with a ``label`` for a second setting of one attack.
        eps: budget, in the norm of the run, of every attack that has one and is not given its own; None for the run's, else the
            attack's default.
        corruptions: a named set, or names; made of the test images, unless a folder is given.
        corruptions_dir: folder in the layout of CIFAR-10-C to read corruptions from; without names all that it has.
        severities: of the corruptions, any of 1 to 5; None for all.
        certificates: registered names, or (name, options) pairs, with a ``label`` for a second setting of one certificate.
        reference: an ``evaluation.json`` with these corruptions, to take the mean corruption error (mCE) against.
        ood: sets of outliers, with scores and attacks on the scores; None for none.
        options: attack, corruption, certificate or defence -> its options. ``surrogate`` of the transfer attack may be the folder
            of a run.
        batch_size: images at a time, or ``"auto"``: the most that fit into memory, found by trial; the result says how many.
        seed: of the attacks' random starts, of the corruptions made, and of the choice under ``limit``.
        limit: evaluate that many test images, drawn at random; ``"100/class"`` for so many of each class.
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``; None for that of the run, else ``"auto"``.
        devices: processes that share the images, one a device; the result does not depend on their number.
        ray: the Ray cluster that they run on, which must see the folders of runs and result; None for this machine.
        restart: discard partial results and start again.
        sanity_samples: images for the sanity checks, 0 to skip the checks.
        verbose: show a progress bar on a terminal.
        groups: attributes of the test images: columns of the data set, or files of one value a test image.
        shifts: shifted test sets, name -> data set: a registered name, ``npz:PATH`` or ``folder:PATH``.
        data_root: folder of their data files; None for that of the run.
        affine: curves of accuracy against degree: family -> degrees, None for its own ones.
        temperature: scale confidences by temperatures, and measure calibration before and after.
        defences: input defences, registered names or (name, options) pairs, with a ``label`` for a second setting of one.
    """

    attacks: Sequence[plan.Attack] = ("pgd",)
    eps: float | None = None
    corruptions: str | Sequence[str] | None = None
    corruptions_dir: str | Path | None = None
    severities: Sequence[int] | None = None
    certificates: Sequence[plan.Attack] = ()
    reference: str | Path | None = None
    ood: OodRequest | None = None
    options: Mapping[str, Mapping[str, Any]] | None = field(default_factory=dict)
    batch_size: int | Literal["auto"] = 512
    seed: int = 0
    limit: plan.Limit = None
    device: str | None = None
    devices: int = 1
    ray: RayOptions | None = None
    restart: bool = False
    sanity_samples: int = SANITY_SAMPLES
    verbose: bool = True
    groups: str | Sequence[str] = ()
    shifts: Mapping[str, str] = field(default_factory=dict)
    data_root: str | None = None
    affine: Mapping[str, Sequence[float] | None] = field(default_factory=dict)
    temperature: bool = False
    defences: Sequence[plan.Attack] = ()


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A request whose names and options are checked.

    Args:
        request: the request.
        attacks: names with complete options, models of surrogates loaded.
        certificates: names with complete options.
        surrogates: label -> folder of the surrogate's run.
        ood: settings of the outliers, if there are any.
        defences: names with complete options.
    """

    request: Request
    attacks: Sequence[tuple[str, Mapping[str, Any]]]
    certificates: Sequence[tuple[str, Mapping[str, Any]]]
    surrogates: Mapping[str, str]
    ood: OodSettings | None = None
    defences: Sequence[tuple[str, Mapping[str, Any]]] = ()


def prepare(request: Request, budget: plan.Budget, *, surrogate: Callable[[str | Path], PyTorchClassifier]) -> Prepared:
    """Check a request before data and weights are loaded.

    Args:
        request: the request.
        budget: of the attacks, unless the request has its own.
        surrogate: loads the classifier of a run.

    Raises:
        UnknownNameError: no such attack, corruption, certificate, defence, set of outliers or score.
        OptionError: options of an attack, certificate or defence that is not run, or that it does not have; a bad limit.
    """
    plan.parse_limit(request.limit)
    given = request.options or {}
    names = [name for name in request.attacks if isinstance(name, str)]
    certified = [name for name in request.certificates if isinstance(name, str)]
    defended = [name for name in request.defences if isinstance(name, str)]
    plan.check_options(given, [*names, *certified, *defended], plan.names_to_make(request.corruptions, request.corruptions_dir))
    asked = budget if request.eps is None else plan.Budget(request.eps, norm=budget.norm)
    chosen = plan.choose_attacks(asked, request.attacks, given)
    certificates = plan.choose_certificates(asked, request.certificates, given)
    defences = plan.choose_defences(request.defences, given)
    # By label: two settings of one attack may each have their own.
    surrogates = {
        own.get("label", name): str(own["surrogate"]) for name, own in chosen if isinstance(own.get("surrogate"), str | Path)
    }
    loaded = [
        (name, {**own, "surrogate": surrogate(own["surrogate"])} if own.get("label", name) in surrogates else own)
        for name, own in chosen
    ]
    # Before data and weights are loaded.
    resolve_attacks([(name, own) for name, own in chosen if own.get("label", name) not in surrogates])
    return Prepared(
        request=request,
        attacks=loaded,
        certificates=certificates,
        surrogates=surrogates,
        ood=check_ood(request.ood, asked),
        defences=defences,
    )


def carry_out(
    prepared: Prepared,
    classifier: PyTorchClassifier,
    data: Dataset,
    folder: Path,
    *,
    device: str,
    about: Mapping[str, Any],
    unseen: Images | None = None,
    fabric: Any = None,
) -> EvaluationResult:
    """Evaluate a classifier on the test images of a data set, and write ``evaluation.json``.

    Args:
        prepared: the checked request.
        classifier: the classifier.
        data: its data set.
        folder: folder of the file.
        device: ``"cpu"`` or ``"cuda"``.
        about: further entries of the result's ``config``.
        unseen: test images of the classes that were left out of training, for outliers of this name; None if none were.
        fabric: a launched Fabric whose processes share the evaluation, each of which calls this; None for one process.

    Raises:
        CorruptionFolderError: a damaged folder of corruptions, or one for other images or classes.
        MissingTexturesError: frost is requested, and its pictures are not installed.
        ValueError: bad severities, or a reference that does not fit.
        EvaluationError: an attack did nothing.
        NotEnoughMemoryError: a batch does not fit into memory; the message says which would.
    """
    asked = prepared.request
    data = data.with_readable_test()
    if data.storage and asked.verbose:
        print(f"fairart: {data.name}: {data.storage}", file=sys.stderr)
    keep = plan.choose_images(data.y_test, asked.limit, asked.seed)
    source = plan.corruption_source(
        data,
        keep,
        corruptions=asked.corruptions,
        folder=asked.corruptions_dir,
        severities=asked.severities,
        options=asked.options or {},
        limit=asked.limit,
        seed=asked.seed,
        device=device,
    )
    groups = plan.groups_of(asked.groups, data, keep)
    shifts = load_shifts(asked.shifts, data, data_root=asked.data_root, limit=asked.limit, seed=asked.seed)
    ood: dict[str, Any] = {}
    if asked.ood is not None and prepared.ood is not None:
        ood["ood"], ood["ood_settings"] = load_ood(asked.ood, prepared.ood, data, unseen=unseen)
    compared = None if asked.reference is None else plan.check_reference(asked.reference, source)
    if asked.restart:
        remove_partial(folder / PARTIAL)
    folder.mkdir(parents=True, exist_ok=True)
    images = (classifier, select(data.x_test, keep), data.y_test[keep])
    size = evaluation_batch.found(asked.batch_size, *images, folder, device=device, verbose=asked.verbose, fabric=fabric)
    with shortage_explained(lambda error: evaluation_batch.explained(error, *images, folder, device=device)):
        result = evaluate(
            *images,
            attacks=prepared.attacks,
            corruptions=source,
            certificates=prepared.certificates,
            **ood,
            batch_size=size,
            seed=asked.seed,
            class_names=data.classes,
            groups=groups,
            shifts=shifts,
            affine=asked.affine or None,
            temperature=asked.temperature,
            defences=prepared.defences,
            checkpoint=folder / PARTIAL,
            fabric=fabric,
            verbose=asked.verbose,
            sanity_samples=asked.sanity_samples,
        )
    result.config.update(about, note=data.note)
    _add_sources(result, prepared, data)
    if compared is not None:
        value = result.mean_corruption_error(compared)
        result.config["mean_corruption_error"] = {"reference": str(asked.reference), "value": value}
    if fabric is None or fabric.global_rank == 0:
        result.save(folder / EVALUATION)
        remove_partial(folder / PARTIAL)
    return result


def _add_sources(result: EvaluationResult, prepared: Prepared, data: Dataset) -> None:
    """Write into a result where its images and surrogates came from."""
    asked = prepared.request
    if data.unreadable:
        result.config["unreadable"] = sorted(data.unreadable)
    if len(data.y_train):
        result.config["training_counts"] = data.training_counts
    for name, dataset in asked.shifts.items():
        result.shifts.sources[name]["dataset"] = dataset
    for name, source_of_set in ({} if asked.ood is None else asked.ood.sets).items():
        result.ood.config["sets"][name]["dataset"] = described(source_of_set)
    if prepared.surrogates:
        result.config["surrogates"] = dict(prepared.surrogates)
