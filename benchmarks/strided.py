"""Input gradients of strided first layers: torch's own beside those of ``phase_gradients``, in turns in one process, on the CPU.

    python benchmarks/strided.py --output strided.json

Every layer is timed with channels first and with channels last; a ratio is the median over the rounds of torch's time over ours
in that round.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fairart.engine.network.strided import input_gradient

LAYERS = {
    # batch, channels, outputs, side, kernel, stride, padding
    "small-cnn, grey": (128, 1, 16, 28, 4, 2, 1),
    "small-cnn, colour": (128, 3, 16, 32, 4, 2, 1),
    "3 x 3 / 2": (128, 3, 32, 32, 3, 2, 1),
    "7 x 7 / 2, ResNet on 64 pixels": (16, 3, 64, 64, 7, 2, 3),
    "4 x 4 / 4, patches": (64, 3, 192, 32, 4, 4, 0),
    "16 channels, left to torch": (128, 16, 32, 14, 4, 2, 1),
}


def gradients(layer: str, layout: torch.memory_format) -> dict[str, Callable[[], Tensor]]:
    """The two ways, on the same numbers; they must agree."""
    batch, channels, outputs, side, kernel, stride, padding = LAYERS[layer]
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(batch, channels, side, side, generator=generator).to(memory_format=layout)
    weight = torch.randn(outputs, channels, kernel, kernel, generator=generator).to(memory_format=layout)
    out = torch.nn.functional.conv2d(x, weight, None, stride, padding)
    towards = torch.randn(out.shape, generator=generator).to(memory_format=layout)
    geometry = ([stride] * 2, [padding] * 2, [1, 1], False, [0, 0], 1, [True, False, False])

    def of_torch() -> Tensor:
        found: Tensor = torch.ops.aten.convolution_backward(towards, x, weight, None, *geometry)[0]
        return found

    def of_phases() -> Tensor:
        return input_gradient(towards, weight, x.shape[2:], stride=stride, padding=(padding, padding))

    torch.testing.assert_close(of_phases(), of_torch(), rtol=1e-4, atol=1e-3)
    return {"torch": of_torch, "phases": of_phases}


def seconds(gradient: Callable[[], Tensor], times: int) -> float:
    began = time.perf_counter()
    for _ in range(times):
        gradient()
    return (time.perf_counter() - began) / times


def measured(layer: str, layout: torch.memory_format, rounds: int) -> dict[str, Any]:
    ways = gradients(layer, layout)
    turns: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds):
        for name in sorted(ways, reverse=bool(turn % 2)):
            turns[name].append(seconds(ways[name], 10))
    ratios = [theirs / ours for theirs, ours in zip(turns["torch"], turns["phases"], strict=True)]
    return {**{name: statistics.median(values) for name, values in turns.items()}, "ratio": statistics.median(ratios)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    layouts = {"channels first": torch.contiguous_format, "channels last": torch.channels_last}
    rows: list[dict[str, Any]] = []
    print("| first layer | layout | torch, ms | phases, ms | torch / phases |\n| --- | --- | ---: | ---: | ---: |")
    for layer in LAYERS:
        for name, layout in layouts.items():
            row = {"layer": layer, "layout": name, **measured(layer, layout, arguments.rounds)}
            rows.append(row)
            print(f"| {layer} | {name} | {1e3 * row['torch']:.2f} | {1e3 * row['phases']:.2f} | {row['ratio']:.1f} |", flush=True)
    if arguments.output is not None:
        machine = {"processor": platform.machine(), "threads": arguments.threads, "torch": str(torch.__version__)}
        arguments.output.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
