"""Runs from Python: what is trained is what was asked for, and what is read back is what was trained."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import fairart.plugins
from fairart import hookimpl
from fairart.errors import OptionError, PluginError
from fairart.plugins import PluginManager
from fairart.runs.build import build_classifier, build_dataset, build_trainer, resolved_config
from fairart.runs.config import RunConfig
from fairart.runs.evaluate_run import evaluate_run
from fairart.runs.folders import RunError
from fairart.runs.optimising import Schedule
from fairart.runs.run import load_run, train_run
from fairart.trainers import FairTATTrainer

torch.set_num_threads(1)


def config(trainer="at", **changes):
    short = {"per_class": 12, "epochs": 1, "eps": 0.1, "eps_step": 0.05, "max_iter": 2, "batch_size": 60, "device": "cpu"}
    return RunConfig(trainer=trainer, **{**short, **changes})


@pytest.fixture(autouse=True)
def fresh_plugins(monkeypatch):
    monkeypatch.setattr(fairart.plugins.manager, "_manager", fairart.plugins.PluginManager(entry_points=False))


def build(chosen):
    data = build_dataset(chosen)
    classifier = build_classifier(chosen, data, device="cpu")
    return data, classifier, build_trainer(chosen, classifier, data)


def test_what_is_read_back_predicts_as_what_was_trained(tmp_path):
    run = train_run(config("fair-tat", epochs=2, averaging="ema"), tmp_path / "a", verbose=False)
    loaded = load_run(tmp_path / "a")
    x = run.dataset.x_test[:32]
    assert np.array_equal(loaded.classifier.predict(x), run.classifier.predict(x))
    assert [line["epoch"] for line in loaded.history] == [0, 1]
    assert loaded.history[-1]["loss"] == run.history[-1].loss
    assert loaded.config == run.config
    # Averaged weights are what is saved: the raw ones differ.
    saved = load_file(tmp_path / "a" / "model.safetensors")
    assert any(not torch.equal(saved[name], raw) for name, raw in run.trainer.raw_weights.items())


@pytest.mark.filterwarnings("ignore:weight averaging took in none")
@pytest.mark.parametrize("method", list(PluginManager(entry_points=False).registered("trainer")))
def test_training_by_the_written_config_repeats_the_run(tmp_path, method):
    chosen = config(method, epochs=3, eps=0.2, eps_step=0.1)
    train_run(chosen, tmp_path / "a", verbose=False)
    train_run(RunConfig.load(tmp_path / "a" / "config.yaml"), tmp_path / "b", verbose=False)
    first, second = (load_file(tmp_path / name / "model.safetensors") for name in "ab")
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_global_random_states_are_left_as_they_were(tmp_path):
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    train_run(config(), tmp_path / "a", verbose=False)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002


def test_first_weights_follow_from_the_seed_alone():
    def weights(seed):
        return build(config(seed=seed))[1].model.state_dict()["head.weight"]

    first = weights(0).clone()
    torch.rand(5)
    assert torch.equal(weights(0), first)
    assert not torch.equal(weights(1), first)


def test_the_classifier_scales_by_the_training_images():
    data, classifier, _ = build(config())
    mean, std = data.mean_std()
    x = data.x_test[:4]
    with torch.no_grad():
        logits = classifier.model.eval()(torch.as_tensor((x - mean) / std))
    assert np.allclose(classifier.predict(x), logits.numpy(), atol=1e-5)
    assert classifier.optimizer.param_groups[0]["weight_decay"] == 5e-4


@pytest.mark.parametrize(
    ("epochs", "milestones", "rates"),
    [
        (4, (0.5, 0.75), [1, 1, 0.1, 0.01]),
        (2, (0.5, 0.75), [1, 0.1]),
        (1, (0.5, 0.75), [1]),
        (3, (), [1, 1, 1]),
        (3, (0.5,), [1, 1, 0.1]),
        (30, (0.1,), [1] * 3 + [0.1] * 27),
    ],
)
def test_the_learning_rate_falls_after_the_shares(epochs, milestones, rates):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = Schedule(config(epochs=epochs, lr_milestones=milestones))(optimizer, nb_epochs=epochs, nb_batches=5)
    seen = []
    for _ in range(epochs):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert seen == pytest.approx(rates)


def test_parts_come_from_the_preset_the_name_or_the_options():
    preset = build(config("fair-tat"))[2].method
    assert type(preset.epsilon_scheduler).__name__ == "ClassCalibratedMargin"
    chosen = config("fair-tat", objective="trades", target_sampler="none", options={"epsilon_scheduler": {"lambda1": 0.3}})
    method = build(chosen)[2].method
    assert type(method.objective).__name__ == "TRADESObjective"
    assert method.target_sampler is None
    assert method.epsilon_scheduler.lambda1 == 0.3
    plain = build(config("fair-tat", epsilon_scheduler="none", class_weighting="none"))[2].method
    assert type(plain.epsilon_scheduler).__name__ == "ConstantEpsilon"


def test_the_config_said_in_full_means_the_same():
    chosen = config("fair-tat")
    full = resolved_config(chosen, build_dataset(chosen))
    first, second = (build(one)[2].method for one in (chosen, full))
    assert {kind: type(part) for kind, part in first.policies()} == {kind: type(part) for kind, part in second.policies()}
    assert full.target_sampler == "cfps"


def test_a_parts_instance_in_a_preset_takes_no_options():
    from fairart import create

    class Fixed(FairTATTrainer):
        defaults = {"objective": "at", "epsilon_scheduler": create("epsilon_scheduler", "ccm", lambda1=0.1)}  # noqa: RUF012

    class Plugin:
        @hookimpl
        def fairart_register_trainers(self, register):
            register("fixed", Fixed)
            register("no-trainer", dict)

    fairart.plugins.get_plugin_manager().register(Plugin(), "mine")
    assert build(config("fixed"))[2].method.epsilon_scheduler.lambda1 == 0.1
    with pytest.raises(OptionError, match="takes no options"):
        build(config("fixed", options={"epsilon_scheduler.lambda1": 0.3}))
    with pytest.raises(PluginError, match="plugin 'mine': trainer 'no-trainer' must be a subclass of FairnessTrainer"):
        train_run(config("no-trainer"), "never-made")


def test_data_that_changed_its_classes_is_refused(tmp_path):
    data = build_dataset(config())
    arrays = {"x_train": data.x_train, "y_train": data.y_train, "x_test": data.x_test, "y_test": data.y_test}
    np.savez(tmp_path / "mine.npz", **arrays)
    train_run(config(dataset=f"npz:{tmp_path / 'mine.npz'}"), tmp_path / "a", verbose=False)
    load_run(tmp_path / "a")
    np.savez(tmp_path / "mine.npz", **arrays, classes=np.array([f"digit {k}" for k in range(10)]))
    with pytest.raises(RunError, match=r"model\.safetensors was trained for 10 classes"):
        load_run(tmp_path / "a")
    (tmp_path / "mine.npz").unlink()
    with pytest.raises(FileNotFoundError, match=r"mine\.npz"):
        load_run(tmp_path / "a")


def test_a_folder_of_plugins_that_is_gone_is_a_warning_only(tmp_path):
    (tmp_path / "plugins").mkdir()
    train_run(config(plugins_dir=str(tmp_path / "plugins")), tmp_path / "a", verbose=False)
    (tmp_path / "plugins").rmdir()
    with pytest.warns(UserWarning, match="no such folder of plugins"):
        load_run(tmp_path / "a")


def test_limit_is_a_sample_and_not_the_first_images(tmp_path):
    data = build_dataset(config())
    order = np.argsort(data.y_test, kind="stable")
    np.savez(
        tmp_path / "sorted.npz",
        x_train=data.x_train, y_train=data.y_train, x_test=data.x_test[order], y_test=data.y_test[order],
    )  # fmt: skip
    train_run(config(dataset=f"npz:{tmp_path / 'sorted.npz'}"), tmp_path / "a", verbose=False)
    result = evaluate_run(tmp_path / "a", ("fgsm",), limit=80, verbose=False)
    assert len(np.unique(result.labels)) == 10
    assert json.loads((tmp_path / "a" / "evaluation.json").read_text())["config"]["nb_samples"] == 80


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_is_refused_where_there_is_none(tmp_path):
    with pytest.raises(OptionError, match="no CUDA device"):
        train_run(config(device="cuda"), tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_a_kill_while_the_folder_is_made_ready_leaves_a_run_that_can_be_begun_again(tmp_path, monkeypatch):
    whole = train_run(config(), tmp_path / "whole", verbose=False)
    for number in range(1, 30):
        folder = tmp_path / str(number)
        # As after a kill before the first checkpoint: a config, and what the observers began.
        train_run(config(), folder, verbose=False)
        for path in [folder / "model.safetensors", *(folder / "checkpoint").glob("checkpoint-*")]:
            path.unlink()
        left, unlink = [number], Path.unlink

        def killed(self, missing_ok=False, left=left, unlink=unlink):
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt
            unlink(self, missing_ok=missing_ok)

        with monkeypatch.context() as patched:
            patched.setattr(Path, "unlink", killed)
            try:
                train_run(config(), folder, resume=True, verbose=False)
            except KeyboardInterrupt:
                assert (folder / "config.yaml").exists()
        again = train_run(config(), folder, resume=True, verbose=False)
        assert [one.loss for one in again.history] == [one.loss for one in whole.history]
        if left[0] > 0:
            return
    raise AssertionError("too few moments were tried")


def test_two_transfer_attacks_have_each_their_own_surrogate(tmp_path):
    for seed, name in enumerate(("mine", "one", "other")):
        train_run(config(seed=seed), tmp_path / name, verbose=False)
    attacks = [
        ("transfer", {"label": f"from-{name}", "surrogate": str(tmp_path / name), "max_iter": 2}) for name in ("one", "other")
    ]
    result = evaluate_run(tmp_path / "mine", attacks, limit=20, sanity_samples=0, verbose=False)
    assert result.config["surrogates"] == {f"from-{name}": str(tmp_path / name) for name in ("one", "other")}
    used = [result[f"from-{name}"].config["options"]["surrogate"] for name in ("one", "other")]
    assert used[0] != used[1]
