"""Training from disk beside training from memory: peak memory, time of an epoch, and the rate of decoding.

Three measurements, each in JSON as soon as it ends:

- memory: makes arrays of --size random bytes, and trains one epoch on them in a process whose private memory is limited to
  --limit. What its peak is above that of the same process training on a handful of images is what the data costs.
- epoch: epochs of AT on arrays in memory and on the same arrays on disk, in turns.
- decoding: batches of random resized crops of JPEG files, by fairart and by a bare torchvision DataLoader, in turns.

    python benchmarks/streaming.py --folder /large/disk --size 20GiB --output benchmarks/results/streaming.json

The data is deleted afterwards. --smoke tries all of it on a few megabytes. Linux alone, since it reads /proc. The limit is the
kernel's on private memory (RLIMIT_DATA), which does not count page cache; the bytes that came from the disk are reported, and
`systemd-run --user --scope -p MemoryMax=4G python benchmarks/streaming.py ...` limits the cache as well.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from art.estimators.classification import PyTorchClassifier
from PIL import Image
from torch import nn
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from fairart import create
from fairart.datasets import Dataset
from fairart.datasets.memory import parse_memory
from fairart.engine import Checkpointing
from fairart.engine.data.sources import batch_slices
from fairart.engine.data.streamed import StreamedData
from fairart.files import write_text
from fairart.trainers import ATTrainer, StandardTrainer

CLASSES = 10
MIB = 1 << 20
BLOCK = 64 * MIB


def write_arrays(folder: Path, nbytes: int, shape: tuple[int, int, int]) -> int:
    """Random uint8 images of about so many bytes, in the files that npy: reads; the number of training images."""
    folder.mkdir(parents=True)
    random, one = np.random.default_rng(0), int(np.prod(shape))
    for split, count in (("train", max(4 * CLASSES, nbytes // one)), ("test", 2 * CLASSES)):
        file = np.lib.format.open_memmap(folder / f"x_{split}.npy", mode="w+", dtype=np.uint8, shape=(count, *shape))
        offset = file.offset
        del file
        left = count * one
        with (folder / f"x_{split}.npy").open("r+b") as raw:
            raw.seek(offset)
            while left:
                raw.write(random.bytes(min(left, BLOCK)))
                left -= min(left, BLOCK)
            raw.flush()
            os.fsync(raw.fileno())
            # Nothing of it is to be in the page cache when training begins.
            os.posix_fadvise(raw.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        np.save(folder / f"y_{split}.npy", np.arange(count) % CLASSES)
    return max(4 * CLASSES, nbytes // one)


def write_jpegs(folder: Path, count: int, size: tuple[int, int]) -> None:
    """JPEG files of smooth noise, whose detail is about that of photographs, as train/<class>/ and test/<class>/."""
    random = np.random.default_rng(0)
    for number in range(count):
        coarse = random.integers(0, 256, (size[1] // 8, size[0] // 8, 3), dtype=np.uint8)
        smooth = np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC), dtype=np.int16)
        pixels = (smooth + random.integers(-12, 13, smooth.shape)).clip(0, 255).astype(np.uint8)
        for split in ("train", "test")[: 1 + (number < CLASSES)]:
            place = folder / split / str(number % CLASSES)
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(place / f"{number:06}.jpg", quality=90)


def classifier_of(data: Dataset) -> PyTorchClassifier:
    """A network that costs next to nothing, so that reading is what is measured."""
    channels, height, width = data.input_shape
    side = max(1, min(height, width) // 14)
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(channels, 8, side, stride=side),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8 * (height // side) * (width // side), CLASSES),
    )
    return PyTorchClassifier(
        model,
        nn.CrossEntropyLoss(),
        data.input_shape,
        CLASSES,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.01),
        clip_values=(0.0, 1.0),
        preprocessing=data.mean_std(),
    )


class PeakMemory:
    """The peak of this process's private and shared resident memory, sampled every few milliseconds; page cache is not in it."""

    def __init__(self) -> None:
        self.peak, self._stop = 0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> PeakMemory:
        # At once: what is over before the first look of the thread has a peak as well.
        self.peak = resident()
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.005):
            self.peak = max(self.peak, resident())


def resident() -> int:
    """Bytes of RssAnon and RssShmem now."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return sum(int(lines[name].split()[0]) * 1024 for name in ("RssAnon", "RssShmem"))


def bytes_from_disk() -> int:
    """What this process has had read from the disk so far; the page cache's hits are not in it."""
    return int(dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())["read_bytes"])


def memory_child(place: Path, limit: int, data_memory: str, batch_size: int) -> dict[str, Any]:
    """In a process of its own: train on a handful of images, then on all of them."""
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    data = create("dataset", f"npy:{place}", data_root=None, data_memory=data_memory)
    few = np.arange(min(len(data.y_train), 4 * batch_size))
    few_x, few_y = data.x_train[few], data.y_train[few]
    measured: dict[str, Any] = {"on_disk": data.on_disk, "images": len(data.y_train), "image_bytes": data.x_train.nbytes}
    with PeakMemory() as peak:
        small = Dataset("few", few_x, few_y, few_x, few_y, data.classes)
        StandardTrainer(classifier_of(small)).fit(few_x, few_y, batch_size=batch_size, nb_epochs=2, seed=0, verbose=False)
    measured["model_peak"] = peak.peak
    before = bytes_from_disk()
    with PeakMemory() as peak, tempfile.TemporaryDirectory() as kept:
        began = time.perf_counter()
        classifier = classifier_of(data)
        measured["statistics_seconds"] = time.perf_counter() - began
        trainer = StandardTrainer(classifier)
        began = time.perf_counter()
        # With checkpoints, so that the digest of the images is part of it.
        trainer.fit(
            data.x_train, data.y_train, batch_size=batch_size, nb_epochs=1, seed=0, verbose=False, checkpoint=Checkpointing(kept)
        )
        measured["fit_seconds"] = time.perf_counter() - began
    record = trainer.history[-1]
    return {
        **measured,
        "epoch_seconds": record.seconds,
        "images_per_second": record.images_per_second,
        "peak": peak.peak,
        "above_model": peak.peak - measured["model_peak"],
        "bytes_from_disk": bytes_from_disk() - before,
    }


def measure_memory(options: argparse.Namespace) -> dict[str, Any]:
    """Make the data, train on it in a limited process, delete it."""
    shape = (3, options.pixels, options.pixels)
    with scratch(options.folder) as place:
        began = time.perf_counter()
        write_arrays(place / "data", parse_memory(options.size, where="--size"), shape)
        made = time.perf_counter() - began
        command = [sys.executable, __file__, "--child", str(place / "data"), "--limit", options.limit]
        command += [
            "--data-memory",
            options.data_memory,
            "--batch-size",
            str(options.batch_size),
            "--threads",
            str(options.threads),
        ]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        return {"limit": options.limit, "data_memory": options.data_memory, "making_seconds": made, **json.loads(done.stdout)}


def measure_epoch(options: argparse.Namespace) -> dict[str, Any]:
    """Epochs in memory and from disk in turns: medians of the ratio of each round."""
    with scratch(options.folder) as place:
        write_arrays(place / "data", parse_memory(options.epoch_size, where="--epoch-size"), (3, 32, 32))
        data = {
            name: create("dataset", f"npy:{place / 'data'}", data_root=None, data_memory=amount)
            for name, amount in (("memory", "1TiB"), ("disk", "0"))
        }
        model = create("model", "small-cnn", input_shape=(3, 32, 32), nb_classes=CLASSES)
        times: dict[str, list[tuple[float, float]]] = {"memory": [], "disk": []}
        for number in range(options.rounds + 1):
            for name in sorted(times, reverse=bool(number % 2)):
                classifier = PyTorchClassifier(
                    model,
                    nn.CrossEntropyLoss(),
                    (3, 32, 32),
                    CLASSES,
                    optimizer=torch.optim.SGD(model.parameters(), lr=0.0),
                    clip_values=(0.0, 1.0),
                )
                trainer = ATTrainer(classifier, eps=8 / 255, max_iter=options.steps)
                one = data[name]
                taken = timed(
                    lambda trainer=trainer, one=one: trainer.fit(
                        one.x_train, one.y_train, batch_size=options.batch_size, nb_epochs=1, seed=0, verbose=False
                    )
                )
                # The first round warms up.
                times[name] += [taken] if number else []
        return {"images": len(data["disk"].y_train), "steps": options.steps, **ratios(times, "disk", "memory")}


def measure_decoding(options: argparse.Namespace) -> dict[str, Any]:
    """Batches of random resized crops by fairart and by a bare DataLoader in turns: medians of the ratio of each round."""
    with scratch(options.folder) as place:
        write_jpegs(place / "images", options.jpegs, (500, 375))
        data = create("dataset", f"folder:{place / 'images'}", data_root=None, size=224, crop="random", workers=options.workers)
        normal = {"device": torch.device("cpu"), "dtype": torch.float32}
        streamed = StreamedData(data.x_train, data.y_train, classifier=classifier_of(data), seed=0, **normal)
        transform = v2.Compose([v2.RandomResizedCrop(224), v2.PILToTensor()])
        bare = torch.utils.data.DataLoader(
            ImageFolder(place / "images" / "train", transform=transform),
            batch_size=options.batch_size,
            shuffle=True,
            num_workers=options.workers,
            persistent_workers=options.workers > 0,
        )
        runs = {"fairart": lambda: decode(streamed, options.batch_size), "bare": lambda: decode_bare(bare)}
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
        for number in range(options.rounds + 1):
            for name in sorted(runs, reverse=bool(number % 2)):
                taken = timed(runs[name])
                times[name] += [taken] if number else []
        # Processes decode: this one's processor time says nothing.
        found = {key: value for key, value in ratios(times, "bare", "fairart").items() if "processor" not in key}
        # Time of the bare loader over ours is our rate over its own.
        rates = {f"{name}_images_per_second": len(data.y_train) / found[f"{name}_seconds"] for name in runs}
        return {"images": len(data.y_train), "workers": options.workers, **found, **rates}


def decode(data: StreamedData, batch_size: int) -> None:
    """One epoch of batches, as the training loop takes them, without the training."""
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))
    places = batch_slices(len(data), batch_size)
    with data.reading_ahead(lambda at: order[at], places, 0):
        for place in places:
            data.batch(lambda at: order[at], place, 0)


def decode_bare(loader: Any) -> None:
    """One epoch of a loader, converted as a training loop must."""
    for images, _ in loader:
        images.float().div_(255)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock on the wall, and of processor time of this process without others that it started."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def ratios(times: dict[str, list[tuple[float, float]]], above: str, below: str) -> dict[str, Any]:
    """Medians over the rounds."""
    result: dict[str, Any] = {"rounds": len(times[above])}
    for index, clock in enumerate(("", "processor_")):
        each = [one[index] / other[index] for one, other in zip(times[above], times[below], strict=True)]
        result[f"{clock}ratio"] = statistics.median(each)
        for name, taken in times.items():
            result[f"{name}_{clock}seconds"] = statistics.median(one[index] for one in taken)
    return result


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """A new folder that is deleted afterwards, whatever happens."""
    folder.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix="fairart-streaming-", dir=folder))
    try:
        yield place
    finally:
        shutil.rmtree(place)


MEASUREMENTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "epoch": measure_epoch,
    "decoding": measure_decoding,
    "memory": measure_memory,
}


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    made.add_argument("--only", choices=sorted(MEASUREMENTS), help="one measurement; by default all")
    made.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where the data is made and deleted")
    made.add_argument("--size", default="20GiB", help="of the arrays of the measurement of memory")
    made.add_argument("--pixels", type=int, default=224, help="side of their images")
    made.add_argument("--limit", default="4GiB", help="of the private memory of the process that trains")
    made.add_argument("--data-memory", default="1GiB", help="as of fairart train")
    made.add_argument("--epoch-size", default="24MiB", help="of the arrays of the measurement of an epoch")
    made.add_argument("--steps", type=int, default=10, help="of the inner attack in that measurement")
    made.add_argument("--jpegs", type=int, default=2000, help="files of the measurement of decoding")
    made.add_argument("--workers", type=int, default=2, help="processes that decode")
    made.add_argument("--batch-size", type=int, default=128)
    made.add_argument("--rounds", type=int, default=5)
    made.add_argument("--threads", type=int, default=2)
    made.add_argument("--output", type=Path, default=None, help="JSON; what other measurements wrote there stays")
    made.add_argument("--smoke", action="store_true", help="a few megabytes, to see that it works")
    made.add_argument("--child", type=Path, default=None, help=argparse.SUPPRESS)
    return made


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    options = parser().parse_args(arguments)
    torch.set_num_threads(options.threads)
    if options.child is not None:
        limit = parse_memory(options.limit, where="--limit")
        print(json.dumps(memory_child(options.child, limit, options.data_memory, options.batch_size)))
        return {}
    if options.smoke:
        sizes = {"size": "8MiB", "pixels": 32, "data_memory": "1MiB", "epoch_size": "400KiB", "jpegs": 40}
        vars(options).update(sizes, steps=1, rounds=1, batch_size=32, workers=1)
    found: dict[str, Any] = json.loads(options.output.read_text()) if options.output and options.output.exists() else {}
    found["machine"] = {"processor": platform.machine(), "threads": options.threads, "torch": torch.__version__}
    for name in [options.only] if options.only else MEASUREMENTS:
        found[name] = MEASUREMENTS[name](options)
        print(name, json.dumps(found[name], indent=1), flush=True)
        if options.output:
            write_text(options.output, json.dumps(found, indent=1) + "\n")
    return found


if __name__ == "__main__":
    main()
