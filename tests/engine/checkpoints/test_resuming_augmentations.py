"""With every augmentation, a fit that is stopped and resumed ends as one that ran through, to the last bit."""

from __future__ import annotations

import pytest
from resuming import fit, resumed, same
from torchvision.transforms import v2

from fairart import registered
from fairart.trainers import FairTATTrainer, StandardTrainer

EVERY = {name: name for name in registered("augmentation")}
TOGETHER = {"mixup or cutmix": "crop-flip,random-erasing,mixup,cutmix", "torchvision": [v2.RandomHorizontalFlip(), "mixup"]}


@pytest.mark.parametrize("name", [*EVERY, *TOGETHER])
def test_every_augmentation(name, make, make_data, stop_after, tmp_path):
    data, kind = make_data(31, 3), FairTATTrainer if name in TOGETHER else StandardTrainer
    options = {"augmentation": {**EVERY, **TOGETHER}[name]}
    whole = fit(*make(kind, options), data)
    assert same(resumed(lambda: make(kind, options), stop_after, data, tmp_path, saves=4), whole)


def test_another_augmentation_is_refused_with_what_differs(make, make_data, stop_after, tmp_path):
    from resuming import Stopped

    from fairart.engine import CheckpointError, Checkpointing

    data = make_data(31, 3)
    stop_after(2)
    with pytest.raises(Stopped):
        fit(*make(StandardTrainer, {"augmentation": "mixup"}), data, checkpoint=Checkpointing(tmp_path))
    told = r"augmentation was mixup\(alpha=1.0, probability=1.0\), is mixup\(alpha=0.5, probability=1.0\)"
    with pytest.raises(CheckpointError, match=told):
        fit(*make(StandardTrainer, {"augmentation": "mixup:alpha=0.5"}), data, checkpoint=Checkpointing(tmp_path, resume=True))
