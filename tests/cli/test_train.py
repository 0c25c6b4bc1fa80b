"""``fairart train`` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

import fairart.engine.loop
from fairart.cli.main import main
from fairart.runs.config import RunConfig


def history_of(folder):
    lines = (folder / "history.jsonl").read_text().splitlines()
    clock = ("seconds", "images_per_second")
    return [{key: value for key, value in json.loads(line).items() if key not in clock} for line in lines]


def test_a_run_leaves_its_files_and_a_table(train, tmp_path):
    code, out, err = train("fair-tat", tmp_path / "a", "--epochs", "2", "--set", "epsilon_scheduler.lambda1=0.3")
    assert (code, err) == (0, "")
    found = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert found == ["checkpoint", "config.yaml", "history.jsonl", "metrics.csv", "model.safetensors"]
    history = history_of(tmp_path / "a")
    assert [record["epoch"] for record in history] == [0, 1]
    accuracy = json.dumps(history)
    assert '"epsilons"' in accuracy
    # lambda1 0.3 instead of 0.5 shows: (0.3 + accuracy) * eps.
    counts = history[0]["robust"]
    accuracies = [row[k] / sum(row) for k, row in enumerate(counts)]
    assert history[1]["epsilons"] == pytest.approx([(0.3 + share) * 0.1 for share in accuracies])
    assert "worst class" in out
    assert f"{100 * history[1]['robust_accuracy']:.1f}" in out


def test_the_config_says_the_run_in_full_and_repeats_it_bit_for_bit(train, fairart_command, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    train("fair-tat", first, "--epochs", "2", "--seed", "3", "--averaging", "ema")
    config = yaml.safe_load((first / "config.yaml").read_text())
    assert config.keys() == RunConfig.declared().keys()
    assert (config["objective"], config["target_sampler"], config["class_weighting"]) == ("at", "cfps", "none")
    assert config["augmentation"] == "none"
    code, _, err = fairart_command("train", "--config", first / "config.yaml", "--output", second)
    assert (code, err) == (0, "")
    for name in ("config.yaml", "model.safetensors"):
        assert (second / name).read_bytes() == (first / name).read_bytes(), name
    assert history_of(second) == history_of(first)


def test_another_seed_is_another_run(train, trained, tmp_path):
    train("at", tmp_path / "a", "--seed", "1")
    assert history_of(tmp_path / "a") != history_of(trained)


def test_flags_override_the_config_file_and_settings_are_merged(fairart_command, tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text(
        "trainer: fair-tat\nepochs: 1\nper_class: 12\nmax_iter: 2\nbatch_size: 60\neps: 16/255\neps_step: 0.05\ndevice: cpu\n"
        "averaging: none\noptions:\n  epsilon_scheduler: {lambda1: 0.3, factor: 2}\n"
    )
    code, out, _ = fairart_command(
        "train", "--config", file, "--output", tmp_path / "a", "--json", "--max-iter", "1",
        "--set", "epsilon-scheduler.lambda1=0.25", "--lr-milestones", "0.5",
    )  # fmt: skip
    config = json.loads(out)["config"]
    assert code == 0
    assert (config["eps"], config["max_iter"], config["lr_milestones"]) == (16 / 255, 1, [0.5])
    assert config["options"] == {"epsilon_scheduler": {"lambda1": 0.25, "factor": 2}}


def test_the_method_on_the_command_line_beats_the_one_in_the_file(train, tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("trainer: fair-tat\n")
    code, out, _ = train("at", tmp_path / "a", "--config", file, "--json")
    assert (code, json.loads(out)["config"]["trainer"]) == (0, "at")


def test_json_is_one_document_and_nothing_else(train, tmp_path):
    code, out, err = train("at", tmp_path / "a", "--json", "--quiet")
    document = json.loads(out)
    assert (code, err) == (0, "")
    assert document["epochs"] == 1
    assert document["last_epoch"]["epoch"] == 0
    assert len(document["class_accuracy"]["robust (training)"]) == len(document["classes"]) == 10


def test_quiet_prints_nothing(train, tmp_path):
    assert train("at", tmp_path / "a", "--quiet") == (0, "", "")


def test_parts_can_be_switched_off_and_models_and_data_take_options(train, tmp_path):
    code, _, err = train(
        "fair-tat", tmp_path / "a", "--target-sampler", "none", "--epsilon-scheduler", "none",
        "--set", "model.width=4", "--set", "dataset.test_fraction=0.5", "--set", "trainer.clean_statistics=true",
    )  # fmt: skip
    assert (code, err) == (0, "")
    record = history_of(tmp_path / "a")[0]
    assert record["target_probabilities"] is None
    assert record["clean"] is not None


def test_a_run_is_not_overwritten_unless_asked(train, trained, tmp_path):
    before = (trained / "model.safetensors").read_bytes()
    code, out, err = train("at", trained)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "has a run already" in err
    assert "--overwrite" in err
    assert (trained / "model.safetensors").read_bytes() == before
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    (folder / "evaluation.json").write_text("of an older run")
    assert train("at", folder)[0] == 2
    assert train("at", folder, "--overwrite", "--quiet")[0] == 0
    assert not (folder / "evaluation.json").exists()
    assert (folder / "notes.txt").read_text() == "mine"


def test_a_run_that_cannot_start_leaves_the_earlier_one(train, tmp_path):
    assert train("at", tmp_path / "a", "--quiet")[0] == 0
    before = (tmp_path / "a" / "model.safetensors").read_bytes()
    code, _, err = train("at", tmp_path / "a", "--overwrite", "--set", "model.widht=3")
    assert (code, (tmp_path / "a" / "model.safetensors").read_bytes()) == (2, before)
    assert "did you mean 'width'" in err


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--epoch-s", "3"], "unknown flag --epoch-s; did you mean '--epochs'"),
        (["--eps", "-1"], "--eps must be >= 0, got -1"),
        (["--eps", "big"], "--eps expects float or None, got 'big'"),
        (["--epochs", "0"], "--epochs must be >= 1"),
        (["--augmentation", "crop"], "there is no augmentation 'crop'; did you mean 'crop-flip'"),
        (["--augmentation", "crop-flip:padding"], "--augmentation: expected OPTION=VALUE after 'crop-flip', got 'padding'"),
        (["--augmentation", "none,mixup"], "'none' stands for no augmentation at all"),
        (["--set", "augmentation.alpha=1"], "options of augmentations stand behind their names"),
        (["--augmentation", "mixup:alpha=0"], "augmentation 'mixup': alpha must be > 0"),
        (["--augmentation", "mixup,crop-flip"], "put mixup last"),
        (["--objective", "tradse"], "there is no objective 'tradse'; did you mean 'trades'"),
        (["--objective", "none"], "a method needs an objective"),
        (["--dataset", "digit"], "there is no dataset 'digit'; did you mean 'digits'"),
        (["--dataset", "npz:no/such.npz"], "no/such.npz"),
        (["--model", "small"], "there is no model 'small'; did you mean 'small-cnn'"),
        (["--averaging", "emma"], "there is no averaging 'emma'; did you mean 'ema'"),
        (["--set", "lambda1=0.3"], "--set expects KIND.OPTION=VALUE, got 'lambda1=0.3'"),
        (["--set", "sampler.power=1"], "there is no kind 'sampler' to set options of; did you mean 'target_sampler'"),
        (["--set", "epsilon_scheduler.lambda1=0.3"], "there is no epsilon_scheduler in this run of 'at'"),
        (["--set", "objective.beta=6"], "objective 'at' has no option 'beta'"),
        (["--objective", "trades", "--set", "objective.beta=-1"], "beta must be >= 0, got -1"),
        (["--set", "trainer.eps=1"], "trainer.eps is an option of the run itself: set eps (--eps)"),
        (["--set", "model.nb_classes=3"], "follows from the data set"),
        (["--per-class", "100000"], "class '8' has"),
        (["--plugins-dir", "no-such-folder"], "no such folder of plugins"),
        (["--config", "no-such.yaml"], "there is no config file 'no-such.yaml'"),
        (["extra"], "unexpected argument 'extra'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_wrong_is_said_in_one_line_before_any_work(train, tmp_path, flags, told):
    code, out, err = train("at", tmp_path / "a", *flags)
    assert (code, out) == (2, "")
    assert err.startswith("fairart: error: ")
    assert err.count("\n") == 1
    assert told in err
    assert not (tmp_path / "a").exists()


def test_a_batch_larger_than_the_data_is_one_batch(train, tmp_path):
    assert train("at", tmp_path / "a", "--batch-size", "5000", "--epochs", "1")[0] == 0
    assert train("at", tmp_path / "b", "--batch-size", "120", "--epochs", "1")[0] == 0
    rows = [(tmp_path / name / "metrics.csv").read_text().splitlines()[1].split(",")[:3] for name in "ab"]
    assert rows[0] == rows[1]


def test_method_and_output_have_to_be_said(fairart_command):
    assert "no method given" in fairart_command("train", "--output", "x")[2]
    assert "fair-tat" in fairart_command("train", "--output", "x")[2]
    assert "--output FOLDER" in fairart_command("train", "at")[2]
    assert "did you mean 'fair-tat'" in fairart_command("train", "fair-tta", "--output", "x")[2]
    assert not Path("x").exists()


def test_a_config_file_with_a_wrong_key_is_named(fairart_command, tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("trainer: at\nepoch: 3\n")
    code, _, err = fairart_command("train", "--config", file, "--output", tmp_path / "a")
    assert code == 2
    assert f"{file} has no option 'epoch'; did you mean 'epochs'" in err


def test_a_diverging_run_ends_with_code_1_and_one_line(train, tmp_path):
    code, _, err = train("at", tmp_path / "a", "--lr", "1e30", "--epochs", "3", "--quiet")
    assert code == 1
    assert "NaN or infinite in epoch" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "a" / "model.safetensors").exists()


def test_an_interrupted_run_keeps_its_epochs_and_says_so(train, tmp_path, monkeypatch):
    engine = fairart.engine.loop.Engine
    whole = engine._epoch

    def interrupted(self, source, current, *rest):
        if current.epoch == 2:
            raise KeyboardInterrupt
        return whole(self, source, current, *rest)

    monkeypatch.setattr(engine, "_epoch", interrupted)
    code, out, err = train("at", tmp_path / "a", "--epochs", "4")
    assert (code, out) == (130, "")
    assert "interrupted; " in err
    assert "2 epochs in history.jsonl, and no weights" in err
    assert len(history_of(tmp_path / "a")) == 2
    code, _, err = train("at", tmp_path / "a")
    assert (code, "has a run already" in err) == (2, True)


def test_a_plugin_trains_by_name_beside_a_broken_one(train, fairart_command, plugins_dir, tmp_path):
    code, _, err = train(
        "fair-tat", tmp_path / "a", "--plugins-dir", plugins_dir, "--target-sampler", "last-class",
        "--set", "target_sampler.rest=0.001", "--epochs", "2",
    )  # fmt: skip
    assert code == 0, err
    assert err.count("\n") == 1
    assert err.startswith("fairart: warning: plugin 'broken_one' is left out: importing broken_one.py raised")
    aims = history_of(tmp_path / "a")[1]["target_probabilities"]
    assert aims[0][9] > 0.98
    assert yaml.safe_load((tmp_path / "a" / "config.yaml").read_text())["plugins_dir"] == str(plugins_dir)
    code, out, err = fairart_command("evaluate", tmp_path / "a", "--set", "pgd.max_iter=1", "--limit", "50")
    assert code == 0
    assert "worst class" in out


def test_debug_shows_the_traceback(monkeypatch, capsys):
    monkeypatch.setenv("FAIRART_DEBUG", "1")
    assert main(["train", "at", "--output", "x", "--config", "no-such.yaml"]) == 2
    assert "Traceback" in capsys.readouterr().err
