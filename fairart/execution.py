"""How a training step is computed, not what it computes: declared once, for trainers, config files and flags.

Importing this module does not load torch; :mod:`fairart.engine.execution` acts on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

from fairart.plugins.options import Option, check_value, declared_options

__all__ = [
    "EXECUTION",
    "MAY_FOLLOW",
    "ChannelsLast",
    "Compile",
    "CudaGraphs",
    "Execution",
    "FoldBatchNorm",
    "GradientAccumulation",
    "GradientClipping",
    "KeepBest",
    "LossScale",
    "OnOverfitting",
    "PhaseGradients",
    "Precision",
]

Precision = Annotated[
    Literal["32-true", "bf16-mixed"],
    Option("arithmetic of the network in training: 32-true, or bf16-mixed (bfloat16 where torch.autocast allows)"),
]
ChannelsLast = Annotated[
    bool | None,
    Option("keep images and kernels with channels last in memory while training; by default where it pays, on the CPU"),
]
PhaseGradients = Annotated[
    bool | None,
    Option("input gradients of a strided first layer as one plain convolution; by default where it pays, on the CPU"),
]
Compile = Annotated[bool, Option("train the network compiled by torch.compile")]
FoldBatchNorm = Annotated[
    bool, Option("fold batch-norm into the convolutions before it during attacks in eval mode (trades, fat, bat)")
]
CudaGraphs = Annotated[bool, Option("replay the attack's passes as CUDA graphs")]

OnOverfitting = Annotated[
    Literal["stop", "return", "ignore"],
    Option(
        "when single-step training overfits catastrophically: stop with an error, return to the last good epoch, or ignore it"
    ),
]
MAY_FOLLOW = {"on_overfitting": "stop"}
"""Settings that a resumed run may change where they were this: what is to stop has no overfitted epoch in its checkpoints."""

GradientClipping = Annotated[
    float | None, Option("largest norm of the gradient, all parameters together; by default none", low=0, low_open=True)
]
GradientAccumulation = Annotated[
    int, Option("micro-batches that each batch is attacked and trained on in, so that a large batch fits the memory", low=1)
]
KeepBest = Annotated[
    Literal["average", "worst-class"] | None,
    Option(
        "also keep the epoch with the best accuracy under PGD on held-out training images: average or worst-class; by default not"
    ),
]
LossScale = Annotated[
    Literal["published", "mean-one"],
    Option("scale of the loss: published, or mean-one, the same for every method: the coefficients of its terms sum to 1"),
]


@dataclass(frozen=True, kw_only=True)
class Execution:
    """Ways to compute the same training step faster; the defaults change nothing beyond the rounding.

    Perturbations, projections, losses, statistics, validation and evaluation are float32 in every case.

    Args:
        precision: ``"bf16-mixed"`` runs the network under ``torch.autocast``; weights stay float32.
        channels_last: weights and optimizer state are put back into their own layout after ``fit``. None: on the CPU, where the
            network has two-dimensional convolutions and gives the same logits so.
        phase_gradients: for convolutions of at most 4 input channels and a stride above 1; not in bfloat16 and not compiled.
            None: on the CPU, with channels last, where the network has one.
        compile: needs a C++ compiler on the CPU, Triton on CUDA.
        fold_batch_norm: folded once a step, exact to rounding; the attack must run in eval mode.
        cuda_graphs: of the first batch's shape; other shapes run as without.

    Raises:
        OptionError: a value of the wrong type or none of the choices.
    """

    precision: Precision = "32-true"
    channels_last: ChannelsLast = None
    phase_gradients: PhaseGradients = None
    compile: Compile = False
    fold_batch_norm: FoldBatchNorm = False
    cuda_graphs: CudaGraphs = False

    def __post_init__(self) -> None:
        declared = declared_options(Execution)
        for name in EXECUTION:
            object.__setattr__(self, name, check_value(getattr(self, name), declared[name], where="Execution"))

    @classmethod
    def among(cls, options: Mapping[str, Any]) -> Execution:
        """The execution that is part of a larger set of options."""
        return cls(**{name: options[name] for name in EXECUTION if name in options})

    def __str__(self) -> str:
        """What differs from the defaults, ``"bf16-mixed channels_last"``; empty where nothing does."""
        words = [] if self.precision == "32-true" else [self.precision]
        return " ".join([*words, *(name for name in EXECUTION if getattr(self, name) is True)])


EXECUTION = tuple(entry.name for entry in fields(Execution))
"""The names of the options."""
