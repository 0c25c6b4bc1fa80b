"""Single corruptions and their parts, pixel by pixel, against scipy, Pillow, the standard library, or the formula."""

from __future__ import annotations

import colorsys
import itertools
import math
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from scipy import ndimage
from scipy.sparse import csgraph
from torch import Tensor

from fairart import create
from fairart.corruptions.edges import canny, distance_to_edges, equalise, weighted3
from fairart.corruptions.elastic import _random_affine
from fairart.corruptions.jpeg import jpeg_round_trip
from fairart.corruptions.linear import clipped_zoom, filter_mirrored, gaussian_filter, mean_zoom
from fairart.corruptions.motion import directional_blur
from fairart.corruptions.plasma import plasma
from fairart.corruptions.warp import pixel_places, read_at

Pixels = npt.NDArray[np.uint8]


def made(name: str, images: Tensor, severity: int, seed: int = 0) -> Tensor:
    return create("corruption", name)(images, severity, generator=torch.Generator().manual_seed(seed))  # type: ignore[no-any-return]


@pytest.mark.parametrize(("mode", "truncate", "sigma"), [("nearest", 4, 0.4), ("nearest", 4, 1), ("reflect", 3, 6.4)])
def test_gaussian_filter_is_scipys(images: Tensor, mode: str, truncate: float, sigma: float) -> None:
    expected = ndimage.gaussian_filter(images.double().numpy(), (0, 0, sigma, sigma), mode=mode, truncate=truncate)
    np.testing.assert_allclose(gaussian_filter(images.double(), sigma, mode=mode, truncate=truncate), expected, atol=1e-12)


@pytest.mark.parametrize("shape", [(32, 32), (8, 8), (11, 23)])
@pytest.mark.parametrize("factor", [1.03, 1.25, 1.75, 2.25])
def test_clipped_zoom_is_scipys_of_the_middle(images: Tensor, shape: tuple[int, int], factor: float) -> None:
    image = images[0, 0, : shape[0], : shape[1]].double()
    crops = [math.ceil(side / factor) for side in shape]
    firsts = [(side - crop) // 2 for side, crop in zip(shape, crops, strict=True)]
    middle = image.numpy()[firsts[0] : firsts[0] + crops[0], firsts[1] : firsts[1] + crops[1]]
    large = ndimage.zoom(middle, factor, order=1)
    trims = [(got - side) // 2 for got, side in zip(large.shape, shape, strict=True)]
    expected = large[trims[0] : trims[0] + shape[0], trims[1] : trims[1] + shape[1]]
    np.testing.assert_allclose(clipped_zoom(image, factor), expected, atol=1e-12)


@pytest.mark.parametrize("shape", [(32, 32), (8, 11), (33, 40)])
@pytest.mark.parametrize("last", [5, 25])
def test_mean_zoom_is_the_mean_of_scipys_zooms(images: Tensor, shape: tuple[int, int], last: int) -> None:
    image = images.repeat(1, 1, 2, 2)[:3, :, : shape[0], : shape[1]].double()
    factors = tuple(1 + percent / 100 for percent in range(last + 1))
    expected = torch.stack([clipped_zoom(image, factor) for factor in factors]).mean(dim=0)
    np.testing.assert_allclose(mean_zoom(image, factors, whole_pixels=True), expected, atol=1e-12)
    # Exact factors: scipy maps output pixels to places about the centre.
    centres = [(side - 1) / 2 for side in shape]
    zooms = [
        ndimage.affine_transform(
            image[0, 0].numpy(), [1 / factor] * 2, [centre - centre / factor for centre in centres], order=1, mode="nearest"
        )
        for factor in factors
    ]
    np.testing.assert_allclose(mean_zoom(image, factors, whole_pixels=False)[0, 0], np.mean(zooms, axis=0), atol=1e-12)


@pytest.mark.parametrize("taps", [3, 5])
@pytest.mark.parametrize("shape", [(32, 32), (8, 8), (9, 13)])
def test_filter_mirrored_is_scipys_correlation(images: Tensor, taps: int, shape: tuple[int, int]) -> None:
    image = images[:3, :, : shape[0], : shape[1]].double()
    kernel = torch.rand(taps, taps, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = ndimage.correlate(image.numpy(), kernel.numpy()[None, None], mode="mirror")
    np.testing.assert_allclose(filter_mirrored(image, kernel), expected, atol=1e-12)
    ring = ndimage.correlate(image[0, 0].numpy(), kernel.numpy()[:3, :3])[1:-1, 1:-1]
    np.testing.assert_allclose(weighted3(image[0, 0], kernel[:3, :3].tolist()), ring, atol=1e-12)


def test_directional_blur_walks_the_line(images: Tensor) -> None:
    image = images[:1, :1].double()
    padded = np.pad(image[0, 0].numpy(), 32, mode="edge")
    for angle in (-135.0, -60.0, 0.0, 31.0, 45.0):
        weights = np.exp(-(np.arange(19) ** 2) / (2 * 2.5**2))
        expected = np.zeros((32, 32))
        for step, weight in enumerate(weights / weights.sum()):
            down = math.ceil(step * math.sin(math.radians(angle)) - 0.5)
            right = math.ceil(step * math.cos(math.radians(angle)) - 0.5)
            expected += weight * padded[32 + down : 64 + down, 32 + right : 64 + right]
        blurred = directional_blur(image, 9, 2.5, torch.tensor([angle]))
        np.testing.assert_allclose(blurred[0, 0], expected, atol=2e-4)


@pytest.mark.parametrize(("severity", "amount"), [(1, 0.05), (5, 0.3)])
def test_brightness_is_a_change_of_the_hsv_value(images: Tensor, severity: int, amount: float) -> None:
    small = images[:2, :, ::4, ::4].clone()
    small[0, :, 0, 0] = 0
    for (_, _, _), before, after in _pixel_pairs(small, made("brightness", small, severity)):
        hue, saturation, value = colorsys.rgb_to_hsv(*before)
        assert after == pytest.approx(colorsys.hsv_to_rgb(hue, saturation, min(value + amount, 1)), abs=1e-5)


@pytest.mark.parametrize(("severity", "factor", "added"), [(1, 0.3, 0), (2, 0.1, 0), (3, 1.5, 0), (4, 2, 0.1), (5, 2.5, 0.2)])
def test_saturate_is_a_change_of_the_hsv_saturation(images: Tensor, severity: int, factor: float, added: float) -> None:
    small = images[:2, :, ::4, ::4].clone()
    small[0, :, 0, 0], small[0, :, 0, 1] = 0.5, 0
    for (_, _, _), before, after in _pixel_pairs(small, made("saturate", small, severity)):
        hue, saturation, value = colorsys.rgb_to_hsv(*before)
        expected = colorsys.hsv_to_rgb(hue, min(saturation * factor + added, 1), value)
        assert after == pytest.approx(expected, abs=1e-5)


def _pixel_pairs(before: Tensor, after: Tensor) -> Any:
    number, _, height, width = before.shape
    for place in np.ndindex(number, height, width):
        n, h, w = place
        yield place, before[n, :, h, w].tolist(), after[n, :, h, w].tolist()


@pytest.mark.parametrize("size", [(32, 32), (8, 8), (9, 13), (17, 30)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("quality", [80, 40, 20])
def test_jpeg_is_pillows(pixels: Pixels, size: tuple[int, int], channels: int, quality: int) -> None:
    used = np.ascontiguousarray(pixels[:, : size[0], : size[1], :channels])
    expected = []
    for image in used:
        file = BytesIO()
        Image.fromarray(image if channels == 3 else image[..., 0]).save(file, "JPEG", quality=quality)
        expected.append(np.asarray(Image.open(file)).reshape(image.shape))
    got = jpeg_round_trip(torch.from_numpy(used).permute(0, 3, 1, 2).float(), quality).permute(0, 2, 3, 1).numpy()
    lost = np.abs(np.stack(expected) - used.astype(float)).mean()
    # A coefficient at a tie that falls the other way shows in its whole block; there are few.
    assert np.abs(got - np.stack(expected)).mean() < 0.12 * lost


@pytest.mark.parametrize(("severity", "scale"), [(1, 0.95), (3, 0.85), (5, 0.65)])
@pytest.mark.parametrize("side", [32, 8])
def test_pixelate_is_pillows(pixels: Pixels, images: Tensor, severity: int, scale: float, side: int) -> None:
    small = int(side * scale)
    got = made("pixelate", images[:, :, :side, :side], severity).permute(0, 2, 3, 1).numpy()
    for image, mine in zip(pixels[:, :side, :side], got, strict=True):
        there = Image.fromarray(image).resize((small, small), Image.Resampling.BOX)
        expected = np.asarray(there.resize((side, side), Image.Resampling.BOX)) / 255
        np.testing.assert_allclose(mine, expected, atol=1.01 / 255)


def test_contrast_and_fog_keep_what_their_formulas_keep(images: Tensor) -> None:
    faded = made("contrast", images, 5)
    torch.testing.assert_close(faded.mean(dim=(2, 3)), images.mean(dim=(2, 3)))
    torch.testing.assert_close(faded.std(dim=(2, 3)), 0.15 * images.std(dim=(2, 3)))
    black = torch.zeros(2, 3, 16, 16)
    assert made("fog", black, 3).max() == 0


@pytest.mark.parametrize(("severity", "sigma"), [(1, 0.04), (5, 0.1)])
def test_gaussian_and_speckle_noise_on_plain_grey(severity: int, sigma: float) -> None:
    grey = torch.full((50, 3, 32, 32), 0.5)
    noise = made("gaussian_noise", grey, severity) - grey
    assert noise.std().item() == pytest.approx(sigma, rel=0.02)
    assert abs(noise.mean().item()) < sigma / 50
    speckle = made("speckle_noise", grey, severity) - grey
    assert speckle.std().item() == pytest.approx(0.5 * {1: 0.06, 5: 0.2}[severity], rel=0.02)


def test_shot_noise_has_poisson_moments() -> None:
    grey = torch.full((50, 3, 32, 32), 0.25)
    noisy = made("shot_noise", grey, 5)
    assert noisy.mean().item() == pytest.approx(0.25, rel=0.01)
    assert noisy.var().item() == pytest.approx(0.25 / 50, rel=0.02)


def test_impulse_noise_sets_its_share_to_black_and_white_evenly() -> None:
    grey = torch.full((100, 3, 32, 32), 0.5)
    noisy = made("impulse_noise", grey, 5)
    assert set(noisy.unique().tolist()) == {0.0, 0.5, 1.0}
    assert (noisy == 0).float().mean().item() == pytest.approx(0.035, rel=0.05)
    assert (noisy == 1).float().mean().item() == pytest.approx(0.035, rel=0.05)


def test_glass_blur_takes_every_pixel_from_its_upper_left(images: Tensor) -> None:
    # Severity 1 blurs by nothing, so values are those of the neighbours.
    got = (made("glass_blur", images, 1) * 255).round()
    old = (images * 255).round()
    neighbours = torch.stack([old.roll((down, right), dims=(2, 3)) for down in (0, 1) for right in (0, 1)])
    same = (neighbours == got).all(dim=2)
    assert same[:, :, 2:, 2:].any(dim=0).all()
    assert torch.equal(got[:, :, :2], old[:, :, :2])
    # Each of the four is as likely as the others; equal pixels count for several.
    assert (same[:, :, 2:, 2:].float().mean(dim=(1, 2, 3)) > 0.2).all()


@pytest.mark.parametrize(("border", "mode"), [("mirror", "mirror"), ("reflect", "reflect"), ("clamp", "nearest")])
def test_read_at_is_scipys_map_coordinates(images: Tensor, border: str, mode: str) -> None:
    image = images[:1, :1].double()
    random = np.random.default_rng(0)
    moves = torch.from_numpy(random.uniform(-6, 6, (1, 32, 32, 2)))
    places = pixel_places(32, 32, image) + moves
    coordinates = (places[0, ..., 1].numpy(), places[0, ..., 0].numpy())
    expected = ndimage.map_coordinates(image[0, 0].numpy(), coordinates, order=1, mode=mode)
    np.testing.assert_allclose(read_at(image, places, border=border)[0, 0], expected, atol=1e-9)


def test_the_affine_part_of_elastic_is_affine() -> None:
    # A ramp in x and y stays a plane in the middle, where no border is seen.
    ramp = torch.linspace(0, 1, 64, dtype=torch.float64).expand(64, 64)
    turned = _random_affine(torch.stack([ramp, ramp.mT])[None].repeat(4, 1, 1, 1), 4.0, torch.Generator().manual_seed(3))
    middle = turned[:, :, 28:36, 28:36]
    assert middle.diff(n=2, dim=2).abs().max() < 1e-9
    assert middle.diff(n=2, dim=3).abs().max() < 1e-9
    assert (turned - torch.stack([ramp, ramp.mT])).abs().amax(dim=(1, 2, 3)).min() > 0.01


def test_chamfer_distance_is_close_to_euclids() -> None:
    random = np.random.default_rng(0)
    edges = random.random((20, 1, 32, 24)) < 0.01
    edges[:, 0, 3, 5] = True
    expected = np.stack([ndimage.distance_transform_edt(~image[0]) for image in edges])[:, None]
    got = distance_to_edges(torch.from_numpy(edges), 50).numpy()
    np.testing.assert_allclose(got, expected, rtol=0.04)
    assert (distance_to_edges(torch.zeros(1, 1, 8, 8, dtype=torch.bool), 20) == 20).all()


def test_chamfer_distance_is_the_shortest_way_of_the_three_moves() -> None:
    # scipy's own search for the cheapest way, on the graph of all moves, in OpenCV's fixed point.
    side, edges = 12, torch.zeros(2, 1, 12, 12, dtype=torch.bool)
    edges[0, 0, 2, 9], edges[1, 0, 11, 0], edges[1, 0, 4, 4] = True, True, True
    lengths = {(0, 1): 1.0, (1, 1): 91750 / 65536, (1, 2): 143976 / 65536}
    graph = np.zeros((side**2, side**2))
    places = list(np.ndindex(side, side))
    for (one, (row, column)), (other, (below, right)) in itertools.product(enumerate(places), repeat=2):
        move = tuple(sorted((abs(below - row), abs(right - column))))
        graph[one, other] = lengths.get(move, 0)
    for image, got in zip(edges[:, 0].numpy(), distance_to_edges(edges, 50).numpy()[:, 0], strict=True):
        ways = csgraph.dijkstra(graph, indices=np.flatnonzero(image), min_only=True).reshape(side, side)
        np.testing.assert_array_equal(got, ways.astype(np.float32))


def test_canny_finds_a_step_once_and_follows_it_where_it_is_weak() -> None:
    step = torch.zeros(1, 1, 16, 16)
    step[..., 8:] = 60
    step[:, :, 12:, 8:] = 20  # gradient 80: above the lower limit only, but connected
    edges = canny(step, 50, 150)
    assert edges[0, 0, 2:11].sum(dim=1).tolist() == [1] * 9
    assert edges[0, 0, 14].sum() == 1
    assert canny(step[:, :, 12:], 50, 150).sum() == 0


def test_equalise_maps_to_ranks() -> None:
    grey = torch.tensor([[3.0, 3, 7, 9], [5, 5, 5, 5]]).reshape(2, 1, 2, 2)
    equal = equalise(grey).flatten(1).tolist()
    assert equal == [[0, 0, 128, 255], [5, 5, 5, 5]]


def test_plasma_spans_its_range_and_gets_smoother_with_decay() -> None:
    like = torch.zeros(1, dtype=torch.float32)
    rough, smooth = (plasma(32, 32, 32, decay, like=like, generator=torch.Generator().manual_seed(0)) for decay in (1.75, 3.0))
    assert (rough.amin(dim=(1, 2, 3)) == 0).all()
    assert (rough.amax(dim=(1, 2, 3)) == 1).all()
    assert rough.diff(dim=3).abs().mean() > 1.3 * smooth.diff(dim=3).abs().mean()
