"""Giving a run on: its weights with all that they need, as safetensors, a hub folder, TorchScript or ONNX."""

from __future__ import annotations

from fairart.runs.export.export import FORMATS, export_run

__all__ = ["FORMATS", "export_run"]
