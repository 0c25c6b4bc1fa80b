"""The section "Comparisons" of a benchmark: tables for people, CSV for programs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from fairart.benchmark.comparisons import Planned, power_warning
from fairart.benchmark.tables.compared import POWER, THRESHOLD, Compared, Finding, MethodOverSeeds
from fairart.benchmark.tables.entries import Entry, blocks
from fairart.escapes import csv_text
from fairart.evaluation.results.comparing import MethodDifference
from fairart.evaluation.results.comparing.scored_runs import PARTS
from fairart.evaluation.results.flags import FAILED
from fairart.reporting.comparison_text import p_text, per_cent, points
from fairart.reporting.grouped import GroupedTable, TableCell, to_markdown
from fairart.reporting.tables import Spread
from fairart.statistics.over_seeds import MeanInterval

__all__ = ["HEADING", "UNFINISHED", "comparison_csv", "comparison_tables", "comparisons_markdown"]

HEADING = "Comparisons"
UNFINISHED = "Made when every cell has ended: who tests after every seed, and stops when a test succeeds, finds too much."

FINDING_COLUMNS = ("difference", "p (Holm)", "detectable", "verdict")


def comparison_tables(compared: Compared, entries: Sequence[Entry]) -> dict[str, list[GroupedTable]]:
    """For each data set, model and attack: the planned comparisons, then each method over its seeds.

    Args:
        compared: the numbers.
        entries: every cell of the grid.

    Returns:
        Data set and model -> its tables.
    """
    tables: dict[str, list[GroupedTable]] = {}
    seeds = {
        table: {row: [entry.cell.config.seed for entry in several] for row, several in block.items()}
        for table, block in blocks(entries).items()
    }
    for (table, attack), notes in (compared.notes or {}).items():
        findings = [found for found in compared.findings if (found.table, found.attack) == (table, attack)]
        methods = [found for found in compared.methods if (found.table, found.attack) == (table, attack)]
        pairs = list(dict.fromkeys(Planned(found.method, found.baseline) for found in findings))
        warning = power_warning(pairs, seeds[table])
        tables.setdefault(table, []).extend(
            [
                _findings_table(f"{table}: comparisons, {attack}", findings, [warning] if warning else []),
                _methods_table(f"{table}: methods over seeds, {attack}", methods, notes),
            ]
        )
    return tables


def comparisons_markdown(tables: Sequence[GroupedTable], planned: Sequence[Planned], *, finished: bool) -> str:
    """The section of ``results.md``; empty if no comparison is planned.

    Args:
        tables: of :func:`comparison_tables`.
        planned: the comparisons of the grid.
        finished: whether every cell has ended.
    """
    if not planned:
        return ""
    return "\n".join([f"## {HEADING}", "", *([] if finished else [UNFINISHED, ""]), *(to_markdown(t, level=3) for t in tables)])


def _findings_table(title: str, findings: Sequence[Finding], warnings: Sequence[str]) -> GroupedTable:
    rows: dict[str, list[TableCell]] = {}
    for found in findings:
        rows.setdefault(str(Planned(found.method, found.baseline)), []).extend(_finding_cells(found))
    return GroupedTable(
        title=title,
        corner="method",
        groups=tuple((part, FINDING_COLUMNS) for part in PARTS),
        rows=tuple((name, tuple(cells)) for name, cells in rows.items()),
        notes=(*warnings, *_finding_notes(findings)),
    )


def _finding_cells(found: Finding) -> list[TableCell]:
    test = found.test
    if test is None:
        texts = ["-", "-", "-", found.verdict]
    else:
        low, high = test.interval
        ends = "" if math.isnan(low) else f" [{points(low)}, {points(high)}]"
        detectable = "-" if math.isnan(found.detectable) else "none" if found.detectable > 1 else per_cent(found.detectable)
        texts = [points(test.difference) + ends, p_text(found.adjusted), detectable, found.verdict]
    texts[-1] += f" {FAILED}" * found.doubtful
    return [TableCell(text, best=found.shown and place in (0, len(texts) - 1)) for place, text in enumerate(texts)]


def _interval(ends: tuple[float, float]) -> str:
    return "-" if math.isnan(ends[0]) else f"{per_cent(ends[0])} to {per_cent(ends[1])}"


def _finding_notes(findings: Sequence[Finding]) -> Iterator[str]:
    planned = findings[0].planned
    several = any(isinstance(found.test, MethodDifference) for found in findings)
    if several:
        yield "differences in points, method less baseline, with 95 % intervals; these and p count seeds and test images together"
        yield "worst class: of each seed by itself, without the bias of a lowest number"
        yield f"detectable: the smallest true difference found with {100 * POWER:.0f} % probability; none: above 100 points"
    if any(found.test is not None and not isinstance(found.test, MethodDifference) for found in findings):
        yield "one seed: exact tests over the test images; they compare two networks, and say nothing about training again"
    yield (
        f"p (Holm): corrected for {planned} planned comparison{'s' * (planned > 1)}, each column and attack by itself; "
        "an interval is for one comparison alone"
    )
    yield f"bold: shown, p (Holm) below {THRESHOLD}; not shown does not mean equal"
    for found in findings:
        # Both parts have the same note.
        if found.note and found.part == PARTS[0]:
            yield f"{Planned(found.method, found.baseline)}: {'not tested, ' * (found.test is None)}{found.note}"
    if any(found.doubtful for found in findings):
        yield f"{FAILED}: a sanity check of one of the numbers failed, see the table of methods"


METHOD_GROUPS = (
    ("seeds", ("",)),
    ("average", ("mean", "95 % interval")),
    ("worst class", ("measured", "95 % interval", "without bias", "best")),
)


def _methods_table(title: str, methods: Sequence[MethodOverSeeds], notes: Sequence[str]) -> GroupedTable:
    highest = max((found.best for found in methods if not math.isnan(found.best)), default=math.nan)
    return GroupedTable(
        title=title,
        corner="method",
        groups=METHOD_GROUPS,
        rows=tuple((found.method, tuple(_method_cells(found, highest))) for found in methods),
        notes=(
            "accuracy in per cent; intervals are Student's over seeds, with the test images as they are",
            "measured: the lowest class of each seed by itself, which is too low on average; without bias: by double bootstrap",
            "best: probability in per cent of the best worst class of all methods here, over seeds and images; bold: the highest",
            *notes,
        ),
    )


def _method_cells(found: MethodOverSeeds, highest: float) -> Iterator[TableCell]:
    mark = f" {FAILED}" * found.doubtful
    yield TableCell(str(found.average.count))
    yield TableCell(_mean(found.average) + mark)
    yield TableCell(_interval(found.average.interval))
    yield TableCell(_mean(found.worst) + mark)
    yield TableCell(_interval(found.worst.interval))
    yield TableCell(per_cent(found.expected))
    yield TableCell("-" if math.isnan(found.best) else f"{100 * found.best:.0f}", best=found.best == highest)


def _mean(found: MeanInterval) -> str:
    spread = Spread(found.mean, found.std, found.count)
    return per_cent(spread.mean) if math.isnan(spread.std) else f"{per_cent(spread.mean)} ± {100 * spread.std:.1f}"


CSV_HEAD = (
    "table", "attack", "part", "method", "baseline", "test", "pairs", "difference", "low", "high", "level", "p", "planned",
    "p_holm", "detectable", "verdict", "doubtful", "note",
)  # fmt: skip


def comparison_csv(compared: Compared) -> str:
    """One line for each planned comparison, attack and part; shares in [-1, 1], empty where a number is not known.

    ``pairs`` are seeds, or test samples where there is one seed.

    Args:
        compared: the numbers.
    """
    rows: list[Sequence[Any]] = [CSV_HEAD]
    for found in compared.findings:
        test = found.test
        numbers = (
            ("", "", math.nan, math.nan, math.nan, math.nan, math.nan)
            if test is None
            else (test.test, test.count, test.difference, *test.interval, test.level, test.p_value)
        )
        rows.append(
            [
                *(found.table, found.attack, found.part, found.method, found.baseline),
                *map(_known, numbers),
                *(found.planned, _known(found.adjusted), _known(found.detectable)),
                *(found.verdict, int(found.doubtful), found.note),
            ]
        )
    return csv_text(rows)


def _known(value: Any) -> Any:
    return "" if isinstance(value, float) and math.isnan(value) else value
