"""One input defence measured twice: by an attack that does not know of it, and by one that goes through it (BPDA)."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from fairart.evaluation.attacks import AttackTarget
from fairart.evaluation.attacks.specs import AttackSpec
from fairart.evaluation.defences.network import DefendedNetwork
from fairart.evaluation.defences.specs import DefenceSpec
from fairart.evaluation.results.defence_result import DefenceResult, DefendedAttack, defended_label
from fairart.evaluation.results.outcome import AttackResult
from fairart.evaluation.running.runner import Part, Runner
from fairart.evaluation.running.scores import Scores
from fairart.fingerprint import spec_fingerprint

__all__ = ["defend", "unaware"]

EARLY = "stop_when_fooled"


def unaware(spec: AttackSpec) -> AttackSpec:
    """The attack as somebody runs it who does not know of the defence.

    An attack that would stop at the first example that fools the undefended model makes all its steps, unless the user chose
    otherwise: an example that only just crosses the border is undone by almost any change, and says nothing about the defence.

    Args:
        spec: the attack.
    """
    chosen = getattr(spec.run, "keywords", {})
    if spec.options.get(EARLY) is not True or EARLY in chosen:
        return spec
    return replace(spec, run=functools.partial(spec.run, **{EARLY: False}), options={**spec.options, EARLY: False})


def defend(
    runner: Runner,
    spec: DefenceSpec,
    attacks: Sequence[AttackSpec],
    undefended: Sequence[AttackResult],
    common: Mapping[str, Any],
) -> DefenceResult:
    """Measure a defence: clean, and under every attack naively and by BPDA.

    The attacks have the same random numbers as without the defence, and are projected in the same way, before the defence is
    applied. Samples that are wrong with the defence and without an attack are not attacked, and count as they are.

    Args:
        runner: of the undefended model.
        spec: the defence, checked.
        attacks: to run.
        undefended: what each attack did to the undefended model, clean data among them.
        common: further arguments of every result.

    Raises:
        EvaluationError: answers of the defence that cannot be used, or an attack that did nothing.
        PluginError: a third party's defence or attack raised.
    """
    before = {result.label: result for result in undefended}
    identity = {f"defence {key}": value for key, value in spec_fingerprint(spec).items() if key != "attack"}
    identity = {"defence": spec.name, **identity}
    runner = replace(runner, scaling=None)
    judge, attacked = _behind(runner, spec, "scored", draws=1), _behind(runner, spec, "attacked", draws=spec.defence.draws)
    clean = judge.clean(Part("defence", defended_label(spec.label, "clean"), identity))

    def result(label: str, scores: Scores, **more: Any) -> AttackResult:
        return AttackResult(
            label=label,
            labels=runner.labels,
            predictions=scores.predictions,
            confidences=scores.confidences,
            **common,
            **more,
        )

    def against(attack: AttackSpec, through: Runner, how: str) -> AttackResult:
        label = defended_label(spec.label, attack.label, how)
        scores, change = through.attack(attack, clean, part=Part("defence", label, identity), judge=judge)
        return result(label, scores, config={**attack.config, "defence": spec.label, "knows": how}, perturbation=change)

    runner.progress.expect(-2 * len(attacks) * int((clean.predictions != runner.labels).sum()))
    return DefenceResult(
        label=spec.label,
        config=spec.config,
        clean=result(defended_label(spec.label, "clean"), clean, config={"attack": "none", "options": {}}),
        attacks=[
            DefendedAttack(
                undefended=before[attack.label],
                naive=against(unaware(attack), runner, "naive"),
                bpda=against(attack, attacked, "BPDA"),
            )
            for attack in attacks
        ],
    )


def _behind(runner: Runner, spec: DefenceSpec, stream: str, *, draws: int) -> Runner:
    """The same samples, for the model behind the defence."""
    target = runner.target
    network = DefendedNetwork(target.network, spec, stream=f"{runner.seed}/{stream}", draws=draws)
    return replace(runner, target=AttackTarget(target.classifier, network))
