from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fairart.engine import crop_and_flip


def choices(image: np.ndarray, padding: int) -> dict[tuple[int, int, bool], np.ndarray]:
    """Every crop of one reflect-padded image, plain and flipped, by a loop over numpy slices."""
    _, height, width = image.shape
    padded = np.pad(image, ((0, 0), (padding, padding), (padding, padding)), mode="reflect")
    found: dict[tuple[int, int, bool], np.ndarray] = {}
    for top in range(2 * padding + 1):
        for left in range(2 * padding + 1):
            crop = padded[:, top : top + height, left : left + width]
            found[top, left, False] = crop
            found[top, left, True] = crop[:, :, ::-1]
    return found


def draws(x: torch.Tensor, out: torch.Tensor, padding: int) -> list[tuple[int, int, bool]]:
    """Which crop and flip each sample got; fails where an output is none of its own image's."""
    seen = []
    for image, result in zip(x.numpy(), out.numpy(), strict=True):
        hits = [key for key, crop in choices(image, padding).items() if np.array_equal(crop, result)]
        assert hits, "the output is no crop of the padded image"
        seen.append(hits[0])
    return seen


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(1, 4),
    channels=st.sampled_from([1, 3]),
    height=st.integers(2, 9),
    width=st.integers(2, 9),
    padding=st.integers(0, 4),
    seed=st.integers(0, 100),
)
def test_every_sample_is_a_crop_of_its_own_padded_image(n: int, channels: int, height: int, width: int, padding: int, seed: int):
    x = torch.rand(n, channels, height, width, generator=torch.Generator().manual_seed(seed))
    out = crop_and_flip(x, torch.Generator().manual_seed(seed + 1), padding=padding)
    assert out.shape == x.shape
    assert out.is_contiguous()
    draws(x, out, min(padding, height - 1, width - 1))


def test_all_crops_and_both_directions_occur_independently_for_each_sample():
    x = torch.rand(600, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    seen = draws(x, crop_and_flip(x, torch.Generator().manual_seed(1), padding=2), 2)
    assert set(seen) == {(top, left, flip) for top in range(5) for left in range(5) for flip in (False, True)}
    assert 240 < sum(flip for _, _, flip in seen) < 360


def test_it_follows_its_generator_and_leaves_the_input_and_the_global_state():
    x = torch.rand(8, 3, 8, 8)
    before, state = x.clone(), torch.get_rng_state()
    first, again, other = (crop_and_flip(x, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(x, before)
    assert torch.equal(torch.get_rng_state(), state)
