"""What a training step costs, beside its floor, a plain loop and ART's trainers, in one process.

Variants take turns, in an order that rotates from round to round, so that a busy machine slows all of them; ratios are
medians over the rounds of one variant's time over another's in the same round. Peak memory of a step comes from a process
of its own for each variant: what torch allocated on CUDA, resident memory on the CPU, over what there was before.

    python benchmarks/step.py --output step.json
    python benchmarks/step.py --models small-cnn-8x8 --methods all --execution ""
    python benchmarks/step.py --device cuda --models preact-resnet-18 --batch 128 512 --memory-runs 1

See benchmarks/README.md for what the variants are and for what was measured.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

os.environ["TQDM_DISABLE"] = "1"  # ART's trainers draw a bar for every step

import step_variants
import torch
from step_variants import Seconds, Setting, Steps

from fairart import registered
from fairart.execution import Execution

SETTINGS = {
    "small-cnn": Setting("small-cnn", (1, 28, 28), 128),
    "small-cnn-8x8": Setting("small-cnn", (1, 8, 8), 128),
    "preact-resnet-18": Setting("preact-resnet-18", (3, 32, 32), 32),
}
OBJECTIVES = ("at", "trades")
SECONDS_A_TURN = 0.25
"""Turns shorter than this take several steps."""
PEAKS = {"H100": 989.4e12, "H200": 989.4e12, "A100": 312e12}
"""bfloat16 operations a second by data sheet (dense, SXM)."""
PASSES = re.compile(r"^\| `([\w-]+)`.*\| (\d+)(?: \+ (\d+))? \|$", re.MULTILINE)

Row = dict[str, Any]


def executions(texts: list[str]) -> list[dict[str, Any]]:
    """``"precision=bf16-mixed channels_last=true"`` as trainer options."""
    found = []
    for text in texts:
        options: dict[str, Any] = {}
        for part in text.split():
            name, _, value = part.partition("=")
            options[name] = {"": True, "true": True, "false": False}.get(value, value)
        Execution(**options)
        found.append(options)
    return found


def variants(
    setting: Setting, objective: str, chosen: list[dict[str, Any]], left_out: list[str]
) -> dict[str, tuple[str, dict[str, Any], str]]:
    """Label -> kind, execution, label of its own floor: floor and fairart for each execution, plain loop and ART as they come."""
    found: dict[str, tuple[str, dict[str, Any], str]] = {kind: (kind, {}, "floor") for kind in ("floor", "plain", "art")}
    for options in chosen:
        if objective == "at" and options.get("fold_batch_norm"):
            continue  # AT attacks in train mode
        followed = _followed(step_variants.trainer_of(setting, objective, **options).execution)
        floor = f"floor {_told(followed)}".strip()
        found[f"fairart {_told(options)}".strip()] = ("fairart", options, floor)
        found[floor] = ("floor", followed, floor)
    return {label: made for label, made in found.items() if made[0] not in left_out}


def _told(options: dict[str, Any]) -> str:
    """``"bf16-mixed compile not channels_last"``."""
    left_out = [f"not {name}" for name, value in options.items() if value is False]
    return " ".join([*str(Execution(**options)).split(), *left_out])


def _followed(execution: Execution) -> dict[str, Any]:
    """What a floor follows of it: other ways to a gradient are not in it, and graphs are about what is around it."""
    options = {name: getattr(execution, name) for name in ("precision", "channels_last", "compile")}
    return {name: value for name, value in options.items() if value not in (False, "32-true")}


def take_turns(steps_of: dict[str, Steps], rounds: int, budget: float) -> dict[str, list[Seconds]]:
    """Seconds a step of every variant in every round; fewer rounds where the budget of seconds runs out."""
    counts, turns = {}, {label: [] for label in steps_of}
    for label, take in steps_of.items():
        first = take(1)  # compiles, allocates, chooses algorithms
        usual = first if first.wall > 4 * SECONDS_A_TURN and first.cpu > SECONDS_A_TURN else take(1)
        counts[label] = max(1, round(SECONDS_A_TURN / max(1e-9, usual.wall)))
    labels, began = list(steps_of), time.perf_counter()
    for turn in range(rounds):
        shift = turn % len(labels)
        for label in labels[shift:] + labels[:shift]:
            total = steps_of[label](counts[label])
            turns[label].append(Seconds(total.device, total.wall / counts[label], total.cpu / counts[label]))
        if time.perf_counter() - began > budget:
            break
    return turns


def ratio(turns: dict[str, list[Seconds]], label: str, other: str, clock: str) -> float | None:
    """Median over the rounds of one variant's time over another's."""
    if other not in turns:
        return None
    pairs = zip(turns[label], turns[other], strict=True)
    return statistics.median(getattr(one, clock) / getattr(two, clock) for one, two in pairs)


def compare(setting: Setting, objective: str, arguments: argparse.Namespace) -> list[Row]:
    """One row a variant."""
    chosen = variants(setting, objective, arguments.executions, arguments.leave_out)
    steps_of = {label: step_variants.make(kind, setting, objective, options) for label, (kind, options, _) in chosen.items()}
    turns = take_turns(steps_of, arguments.rounds, arguments.seconds)
    operations = step_variants.operations(setting, objective) if arguments.flops else None
    rows = []
    for label, (_, _, own_floor) in chosen.items():
        medians = {clock: statistics.median(getattr(one, clock) for one in turns[label]) for clock in ("wall", "cpu")}
        seconds = medians[arguments.clock]
        row: Row = {
            "setting": str(setting),
            "objective": objective,
            "variant": label,
            "rounds": len(turns[label]),
            "wall_seconds": medians["wall"],
            "cpu_seconds": medians["cpu"],
            "images_per_second": setting.batch / seconds,
            "to_floor": ratio(turns, label, "floor", arguments.clock),
            "to_own_floor": ratio(turns, label, own_floor, arguments.clock),
            "plain_over_this": _inverse(ratio(turns, label, "plain", arguments.clock)),
            "art_over_this": _inverse(ratio(turns, label, "art", arguments.clock)),
        }
        if operations is not None:
            row["seconds_for_50000_images"] = 50_000 / row["images_per_second"]
            row["operations_per_second"] = operations / seconds
            row["share_of_peak"] = operations / seconds / arguments.peak
        rows.append(row)
    add_memory(rows, chosen, setting, objective, arguments)
    show(rows, f"{setting}, {objective}, max_iter {setting.max_iter}", arguments.clock)
    return rows


def _inverse(value: float | None) -> float | None:
    return None if value is None else 1 / value


def add_memory(
    rows: list[Row],
    chosen: dict[str, tuple[str, dict[str, Any], str]],
    setting: Setting,
    objective: str,
    arguments: argparse.Namespace,
) -> None:
    """The peak of two steps of two attack steps each: it does not grow with more."""
    if not arguments.memory_runs:
        return
    for row in rows:
        kind, options, _ = chosen[row["variant"]]
        asked = json.dumps({"kind": kind, "setting": vars(setting), "objective": objective, "execution": options})
        command = [sys.executable, __file__, "--peak-of", asked, "--threads", str(arguments.threads)]
        command += ["--cudnn-benchmark"] if arguments.cudnn_benchmark else []
        peaks = [
            int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])
            for _ in range(arguments.memory_runs)
        ]
        row["peak_bytes"] = statistics.median(peaks)
    floor = next((row["peak_bytes"] for row in rows if row["variant"] == "floor"), None)
    for row in rows:
        row["peak_to_floor"] = None if floor is None else row["peak_bytes"] / floor


def print_peak(asked: dict[str, Any]) -> None:
    """In a process of its own: bytes at the peak of two steps, over what there was before."""
    fields = {**asked["setting"], "shape": tuple(asked["setting"]["shape"]), "max_iter": 2}
    setting = Setting(**fields)
    # What is loaded and compiled once is no part of a step.
    small = dataclasses.replace(setting, batch=4)
    step_variants.make(asked["kind"], small, asked["objective"], asked["execution"])(1)
    take = step_variants.make(asked["kind"], setting, asked["objective"], asked["execution"])
    before = step_variants.reset_peak(setting.device)
    take(1)
    take(1)
    print(step_variants.peak(setting.device) - before)


def show(rows: list[Row], title: str, clock: str) -> None:
    def number(value: float | None, form: str = ".2f") -> str:
        return "" if value is None else format(value, form)

    columns = ["variant", f"ms ({clock})", "images/s", "/ floor", "/ own floor", "plain /", "ART /", "peak MiB", "/ floor"]
    with_peak = any("share_of_peak" in row for row in rows)
    body = []
    for row in rows:
        peak = row.get("peak_bytes")
        body.append(
            [
                row["variant"],
                number(1000 * row[f"{clock}_seconds"], ".1f"),
                number(row["images_per_second"], ".0f"),
                *(number(row[name]) for name in ("to_floor", "to_own_floor", "plain_over_this", "art_over_this")),
                number(None if peak is None else peak / 2**20, ".0f"),
                number(row.get("peak_to_floor")),
                *([number(row["share_of_peak"], ".1%"), number(row["seconds_for_50000_images"], ".1f")] if with_peak else []),
            ]
        )
    print_table([*columns, *(["of peak", "s for 50 000 images"] if with_peak else [])], body, title=title)


def print_table(columns: list[str], rows: list[list[str]], *, title: str) -> None:
    """As Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    print(f"\n{title}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines), flush=True)


def passes_of_methods(max_iter: int) -> dict[str, int]:
    """Forward passes a batch by definition, from the table of docs/methods.md, which counts ten attack steps."""
    page = (Path(__file__).parents[1] / "docs" / "methods.md").read_text(encoding="utf-8")
    table = {name: int(passes) + int(reference or 0) for name, passes, reference in PASSES.findall(page)}
    return {name: passes if passes < 10 else passes - 10 + max_iter for name, passes in table.items()}


# Each method in its own phase, not in its warm-up.
AT_WORK: dict[str, dict[str, Any]] = {
    "frl": {"warm_up": 0},
    "faal": {"warm_up": 0},
    "dafa": {"warm_up": 1},
    "cfa": {"start_epoch": 0},
}


ONE_STEP = "at, 1 step"


def methods(setting: Setting, arguments: argparse.Namespace) -> list[Row]:
    """Every registered method against plain AT, and AT with adversarial weight perturbation."""
    passes = passes_of_methods(setting.max_iter)
    chosen: dict[str, tuple[str, dict[str, Any]]] = {name: (name, AT_WORK.get(name, {})) for name in registered("trainer")}
    chosen["at + awp"], passes["at + awp"] = ("at", {"weight_perturbation": "awp"}), passes["at"] + 1
    # A pass of training costs more than one of the attack: methods with one step are held against AT with one.
    chosen[ONE_STEP], passes[ONE_STEP] = ("at", {"max_iter": 1}), 2
    steps_of = {label: step_variants.fairart(setting, name, **options) for label, (name, options) in chosen.items()}
    turns = take_turns(steps_of, arguments.rounds, arguments.seconds)
    rows = []
    for label in chosen:
        needed = passes.get(label)
        alike = ONE_STEP if needed == passes[ONE_STEP] else "at"
        cost, own = (ratio(turns, label, other, arguments.clock) for other in ("at", alike))
        assert cost is not None
        assert own is not None
        rows.append(
            {
                "setting": str(setting),
                "method": label,
                "passes": needed,
                "wall_seconds": statistics.median(one.wall for one in turns[label]),
                "cpu_seconds": statistics.median(one.cpu for one in turns[label]),
                "to_at": cost,
                "to_at_per_pass": None if needed is None else own / (needed / passes[alike]),
            }
        )
    body = [
        [
            row["method"],
            "" if row["passes"] is None else str(row["passes"]),
            f"{1000 * row[f'{arguments.clock}_seconds']:.1f}",
            f"{row['to_at']:.2f}",
            "" if row["to_at_per_pass"] is None else f"{row['to_at_per_pass']:.2f}",
        ]
        for row in rows
    ]
    columns = ["method", "passes", f"ms ({arguments.clock})", "/ at", "/ at for its passes"]
    print_table(columns, body, title=f"methods on {setting}, max_iter {setting.max_iter}")
    return rows


def peak_rate(device: str, clock: str) -> tuple[float, str]:
    """Operations a second to compare with: the data sheet's where the device is known, else a large product's here."""
    name = torch.cuda.get_device_name() if device == "cuda" else platform.processor() or platform.machine()
    for known, rate in PEAKS.items():
        if device == "cuda" and known in name:
            return rate, f"{name}, bfloat16 by data sheet"
    size = 8192 if device == "cuda" else 2048
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    factor = torch.randn(size, size, device=device, dtype=dtype)
    best = float("inf")
    for _ in range(5):
        seconds = Seconds(device)
        with seconds.counted():
            factor @ factor
        best = min(best, getattr(seconds, clock))
    return 2 * size**3 / best, f"{name}, {dtype} product of {size} x {size} matrices"


def arguments_of(command_line: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument(
        "--batch", nargs="+", type=int, default=[None], help="images a step; by default 128, 32 for PreActResNet-18"
    )
    parser.add_argument("--objectives", nargs="+", choices=OBJECTIVES, default=list(OBJECTIVES))
    parser.add_argument("--methods", choices=("all",), help="instead: every registered method against plain AT")
    parser.add_argument("--max-iter", type=int, default=10, help="attack steps")
    parser.add_argument(
        "--execution",
        nargs="*",
        default=["", "precision=bf16-mixed channels_last"],
        metavar="OPTIONS",
        help='options of the trainer, each text a variant: "" for the defaults, "precision=bf16-mixed compile"',
    )
    parser.add_argument("--leave-out", nargs="*", default=[], choices=("floor", "plain", "art"))
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=60, help="no further round after these, for each model and objective")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="processor seconds suit a busy machine better")
    parser.add_argument("--memory-runs", type=int, default=3, help="processes for the peak memory of each variant; 0 for none")
    parser.add_argument("--flops", action="store_true", help="also operations a second, and their share of the device's peak")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--cudnn-benchmark", action="store_true", help="let cuDNN try its algorithms, for every variant")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads of torch")
    parser.add_argument("--output", type=Path, help="JSON file to write, after each model and objective")
    parser.add_argument("--peak-of", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args(command_line)
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: torch finds no CUDA device here")
    arguments.executions = executions(arguments.execution)
    arguments.flops = arguments.flops or arguments.device == "cuda"
    return arguments


def main(command_line: list[str] | None = None) -> None:
    arguments = arguments_of(command_line)
    torch.set_num_threads(arguments.threads)
    torch.backends.cudnn.benchmark = arguments.cudnn_benchmark
    warnings.simplefilter("ignore")
    if arguments.peak_of:
        print_peak(arguments.peak_of)
        return
    result: dict[str, Any] = {
        "clock": arguments.clock,
        "device": torch.cuda.get_device_name() if arguments.device == "cuda" else platform.processor() or platform.machine(),
        "threads": arguments.threads,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "rows": [],
    }
    if arguments.flops:
        arguments.peak, result["peak"] = peak_rate(arguments.device, arguments.clock)
        result["peak_operations_per_second"] = arguments.peak
    for name in arguments.models:
        for batch in arguments.batch:
            setting = step_variants.changed(SETTINGS[name], batch, arguments.max_iter, arguments.device)
            jobs = [functools.partial(compare, setting, objective) for objective in arguments.objectives]
            for job in [functools.partial(methods, setting)] if arguments.methods else jobs:
                result["rows"] += job(arguments)
                if arguments.output is not None:
                    arguments.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
