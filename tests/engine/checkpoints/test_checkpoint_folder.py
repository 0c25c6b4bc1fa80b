"""Files of checkpoints: what is kept, what is refused, and what a full disk leaves."""

from __future__ import annotations

import errno
import hashlib
import pickle
import sys
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from fairart.engine import CheckpointError, CheckpointWriteError
from fairart.engine.checkpoints import folder as checkpoint_folder
from fairart.engine.checkpoints.folder import CheckpointFolder

STATE = {"weights": {"a": torch.arange(6.0).reshape(2, 3)}, "epoch": 3}
IDENTITY = {"seed": 0, "trainer": "ATTrainer"}
CPU = torch.device("cpu")


@pytest.fixture
def folder(tmp_path):
    made = CheckpointFolder(tmp_path / "deep" / "checkpoint")
    yield made
    made.close()


def sign(path: Path) -> None:
    """What somebody does who means harm: a right checksum for a wrong file."""
    path.with_name(f"{path.name}.sha256").write_text(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n")


def test_what_is_saved_is_read(folder):
    path = folder.save(STATE, IDENTITY)
    saved = folder.read(path)
    state = saved.load(CPU)
    assert saved.about["identity"] == IDENTITY
    assert state["epoch"] == 3
    assert torch.equal(state["weights"]["a"], STATE["weights"]["a"])


def test_the_last_two_are_kept_each_with_a_checksum_that_sha256sum_reads(folder):
    for _ in range(4):
        folder.save(STATE, IDENTITY)
    names = sorted(path.name for path in folder.path.glob("checkpoint*"))
    kept = ["checkpoint-000002.safetensors", "checkpoint-000003.safetensors"]
    assert names == sorted([*kept, *(f"{name}.sha256" for name in kept)])
    assert [path.name for path in folder.files()] == kept[::-1]
    for path in folder.files():
        digest, name = path.with_name(f"{path.name}.sha256").read_text().split()
        assert (digest, name) == (hashlib.sha256(path.read_bytes()).hexdigest(), path.name)


def test_numbers_go_on_and_leftovers_of_a_killed_writer_go(folder):
    last = folder.save(STATE, IDENTITY)
    for left in (".checkpoint-000001.safetensors.7.tmp", ".checkpoint-000001.safetensors.sha256.7.tmp"):
        (folder.path / left).write_text("half")
    (folder.path / "checkpoint-000001.safetensors.sha256").write_text("of a file that was never renamed")
    folder.close()
    again = CheckpointFolder(folder.path)
    assert sorted(path.name for path in again.path.glob("*checkpoint*")) == [last.name, f"{last.name}.sha256"]
    assert again.save(STATE, IDENTITY).name == "checkpoint-000001.safetensors"
    again.close()


def test_any_bit_flipped_and_any_length_is_noticed(folder):
    path = folder.save(STATE, IDENTITY)
    whole = path.read_bytes()
    for position in range(0, len(whole), 37):
        broken = bytearray(whole)
        broken[position] ^= 1 << position % 8
        path.write_bytes(broken)
        with pytest.raises(CheckpointError, match="does not have its checksum: it is truncated or was altered"):
            folder.read(path)
    for length in (0, 7, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match="truncated"):
            folder.read(path)
    path.write_bytes(whole)
    folder.read(path)


def test_a_checksum_that_is_missing_or_no_text(folder):
    path = folder.save(STATE, IDENTITY)
    checksum = path.with_name(f"{path.name}.sha256")
    checksum.write_bytes(b"\xff\xfe")
    with pytest.raises(CheckpointError, match="cannot be read"):
        folder.read(path)
    checksum.unlink()
    with pytest.raises(CheckpointError, match="has no checksum"):
        folder.read(path)


class Malicious:
    def __reduce__(self):
        return Path.touch, (Path("pwned"),)


def test_a_pickle_is_refused_and_nothing_in_it_is_run(folder, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    path = folder.save(STATE, IDENTITY)
    for write in (lambda: path.write_bytes(pickle.dumps(Malicious())), lambda: torch.save({"weights": Malicious()}, path)):
        write()
        sign(path)
        with pytest.raises(CheckpointError, match="is no safetensors file"):
            folder.read(path)
    assert not Path("pwned").exists()


def test_other_safetensors_and_other_versions_are_refused(folder):
    path = folder.save(STATE, IDENTITY)
    found = {
        "no checkpoint of fairart": {},
        "format version 99": {"fairart.checkpoint": '{"version": 99, "about": {"identity": {}}, "state": {}}'},
        "is damaged": {"fairart.checkpoint": '{"version": 1}'},
        "damaged: TypeError": {"fairart.checkpoint": "[1, 2]"},
    }
    for told, metadata in found.items():
        save_file({"a": torch.zeros(1)}, path, metadata=metadata or None)
        sign(path)
        with pytest.raises(CheckpointError, match=told):
            folder.read(path)
    tree = '{"version": 1, "about": {"identity": {}}, "state": {"$": "tensor", "name": "b", "device": "cpu"}}'
    save_file({"a": torch.zeros(1)}, path, metadata={"fairart.checkpoint": tree})
    sign(path)
    saved = folder.read(path)
    with pytest.raises(CheckpointError, match="damaged or foreign"):
        saved.load(CPU)


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), SafetensorError("I/O error (os error 28)")])
def test_a_full_disk_leaves_the_last_good_one(folder, monkeypatch, error):
    good = folder.save(STATE, IDENTITY)

    def full(tensors, path, metadata):
        Path(path).write_bytes(b"half a file")
        raise error

    monkeypatch.setattr(checkpoint_folder, "save_file", full)
    with pytest.raises(CheckpointWriteError, match=r"could not be written \((No space|I/O error).*the last good one is .*000000"):
        folder.save(STATE, IDENTITY)
    assert sorted(path.name for path in folder.path.glob("*checkpoint*")) == [good.name, f"{good.name}.sha256"]
    folder.read(good)
    monkeypatch.undo()
    folder.save(STATE, IDENTITY)


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_disk_that_is_full_only_when_it_is_synced(folder, monkeypatch, call):
    good = folder.save(STATE, IDENTITY)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    if call == "fsync":
        monkeypatch.setattr("fairart.files.os.fsync", full)
    else:
        monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(CheckpointWriteError, match="No space left"):
        folder.save(STATE, IDENTITY)
    assert [path.name for path in folder.path.glob("*.safetensors*")] != []
    assert folder.files() == [good]
    assert not list(folder.path.glob(".*.tmp"))
    folder.read(good)


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
def test_a_write_that_the_system_cuts_off(folder):
    import resource

    good = folder.save(STATE, IDENTITY)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(CheckpointWriteError, match=r"could not be written \(.*File too large"):
            folder.save({"a": torch.zeros(100_000)}, IDENTITY)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert sorted(path.name for path in folder.path.iterdir()) == [".lock", good.name, f"{good.name}.sha256"]
    folder.read(good)


def test_one_process_at_a_time(folder):
    pytest.importorskip("fcntl")
    with pytest.raises(CheckpointError, match="another process is training"):
        CheckpointFolder(folder.path)
    folder.close()
    CheckpointFolder(folder.path).close()


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointWriteError, match="cannot keep checkpoints in"):
        CheckpointFolder(tmp_path / "file" / "checkpoint")
