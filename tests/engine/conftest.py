"""Fits that stop at a checkpoint."""

from __future__ import annotations

import pytest
from resuming import Stopped

from fairart.engine.checkpoints.checkpointing import FitCheckpoints


@pytest.fixture
def stop_after(monkeypatch):
    """``stop_after(n)``: the n-th checkpoint from now on is the last thing that happens; None for never."""
    save, left = FitCheckpoints.save, [0]

    def counted(self, state):
        save(self, state)
        left[0] -= 1
        if left[0] == 0:
            raise Stopped

    monkeypatch.setattr(FitCheckpoints, "save", counted)

    def arm(number):
        left[0] = 0 if number is None else number

    return arm
