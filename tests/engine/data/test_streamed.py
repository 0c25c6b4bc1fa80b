"""Training on images that stay on disk is training on the array, to the last bit, and reads no more than it needs."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import torch
from resuming import METHODS, fit, same
from stored_images import WatchedImages, as_bytes, stored

from fairart.draws import Part
from fairart.engine import Checkpointing
from fairart.engine.data import streamed as module
from fairart.engine.data.batches import places_taken
from fairart.engine.data.sources import ArraySource, DeviceData, batch_slices
from fairart.engine.data.streamed import StreamedData
from fairart.engine.processes import Processes
from fairart.evaluation import evaluate
from fairart.runs.config import RunConfig

pytestmark = pytest.mark.filterwarnings("ignore:weight averaging took in none")

CPU = {"device": torch.device("cpu"), "dtype": torch.float32}


@pytest.fixture
def trainer_of(make_classifier):
    def make(name="fair-tat + fawa", **more):
        kind, options = METHODS[name]
        return kind(make_classifier(3), **{"eps": 0.1, "eps_step": 0.05, "max_iter": 2, **options, **more})

    return make


@pytest.mark.parametrize("name", METHODS)
def test_every_method_trains_as_in_memory(name, trainer_of, make_data, tmp_path):
    x, y = make_data(62, 3)
    x = as_bytes(x)
    images = stored(tmp_path, x)
    one = fit(trainer_of(name), None, (x, y), nb_epochs=2)
    assert same(fit(trainer_of(name), None, (images, y), nb_epochs=2), one)


def test_no_read_is_larger_than_a_batch_or_a_chunk(trainer_of, make_data, tmp_path, monkeypatch):
    x, y = make_data(62, 3)
    images = stored(tmp_path, as_bytes(x))
    monkeypatch.setattr("fairart.datasets.stored.CHUNK_BYTES", 10 * 64)
    checkpoint = Checkpointing(tmp_path / "kept")
    fit(trainer_of("fat"), None, (images, y), nb_epochs=2, checkpoint=checkpoint)
    assert max(len(rows) for rows in images.reads) == 10
    assert sum(len(rows) for rows in images.reads) == 3 * 62, "once for the digest, and once an epoch"


@pytest.mark.parametrize("augmentation", ["crop-flip,mixup", "cutmix", "randaugment"])
def test_augmentations_see_the_same_batches(augmentation, trainer_of, make_data, tmp_path):
    x, y = make_data(62, 3)
    x = as_bytes(x)
    runs = [fit(trainer_of(augmentation=augmentation), None, (images, y), nb_epochs=2) for images in (x, stored(tmp_path, x))]
    assert same(*runs)


@pytest.mark.parametrize("sampling", [None, "balanced"])
def test_groups_follow_their_samples(sampling, trainer_of, make_data, tmp_path):
    x, y = make_data(62, 3)
    x, groups = as_bytes(x), np.arange(62) % 4
    options = {"class_weighting": "group-dro", "class_sampling": sampling}
    runs = [
        fit(trainer_of("standard", **options), None, (images, y), groups=groups, nb_epochs=2)
        for images in (x, stored(tmp_path, x))
    ]
    assert same(*runs)
    assert runs[0].history[-1].group_weights is not None


def test_float_images_and_validation_data_on_disk(trainer_of, make_data, tmp_path):
    (x, y), (x_val, y_val) = make_data(62, 3), make_data(17, 3)
    one = fit(trainer_of("cfa"), None, (x, y), validation_data=(x_val, y_val), nb_epochs=2)
    disk = (stored(tmp_path, x_val, name="val"), y_val)
    assert same(fit(trainer_of("cfa"), None, (stored(tmp_path, x), y), validation_data=disk, nb_epochs=2), one)


@pytest.mark.parametrize("kinds", [("uint8", "uint8"), ("uint8", "float32")])
@pytest.mark.parametrize("which", ["own", "extra", "both"])
def test_extra_data_is_mixed_in_as_in_memory(which, kinds, trainer_of, make_data, tmp_path):
    (x, y), (more, labels) = make_data(62, 3), make_data(33, 3)
    x, more = as_bytes(x), as_bytes(more) if kinds[1] == "uint8" else more
    one = fit(trainer_of(), None, (x, y), extra_data=(more, labels), nb_epochs=2)
    own = stored(tmp_path, x) if which != "extra" else x
    extra = stored(tmp_path, more, name="more") if which != "own" else more
    assert same(fit(trainer_of(), None, (own, y), extra_data=(extra, labels), nb_epochs=2), one)


def test_bad_values_and_shapes_are_refused_before_training(trainer_of, make_data, tmp_path):
    x, y = make_data(62, 3)
    x[40] = 1.5
    with pytest.raises(ValueError, match=r"x must lie in the classifier's clip_values 0 to 1, got values from .* to 1\.5"):
        fit(trainer_of(), None, (stored(tmp_path, x), y))
    with pytest.raises(ValueError, match="x must have the classifier's input shape"):
        fit(trainer_of(), None, (stored(tmp_path, x[:, :, :4]), y))
    with pytest.raises(ValueError, match="x and y must be of one length, got 62 and 61"):
        fit(trainer_of(), None, (stored(tmp_path, as_bytes(x.clip(0, 1))), y[:61]))


def test_a_file_that_is_lost_in_training_is_named_and_the_threads_end(trainer_of, make_data, tmp_path):
    x, y = make_data(62, 3)
    images, trainer = stored(tmp_path, as_bytes(x)), trainer_of()

    class Removing(WatchedImages):
        def read(self, rows):
            if len(self.reads) >= 3:
                self.path.unlink(missing_ok=True)
            return super().read(rows)

    images.__class__ = Removing
    with pytest.raises(ValueError, match=r"x\.npy cannot be read"):
        fit(trainer, None, (images, y))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("fairart-read")]
    assert len(trainer.history) == 0


def test_reading_goes_on_while_a_batch_is_used_and_stays_within_its_bounds(make_classifier, make_data, tmp_path, monkeypatch):
    x, y = make_data(200, 3)
    images = stored(tmp_path, as_bytes(x))
    data = StreamedData(images, y, classifier=make_classifier(3), **CPU)
    places = batch_slices(200, 10)
    # Two and a half batches of 10 images of 64 bytes.
    monkeypatch.setattr(module, "MOST_BYTES", 1600)
    with data.reading_ahead(lambda at: torch.arange(200)[at], places, 0):
        data.batch(lambda at: torch.arange(200)[at], places[0], 0)
        until = time.monotonic() + 5
        while len(images.reads) < 3 and time.monotonic() < until:
            time.sleep(0.001)
        time.sleep(0.02)
        assert len(images.reads) == 3, "one in use, two ahead"
        with pytest.raises(RuntimeError, match="was asked for, and the one at"):
            data.batch(lambda at: torch.arange(200)[at], places[7], 0)


class OneOf(Processes):
    def __init__(self, rank, size):
        self.rank, self.size = rank, size

    def part(self, total):
        first, stop = (total * rank // self.size for rank in (self.rank, self.rank + 1))
        return Part(first, stop, total)


@pytest.mark.parametrize("size", [2, 3])
def test_processes_read_parts_that_do_not_overlap(size, make_classifier, make_data, tmp_path):
    x, y = make_data(101, 3)
    order, read = torch.randperm(101, generator=torch.Generator().manual_seed(1)), []
    for rank in range(size):
        images = stored(tmp_path, as_bytes(x), name=str(rank))
        data = StreamedData(images, y, classifier=make_classifier(3), **CPU)
        shares = [places_taken(batch, OneOf(rank, size).part(batch.stop - batch.start), None) for batch in batch_slices(101, 16)]
        with data.reading_ahead(lambda at: order[at], shares, 0):
            for share in shares:
                got, labels, rows = data.batch(lambda at: order[at], share, 0)
                assert torch.equal(rows, order[share])
                np.testing.assert_array_equal(got.numpy(), as_bytes(x)[order[share].numpy()].astype(np.float32) / 255)
                np.testing.assert_array_equal(labels.numpy(), y[order[share].numpy()])
        read += np.concatenate(images.reads).tolist()
    assert sorted(read) == list(range(101))


def test_what_is_taken_is_what_device_data_gives(make_classifier, make_data, tmp_path):
    x, y = make_data(30, 3)
    common = {"classifier": make_classifier(3, clip_values=(0, 255)), **CPU}
    disk = StreamedData(stored(tmp_path, as_bytes(x)), y, **common)
    memory = DeviceData(as_bytes(x), y, **common)
    assert disk.identity() == memory.identity()
    np.testing.assert_array_equal(ArraySource(disk, 8).class_counts(3), ArraySource(memory, 8).class_counts(3))
    for index in (slice(3, 20), slice(None), torch.tensor([7, 7, 0])):
        for one, other in zip(disk.take(index), memory.take(index), strict=True):
            assert torch.equal(one, other)


def test_an_evaluation_reads_batch_by_batch_and_counts_the_same(make_classifier, make_data, tmp_path):
    x, y = make_data(40, 3)
    images, classifier = stored(tmp_path, as_bytes(x)), make_classifier(3)
    options = {
        "attacks": ["pgd"],
        "ood": {"blurred": "blurred"},
        "corruptions": ("brightness", "gaussian_noise"),
        "severities": [2],
        "batch_size": 7,
    }
    one = evaluate(classifier, as_bytes(x), y, verbose=False, checkpoint=tmp_path / "one", **options)
    two = evaluate(classifier, images, y, verbose=False, checkpoint=tmp_path / "two", **options)
    one.save(tmp_path / "one.json")
    two.save(tmp_path / "two.json")
    assert (tmp_path / "one.json").read_text() == (tmp_path / "two.json").read_text()
    # A partial result of one goes on with the other: what it belongs to is equal as well.
    assert (tmp_path / "one" / "state.json").read_text() == (tmp_path / "two" / "state.json").read_text()


def test_a_config_takes_amounts_as_numbers_and_as_text():
    assert RunConfig.from_mapping({"trainer": "at", "data_memory": 0}).data_memory == "0"
    assert RunConfig.from_mapping({"trainer": "at", "data_memory": "4GiB"}).data_memory == "4GiB"
    assert RunConfig.from_mapping({"trainer": "at", "data_memory": "none"}).data_memory is None


def test_a_second_fit_goes_on_as_in_memory(trainer_of, make_data, tmp_path):
    x, y = make_data(62, 3)
    x = as_bytes(x)
    images = stored(tmp_path, x)
    runs = []
    for data in ((x, y), (images, y)):
        trainer = fit(trainer_of("cfa"), None, data, nb_epochs=1)
        runs.append(fit(trainer, None, data, nb_epochs=1))
    assert same(*runs)
