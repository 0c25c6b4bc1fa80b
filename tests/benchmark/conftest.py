"""A grid whose cells take a second each."""

from __future__ import annotations

import pytest
import torch

import fairart.plugins

torch.set_num_threads(1)

BASE = {
    "dataset": "digits",
    "per_class": 10,
    "epochs": 1,
    "eps": 0.1,
    "eps_step": 0.1,
    "max_iter": 1,
    "batch_size": 50,
    "device": "cpu",
}
EVALUATION = {"attacks": {"pgd-2": {"attack": "pgd", "max_iter": 2}}, "limit": 100}


@pytest.fixture(autouse=True)
def fresh_plugins(monkeypatch):
    """Plugins of one test's folder must not be there in the next, nor those that happen to be installed."""
    monkeypatch.setattr(fairart.plugins.manager, "_manager", fairart.plugins.PluginManager(entry_points=False))


@pytest.fixture(scope="session")
def document():
    """``make(methods=[...], base={...}, ...)``: what a grid file holds."""

    def make(*, base=None, evaluation=None, **parts):
        return {"base": {**BASE, **(base or {})}, "evaluation": {**EVALUATION, **(evaluation or {})}, **parts}

    return make
