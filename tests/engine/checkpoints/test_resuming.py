"""A fit that is stopped and resumed ends as one that ran through, to the last bit."""

from __future__ import annotations

import dataclasses
import itertools
import random
import shutil

import numpy as np
import pytest
import torch
from art.attacks.evasion import ProjectedGradientDescent
from art.data_generators import NumpyDataGenerator
from art.estimators.classification import PyTorchClassifier
from torch import nn

from fairart import hookimpl, plugins
from fairart.engine import CheckpointError, Checkpointing, CheckpointWriteError
from fairart.engine.checkpoints.checkpointing import FitCheckpoints
from fairart.engine.checkpoints.folder import CheckpointFolder
from fairart.errors import OptionError, PluginError
from fairart.plugins import PluginManager
from fairart.trainers import (
    ATTrainer,
    BATTrainer,
    CFATrainer,
    DAFATrainer,
    FAALTrainer,
    FairTATTrainer,
    FATTrainer,
    FRLTrainer,
    StandardTrainer,
    TRADESTrainer,
    WATTrainer,
)

EPOCHS = 4
SAVES = 5
"""Checkpoints that a fit writes before it is stopped: two batches short of an epoch, so that it stops everywhere within one."""

FAWA = {"averaging": "fawa"}
METHODS = {
    "standard": (StandardTrainer, {}),
    "fair-tat + fawa": (FairTATTrainer, FAWA),
    "trades + awp + ema": (TRADESTrainer, {"weight_perturbation": "awp", "averaging": "ema", "clean_statistics": True}),
    "fat": (FATTrainer, {}),
    "cfa": (CFATrainer, {}),
    "frl": (FRLTrainer, {"warm_up": 1}),
    "bat": (BATTrainer, {}),
    "wat": (WATTrainer, {}),
    "dafa": (DAFATrainer, {"warm_up": 1}),
    "faal": (FAALTrainer, {"warm_up": 1, "objective": "trades"}),
    "runner-up": (FairTATTrainer, {"target_sampler": "runner-up", "augmentation": "crop-flip"}),
}


class Stopped(BaseException):
    """Stands in for a kill, between two batches."""


class DropoutNet(nn.Module):
    """Draws from torch's global random state."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(64, 3)

    def forward(self, x):
        return self.linear(nn.functional.dropout(x.flatten(1), 0.3, self.training))


@pytest.fixture
def make(make_classifier):
    """``make(kind, options, scheduler=..., **what PyTorchClassifier takes) -> trainer, scheduler``, the same every time."""

    def made(kind=FairTATTrainer, options=None, *, scheduler=None, **given):
        classifier = make_classifier(3, **{"lr": 0.05, **given})
        trainer = kind(classifier, **{"eps": 0.1, "eps_step": 0.05, "max_iter": 2, **(options or {})})
        by = scheduler or (lambda optimizer: torch.optim.lr_scheduler.MultiStepLR(optimizer, [2, 3], 0.1))
        return trainer, by(classifier.optimizer)

    return made


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


def checkpointed(make, data, folder, **options):
    return fit(*make(), data, checkpoint=Checkpointing(folder, **options))


def damage(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_the_one_before_is_used_when_the_last_is_damaged(make, make_data, tmp_path):
    data = make_data(31, 3)
    whole = checkpointed(make, data, tmp_path)
    last = max(tmp_path.glob("*.safetensors"))
    damage(last)
    with pytest.warns(UserWarning, match=rf"{last.name} does not have .*renamed to {last.name}\.refused.*goes on from"):
        again = checkpointed(make, data, tmp_path, resume=True)
    assert "(3 epochs)" in again.resumed_from
    assert same(again, whole)
    assert last.with_name(f"{last.name}.refused").exists()
    assert len(list(tmp_path.glob("*.safetensors"))) == 2


def test_the_one_before_is_used_when_the_last_is_of_another_run(make, make_data, tmp_path):
    data = make_data(31, 3)
    whole = checkpointed(make, data, tmp_path / "mine")
    checkpointed(lambda: make(WATTrainer), data, tmp_path / "other")
    mine, other = (max((tmp_path / name).glob("*.safetensors")) for name in ("mine", "other"))
    for suffix in ("", ".sha256"):
        shutil.copy(f"{other}{suffix}", f"{mine}{suffix}")
    with pytest.warns(UserWarning, match=r"is of another fit: .*trainer was WATTrainer, is FairTATTrainer"):
        again = checkpointed(make, data, tmp_path / "mine", resume=True)
    assert same(again, whole)


def test_with_none_left_it_is_an_error_that_names_each(make, make_data, tmp_path):
    data = make_data(31, 3)
    checkpointed(make, data, tmp_path)
    for path in tmp_path.glob("*.safetensors"):
        damage(path)
    with pytest.raises(CheckpointError, match=r"000004\.safetensors and .*000003\.safetensors: does not have"):
        checkpointed(make, data, tmp_path, resume=True)
    assert len(list(tmp_path.glob("*.safetensors"))) == 2, "what is refused is left as it is"


CHANGED = {
    "seed was 3, is 4": {"seed": 4},
    "nb_epochs was 4, is 5": {"nb_epochs": 5},
    "batch_size was 10, is 11": {"batch_size": 11},
    "validation_data was none, is 31 samples": {"validation_data": True},
}


@pytest.mark.parametrize("told", CHANGED)
def test_a_fit_with_other_arguments_is_refused(told, make, make_data, tmp_path):
    data, changed = make_data(31, 3), dict(CHANGED[told])
    checkpointed(make, data, tmp_path)
    if "validation_data" in changed:
        changed["validation_data"] = data
    trainer, scheduler = make()
    with pytest.raises(CheckpointError, match=told):
        fit(trainer, scheduler, data, checkpoint=Checkpointing(tmp_path, resume=True), **changed)
    assert trainer.history == []


@pytest.mark.parametrize(
    ("told", "changed"),
    [
        ("trainer was FairTATTrainer, is ATTrainer", {"kind": ATTrainer}),
        (
            r"epsilon_scheduler was ClassCalibratedMargin\(.*lambda1=0.5.*is ConstantEpsilon",
            {"options": {"epsilon_scheduler": None}},
        ),
        ("eps was 0.1, is 0.2", {"options": {"eps": 0.2}}),
        (r"optimizer was SGD .*0\.05", {"lr": 0.1}),
        ("scheduler was MultiStepLR .*is none", {"scheduler": lambda optimizer: None}),
        ("clip_values was 0, 1, is none", {"clip_values": None}),
        (r"preprocessing was StandardisationMeanStdPyTorch\(0, 1\), is .*\(0\.5, 0\.5\)", {"preprocessing": (0.5, 0.5)}),
        (r"augmentation was none, is crop_and_flip", {"options": {"augmentation": "crop-flip"}}),
    ],
)
def test_another_method_is_refused_with_what_differs(told, changed, make, make_data, tmp_path):
    data = make_data(31, 3)
    checkpointed(make, data, tmp_path)
    with pytest.raises(CheckpointError, match=told):
        checkpointed(lambda: make(**changed), data, tmp_path, resume=True)


def test_other_data_and_another_model_are_refused(make, make_model, make_data, tmp_path):
    x, y = make_data(31, 3)
    checkpointed(make, (x, y), tmp_path)
    other = x.copy()
    other[7, 0, 3, 3] += 0.001 * (1 - 2 * (other[7, 0, 3, 3] > 0.5))
    with pytest.raises(CheckpointError, match=r"data was 31 samples \(\w+\), is 31 samples"):
        checkpointed(make, (other, y), tmp_path, resume=True)
    with pytest.raises(CheckpointError, match=r"model was TinyNet.*is DropoutNet"):
        checkpointed(lambda: make(model=DropoutNet()), (x, y), tmp_path, resume=True)


def test_checkpoints_are_not_overwritten_unasked(make, make_data, tmp_path):
    data = make_data(31, 3)
    first = checkpointed(make, data, tmp_path)
    with pytest.raises(CheckpointError, match="has checkpoints already"):
        checkpointed(make, data, tmp_path)
    assert same(checkpointed(make, data, tmp_path, overwrite=True), first)
    assert len(list(tmp_path.glob("*.safetensors"))) == 2
    with pytest.raises(OptionError, match="not both"):
        Checkpointing(tmp_path, resume=True, overwrite=True)
    with pytest.raises(OptionError, match="every_minutes must be >= 0"):
        Checkpointing(tmp_path, every_minutes=-1)
    with pytest.raises(TypeError, match=r"fairart\.engine\.Checkpointing"):
        fit(*make(), data, checkpoint=str(tmp_path))


def test_a_finished_fit_is_read_and_not_trained(make, make_data, tmp_path, monkeypatch):
    data = make_data(31, 3)
    whole = checkpointed(lambda: make(options={"averaging": "ema"}), data, tmp_path)
    monkeypatch.setattr("fairart.engine.loop.Engine._step", None)
    again = checkpointed(lambda: make(options={"averaging": "ema"}), data, tmp_path, resume=True)
    assert same(again, whole)
    assert [one.seconds for one in again.history] == [one.seconds for one in whole.history]


def test_what_cannot_be_kept_is_said_before_any_work(make, make_data, tmp_path, monkeypatch):
    class Plain:
        def step(self):
            pass

    data = make_data(31, 3)
    with pytest.raises(TypeError, match=r"needs a scheduler with state_dict\(\), .*Plain has none"):
        checkpointed(lambda: make(scheduler=lambda _: Plain()), data, tmp_path)
    trainer, scheduler = make()
    monkeypatch.setattr(trainer.method.target_sampler, "state_dict", lambda: {"mine": object()}, raising=False)
    monkeypatch.setattr("fairart.engine.loop.Engine._step", None)
    with pytest.raises(TypeError, match=r"state\.engine\.policies\.target_sampler\.mine is a builtins\.object"):
        fit(trainer, scheduler, data, checkpoint=Checkpointing(tmp_path))


def test_an_epoch_is_not_lost_with_a_plugin_that_raises(make, make_data, tmp_path, monkeypatch):
    manager = PluginManager(entry_points=False)
    monkeypatch.setattr(plugins.manager, "_manager", manager)
    data = make_data(31, 3)

    class Breaks:
        @hookimpl
        def fairart_epoch_end(self, trainer, record):
            if record.epoch == 1:
                raise RuntimeError("no")

    manager.register(Breaks(), "breaks")
    with pytest.raises(PluginError, match="breaks"):
        checkpointed(make, data, tmp_path)
    monkeypatch.setattr(plugins.manager, "_manager", PluginManager(entry_points=False))
    again = checkpointed(make, data, tmp_path, resume=True)
    assert "(2 epochs)" in again.resumed_from
    assert same(again, fit(*make(), data))


def test_weights_that_diverged_never_replace_good_ones(make, make_data, tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(FitCheckpoints, "save", lambda self, state: saved.append(state["engine"]["under_way"]))
    with pytest.raises(RuntimeError, match="NaN or infinite"):
        fit(*make(ATTrainer, lr=1e30), make_data(62, 3), checkpoint=Checkpointing(tmp_path, every_minutes=0))
    assert all(bool(torch.isfinite(one["meter"]["losses"]).all()) for one in saved[1:])


def test_a_full_disk_stops_the_fit_and_keeps_the_last_good_one(make, make_data, tmp_path, monkeypatch):
    data, write, written = make_data(31, 3), FitCheckpoints.save, []

    def full(self, state):
        if len(written) == 2:
            monkeypatch.setattr("fairart.engine.checkpoints.folder.save_file", no_space)
        written.append(state)
        write(self, state)

    def no_space(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(FitCheckpoints, "save", full)
        with pytest.raises(CheckpointWriteError, match=r"No space left on device.*the last good one is .*000001"):
            checkpointed(make, data, tmp_path)
    monkeypatch.undo()
    again = checkpointed(make, data, tmp_path, resume=True)
    assert "(1 epochs)" in again.resumed_from
    assert same(again, fit(*make(), data))


def test_a_checkpoint_of_another_torch_is_a_warning(make, make_data, tmp_path, monkeypatch):
    data, read = make_data(31, 3), CheckpointFolder.read
    checkpointed(make, data, tmp_path)

    def older(self, path):
        saved = read(self, path)
        return dataclasses.replace(saved, about={**saved.about, "versions": {"torch": "1.0"}})

    monkeypatch.setattr(CheckpointFolder, "read", older)
    with pytest.warns(UserWarning, match=r"was written with torch 1\.0, .* may differ in the last bits"):
        checkpointed(make, data, tmp_path, resume=True)


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
