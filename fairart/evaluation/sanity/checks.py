"""Sanity checks of robust accuracy: signs that an attack failed, and not that the model withstood it.

Athalye et al., Obfuscated Gradients Give a False Sense of Security, ICML 2018, Sec. 3.1; Carlini et al., On Evaluating
Adversarial Robustness, 2019, Sec. 5. A failed check says that a number cannot be trusted; checks that pass prove nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch

from fairart.attacks import frozen
from fairart.datasets.stored import Images
from fairart.engine.network import restored_modes
from fairart.engine.randomness import isolated_random_state
from fairart.evaluation.attacks import AttackTarget
from fairart.evaluation.attacks.descent import cross_entropy, margin
from fairart.evaluation.attacks.square import square_attack
from fairart.evaluation.results.outcome import AttackResult
from fairart.evaluation.results.sanity_check import SanityCheck
from fairart.evaluation.sanity.subject import Subject, choose
from fairart.plugins import BUILTIN

__all__ = ["SANITY_SAMPLES", "run_checks"]

SANITY_SAMPLES = 256
"""Samples that the checks look at by default."""

WHITE_BOX = frozenset({"fgsm", "pgd", "apgd-ce", "apgd-dlr", "autoattack", "art-autoattack", "cw", "deepfool"})
BLACK_BOX = frozenset({"square", "boundary", "hop-skip-jump", "transfer"})

BLACK_BOX_CHECK = "black-box not stronger than white-box"
ONE_STEP_CHECK = "not weaker than one gradient step"
LOSS_CHECK = "cross-entropy not weaker than the margin loss"

CROSS_ENTROPY = frozenset({"fgsm", "pgd", "apgd-ce"})
"""Attacks on the cross-entropy alone: their strength depends on the size of the logits."""

MARGIN_LEAD = 0.1
"""Share of samples by which steps on the margin loss may beat the cross-entropy; for most models it is 2 to 6 %."""


STEPS, FEW_STEPS = 20, 5
"""Steps of the checks' own PGD, and how many must not be better than those."""

QUERIES = 100
"""Queries of the checks' own Square Attack, where the evaluation has no attack without gradients."""

LEFT_AT_RANGE = 0.02
"""Share of samples that may stand where every image is within reach: PGD may still miss the way there."""

ZERO_GRADIENTS = 0.05
"""Share of samples that may have no input gradient at all."""

SAME_LOGITS = 1e-3
"""How far logits of the same input may differ, relative to the largest; sums in another order differ by much less."""

CHANCE = 0.01
"""Level of the sign test over the samples that one of two attacks alone fools."""

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


def run_checks(
    target: AttackTarget,
    x: Images,
    y: IntArray,
    results: Iterable[AttackResult],
    *,
    samples: int = SANITY_SAMPLES,
    batch_size: int = 512,
    seed: int = 0,
) -> tuple[SanityCheck, ...]:
    """Check whether the robust accuracies of an evaluation can be trusted.

    They look at samples that are right on clean data: whether the same input gives the same output; how many have no input
    gradient at all; whether PGD with growing eps fools them all; whether few steps of PGD fool more of them than many; whether
    attacks that see no gradient beat those that do. Each sample costs 150 gradients and 110 forward passes at most, and 25
    gradients more for every further PGD of the evaluation; commonly half of that, as one that is fooled drops out.

    Args:
        target: what was evaluated.
        x: (n, ...) its data, float in clip values or uint8.
        y: (n,) labels.
        results: of the evaluation, ``"clean"`` among them.
        samples: how many samples at most; 0 for no checks.
        batch_size: samples at a time.
        seed: of the evaluation.

    Returns:
        Checks, passed or failed; none where no sample is right, or nothing was attacked.
    """
    found = {result.label: result for result in results}
    attacked = [result for label, result in found.items() if label != "clean"]
    chosen = choose(found["clean"].correct, samples, seed)
    if not attacked or not len(chosen):
        return ()
    network = target.network
    with restored_modes(network, training=False), frozen(network), isolated_random_state(seed, network.device):
        subject = Subject.of(target, x, y, chosen, batch_size=batch_size, seed=seed)
        return tuple(_checks(subject, found["clean"], attacked))


def _checks(subject: Subject, clean: AttackResult, attacked: Sequence[AttackResult]) -> Iterator[SanityCheck]:
    yield _same_output(subject)
    gradients, reached = _zero_gradients(subject)
    yield gradients
    eps = max((radius for radius in map(_eps, attacked) if radius), default=None)
    white = _right_under([result for result in attacked if _is(result, WHITE_BOX, eps)], len(clean.labels))[subject.indices]
    # Where no gradient reaches the input, no attack of ours that needs one can tell more.
    if reached:
        for result in attacked:
            if _is(result, {"pgd"}):
                options = result.config["options"]
                yield _more_steps(subject, options["eps"], options["eps_step"], result.label)[0]
        if eps is not None and not any(_is(result, {"pgd"}, eps) for result in attacked):
            check, own = _more_steps(subject, eps, None, None)
            yield check
            white &= own
            white &= _after_margin(subject, white, eps)
        yield _growing_eps(subject, clean, eps, white)
    if eps is not None:
        yield from _black_box(subject, attacked, eps, white)
    if reached:
        yield from _not_weaker(subject, attacked)
        for result in attacked:
            if _is(result, CROSS_ENTROPY):
                yield _against_margin(subject, result)


def _same_output(subject: Subject) -> SanityCheck:
    """The same samples again, and beside other ones."""
    name = "same input, same output"
    first, again = subject.logits(subject.x), subject.logits(subject.x)
    halves = [half for half in (slice(None, None, 2), slice(1, None, 2)) if len(subject.y[half])]
    apart = torch.empty_like(first)
    for half in halves:
        apart[half] = subject.logits(subject.x[half])
    largest = first.abs().max().clamp(min=1e-12)
    drawn, mixed = (float((other - first).abs().max() / largest) for other in (again, apart))
    if drawn > SAME_LOGITS:
        flips = int((again.argmax(dim=1) != first.argmax(dim=1)).sum())
        text = (
            f"the model is random: from one pass to the next, logits differ by {drawn:.2g} of the largest, and {flips} of "
            f"{len(subject)} predictions. Accuracies here depend on the draw; attack its expectation over many"
        )
        return SanityCheck(name, passed=False, detail=text)
    if mixed > SAME_LOGITS:
        text = (
            f"a sample's logits depend on the samples beside it: in another batch they differ by {mixed:.2g} of the largest. "
            "Likely cause: normalisation by the batch's own statistics"
        )
        return SanityCheck(name, passed=False, detail=text)
    text = f"logits of {len(subject)} samples differ by at most {max(drawn, mixed):.2g} of the largest, in another batch too"
    return SanityCheck(name, passed=True, detail=text)


def _zero_gradients(subject: Subject) -> tuple[SanityCheck, bool]:
    """How many samples have no gradient; and whether there can be one at all."""
    name = "share of zero gradients"
    try:
        zero = subject.gradients(cross_entropy) == 0
    except RuntimeError as error:
        if not _says_no_gradient(error):
            raise
        text = (
            "no gradient leads from the model's output to its input, so attacks that need one mean nothing here. Likely "
            "causes: detach(), torch.no_grad() or an argmax inside the model"
        )
        return SanityCheck(name, passed=False, detail=text), False
    flat = zero.flatten(1).all(dim=1)
    share = float(flat.float().mean())
    text = (
        f"{share:.1%} of {len(subject)} samples have no gradient of the cross-entropy at all (at most {ZERO_GRADIENTS:.0%}); "
        f"{float(zero.float().mean()):.1%} of all its values are zero"
    )
    if share <= ZERO_GRADIENTS:
        return SanityCheck(name, passed=True, detail=text), True
    none_left = float((subject.gradients(margin) == 0).flatten(1).all(dim=1)[flat].float().mean())
    text += (
        ". The logits' own gradients are zero as well: the model rounds, quantises or is dead behind a ReLU"
        if none_left > 0.5
        else ". The logits do have gradients, so the cross-entropy is saturated: attack with apgd-dlr or autoattack"
    )
    return SanityCheck(name, passed=False, detail=text), True


def _more_steps(subject: Subject, eps: float, eps_step: float | None, label: str | None) -> tuple[SanityCheck, BoolArray]:
    """Where PGD ends after few steps and after many from the same starts; the many must not leave more samples right.

    The attacks of an evaluation keep the first wrong image on their way, so their own numbers could not show it.
    """
    everything = torch.arange(len(subject), device=subject.x.device)
    few, many = (
        subject.climb(everything, eps=eps, eps_step=eps_step, steps=steps, random_start=True).cpu().numpy()
        for steps in (FEW_STEPS, STEPS)
    )
    passed = not _beats(few, many)
    text = (
        f"where PGD ends from the same starts, {int(few.sum())} of {len(subject)} samples are right after {FEW_STEPS} steps and "
        f"{int(many.sum())} after {STEPS}; {_alone(few, many)} are wrong after the fewer alone"
    )
    if not passed:
        text += ". Likely causes: a step too large for eps, or gradients that do not lead uphill"
    return SanityCheck("more steps never help the model", passed=passed, detail=text, attack=label), many


def _growing_eps(subject: Subject, clean: AttackResult, eps: float | None, white: BoolArray) -> SanityCheck:
    """With eps as large as the range of the inputs every other image is within reach, so none can withstand."""
    name = "growing eps leads to zero"
    predicted = np.unique(clean.predictions)
    if len(predicted) == 1:
        text = f"the model predicts class {predicted[0]} for every sample: nothing changes that, and it is no robustness"
        return SanityCheck(name, passed=False, detail=text)
    span = subject.span
    first = eps if eps is not None and eps < span else span * 8 / 255
    # What was fooled within a smaller eps stays fooled within a larger one.
    standing = torch.from_numpy(white).to(subject.x.device).nonzero()[:, 0]
    details = [] if eps is None else [f"{len(standing) / len(subject):.1%} at eps {eps:.3g}"]
    for wider in (math.sqrt(first * span), span):
        standing = standing[subject.climb(standing, eps=wider, steps=STEPS)]
        if wider == span:
            # The slope at the input may lead astray: from somewhere else, and for longer.
            standing = standing[subject.climb(standing, eps=span, steps=2 * STEPS, random_start=True)]
        details.append(f"{len(standing) / len(subject):.1%} at {wider:.3g}")
    passed = len(standing) <= max(1, LEFT_AT_RANGE * len(subject))
    text = (
        f"of {len(subject)} samples {', '.join(details)} withstand PGD; {span:.3g} is the whole range, where at most "
        f"{LEFT_AT_RANGE:.0%} should"
    )
    if not passed:
        text += ". The attack fails there, not the samples withstand: gradients are masked"
    return SanityCheck(name, passed=passed, detail=text)


def _black_box(subject: Subject, attacked: Sequence[AttackResult], eps: float, white: BoolArray) -> Iterator[SanityCheck]:
    """Attacks that see no gradient against those that do, at the same eps on the same samples."""
    blind = [result for result in attacked if _is(result, BLACK_BOX, eps)]
    for result in blind:
        yield _compared(subject, eps, white, result.correct[subject.indices], result.label, result.label)
    classifier = subject.target.classifier
    if blind:
        return
    if len(classifier.input_shape) == 3 and classifier.channels_first:
        own = subject.under(square_attack, "sanity", {"eps": eps, "max_iter": QUERIES})
        yield _compared(subject, eps, white, own, f"Square Attack with {QUERIES} queries", None)
    else:
        text = "not applicable: no attack without gradients was run at this eps, and the checks' own needs images"
        yield SanityCheck(BLACK_BOX_CHECK, passed=True, detail=text)


def _compared(subject: Subject, eps: float, white: BoolArray, black: BoolArray, who: str, label: str | None) -> SanityCheck:
    passed, alone = not _beats(black, white), ~black & white
    text = (
        f"{who} leaves {int(black.sum())} of {len(black)} samples right, attacks along gradients at the same eps "
        f"{int(white.sum())}; {int(alone.sum())} are fooled by it alone"
    )
    if not passed:
        reached = int((~_after_margin(subject, alone, eps) & alone).sum())
        text += (
            f". The attacks along gradients are too weak: steps on the margin fool {reached} of these; add apgd-dlr or autoattack"
            if 2 * reached > alone.sum()
            else ". What sees less cannot be better: the gradients are masked"
        )
    return SanityCheck(BLACK_BOX_CHECK, passed=passed, detail=text, attack=label)


def _not_weaker(subject: Subject, attacked: Sequence[AttackResult]) -> Iterator[SanityCheck]:
    """Every attack with a budget, a plugin's too, against the simplest one, a single gradient step of the same norm and eps.

    An attack that is weaker than that, for want of steps or of a step that fits, says nothing about the model.
    """
    everything = torch.arange(len(subject), device=subject.x.device)
    steps: dict[tuple[float, float], BoolArray] = {}
    for result in attacked:
        budget = result.budget
        # A transfer attack measures another model, and FGSM is the one step itself.
        builtin = result.config.get("plugin", BUILTIN) == BUILTIN
        if budget is None or budget.eps <= 0 or (builtin and result.config.get("attack") in ("fgsm", "transfer")):
            continue
        key = budget.order, budget.eps
        if key not in steps:
            steps[key] = subject.one_step(everything, eps=budget.eps, order=budget.order).cpu().numpy()
        yield _against_one_step(result.label, result.correct[subject.indices], steps[key])


def _against_margin(subject: Subject, result: AttackResult) -> SanityCheck:
    """An attack on the cross-entropy against the same number of steps on the margin loss, which no size of the logits disarms."""
    everything, eps = torch.arange(len(subject), device=subject.x.device), result.config["options"]["eps"]
    steps = 1 if result.config["attack"] == "fgsm" else STEPS
    margins = subject.climb(everything, eps=eps, eps_step=eps if steps == 1 else None, steps=steps, loss=margin).cpu().numpy()
    right = result.correct[subject.indices]
    lead = float(right.mean() - margins.mean())
    passed = lead <= MARGIN_LEAD or not _beats(margins, right)
    text = (
        f"{result.label} leaves {int(right.sum())} of {len(right)} samples right, steps on the margin loss {int(margins.sum())}"
    )
    if not passed:
        text += (
            ". Likely cause: logits so large that the cross-entropy is flat, or so small that it leads to no class. Attack with "
            "cw, apgd-dlr or autoattack"
        )
    return SanityCheck(LOSS_CHECK, passed=passed, detail=text, attack=result.label)


def _against_one_step(label: str, right: BoolArray, one_step: BoolArray) -> SanityCheck:
    passed = not _beats(one_step, right)
    text = (
        f"{label} leaves {int(right.sum())} of {len(right)} samples right, one gradient step of the same budget "
        f"{int(one_step.sum())}"
    )
    if not passed:
        share = float(right.mean() - one_step.mean())
        text += (
            f": it is weaker than the simplest attack by {share:.1%} of the samples. Give it more steps, or a step that fits eps"
        )
    return SanityCheck(ONE_STEP_CHECK, passed=passed, detail=text, attack=label)


def _after_margin(subject: Subject, standing: BoolArray, eps: float) -> BoolArray:
    """(m,) which of the standing samples PGD on the margin leaves; those that do not stand stay as they are.

    On cross-entropy alone PGD may run after the wrong class, even on a linear model.
    """
    index = torch.from_numpy(standing).to(subject.x.device).nonzero()[:, 0]
    left: BoolArray = standing.copy()
    try:
        left[index.cpu().numpy()] = subject.climb(index, eps=eps, steps=STEPS, loss=margin).cpu().numpy()
    except RuntimeError as error:
        if not _says_no_gradient(error):
            raise
    return left


def _says_no_gradient(error: RuntimeError) -> bool:
    return "does not require grad" in str(error) or "not have been used" in str(error)


def _eps(result: AttackResult) -> float | None:
    """L-inf radius of an attack of the library; None where it is of another norm, or has none."""
    known = result.config.get("plugin", BUILTIN) == BUILTIN and result.config.get("attack") in WHITE_BOX | BLACK_BOX
    return result.budget.eps if known and result.budget is not None and result.budget.order == math.inf else None


def _is(result: AttackResult, names: Iterable[str], eps: float | None = None) -> bool:
    """Whether a result is of one of these attacks in L-inf, at that eps where one is given."""
    radius = _eps(result)
    if radius is None or result.config["attack"] not in names:
        return False
    return eps is None or math.isclose(radius, eps, rel_tol=1e-6)


def _right_under(results: Sequence[AttackResult], number: int) -> BoolArray:
    """(n,) whether samples are right under all of these results."""
    right: BoolArray = np.ones(number, dtype=bool)
    for result in results:
        right &= result.correct
    return right


def _alone(one: BoolArray, other: BoolArray) -> int:
    """How many samples ``one`` fools and ``other`` does not."""
    return int((~one & other).sum())


def _beats(one: BoolArray, other: BoolArray) -> bool:
    """Whether ``one`` fools more samples than ``other`` by more than chance (one-sided sign test)."""
    mine, theirs = _alone(one, other), _alone(other, one)
    return mine > theirs and _as_many_heads(mine, mine + theirs) < CHANCE


def _as_many_heads(heads: int, tosses: int) -> float:
    """Chance of at least that many heads when a fair coin is tossed."""
    log_all = math.lgamma(tosses + 1) - tosses * math.log(2)
    return math.fsum(
        math.exp(log_all - math.lgamma(count + 1) - math.lgamma(tosses - count + 1)) for count in range(heads, tosses + 1)
    )
