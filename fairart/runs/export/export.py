"""The formats of an export: what is written, and how it is checked before it gets its name."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fairart.errors import OptionError
from fairart.evaluation import EvaluationResult
from fairart.files import replacing
from fairart.runs.export.card import model_card, settings_to_publish
from fairart.runs.folders import CONFIG, EVALUATION, WEIGHTS
from fairart.runs.run import LoadedRun, load_run
from fairart.runs.weights import read_scaling, save_weights

__all__ = ["FORMATS", "export_run"]

TOLERANCE = 1e-5
"""Largest difference of logits, relative to the largest logit, between the model and an exported program."""


class NormalizedModel(nn.Module):
    """The model with its normalisation inside: logits of images in [0, 1].

    Args:
        model: the model.
        mean: (C,) mean.
        std: (C,) standard deviation.
    """

    def __init__(self, model: nn.Module, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.model = model
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", mean.reshape(1, -1, 1, 1))
        self.register_buffer("std", std.reshape(1, -1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, K) of images (N, C, H, W) in [0, 1]."""
        logits: Tensor = self.model((x - self.mean) / self.std)
        return logits


def export_run(
    folder: str | os.PathLike[str], format: str, output: str | os.PathLike[str], *, overwrite: bool = False
) -> list[Path]:
    """Write a run in a format for other programs.

    Args:
        folder: of the run.
        format: one of :data:`FORMATS`. ``safetensors`` and ``hub-folder`` are read again by ``fairart evaluate --model``;
            ``torchscript`` and ``onnx`` are programs of images in [0, 1], checked against the model and never read by fairart.
        output: file, or folder for ``hub-folder``.
        overwrite: replace the file; of a folder, only the files of the export.

    Returns:
        The files.

    Raises:
        OptionError: an unknown format, or packages that are missing.
        RunError: the folder is not a complete run.
        FileExistsError: the output exists.
        FileNotFoundError: the folder of the output does not exist.
        RuntimeError: the exported program gives other logits than the model.
    """
    if format not in FORMATS:
        raise OptionError(f"format must be one of {', '.join(FORMATS)}, got {format!r}")
    target = Path(output).expanduser()
    if target.exists() and not overwrite:
        raise FileExistsError(f"{target} exists already: choose another output, or replace it (--overwrite)")
    if (target / CONFIG).exists():
        raise FileExistsError(f"{target} is the folder of a run: choose another output")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {str(target.parent)!r} to write {target.name} to")
    if target.is_dir() != (format == "hub-folder") and target.exists():
        raise FileExistsError(f"{target} is {'a folder' if target.is_dir() else 'a file'}: the format {format} needs the other")
    if format == "onnx":
        _onnx()
    run = load_run(Path(folder), device="cpu")
    run.classifier.model.eval()
    return FORMATS[format](run, target)


def _safetensors(run: LoadedRun, target: Path) -> list[Path]:
    _save_weights(run, target)
    return [target]


def _save_weights(run: LoadedRun, target: Path) -> None:
    # The scaling of the training, not that of the data as they are now.
    scaling = read_scaling(run.folder / WEIGHTS, run.dataset)
    save_weights(run.classifier.model, run.dataset, target, scaling=scaling, architecture=_described(run))


def _described(run: LoadedRun) -> dict[str, Any]:
    return {"model": run.config.model, "model_options": dict(run.config.options.get("model", {}))}


def _hub_folder(run: LoadedRun, target: Path) -> list[Path]:
    evaluation = run.folder / EVALUATION
    result = EvaluationResult.load(evaluation) if evaluation.is_file() else None
    names = (WEIGHTS, "config.json", "README.md")
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as made:
        temporary = Path(made)
        _save_weights(run, temporary / WEIGHTS)
        (temporary / "config.json").write_text(json.dumps(_config(run), indent=2) + "\n", encoding="utf-8")
        (temporary / "README.md").write_text(model_card(run, result), encoding="utf-8")
        # Only these files are replaced: the folder may be a clone of a repository, with files of its own.
        target.mkdir(exist_ok=True)
        for name in names:
            (temporary / name).replace(target / name)
    return [target / name for name in names]


def _config(run: LoadedRun) -> Mapping[str, Any]:
    mean, std = read_scaling(run.folder / WEIGHTS, run.dataset)
    classes = run.dataset.classes
    return {
        "library_name": "fairart",
        "num_classes": len(classes),
        "id2label": {str(index): name for index, name in enumerate(classes)},
        "label2id": {name: index for index, name in enumerate(classes)},
        "fairart": {
            **_described(run),
            "nb_classes": len(classes),
            "input_shape": list(run.dataset.input_shape),
            "clip_values": [0.0, 1.0],
            "mean": np.ravel(mean).tolist(),
            "std": np.ravel(std).tolist(),
        },
        "training": settings_to_publish(run.config),
    }


def _program(run: LoadedRun) -> tuple[NormalizedModel, Tensor]:
    mean, std = (torch.as_tensor(values) for values in read_scaling(run.folder / WEIGHTS, run.dataset))
    program = NormalizedModel(run.classifier.model, mean, std).eval()
    return program, torch.rand((3, *run.dataset.input_shape), generator=torch.Generator().manual_seed(0))


def _torchscript(run: LoadedRun, target: Path) -> list[Path]:
    program, x = _program(run)
    with torch.no_grad():
        traced: Any = torch.jit.trace(program, x)  # type: ignore[no-untyped-call]
    with replacing(target) as temporary:
        traced.save(str(temporary))
        loaded: Any = torch.jit.load(str(temporary))  # type: ignore[no-untyped-call]
        _check_same(program, lambda batch: loaded(batch), x, "TorchScript")
    return [target]


def _onnx() -> Any:
    try:
        import onnx  # noqa: F401
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise OptionError(
            f'the format onnx needs onnx, onnxscript and onnxruntime: pip install "fairart[onnx]" ({error})'
        ) from error
    return onnxruntime


def _write_onnx(run: LoadedRun, target: Path) -> list[Path]:
    runtime = _onnx()
    program, x = _program(run)
    with replacing(target) as temporary:
        exported: Any = torch.onnx.export(
            program,
            (x,),
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            dynamo=True,
            verbose=False,
        )
        exported.save(str(temporary))
        session = runtime.InferenceSession(str(temporary), providers=["CPUExecutionProvider"])
        _check_same(program, lambda batch: torch.from_numpy(session.run(None, {"images": batch.numpy()})[0]), x, "ONNX")
    return [target]


def _check_same(program: nn.Module, exported: Callable[[Tensor], Tensor], x: Tensor, what: str) -> None:
    """Compare a program with the model, for a batch of one and of three."""
    for batch in (x[:1], x):
        with torch.no_grad():
            expected, found = program(batch), exported(batch)
        worst = float((found - expected).abs().max() / expected.abs().max().clamp(min=1))
        if not worst <= TOLERANCE:
            raise RuntimeError(f"the {what} program gives other logits than the model: they differ by {worst:.2g}")


FORMATS: Mapping[str, Callable[[LoadedRun, Path], list[Path]]] = {
    "safetensors": _safetensors,
    "torchscript": _torchscript,
    "onnx": _write_onnx,
    "hub-folder": _hub_folder,
}
"""Name of a format -> what writes it."""
