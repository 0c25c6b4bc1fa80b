"""Computing one certificate round by round and batch by batch, with partial results on disk."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from fairart.attacks import frozen
from fairart.engine.network import restored_modes
from fairart.engine.network.fixed_weights import PROBED, with_fixed_weights
from fairart.engine.randomness import isolated_random_state, seed_global_random_state
from fairart.errors import PluginError
from fairart.evaluation.attacks import AttackTarget
from fairart.evaluation.certificates.base import ABSTAINED, Memory
from fairart.evaluation.certificates.specs import CertificateSpec
from fairart.evaluation.errors import EvaluationError
from fairart.evaluation.running.partial import PartialResults, Unit
from fairart.evaluation.running.progress import Progress
from fairart.evaluation.running.random_state import sample_seeds
from fairart.evaluation.running.sharing import ALONE, Rounds, Sharing
from fairart.fingerprint import spec_fingerprint
from fairart.plugins import BUILTIN

__all__ = ["certify"]

IntArray = npt.NDArray[np.int64]


def certify(
    spec: CertificateSpec,
    target: AttackTarget,
    images: Callable[[IntArray], Tensor],
    *,
    number: int,
    batch_size: int,
    seed: int,
    kept: PartialResults,
    progress: Progress,
    sharing: Sharing = ALONE,
) -> tuple[IntArray, npt.NDArray[np.float64]]:
    """Certify every sample.

    A step is one sample in one round. Partial results are saved between batches, within a round as well.

    Args:
        spec: the certificate, checked.
        target: the model.
        images: the samples at some positions, on the model's device.
        number: of samples, n.
        batch_size: inputs of the network at a time, copies of samples counted.
        seed: of the evaluation.
        kept: where the certificate resumes from, and where it is kept.
        progress: called for every step.
        sharing: the processes that share the samples.

    Returns:
        (n,) predictions, -1 where the certificate abstains, and (n,) radii.

    Raises:
        EvaluationError: answers of a wrong shape, classes that do not exist, radii that are negative or not finite.
        PluginError: a third party's certificate raised.
    """
    certificate, steps = spec.certificate, number * spec.certificate.rounds
    fingerprint = {("certificate" if key == "attack" else key): value for key, value in spec_fingerprint(spec).items()}
    unit = Unit("certificate", spec.label, number, fingerprint, certificate.columns, steps=steps)
    memory, done = sharing.same(kept.load(unit))
    progress.begin(spec.label)
    progress.skip(done)
    started, some = done, images(np.arange(min(number, PROBED)))
    at_once = max(1, int(_asked(spec, lambda: certificate.at_once(some, batch_size))))
    rounds = Rounds(sharing, at_once)
    try:
        with _ready(spec, target, some) as ready:
            while done < steps:
                turn, first = divmod(done, number)
                stop = rounds.stop(first, number)
                for place in rounds.own(first, stop):
                    before = {key: values[place] for key, values in memory.items()}
                    for key, values in _round(spec, ready, images, turn, place, seed, before).items():
                        memory[key][place] = values
                rounds.complete(memory, first, stop)
                done += stop - first
                progress.tick(stop - first)
                kept.save(unit, memory, done)
    finally:
        # Also on the way out of an error or Ctrl-C: nothing that was computed is computed again.
        if done > started:
            kept.save(unit, memory, done, now=True)
    return _checked(spec, _asked(spec, lambda: certificate.finish(memory)), number, target.classifier.nb_classes)


@contextlib.contextmanager
def _ready(spec: CertificateSpec, target: AttackTarget, x: Tensor) -> Iterator[AttackTarget]:
    """The target in eval mode and with frozen weights, for all rounds; everything is put back afterwards."""
    network = target.network
    with contextlib.ExitStack() as stack:
        stack.enter_context(restored_modes(network, training=False))
        stack.enter_context(frozen(network))
        if spec.certificate.logits_alone:
            network = stack.enter_context(with_fixed_weights(network, x, gradients=False)) or network
        stack.enter_context(isolated_random_state(0, network.device))
        yield AttackTarget(target.classifier, network)


def _round(
    spec: CertificateSpec,
    target: AttackTarget,
    images: Callable[[IntArray], Tensor],
    turn: int,
    place: IntArray,
    seed: int,
    memory: Memory,
) -> Memory:
    network = target.network
    network.eval()  # the certificate of a third party may have left it otherwise
    seeds = sample_seeds(seed, f"{spec.name}/round {turn}", place.tolist())
    own = AttackTarget(target.classifier, network, seeds, seed)
    x = images(place)
    seed_global_random_state(seeds[0], network.device)
    answer: Any = _asked(spec, lambda: spec.certificate.round(turn, own, x, memory))
    known = spec.certificate.columns
    for key, values in answer.items():
        if key not in known or np.shape(values) != (len(place),):
            raise EvaluationError(
                f"{_who(spec)} must give ({len(place)},) values of {', '.join(known)} for this batch, got {key} of shape "
                f"{np.shape(values)}"
            )
    found: Memory = answer
    return found


def _asked(spec: CertificateSpec, call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:  # a third-party certificate may raise any exception; the message names it
        if spec.plugin == BUILTIN:
            raise
        raise PluginError(f"plugin {spec.plugin!r}: certificate {spec.name!r} raised {type(error).__name__}: {error}") from error


def _checked(spec: CertificateSpec, answer: Any, number: int, nb_classes: int) -> tuple[IntArray, npt.NDArray[np.float64]]:
    predictions, radii = (np.asarray(values) for values in answer)
    if predictions.shape != (number,) or radii.shape != (number,):
        raise EvaluationError(f"{_who(spec)} must give ({number},) predictions and radii, got {predictions.shape}, {radii.shape}")
    strange = (predictions < ABSTAINED) | (predictions >= nb_classes)
    if strange.any():
        where = int(np.flatnonzero(strange)[0])
        raise EvaluationError(
            f"{_who(spec)} must predict classes 0 to {nb_classes - 1}, or -1 to abstain, got {predictions[where]} for sample "
            f"{where}"
        )
    bad = ~(np.isfinite(radii) & (radii >= 0))
    if bad.any():
        where = int(np.flatnonzero(bad)[0])
        raise EvaluationError(f"{_who(spec)} must give finite radii >= 0, got {radii[where]} for sample {where}")
    return predictions.astype(np.int64), radii.astype(np.float64)


def _who(spec: CertificateSpec) -> str:
    return f"certificate {spec.label!r} ({spec.name!r} of plugin {spec.plugin!r})"
