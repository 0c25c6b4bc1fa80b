"""``fairart train --resume`` as a user meets it."""

from __future__ import annotations

import errno
import json
import shlex

import pytest
import yaml

import fairart.engine.loop
from fairart.engine.checkpoints import folder as checkpoint_folder

CLOCKS = ("seconds", "images_per_second")


def history_of(folder):
    lines = (folder / "history.jsonl").read_text().splitlines()
    return [{key: value for key, value in json.loads(line).items() if key not in CLOCKS} for line in lines]


@pytest.fixture
def interrupted(train, tmp_path, monkeypatch):
    """A run of 4 epochs that got a Ctrl-C in its third, and what was said."""
    whole = fairart.engine.loop.Engine._epoch

    def until(self, source, current, *rest):
        if current.epoch == 2:
            raise KeyboardInterrupt
        return whole(self, source, current, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(fairart.engine.loop.Engine, "_epoch", until)
        code, _, err = train("fair-tat", tmp_path / "a run", "--epochs", "4", "--seed", "5")
    assert code == 130
    return tmp_path / "a run", err


def test_the_message_says_how_and_it_is_as_if_nothing_had_happened(interrupted, train, fairart_command, tmp_path):
    folder, said = interrupted
    assert said.rstrip().endswith(f"resume with: fairart train --resume --output '{folder}'")
    code, out, err = fairart_command("train", "--resume", "--output", folder)
    assert code == 0, err
    assert "worst class" in out
    assert err == f"fairart: resuming from {folder}/checkpoint/checkpoint-000002.safetensors (2 epochs)\n"
    train("fair-tat", tmp_path / "whole", "--epochs", "4", "--seed", "5", "--quiet")
    assert (folder / "model.safetensors").read_bytes() == (tmp_path / "whole" / "model.safetensors").read_bytes()
    assert history_of(folder) == history_of(tmp_path / "whole")
    assert (folder / "metrics.csv").read_text().count("\n") == 5
    assert (folder / "config.yaml").read_bytes() == (tmp_path / "whole" / "config.yaml").read_bytes()


def test_the_first_command_with_resume_goes_on_as_well(interrupted, train):
    folder, _ = interrupted
    code, _, err = train("fair-tat", folder, "--epochs", "4", "--seed", "5", "--resume", "--quiet")
    assert (code, err) == (0, "")
    assert [line["epoch"] for line in history_of(folder)] == [0, 1, 2, 3]


def test_other_settings_are_refused_with_what_differs(interrupted, fairart_command):
    folder, _ = interrupted
    before = (folder / "history.jsonl").read_bytes()
    code, out, err = fairart_command(
        "train", "at", "--resume", "--output", folder, "--epochs", "9", "--set", "model.width=3", "--lr", "0.1"
    )
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    for told in ("trainer was 'fair-tat', is 'at'", "epochs was 4, is 9", "options was {}, is {'model': {'width': 3}}"):
        assert told in err
    assert "lr was" not in err
    assert (folder / "history.jsonl").read_bytes() == before


def test_where_things_go_may_change(interrupted, fairart_command):
    folder, _ = interrupted
    code, _, err = fairart_command(
        "train", "--resume", "--output", folder, "--logger", "none", "--checkpoint-every-minutes", "0", "--quiet"
    )
    assert (code, err) == (0, "")
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert (config["logger"], config["checkpoint_every_minutes"]) == ([], 0)


def test_a_finished_run_says_so(trained, fairart_command):
    before = {path: path.read_bytes() for path in trained.iterdir() if path.is_file()}
    code, out, err = fairart_command("train", "--resume", "--output", trained)
    assert (code, err) == (0, "")
    assert out.startswith(f"The run in {trained} was finished before: nothing was left to train.")
    assert "worst class" in out
    code, out, _ = fairart_command("train", "--resume", "--output", trained, "--json")
    assert json.loads(out)["finished_before"] is True
    assert {path: path.read_bytes() for path in trained.iterdir() if path.is_file()} == before


def test_a_finished_run_without_checkpoints_is_not_begun_anew(train, fairart_command, tmp_path):
    train("at", tmp_path / "a", "--quiet")
    for path in (tmp_path / "a" / "checkpoint").glob("checkpoint-*"):
        path.unlink()
    code, _, err = fairart_command("train", "--resume", "--output", tmp_path / "a")
    assert code == 2
    assert "is finished and its checkpoints are missing" in err
    assert (tmp_path / "a" / "model.safetensors").exists()


def test_with_nothing_there_a_method_begins_a_run(train, fairart_command, tmp_path):
    code, _, err = fairart_command("train", "--resume", "--output", tmp_path / "a")
    assert code == 2
    assert f"there is no run in '{tmp_path / 'a'}' to resume; to start one, write 'fairart train METHOD" in err
    assert not (tmp_path / "a").exists()
    assert train("at", tmp_path / "a", "--resume", "--quiet") == (0, "", "")


def test_resume_and_overwrite_exclude_each_other(trained, fairart_command):
    code, _, err = fairart_command("train", "--resume", "--overwrite", "--output", trained)
    assert code == 2
    assert "either resumed or overwritten" in err
    assert (trained / "model.safetensors").exists()


def test_overwriting_takes_the_checkpoints_along(train, tmp_path):
    train("at", tmp_path / "a", "--quiet", "--epochs", "3")
    assert train("at", tmp_path / "a", "--quiet", "--overwrite", "--seed", "2") == (0, "", "")
    assert len(list((tmp_path / "a" / "checkpoint").glob("*.safetensors"))) == 2
    assert len(history_of(tmp_path / "a")) == 1
    assert train("at", tmp_path / "a", "--quiet", "--resume", "--seed", "2")[0] == 0


def test_damaged_checkpoints(interrupted, fairart_command):
    folder, _ = interrupted
    older, newest = sorted((folder / "checkpoint").glob("*.safetensors"))
    newest.write_bytes(newest.read_bytes()[:100])
    older_content = older.read_bytes()
    older.write_bytes(b"rubbish")
    code, out, err = fairart_command("train", "--resume", "--output", folder)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert f"{newest.name} and {older.name}: does not have its checksum: it is truncated or was altered" in err
    older.write_bytes(older_content)
    code, _, err = fairart_command("train", "--resume", "--output", folder, "--quiet")
    assert code == 0
    assert err.startswith(f"fairart: warning: {newest.name} does not have its checksum")
    assert f"goes on from {older.name}" in err
    assert [line["epoch"] for line in history_of(folder)] == [0, 1, 2, 3]


def test_a_full_disk_is_one_error_with_the_command_to_go_on(train, fairart_command, tmp_path, monkeypatch):
    write = checkpoint_folder.save_file

    def full(tensors, path, metadata):
        if "checkpoint-000002" in str(path):
            raise OSError(errno.ENOSPC, "No space left on device")
        write(tensors, path, metadata)

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint_folder, "save_file", full)
        code, out, err = train("at", tmp_path / "a", "--epochs", "3")
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert "checkpoint-000002.safetensors' could not be written (No space left on device); the last good one is" in err
    assert err.rstrip().endswith(f"resume with: fairart train --resume --output {tmp_path / 'a'}")
    assert fairart_command("train", "--resume", "--output", tmp_path / "a", "--quiet")[0] == 0
    assert [line["epoch"] for line in history_of(tmp_path / "a")] == [0, 1, 2]


def test_a_run_that_overfitting_stopped_names_the_way_on(interrupted, fairart_command, monkeypatch):
    from fairart.engine.overfitting import CatastrophicOverfittingError

    folder, _ = interrupted

    def stopped(*arguments, **options):
        raise CatastrophicOverfittingError("catastrophic overfitting in epoch 3")

    with monkeypatch.context() as patch:
        patch.setattr("fairart.runs.run.train_run", stopped)
        code, _, err = fairart_command("train", "--resume", "--output", folder)
    assert code == 1
    command = f"fairart train --resume --output '{folder}' --on-overfitting return"
    assert err == f"fairart: error: catastrophic overfitting in epoch 3; resume with: {command}\n"
    code, _, err = fairart_command(*shlex.split(command)[1:], "--quiet")
    assert code == 0
    assert yaml.safe_load((folder / "config.yaml").read_text())["on_overfitting"] == "return"
    code, _, err = fairart_command("train", "--resume", "--output", folder, "--on-overfitting", "ignore")
    assert code == 2
    assert "on_overfitting was 'return', is 'ignore'" in err
