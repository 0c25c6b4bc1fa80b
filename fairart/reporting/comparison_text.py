"""A comparison as plain text, Markdown or LaTeX: one grid, three ways to write it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from html import escape
from itertools import accumulate

from fairart.escapes import latex, markdown, markdown_line, terminal
from fairart.evaluation.results.comparing.common import PairedTest
from fairart.evaluation.results.flags import FAILED
from fairart.notebooks import html_notes, html_table
from fairart.reporting.by_group import ByGroup
from fairart.reporting.comparison_data import Cell, ComparisonData
from fairart.reporting.defence_text import defence_grid
from fairart.reporting.ensembles import ensemble_lines
from fairart.reporting.grid import Grid, p_text, per_cent, points, spread_text
from fairart.reporting.kinds.text import kind_grids, kind_notes
from fairart.reporting.outliers import OodKey, ood_label
from fairart.reporting.shift_text import shift_grid

__all__ = [
    "FORMATS",
    "Grid",
    "class_grid",
    "group_grid",
    "left_behind_lines",
    "left_behind_notes",
    "main_grid",
    "p_text",
    "per_cent",
    "points",
    "render_comparison",
    "render_html",
    "shift_grid",
    "spread_text",
]


def _test_texts(test: PairedTest | None) -> tuple[str, str]:
    """Difference with its interval, and p."""
    if test is None:
        return "-", "-"
    low, high = test.interval
    ends = "" if math.isnan(low) else f" [{points(low)}, {points(high)}]"
    return f"{points(test.difference)}{ends}", p_text(test.p_value)


def main_grid(comparison: ComparisonData) -> Grid:
    """Overall and worst class of every method under every attack, and how they differ from the first method.

    Args:
        comparison: the methods.
    """
    several = len(comparison.methods) > 1
    columns = ["attack", "method", "seeds", "overall", "worst class"]
    if several:
        columns += ["overall: difference", "p", "worst class: difference", "p"]
    groups = []
    for attack in comparison.attacks:
        rows = []
        for label in comparison.methods:
            cell = comparison.cells.get((label, attack))
            row = [attack, label, *_numbers(cell, _mark(comparison, label, attack))]
            if several:
                contrast = comparison.contrasts.get((label, attack))
                found = (*_test_texts(contrast.overall), *_test_texts(contrast.worst)) if contrast else ("",) * 4
                row += found
            rows.append(tuple(row))
        groups.append(tuple(rows))
    # A set of corruptions has rows of its own: means over different sets do not compare.
    for name in dict.fromkeys(means.label for means in comparison.corruptions.values()):
        groups.append(tuple(_corruption_row(comparison, name, label, len(columns)) for label in comparison.methods))
    groups += _certificate_groups(comparison, len(columns))
    for key in _shown_outliers(comparison):
        groups.append(tuple(_ood_row(comparison, key, label, len(columns)) for label in comparison.methods))
    return Grid("", tuple(columns), tuple(groups), 2, left_behind_lines(comparison, comparison.attacks))


def left_behind_lines(comparison: ComparisonData, attacks: Sequence[str]) -> tuple[str, ...]:
    """A line for each attack that names the classes which every method leaves behind; none for one method.

    Args:
        comparison: the methods.
        attacks: labels.
    """
    found = {attack: comparison.left_behind(attack) for attack in attacks}
    return tuple(one.text(comparison.classes, attack) for attack, one in found.items() if one is not None)


def _corruption_row(comparison: ComparisonData, name: str, label: str, width: int) -> tuple[str, ...]:
    means = comparison.corruptions.get(label)
    row = [name, label, "0", "-", "-"]
    if means is not None and means.label == name:
        row[2:] = [str(means.overall.count), spread_text(means.overall), spread_text(means.worst)]
    return (*row, *[""] * (width - len(row)))


def _certificate_groups(comparison: ComparisonData, width: int) -> list[tuple[tuple[str, ...], ...]]:
    """A block for each certificate and radius."""
    groups = []
    for name in dict.fromkeys(label for _, label in comparison.certificates):
        found = {
            label: comparison.certificates[label, name]
            for label in comparison.methods
            if (label, name) in comparison.certificates
        }
        for radius in next(iter(found.values())).radii:
            rows = []
            for label in comparison.methods:
                cells = ["0", "-", "-"]
                if label in found:
                    overall, worst = found[label].overall(radius), found[label].worst(radius)
                    cells = [str(overall.count), spread_text(overall), spread_text(worst)]
                row = [f"{name}, radius {radius:.4g}", label, *cells]
                rows.append((*row, *[""] * (width - len(row))))
            groups.append(tuple(rows))
    return groups


def _shown_outliers(comparison: ComparisonData) -> list[OodKey]:
    """The rows of the first score; ``--json`` and the page have all."""
    keys = list(comparison.outliers)
    return [key for key in keys if key[1] == keys[0][1]]


def _ood_row(comparison: ComparisonData, key: OodKey, label: str, width: int) -> tuple[str, ...]:
    cell = comparison.outliers[key].get(label)
    row = [ood_label(key), label, "0", "-", "-"]
    if cell is not None:
        row[2:] = [str(cell.auroc.count), spread_text(cell.auroc), spread_text(cell.worst)]
    return (*row, *[""] * (width - len(row)))


def _mark(comparison: ComparisonData, label: str, attack: str) -> str:
    return f" {FAILED}" if comparison.failed.get((label, attack)) else ""


def _numbers(cell: Cell | None, mark: str) -> list[str]:
    if cell is None:
        return ["0", "-", "-"]
    return [str(len(cell.results)), spread_text(cell.overall) + mark, spread_text(cell.worst) + mark]


def class_grid(comparison: ComparisonData, attack: str) -> Grid:
    """Every class under one attack, methods side by side.

    Args:
        comparison: the methods.
        attack: its label.
    """
    labels = [label for label in comparison.methods if (label, attack) in comparison.cells]
    rows = []
    for index, (name, count) in enumerate(zip(comparison.classes, comparison.support, strict=True)):
        cells = [comparison.cells[label, attack] for label in labels]
        texts = [("*" if cell.worst_class == index else "") + spread_text(cell.classes[index]) for cell in cells]
        gaps = [points(cell.classes[index].mean - cells[0].classes[index].mean) for cell in cells[1:]]
        rows.append((name, str(count), *texts, *gaps))
    heads = [label + _mark(comparison, label, attack) for label in labels]
    columns = ("class", "n", *heads, *(f"{label} - {labels[0]}" for label in labels[1:]))
    return Grid(attack, columns, (tuple(rows),), 1, left_behind_lines(comparison, [attack]))


def group_grid(comparison: ComparisonData, found: ByGroup) -> Grid:
    """Worst group and difference of every method under every attack, and each group.

    Args:
        comparison: the methods.
        found: one attribute of its samples.
    """
    blocks = []
    for attack in comparison.attacks:
        rows = []
        for label in comparison.methods:
            cell = found.cells.get((label, attack))
            if cell is None:
                continue
            groups = [("*" if cell.worst_group == place else "") + spread_text(one) for place, one in enumerate(cell.groups)]
            rows.append((attack, label, spread_text(cell.worst), spread_text(cell.difference), *groups))
        blocks.append(tuple(rows))
    heads = [f"{name} (n={count})" for name, count in zip(found.groups.names, found.groups.counts, strict=True)]
    left = (f"evaluated without groups by {found.groups.name}, or with others: {', '.join(found.left_out)}",)
    columns = ("attack", "method", "worst group", "difference", *heads)
    return Grid(f"by {found.groups.name}", columns, tuple(filter(None, blocks)), 2, left if found.left_out else ())


def _notes(comparison: ComparisonData, classes: bool) -> list[str]:
    first = next(iter(comparison.methods.values()))[0].result
    assert first is not None
    data = first.config.get("dataset")
    lines = [
        f"accuracy in per cent{f' on {data}' if data else ''}, {sum(comparison.support)} test samples, "
        f"{len(comparison.classes)} classes"
    ]
    if any(len(runs) > 1 for runs in comparison.methods.values()):
        lines.append("±: sample standard deviation over seeds; worst class: the lowest class of each seed")
    if comparison.corruptions:
        lines.append("corruptions: mean over all corruptions and severities; worst class: mean of the lowest class of each")
    for name in dict.fromkeys(label for _, label in comparison.certificates):
        about = next(means.about for (_, label), means in comparison.certificates.items() if label == name)
        lines.append(f"{name}: certified in {about}")
    if comparison.outliers:
        lines.append("ood: AUROC of a score against a set of outliers; worst class: the predicted class with the lowest AUROC")
    if classes:
        lines.append("*: the lowest class of a method")
        lines += kind_notes(comparison.by_kind)
    if comparison.by_group:
        lines.append("by group: the lowest group of each seed, and highest less lowest group; *: the lowest group of a method")
    lines += ensemble_lines(comparison.methods, comparison.classes)
    lines += left_behind_notes(comparison)
    if comparison.failed:
        lines.append(f"{FAILED}: a sanity check of the numbers failed, see below")
    if len(comparison.methods) > 1:
        lines += _test_notes(comparison)
    failed = [
        f"{FAILED} {label}, {attack}: {detail}"
        for (label, attack), several in comparison.failed.items()
        for detail in dict.fromkeys(several)
    ]
    return [*lines, *(f"note: {notice}" for notice in comparison.notices), *failed]


def left_behind_notes(comparison: ComparisonData) -> list[str]:
    """What "left behind" means, one sentence; empty if no line says it.

    Args:
        comparison: the methods.
    """
    found = [one for attack in comparison.attacks if (one := comparison.left_behind(attack)) is not None]
    if not found:
        return []
    lowest, number = found[0].lowest, found[0].nb_classes
    share = "the lowest one" if lowest == 1 else f"the lowest {lowest}"
    return [
        f"left behind: among {share} of {number} classes of every method (a third) and below the method's mean over its classes; "
        "by chance: how many if every method ordered its classes at random"
    ]


def _test_notes(comparison: ComparisonData) -> list[str]:
    lines = [
        f"differences to {comparison.baseline} in points, with 95 % intervals",
        "p-values are two-sided and not corrected for the number of tests",
    ]
    tests = {found.overall.test for found in comparison.contrasts.values() if found.overall is not None}
    if "mcnemar-exact" in tests:
        lines.append(
            "one pair of runs: exact McNemar test over samples; worst class by exact bounds over samples, for any pair of classes"
        )
    if "paired-t" in tests:
        counts = sorted({found.overall.count for found in comparison.contrasts.values() if found.sign_flip and found.overall})
        least = ", ".join(f"{2 / 2**count:.2g} for {count} seeds" for count in counts)
        lines.append(f"several seeds: paired t test over seeds; the p-value of a sign-flip test is at least {least}")
    notes = dict.fromkeys(f"{label}: {found.note}" for (label, _), found in comparison.contrasts.items() if found.note)
    return [*lines, *notes]


def render_comparison(comparison: ComparisonData, *, style: str = "text", classes: bool = False) -> str:
    """The whole comparison.

    Args:
        comparison: the methods.
        style: ``"text"``, ``"markdown"`` or ``"latex"`` (with the package booktabs).
        classes: a table of every class under each attack as well.

    Returns:
        Lines without a line break at the end.

    Raises:
        ValueError: another style.
    """
    if style not in FORMATS:
        raise ValueError(f"style must be one of {', '.join(FORMATS)}, got {style!r}")
    # Each line stands once: under the table of its attack's classes if that is shown.
    main = replace(main_grid(comparison), below=()) if classes else main_grid(comparison)
    grids = [main, *(class_grid(comparison, attack) for attack in comparison.attacks if classes)]
    grids += [group_grid(comparison, found) for found in comparison.by_group]
    grids += [shift_grid(comparison)] if comparison.by_shift else []
    grids += [defence_grid(comparison)] if comparison.by_defence else []
    grids += kind_grids(comparison.by_kind, comparison.classes) if classes else []
    return FORMATS[style](grids, _notes(comparison, classes))


def render_html(comparison: ComparisonData) -> str:
    """The comparison as HTML for notebooks: methods under attacks, then classes under each attack, folded up.

    Args:
        comparison: the methods.
    """
    parts = [_html(main_grid(comparison))]
    for attack in comparison.attacks:
        table = _html(replace(class_grid(comparison, attack), below=()))
        parts.append(f"<details><summary>Classes, {escape(terminal(attack))}</summary>{table}</details>")
    parts += [_html(group_grid(comparison, found)) for found in comparison.by_group]
    parts += [_html(shift_grid(comparison))] if comparison.by_shift else []
    parts += [_html(defence_grid(comparison))] if comparison.by_defence else []
    return f"<div>{''.join([*parts, html_notes(_notes(comparison, classes=True))])}</div>"


def _html(grid: Grid) -> str:
    rows = [_once(grid, row, number) for group in grid.groups for number, row in enumerate(group)]
    starts = list(accumulate(len(group) for group in grid.groups))
    below = "".join(f"<div>{escape(terminal(line))}</div>" for line in grid.below)
    return html_table(grid.columns, rows, text_columns=grid.text_columns, ruled=starts) + below


def _text(grids: Sequence[Grid], notes: Sequence[str]) -> str:
    blocks = []
    for grid in grids:
        grid = _printable(grid)
        rows = [grid.columns, *(row for group in grid.groups for row in group)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(grid.columns))]
        lines = [grid.title] * bool(grid.title) + [_line(grid, grid.columns, widths)]
        for group in grid.groups:
            lines.append("-" * (sum(widths) + 2 * (len(widths) - 1)))
            lines += [_line(grid, _once(grid, row, number), widths) for number, row in enumerate(group)]
        lines += [""] * bool(grid.below) + list(grid.below)
        blocks.append("\n".join(lines))
    return "\n\n".join([*blocks, "\n".join(map(terminal, notes))])


def _printable(grid: Grid) -> Grid:
    groups = tuple(tuple(tuple(map(terminal, row)) for row in group) for group in grid.groups)
    below = tuple(map(terminal, grid.below))
    return Grid(terminal(grid.title), tuple(map(terminal, grid.columns)), groups, grid.text_columns, below)


def _once(grid: Grid, row: tuple[str, ...], number: int) -> tuple[str, ...]:
    """A row of a block. If names are two columns, only the first row of a block shows the first name."""
    return row if number == 0 or grid.text_columns < 2 or not row[1] or row[1].isdigit() else ("", *row[1:])


def _line(grid: Grid, row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [
        cell.ljust(width) if place < grid.text_columns else cell.rjust(width)
        for place, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()


def _markdown(grids: Sequence[Grid], notes: Sequence[str]) -> str:
    blocks = []
    for grid in grids:
        rule = ["---" if place < grid.text_columns else "---:" for place in range(len(grid.columns))]
        rows = [grid.columns, rule, *(row for group in grid.groups for row in group)]
        lines = ["| " + " | ".join(markdown(cell) for cell in row) + " |" for row in rows]
        blocks.append("\n".join([f"**{markdown(grid.title)}**", "", *lines] if grid.title else lines))
        blocks += [markdown_line(line) for line in grid.below]
    return "\n\n".join([*blocks, "\n".join(f"- {markdown_line(note)}" for note in notes)])


def _tex_number(text: str) -> str:
    """A minus sign, not a hyphen, before a number."""
    return latex(text).replace("-", "$-$") if any(letter.isdigit() for letter in text) else latex(text)


def _latex(grids: Sequence[Grid], notes: Sequence[str]) -> str:
    blocks = [r"% \usepackage{booktabs}"]
    for grid in grids:
        form = "l" * grid.text_columns + "r" * (len(grid.columns) - grid.text_columns)
        lines = [f"% {terminal(grid.title)}"] if grid.title else []
        lines += [rf"\begin{{tabular}}{{{form}}}", r"\toprule", " & ".join(map(latex, grid.columns)) + r" \\"]
        for group in grid.groups:
            lines.append(r"\midrule")
            for number, row in enumerate(group):
                cells = _once(grid, row, number)
                named = map(latex, cells[: grid.text_columns])
                lines.append(" & ".join([*named, *map(_tex_number, cells[grid.text_columns :])]) + r" \\")
        blocks.append("\n".join([*lines, r"\bottomrule", r"\end{tabular}"]))
        blocks += [latex(line) for line in grid.below]
    return "\n\n".join([*blocks, "\n".join(f"% {terminal(note)}" for note in notes)])


FORMATS: dict[str, Callable[[Sequence[Grid], Sequence[str]], str]] = {"text": _text, "markdown": _markdown, "latex": _latex}
"""How a comparison can be written."""
