"""Fits that are stopped and resumed, for tests of checkpoints."""

from __future__ import annotations

import itertools

import torch
from torch import nn

from fairart import create
from fairart.engine import Checkpointing
from fairart.trainers import (
    BATTrainer,
    CFATrainer,
    CFOLTrainer,
    CoTeachingTrainer,
    CSRTrainer,
    DAFATrainer,
    FAALTrainer,
    FairTATTrainer,
    FastATTrainer,
    FATTrainer,
    FRLTrainer,
    GaussianTrainer,
    IBPTrainer,
    MARTTrainer,
    NFGSMTrainer,
    SelfTrainingTrainer,
    StandardTrainer,
    TRADESTrainer,
    TRIXTrainer,
    WATTrainer,
)

EPOCHS = 4
SAVES = 5
"""Checkpoints that a fit writes before it is stopped: two batches short of an epoch, so that it stops everywhere within one."""


def quick_cfol(classifier, **options):
    """CFOL that learns in a few batches."""
    return CFOLTrainer(classifier, class_sampling=create("class_sampling", "cfol", eta=0.01), **options)


FAWA = {"averaging": "fawa"}
METHODS = {
    "standard": (StandardTrainer, {}),
    "fair-tat + fawa": (FairTATTrainer, FAWA),
    "trades + awp + ema": (TRADESTrainer, {"weight_perturbation": "awp", "averaging": "ema", "clean_statistics": True}),
    "fat": (FATTrainer, {}),
    "fair-tat in L2": (FairTATTrainer, {"norm": 2, "eps": 0.8, "eps_step": 0.5}),
    "cfa": (CFATrainer, {}),
    "frl": (FRLTrainer, {"warm_up": 1}),
    "bat": (BATTrainer, {}),
    "wat": (WATTrainer, {}),
    "dafa": (DAFATrainer, {"warm_up": 1}),
    "faal": (FAALTrainer, {"warm_up": 1, "objective": "trades"}),
    "trix + balanced": (TRIXTrainer, {"class_sampling": "balanced"}),
    "csr": (CSRTrainer, {}),
    "cfol": (quick_cfol, {}),
    "mart + group-dro": (MARTTrainer, {"class_weighting": "group-dro"}),
    "ibp + ccm": (IBPTrainer, {"epsilon_scheduler": "ccm"}),
    "gaussian": (GaussianTrainer, {"sigma": 0.1}),
    "n-fgsm + cvar": (NFGSMTrainer, {"class_weighting": "cvar"}),
    "fgsm-rs": (FastATTrainer, {"augmentation": "crop-flip"}),
    "ldam + effective number": (FairTATTrainer, {"classification_loss": "ldam", "class_weighting": "effective-number"}),
    "co-teaching": (CoTeachingTrainer, {"objective": "at", "noise_rate": 0.4, "ramp_epochs": 2}),
    "self-training": (SelfTrainingTrainer, {"objective": "at", "threshold": 0.5, "warm_up": 1}),
    "runner-up": (FairTATTrainer, {"target_sampler": "runner-up", "augmentation": "crop-flip"}),
}


class Stopped(BaseException):
    """Stands in for a kill, between two batches."""


def fit(trainer, scheduler, data, **options):
    chosen = {"batch_size": 10, "nb_epochs": EPOCHS, "seed": 3, "verbose": False, **options}
    trainer.fit(*data, scheduler=scheduler, **chosen)
    return trainer


def resumed(make_again, stop_after, data, folder, *, every_minutes=0.0, saves=SAVES, **options):
    """Fit, stopped and begun anew until it is through."""
    for stops in itertools.count():
        trainer, scheduler = make_again()
        stop_after(saves)
        checkpoint = Checkpointing(folder, every_minutes=every_minutes, resume=True)
        try:
            fit(trainer, scheduler, data, checkpoint=checkpoint, **options)
        except Stopped:
            continue
        stop_after(None)
        assert stops >= 3
        assert trainer.resumed_from is not None
        return trainer


def without_clocks(history):
    return [{k: v for k, v in one.to_dict().items() if k not in ("seconds", "images_per_second")} for one in history]


def same(first, second):
    weights = [trainer.get_classifier().model.state_dict() for trainer in (first, second)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert without_clocks(first.history) == without_clocks(second.history)
    for (kind, one), (_, other) in zip(first.method.policies(), second.method.policies(), strict=True):
        assert repr(one.state_dict()) == repr(other.state_dict()), kind
    if first.raw_weights is not None:
        assert all(torch.equal(first.raw_weights[name], second.raw_weights[name]) for name in first.raw_weights)
    return True


class DropoutNet(nn.Module):
    """Draws from torch's global random state."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(64, 3)

    def forward(self, x):
        return self.linear(nn.functional.dropout(x.flatten(1), 0.3, self.training))
