"""Everything that a few minutes on a GPU can tell, in one command.

Stages, the most important first: ``correctness`` (CUDA against the CPU), ``step`` (cost of a training step), ``evaluation``
(attacks and corruptions), ``training`` (CIFAR-10). Each writes its JSON file part by part. What does not fit the time left
is skipped and named; a failure stops nothing else; a second call with the same folder does what is left::

    python benchmarks/gpu_campaign.py --budget-seconds 300 --output h100 --data cifar10.npz
    python benchmarks/gpu_campaign.py --smoke --output smoke      # toy sizes on the CPU
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any

os.environ["TQDM_DISABLE"] = "1"  # ART's trainers draw a bar for every step
sys.path.insert(0, str(Path(__file__).parent))

import torch
from campaign import correctness, evaluation, steps, training
from campaign.running import Campaign, Record, Stage, machine_of, run_stage

STAGES = (
    Stage("correctness", 0.3, correctness.parts),
    Stage("step", 0.35, steps.parts),
    Stage("evaluation", 0.15, evaluation.parts),
    Stage("training", 0.2, training.parts),
)
GOALS = "goals: 10 x plain loop and ART in bf16; an epoch of AT on CIFAR-10 in 5 s; 1.1 x the floor; 40 % of peak at batch 512"


def arguments_of(command_line: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget-seconds", type=float, default=300, help="time for all stages (default: 300)")
    parser.add_argument("--output", type=Path, required=True, help="folder of the JSON files")
    parser.add_argument("--stages", help="names with commas (default: all)")
    parser.add_argument("--data", type=Path, help="npz file of CIFAR-10 with x_train, y_train, x_test, y_test, for 'training'")
    parser.add_argument("--smoke", action="store_true", help="toy sizes on the CPU")
    arguments = parser.parse_args(command_line)
    known = [stage.name for stage in STAGES]
    arguments.chosen = known if arguments.stages is None else arguments.stages.split(",")
    for name in arguments.chosen:
        if name not in known:
            parser.error(f"--stages: there is no stage {name!r}; known: {', '.join(known)}")
    if not arguments.smoke and not torch.cuda.is_available():
        parser.error("torch finds no CUDA device; --smoke tries the script on the CPU")
    if arguments.data is not None and not arguments.data.is_file():
        parser.error(f"--data: there is no file {arguments.data}")
    return arguments


FIGURES = {"x plain loop": "plain_over_this", "x ART": "art_over_this", "x own floor": "to_own_floor", "of peak": "share_of_peak"}


def achieved(records: dict[str, Record]) -> list[str]:
    """The figures that the goals speak of: the fastest variant of each comparison with AT."""
    lines = []
    for name, part in (records["step"].parts if "step" in records else {}).items():
        rows = [row for row in part.get("result", {}).get("rows", []) if row["variant"].startswith("fairart")]
        if not rows or not name.startswith("at,"):
            continue
        best = max(rows, key=lambda row: row["images_per_second"])
        shown = ", ".join(f"{best[key]:.2f} {text}" for text, key in FIGURES.items() if best.get(key) is not None)
        lines.append(f"{name}: {best['variant']}: {50_000 / best['images_per_second']:.1f} s for 50 000 images, {shown}")
    return lines


def report(records: dict[str, Record]) -> bool:
    """Print what came of each stage; whether nothing failed."""
    sound = True
    print(f"\n{GOALS}")
    for line in achieved(records):
        print(f"  {line}")
    print()
    for name, record in records.items():
        failed = [part for part, found in record.parts.items() if "error" in found]
        sound = sound and not failed and record.error is None
        done = sum("result" in found for found in record.parts.values())
        print(f"{name}: {done} measured, {len(failed)} failed, {len(record.skipped)} skipped ({record.path})")
        for part in failed:
            print(f"  failed: {part}: {record.parts[part].get('error', 'interrupted').strip().splitlines()[-1]}")
        for part in record.skipped:
            print(f"  skipped: {part}")
        if record.error is not None:
            print(f"  {record.error.strip().splitlines()[-1]}")
    return sound


def main(command_line: list[str] | None = None) -> int:
    """Run the stages; the exit code is 1 if a part failed, 2 if the folder has figures of another machine."""
    arguments = arguments_of(command_line)
    warnings.simplefilter("ignore")
    arguments.output.mkdir(parents=True, exist_ok=True)
    device = "cpu" if arguments.smoke else "cuda"
    machine: Any = machine_of(device)
    try:
        for name in arguments.chosen:
            Record.opened(arguments.output / f"{name}.json", machine)
    except ValueError as error:
        print(f"gpu_campaign.py: error: {error}", file=sys.stderr)
        return 2
    print(f"{machine['card']}, torch {machine['torch']}, {arguments.budget_seconds:g} s")
    campaign = Campaign(
        device=device,
        smoke=arguments.smoke,
        output=arguments.output,
        deadline=time.monotonic() + arguments.budget_seconds,
        data=arguments.data,
    )
    records = {}
    for stage in STAGES:
        if stage.name in arguments.chosen:
            began = time.monotonic()
            later = [other for other in STAGES[STAGES.index(stage) + 1 :] if other.name in arguments.chosen]
            kept = arguments.budget_seconds * sum(other.share for other in later)
            records[stage.name] = run_stage(campaign.until(kept), stage)
            print(f"== {stage.name}: {time.monotonic() - began:.0f} s, {campaign.left:.0f} s left", flush=True)
    return 0 if report(records) else 1


if __name__ == "__main__":
    sys.exit(main())
