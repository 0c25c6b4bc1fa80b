"""``fairart plot KIND RUN...``: one figure of runs, as PNG, SVG or PDF."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

from fairart.cli.output import print_json, print_table, stdout_kept_clean
from fairart.cli.parser import Parser, UsageError, add_common_flags
from fairart.did_you_mean import did_you_mean
from fairart.escapes import terminal

__all__ = ["KINDS", "parser", "run"]

KINDS: Mapping[str, str] = {
    "accuracy": "accuracy of each class, methods side by side",
    "cfps": "which classes attract errors, in one model or many: class false positive scores beside accuracies",
    "confusion": "confusion between classes, of one run under one attack",
    "corruptions": "mean and worst-class accuracy by severity of corruption",
    "epsilons": "eps of each class over the epochs of one method",
    "kinds": "classes by kinds of robustness: attacks, certificates, corruptions, shifts, outliers, calibration",
    "reliability": "accuracy against confidence",
    "targets": "how often each class is the target over the epochs of one method",
    "tradeoff": "average against worst class, a point for each method",
}
SCORES = ("cfps", "cfns")
FORMATS = (".png", ".svg", ".pdf")


def parser() -> Parser:
    """The flags of ``fairart plot``."""
    lines = "\n".join(f"  {name:<12} {text}" for name, text in KINDS.items())
    made = Parser(
        prog="fairart plot",
        usage="fairart plot KIND RUN [RUN ...] [flags]",
        description="Draw one figure of evaluated runs. Runs that differ only in the seed are one method.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"kinds:\n{lines}",
    )
    made.add_argument("kind", metavar="KIND", nargs="?", help="what to draw")
    made.add_argument(
        "runs", metavar="RUN", nargs="*", help="folder of a run or with an evaluation.json, or a JSON file of an evaluation"
    )
    made.add_argument("--attack", metavar="LABEL", action="append", help="only this attack; several where the plot has panels")
    made.add_argument(
        "--score", choices=SCORES, help="of cfps: false positive scores, or cfns for false negative scores (default: cfps)"
    )
    made.add_argument("--title", metavar="TEXT", help="of the figure")
    made.add_argument("--output", metavar="FILE", help="ends in .png, .svg or .pdf (default: KIND.png here); it is replaced")
    add_common_flags(made)
    return made


def run(arguments: argparse.Namespace) -> int:
    """Draw the figure.

    Args:
        arguments: from :func:`parser`.

    Raises:
        UsageError: no kind or run, an unknown kind, or too many attacks.
        FileNotFoundError: the folder of the output does not exist.
    """
    _check(arguments)
    output = Path(arguments.output or f"{arguments.kind}.png").expanduser()
    if output.suffix.lower() not in FORMATS:
        raise UsageError(f"--output must end in {', '.join(FORMATS)}, got {output.name!r}")
    if not output.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {str(output.parent)!r} to write {output.name} to")
    with stdout_kept_clean(arguments.json):
        from fairart.reporting.plots import save_figure
        from fairart.runs.collect import collect

        try:
            runs = collect(arguments.runs)
            figure = _figure(arguments, runs)
            alike = _rank_correlations(arguments, runs) if arguments.kind == "cfps" else None
        except (ValueError, KeyError) as error:
            raise UsageError(f"plot {arguments.kind}: {error.args[0]}") from error
        save_figure(figure, output)
    if arguments.json:
        more = {} if alike is None else {"score": arguments.score or "cfps", "rank_correlation": alike}
        print_json({"output": str(output), "kind": arguments.kind, **more})
    elif not arguments.quiet:
        _print_rank_correlations(alike or {})
        print(terminal(f"written to {output}"))
    return 0


def _rank_correlations(arguments: argparse.Namespace, runs: list[Any]) -> dict[str, dict[str, Any]]:
    """Attack -> score -> the correlation over models; empty for one model."""
    from fairart.reporting.across import rank_correlations

    results = _by_method(runs)
    scores = (arguments.score or "cfps", "class_accuracy")
    plain: dict[str, dict[str, Any]] = {}
    for (attack, score), found in rank_correlations(results, attacks=arguments.attack, scores=scores).items():
        pairs = zip(combinations(results, 2), found.of_pairs.tolist(), strict=True)
        values = {**found.to_dict(), "pairs": [{"models": list(names), "correlation": value} for names, value in pairs]}
        plain.setdefault(attack, {})[score] = {**values, "models": list(results)}
    return plain


def _print_rank_correlations(alike: Mapping[str, Mapping[str, Any]]) -> None:
    rows = []
    for attack, scores in alike.items():
        for score, found in scores.items():
            pairs = [pair["correlation"] for pair in found["pairs"] if not math.isnan(pair["correlation"])]
            ends = [f"{min(pairs):.2f}", f"{max(pairs):.2f}"] if pairs else ["-", "-"]
            low, high = found["interval"]
            mean = [f"{found['mean']:.2f}", f"{low:.2f} to {high:.2f}"] if pairs else ["-", "-"]
            rows.append([attack, score.replace("class_", ""), str(len(found["models"])), str(found["classes"]), *mean, *ends])
    if rows:
        columns = ("attack", "score", "models", "classes", "mean", "95 % interval", "lowest pair", "highest pair")
        print_table(columns, rows, title="Spearman's rank correlation of the classes between models")
        print("Interval: bootstrap over the classes; few classes make it wide.")


def _by_method(runs: list[Any]) -> dict[str, list[Any]]:
    """Method -> one evaluation a seed."""
    from fairart.reporting.run_results import group_methods

    return {label: [found.result for found in group] for label, group in group_methods(runs).items()}


def _check(arguments: argparse.Namespace) -> None:
    if arguments.kind is None:
        raise UsageError(f"no kind of plot given; choose one of {', '.join(KINDS)}")
    if arguments.kind not in KINDS:
        raise UsageError(f"there is no plot {arguments.kind!r}; {did_you_mean(arguments.kind, KINDS)}")
    if not arguments.runs:
        raise UsageError(f"no run given: write 'fairart plot {arguments.kind} RUN', where RUN is a folder of 'fairart train'")
    if arguments.attack and len(arguments.attack) > 1 and arguments.kind in ("confusion", "tradeoff"):
        raise UsageError(f"plot {arguments.kind} shows one attack, got {len(arguments.attack)}")
    if arguments.score and arguments.kind != "cfps":
        raise UsageError(f"--score is of plot cfps, not of {arguments.kind}")


def _figure(arguments: argparse.Namespace, runs: list[Any]) -> Any:
    from fairart.reporting import plots

    title = {} if arguments.title is None else {"title": arguments.title}
    kind, attacks = arguments.kind, arguments.attack
    if kind in ("epsilons", "targets"):
        return _of_training(kind, runs, title)
    missing = next((found.name for found in runs if found.result is None), None)
    if missing is not None:
        raise ValueError(f"{missing} is not evaluated yet: run 'fairart evaluate {missing}'")
    results = _by_method(runs)
    # These show one evaluation a method.
    firsts = {f"{label} (first seed)" if len(several) > 1 else label: several[0] for label, several in results.items()}
    if kind == "accuracy":
        return plots.accuracy_per_class(results, attacks=attacks, **title)
    if kind == "cfps":
        return plots.cfps_across_models(results, score=arguments.score or "cfps", attacks=attacks, **title)
    if kind == "tradeoff":
        return plots.tradeoff(results, attack=attacks[0] if attacks else None, **title)
    if kind in ("corruptions", "kinds"):
        return _beyond_attacks(kind, runs, firsts, attacks, title)
    return _of_attacks(kind, {label: _chosen(result, attacks) for label, result in firsts.items()}, len(runs), title)


def _beyond_attacks(kind: str, runs: list[Any], firsts: dict[str, Any], attacks: list[str] | None, title: dict[str, str]) -> Any:
    from fairart.reporting import plots
    from fairart.reporting.comparison import compare_runs

    if kind == "corruptions":
        return plots.corruption_by_severity({label: result.corruptions for label, result in firsts.items()}, **title)
    if attacks:
        raise ValueError("it shows every kind of robustness: leave --attack out")
    comparison = compare_runs(runs)
    return plots.kinds_of_robustness(comparison.by_kind, comparison.classes, **title)


def _of_attacks(kind: str, chosen: dict[str, dict[str, Any]], number: int, title: dict[str, str]) -> Any:
    from fairart.reporting import plots

    if kind == "reliability":
        named = {f"{label}, {name}": one for label, several in chosen.items() for name, one in several.items()}
        return plots.reliability_diagram(named, **title)
    if number > 1:
        raise ValueError(f"it shows one run, got {number}")
    return plots.confusion_matrix(list(next(iter(chosen.values())).values())[-1], **title)


def _chosen(result: Any, attacks: list[str] | None) -> dict[str, Any]:
    unknown = [label for label in attacks or () if label not in result]
    if unknown:
        raise ValueError(f"there is no attack {unknown[0]!r} in the evaluation; it has {', '.join(result)}")
    return {label: result[label] for label in attacks or result}


def _of_training(kind: str, runs: list[Any], title: dict[str, str]) -> Any:
    from fairart.reporting import plots
    from fairart.reporting.run_results import group_methods

    groups = group_methods(runs)
    if len(groups) > 1:
        raise ValueError(f"it shows the epochs of one method, got {len(groups)}: {', '.join(groups)}")
    histories = [found.history for found in runs]
    names = next((found.result.class_names for found in runs if found.result is not None), None)
    if kind == "epsilons":
        return plots.epsilon_per_class_over_epochs(*histories, base=runs[0].config.get("eps"), class_names=names, **title)
    return plots.target_distribution_over_epochs(*histories, class_names=names, **title)
