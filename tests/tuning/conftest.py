from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("optuna")


@pytest.fixture
def document() -> dict[str, Any]:
    """A search of seconds."""
    return {
        "base": {
            "dataset": "digits", "per_class": 20, "model": "small-cnn", "model.width": 2, "epochs": 2, "batch_size": 64,
            "max_iter": 1, "eps": 0.1, "eps_step": 0.1, "device": "cpu", "logger": [],
        },
        "space": {
            "trainer": ["at", "trades"],
            "lr": {"low": 0.01, "high": 0.2, "log": True},
            "objective.beta": {"low": 1.0, "high": 8.0},
        },
        "search": {"trials": 4, "held_out": 0.25, "smooth": 2, "pruner": "none"},
    }  # fmt: skip
