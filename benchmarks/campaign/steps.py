"""Stage b: what a training step costs, beside its floor, a plain loop and ART's trainers."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import step
import step_variants
import torch
from step_variants import Setting

from campaign.cards import bf16_peak
from campaign.running import Campaign, Part, Result

__all__ = ["parts"]

FAST = "precision=bf16-mixed channels_last"
EXECUTIONS = ["", "precision=bf16-mixed", FAST, f"{FAST} cuda_graphs"]
COMPILED = [f"{FAST} compile", f"{FAST} compile cuda_graphs"]


def parts(campaign: Campaign) -> Sequence[Part]:
    """Batch 512 first: the goals speak of it."""
    if campaign.smoke:
        toy = Setting("small-cnn", (1, 8, 8), 32, max_iter=2)
        return [
            Part("at, batch 32", 0, lambda save: compared(campaign, toy, "at", ["", "precision=bf16-mixed"], 1)),
            Part("fair-tat, batch 32", 0, lambda save: against_at(toy, "")),
            Part("memory, batch 32", 0, lambda save: memory(toy)),
        ]
    found, compiled = [], []
    for batch in (512, 128):
        setting = Setting("preact-resnet-18", (3, 32, 32), batch, device=campaign.device)
        found.append(Part(f"at, batch {batch}", 30, _compared(campaign, setting, "at", EXECUTIONS, 12)))
        found.append(Part(f"fair-tat, batch {batch}", 8, _against_at(setting)))
        found.append(Part(f"memory, batch {batch}", 8, _memory(setting)))
        found.append(Part(f"trades, batch {batch}", 30, _compared(campaign, setting, "trades", EXECUTIONS, 12)))
        # Compiling takes most of this time: last.
        compiled.append(Part(f"at, batch {batch}, compiled", 90, _compared(campaign, setting, "at", COMPILED, 10)))
    return [*found, *compiled]


def _compared(
    campaign: Campaign, setting: Setting, objective: str, executions: list[str], seconds: float
) -> Callable[..., Result]:
    return lambda save: compared(campaign, setting, objective, executions, seconds)


def _against_at(setting: Setting) -> Callable[..., Result]:
    return lambda save: against_at(setting, FAST)


def _memory(setting: Setting) -> Callable[..., Result]:
    return lambda save: memory(setting)


def arguments_of(campaign: Campaign, executions: list[str], seconds: float) -> argparse.Namespace:
    """The arguments of benchmarks/step.py."""
    line = ["--device", campaign.device, "--rounds", "8", "--seconds", str(seconds), "--memory-runs", "0", "--flops"]
    arguments = step.arguments_of([*line, "--execution", *executions])
    card = torch.cuda.get_device_name() if campaign.device == "cuda" else ""
    # Without a data sheet there is no share of the peak.
    arguments.peak = bf16_peak(card)
    arguments.flops = arguments.peak is not None
    return arguments


def compared(campaign: Campaign, setting: Setting, objective: str, executions: list[str], seconds: float) -> Result:
    """Rows of benchmarks/step.py: all variants in turns."""
    torch.backends.cudnn.benchmark = True
    arguments = arguments_of(campaign, executions, seconds)
    rows = step.compare(setting, objective, arguments)
    return {"peak_operations_per_second": arguments.peak, "rows": rows}


def against_at(setting: Setting, execution: str) -> Result:
    """FAIR-TAT over AT, in turns."""
    (options,) = step.executions([execution])
    steps_of = {name: step_variants.fairart(setting, name, **options) for name in ("at", "fair-tat")}
    turns = step.take_turns(steps_of, 6, 6)
    ratio = step.ratio(turns, "fair-tat", "at", "wall")
    return {"fair_tat_over_at": ratio, "ms": {name: 1000 * statistics.median(one.wall for one in turns[name]) for name in turns}}


def memory(setting: Setting) -> Result:
    """Bytes at the peak of two steps, over what there was before; in one process, so the CPU's figures are rough."""
    found: dict[str, Any] = {}
    for kind, execution in (("floor", ""), ("fairart", ""), ("fairart", FAST if setting.device == "cuda" else "")):
        (options,) = step.executions([execution])
        take = step_variants.make(kind, setting, "at", options)
        take(1)
        before = step_variants.reset_peak(setting.device)
        take(2)
        found[f"{kind} {execution}".strip()] = step_variants.peak(setting.device) - before
    return {"bytes": found}
