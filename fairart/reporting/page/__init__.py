"""One self-contained HTML page of runs. It makes no request, and no other script runs in it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined

import fairart
from fairart.files import replaced
from fairart.reporting.comparison import Comparison, compare_runs
from fairart.reporting.comparison_text import left_behind_notes
from fairart.reporting.grouped import GroupedTable
from fairart.reporting.page import setup, views
from fairart.reporting.page.affine import affine
from fairart.reporting.page.certificates import certificates
from fairart.reporting.page.comparisons import comparisons as planned_comparisons
from fairart.reporting.page.corruptions import corruptions
from fairart.reporting.page.defences import defences
from fairart.reporting.page.ensembles import ensembles
from fairart.reporting.page.groups import groups
from fairart.reporting.page.kinds import kinds
from fairart.reporting.page.label_noise import label_noise
from fairart.reporting.page.outliers import outliers
from fairart.reporting.page.shifts import shifts
from fairart.reporting.page.temperature import temperature
from fairart.reporting.page.training import training
from fairart.reporting.run_results import Run, group_methods

__all__ = ["render_page", "rendered", "write_page"]


@cache
def _file(name: str) -> str:
    return (resources.files(__name__) / "files" / name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    names = sorted(path.name for path in (resources.files(__name__) / "files").iterdir() if path.name.endswith(".html"))
    return Environment(
        loader=DictLoader({name: _file(name) for name in names}),
        autoescape=True,  # names of runs, classes and attacks are the user's
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render_page(
    runs: Sequence[Run],
    *,
    title: str | None = None,
    comparisons: Sequence[GroupedTable] = (),
    selection: Sequence[Sequence[str]] = (),
    facts: Sequence[tuple[str, str]] = (),
) -> str:
    """The page as text.

    Runs that differ only in the seed are one method. The others are compared with the first run's method. A run without an
    evaluation is shown without test accuracies, and with a notice. The same runs make the same bytes.

    Args:
        runs: in the order of the page.
        title: of the page; by default data sets and methods.
        comparisons: tables of planned comparisons; they take the place of the differences to the first method, whose p-values
            are not corrected.
        selection: how settings were chosen: the names of the columns, then a row for each method.
        facts: further lines of the page's head: name and value.

    Raises:
        ValueError: no run, runs of other test samples, or two of one method and seed.
    """
    if not runs:
        raise ValueError("a report needs at least one run")
    comparison = compare_runs(runs) if any(run.result is not None for run in runs) else None
    groups = group_methods(runs)
    # Evaluated ones first: a method has one number, and so one colour, on the whole page.
    first = [] if comparison is None else list(comparison.methods)
    methods = {label: groups[label] for label in [*first, *(label for label in groups if label not in first)]}
    return rendered(
        "page.html",
        title=title or _title(methods, runs),
        notices=_notices(runs, comparison),
        facts=[*_facts(methods, runs, comparison), *facts],
        comparison=comparison,
        methods=list(methods),
        planned=planned_comparisons(comparisons),
        selection=selection,
        **_evaluations(comparison),
        training=training(methods, None if comparison is None else comparison.classes),
        label_noise=label_noise(methods),
        configurations=setup.configurations(methods),
        attack_rows=setup.attacks(methods),
        checks=setup.checks(methods),
        versions=setup.versions(runs),
    )


def rendered(template: str, **values: Any) -> str:
    """A page with the style and the script of all pages.

    Args:
        template: name of its file.
        **values: what it shows.
    """
    script = _file("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    page = _environment().get_template(template)
    return page.render(version=fairart.__version__, style=_file("page.css"), script=script, script_digest=digest, **values)


def write_page(
    runs: Sequence[Run],
    path: str | Path,
    *,
    title: str | None = None,
    comparisons: Sequence[GroupedTable] = (),
    selection: Sequence[Sequence[str]] = (),
    facts: Sequence[tuple[str, str]] = (),
) -> Path:
    """Write the page. An older file is replaced only when the new one is complete.

    Args:
        runs: as for :func:`render_page`.
        path: file; its folder must exist.
        title: of the page.
        comparisons: as for :func:`render_page`.
        selection: as for :func:`render_page`.
        facts: as for :func:`render_page`.

    Returns:
        The path.
    """
    final = Path(path)
    text = render_page(runs, title=title, comparisons=comparisons, selection=selection, facts=facts)
    with replaced(final) as file:
        file.write(text.encode("utf-8"))
    return final


def _evaluations(comparison: Comparison | None) -> dict[str, Any]:
    names = (
        *("summary", "ranges", "tests", "classes", "left_behind_notes", "errors", "calibration", "corruptions", "outliers"),
        *("certificates", "kinds"),
        *("groups", "shifts", "affine", "temperature", "ensembles", "defences"),
    )
    if comparison is None:
        return dict.fromkeys(names)
    return {
        "summary": views.summary(comparison, comparison.failed),
        "ranges": views.ranges(comparison),
        "tests": views.tests(comparison),
        "classes": views.classes(comparison, comparison.failed),
        "left_behind_notes": left_behind_notes(comparison),
        "errors": views.errors(comparison),
        "calibration": views.calibration(comparison),
        "corruptions": corruptions(comparison),
        "certificates": certificates(comparison),
        "kinds": kinds(comparison),
        "groups": groups(comparison, comparison.failed),
        "shifts": shifts(comparison),
        "affine": affine(comparison),
        "temperature": temperature(comparison),
        "ensembles": ensembles(comparison),
        "defences": defences(comparison),
        "outliers": outliers(comparison),
    }


def _data_sets(runs: Sequence[Run]) -> list[str]:
    named = [run.config.get("dataset") or (run.result.config.get("dataset") if run.result is not None else None) for run in runs]
    return list(dict.fromkeys(str(name) for name in named if name))


def _title(methods: Any, runs: Sequence[Run]) -> str:
    shown = list(methods)
    named = ", ".join(shown) if len(shown) <= 4 else f"{', '.join(shown[:3])} and {len(shown) - 3} more"
    return ": ".join([*([" and ".join(_data_sets(runs))] if _data_sets(runs) else []), named])


def _notices(runs: Sequence[Run], comparison: Comparison | None) -> list[str]:
    notices = [f"{run.name}: {notice}" for run in runs for notice in run.notices]
    if comparison is None:
        notices.append("No run was evaluated, so there are no test accuracies here.")
        return notices
    return [*notices, *comparison.notices]


def _facts(methods: Any, runs: Sequence[Run], comparison: Comparison | None) -> list[tuple[str, str]]:
    facts = [("data", ", ".join(_data_sets(runs)) or "not known")]
    if comparison is not None:
        absent = sum(count == 0 for count in comparison.support)
        facts += [
            ("test samples", str(sum(comparison.support))),
            ("classes", f"{len(comparison.classes)}" + (f", {absent} without samples" if absent else "")),
        ]
    return [*facts, ("methods", str(len(methods))), ("runs", str(len(runs)))]
