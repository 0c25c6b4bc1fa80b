"""Input defences as tables: their cells, plain text, and HTML for notebooks."""

from __future__ import annotations

from typing import Any

from fairart.escapes import terminal
from fairart.evaluation.results.canonical import canonical
from fairart.evaluation.results.data import EvaluationData
from fairart.evaluation.results.defence_result import DefenceResult, DefendedAttack
from fairart.evaluation.results.flags import FAILED, failed_checks
from fairart.evaluation.results.grid import Grid, per_cent, share_cell
from fairart.evaluation.results.outcome import AttackResult
from fairart.notebooks import html_notes, html_table

__all__ = ["defence_grid", "defence_notes", "render_defences", "render_defences_html"]


def defence_grid(result: EvaluationData, found: DefenceResult, *, intervals: bool = True) -> Grid:
    """Class rows; clean accuracy behind the defence, then for each attack: undefended, naive, BPDA, and naive less BPDA.

    Args:
        result: the evaluation.
        found: one of its defences.
        intervals: 95 % intervals beside the numbers.
    """
    names = [*(result.class_names or map(str, range(result.nb_classes))), "overall", "worst class"]
    columns, cells = [found.label, "clean"], [names, _accuracies(found.clean, intervals)]
    for one in found.attacks:
        mark = f" {FAILED}" if failed_checks(one.naive, result.checks) else ""
        columns += [f"{one.attack}: undefended", f"{one.attack}: naive", f"{one.attack}: BPDA", "naive - BPDA"]
        cells += [
            _accuracies(one.undefended, intervals),
            _accuracies(one.naive, intervals, mark),
            _accuracies(one.bpda, intervals),
            _differences(one, intervals),
        ]
    return Grid(columns, [list(row) for row in zip(*cells, strict=True)], result.nb_classes)


def _accuracies(result: AttackResult, intervals: bool, mark: str = "") -> list[str]:
    ends, rates, worst = result.confidence_interval, result.class_accuracy, result.worst_class
    lowest = share_cell(float(rates[worst]), result.worst_class_interval, intervals)
    return [
        *(share_cell(float(rate), pair, intervals) for rate, pair in zip(rates, ends, strict=True)),
        share_cell(result.accuracy, result.accuracy_interval, intervals) + mark,
        f"{lowest} {result.worst_class_name}{mark}",
    ]


def _differences(one: DefendedAttack, intervals: bool) -> list[str]:
    shares = zip(one.class_illusion, one.class_illusion_intervals, strict=True)
    worst = one.naive.worst_class_accuracy() - one.bpda.worst_class_accuracy()
    return [
        *(share_cell(float(share), ends, intervals) for share, ends in shares),
        share_cell(one.illusion.difference, one.illusion.interval, intervals),
        share_cell(worst, None, False),
    ]


def defence_notes(result: EvaluationData, found: DefenceResult, *, intervals: bool = True) -> list[str]:
    """The lines below the table: what the columns are, the configuration, and which number is to be believed.

    Args:
        result: the evaluation.
        found: one of its defences.
        intervals: whether the table has them.
    """
    config: dict[str, Any] = canonical(found.config)
    options = ", ".join(f"{key}={value}" for key, value in config.get("options", {}).items())
    notes = [f"{key}: {value}" for key, value in config.get("notes", {}).items()]
    drawn = "it is random: attacks average over draws, the numbers are of other draws" if config.get("random") else "not random"
    lines = [
        "; ".join([f"{found.label}: {config.get('defence', found.label)}({options})", drawn, *notes]),
        "accuracy in per cent" + (", 95 % intervals: Wilson's, of differences for paired samples" if intervals else ""),
        "naive: examples made for the undefended model, then defended; BPDA: made through the defence, with "
        f"'{config.get('stand_in')}' in place of it in the gradient. An example is held to eps before it is defended",
    ]
    for one in found.attacks:
        lines.append(_verdict(one, bool(failed_checks(one.naive, result.checks))))
    return list(map(terminal, lines))


def _verdict(one: DefendedAttack, failed: bool) -> str:
    both, undefended = per_cent(one.both.accuracy), per_cent(one.undefended.accuracy)
    text = f"{one.attack}: {both} % are right under both, {undefended} % without the defence"
    if failed:
        return (
            f"{FAILED} {text}; the naive number holds only while the attack does not know of the defence (obfuscated gradients)"
        )
    if one.illusion.interval[1] < 0:
        return f"{text}; BPDA finds less than the naive attack: its stand-in leads astray, take the lower number"
    return text


def render_defences(result: EvaluationData, *, intervals: bool = True) -> list[str]:
    """A block of plain text for each defence.

    Args:
        result: the evaluation.
        intervals: print 95 % intervals beside the numbers.
    """
    return [
        "\n".join(
            [*defence_grid(result, found, intervals=intervals).text(), "", *defence_notes(result, found, intervals=intervals)]
        )
        for found in result.defences.values()
    ]


def render_defences_html(result: EvaluationData) -> str:
    """The same tables as HTML for notebooks; empty without defences.

    Args:
        result: the evaluation.
    """
    parts = []
    for found in result.defences.values():
        grid = defence_grid(result, found)
        parts.append(html_table(grid.columns, grid.rows, ruled=[grid.body]) + html_notes(defence_notes(result, found)))
    return f"<div>{''.join(parts)}</div>" if parts else ""
