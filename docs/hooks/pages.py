"""Pages that are made when the site is built: the reference, parts with their options, files from elsewhere in the repository."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
REFERENCE = {
    "fairart": ("fairart",),
    "trainers": ("fairart.trainers",),
    "policies": (
        "fairart.policies",
        "fairart.policies.target_samplers",
        "fairart.policies.epsilon_schedulers",
        "fairart.policies.class_weightings",
        "fairart.policies.class_samplings",
        "fairart.policies.classification_losses",
        "fairart.policies.weight_perturbations",
        "fairart.policies.averaging",
    ),
    "objectives": ("fairart.objectives",),
    "attacks": ("fairart.attacks",),
    "engine": ("fairart.engine", "fairart.engine.data.augmentation"),
    "evaluation": (
        "fairart.evaluation",
        "fairart.evaluation.attacks",
        "fairart.evaluation.certificates",
        "fairart.evaluation.defences",
        "fairart.evaluation.results.comparing",
    ),
    "bounds": ("fairart.bounds",),
    "corruptions": ("fairart.corruptions",),
    "statistics": ("fairart.statistics",),
    "datasets": ("fairart.datasets", "fairart.datasets.checking"),
    "models": (
        "fairart.models.small_cnn",
        "fairart.models.preact_resnet",
        "fairart.models.wide_resnet",
        "fairart.models.xcit",
    ),
    "reporting": ("fairart.reporting", "fairart.reporting.plots", "fairart.reporting.comparison"),
    "runs": ("fairart.runs.config", "fairart.runs.run"),
    "benchmark": ("fairart.benchmark",),
    "tuning": ("fairart.tuning",),
    "plugins": ("fairart.plugins", "fairart.plugins.options", "fairart.plugins.hookspecs"),
    "testing": ("fairart.testing",),
    "errors": ("fairart.errors",),
}
"""Page of the reference -> packages whose exported names stand on it."""

INCLUDED = {
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "speed.md": "benchmarks/README.md",
}


def on_files(files: Files, config: Any) -> Files:
    """Add the pages."""
    for page, source in INCLUDED.items():
        files.append(File.generated(config, page, content=_with_links_of_the_site((ROOT / source).read_text(encoding="utf-8"))))
    files.append(File.generated(config, "parts.md", content=parts_page()))
    for page, content in leaderboard_pages().items():
        files.append(File.generated(config, page, content=content))
    for name in REFERENCE:
        files.append(File.generated(config, f"api/{name}.md", content=reference_page(name)))
    return files


def leaderboard_pages() -> dict[str, str]:
    """The leaderboard of the checked-in studies: the page itself, and a page of the site that leads there."""
    from fairart.benchmark.leaderboard import leaderboard_page

    found = sorted(path.parent for path in (ROOT / "benchmarks" / "results").glob("study_*/results.csv"))
    # Rows of one table are trained alike; those of the question and the factors are not, and stand in benchmarks/README.md.
    folders = [folder for folder in found if not folder.name.startswith(("study_question", "study_factors"))]
    if not folders:
        return {"leaderboard.md": "# Leaderboard\n\nNo study is checked in yet.\n"}
    commands = "\n".join(
        f"    fairart benchmark benchmarks/study/{folder.name.removeprefix('study_')}.yaml" for folder in folders
    )
    about = (
        "# Leaderboard\n\n[**Open the leaderboard**](leaderboard_table.html): every method of the checked-in studies, sortable, "
        "with intervals over seeds, planned comparisons and configurations.\n\nEach table was made by one command, see "
        f"`benchmarks/README.md`:\n\n{commands}\n"
    )
    return {"leaderboard.md": about, "leaderboard_table.html": leaderboard_page(folders)}


def reference_page(name: str) -> str:
    """Every exported name of a page's packages; one that several export stands where it comes first."""
    lines, seen = [], set()
    for package in REFERENCE[name]:
        module = importlib.import_module(package)
        about = inspect.getdoc(module) or ""
        lines += [f"# {package}" if not lines else f"## {package}", "", about.partition("\n\n")[0], ""]
        for exported in module.__all__:
            if exported not in seen and not isinstance(getattr(module, exported), str):
                lines += [f"::: {package}.{exported}", ""]
            seen.add(exported)
    return "\n".join(lines)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links of pages to files outside of docs/ become plain names: the site does not hold those files."""
    return re.sub(r"\[([^\]]+)\]\(\.\./(?!images)[^)]*\)", r"`\1`", markdown) if page.file.src_uri.count("/") == 0 else markdown


def _with_links_of_the_site(text: str) -> str:
    text = re.sub(r"\]\((?:\.\./)?docs/", "](", text)
    return re.sub(r"\[([^\]]+)\]\((?!http|#|[a-z_/]+\.md|images/)[^)]*\)", r"`\1`", text)


def parts_page() -> str:
    """Every registered part with its options, as the program itself declares them."""
    from fairart.plugins import HOOK_OF_KIND, PluginManager
    from fairart.plugins.hookspecs import FUNCTION_KINDS
    from fairart.plugins.options import declared_options

    lines = [
        "# Parts and their options",
        "",
        "This page is made from the registered parts. On the command line an option is written `--set KIND.OPTION=VALUE`;",
        "`fairart plugins KIND NAME` prints the same for your installation, plugins included.",
    ]
    manager = PluginManager(entry_points=False)
    for kind in HOOK_OF_KIND:
        lines += ["", f"## {kind.replace('_', ' ').capitalize()}", ""]
        for name, entry in manager.registered(kind).items():
            lines += [f"### `{name}` {{ #{kind.replace('_', '-')}-{name} }}", "", _text(entry.summary()), ""]
            options = declared_options(entry.load(), keyword_only=kind in FUNCTION_KINDS)
            rows = [_row(option) for key, option in options.items() if key not in HANDED_OVER]
            if rows:
                lines += ["| option | type | default | meaning | source |", "| --- | --- | --- | --- | --- |", *rows, ""]
    return "\n".join(lines) + "\n"


HANDED_OVER = ("generator", "classifier", "input_shape", "nb_classes")


def _row(declared: Any) -> str:
    default = "required" if declared.required else f"`{declared.default!r}`"
    option = declared.option
    meaning = option.description + _range(option)
    return f"| `{declared.name}` | {_text(_type(declared))} | {_text(default)} | {_text(meaning)} | {_text(option.source)} |"


def _type(declared: Any) -> str:
    return "`" + str(getattr(declared.type, "__name__", declared.type)).replace("typing.", "") + "`"


def _range(option: Any) -> str:
    if option.choices:
        return f" (one of {', '.join(map(str, option.choices))})"
    ends = [f"{'>' if option.low_open else '>='} {option.low:g}"] if option.low is not None else []
    ends += [f"{'<' if option.high_open else '<='} {option.high:g}"] if option.high is not None else []
    return f" ({', '.join(ends)})" if ends else ""


def _text(value: Any) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")
