"""A fit that is stopped and resumed ends as one that ran through, to the last bit."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
import torch
from art.attacks.evasion import ProjectedGradientDescent
from art.data_generators import NumpyDataGenerator
from art.estimators.classification import PyTorchClassifier
from resuming import EPOCHS, FAWA, METHODS, DropoutNet, Stopped, fit, resumed, same
from torch import nn

from fairart.engine import CheckpointError, Checkpointing
from fairart.engine.checkpoints.checkpointing import FitCheckpoints
from fairart.trainers import (
    ATTrainer,
    FairTATTrainer,
    FRLTrainer,
)


@pytest.mark.filterwarnings("ignore:weight averaging took in none")
@pytest.mark.parametrize("name", METHODS)
def test_every_method(name, make, make_data, stop_after, tmp_path):
    data = make_data(62, 3)
    whole = fit(*make(*METHODS[name]), data)
    assert same(resumed(lambda: make(*METHODS[name]), stop_after, data, tmp_path), whole)


@pytest.mark.filterwarnings("ignore:weight averaging took in none")
def test_at_the_end_of_every_epoch(make, make_data, stop_after, tmp_path):
    data = make_data(62, 3)
    whole = fit(*make(FairTATTrainer, FAWA), data)
    got = resumed(lambda: make(FairTATTrainer, FAWA), stop_after, data, tmp_path, every_minutes=None, saves=1)
    assert same(got, whole)


SCHEDULERS = {
    "none": lambda optimizer: None,
    "one cycle": lambda optimizer: torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.2, total_steps=EPOCHS),
    "plateau": lambda optimizer: torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, threshold=0.5),
    "cosine": lambda optimizer: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS),
    "function": lambda optimizer: torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.5**epoch),
    "one after the other": lambda optimizer: torch.optim.lr_scheduler.SequentialLR(
        optimizer,
        [torch.optim.lr_scheduler.LinearLR(optimizer, 0.1), torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)],
        milestones=[2],
    ),
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_every_kind_of_scheduler(name, make, make_data, stop_after, tmp_path):
    data = make_data(31, 3)
    again = lambda: make(ATTrainer, scheduler=SCHEDULERS[name])  # noqa: E731
    whole = fit(*again(), data)
    assert same(resumed(again, stop_after, data, tmp_path, saves=2), whole)
    assert len({one.learning_rate for one in whole.history}) > (name != "none")


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop])
def test_every_kind_of_optimizer(kind, make, make_model, make_data, stop_after, tmp_path):
    data = make_data(31, 3)

    def again():
        model = make_model(3)
        return make(ATTrainer, model=model, optimizer=kind(model.parameters(), lr=0.01))

    assert same(resumed(again, stop_after, data, tmp_path, saves=2), fit(*again(), data))


def test_what_draws_from_the_global_random_states(make, make_classifier, make_data, stop_after, tmp_path):
    data = make_data(31, 3)

    def noisy(x, generator):
        return (x + 0.01 * random.random() + 0.01 * float(np.random.rand())).clamp(0, 1)  # noqa: NPY002

    def again():
        torch.manual_seed(0)
        classifier = make_classifier(3, model=DropoutNet())
        attack = ProjectedGradientDescent(classifier, eps=0.1, eps_step=0.05, max_iter=2, num_random_init=1, verbose=False)
        trainer = ATTrainer(classifier, eps=0.1, eps_step=0.05, max_iter=2, attack=attack, augmentation=noisy)
        return trainer, None

    whole = fit(*again(), data)
    random.seed(9)
    np.random.seed(9)  # noqa: NPY002
    assert same(resumed(again, stop_after, data, tmp_path, saves=2), whole)


def test_a_generator_begins_its_epoch_anew(make, make_data, stop_after, tmp_path):
    x, y = make_data(40, 3)

    def run(trainer, scheduler, **options):
        generator = NumpyDataGenerator(x, np.eye(3)[y], batch_size=10, drop_remainder=False, shuffle=False)
        trainer.fit_generator(generator, nb_epochs=EPOCHS, scheduler=scheduler, seed=3, verbose=False, **options)
        return trainer

    whole = run(*make(ATTrainer))
    for stops in itertools.count():  # noqa: B007
        stop_after(2)
        try:
            got = run(*make(ATTrainer), checkpoint=Checkpointing(tmp_path, every_minutes=0, resume=True))
            break
        except Stopped:
            continue
    assert stops == 2
    assert same(got, whole)


def test_without_a_seed_the_one_drawn_is_kept(make, make_data, stop_after, tmp_path):
    data = make_data(31, 3)
    got = resumed(lambda: make(FRLTrainer), stop_after, data, tmp_path, saves=3, seed=None)
    assert same(got, fit(*make(FRLTrainer), data, seed=got.seed))


@pytest.mark.filterwarnings("ignore:weight averaging took in none")
def test_a_second_fit_has_its_own_folder_and_a_script_can_run_again_from_its_top(make, make_data, stop_after, tmp_path):
    data = make_data(31, 3)
    options = (FairTATTrainer, {"averaging": "ema"})

    def script(trainer, scheduler, *, checkpoints):
        for number in range(2):
            checkpoint = Checkpointing(tmp_path / str(number), every_minutes=0, resume=True) if checkpoints else None
            fit(trainer, scheduler, data, checkpoint=checkpoint)
        return trainer

    whole = script(*make(*options), checkpoints=False)
    for stops in itertools.count():  # noqa: B007
        stop_after(5)
        try:
            got = script(*make(*options), checkpoints=True)
            break
        except Stopped:
            continue
    assert stops > 3
    assert same(got, whole)
    with pytest.raises(CheckpointError, match="first epoch of the fit was 4, is 0"):
        fit(*make(*options), data, checkpoint=Checkpointing(tmp_path / "1", resume=True))


def test_every_minutes_counts_minutes(make, make_data, monkeypatch, tmp_path):
    now, saved = [0.0], []
    monkeypatch.setattr("fairart.engine.checkpoints.checkpointing.time.monotonic", lambda: now[0])
    monkeypatch.setattr(FitCheckpoints, "save", lambda self, state: (saved.append(state), self.wrote()))
    trainer, scheduler = make(ATTrainer)
    module = trainer._network.module
    step = module.forward
    monkeypatch.setattr(module, "forward", lambda x: (now.__setitem__(0, now[0] + 10), step(x))[1])
    # 3 passes of 10 s a batch, 4 batches and so 2 minutes an epoch: after 6 batches of 16, and then again.
    fit(trainer, scheduler, make_data(40, 3), checkpoint=Checkpointing(tmp_path, every_minutes=3))
    where = [(len(one["history"]), (one["engine"]["under_way"] or {"batches": 0})["batches"]) for one in saved]
    assert where == [(0, 0), (1, 2), (3, 0), (4, 0)]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_cuda(make_data, stop_after, tmp_path):
    data = make_data(62, 3)

    def again():
        torch.manual_seed(0)
        model = DropoutNet().cuda()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        classifier = PyTorchClassifier(
            model, nn.CrossEntropyLoss(), (1, 8, 8), 3, optimizer=optimizer, clip_values=(0, 1), device_type="gpu"
        )
        return FairTATTrainer(classifier, eps=0.1, eps_step=0.05, max_iter=2, averaging="ema"), None

    with torch.backends.cudnn.flags(benchmark=False, deterministic=True):
        assert same(resumed(again, stop_after, data, tmp_path), fit(*again(), data))
