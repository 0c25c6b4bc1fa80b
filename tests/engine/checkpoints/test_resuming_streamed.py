"""A fit on images that stay on disk is resumed as one on arrays, and either goes on where the other stopped."""

from __future__ import annotations

import pytest
from resuming import FAWA, METHODS, Stopped, fit, resumed, same
from stored_images import as_bytes, stored

from fairart.engine import CheckpointError, Checkpointing
from fairart.trainers import FairTATTrainer


@pytest.fixture
def data(make_data):
    x, y = make_data(62, 3)
    return as_bytes(x), y


@pytest.mark.filterwarnings("ignore:weight averaging took in none")
@pytest.mark.parametrize("name", ["fair-tat + fawa", "cfa", "bat", "cfol", "fgsm-rs"])
def test_stopped_within_epochs_it_ends_as_the_run_in_memory(name, make, data, stop_after, tmp_path):
    x, y = data
    whole = fit(*make(*METHODS[name]), data)
    images = stored(tmp_path, x)
    assert same(resumed(lambda: make(*METHODS[name]), stop_after, (images, y), tmp_path / "kept"), whole)


@pytest.mark.filterwarnings("ignore:weight averaging took in none")
@pytest.mark.parametrize("first", ["memory", "disk"])
def test_either_way_goes_on_where_the_other_stopped(first, make, data, stop_after, tmp_path):
    x, y = data
    whole, images = fit(*make(FairTATTrainer, FAWA), data), stored(tmp_path, x)
    ways = [(x, y), (images, y)] if first == "memory" else [(images, y), (x, y)]
    checkpoint = Checkpointing(tmp_path / "kept", every_minutes=0.0, resume=True)
    trainer, scheduler = make(FairTATTrainer, FAWA)
    stop_after(9)
    with pytest.raises(Stopped):
        fit(trainer, scheduler, ways[0], checkpoint=checkpoint)
    stop_after(None)
    trainer, scheduler = make(FairTATTrainer, FAWA)
    assert same(fit(trainer, scheduler, ways[1], checkpoint=checkpoint), whole)
    assert "batches" in trainer.resumed_from


def test_other_images_are_refused(make, data, stop_after, tmp_path):
    x, y = data
    checkpoint = Checkpointing(tmp_path / "kept", every_minutes=0.0, resume=True)
    trainer, scheduler = make(FairTATTrainer)
    stop_after(3)
    with pytest.raises(Stopped):
        fit(trainer, scheduler, (stored(tmp_path, x), y), checkpoint=checkpoint)
    stop_after(None)
    other = x.copy()
    other[61, 0, 7, 7] ^= 1
    trainer, scheduler = make(FairTATTrainer)
    with pytest.raises(CheckpointError, match="data"):
        fit(trainer, scheduler, (stored(tmp_path, other, name="other"), y), checkpoint=checkpoint)
