"""The model card of an exported run: a README.md in the layout that model hubs read."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

import fairart
from fairart.escapes import markdown, markdown_line
from fairart.evaluation import EvaluationResult
from fairart.evaluation.results.flags import FAILED, failed_checks
from fairart.evaluation.results.outcome import AttackResult
from fairart.runs.config import RunConfig
from fairart.runs.run import LoadedRun

__all__ = ["model_card", "settings_to_publish"]


def model_card(run: LoadedRun, result: EvaluationResult | None) -> str:
    """The text of a model card.

    Args:
        run: the run.
        result: its evaluation; None if there is none.
    """
    config = run.config
    published = settings_to_publish(config)["dataset"]
    lines = [
        "---",
        yaml.safe_dump(_metadata(run), sort_keys=False, allow_unicode=True).strip(),
        "---",
        f"# {markdown_line(config.trainer)} on {markdown_line(Path(run.dataset.name).name)}",
        "",
        f"An image classifier, trained by fairart {fairart.__version__} with the method {markdown_line(config.trainer)}. "
        "Images are in [0, 1]; the normalisation is in `config.json`.",
        "",
        f"    fairart evaluate --model hf:FOLDER --dataset {published} --attack pgd --output eval/it",
        "",
        "## Training",
        "",
        *_table(("setting", "value"), _settings(run)),
        "",
        "## Data",
        "",
        f"Data set {markdown_line(Path(run.dataset.name).name)}: {len(run.dataset.y_train)} training images of shape "
        f"{'x'.join(map(str, run.dataset.input_shape))}, {run.dataset.nb_classes} classes. {markdown(run.dataset.note)}".strip(),
        "",
        "## Accuracy per class",
        "",
        *_accuracies(result),
        "",
        "## Intended use and limits",
        "",
        "Research on robustness and its differences between classes. The numbers hold for the data and the attacks above; a "
        "stronger attack, another norm or a larger eps gives lower ones. Classes with a low accuracy are predicted wrong more "
        "often than the average says: look at the class that matters.",
        "",
    ]
    return "\n".join(lines)


def settings_to_publish(config: RunConfig) -> dict[str, Any]:
    """The settings of a run without folders of this machine: of a path, only its last name is kept.

    Args:
        config: the run.
    """
    settings = config.to_dict()
    for name in ("data_root", "plugins_dir", "warm_start"):
        if settings.get(name) is not None:
            settings[name] = Path(settings[name]).name
    prefix, colon, path = str(settings["dataset"]).partition(":")
    settings["dataset"] = f"{prefix}{colon}{Path(path).name}" if colon else prefix
    return settings


def _metadata(run: LoadedRun) -> dict[str, object]:
    return {
        "library_name": "fairart",
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "adversarial-robustness", "fairness", "fairart", run.config.trainer],
        "datasets": [Path(run.dataset.name).name],
        "metrics": ["accuracy"],
    }


def _settings(run: LoadedRun) -> list[tuple[str, str]]:
    return [(name, str(value)) for name, value in settings_to_publish(run.config).items() if value not in (None, {}, [])]


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    names = [markdown_line(head) for head in heads]
    body = ["| " + " | ".join(markdown_line(cell) for cell in row) + " |" for row in rows]
    return ["| " + " | ".join(names) + " |", "| " + " | ".join("---" for _ in names) + " |", *body]


def _accuracies(result: EvaluationResult | None) -> list[str]:
    if result is None:
        return ["This model was not evaluated."]
    columns = list(result.values())
    names = columns[0].class_names or [str(index) for index in range(columns[0].nb_classes)]
    rows = [(name, *(_per_cent(column.class_accuracy[index]) for column in columns)) for index, name in enumerate(names)]
    rows.append(("all", *(_per_cent(column.accuracy) + _mark(column, result) for column in columns)))
    rows.append(("worst class", *(_per_cent(column.worst_class_accuracy()) + _mark(column, result) for column in columns)))
    failed = [check for check in result.checks if not check.passed]
    return [
        f"In per cent, on {len(result.labels)} test images.",
        "",
        *_table(("class", *(column.label for column in columns)), rows),
        "",
        *(f"- {markdown_line(column.label)}: {markdown_line(_attack(column))}" for column in columns),
        *(f"- {FAILED} {markdown_line(check.name)} failed: {markdown_line(check.detail)}" for check in failed),
    ]


def _attack(column: AttackResult) -> str:
    options = column.config.get("options", {})
    listed = ", ".join(f"{name}={value}" for name, value in options.items())
    return f"{column.config.get('attack', column.label)}({listed})" if listed else str(column.config.get("attack", "no attack"))


def _mark(column: AttackResult, result: EvaluationResult) -> str:
    return f" {FAILED}" if failed_checks(column, result.checks) else ""


def _per_cent(share: float) -> str:
    return "-" if math.isnan(share) else f"{100 * share:.1f}"
