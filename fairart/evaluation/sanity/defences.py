"""The sanity check of input defences: whether a robust accuracy is there only for an attack that does not know of the defence.

Athalye, Carlini & Wagner, Obfuscated Gradients Give a False Sense of Security, ICML 2018.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fairart.evaluation.results.comparing.paired_tests import mcnemar
from fairart.evaluation.results.defence_result import DefenceResult, DefendedAttack
from fairart.evaluation.results.sanity_check import SanityCheck

__all__ = ["DEFENCE_CHECK", "check_defences"]

DEFENCE_CHECK = "robust also against an attack that knows of the defence"


def check_defences(defences: Iterable[DefenceResult]) -> Iterator[SanityCheck]:
    """One check for every defence and attack.

    The naive number is marked where it is above that of BPDA by more than the 95 % interval of the difference on the same
    samples; or where it is so much above that of the undefended model, and BPDA's is not: the gain is there only while the
    attack does not know of the defence. In both cases the defence hides the gradient, and does not withstand the attack.

    Args:
        defences: what was measured.
    """
    for defence in defences:
        for one in defence.attacks:
            yield _checked(one)


def _checked(one: DefendedAttack) -> SanityCheck:
    illusion, seeming = one.illusion, mcnemar(one.naive, one.undefended)
    counts = [f"{int(result.correct.sum())}" for result in (one.naive, one.bpda, one.undefended)]
    total = len(one.naive.labels)
    low, high = illusion.interval
    text = (
        f"{counts[0]} of {total} samples withstand examples made for the undefended model, {counts[1]} those made through the "
        f"defence (difference {100 * illusion.difference:.1f} points, 95 % from {100 * low:.1f} to {100 * high:.1f}); without "
        f"the defence {counts[2]} withstand the attack"
    )
    passed = low <= 0 and not (seeming.interval[0] > 0 >= one.gain.interval[0])
    if not passed:
        text += ". Obfuscated gradients: the first number says that the attack failed, not that the defence holds"
    return SanityCheck(DEFENCE_CHECK, passed=passed, detail=text, attack=one.naive.label)
