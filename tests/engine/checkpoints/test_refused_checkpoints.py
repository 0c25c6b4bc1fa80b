"""Checkpoints that are damaged, of another run, or cannot be written."""

from __future__ import annotations

import dataclasses
import shutil

import pytest
import torch
from resuming import DropoutNet, fit, same

from fairart import hookimpl, plugins
from fairart.engine import CheckpointError, Checkpointing, CheckpointWriteError
from fairart.engine.checkpoints.checkpointing import FitCheckpoints
from fairart.engine.checkpoints.folder import CheckpointFolder
from fairart.errors import OptionError, PluginError
from fairart.plugins import PluginManager
from fairart.trainers import (
    ATTrainer,
    WATTrainer,
)


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
        (r"augmentation was none, is crop-flip\(padding=4\)", {"options": {"augmentation": "crop-flip"}}),
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
