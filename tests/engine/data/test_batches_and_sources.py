from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from art.data_generators import DataGenerator, NumpyDataGenerator
from hypothesis import given
from hypothesis import strategies as st

from fairart.engine.data.sources import ArraySource, DeviceData, GeneratorSource, batch_slices

Make = Callable[..., Any]


@given(n=st.integers(1, 500), batch_size=st.integers(1, 600))
def test_slices_cover_everything_once_and_none_of_several_has_one_sample(n: int, batch_size: int):
    slices = batch_slices(n, batch_size)
    covered = [index for part in slices for index in range(n)[part]]
    assert covered == list(range(n))
    sizes = [part.stop - part.start for part in slices]
    assert all(size == batch_size for size in sizes[:-1])
    assert sizes[-1] <= batch_size + 1
    if len(slices) > 1 and batch_size > 1:
        assert min(sizes) > 1


@pytest.mark.parametrize(
    ("n", "batch_size", "sizes"), [(9, 4, [4, 5]), (10, 4, [4, 4, 2]), (8, 4, [4, 4]), (1, 4, [1]), (3, 1, [1, 2])]
)
def test_slices_by_example(n: int, batch_size: int, sizes: list[int]):
    assert [part.stop - part.start for part in batch_slices(n, batch_size)] == sizes


@pytest.fixture
def source_of(make_classifier: Make) -> Callable[..., GeneratorSource]:
    def make(generator: DataGenerator, **options: Any) -> GeneratorSource:
        return GeneratorSource(
            generator, classifier=make_classifier(), device=torch.device("cpu"), dtype=torch.float32, **options
        )

    return make


def numbered(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Images that carry their own number, to follow them through a source."""
    images = np.zeros((n, 1, 8, 8), dtype=np.float32)
    images[:, 0, 0, 0] = np.arange(n) / 1000
    return images, np.arange(n) % 3


def numbers_of(source: GeneratorSource) -> list[list[int]]:
    return [[round(1000 * float(image[0, 0, 0])) for image in pool.take(slice(None))[0]] for pool in source.pools()]


@pytest.mark.parametrize("n", [8, 10])
def test_a_generator_gives_every_sample_once_an_epoch(n: int, source_of: Make):
    source = source_of(NumpyDataGenerator(*numbered(n), batch_size=4, shuffle=False, drop_remainder=False))
    assert [numbers_of(source) for _ in range(3)] == [[list(range(n))]] * 3


def test_a_generator_that_drops_its_remainder_keeps_in_step_with_the_epochs(source_of: Make):
    source = source_of(NumpyDataGenerator(*numbered(11), batch_size=4, shuffle=False, drop_remainder=True))
    assert [numbers_of(source) for _ in range(4)] == [[list(range(8))]] * 4


def test_a_shuffling_generator_that_drops_its_remainder_repeats_no_sample_within_an_epoch(source_of: Make):
    np.random.seed(0)  # noqa: NPY002  # what ART's generator draws from
    source = source_of(NumpyDataGenerator(*numbered(11), batch_size=4, shuffle=True, drop_remainder=True))
    for _ in range(5):
        (pool,) = numbers_of(source)
        assert len(pool) == len(set(pool)) == 8


def test_pools_are_cut_by_memory_and_never_leave_a_single_sample(source_of: Make):
    image = 64 * 4
    generator = NumpyDataGenerator(*numbered(13), batch_size=3, shuffle=False, drop_remainder=False)
    pools = numbers_of(source_of(generator, pool_bytes=6 * image))
    assert [len(pool) for pool in pools] == [6, 7], "12 + 1: the last sample joins the pool before"
    assert pools == [list(range(6)), list(range(6, 13))]


def test_a_generator_gives_fresh_data_in_every_epoch(source_of: Make):
    class Counting(DataGenerator):
        def __init__(self) -> None:
            super().__init__(size=4, batch_size=2)
            self.calls = 0

        def get_batch(self) -> tuple[np.ndarray, np.ndarray]:
            self.calls += 1
            return np.full((2, 1, 8, 8), self.calls / 1000, dtype=np.float32), np.array([0, 1])

    source = source_of(Counting())
    assert [numbers_of(source) for _ in range(2)] == [[[1, 1, 2, 2]], [[3, 3, 4, 4]]]


def test_images_stay_as_they_came_until_a_batch_is_drawn(make_classifier: Make):
    images = np.arange(256, dtype=np.uint8).reshape(4, 1, 8, 8)
    common: Any = {"device": torch.device("cpu"), "dtype": torch.float32}
    data = DeviceData(images, np.array([0, 1, 2, 0]), classifier=make_classifier(), **common)
    assert data.x.dtype == torch.uint8
    batch, labels = data.take(torch.tensor([3, 0]))
    np.testing.assert_array_equal(batch.numpy(), images[[3, 0]].astype(np.float32) / 255)
    assert labels.tolist() == [0, 0]
    raw = DeviceData(images, np.array([0, 1, 2, 0]), classifier=make_classifier(clip_values=(0, 255)), **common)
    np.testing.assert_array_equal(raw.take(slice(1, 3))[0].numpy(), images[1:3].astype(np.float32))


def test_device_data_shares_no_memory_with_the_array(make_classifier: Make, make_data: Make):
    x, y = make_data(6)
    x.setflags(write=False)
    data = DeviceData(x, y, classifier=make_classifier(), device=torch.device("cpu"), dtype=torch.float32)
    data.x.zero_()
    assert x.any()


@pytest.mark.parametrize("batch_size", [0, -1, 2.0, True, "8", None])
def test_batch_size_must_be_a_positive_integer(batch_size: Any, make_classifier: Make, make_data: Make):
    data = DeviceData(*make_data(6), classifier=make_classifier(), device=torch.device("cpu"), dtype=torch.float32)
    with pytest.raises(ValueError, match=f"batch_size must be an integer >= 1, got {batch_size!r}"):
        ArraySource(data, batch_size)


def test_a_generator_must_be_art_s_and_know_its_size(source_of: Make, make_data: Make):
    with pytest.raises(TypeError, match=r"expected an art.data_generators.DataGenerator, got list"):
        source_of([make_data(4)])

    class Endless(DataGenerator):
        def get_batch(self) -> tuple[np.ndarray, np.ndarray]:
            return make_data(2)

    with pytest.raises(ValueError, match="must know its size, got size None"):
        source_of(Endless(size=None, batch_size=2))


def test_a_bad_batch_of_a_generator_is_named(source_of: Make):
    images, labels = numbered(8)
    images[5] = np.nan
    source = source_of(NumpyDataGenerator(images, labels, batch_size=4, drop_remainder=False))
    with pytest.raises(ValueError, match="generator x must be finite numbers, got NaN or infinity in sample 1"):
        numbers_of(source)
