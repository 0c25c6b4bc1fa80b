"""benchmarks/streaming.py measures what it says it measures, and leaves nothing behind."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from fairart import create

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture
def streaming(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.setenv("TQDM_DISABLE", "1")
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("streaming")


def test_the_arrays_are_a_data_set_of_the_size_asked_for(streaming: ModuleType, tmp_path: Path):
    count = streaming.write_arrays(tmp_path / "data", 1 << 20, (3, 16, 16))
    data = create("dataset", f"npy:{tmp_path / 'data'}", data_root=None, data_memory="0")
    assert count == len(data.y_train) == (1 << 20) // 768
    assert data.on_disk
    # Random bytes: no image is empty, and their mean is half of the range.
    assert data.x_train[:].mean() == pytest.approx(127.5, abs=1)
    assert np.ptp(data.x_train[[0, count - 1]], axis=(1, 2, 3)).min() > 200


def test_the_peak_of_private_memory_is_seen(streaming: ModuleType):
    with streaming.PeakMemory() as peak:
        before = streaming.resident()
        block = np.ones(80 << 20, dtype=np.uint8)
        while peak.peak < before + (60 << 20):
            pass
        del block


@pytest.mark.slow
def test_measurements_of_memory_run_in_a_limited_process_and_delete_the_data(streaming: ModuleType, tmp_path: Path, capsys):
    output, folder = tmp_path / "found.json", tmp_path / "data"
    streaming.main(["--smoke", "--only", "memory", "--folder", str(folder), "--threads", "1", "--output", str(output)])
    found = json.loads(output.read_text())["memory"]
    assert found["on_disk"]
    assert found["images"] * 3 * 32 * 32 == found["image_bytes"]
    assert found["peak"] > found["model_peak"] / 2
    assert list(folder.iterdir()) == []
    capsys.readouterr()
    # An epoch beside one in memory, without the ten seconds that decoding takes.
    streaming.main(["--smoke", "--only", "epoch", "--folder", str(folder), "--threads", "1", "--output", str(output)])
    both = json.loads(output.read_text())
    assert set(both) == {"machine", "memory", "epoch"}
    assert both["epoch"]["ratio"] == pytest.approx(both["epoch"]["disk_seconds"] / both["epoch"]["memory_seconds"])
