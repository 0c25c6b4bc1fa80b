"""Processes that decode give the batches of the images in memory, in order, and say what is wrong."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from resuming import resumed, same
from stored_images import as_bytes

from fairart.datasets import DatasetError
from fairart.datasets.folder import load_folder
from fairart.engine.data import decoding as module
from fairart.engine.data.sources import batch_slices
from fairart.engine.data.streamed import StreamedData
from fairart.trainers import ATTrainer

CPU = {"device": torch.device("cpu"), "dtype": torch.float32}


@pytest.fixture
def folder(make_data, tmp_path):
    """62 grey images of three classes as PNG files, class by class, and a few to test on."""
    x, y = make_data(62, 3)
    for number, (image, label) in enumerate(zip(as_bytes(x), y, strict=True)):
        for split in ("train", "test")[: 1 + (number < 9)]:
            place = tmp_path / "images" / split / "abc"[label]
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[0]).resize((11, 10)).save(place / f"{number:02}.png")
    return tmp_path / "images"


def loaded(folder: Path, **options):
    return load_folder(path=str(folder), size=8, colour="grey", **options)


def fit(trainer, data, **options):
    trainer.fit(*data, batch_size=10, nb_epochs=2, seed=3, verbose=False, **options)
    return trainer


def trainer_of(make_classifier, **options):
    return ATTrainer(make_classifier(3), eps=0.1, eps_step=0.05, max_iter=2, **options)


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_training_from_files_is_training_on_the_array(workers, folder, make_classifier):
    memory, disk = loaded(folder), loaded(folder, data_memory="0", workers=workers)
    one = fit(trainer_of(make_classifier, augmentation="crop-flip"), (memory.x_train, memory.y_train))
    assert same(fit(trainer_of(make_classifier, augmentation="crop-flip"), (disk.x_train, disk.y_train)), one)


def test_batches_drawn_class_by_class_and_extra_data_from_files(folder, make_classifier):
    memory, disk = loaded(folder), loaded(folder, data_memory="0", workers=1)
    runs = [fit(trainer_of(make_classifier, class_sampling="balanced"), (data.x_train, data.y_train)) for data in (memory, disk)]
    assert same(*runs)
    runs = [
        fit(trainer_of(make_classifier), (data.x_train, data.y_train), extra_data=(data.x_test, data.y_test))
        for data in (memory, disk)
    ]
    assert same(*runs)


@pytest.mark.parametrize("workers", [0, 2])
def test_random_crops_do_not_depend_on_workers_jobs_or_resuming(
    workers, folder, make_classifier, stop_after, tmp_path, monkeypatch
):
    def data(workers):
        found = loaded(folder, crop="random", workers=workers)
        return found.x_train, found.y_train

    whole = fit(trainer_of(make_classifier), data(1))
    # Three images of 64 bytes a job: a batch is put together from several.
    monkeypatch.setattr(module, "JOB_BYTES", 3 * 64)
    assert same(fit(trainer_of(make_classifier), data(workers)), whole)
    again = lambda: (trainer_of(make_classifier), None)  # noqa: E731
    assert same(resumed(again, stop_after, data(workers), tmp_path / "kept", saves=3, nb_epochs=2), whole)
    centre = loaded(folder, crop="centre", data_memory="0", workers=0)
    plain = fit(trainer_of(make_classifier), (centre.x_train, centre.y_train))
    assert plain.history[0].loss != whole.history[0].loss


def streamed(folder, make_classifier, **options):
    data = loaded(folder, data_memory="0", **{"workers": 2, **options})
    return StreamedData(data.x_train, data.y_train, classifier=make_classifier(3), **CPU)


def epoch(data, order, number=0):
    places = batch_slices(len(order), 10)
    with data.reading_ahead(lambda at: order[at], places, number):
        return [data.batch(lambda at: order[at], place, number) for place in places]


def test_processes_stay_from_epoch_to_epoch_and_an_epoch_cut_short_is_forgotten(folder, make_classifier):
    data, memory = streamed(folder, make_classifier), loaded(folder)
    order = torch.randperm(62, generator=torch.Generator().manual_seed(0))
    with data.reading_ahead(lambda at: order[at], batch_slices(62, 10), 0):
        data.batch(lambda at: order[at], slice(0, 10), 0)
    processes = [worker.pid for worker in data._decoders._loader._iterator._workers]
    for turned in (order.flip(0), order):
        got = torch.cat([x for x, *_ in epoch(data, turned)])
        np.testing.assert_array_equal(got.numpy(), memory.x_train[turned.numpy()].astype(np.float32) / 255)
    assert [worker.pid for worker in data._decoders._loader._iterator._workers] == processes


def test_the_random_state_of_the_run_does_not_hear_of_the_loader(folder, make_classifier):
    before = torch.get_rng_state()
    epoch(streamed(folder, make_classifier), torch.arange(62))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_damaged_file_is_named_by_its_path_alone(folder, make_classifier):
    bad = sorted((folder / "train" / "b").iterdir())[2]
    bad.write_bytes(b"no image")
    with pytest.raises(DatasetError) as caught:
        epoch(streamed(folder, make_classifier), torch.arange(62))
    assert str(caught.value).startswith(f"{bad} cannot be read as an image: ")
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize("workers", [0, 2])
def test_damaged_files_are_passed_over_counted_and_named_once(workers, folder, make_classifier):
    whole = loaded(folder)
    bad = [sorted((folder / "train" / name).iterdir())[0] for name in "abc"]
    for file in bad:
        file.write_bytes(b"no image")
    data = streamed(folder, make_classifier, skip_unreadable=True, workers=workers)
    if workers:
        with pytest.warns(UserWarning, match=r"cannot be read as an image: .*: another image of its class is trained on"):
            got = torch.cat([x for x, *_ in epoch(data, torch.arange(62))])
    else:
        got = torch.cat([x for x, *_ in epoch(data, torch.arange(62))])
    rows, firsts = np.arange(62), [int(np.flatnonzero(whole.y_train == label)[0]) for label in range(3)]
    rows[firsts] = [row + 1 for row in firsts]
    np.testing.assert_array_equal(got.numpy(), whole.x_train[rows].astype(np.float32) / 255)
    assert sorted(data.images.unreadable) == sorted(map(str, bad))


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs signals")
def test_a_process_that_is_killed_is_one_clear_error(folder, make_classifier):
    data = streamed(folder, make_classifier)
    order, places = torch.arange(62), batch_slices(62, 2)

    def kill_and_go_on():
        with data.reading_ahead(lambda at: order[at], places, 0):
            data.batch(lambda at: order[at], places[0], 0)
            os.kill(data._decoders._loader._iterator._workers[0].pid, signal.SIGKILL)
            for place in places[1:]:
                data.batch(lambda at: order[at], place, 0)

    with pytest.raises(RuntimeError, match=r"one of 2 processes that decode images ended\..*dataset\.workers=2"):
        kill_and_go_on()
    assert data._decoders._loader is None
    assert len(epoch(data, order)) == 7, "another epoch starts others"
