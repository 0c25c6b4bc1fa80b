"""Files are written whole: by the writer itself, and by what saves through it."""

import errno

import numpy as np
import pytest
from matplotlib.figure import Figure
from torch import nn

from fairart.datasets import Dataset
from fairart.files import remove_leftovers, write_text
from fairart.reporting.plots import save_png
from fairart.runs.config import RunConfig
from fairart.runs.weights import save_weights


def weights_of_a_model(path):
    x, y = np.arange(24, dtype=np.uint8).reshape(2, 3, 2, 2), np.arange(2)
    data = Dataset(name="made", x_train=x, y_train=y, x_test=x, y_test=y, classes=("a", "b"))
    save_weights(nn.Linear(2, 2), data, path)


WRITERS = {
    "text": lambda path: write_text(path, "ä\n"),
    "config": lambda path: RunConfig(trainer="at").save(path),
    "figure": lambda path: save_png(Figure(), path),
    "weights": weights_of_a_model,
}


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
def test_a_full_disk_leaves_the_file_as_it_was(tmp_path, monkeypatch, writer):
    path = tmp_path / "file"
    path.write_text("old")

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("fairart.files.os.fsync", full)
        with pytest.raises(OSError, match="No space left"):
            writer(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    writer(path)
    assert path.read_bytes() != b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_text_is_utf_8_and_leftovers_are_those_of_the_file(tmp_path):
    path = write_text(tmp_path / "a.txt", "ä\n")
    assert path.read_bytes() == "ä\n".encode()
    for name in (".a.txt.7.tmp", ".b.txt.7.tmp"):
        (tmp_path / name).touch()
    remove_leftovers(path)
    assert sorted(found.name for found in tmp_path.iterdir()) == [".b.txt.7.tmp", "a.txt"]
